//! What is asked, and what is a right answer to it.
//!
//! The question of the bench `floor`, or that with another credential, path or host. A number in the credential makes as
//! many callers of it as there are to be.

use bytes::{Bytes, BytesMut};
use portcullis::envoy::protos::rpc::Status;
use prost::Message;

use crate::connection::{PREFIX, framed};
use crate::question::{HEADERS, message_of};

/// How far callers who follow each other stand apart: a prime, so that all have their turn.
const STRIDE: u64 = 7919;

/// What a key ends with, behind its number.
const KEY_END: &str = "-8f4b3d9a-e931-478d-a994-28a725159ab9";

/// What is asked, by what is to come of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Leave, by a key that is known.
    Hit,
    /// Leave, by a key that is looked up.
    Miss,
    /// A denial, by a key that is known to be nobody's.
    Denial,
    /// Leave, without a key, for what is public.
    Public,
    /// A redirect, since it came over plain HTTP.
    Redirect,
}

/// What is asked, ready for the wire.
#[derive(Clone, Debug)]
pub struct Question {
    pub kind: Kind,
    frame: Bytes,
    /// Where the number of the key stands in the frame, if there is one.
    number_at: Option<usize>,
    /// How many callers take turns.
    pub callers: u64,
    pub headers: usize,
}

/// Gives the key of a caller.
pub fn key(number: u64) -> String {
    format!("{number:032x}{KEY_END}")
}

impl Question {
    pub fn new(kind: Kind) -> Self {
        let of_kind = |(name, value): (&'static str, &'static str)| match (kind, name) {
            (Kind::Public, "authorization") => None,
            (Kind::Public, ":method") => Some((name, "GET")),
            (Kind::Public, ":path") => Some((name, "/camara/number-verification/v0/authorize")),
            (Kind::Redirect, ":authority") => Some((name, "opentact.example.com")),
            (Kind::Redirect, ":path") => Some((name, "/rest/messages")),
            (Kind::Redirect, "x-forwarded-proto") => Some((name, "http")),
            _ => Some((name, value)),
        };
        Self::with(kind, HEADERS.into_iter().filter_map(of_kind))
    }

    /// The question of a hit with so many headers in all, alike but for their names, beyond those that it needs.
    pub fn with_headers(count: usize) -> Self {
        const NEEDED: [&str; 6] = [
            ":authority",
            ":method",
            ":path",
            ":scheme",
            "authorization",
            "x-forwarded-proto",
        ];
        let fillers = (NEEDED.len()..count).map(|it| format!("x-filler-{it:03}"));
        let fillers: Vec<_> = fillers.collect();
        let needed = HEADERS.into_iter().filter(|it| NEEDED.contains(&it.0));
        let filled = fillers
            .iter()
            .map(|it| (it.as_str(), "one of many headers, of an ordinary length"));
        Self::with(Kind::Hit, needed.chain(filled))
    }

    /// The same at another host, for another path.
    pub fn elsewhere(host: &str, path: &str) -> Self {
        let other = |(name, value)| match name {
            ":authority" => (name, host),
            ":path" => (name, path),
            _ => (name, value),
        };
        Self::with(Kind::Hit, HEADERS.into_iter().map(other))
    }

    /// The same of so many callers in turn.
    pub fn of_callers(self, callers: u64) -> Self {
        Self { callers, ..self }
    }

    fn with<'h>(kind: Kind, headers: impl Iterator<Item = (&'h str, &'h str)>) -> Self {
        let number = match kind {
            Kind::Denial => u64::MAX,
            _ => 0,
        };
        let presented = format!("App {}", key(number));
        let own = |(name, value): (&str, &str)| match name {
            "authorization" => (name.to_owned(), presented.clone()),
            _ => (name.to_owned(), value.to_owned()),
        };
        let headers: Vec<_> = headers.map(own).collect();
        let message = message_of(&headers);
        let found = message
            .windows(presented.len())
            .position(|it| it == presented.as_bytes());
        Self {
            kind,
            frame: framed(&message),
            number_at: found.map(|it| PREFIX + it + "App ".len()),
            callers: 1,
            headers: headers.len(),
        }
    }

    /// How long the message is.
    pub fn len(&self) -> usize {
        self.frame.len() - PREFIX
    }

    /// Gives what goes on the wire, of the caller whose turn it is.
    pub fn frame(&self, turn: u64) -> Bytes {
        let Some(at) = self.number_at.filter(|_| self.callers > 1) else {
            return self.frame.clone();
        };
        let mut frame = BytesMut::from(&self.frame[..]);
        let number = format!("{:032x}", turn * STRIDE % self.callers);
        frame[at..at + number.len()].copy_from_slice(number.as_bytes());
        frame.freeze()
    }

    /// Gives the labels under which Portcullis counts it.
    pub fn counted_as(&self) -> &'static str {
        match self.kind {
            Kind::Hit => r#"outcome="allow",cache="hit""#,
            Kind::Miss => r#"outcome="allow",cache="miss""#,
            Kind::Denial => r#"outcome="deny",cache="hit""#,
            Kind::Public => r#"outcome="allow",cache="none""#,
            Kind::Redirect => r#"outcome="deny",cache="none""#,
        }
    }

    /// Tells whether the answer is the right one.
    pub fn is_answered_by(&self, answer: &[u8]) -> bool {
        Gist::decode(answer).is_ok_and(|it| {
            let is_ok = it.status.is_some_and(|it| it.code == 0);
            let denied = it.denied.and_then(|it| it.status).map(|it| it.code);
            match self.kind {
                Kind::Hit | Kind::Miss | Kind::Public => is_ok && it.ok.is_some(),
                Kind::Denial => !is_ok && denied == Some(401),
                Kind::Redirect => !is_ok && denied == Some(302),
            }
        })
    }
}

/// What of an answer is read each time: reading all of it would make the generator dearer than the servers.
#[derive(Clone, PartialEq, Message)]
struct Gist {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    ok: Option<()>,
}

#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}
