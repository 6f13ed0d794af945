//! Google and Facebook, as far as the demo asks them: their endpoints in their own formats, on
//! loopback. Nobody on the internet is asked, and no token here is good anywhere else.

use std::fmt;
use std::fs::{OpenOptions, remove_file};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::cli::CommandError;
use crate::cli::demo::cases::Tokens;
use crate::keys::signing::SigningKeys;

/// The application at Google, as in the demo's configuration.
const CLIENT: &str = "123456-demo.apps.googleusercontent.com";
/// The app at Facebook, alike, and another.
const APP: &str = "100000000000001";
const ANOTHER_APP: &str = "100000000000009";

/// What Google calls the user who is linked in the sample directory, and what Facebook does.
const GOOGLES_USER: &str = "109800000000000000001";
const FACEBOOKS_USER: &str = "100000000000002";

/// Access tokens that Facebook gave out, for the app and for another.
const ACCESS: &str = "EAABsampleLinked";
const ANOTHERS_ACCESS: &str = "EAABsampleForeign";

/// When tokens end: with the year 2099, in Unix seconds.
const END: u64 = 4_102_444_800;

/// What the keys are called by whom.
const SIGNER: &str = "google";

/// A server that plays both; it lasts as long as the runtime.
pub struct StandIns {
    address: SocketAddr,
    keys: SigningKeys,
    app_secret: String,
}

impl fmt::Debug for StandIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandIns(..)")
    }
}

impl StandIns {
    /// Makes Google's key and the app's secret, and serves on a loopback port that is free.
    ///
    /// # Errors
    /// What the system does not give.
    pub async fn start() -> Result<Self, CommandError> {
        let failed = |it: io::Error| CommandError::failed(format!("cannot play Google: {it}"));
        let keys = SigningKeys::generate().map_err(CommandError::failed)?;
        let app_secret = random()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (set, own) = (keys.jwks(SIGNER), format!("{APP}|{app_secret}"));
        let router = Router::new()
            .route("/google/certs", get(async move || json_body(&set)))
            .route(
                "/graph/debug_token",
                get(async move |RawQuery(query)| json_body(&debug_token(query.as_deref(), &own))),
            );
        tokio::spawn(async { axum::serve(listener, router).await });
        Ok(Self {
            address,
            keys,
            app_secret,
        })
    }

    /// Gives where it listens, as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes down the app's secret, for a configuration to read.
    ///
    /// # Errors
    /// Where the system's temporary directory cannot be written to.
    pub fn secret_file(&self) -> Result<SecretFile, CommandError> {
        let path = std::env::temp_dir().join(format!("portcullis-demo-{}", random()?));
        let failed = |it| CommandError::failed(format!("{}: {it}", path.display()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let written = file.write_all(self.app_secret.as_bytes());
        written.map_err(failed)?;
        Ok(SecretFile(path))
    }

    /// Gives tokens that both have given out.
    ///
    /// # Errors
    /// Where signing fails.
    pub fn tokens(&self) -> Result<Tokens, CommandError> {
        Ok(Tokens {
            google: self.id_token(CLIENT)?,
            google_for_another: self.id_token("654321-other.apps.googleusercontent.com")?,
            facebook: ACCESS.to_owned(),
            facebook_for_another: ANOTHERS_ACCESS.to_owned(),
        })
    }

    /// Signs an ID token for an application, with the claims that Google documents.
    fn id_token(&self, client: &str) -> Result<String, CommandError> {
        let claims = json!({
            "iss": "https://accounts.google.com", "aud": client, "azp": client, "sub": GOOGLES_USER,
            "iat": 1_700_000_000, "exp": END, "email": "somebody@example.org", "email_verified": true,
        });
        let claims = claims.as_object().cloned().unwrap_or_default();
        self.sign(&claims)
    }

    fn sign(&self, claims: &Map<String, Value>) -> Result<String, CommandError> {
        let signed = self.keys.sign(SIGNER, claims);
        signed.map_err(|it| CommandError::failed(it.to_string()))
    }
}

fn json_body(value: &Value) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], value.to_string())
}

/// Tells of a token whoever asks in the app's name, as Graph does.
fn debug_token(query: Option<&str>, own: &str) -> Value {
    let parameter = |name| {
        let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        pairs.find(|it| it.0 == name).map(|it| it.1)
    };
    let refused =
        json!({ "code": 190, "type": "OAuthException", "message": "Invalid OAuth access token." });
    if parameter("access_token").as_deref() != Some(own) {
        return json!({ "error": refused });
    }
    let app = match parameter("input_token").as_deref() {
        Some(ACCESS) => APP,
        Some(ANOTHERS_ACCESS) => ANOTHER_APP,
        _ => return json!({ "data": { "error": refused, "is_valid": false, "scopes": [] } }),
    };
    json!({ "data": {
        "app_id": app, "type": "USER", "application": "Sample", "is_valid": true, "expires_at": END,
        "scopes": ["public_profile"], "user_id": FACEBOOKS_USER,
    }})
}

/// A file that only its owner may read; gone with the value.
#[derive(Debug)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// Gives its path.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = remove_file(&self.0);
    }
}

/// Makes a secret of 32 hexadecimal digits, as Facebook's are.
fn random() -> Result<String, CommandError> {
    let word = || getrandom::u64().map_err(|it| CommandError::failed(it.to_string()));
    Ok(format!("{:016x}{:016x}", word()?, word()?))
}
