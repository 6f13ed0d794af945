//! One Check over gRPC, as Envoy sends it: a case becomes a `CheckRequest`, the `CheckResponse` an
//! [`Answer`] in plain words, and the two are compared.
//!
//! It encodes and decodes the messages by itself and goes through a real connection, so that the
//! demo shows what an Envoy would get. It prints nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use prost_types::value::Kind;
use tonic::transport::Channel;

use crate::cli::demo::cases::{Case, Headers, Request, Want};
use crate::envoy::protos::auth::attribute_context::{self, HttpRequest, Peer};
use crate::envoy::protos::auth::check_response::HttpResponse;
use crate::envoy::protos::auth::{AttributeContext, CheckRequest, CheckResponse};
use crate::envoy::protos::authorization_client::AuthorizationClient;
use crate::envoy::protos::core::{Address, HeaderValueOption, SocketAddress};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Whether the request may pass.
    pub verdict: Verdict,
    /// Dynamic metadata: what Envoy's access log may show.
    pub metadata: HashMap<String, String>,
    /// From the call to the answer, gRPC included.
    pub took: Duration,
}

/// Whether the request may pass, and what Envoy does with it.
#[derive(Debug)]
pub enum Verdict {
    /// It goes to the upstream.
    Allow {
        /// Headers that are set.
        headers: Vec<(String, String)>,
        /// What is removed: headers by name, query parameters as `?name`.
        removed: Vec<String>,
    },
    /// The client is answered.
    Deny {
        /// The HTTP status.
        status: i32,
        /// The reason, as the status of the response tells it.
        reason: String,
        /// Where a redirect leads.
        location: Option<String>,
        /// The body.
        body: String,
    },
}

/// Sends one Check.
///
/// # Errors
/// What was wrong with the RPC or its answer, in words.
pub async fn ask(
    client: &mut AuthorizationClient<Channel>,
    host: &str,
    request: &Request,
) -> Result<Answer, String> {
    let message = Bytes::from(check_request(host, request).encode_to_vec());
    let begun = Instant::now();
    let answer = client.check(message).await;
    let took = begun.elapsed();
    let answer = answer.map_err(|it| format!("the RPC failed: {it}"))?;
    let response = CheckResponse::decode(answer.into_inner())
        .map_err(|it| format!("not a CheckResponse: {it}"))?;
    Answer::read(response, took).ok_or_else(|| "neither an allow nor a denial".to_owned())
}

/// Lower-case names, pseudo headers among them, the query left in the path: Envoy's ways.
fn check_request(host: &str, request: &Request) -> CheckRequest {
    let added = [
        (":authority", host),
        (":method", request.method),
        (":path", request.target),
        (":scheme", request.scheme),
        ("x-forwarded-proto", request.scheme),
        ("x-request-id", "5b6c3ab3-2b4c-4d3e-9f10-0c0ffee0de30"),
    ];
    let sent = request.headers.iter().map(|it| (it.0, &*it.1));
    let headers = added.into_iter().chain(sent);
    let http = HttpRequest {
        method: request.method.to_owned(),
        headers: headers
            .map(|it| (it.0.to_lowercase(), it.1.to_owned()))
            .collect(),
        path: request.target.to_owned(),
        host: host.to_owned(),
        scheme: request.scheme.to_owned(),
        header_map: None,
    };
    let address = SocketAddress {
        address: request.peer.to_owned(),
    };
    let peer = Peer {
        address: Some(Address {
            socket_address: Some(address),
        }),
        principal: String::new(),
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer),
            request: Some(attribute_context::Request { http: Some(http) }),
            context_extensions: HashMap::new(),
        }),
    }
}

impl Answer {
    /// `None` for a response that Envoy could take either way.
    fn read(response: CheckResponse, took: Duration) -> Option<Self> {
        let status = response.status?;
        let verdict = match response.http_response? {
            HttpResponse::OkResponse(ok) if status.code == 0 => {
                let parameters = ok.query_parameters_to_remove.iter();
                let parameters = parameters.map(|it| format!("?{it}"));
                Verdict::Allow {
                    headers: pairs(ok.headers),
                    removed: ok.headers_to_remove.into_iter().chain(parameters).collect(),
                }
            }
            HttpResponse::DeniedResponse(denied) if status.code != 0 => Verdict::Deny {
                status: denied.status?.code,
                reason: status.message,
                location: pairs(denied.headers)
                    .into_iter()
                    .find(|it| it.0 == "location")
                    .map(|it| it.1),
                body: denied.body,
            },
            HttpResponse::OkResponse(_) | HttpResponse::DeniedResponse(_) => return None,
        };
        let fields = response.dynamic_metadata.unwrap_or_default().fields;
        let metadata = fields
            .into_iter()
            .filter_map(|(key, value)| match value.kind {
                Some(Kind::StringValue(text)) => Some((key, text)),
                _ => None,
            });
        Some(Self {
            verdict,
            metadata: metadata.collect(),
            took,
        })
    }

    /// Gives a field of the metadata, empty where it is not there.
    #[must_use]
    pub fn metadata(&self, key: &str) -> &str {
        self.metadata.get(key).map_or("", String::as_str)
    }

    /// Tells how the answer differs from what the case wants; nothing where it does not.
    #[must_use]
    pub fn differences(&self, case: &Case) -> Vec<String> {
        let mut found = self.verdict.differences(&case.want);
        if case.from_cache && self.metadata("cache") != "hit" {
            found.push(format!(
                "wanted a cache hit, got a {}",
                self.metadata("cache")
            ));
        }
        found
    }
}

impl Verdict {
    fn differences(&self, want: &Want) -> Vec<String> {
        match (self, want) {
            (
                Self::Allow { headers, removed },
                Want::Allow {
                    identity,
                    removed: gone,
                },
            ) => {
                let mut found = identity_differences(headers, identity);
                let kept = gone
                    .iter()
                    .filter(|it| !removed.iter().any(|got| got == *it));
                found.extend(kept.map(|it| format!("wanted {it} removed")));
                found
            }
            (
                Self::Deny {
                    status,
                    reason,
                    location,
                    body,
                },
                Want::Deny {
                    status: code,
                    reason: why,
                    shows,
                },
            ) => {
                let same = *status == i32::from(*code) && reason == why;
                let shown = body.contains(shows) || location.as_deref() == Some(shows);
                let status = (!same).then(|| format!("wanted {code} {why}"));
                let answer = (!shown).then(|| format!("wanted it to show {shows}"));
                status.into_iter().chain(answer).collect()
            }
            (Self::Deny { .. }, Want::Allow { .. }) => vec!["wanted an allow".to_owned()],
            (Self::Allow { .. }, Want::Deny { status, reason, .. }) => {
                vec![format!("wanted {status} {reason}")]
            }
        }
    }
}

fn identity_differences(got: &[(String, String)], want: Headers) -> Vec<String> {
    let is_set =
        |(name, value): &(&str, &str)| got.iter().any(|it| it.0 == *name && it.1 == *value);
    let missing = want.iter().filter(|it| !is_set(it));
    let missing = missing.map(|(name, value)| format!("wanted {name}: {value} for the upstream"));
    let is_wanted = |(name, _): &&(String, String)| want.iter().any(|it| it.0 == name.as_str());
    let extra = got.iter().filter(|it| !is_wanted(it));
    let extra = extra.map(|(name, _)| format!("wanted no {name} for the upstream"));
    missing.chain(extra).collect()
}

fn pairs(options: Vec<HeaderValueOption>) -> Vec<(String, String)> {
    let headers = options.into_iter().filter_map(|it| it.header);
    headers.map(|it| (it.key, it.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: Want = Want::Allow {
        identity: &[("x-auth-user", "u-1")],
        removed: &["authorization", "?key"],
    };

    const DENIED: Want = Want::Deny {
        status: 401,
        reason: "wrong",
        shows: "no",
    };

    fn allow(headers: &[(&str, &str)], removed: &[&str]) -> Verdict {
        Verdict::Allow {
            headers: headers
                .iter()
                .map(|it| (it.0.to_owned(), it.1.to_owned()))
                .collect(),
            removed: removed.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn deny(status: i32, reason: &str, body: &str) -> Verdict {
        Verdict::Deny {
            status,
            reason: reason.to_owned(),
            location: None,
            body: body.to_owned(),
        }
    }

    #[test]
    fn what_is_not_as_wanted_is_told() {
        let gone = ["authorization", "?key", "x_auth_user"];
        let user = ("x-auth-user", "u-1");
        let cases = [
            ("as wanted", allow(&[user], &gone), WANT, 0),
            (
                "another user",
                allow(&[("x-auth-user", "u-2")], &gone),
                WANT,
                1,
            ),
            (
                "one too many",
                allow(&[user, ("x-auth-roles", "admin")], &gone),
                WANT,
                1,
            ),
            (
                "a credential left",
                allow(&[user], &["authorization"]),
                WANT,
                1,
            ),
            ("denied", deny(401, "wrong", "no"), WANT, 1),
            ("denied as wanted", deny(401, "wrong", "oh no"), DENIED, 0),
            ("for another reason", deny(401, "unknown", "no"), DENIED, 1),
            ("with another status", deny(403, "wrong", "no"), DENIED, 1),
            ("with another body", deny(401, "wrong", "yes"), DENIED, 1),
            ("allowed", allow(&[user], &gone), DENIED, 1),
        ];
        for (name, got, want, count) in cases {
            assert_eq!(got.differences(&want).len(), count, "{name}");
        }
    }
}
