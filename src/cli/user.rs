//! `portcullis user`: logins under accounts.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::reach::{Reach, strange};
use crate::cli::records::{Fields, List, One};
use crate::cli::secret::{PasswordFrom, SecretFrom};
use crate::cli::table::{Column, cell, state};
use crate::cli::{CommandError, say, say_error};
use crate::directory::operations::words::{Clear, Operation, Outcome};
use crate::directory::records::{Link as Subject, RecordKind};

const KIND: RecordKind = RecordKind::User;

const COLUMNS: &[Column] = &[
    ("ID", |it| cell(it, "id")),
    ("STATE", state),
    ("USERNAME", |it| cell(it, "username")),
    ("EMAIL", |it| cell(it, "email")),
    ("ACCOUNT", |it| cell(it, "account")),
    ("ROLES", |it| cell(it, "roles")),
    ("CREDENTIALS", |it| cell(it, "credentials")),
];

const EXAMPLES: &str = "Examples:
  portcullis user add u-9 --account acc-1 --username Abu --password-stdin \\
      --platform infobip --config portcullis.yaml < password.txt
  portcullis user disable u-9 --platform infobip --config portcullis.yaml
  portcullis user totp u-9 --set --platform infobip --config portcullis.yaml";

/// Add, show, switch, link and revoke users, and set their second factors.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Add a user.
    Add(Add),
    /// Switch a user off, as if it did not exist.
    Disable(One),
    /// Switch a user on.
    Enable(One),
    /// Let a subject of an external issuer stand for a user, or no longer.
    Link(Link),
    /// List users.
    List(List),
    /// End every token and session of a user, and the keys that act for it.
    Revoke(One),
    /// Show a user.
    Show(One),
    /// Give a user a second factor, or take it away.
    Totp(Totp),
}

/// A user to be added.
#[derive(Args, Debug)]
pub struct Add {
    #[command(flatten)]
    one: One,
    /// The account it belongs to.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// The name it logs in with; this or `--email` is needed.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The e-mail address it logs in with.
    #[arg(long)]
    email: Option<String>,
    /// What it may act as; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// What the platform's answers show, as NAME=VALUE; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    #[command(flatten)]
    password: PasswordFrom,
}

/// A link to be made or removed.
#[derive(Args, Debug)]
pub struct Link {
    #[command(flatten)]
    one: One,
    /// The issuer, such as `google`, or `facebook:APP_ID`.
    #[arg(long)]
    issuer: String,
    /// The subject within the issuer.
    #[arg(long)]
    subject: String,
    /// Remove the link.
    #[arg(long)]
    remove: bool,
}

/// A second factor to be set or removed.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["set", "remove"]))]
pub struct Totp {
    #[command(flatten)]
    one: One,
    /// Give it this seed, in base32, or a random one, which is printed this once: in base32, and as
    /// the URI that authenticator apps read as a QR code.
    #[arg(long)]
    set: bool,
    /// Take it away. An import whose file has a `totp_secret` for the user brings that one.
    #[arg(long, conflicts_with_all = ["secret_stdin", "secret_file"])]
    remove: bool,
    #[command(flatten)]
    seed: SecretFrom,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Add(add) => add.run(),
            Self::Disable(one) => one.switch(KIND, false),
            Self::Enable(one) => one.switch(KIND, true),
            Self::Link(link) => link.run(),
            Self::List(list) => list.run(KIND, COLUMNS),
            Self::Revoke(one) => one.revoke(KIND),
            Self::Show(one) => one.show(KIND),
            Self::Totp(totp) => totp.run(),
        }
    }
}

impl Add {
    fn run(self) -> Result<(), CommandError> {
        let password = self.password.read()?;
        let fields = Fields::default()
            .with("account", self.account.as_deref())
            .with("username", self.username.as_deref())
            .with("email", self.email.as_deref())
            .with_list("roles", &self.roles)
            .with("password", password.as_ref().map(Clear::expose))
            .with_attributes(&self.attributes)?;
        self.one.add(KIND, fields)
    }
}

impl Link {
    fn run(self) -> Result<(), CommandError> {
        let link = Subject {
            issuer: self.issuer,
            subject: self.subject,
        };
        let done = match self.remove {
            true => "is not linked to it any more",
            false => "is linked to it",
        };
        self.one.change(KIND, done, |platform, id| Operation::Link {
            platform,
            id,
            link,
            remove: self.remove,
        })
    }
}

impl Totp {
    fn run(self) -> Result<(), CommandError> {
        let seed = self.seed.read()?;
        if self.remove || seed.is_some() {
            let done = match self.remove {
                true => "has no second factor any more",
                false => "has this second factor",
            };
            return self.one.change(KIND, done, |platform, id| Operation::Totp {
                platform,
                id,
                seed,
                remove: self.remove,
            });
        }
        let reach = Reach::open(&self.one.common.config)?;
        let platform = reach.platform(&self.one.on)?;
        let id = self.one.id;
        let make = Operation::Totp {
            platform: platform.clone(),
            id: id.clone(),
            seed: None,
            remove: false,
        };
        let Outcome::Record {
            record,
            secret: Some(seed),
        } = reach.ask(make, |_| ())?
        else {
            return Err(strange());
        };
        let named = |key| record.get(key).and_then(Value::as_str);
        let login = named("username").or_else(|| named("email"));
        let uri = key_uri(&platform, login.unwrap_or(&id), &seed);
        if self.one.common.json {
            say(json!({ "record": record, "secret": seed.expose(), "uri": uri.expose() }));
            return Ok(());
        }
        say_error(format!(
            "user {id} of {platform} has a new second factor; its seed is shown this once:"
        ));
        say(seed.expose());
        say(uri.expose());
        Ok(())
    }
}

/// Writes a seed as authenticator apps read it. No RFC has this form; it is Google
/// Authenticator's "Key Uri Format", whose defaults are ours: SHA-1, six digits, 30 seconds.
fn key_uri(issuer: &str, login: &str, seed: &Clear) -> Clear {
    let (issuer, login) = (percent_encoded(issuer), percent_encoded(login));
    let seed = seed.expose();
    Clear::new(format!(
        "otpauth://totp/{issuer}:{login}?secret={seed}&issuer={issuer}"
    ))
}

/// Leaves only unreserved characters as they are (RFC 3986 §2.3).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_of_a_seed_holds_any_login() {
        for (login, want) in [
            ("Aladdin", "Aladdin"),
            ("john@example.com", "john%40example.com"),
            ("a:b?c&d=e#f/g h+i%", "a%3Ab%3Fc%26d%3De%23f%2Fg%20h%2Bi%25"),
            ("Jürgen", "J%C3%BCrgen"),
        ] {
            let uri = key_uri("my p", login, &Clear::new("GEZDGNBV".into()));
            let want = format!("otpauth://totp/my%20p:{want}?secret=GEZDGNBV&issuer=my%20p");
            assert_eq!(uri.expose(), want);
        }
    }
}
