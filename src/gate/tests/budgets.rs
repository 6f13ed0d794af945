//! What is scarce has a budget each: one that is used up leaves the others alone.

use tokio::task::JoinSet;

use super::*;
use crate::decision::Dependency;
use crate::outbound::scripted::Scripted;

/// What is used up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scarce {
    Argon2,
    Graph,
    Introspection,
    KeySet,
}

use Scarce::{Argon2, Graph, Introspection, KeySet};

const DIRECTORY: &str = "
p:
  users: [{ id: u-1, username: john, password: right }]
  api_keys: [{ id: k-1, user: u-1, secret: a-good-key-of-the-first }]
";

impl Scarce {
    fn dependency(self) -> Dependency {
        match self {
            Argon2 => Dependency::PasswordHash,
            Graph => Dependency::Facebook,
            Introspection => Dependency::Introspection,
            KeySet => Dependency::KeySet,
        }
    }

    /// A credential that takes of it, another one for another number.
    fn credential(self, number: u32) -> (&'static str, String) {
        match self {
            Argon2 => ("authorization", basic(&format!("n{number}"), "x")),
            Graph => ("x-graph", format!("token{number}")),
            Introspection => ("x-opaque", format!("token{number}")),
            KeySet => {
                let encode = |it: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(it);
                let claims =
                    format!(r#"{{"iss":"i","aud":"a","exp":1900000000,"sub":"{number}"}}"#);
                let header = encode(r#"{"alg":"RS256","kid":"k"}"#);
                let token = format!("{header}.{}.{}", encode(&claims), encode("x"));
                ("x-jwt", token)
            }
        }
    }

    /// How many at once use it up and one more, with what is in reserve left out.
    fn flood(self) -> (u32, usize) {
        match self {
            Argon2 => (0, 0),
            Graph | Introspection => (64, 32),
            KeySet => (1100, 76),
        }
    }
}

/// Opens a gate whose servers answer, but for one that takes questions and says nothing.
async fn bench(server: &Scripted, silent: &str, scarce: Scarce, base: &Path) -> Bench {
    let url = |of: Scarce, path: &str| match of == scarce {
        true => format!("http://{silent}{path}"),
        false => server.url(path),
    };
    let config = format!(
        "listen: {{ grpc: [\"127.0.0.1:0\"] }}
client_address: {{ from: peer }}
platforms:
  - name: p
    hosts: [\"*\"]
    https: off
    schemes:
      key: {{ kind: api_key, from: [{{ header: x-key }}] }}
      basic: {{ kind: basic }}
      graph: {{ kind: facebook, from: [{{ header: x-graph }}], app_id: \"1\", app_secret_file: s, graph_url: \"{}\" }}
      sso: {{ kind: introspection, from: [{{ header: x-opaque }}], url: \"{}\", bearer_token_file: s, directory: none }}
      oidc: {{ kind: jwt, from: [{{ header: x-jwt }}], issuer: i, audience: [a], algorithms: [RS256], jwks_url: \"{}\", directory: none }}
    rules: [{{ paths: [\"/**\"] }}]
",
        url(Graph, "/graph"),
        url(Introspection, "/introspect"),
        url(KeySet, "/keys"),
    );
    Bench::open(&config, DIRECTORY, base).await
}

async fn ask(bench: &Bench, (name, value): &(&str, String), from: u32) -> Decision {
    let ask = Ask {
        path: "/",
        header: (name, value),
        from: address(from),
    };
    bench.decide(&ask).await
}

fn fault(decision: &Decision) -> Option<Dependency> {
    match &decision.verdict {
        Err(Failure::Fault(fault)) => Some(fault.dependency()),
        _ => None,
    }
}

#[tokio::test]
async fn one_budget_that_is_used_up_starves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s"), "5eb63bbbe01eeed093cb22bb8f5acdc3").unwrap();
    let server = Scripted::start().await;
    server.answer("/introspect", 200, "", r#"{"active":false}"#);
    let jwk = r#"{"keys":[{"kty":"RSA","kid":"other","alg":"RS256","n":"#;
    server.answer(
        "/keys",
        200,
        "",
        format!(r#"{jwk}"{}","e":"AQAB"}}]}}"#, modulus()),
    );
    // Connections are taken by the system, and nobody reads them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (silent.local_addr().unwrap().to_string(), silent);
    for scarce in [Argon2, Graph, Introspection, KeySet] {
        let bench = Arc::new(bench(&server, &silent.0, scarce, folder.path()).await);
        let right = ("authorization", basic("john", "right"));
        let filled = (scarce == Argon2).then(|| bench.opened.directory.prover().fill());
        let (flood, refused) = scarce.flood();
        let mut under_way = JoinSet::new();
        for number in 0..flood {
            let bench = Arc::clone(&bench);
            under_way.spawn(async move {
                let credential = scarce.credential(number);
                fault(&ask(&bench, &credential, number).await)
            });
        }
        // Those that find no place are told at once; the others wait for the server.
        for _ in 0..refused {
            let told = under_way.join_next().await.unwrap().unwrap();
            assert_eq!(told, Some(scarce.dependency()), "{scarce:?}");
        }
        let more = ask(&bench, &scarce.credential(5000), 5000).await;
        assert_eq!(fault(&more), Some(scarce.dependency()), "{scarce:?}");

        let key = ("x-key", "a-good-key-of-the-first".to_owned());
        assert_eq!(status(&ask(&bench, &key, 6000).await), 200, "{scarce:?}");
        if scarce != Argon2 {
            assert_eq!(status(&ask(&bench, &right, 6000).await), 200, "{scarce:?}");
        }
        for other in [Introspection, KeySet] {
            if other != scarce {
                let answered = ask(&bench, &other.credential(7000), 6000).await;
                assert_eq!(
                    status(&answered),
                    401,
                    "{scarce:?} {other:?}: {:?}",
                    answered.verdict
                );
            }
        }
        if scarce != Graph {
            let asked = || {
                server
                    .asked()
                    .iter()
                    .filter(|it| it.starts_with("/graph"))
                    .count()
            };
            let before = asked();
            ask(&bench, &Graph.credential(7000), 6000).await;
            assert_eq!(asked(), before + 1, "{scarce:?}");
        }
        drop(filled);
        under_way.shutdown().await;
    }
}

/// That of RFC 7517 §A.1.
fn modulus() -> &'static str {
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
}
