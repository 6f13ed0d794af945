//! Google, as far as ID tokens go: a provider under its name, and the claims that it documents
//! (developers.google.com/identity/openid-connect/openid-connect).

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::issuers::END;
use super::provider::Provider;

/// What Google calls itself in tokens today; older ones leave the scheme out.
pub const ISSUER: &str = "https://accounts.google.com";

/// The client id of an application that tokens are taken for.
pub const CLIENT: &str = "123456-abc.apps.googleusercontent.com";

/// Whom the tokens are about: somebody who is linked in the sample directory.
pub const SUBJECT: &str = "110169484474386276334";

/// The one that the sample configuration asks for keys.
pub static GOOGLE: LazyLock<Provider> = LazyLock::new(|| Provider::start(ISSUER, "k1"));

/// The documented example, with a later end.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": SUBJECT, "azp": CLIENT, "aud": CLIENT, "iat": 1_433_978_353, "exp": END,
        "email": "testuser@gmail.com", "email_verified": true, "name": "Test User",
        "picture": "https://lh4.googleusercontent.com/-kYgzyAWpZzJ/ABCDEFGHI/AAAJKLMNOP/tIXL9Ir44LE/s99-c/photo.jpg",
        "given_name": "Test", "family_name": "User", "locale": "en", "hd": "example.com",
    })
}
