//! `portcullis key`: API keys, which programs present.

use clap::{Args, Subcommand};

use crate::cli::CommandError;
use crate::cli::records::{Fields, List, One};
use crate::cli::secret::SecretFrom;
use crate::cli::spread::{FORMER_REFUSED, KNOWN};
use crate::cli::table::{Column, cell, state};
use crate::directory::operations::words::{Clear, Operation};
use crate::directory::records::RecordKind;

const KIND: RecordKind = RecordKind::Key;

const COLUMNS: &[Column] = &[
    ("ID", |it| cell(it, "id")),
    ("STATE", state),
    ("NAME", |it| cell(it, "name")),
    ("ACCOUNT", |it| cell(it, "account")),
    ("SCOPES", |it| cell(it, "scopes")),
    ("VALID TO", |it| cell(it, "valid_to")),
    ("LAST USED", |it| cell(it, "last_used_at")),
];

const EXAMPLES: &str = "Examples:
  SECRET=$(portcullis key add k-2 --account acc-1 --scope sms:message:send \\
      --platform infobip --config portcullis.yaml)
  portcullis key rotate k-2 --overlap 24h --platform infobip --config portcullis.yaml";

/// Add, show, switch, rotate and revoke API keys.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Add a key; a random secret is printed, this once.
    Add(Add),
    /// Switch a key off, as if it did not exist; its account's managers may enable it again, `revoke` is
    /// for good.
    Disable(One),
    /// Switch a key on.
    Enable(One),
    /// List keys.
    List(List),
    /// Switch a key off for good: neither a command nor an import switches it on again.
    Revoke(One),
    /// Give a key another secret, printed this once.
    Rotate(Rotate),
    /// Show a key.
    Show(One),
}

/// A key to be added.
#[derive(Args, Debug)]
pub struct Add {
    #[command(flatten)]
    one: One,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// The account it acts for.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// The user it acts for: whoever presents the key is that user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// A granted permission; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// An address or range that it may be used from; may be repeated. Without one: anywhere.
    #[arg(long = "allowed-ip", value_name = "ADDRESS")]
    allowed_ips: Vec<String>,
    /// When it begins, as 2030-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// When it ends.
    #[arg(long, value_name = "TIME")]
    valid_to: Option<String>,
    #[command(flatten)]
    secret: SecretFrom,
}

/// A key to be rotated.
#[derive(Args, Debug)]
pub struct Rotate {
    #[command(flatten)]
    one: One,
    /// How long the old secret is still taken, such as 30m, 24h or 7d.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_seconds)]
    overlap: u64,
    #[command(flatten)]
    secret: SecretFrom,
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
            Self::List(list) => list.run(KIND, COLUMNS),
            Self::Revoke(one) => one.revoke(KIND),
            Self::Rotate(rotate) => rotate.run(),
            Self::Show(one) => one.show(KIND),
        }
    }
}

impl Add {
    fn run(self) -> Result<(), CommandError> {
        let secret = self.secret.read()?;
        let fields = Fields::default()
            .with("name", self.name.as_deref())
            .with("account", self.account.as_deref())
            .with("user", self.user.as_deref())
            .with_list("scopes", &self.scopes)
            .with_list("allowed_ips", &self.allowed_ips)
            .with("valid_from", self.valid_from.as_deref())
            .with("valid_to", self.valid_to.as_deref())
            .with("secret", secret.as_ref().map(Clear::expose));
        self.one.add(KIND, fields)
    }
}

impl Rotate {
    fn run(self) -> Result<(), CommandError> {
        let secret = self.secret.read()?;
        let rotate = |platform, id| Operation::Rotate {
            platform,
            id,
            secret,
            overlap_seconds: self.overlap,
        };
        let verb = if self.overlap == 0 {
            FORMER_REFUSED
        } else {
            KNOWN
        };
        self.one.end(KIND, "has a new secret", verb, rotate)
    }
}

/// Reads a time as people write it, in seconds.
pub(super) fn parse_seconds(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" if digits == "0" => 1,
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("a time is written as 30s, 30m, 24h or 7d"),
    };
    let count: Option<u64> = digits.parse().ok();
    count
        .and_then(|it| it.checked_mul(unit))
        .ok_or("a time is a whole number with s, m, h or d behind it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_has_a_unit() {
        let cases = [
            ("0", Some(0)),
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("24h", Some(86_400)),
            ("7d", Some(604_800)),
            ("24", None),
            ("h", None),
            ("-1h", None),
            ("1.5h", None),
            ("1 h", None),
            ("1w", None),
            ("99999999999999999d", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_seconds(text).ok(), want, "{text}");
        }
    }
}
