//! Requests that try to get a header or a credential of their own past the server: what is allowed on each platform,
//! sampled with identity headers and credential places in spellings that an upstream may take for them.
//!
//! Sampling is seeded, so every run sends the same. What must come of a sample does not depend on its spellings at all:
//! the upstream sees what it would see without them.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::issuers;
use super::sample::{
    ALADDIN, AS_ALADDIN, AS_CALLIFY, AS_CALLIFY_BY_HA1B, AS_CALLIFY_BY_TOKEN, AS_DD2020, AS_JOHN,
    AS_JOHN_BY_TOKEN, AS_MY_ADMIN, AS_MY_KEY, AS_SENDER, CALLIFY, CALLIFY_HA1B, CROSSBAR, DD2020,
    INFOBIP, JOHN_MD5, MINE, MY_ADMIN, MY_KEY, OPENTACT, SENDER_KEY,
};

/// The headers that tell an upstream who is calling, unless a platform names them otherwise.
const IDENTITY: [&str; 8] = [
    "x-auth-platform",
    "x-auth-account",
    "x-auth-user",
    "x-auth-username",
    "x-auth-scheme",
    "x-auth-scopes",
    "x-auth-roles",
    "x-auth-expires",
];

static CALLIFYS_TOKEN: LazyLock<String> =
    LazyLock::new(|| issuers::OPENTACT.token(&issuers::callifys()));
static JOHNS_TOKEN: LazyLock<String> = LazyLock::new(|| issuers::CROSSBAR.token(&issuers::johns()));

const JOHNS: &str = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";

/// A request that is allowed.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    host: &'static str,
    method: &'static str,
    /// As the upstream sees it.
    path: &'static str,
    /// The headers that the upstream sees.
    identity: &'static str,
    presented: Presented,
}

#[derive(Clone, Copy, Debug)]
enum Presented {
    Header(&'static str, &'static str),
    Nothing,
    Query(&'static str, &'static str),
}

/// Every place where a platform reads credentials, and its public route where it has one.
static ALLOWED: LazyLock<[Allowed; 19]> = LazyLock::new(|| {
    [
        allowed(
            CROSSBAR,
            "GET",
            JOHNS,
            AS_JOHN,
            Presented::Header("authorization", JOHN_MD5),
        ),
        allowed(
            CROSSBAR,
            "GET",
            "/v2/schemas",
            AS_JOHN,
            Presented::Header("authorization", JOHN_MD5),
        ),
        allowed(
            CROSSBAR,
            "GET",
            "/v2/schemas",
            "x-auth-platform: crossbar",
            Presented::Nothing,
        ),
        allowed(
            OPENTACT,
            "GET",
            "/rest/user",
            AS_CALLIFY,
            Presented::Header("authorization", CALLIFY),
        ),
        allowed(
            OPENTACT,
            "GET",
            "/rest/user",
            AS_CALLIFY_BY_HA1B,
            Presented::Header("x-auth-ha1b-token", CALLIFY_HA1B),
        ),
        allowed(
            OPENTACT,
            "GET",
            "/rest/user",
            AS_CALLIFY_BY_HA1B,
            Presented::Query("ha1b", CALLIFY_HA1B),
        ),
        allowed(
            INFOBIP,
            "POST",
            "/sms/3/messages",
            AS_ALADDIN,
            Presented::Header("authorization", ALADDIN),
        ),
        allowed(
            INFOBIP,
            "POST",
            "/sms/3/messages",
            AS_SENDER,
            Presented::Query("apiKey", SENDER_KEY),
        ),
        allowed(
            MINE,
            "GET",
            "/orders/1",
            AS_MY_KEY,
            Presented::Header("x-my-key", MY_KEY),
        ),
        allowed(
            MINE,
            "GET",
            "/orders/1",
            AS_MY_KEY,
            Presented::Query("my-key", MY_KEY),
        ),
        allowed(
            MINE,
            "GET",
            "/admin/x",
            AS_MY_ADMIN,
            Presented::Header("authorization", MY_ADMIN),
        ),
        allowed(
            MINE,
            "GET",
            "/public/x",
            AS_MY_KEY,
            Presented::Header("x-my-key", MY_KEY),
        ),
        allowed(
            MINE,
            "GET",
            "/public/x",
            AS_MY_KEY,
            Presented::Query("my-key", MY_KEY),
        ),
        allowed(
            MINE,
            "GET",
            "/public/x",
            "x-auth-platform: mine",
            Presented::Nothing,
        ),
        allowed(
            CROSSBAR,
            "GET",
            JOHNS,
            AS_JOHN_BY_TOKEN,
            Presented::Header("x-auth-token", &JOHNS_TOKEN),
        ),
        allowed(
            CROSSBAR,
            "GET",
            JOHNS,
            AS_JOHN_BY_TOKEN,
            Presented::Query("auth_token", &JOHNS_TOKEN),
        ),
        allowed(
            OPENTACT,
            "GET",
            "/rest/user",
            AS_CALLIFY_BY_TOKEN,
            Presented::Header("x-auth-token", &CALLIFYS_TOKEN),
        ),
        allowed(
            OPENTACT,
            "GET",
            "/rest/user",
            AS_CALLIFY_BY_TOKEN,
            Presented::Query("jwt", &CALLIFYS_TOKEN),
        ),
        allowed(
            INFOBIP,
            "POST",
            "/sms/3/messages",
            AS_DD2020,
            Presented::Header("authorization", DD2020),
        ),
    ]
});

fn allowed(
    host: &'static str,
    method: &'static str,
    path: &'static str,
    identity: &'static str,
    presented: Presented,
) -> Allowed {
    Allowed {
        host,
        method,
        path,
        identity,
        presented,
    }
}

/// A request, and what the upstream must see of it.
#[derive(Clone, Debug)]
pub struct Sample {
    pub host: &'static str,
    pub method: &'static str,
    /// Path and query, as sent.
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Method, path and query, as the upstream must see them.
    pub line: String,
    /// The headers that the upstream must see, and no other: `name: value` lines by name.
    pub identity: &'static str,
}

/// Gives as many samples as are asked for, the same ones in every run.
pub fn samples(count: usize) -> Vec<Sample> {
    let spelling = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    // Two more than there are identity headers: the twins of headers that carry a credential.
    let spoofs = vec((0..IDENTITY.len() + 2, spelling()), 1..8);
    let strategy = (0..ALLOWED.len(), spelling(), spoofs);
    let mut runner = TestRunner::deterministic();
    let mut sample = || {
        let tree = strategy.new_tree(&mut runner);
        let (allowed, presented, spoofs) = tree.expect("nothing is filtered").current();
        ALLOWED[allowed].sample(presented, &spoofs)
    };
    (0..count).map(|_| sample()).collect()
}

impl Allowed {
    fn sample(&self, presented: u64, spoofs: &[(usize, u64)]) -> Sample {
        let mut headers = Vec::new();
        let mut target = format!("{}?a=1", self.path);
        match self.presented {
            Presented::Header(name, value) => {
                // With no `-` made another sign: that would not be the credential.
                let name = spell(name, presented).replace(['_', '.'], "-");
                headers.push((name, value.to_owned()));
            }
            Presented::Nothing => {}
            Presented::Query(name, value) => {
                target += &format!("&{}={value}", escape(name, presented));
            }
        }
        for (index, spelling) in spoofs {
            if let Some(name) = self.spoof(*index, *spelling) {
                headers.push((name, "spoofed".to_owned()));
            }
        }
        Sample {
            host: self.host,
            method: self.method,
            target,
            headers,
            line: format!("{} {}?a=1", self.method, self.path),
            identity: self.identity,
        }
    }

    fn spoof(&self, index: usize, spelling: u64) -> Option<String> {
        let twins: &[&str] = match self.host {
            CROSSBAR => &["x_auth_token"],
            MINE => &["x_my_key"],
            OPENTACT => &["x_auth_token", "x_auth_ha1b_token"],
            _ => &[],
        };
        let name = match IDENTITY.get(index) {
            Some(&"x-auth-user") if self.host == MINE => "x-caller",
            Some(name) => name,
            None => twins.get(index - IDENTITY.len())?,
        };
        Some(spell(name, spelling))
    }
}

/// Writes a name with every letter for whose place there is a bit in upper case, and every `-` as `_`, or as `.` where the
/// place after it has one too.
fn spell(name: &str, bits: u64) -> String {
    let spell = |(place, letter)| match (letter, bits >> (place % 64) & 1) {
        (letter, 0) => letter,
        ('-', _) if bits >> ((place + 1) % 64) & 1 == 1 => '.',
        ('-', _) => '_',
        (letter, _) => letter.to_ascii_uppercase(),
    };
    name.chars().enumerate().map(spell).collect()
}

/// Writes a name with every byte percent-encoded for whose place there is a bit.
fn escape(name: &str, bits: u64) -> String {
    let escape = |(place, byte)| match bits >> (place % 64) & 1 {
        0 => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().enumerate().map(escape).collect()
}
