//! HTTP/1.1 messages as bytes, taken apart by hand, so that what is on the wire is what a test sees.
//!
//! Used by the client and by the upstream. It repairs nothing and validates only what it needs to find the end of a
//! message; what it cannot read is a panic that shows the bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const FETCH_PATIENCE: Duration = Duration::from_secs(5);

/// The start line and headers of a message, as they came.
#[derive(Clone, Debug)]
pub struct Head {
    pub start_line: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How a message tells where its body ends.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    Chunked,
    Length(usize),
    Undeclared,
}

impl Head {
    /// Parses a head and gives its length with it, or `None` while it is incomplete.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = find(bytes, b"\r\n\r\n")?;
        let mut lines = Vec::new();
        let mut rest = &bytes[..end];
        while let Some(at) = find(rest, b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        lines.push(rest);
        let headers = lines[1..].iter().map(|line| header(line)).collect();
        let start_line = lines[0].to_vec();
        Some((
            Self {
                start_line,
                headers,
            },
            end + 4,
        ))
    }

    /// Reads off the headers how the body is framed.
    pub fn framing(&self) -> Framing {
        if self
            .values("transfer-encoding")
            .any(|value| value == b"chunked")
        {
            return Framing::Chunked;
        }
        match self.values("content-length").next() {
            Some(value) => Framing::Length(number(value, 10)),
            None => Framing::Undeclared,
        }
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }
}

/// Takes a declared body off `bytes` and gives how many of them it took, or `None` while it is incomplete.
///
/// An undeclared body is empty here: only the reader of an answer can know that it lasts until the end.
pub fn body(bytes: &[u8], framing: Framing) -> Option<(Vec<u8>, usize)> {
    match framing {
        Framing::Chunked => chunks(bytes),
        Framing::Length(length) => Some((bytes.get(..length)?.to_vec(), length)),
        Framing::Undeclared => Some((Vec::new(), 0)),
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// In the order in which they came; bytes that are not UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Parses an answer and gives its length with it, or `None` while it is incomplete.
    ///
    /// `to_head`: it answers a HEAD request. `closed`: no more bytes will come.
    pub fn parse(bytes: &[u8], to_head: bool, closed: bool) -> Option<(Self, usize)> {
        let (head, begin) = Head::parse(bytes)?;
        let status = status(&head.start_line);
        let rest = &bytes[begin..];
        let (body, length) = match head.framing() {
            _ if to_head || matches!(status, 100..=199 | 204 | 304) => (Vec::new(), 0),
            Framing::Undeclared if closed => (rest.to_vec(), rest.len()),
            Framing::Undeclared => return None,
            declared => body(rest, declared)?,
        };
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (lossy(name), lossy(value)))
            .collect();
        let response = Self {
            status,
            headers,
            body,
        };
        Some((response, begin + length))
    }

    /// Gives the values of a header, whatever its letter case, in order.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Gives the value of a header that must not be there twice, or `None`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers_named(name);
        assert!(
            values.len() < 2,
            "{name} came {} times: {values:?}",
            values.len()
        );
        values.first().copied()
    }

    /// Gives the body as text; panics where it is not UTF-8.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// Parses the body as JSON; panics where it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("the body is not JSON: {error}: {:?}", lossy(&self.body))
        })
    }
}

/// Fetches `path` with a plain GET, blocking, for at most five seconds: for admin endpoints during start-up.
pub fn fetch(address: SocketAddr, path: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, FETCH_PATIENCE)?;
    stream.set_read_timeout(Some(FETCH_PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    match Response::parse(&bytes, false, true) {
        Some((response, _)) => Ok(response),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Makes bytes readable: whatever is not visible ASCII or a space is percent-encoded.
///
/// A percent sign stays as it is, so that a path reads as it was sent.
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn header(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let colon = find(line, b":")
        .unwrap_or_else(|| panic!("a header line without a colon: {:?}", lossy(line)));
    (
        line[..colon].to_vec(),
        line[colon + 1..].trim_ascii().to_vec(),
    )
}

fn status(line: &[u8]) -> u16 {
    let code = line.split(|byte| *byte == b' ').nth(1);
    code.and_then(|code| str::from_utf8(code).ok()?.parse().ok())
        .unwrap_or_else(|| panic!("not a status line: {:?}", lossy(line)))
}

fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut whole = Vec::new();
    let mut at = 0;
    loop {
        let line = find(bytes.get(at..)?, b"\r\n")?;
        let length = number(&bytes[at..at + line], 16);
        at += line + 2;
        if length == 0 {
            // Trailers, if any, then the empty line.
            let end = find(&bytes[at - 2..], b"\r\n\r\n")?;
            return Some((whole, at + end + 2));
        }
        whole.extend_from_slice(bytes.get(at..at + length)?);
        at += length + 2;
    }
}

fn number(digits: &[u8], radix: u32) -> usize {
    let text = str::from_utf8(digits).ok();
    text.and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), radix).ok())
        .unwrap_or_else(|| panic!("not a length: {:?}", lossy(digits)))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
