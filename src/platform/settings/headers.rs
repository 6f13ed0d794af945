//! The names of the headers that tell the upstream who is calling.

use schemars::JsonSchema;
use serde::Deserialize;

/// The headers that tell the upstream who is calling, each by its name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityHeaders {
    /// The platform's name.
    pub platform: String,
    /// The id of the account.
    pub account: String,
    /// The id of the user.
    pub user: String,
    /// The login name or e-mail address.
    pub username: String,
    /// The scheme that the credential came by.
    pub scheme: String,
    /// The credential's scopes, divided by spaces.
    pub scopes: String,
    /// Roles, divided by commas.
    pub roles: String,
    /// When the credential ends, in Unix seconds.
    pub expires: String,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        let name = |it: &str| format!("x-auth-{it}");
        Self {
            platform: name("platform"),
            account: name("account"),
            user: name("user"),
            username: name("username"),
            scheme: name("scheme"),
            scopes: name("scopes"),
            roles: name("roles"),
            expires: name("expires"),
        }
    }
}

impl IdentityHeaders {
    /// Gives every name, with the key that sets it.
    #[must_use]
    pub fn names(&self) -> [(&'static str, &str); 8] {
        [
            ("platform", &self.platform),
            ("account", &self.account),
            ("user", &self.user),
            ("username", &self.username),
            ("scheme", &self.scheme),
            ("scopes", &self.scopes),
            ("roles", &self.roles),
            ("expires", &self.expires),
        ]
    }
}
