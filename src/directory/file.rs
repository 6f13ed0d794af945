//! The directory file: a platform's accounts, users and API keys as people write them.
//!
//! It is what `import` provisions from, what a `memory:` store is filled with, and the sample
//! directory of `demo`. Reading and writing are apart: [`DirectoryFile::parse`] tells everything
//! that is wrong, each at its line, and only a file without problems can be imported, so a bad row
//! never leaves half a directory behind. Every platform knows all three lists; what they mean to it
//! is the business of its schemes.
//!
//! It opens no file. An import removes nothing: a record that is no longer in the file stays in the
//! store, unless one file [takes another's place](DirectoryFile::replace).

pub mod checks;
mod entries;
mod import;
mod references;
pub mod replace;
pub mod rows;
mod stored;
pub mod written;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::directory::file::checks::Row;
use crate::directory::file::entries::{AccountEntry, Entry, KeyEntry, UserEntry};
use crate::directory::file::rows::Lists;
use crate::directory::writing::Written;
use crate::document::{Document, Problem};

/// The forms in which the schemes of a platform need passwords stored. No other form is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Forms {
    /// Argon2id of the password.
    pub argon2: bool,
    /// A digest of the MD5 of `login@domain:domain:password` (SIP).
    pub ha1b: bool,
    /// A digest of the MD5 of `username:password`.
    pub md5: bool,
    /// A digest of the SHA-1 of `username:password`.
    pub sha1: bool,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Imported {
    /// Records in the file.
    pub records: usize,
    /// Those of them that were new.
    pub created: usize,
    /// Those of them that differed from what was stored.
    pub changed: usize,
}

impl Imported {
    fn count(&mut self, written: Written) {
        match written {
            Written::Changed => self.changed += 1,
            Written::Created => self.created += 1,
            Written::Unchanged => {}
        }
        self.records += 1;
    }
}

/// What to do with a record that is in the directory already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Existing {
    /// Leave it as it is.
    Keep,
    /// Leave it as it is, but for the forms in which a user's password is stored.
    KeepButForms,
    /// Make it what the file says.
    Replace,
}

/// A directory file without problems.
#[derive(Debug)]
pub struct DirectoryFile {
    platforms: Vec<Entries>,
}

/// What the file holds for one platform, in its order.
#[derive(Debug)]
struct Entries {
    platform: String,
    accounts: Vec<AccountEntry>,
    users: Vec<UserEntry>,
    api_keys: Vec<KeyEntry>,
}

impl Entries {
    fn len(&self) -> usize {
        self.accounts.len() + self.users.len() + self.api_keys.len()
    }

    fn are_complete(&self, document: &Document, pointer: &str) -> bool {
        let rows = |list: &str| document.count(&format!("{pointer}/{list}"));
        self.len() == rows("accounts") + rows("users") + rows("api_keys")
    }
}

impl DirectoryFile {
    /// Reads a whole directory, in a document whose top-level keys are among `platforms`, the names
    /// of the configuration.
    ///
    /// # Errors
    /// Every problem with it, by line. References between records are looked at once all records of
    /// the platform can be read.
    pub fn parse(document: &Document, platforms: &[&str]) -> Result<Self, Vec<Problem>> {
        Self::read(document, platforms, true)
    }

    /// Reads what comes on top of a directory. Accounts that its records refer to and secrets of its
    /// keys may be there already, which [`Self::check_stored`] looks after.
    ///
    /// # Errors
    /// Every problem with it.
    pub fn parse_addition(document: &Document, platforms: &[&str]) -> Result<Self, Vec<Problem>> {
        Self::read(document, platforms, false)
    }

    fn read(document: &Document, platforms: &[&str], whole: bool) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let keys: Option<BTreeMap<String, IgnoredAny>> = document.read("", &mut problems);
        let mut parsed = Vec::new();
        for platform in keys.unwrap_or_default().into_keys() {
            let pointer = format!("/{}", platform.replace('~', "~0").replace('/', "~1"));
            if platforms.contains(&platform.as_str()) {
                let entries = read_platform(document, &pointer, platform, &mut problems);
                // Where a row could not be read, what refers to it would be reported without being
                // wrong.
                if entries.are_complete(document, &pointer) {
                    references::check(&entries, whole, document, &pointer, &mut problems);
                }
                parsed.push(entries);
            } else {
                let message = format!(
                    "not a platform of the configuration, which has `{}`",
                    platforms.join("`, `")
                );
                problems.push(document.problem(&pointer, &message));
            }
        }
        if problems.is_empty() {
            return Ok(Self { platforms: parsed });
        }
        problems.sort_by_key(|it| it.line);
        Err(problems)
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.platforms.iter().map(Entries::len).sum()
    }

    /// Tells whether there is no record at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn read_platform(
    document: &Document,
    pointer: &str,
    platform: String,
    problems: &mut Vec<Problem>,
) -> Entries {
    // Tells of keys and shapes only; the rows are read one by one.
    document.read::<Lists>(pointer, problems);
    let at = |list: &str| format!("{pointer}/{list}");
    Entries {
        platform,
        accounts: read_rows(document, &at("accounts"), problems),
        users: read_rows(document, &at("users"), problems),
        api_keys: read_rows(document, &at("api_keys"), problems),
    }
}

/// Reads each row by itself, so that a problem costs one more reading of its row, not of the file.
fn read_rows<E: Entry>(document: &Document, pointer: &str, problems: &mut Vec<Problem>) -> Vec<E> {
    // Anything but a list has been told of.
    let rows: Option<Vec<IgnoredAny>> = document.read(pointer, &mut Vec::new());
    let read = |index| {
        let pointer = format!("{pointer}/{index}");
        let row: E::Row = document.read(&pointer, problems)?;
        Some(E::check(row, &mut Row::new(document, &pointer, problems)))
    };
    (0..rows.unwrap_or_default().len())
        .filter_map(read)
        .collect()
}

#[cfg(test)]
mod tests {
    use schemars::schema_for;

    use super::*;
    use crate::directory::MAX_HINTS;

    const SAMPLE: &str = include_str!("../cli/sample_directory.yaml");

    fn parse(text: &str, platforms: &[&str]) -> Result<DirectoryFile, Vec<String>> {
        let document = Document::parse("d.yaml", text).expect("the text is YAML");
        DirectoryFile::parse(&document, platforms)
            .map_err(|all| all.iter().map(Problem::to_string).collect())
    }

    /// Puts a row on line 4, below a good one, and expects exactly one problem there.
    #[track_caller]
    fn bad(list: &str, row: &str, key: &str, want: &str) {
        let good = match list {
            "accounts" => format!(
                "{{ id: good, realm: Acme.example, api_key: {} }}",
                "0a".repeat(32)
            ),
            "users" => "{ id: good, account: a, username: John@b, links: [{ issuer: google, subject: s }] }".to_owned(),
            _ => "{ id: good, secret: good-secret-00000 }".to_owned(),
        };
        let text = format!("p:\n  {list}:\n    - {good}\n    - {row}\n");
        let problems = parse(&text, &["p"]).expect_err(row);
        let [problem] = problems.as_slice() else {
            panic!("{row}: {problems:#?}");
        };
        let place = format!("d.yaml:4: p.{list}[1]{key}: ");
        assert!(problem.starts_with(&place), "{row}: {problem}");
        assert!(problem.contains(want), "{row}: {problem}");
    }

    #[test]
    fn a_bad_account_is_told_at_its_line() {
        let row = |rest: &str| format!("{{ id: a, {rest} }}");
        let (long, key) = ("x".repeat(257), "0A".repeat(32).to_lowercase());
        let cases = [
            ("{ name: x }".into(), ".id", "required, but missing"),
            ("{ id: '' }".into(), ".id", "an id is 1 to 128"),
            ("{ id: a@b }".into(), ".id", "personal data"),
            ("{ id: a/b }".into(), ".id", "an id is"),
            ("{ id: a:b }".into(), ".id", "an id is"),
            (format!("{{ id: {} }}", "x".repeat(129)), ".id", "an id is"),
            ("{ id: good }".into(), ".id", "the same as in accounts[0]"),
            (row("nmae: x"), ".nmae", "unknown key"),
            (row("name: ''"), ".name", "1 to 256 characters"),
            (row(&format!("name: {long}")), ".name", "1 to 256"),
            (row("name: \"a\\nb\""), ".name", "no control characters"),
            (row("realm: \"a\\u0000\""), ".realm", "no control"),
            (row("realm: aCME.example"), ".realm", "accounts[0]"),
            (row("phone_numbers: ['']"), ".phone_numbers[0]", "1 to 256"),
            (row("phone_numbers: '1'"), ".phone_numbers", "a list"),
            (row("api_key: abc"), ".api_key", "64 hexadecimal"),
            (row(&format!("api_key: {}g", &key[1..])), ".api_key", "64"),
            (row(&format!("api_key: {key}")), ".api_key", "accounts[0]"),
            (row("enabled: maybe"), ".enabled", "true or false"),
            (
                row("expires_at: 2030-01-31T00:00:00"),
                ".expires_at",
                "zone",
            ),
            (
                row("expires_at: 2030-13-31T00:00:00Z"),
                ".expires_at",
                "not a time",
            ),
            (row("parent: nobody"), ".parent", "no such account"),
            (row("parent: a"), ".parent", "its own ancestor"),
        ];
        for (row, key, want) in cases {
            bad("accounts", &row, key, want);
        }
        let huge = row(&format!("attributes: {{ x: {} }}", "x".repeat(65_536)));
        bad("accounts", &huge, "", "larger than 65536 bytes");
    }

    #[test]
    fn more_accounts_of_one_name_or_number_than_can_be_tried_are_told() {
        let account = |id: usize, rest: &str| format!("{{ id: a{id}, {rest} }}, ");
        let file = |names: &[&str]| {
            let rows = names.iter().enumerate().map(|it| account(it.0, it.1));
            format!("p: {{ accounts: [{}] }}", rows.collect::<String>())
        };
        let named = ["name: ACME, phone_numbers: ['1', '2', '1']"; MAX_HINTS];
        assert!(parse(&file(&named), &["p"]).is_ok());
        for (more, place) in [
            ("name: 'A.C.M.E. - 株式会社'", "name"),
            ("phone_numbers: ['3', '(2)']", "phone_numbers[1]"),
        ] {
            let problems = parse(&file(&[&named[..], &[more]].concat()), &["p"]).unwrap_err();
            let want = format!("p.accounts[4].{place}: more than 4 accounts share it");
            assert!(
                problems.len() == 1 && problems[0].ends_with(&want),
                "{problems:?}"
            );
        }
        let nameless = ["name: '株式会社', phone_numbers: ['-']"; MAX_HINTS + 1];
        assert!(parse(&file(&nameless), &["p"]).is_ok(), "found by no name");
    }

    #[test]
    fn a_bad_user_is_told_at_its_line() {
        let row = |rest: &str| format!("{{ id: u, account: a, {rest} }}");
        let named = |rest: &str| row(&format!("username: u, {rest}"));
        let brought = |rest: &str| named(&format!("credentials: {{ {rest} }}"));
        let md5 = "0".repeat(32);
        let dear = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let cases = [
            (row("roles: []"), "", "needs a `username` or an `email`"),
            ("{ id: good, username: u }".into(), ".id", "users[0]"),
            (
                "{ id: u, username: u, account: a b }".into(),
                ".account",
                "an id is",
            ),
            (row("username: ''"), ".username", "1 to 256"),
            (row("username: \"a:b\""), ".username", "RFC 7617"),
            (row("username: \"a\\tb\""), ".username", "no control"),
            (
                row("username: john@B"),
                ".username",
                "the same login as users[0]",
            ),
            (row("email: john@b"), ".email", "the same login as users[0]"),
            (row("email: \"a:b@c\""), ".email", "RFC 7617"),
            (
                row("username: v, links: [{ issuer: google, subject: s }]"),
                ".links[0]",
                "users[0] has this link",
            ),
            (row("email: somebody"), ".email", "an `@`"),
            (named("password: ''"), ".password", "1 to 1024 bytes"),
            (
                named(&format!("password: {}", "x".repeat(1025))),
                ".password",
                "1024",
            ),
            (named("password: \"a\\u007f\""), ".password", "no control"),
            (
                named("password: x, credentials: {}"),
                ".credentials",
                "not both",
            ),
            (brought("md5: abc"), ".credentials.md5", "exactly 32"),
            (brought("sha1: abc"), ".credentials.sha1", "exactly 40"),
            (brought("ha1b: xyz"), ".credentials.ha1b", "exactly 32"),
            (
                brought("argon2: abc"),
                ".credentials.argon2",
                "not a PHC string",
            ),
            (
                brought(&format!("argon2: '{dear}'")),
                ".credentials.argon2",
                "above 256 MiB",
            ),
            (brought("bcrypt: abc"), ".credentials.bcrypt", "unknown key"),
            (
                format!("{{ id: u, username: u, credentials: {{ md5: '{md5}' }} }}"),
                ".credentials",
                "looked up by account",
            ),
            (named("roles: ['a,b']"), ".roles[0]", "no comma"),
            (named("roles: ['']"), ".roles[0]", "1 to 256"),
            (named("totp_secret: ABCDEF"), ".totp_secret", "16 to 128"),
            (
                named(&format!("totp_secret: {}", "A".repeat(24))),
                ".totp_secret",
                "16 to 128",
            ),
            (
                named(&format!("totp_secret: {}1", "A".repeat(31))),
                ".totp_secret",
                "base32",
            ),
            (
                named("sip: { login: a, domain: b }"),
                ".sip.password",
                "required",
            ),
            (
                named("sip: { login: 'a:b', domain: b, password: c }"),
                ".sip.login",
                "RFC 7617",
            ),
            (
                named("links: [{ issuer: google }]"),
                ".links[0].subject",
                "1 to 256",
            ),
            (
                named("links: [{ isuer: x }]"),
                ".links[0].isuer",
                "unknown key",
            ),
        ];
        for (row, key, want) in cases {
            bad("users", &row, key, want);
        }
    }

    #[test]
    fn a_key_acts_for_a_user_of_the_file_and_of_its_own_account() {
        let file = |user: &str, key: &str| {
            format!(
                "p: {{ users: [{{ id: u, username: u {user} }}],\n api_keys: [{{ id: k, \
                 secret: good-secret-00000, user: {key} }}] }}"
            )
        };
        for (user, key) in [
            ("", "u"),
            (", account: a", "u"),
            ("", "u, account: a"),
            (", account: a", "u, account: a"),
        ] {
            assert!(parse(&file(user, key), &["p"]).is_ok(), "{user} {key}");
        }
        for (key, want) in [
            ("nobody", "no such user"),
            ("u, account: b", "another account"),
        ] {
            let problems = parse(&file(", account: a", key), &["p"]).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            let place = "d.yaml:2: p.api_keys[0].user: ";
            assert!(
                problems[0].starts_with(place) && problems[0].contains(want),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_bad_api_key_is_told_at_its_line() {
        let row = |rest: &str| format!("{{ id: k, secret: another-secret-00, {rest} }}");
        let secret = |secret: &str| format!("{{ id: k, secret: {secret} }}");
        let cases = [
            ("{ id: k }".into(), ".secret", "required, but missing"),
            (secret("fifteen-letters"), ".secret", "16 to 512"),
            (secret(&"x".repeat(513)), ".secret", "16 to 512"),
            (secret("'two words of it all'"), ".secret", "no spaces"),
            (secret("'comma,comma,comma'"), ".secret", "no commas"),
            (secret("sécrétsécrétsécrét"), ".secret", "ASCII"),
            (secret("good-secret-00000"), ".secret", "api_keys[0]"),
            (row("scopes: ['a b']"), ".scopes[0]", "one word"),
            (
                row("allowed_ips: [10.0.0.0/33]"),
                ".allowed_ips[0]",
                "10.0.0.0/8",
            ),
            (
                row("allowed_ips: ['::ffff:0:0/90']"),
                ".allowed_ips[0]",
                "96 or more",
            ),
            (row("valid_from: 2020-01-01"), ".valid_from", "zone"),
            (
                row("valid_from: 2020-01-01T00:00:00Z, valid_to: 2020-01-01T01:00:00+01:00"),
                ".valid_to",
                "after `valid_from`",
            ),
        ];
        for (row, key, want) in cases {
            bad("api_keys", &row, key, want);
        }
    }

    #[test]
    fn problems_of_all_platforms_and_rows_are_told_at_once_by_line() {
        let text = "\
q:
  users:
    - id: u
      username: u
      account: a
    - id: v
      username: v
      account: b
      password: ''
  acounts: []
  accounts:
    - id: a
    - id: c
      parent: d
    - id: d
      parent: e
    - id: e
      parent: c
p:
  users:
    - { id: u, user: u }
  api_keys: {}
r: {}
";
        let wants = [
            "d.yaml:8: q.users[1].account: no such account in `accounts`",
            "d.yaml:9: q.users[1].password: a password has 1 to 1024 bytes, no control characters",
            "d.yaml:10: q.acounts: unknown key, expected one of `accounts`, `users`, `api_keys`",
            "d.yaml:14: q.accounts[1].parent: the account is its own ancestor",
            "d.yaml:21: p.users[0].user: unknown key",
            "d.yaml:22: p.api_keys: expected a list, found a mapping",
            "d.yaml:23: r: not a platform of the configuration, which has `p`, `q`",
        ];
        let problems = parse(text, &["p", "q"]).unwrap_err();
        assert_eq!(problems.len(), wants.len(), "{problems:#?}");
        for (problem, want) in problems.iter().zip(wants) {
            assert!(problem.starts_with(want), "{problem}");
        }
    }

    #[test]
    fn a_login_may_have_namesakes_in_other_accounts_but_no_more_than_can_be_tried() {
        let users = |count: usize| {
            let row = |it| format!("    - {{ id: u{it}, account: a{it}, username: John }}\n");
            format!("p:\n  users:\n{}", (0..count).map(row).collect::<String>())
        };
        assert_eq!(parse(&users(4), &["p"]).unwrap().len(), 4);
        assert_eq!(
            parse(&users(5), &["p"]).unwrap_err(),
            ["d.yaml:7: p.users[4].username: more than 4 users share this login"]
        );
        let exact = "p: { users: [{ id: a, username: John }, { id: b, username: john }] }";
        assert_eq!(parse(exact, &["p"]).unwrap().len(), 2);
    }

    #[test]
    fn the_sample_directory_is_good_and_prints_no_secret() {
        let file = parse(SAMPLE, &["crossbar", "opentact", "infobip"]).unwrap();
        assert_eq!(file.len(), 23);
        let shown = format!("{file:?}");
        for secret in [
            "m32c6NfqYEt",
            "12345678\"",
            "openSesame",
            "sample-reports-0",
            "0123456789ab",
        ] {
            assert!(!shown.contains(secret), "{secret}");
        }
        assert!(parse("", &[]).unwrap().is_empty());
    }

    #[test]
    fn the_schema_names_every_key_of_a_row() {
        let schema = serde_json::to_string(&schema_for!(Lists)).unwrap();
        for key in [
            "api_keys",
            "phone_numbers",
            "totp_secret",
            "ha1b",
            "valid_to",
            "subject",
        ] {
            assert!(schema.contains(&format!("\"{key}\"")), "{key}");
        }
    }
}
