//! Records as rows of a directory file: what `export` writes and what commands show.
//!
//! Apart from [`super::rows`], which is what people write: a record does not know all of that any
//! more. Passwords go out as the Argon2id hashes that they are stored as. What is stored only as a
//! digest under the pepper cannot go out at all, and what is sealed does not, so a row says nothing of
//! it, and an import into the same directory then keeps it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::directory::records::{Account, ApiKey, User};
use crate::directory::writing::Record;

/// An object of JSON, which YAML can read as well.
pub type Row = Map<String, Value>;

/// A record that can be written as a row.
pub trait ToRow: Record {
    /// Gives the row that an import takes.
    fn row(&self) -> Row;

    /// Tells whether something of it is stored that the row cannot say.
    fn withholds(&self) -> bool {
        !self.digests().is_empty() || self.sealed().is_some()
    }

    /// Gives what an operator may see: the row without hashes, and what is known beside it.
    fn view(&self) -> Row;
}

impl ToRow for Account {
    fn row(&self) -> Row {
        let mut row = Row::new();
        row.insert("id".into(), json!(self.id));
        add(&mut row, "name", &self.name);
        add(&mut row, "realm", &self.realm);
        add(&mut row, "parent", &self.parent);
        add_list(&mut row, "phone_numbers", &self.phone_numbers);
        row.insert("enabled".into(), json!(!self.disabled));
        add(&mut row, "expires_at", &self.expires.map(time));
        if !self.attributes.is_empty() {
            row.insert("attributes".into(), json!(self.attributes));
        }
        row
    }

    fn view(&self) -> Row {
        let mut view = self.row();
        view.insert("generation".into(), json!(self.generation));
        view
    }
}

impl ToRow for User {
    fn row(&self) -> Row {
        let mut row = self.named();
        // `credentials` would make an import forget what they do not say.
        if let Some(phc) = self.password.as_ref().filter(|_| self.digests().is_empty()) {
            row.insert("credentials".into(), json!({ "argon2": phc }));
        }
        row
    }

    fn view(&self) -> Row {
        let mut view = self.named();
        let forms = [
            ("argon2", self.password.is_some()),
            ("ha1b", self.ha1b.is_some()),
            ("md5", self.md5.is_some()),
            ("sha1", self.sha1.is_some()),
        ];
        let stored: Vec<_> = forms.into_iter().filter(|it| it.1).map(|it| it.0).collect();
        view.insert("credentials".into(), json!(stored));
        if self.totp.is_some() {
            view.insert("totp".into(), json!(true));
        }
        view.insert("generation".into(), json!(self.generation));
        view
    }
}

impl User {
    fn named(&self) -> Row {
        let mut row = Row::new();
        row.insert("id".into(), json!(self.id));
        add(&mut row, "account", &self.account);
        add(&mut row, "username", &self.username);
        add(&mut row, "email", &self.email);
        add_list(&mut row, "roles", &self.roles);
        row.insert("enabled".into(), json!(!self.disabled));
        if !self.links.is_empty() {
            row.insert("links".into(), json!(self.links));
        }
        if !self.attributes.is_empty() {
            row.insert("attributes".into(), json!(self.attributes));
        }
        row
    }
}

impl ToRow for ApiKey {
    fn row(&self) -> Row {
        let mut row = Row::new();
        row.insert("id".into(), json!(self.id));
        add(&mut row, "name", &self.name);
        add(&mut row, "account", &self.account);
        add(&mut row, "user", &self.user);
        add_list(&mut row, "scopes", &self.scopes);
        let addresses = self.allowed_addresses.iter();
        let addresses: Vec<_> = addresses.map(ToString::to_string).collect();
        add_list(&mut row, "allowed_ips", &addresses);
        add(&mut row, "valid_from", &self.valid_from.map(time));
        add(&mut row, "valid_to", &self.valid_to.map(time));
        row.insert("enabled".into(), json!(!self.disabled));
        if self.only_scopes {
            row.insert("only_scopes".into(), json!(true));
        }
        if !self.attributes.is_empty() {
            row.insert("attributes".into(), json!(self.attributes));
        }
        row
    }

    fn view(&self) -> Row {
        let mut view = self.row();
        view.insert("revoked".into(), json!(self.revoked));
        let former = self.former.iter().map(|it| time(it.until));
        add_list(
            &mut view,
            "former_secrets_end_at",
            &former.collect::<Vec<_>>(),
        );
        view
    }
}

/// Writes a row as one line of YAML: as JSON, with what JSON may hold bare and YAML may not (YAML
/// 1.2.2 §5.1) escaped. All of that can only stand within texts.
#[must_use]
pub fn to_line(row: &Row) -> String {
    let json = json!(row).to_string();
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                line.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => line.push(other),
        }
    }
    line
}

fn add(row: &mut Row, key: &str, value: &Option<String>) {
    if let Some(value) = value {
        row.insert(key.to_owned(), json!(value));
    }
}

fn add_list(row: &mut Row, key: &str, values: &[String]) {
    if !values.is_empty() {
        row.insert(key.to_owned(), json!(values));
    }
}

/// Gives Unix seconds as RFC 3339 in UTC; what lies behind the year 9999 is its end.
#[must_use]
pub fn time(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.to_string()
}

#[cfg(test)]
mod tests {
    use crate::directory::file::DirectoryFile;
    use crate::document::Document;

    use super::*;

    #[test]
    fn a_row_is_read_back_as_the_record_that_it_was_written_from() {
        let odd = "q\"\\ \u{7f}\u{85}\u{2028}\u{feff}\u{ffff} \t\r\n\u{0} 😀 é ${HOME} # : - {}";
        let attributes: Row = [
            ("text".to_owned(), json!(odd)),
            (
                "numbers".to_owned(),
                json!([0.1, 99.87895, 0.300_000_000_000_000_04, u64::MAX, -1]),
            ),
            ("null".to_owned(), json!({ "yes": null, "01": true })),
        ]
        .into_iter()
        .collect();
        let account = Account {
            id: "0123".into(),
            name: Some("yes".into()),
            realm: Some("1_000".into()),
            phone_numbers: vec!["+1".into(), "007".into()],
            disabled: true,
            expires: Some(4_102_444_800),
            attributes,
            ..Account::default()
        };
        let user = User {
            id: "u".into(),
            account: Some("0123".into()),
            email: Some("null@null".into()),
            roles: vec!["a b".into()],
            ..User::default()
        };
        let key = ApiKey {
            id: "k".into(),
            name: Some("~".into()),
            allowed_addresses: vec!["10.0.0.0/8".parse().unwrap()],
            valid_from: Some(0),
            valid_to: Some(1),
            ..ApiKey::default()
        };
        let text = format!(
            "p:\n  accounts:\n    - {}\n  users:\n    - {}\n  api_keys:\n    - {}\n",
            to_line(&account.row()),
            to_line(&user.row()),
            to_line(&key.row()),
        );
        let document = Document::parse("d.yaml", &text).unwrap();
        let file = DirectoryFile::parse_addition(&document, &["p"]).unwrap();
        let entries = &file.platforms[0];
        assert_eq!(entries.accounts[0].record, account);
        assert_eq!(entries.users[0].record, user);
        assert_eq!(entries.api_keys[0].record, key);
    }

    #[test]
    fn times_beyond_the_calendar_are_its_end() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert!(time(u64::MAX).starts_with("9999-12-"));
    }
}
