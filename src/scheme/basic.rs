//! `basic`: `Authorization: Basic base64(name:secret)` (RFC 7617).
//!
//! What the two halves are is the platform's choice: a login name and its password (opentact,
//! infobip), or an account's id and the MD5 or SHA-1 of `username:password` (KAZOO Crossbar,
//! `cb_basic_auth`). The kind of hash is chosen by the configuration, never by the caller.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::Index;
use crate::directory::reads::Reads;
use crate::directory::records::User;
use crate::document::{Document, Problem};
use crate::request::RequestView;
use crate::scheme::{
    Base64, Budget, Challenge, Context, Kind, Reading, Scheme, StoredForm, Verified, by_password,
    find, is_lower_hex, open_user, read_nobody,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "basic",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// Settings of a `basic` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What the secret half is.
    #[serde(default)]
    form: Form,
}

/// What the secret half of the credential is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// The MD5 of `username:password` in lower-case hexadecimal, behind the account's id.
    Md5,
    /// The password, behind the login name or e-mail.
    #[default]
    Password,
    /// The SHA-1 of `username:password` in lower-case hexadecimal, behind the account's id.
    Sha1,
}

#[derive(Debug)]
struct Basic {
    platform: Arc<str>,
    name: Arc<str>,
    form: Form,
    places: [Place; 1],
    reading: Reading,
}

fn build(
    context: &Context<'_>,
    settings: &Document,
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Scheme>> {
    let settings: Settings = settings.read("", problems)?;
    Some(Arc::new(Basic {
        platform: context.platform.into(),
        name: context.name.into(),
        form: settings.form,
        places: [Place::Authorization("Basic".into())],
        reading: context.reading,
    }))
}

impl Scheme for Basic {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some((place, text)) = find(request, &self.places, self.reading)? else {
            return Ok(None);
        };
        let decoded = Zeroizing::new(decode_base64(&text, self.reading.base64)?);
        let text =
            std::str::from_utf8(&decoded).map_err(|_| malformed("the user-pass is not UTF-8"))?;
        if text.chars().any(char::is_control) {
            return Err(malformed("the user-pass holds control characters"));
        }
        // RFC 7617 §2: the first colon divides; a password may hold more of them.
        let (name, secret) = text
            .split_once(':')
            .ok_or_else(|| malformed("the user-pass has no colon"))?;
        self.check_shape(name, secret)?;
        Ok(Some(Credential::new(
            place,
            name,
            Secret::new(secret.as_bytes()),
        )))
    }

    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            let user = match self.form {
                Form::Md5 => by_hash(Index::Md5, credential, reads).await?,
                Form::Password => {
                    by_password(credential.name(), credential.secret(), reads).await?
                }
                Form::Sha1 => by_hash(Index::Sha1, credential, reads).await?,
            };
            let opened = open_user(&self.platform, &self.name, user, reads).await?;
            Ok(Verified::vouch(opened.identity))
        })
    }

    fn challenge(&self) -> Option<Challenge> {
        Some(Challenge {
            scheme: "Basic".to_owned(),
            parameters: r#"charset="UTF-8""#,
        })
    }

    fn budget(&self) -> Option<Budget> {
        Some(Budget::Name)
    }

    fn stored_form(&self) -> Option<StoredForm> {
        Some(match self.form {
            Form::Md5 => StoredForm::Md5,
            Form::Password => StoredForm::Argon2,
            Form::Sha1 => StoredForm::Sha1,
        })
    }
}

impl Basic {
    /// Refuses what no stored hash can match, before anything is looked up.
    fn check_shape(&self, name: &str, secret: &str) -> Result<(), Denial> {
        let digits = match self.form {
            Form::Md5 => 32,
            Form::Password => return Ok(()),
            Form::Sha1 => 40,
        };
        if is_lower_hex(name, 32) && is_lower_hex(secret, digits) {
            return Ok(());
        }
        Err(malformed(
            "not an account id and a hash of the configured kind, in lower-case hexadecimal",
        ))
    }
}

async fn by_hash(index: Index, credential: &Credential, reads: &Reads) -> Result<User, Failure> {
    let values = [credential.name().as_bytes(), credential.secret().expose()];
    let users = reads.users(index, &values).await?;
    let mut users = users
        .into_iter()
        .filter(|it| it.account.as_deref() == Some(credential.name()));
    // KAZOO takes a hash only if exactly one user of the account has it.
    match (users.next(), users.next()) {
        (Some(user), None) => Ok(user),
        (Some(_), Some(_)) => {
            Err(Denial::new(Reason::Conflict, "several users have this hash").into())
        }
        (None, _) => {
            // A user who may not get in is found, and answered alike after the same reads.
            read_nobody(reads).await?;
            Err(Denial::new(Reason::Unknown, "no user of the account has this hash").into())
        }
    }
}

fn decode_base64(text: &str, which: Base64) -> Result<Vec<u8>, Denial> {
    let refused = |_| malformed("the user-pass is not the base64 that the platform takes");
    match which {
        Base64::Lenient => {
            let config = GeneralPurposeConfig::new()
                .with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let packed = Zeroizing::new(text.replace(' ', ""));
            GeneralPurpose::new(&STANDARD, config)
                .decode(packed.as_bytes())
                .map_err(refused)
        }
        Base64::Strict => base64::prelude::BASE64_STANDARD
            .decode(text)
            .map_err(refused),
    }
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Reason::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scheme(form: Form, reading: Reading) -> Basic {
        let places = [Place::Authorization("Basic".into())];
        Basic {
            platform: "p".into(),
            name: "basic".into(),
            form,
            places,
            reading,
        }
    }

    fn decode(scheme: &Basic, value: &str) -> Result<Option<(String, Vec<u8>)>, Reason> {
        let headers = [("authorization", value.as_bytes())].into_iter().collect();
        let request = RequestView {
            headers,
            ..RequestView::default()
        };
        let decoded = scheme.decode(&request).map_err(|it| it.reason())?;
        Ok(decoded.map(|it| (it.name().to_owned(), it.secret().expose().to_vec())))
    }

    #[track_caller]
    fn check(scheme: &Basic, value: &str, want: Result<Option<(&str, &str)>, Reason>) {
        let want =
            want.map(|it| it.map(|(name, secret)| (name.to_owned(), secret.as_bytes().to_vec())));
        assert_eq!(decode(scheme, value), want, "{value}");
    }

    #[test]
    fn a_user_pass_is_read_as_rfc_7617_says() {
        let strict = scheme(Form::Password, Reading::default());
        let bad = Err(Reason::Malformed);
        check(
            &strict,
            "Basic QWxhZGRpbjpvcGVuU2VzYW1l",
            Ok(Some(("Aladdin", "openSesame"))),
        );
        check(
            &strict,
            "basic  QWxhZGRpbjpvcGVuU2VzYW1l",
            Ok(Some(("Aladdin", "openSesame"))),
        );
        check(
            &strict,
            "Basic dXNlcjpwYTpzczp3b3Jk",
            Ok(Some(("user", "pa:ss:word"))),
        );
        check(
            &strict,
            "Basic QWxhZGRpbjpww6Rzc3fDtnJk",
            Ok(Some(("Aladdin", "pässwörd"))),
        );
        check(&strict, "Bearer QWxhZGRpbjpvcGVuU2VzYW1l", Ok(None));
        check(&strict, "Basicx QWxhZGRpbjpvcGVuU2VzYW1l", Ok(None));
        check(&strict, "Basic", bad);
        check(&strict, "Basic dXNlcm9ubHk=", bad);
        check(&strict, "Basic dXNlcgA6cHc=", bad);
        check(&strict, "Basic QWxhZGRpbjpw5HNzd/ZyZA==", bad);
        check(&strict, "Basic QWxhZGRpbjpvcGVuU2VzYW1lMQ", bad);
        check(&strict, "Basic dXNlcm5hbWU6cGFzc3dvcmQ=v", bad);
        check(&strict, "Basic YT8-OmL7_w==", bad);
        check(&strict, "Basic QWxhZGRp bjpvcGVuU2VzYW1l", bad);
        // Non-zero pad bits: a second spelling of the same bytes.
        check(&strict, "Basic YTpiYh==", bad);
        check(&strict, "Basic a, Bearer b", bad);
    }

    #[test]
    fn lenient_base64_takes_missing_padding_and_spaces_but_no_garbage() {
        let reading = Reading {
            base64: Base64::Lenient,
            ..Reading::default()
        };
        let lenient = scheme(Form::Password, reading);
        check(
            &lenient,
            "Basic QWxhZGRpbjpvcGVuU2VzYW1lMQ",
            Ok(Some(("Aladdin", "openSesame1"))),
        );
        check(
            &lenient,
            "Basic QWxhZGRp bjpvcGVuU2VzYW1l",
            Ok(Some(("Aladdin", "openSesame"))),
        );
        check(
            &lenient,
            "Basic dXNlcm5hbWU6cGFzc3dvcmQ=v",
            Err(Reason::Malformed),
        );
        check(&lenient, "Basic YT8-OmL7_w==", Err(Reason::Malformed));
    }

    #[test]
    fn only_an_account_id_and_a_hash_of_the_configured_kind_are_looked_up() {
        let account = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
        let md5 = "82a2dc91686ec828a67152d45a5c5ef7";
        let sha1 = "055cf886cb9b5c5867083463867c527ace0f8ecc";
        let encode =
            |text: String| format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(text));
        let scheme = scheme(Form::Md5, Reading::default());
        let bad = Err(Reason::Malformed);
        check(
            &scheme,
            &encode(format!("{account}:{md5}")),
            Ok(Some((account, md5))),
        );
        check(&scheme, &encode(format!("{account}:{sha1}")), bad);
        check(
            &scheme,
            &encode(format!("{account}:{}", md5.to_uppercase())),
            bad,
        );
        check(
            &scheme,
            &encode(format!("{account}:john@example.com:m32c6NfqYEt")),
            bad,
        );
        check(&scheme, &encode(format!("../{account}:{md5}")), bad);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(name in "[^:\\p{Cc}]{0,20}", secret in "[^\\p{Cc}]{0,40}") {
            let value = base64::prelude::BASE64_STANDARD.encode(format!("{name}:{secret}"));
            let scheme = scheme(Form::Password, Reading::default());
            let got = decode(&scheme, &format!("Basic {value}"));
            prop_assert_eq!(got, Ok(Some((name, secret.into_bytes()))));
        }

        #[test]
        fn decoding_hostile_bytes_never_panics(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let headers = [("authorization", value.as_slice())].into_iter().collect();
            let request = RequestView { headers, ..RequestView::default() };
            let _ = scheme(Form::Password, Reading::default()).decode(&request);
        }
    }
}
