//! The words of Infobip's API keys.

/// The permission of a key that stands for its account.
pub(super) const PUBLIC_API: &str = "PUBLIC_API";

/// The permission of a key that stands in a web page.
pub(super) const WEB_SDK: &str = "WEB_SDK";

/// What may be linked applications and entities do to a request.
pub(super) const ACTIONS: [&str; 2] = ["FILL", "FORCE"];

/// What a key may be used by.
#[derive(Debug)]
pub(super) struct Permission {
    pub(super) name: &'static str,
    /// The scopes that a key may have which has this permission and not [`PUBLIC_API`]. What such a key
    /// is good for is published nowhere else: the secret stands in a client's program, for everybody
    /// to read.
    pub(super) scopes: &'static [&'static str],
}

/// Every permission.
pub(super) const PERMISSIONS: [Permission; 3] = [
    Permission {
        name: "2FA_CLIENT",
        scopes: &["2fa:sdk"],
    },
    Permission {
        name: PUBLIC_API,
        scopes: &[],
    },
    Permission {
        name: WEB_SDK,
        scopes: &["web:sdk", "web:tracking:sdk"],
    },
];

/// Scopes that are published (infobip.com/docs, "API authorization") and that no operation asks for, so
/// that they open nothing; clients name them all the same.
pub(super) const PUBLISHED: [&str; 31] = [
    "2fa:sdk",
    "ai:agents:manage",
    "ai:agents:query",
    "ai:agents:view",
    "branded-domains:manage",
    "calls:read",
    "campaign-tags:manage",
    "campaign-tags:view",
    "content-messages:manage",
    "content-messages:read",
    "error-codes:read",
    "flow:control",
    "google-bm:logs:read",
    "google-bm:manage",
    "google-bm:message:send",
    "insights:read",
    "mcp:provision",
    "mobile-app-messaging:sdk",
    "number-risk-score:manage",
    "numbers:recording:manage",
    "onboarding:manage",
    "rbm-maap:manage",
    "rbm-maap:message:send",
    "saas:integrations:manage",
    "saas:tiktok-ads:manage",
    "voice:recording:delete",
    "voice:recording:read",
    "web-push:manage",
    "web-push:send",
    "web:tracking:sdk",
    "whatsapp:logs:read",
];
