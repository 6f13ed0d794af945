//! Two platforms of one preset, beside each other in one server, with the same ids, login names and names of keys: what
//! one takes, the other does not, also after the first has remembered it.

use serde_json::json;

use crate::envoy::table::{Row, reached, row, to};
use crate::envoy::{crossbar, infobip, opentact};
use crate::support::client::Request;
use crate::support::issuers::{self, callifys, changed, dd2020s, johns};
use crate::support::sample::{
    ALADDIN, ALADDIN_LENIENT, AS_ALADDIN, AS_CALLIFY, AS_CALLIFY_BY_HA1B, AS_CALLIFY_BY_TOKEN,
    AS_DD2020, AS_JOHN, AS_JOHN_BY_TOKEN, AS_SENDER, CALLIFY, CALLIFY_HA1B, CALLIFY_TWIN,
    CALLIFY_TWIN_HA1B, CROSSBAR, CROSSBAR_TWIN, INFOBIP, INFOBIP_LENIENT, JOHN_MD5, JOHN_TWIN_MD5,
    LENIENT_KEY, OPENTACT, OPENTACT_TWIN, SENDER_KEY,
};

/// A platform's name, its host, and what it answers to whom it does not know.
struct Platform {
    name: &'static str,
    host: &'static str,
    refused: String,
}

/// One kind of credential on two platforms.
struct Kind<'a> {
    name: &'a str,
    method: &'a str,
    path: &'a str,
    present: &'a dyn Fn(Request, &str) -> Request,
    /// The credential of each, and whom its platform takes it for.
    held: [(String, String); 2],
}

impl Kind<'_> {
    /// Each credential where it is good, which warms the cache, where it is not, and where it is good again.
    fn rows(&self, platforms: &[Platform; 2]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (home, (credential, identity)) in self.held.iter().enumerate() {
            let (own, other) = (&platforms[home], &platforms[1 - home]);
            let request = |at: &Platform| {
                let request =
                    to(at.host, self.method, self.path).header("x-forwarded-proto", "https");
                (self.present)(request, credential)
            };
            let passed = reached(&format!("{} {}", self.method, self.path), identity);
            for (at, want) in [
                (own, &passed),
                (other, &other.refused),
                (own, &passed),
                (other, &other.refused),
            ] {
                let name = format!("{} of {} at {}", self.name, own.name, at.name);
                rows.push(row(name, request(at), want));
            }
        }
        rows
    }
}

fn platform(name: &'static str, host: &'static str, refused: &str) -> Platform {
    let preset = name.split('-').next().expect("a name");
    // Challenges name the platform.
    let refused = refused.replace(&format!("realm=\"{preset}\""), &format!("realm=\"{name}\""));
    Platform {
        name,
        host,
        refused,
    }
}

/// Whom the second platform takes a credential for: the same, but for the platform.
fn at(identity: &str, platform: &str) -> String {
    let mut lines: Vec<_> = identity.trim().lines().map(str::to_owned).collect();
    for line in &mut lines {
        if line.starts_with("x-auth-platform: ") {
            *line = format!("x-auth-platform: {platform}");
        }
    }
    lines.join("\n")
}

fn without_account(identity: &str) -> String {
    let lines = identity
        .lines()
        .filter(|it| !it.starts_with("x-auth-account"));
    lines.collect::<Vec<_>>().join("\n")
}

fn authorization(request: Request, value: &str) -> Request {
    request.header("authorization", value)
}

pub(crate) fn two_crossbars_share_nothing() -> Vec<Row> {
    let platforms = [
        platform("crossbar", CROSSBAR, &crossbar::refused(401)),
        platform("crossbar-twin", CROSSBAR_TWIN, &crossbar::refused(401)),
    ];
    let held = |[one, two]: [String; 2], identity: &str| {
        [
            (one, identity.to_owned()),
            (two, at(identity, "crossbar-twin")),
        ]
    };
    let (method, path) = ("GET", "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users");
    let tokens = [&issuers::CROSSBAR, &issuers::CROSSBAR_TWIN].map(|it| it.token(&johns()));
    let kinds = [
        Kind {
            name: "the hash",
            method,
            path,
            present: &authorization,
            held: held([JOHN_MD5, JOHN_TWIN_MD5].map(str::to_owned), AS_JOHN),
        },
        Kind {
            name: "the token",
            method,
            path,
            present: &|request, token| request.header("x-auth-token", token),
            held: held(tokens, AS_JOHN_BY_TOKEN),
        },
    ];
    kinds.iter().flat_map(|it| it.rows(&platforms)).collect()
}

pub(crate) fn two_opentacts_share_nothing() -> Vec<Row> {
    let platforms = [
        platform("opentact", OPENTACT, &opentact::refused(401)),
        platform("opentact-twin", OPENTACT_TWIN, &opentact::refused(401)),
    ];
    let held = |[one, two]: [String; 2], identity: &str| {
        [
            (one, identity.to_owned()),
            (two, at(identity, "opentact-twin")),
        ]
    };
    let (method, path) = ("GET", "/rest/user");
    let tokens = [&issuers::OPENTACT, &issuers::OPENTACT_TWIN].map(|it| it.token(&callifys()));
    let kinds = [
        Kind {
            name: "the password",
            method,
            path,
            present: &authorization,
            held: held([CALLIFY, CALLIFY_TWIN].map(str::to_owned), AS_CALLIFY),
        },
        Kind {
            name: "the token",
            method,
            path,
            present: &|request, token| request.header("x-auth-token", token),
            held: held(tokens, AS_CALLIFY_BY_TOKEN),
        },
        Kind {
            name: "the HA1B",
            method,
            path,
            present: &|request, hash| request.header("x-auth-ha1b-token", hash),
            held: held(
                [CALLIFY_HA1B, CALLIFY_TWIN_HA1B].map(str::to_owned),
                AS_CALLIFY_BY_HA1B,
            ),
        },
    ];
    kinds.iter().flat_map(|it| it.rows(&platforms)).collect()
}

pub(crate) fn two_infobips_share_nothing() -> Vec<Row> {
    let platforms = [
        platform("infobip", INFOBIP, &infobip::refused(401)),
        platform("infobip-lenient", INFOBIP_LENIENT, &infobip::refused(401)),
    ];
    // The lenient one knows no accounts and one role less.
    let held = |[one, two]: [String; 2], identity: &str| {
        let lenient = without_account(&at(identity, "infobip-lenient"));
        [
            (one, identity.to_owned()),
            (two, lenient.replace(",Account Manager", "")),
        ]
    };
    let (method, path) = ("POST", "/sms/3/messages");
    let claims = changed(dd2020s(), json!({ "jti": "of a twin" }));
    let tokens = [&issuers::INFOBIP, &issuers::INFOBIP_LENIENT]
        .map(|it| format!("Bearer {}", it.token(&claims)));
    let kinds = [
        Kind {
            name: "the password",
            method,
            path,
            present: &authorization,
            held: held([ALADDIN, ALADDIN_LENIENT].map(str::to_owned), AS_ALADDIN),
        },
        Kind {
            name: "the token",
            method,
            path,
            present: &authorization,
            held: held(tokens, AS_DD2020),
        },
        Kind {
            name: "the key",
            method,
            path,
            present: &authorization,
            held: held(
                [SENDER_KEY, LENIENT_KEY].map(|it| format!("App {it}")),
                AS_SENDER,
            ),
        },
    ];
    kinds.iter().flat_map(|it| it.rows(&platforms)).collect()
}
