//! A request as Portcullis sees it: borrowed, bounded, read one way.
//!
//! Everything above judges this view and nothing else, so it knows neither Envoy's protobuf nor any
//! platform. It answers one kind of question: "what single value stands here?", and refuses
//! where there could be two answers. It decodes no credential.

mod headers;
mod names;
pub mod query;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::decision::{Denial, Reason};
pub use crate::request::headers::{Authorization, Header, Headers};
pub use crate::request::names::{
    fold_bit, folds_to, is_reserved_header, is_sign, is_token_byte, spread,
};
use crate::request::query::Query;

/// One request, with everything that can decide it.
#[derive(Default)]
pub struct RequestView<'a> {
    /// The method, as sent (case matters, RFC 9110 §9.1).
    pub method: &'a str,
    /// The authority as sent; [`RequestView::host`] reads it.
    pub authority: &'a str,
    /// The scheme that Envoy believes: `http` or `https`.
    pub scheme: &'a str,
    /// The path without the query, not decoded.
    pub path: &'a str,
    /// The query, split once.
    pub query: Query<'a>,
    /// The headers.
    pub headers: Headers<'a>,
    /// The direct peer of Envoy's listener; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whom the client's certificate names (`source.principal`); `None` where there was none.
    pub principal: Option<&'a str>,
    /// The platform that the route names (`context_extensions.platform`).
    pub route_platform: Option<&'a str>,
}

/// Shows no header and no query: credentials stand there.
impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<'a> RequestView<'a> {
    /// Gives the host in lower case, without port.
    ///
    /// # Errors
    /// A denial (400) for an authority that readers could take for different hosts: a list, user
    /// information, spaces, several ports, a dot at the end (Envoy takes `a.example.` for another
    /// virtual host than `a.example`, and resolvers do not).
    pub fn host(&self) -> Result<Cow<'a, str>, Denial> {
        let refused = || Denial::bad_request("the host is not one host name");
        let name = match self.authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or_else(refused)?;
                if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
                    return Err(refused());
                }
                address
                    .parse::<std::net::Ipv6Addr>()
                    .map_err(|_| refused())?;
                address
            }
            None => match self.authority.split_once(':') {
                Some((name, port)) if is_port(port) => name,
                Some(_) => return Err(refused()),
                None => self.authority,
            },
        };
        let (mut before, mut has_upper) = (Of::Dot, false);
        for byte in name.bytes() {
            let of = OF_HOSTS[usize::from(byte)];
            if of == Of::None || (of == Of::Dot && before == Of::Dot) {
                return Err(refused());
            }
            has_upper |= of == Of::Upper;
            before = of;
        }
        if before == Of::Dot && !name.is_empty() {
            return Err(refused());
        }
        Ok(if has_upper {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        })
    }

    /// Gives the client's address as the configuration says it is known, IPv4-mapped IPv6 as IPv4.
    /// `None` where it is not known: then no address is allowed that must be.
    #[must_use]
    pub fn client_address(&self, from: ClientAddress) -> Option<IpAddr> {
        let address = match from {
            ClientAddress::Peer => self.peer,
            ClientAddress::EnvoyExternalAddress => self
                .headers
                .single("x-envoy-external-address")
                .ok()?
                .and_then(parse_address),
            ClientAddress::ForwardedFor { trusted_hops } => {
                // Only the entry that counts is read: what a client put before it may be anything.
                let seen = || self.headers.entries("x-forwarded-for");
                let index = seen().count().checked_sub(trusted_hops.into())?;
                let entry = std::str::from_utf8(seen().nth(index)?).ok()?;
                parse_address(entry)
            }
        };
        address.map(|it| it.to_canonical())
    }
}

/// What a byte is to a host name.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Of {
    None,
    Dot,
    Upper,
    Other,
}

static OF_HOSTS: [Of; 256] = {
    let mut all = [Of::None; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = match byte as u8 {
            b'.' => Of::Dot,
            b'A'..=b'Z' => Of::Upper,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b':' => Of::Other,
            _ => Of::None,
        };
        byte += 1;
    }
    all
};

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|it| it.is_ascii_digit())
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|it: std::net::SocketAddr| it.ip()))
}

/// How the client's address is known. There is no default where a platform binds anything to
/// addresses: behind an ingress the peer is the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAddress {
    /// `x-envoy-external-address`, which Envoy overwrites under `use_remote_address`.
    EnvoyExternalAddress,
    /// The entry of `X-Forwarded-For` that the given number of trusted hops stand behind, counted
    /// from the right: 1 is the entry that the nearest proxy wrote.
    ForwardedFor {
        /// At least 1.
        trusted_hops: u8,
    },
    /// The direct peer: right where Envoy is the edge.
    Peer,
}

/// Denies a request for a header under a name that only looks like one that a verdict depends on.
#[must_use]
pub fn mistakable_header() -> Denial {
    Denial::bad_request("a header's name can be taken for another's")
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Reason::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::MAX_CREDENTIAL_BYTES;
    use proptest::prelude::*;

    #[track_caller]
    fn host(authority: &str, want: Option<&str>) {
        let view = RequestView {
            authority,
            ..RequestView::default()
        };
        assert_eq!(view.host().ok().as_deref(), want, "{authority}");
    }

    #[test]
    fn a_host_is_read_one_way_or_refused() {
        host("API.example.com", Some("api.example.com"));
        host("api.example.com:8443", Some("api.example.com"));
        host("[::1]:80", Some("::1"));
        host("", Some(""));
        for bad in [
            "a,b",
            "a b",
            "user@host",
            "a:80:90",
            "a:+80",
            "a:",
            "[::1",
            "[x]",
            "a..b",
            "api.example.com.",
            "api.example.com.:443",
            ".",
            "a/b",
        ] {
            host(bad, None);
        }
    }

    #[test]
    fn a_header_has_one_value_or_is_refused() {
        let long = vec![b'a'; MAX_CREDENTIAL_BYTES + 1];
        let headers: Headers<'_> = [
            ("one", &b" abc "[..]),
            ("empty", b""),
            ("twice", b"a"),
            ("Twice", b"a"),
            ("merged", b"a,b"),
            ("tab", b"a\tb"),
            ("latin", b"\xe4"),
            ("long", &long),
        ]
        .into_iter()
        .collect();
        assert_eq!(headers.single("One").unwrap(), Some("abc"));
        assert_eq!(headers.single("empty").unwrap(), None);
        assert_eq!(headers.single("absent").unwrap(), None);
        for bad in ["twice", "merged", "tab", "latin"] {
            assert_eq!(
                headers.single(bad).unwrap_err().reason(),
                Reason::Malformed,
                "{bad}"
            );
        }
        assert_eq!(
            headers.single("long").unwrap_err().reason(),
            Reason::TooLarge
        );
    }

    #[test]
    fn names_that_upstreams_confuse_are_one() {
        assert!(folds_to(b"X_Auth-User", "x-auth-user"));
        assert!(!folds_to(b"x-auth-users", "x-auth-user"));
        assert!(!folds_to(b"x-authuser", "x-auth-user"));
        assert!(!folds_to(b"x-auth--user", "x-auth-user"));
        for sign in b"!#$%&'*+-.^_`|~" {
            let name = [b"X-auth", &[*sign][..], b"user"].concat();
            assert!(folds_to(&name, "x-auth-user"), "{}", char::from(*sign));
            // Also where they stand at an end.
            let (one, other) = ([b"-user", &[*sign][..]].concat(), b"-USER-");
            assert_eq!(fold_bit(&one), fold_bit(other));
            assert_eq!(fold_bit(&name), fold_bit(b"x-auth-user"));
        }
    }

    #[test]
    fn whoever_asks_that_a_header_be_dropped_is_found_out_in_any_list_and_spelling() {
        let cases: [(&[&str], bool); 6] = [
            (&["Upgrade"], false),
            (&["Upgrade, x-auth-user"], true),
            (&["upgrade,X_Auth_User\t", "close"], true),
            (&["close", " x.auth.user "], true),
            (&["x-auth-users, x-auth"], false),
            (&[], false),
        ];
        for (lines, is_asked) in cases {
            let lines = lines.iter().map(|it| ("connection", it.as_bytes()));
            let headers: Headers<'_> = lines.collect();
            assert_eq!(headers.are_to_drop("x-auth-user"), is_asked);
        }
    }

    #[test]
    fn a_header_that_decides_has_no_look_alike() {
        let headers: Headers<'_> = [("X_Verb", &b"PUT"[..]), ("x-ok", b"1")]
            .into_iter()
            .collect();
        assert_eq!(
            headers.single_unmistakable("x-verb").unwrap_err().status(),
            400
        );
        assert_eq!(headers.single_unmistakable("x-ok").unwrap(), Some("1"));
    }

    #[test]
    fn the_client_address_comes_from_where_the_configuration_says() {
        let view = RequestView {
            peer: "::ffff:10.1.2.3".parse().ok(),
            headers: [
                ("x-forwarded-for", &b"6.6.6.6, 1.2.3.4"[..]),
                ("x-forwarded-for", b"5.6.7.8"),
                ("x-envoy-external-address", b"9.9.9.9"),
            ]
            .into_iter()
            .collect(),
            ..RequestView::default()
        };
        let check = |from, want: Option<&str>| {
            assert_eq!(
                view.client_address(from),
                want.map(|it| it.parse().unwrap()),
                "{from:?}"
            );
        };
        check(ClientAddress::Peer, Some("10.1.2.3"));
        check(ClientAddress::EnvoyExternalAddress, Some("9.9.9.9"));
        check(
            ClientAddress::ForwardedFor { trusted_hops: 1 },
            Some("5.6.7.8"),
        );
        check(
            ClientAddress::ForwardedFor { trusted_hops: 2 },
            Some("1.2.3.4"),
        );
        check(ClientAddress::ForwardedFor { trusted_hops: 4 }, None);
    }

    proptest! {
        #[test]
        fn reading_hostile_text_never_panics(text in ".*", name in "[a-z]{1,3}") {
            let _ = Query::parse(&text).single(&name);
            let _ = RequestView { authority: &text, ..RequestView::default() }.host();
        }
    }
}
