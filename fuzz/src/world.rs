//! A whole service in memory, with credentials that are known: what the targets ask that need one.
//!
//! It decides as the service does, but for the throttle, which would soon refuse everything. Time stands
//! still.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Uri};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use portcullis::assertion::Assertions;
use portcullis::authenticator::Authenticator;
use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::config::directory::DirectorySource;
use portcullis::context::{self, Context};
use portcullis::credential::Fingerprinter;
use portcullis::directory::Directory;
use portcullis::envoy::protos::auth::CheckResponse;
use portcullis::envoy::{Door, OnFault};
use portcullis::gate::Gate;
use portcullis::identity::Identity;
use portcullis::issue;
use portcullis::serve::opening::{open, read_directory};
use portcullis::telemetry::Metrics;
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

const CONFIG: &str = include_str!("world.yaml");
const DIRECTORY: &str = include_str!("directory.yaml");

/// What another issuer signs its tokens with.
pub(crate) const ISSUER_SECRET: &[u8] = b"the secret of an issuer, 32 bytes";

/// Now, in Unix seconds: in May 2033.
pub(crate) const NOW: u64 = 2_000_000_000;

/// Everything that is needed to be asked.
pub(crate) struct World {
    runtime: Runtime,
    door: Door,
    issuing: Router,
    directory: Directory,
    /// By platform, the names of the rules that let in anybody.
    public: Vec<(String, String)>,
    /// What was issued at first.
    issued: Vec<Planted>,
    /// Whom the endpoints that issue are asked for.
    pub(crate) callers: Vec<Identity>,
}

impl World {
    /// Makes one, as at first.
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let place = tempfile::tempdir().expect("a directory");
        for (name, contents) in [
            ("pepper", &b"an example of a pepper that is long enough"[..]),
            ("issuer.secret", ISSUER_SECRET),
            ("signing.pem", signing_key().as_bytes()),
        ] {
            std::fs::write(place.path().join(name), contents).expect("a file");
        }
        let config = config(place.path());
        let public = public(&config.resolved);
        let (door, issuing, directory) = runtime.block_on(start(config));
        let (issued, callers) = (Vec::new(), Vec::new());
        let mut world = Self {
            runtime,
            door,
            issuing,
            directory,
            public,
            issued,
            callers,
        };
        world.settle();
        world
    }

    /// Has tokens and a session issued, and sees who the callers are.
    fn settle(&mut self) {
        let inside = Some(IpAddr::from([10, 1, 2, 3]));
        for planted in PLANTED.iter().filter(|it| it.scheme == "basic") {
            let encoded = BASE64_STANDARD.encode(&*planted.text);
            let target = match planted.platform {
                "crossbar" => "/v2/token_auth",
                "opentact" => "/rest/auth",
                _ => "/settings/2/api-keys",
            };
            let headers = [("authorization", format!("Basic {encoded}"))];
            self.add_caller(planted.platform, target, &headers, "GET");
        }
        let log_in = r#"{"data":{"credentials":"82a2dc91686ec828a67152d45a5c5ef7","account_name":"ACME, Inc."}}"#;
        let logins = [
            (
                "crossbar",
                "PUT /v2/user_auth",
                "application/json",
                log_in,
                "auth_token",
                "jwt",
                "u-john",
            ),
            (
                "opentact",
                "GET /rest/auth",
                "",
                "",
                "token",
                "jwt",
                "u-callify",
            ),
            (
                "infobip",
                "POST /auth/1/session",
                "application/json",
                r#"{"username":"Aladdin","password":"openSesame","unsafe":true}"#,
                "token",
                "session",
                "u-1",
            ),
            (
                "infobip",
                "POST /auth/1/oauth2/token",
                "application/x-www-form-urlencoded",
                "grant_type=client_credentials&client_id=Aladdin&client_secret=openSesame",
                "access_token",
                "oauth2",
                "u-1",
            ),
        ];
        for (platform, request, content_type, body, field, scheme, user) in logins {
            let (method, target) = request.split_once(' ').expect("a method and a target");
            let who = self
                .callers
                .iter()
                .find(|it| *it.platform == *platform)
                .cloned();
            let caller = who.clone().filter(|_| platform == "opentact");
            let asked = Asked {
                caller,
                client: inside,
                method,
                target,
                content_type,
            };
            let (status, said) = self
                .ask(platform, &asked, body.as_bytes())
                .expect("a request");
            let said = String::from_utf8(said).expect("JSON");
            let token = said.split_once(&format!("\"{field}\":\"")).map(|it| it.1);
            let token = token.and_then(|it| it.split_once('"')).map(|it| it.0);
            let token = token
                .unwrap_or_else(|| panic!("{platform}: {status} {said}"))
                .to_owned();
            let account = who.and_then(|it| it.account).expect("an account");
            let account = PLANTED
                .iter()
                .find(|it| it.account == account)
                .expect("a known one")
                .account;
            let text = Cow::Owned(token);
            self.issued.push(Planted {
                text,
                ..planted(platform, scheme, "", account, Some(user))
            });
        }
        let issued: Vec<_> = self
            .issued
            .iter()
            .map(|it| (it.scheme, it.platform, it.text.to_string()))
            .collect();
        for (scheme, platform, token) in issued {
            match (scheme, platform) {
                ("session", _) => {
                    let headers = [("authorization", format!("IBSSO {token}"))];
                    self.add_caller(platform, "/auth/1/session", &headers, "DELETE");
                }
                ("jwt", "crossbar") => {
                    let headers = [("x-auth-token", token)];
                    self.add_caller(platform, "/v2/token_auth", &headers, "GET");
                }
                _ => {}
            }
        }
    }

    fn add_caller(
        &mut self,
        platform: &str,
        target: &str,
        headers: &[(&str, String)],
        method: &str,
    ) {
        let headers = headers
            .iter()
            .map(|it| (it.0.to_owned(), it.1.clone().into_bytes()));
        let response = self.check(super::message(&super::Plain {
            platform: platform.to_owned(),
            peer: "10.1.2.3".to_owned(),
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers.collect(),
        }));
        let Some(super::HttpResponse::OkResponse(allowed)) = &response.http_response else {
            panic!("{platform} {target}: {response:?}");
        };
        let headers = allowed.headers.iter().filter_map(|it| it.header.as_ref());
        let sealed = headers.into_iter().find(|it| it.key == context::HEADER);
        let sealed = sealed.expect("a rule with `issue`");
        let peppers = self.directory.peppers();
        let opened = Context::open(&sealed.value, peppers, (method, target), NOW);
        let identity = opened.expect("a context").identity;
        self.callers.push(identity.expect("somebody"));
    }

    /// Asks an endpoint that issues, as if Check had admitted it: status and body; `None` where it is
    /// no HTTP request.
    pub(crate) fn ask(
        &self,
        platform: &str,
        asked: &Asked<'_>,
        body: &[u8],
    ) -> Option<(u16, Vec<u8>)> {
        let uri: Uri = asked.target.parse().ok()?;
        let context = Context {
            platform: platform.to_owned(),
            method: asked.method.to_owned(),
            path: uri.path().to_owned(),
            client_address: asked.client,
            identity: asked.caller.clone(),
            issued: NOW,
        };
        let request = Request::builder()
            .method(Method::from_bytes(asked.method.as_bytes()).ok()?)
            .uri(uri)
            .header(context::HEADER, context.seal(self.directory.peppers()))
            .header("content-type", asked.content_type)
            .body(Body::from(body.to_vec()))
            .ok()?;
        let mut router = self.issuing.clone();
        Some(self.run(async {
            let Ok(response) = router.call(request).await;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await;
            (status, body.expect("a body in memory").to_vec())
        }))
    }

    /// Gives every credential that is good.
    pub(crate) fn planted(&self) -> impl Iterator<Item = &Planted> {
        PLANTED.iter().chain(&self.issued)
    }

    /// Runs what waits for something.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Has a `CheckRequest` decided, as Envoy would.
    pub(crate) fn check(&self, message: Bytes) -> CheckResponse {
        let answer = self.run(self.door.check(message, None));
        let answer = answer.expect("a fault is no gRPC error here");
        CheckResponse::decode(answer).expect("what was written can be read")
    }

    /// Tells whether anybody may pass by this rule.
    pub(crate) fn is_public(&self, platform: &str, rule: &str) -> bool {
        self.public
            .iter()
            .any(|it| it.0 == platform && it.1 == rule)
    }
}

/// What the endpoints that issue are asked, besides a body.
pub(crate) struct Asked<'a> {
    pub(crate) caller: Option<Identity>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) content_type: &'a str,
}

/// The key that tokens are signed with, made for this run.
fn signing_key() -> &'static str {
    static PEM: LazyLock<String> = LazyLock::new(|| {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a private key");
        let body = BASE64_STANDARD.encode(der.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    });
    &PEM
}

fn config(place: &Path) -> Config {
    let mut config =
        Config::parse("world.yaml", CONFIG, place, |_| None).unwrap_or_else(|it| panic!("{it:?}"));
    config.store.directory = Some(DirectorySource::Text {
        name: "directory.yaml".to_owned(),
        text: DIRECTORY.to_owned(),
    });
    config
}

/// The rules with `allow: public`, by the names that answers call them.
fn public(resolved: &serde_json::Value) -> Vec<(String, String)> {
    let list = |it: &serde_json::Value| it.as_array().cloned().unwrap_or_default();
    let mut public = Vec::new();
    for platform in list(&resolved["platforms"]) {
        for (index, rule) in list(&platform["rules"]).iter().enumerate() {
            if rule["allow"] == "public" {
                let unnamed = format!("rules[{index}]");
                let name = rule["name"].as_str().unwrap_or(&unnamed).to_owned();
                let platform = platform["name"].as_str().unwrap_or_default().to_owned();
                public.push((platform, name));
            }
        }
    }
    public
}

async fn start(config: Config) -> (Door, Router, Directory) {
    let clock = Clock::from_fn(|| UNIX_EPOCH + Duration::from_secs(NOW));
    let metrics = Arc::new(Metrics::default());
    let file = read_directory(&config).unwrap_or_else(|it| panic!("{it:?}"));
    let platforms = config.platforms.clone();
    let (keys, capacity) = (config.assertion_keys.clone(), config.cache.capacity);
    let (settled, client_address) = (config.settled, config.client_address);
    let settings = (config.deadline, OnFault::Deny);
    let opened = open(config, file, clock.clone(), &metrics, None)
        .await
        .expect("a store in memory");
    let fingerprinter = Fingerprinter::random().expect("randomness");
    let assertions = Assertions::new(keys, fingerprinter.clone(), &platforms, capacity);
    let directory = opened.directory;
    let authenticator = Authenticator::new(
        directory.clone(),
        opened.cache,
        fingerprinter,
        (&platforms, settled),
        None,
    );
    let gate = Gate::new(platforms, authenticator, client_address, assertions);
    let door = Door::new(
        gate,
        metrics,
        clock,
        settings,
        opened.instance,
        (None, None),
    );
    (door, issue::router(opened.issuing), directory)
}

/// A credential that is good.
pub(crate) struct Planted {
    pub(crate) platform: &'static str,
    pub(crate) scheme: &'static str,
    /// What the request holds, decoded: behind the word, in the header or in the parameter.
    pub(crate) text: Cow<'static, str>,
    pub(crate) account: &'static str,
    pub(crate) user: Option<&'static str>,
    /// From where it is good.
    pub(crate) is_from: fn(Option<IpAddr>) -> bool,
}

const ACME: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
const SENDER: &str = "003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9";
const INSIDE: &str = "a-key-for-inside-0000000000000";

/// Every credential of the directory that may get in, but for tokens and sessions.
pub(crate) const PLANTED: &[Planted] = &[
    planted(
        "crossbar",
        "basic",
        "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b:82a2dc91686ec828a67152d45a5c5ef7",
        ACME,
        Some("u-john"),
    ),
    planted(
        "crossbar",
        "bearer",
        "a-handle-that-is-john",
        ACME,
        Some("u-john"),
    ),
    planted(
        "opentact",
        "basic",
        "opentact@callify.io:12345678",
        "denovolab",
        Some("u-callify"),
    ),
    planted(
        "opentact",
        "ha1b",
        "4e704e98102feb915109fe2ff0cef5da",
        "denovolab",
        Some("u-callify"),
    ),
    planted(
        "infobip",
        "basic",
        "Aladdin:openSesame",
        "acc-1",
        Some("u-1"),
    ),
    planted("infobip", "api_key", SENDER, "acc-1", None),
    inside("infobip"),
    planted(
        "lenient",
        "basic",
        "Aladdin:openSesame",
        "acc-1",
        Some("u-1"),
    ),
    planted("lenient", "api_key", SENDER, "acc-1", None),
    inside("lenient"),
    planted("mine", "key", "my-own-key-0000001", "a-1", None),
    planted(
        "mine",
        "login",
        "admin:admin:password",
        "a-1",
        Some("u-admin"),
    ),
];

const fn planted(
    platform: &'static str,
    scheme: &'static str,
    text: &'static str,
    account: &'static str,
    user: Option<&'static str>,
) -> Planted {
    let text = Cow::Borrowed(text);
    Planted {
        platform,
        scheme,
        text,
        account,
        user,
        is_from: |_| true,
    }
}

const fn inside(platform: &'static str) -> Planted {
    let is_from = |it: Option<IpAddr>| match it.map(|it| it.to_canonical()) {
        Some(IpAddr::V4(it)) => it.octets()[0] == 10,
        _ => false,
    };
    let text = Cow::Borrowed(INSIDE);
    Planted {
        platform,
        scheme: "api_key",
        text,
        account: "acc-1",
        user: None,
        is_from,
    }
}
