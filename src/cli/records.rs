//! What `account`, `user` and `key` have in common: one record or a list, and how they are shown.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::reach::{Common, OnPlatform, Reach, strange};
use crate::cli::spread::{REFUSED, Spread};
use crate::cli::table::{Column, Table, print_object};
use crate::cli::{CommandError, say, say_error};
use crate::directory::operations::words::{Clear, Line, Operation, Outcome};
use crate::directory::records::RecordKind;

/// One record.
#[derive(Args, Debug)]
pub struct One {
    /// Its id.
    pub id: String,
    /// Where it is.
    #[command(flatten)]
    pub on: OnPlatform,
    /// The configuration.
    #[command(flatten)]
    pub common: Common,
}

/// A list of records.
#[derive(Args, Debug)]
pub struct List {
    /// Only those of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    #[command(flatten)]
    on: OnPlatform,
    #[command(flatten)]
    common: Common,
}

impl List {
    /// Prints the list.
    ///
    /// # Errors
    /// Why it cannot be listed.
    pub fn run(self, kind: RecordKind, columns: &'static [Column]) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let list = Operation::List {
            kind,
            platform: reach.platform(&self.on)?,
            account: self.account,
        };
        let mut table = Table::new(columns);
        let outcome = reach.ask(list, |line| match line {
            Line::Row(row) if self.common.json => say(Value::Object(row)),
            Line::Row(row) => table.add(&row),
            _ => {}
        })?;
        table.finish();
        let Outcome::Listed { records } = outcome else {
            return Err(strange());
        };
        if records == 0 && !self.common.json {
            say_error(format!("there is no {kind} here"));
        }
        Ok(())
    }
}

impl One {
    /// Prints the record.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn show(self, kind: RecordKind) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let id = self.id;
        let show = Operation::Show { kind, platform, id };
        match reach.ask(show, |_| ())? {
            Outcome::Record { record, .. } if self.common.json => say(Value::Object(record)),
            Outcome::Record { record, .. } => print_object(&record),
            _ => return Err(strange()),
        }
        Ok(())
    }

    /// Switches the record on or off.
    ///
    /// # Errors
    /// Why it cannot be switched.
    pub fn switch(self, kind: RecordKind, enabled: bool) -> Result<(), CommandError> {
        let switch = |platform, id| Operation::Switch {
            kind,
            platform,
            id,
            enabled,
        };
        match enabled {
            true => self.change(kind, "is on", switch),
            false => self.end(kind, "is off", REFUSED, switch),
        }
    }

    /// Revokes what hangs on the record.
    ///
    /// # Errors
    /// Why it cannot be revoked.
    pub fn revoke(self, kind: RecordKind) -> Result<(), CommandError> {
        let done = match kind {
            RecordKind::Account | RecordKind::User => "has no valid token or session any more",
            RecordKind::Key => "is revoked for good",
        };
        self.end(kind, done, REFUSED, |platform, id| Operation::Revoke {
            kind,
            platform,
            id,
        })
    }

    /// Performs an operation that ends what was good, and says what became of it and how far that has come; `verb` is what
    /// whoever has heard does.
    ///
    /// # Errors
    /// Why it was not performed.
    pub fn end(
        self,
        kind: RecordKind,
        done: &str,
        verb: &str,
        operation: impl FnOnce(String, String) -> Operation,
    ) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let words = format!("{kind} {} of {platform} {done}", self.id);
        let (outcome, spread) = reach.revoke(operation(platform, self.id))?;
        let words = spread.finish(&words, verb);
        print_changed(outcome, &words, self.common.json, Some(&spread))
    }

    /// Performs an operation on the record, and says what became of it.
    ///
    /// # Errors
    /// Why it was not performed.
    pub fn change(
        self,
        kind: RecordKind,
        done: &str,
        operation: impl FnOnce(String, String) -> Operation,
    ) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let words = format!("{kind} {} of {platform} {done}", self.id);
        let outcome = reach.ask(operation(platform, self.id), |_| ())?;
        print_changed(outcome, &words, self.common.json, None)
    }

    /// Adds the record, with the fields that were given.
    ///
    /// # Errors
    /// Why it was not added.
    pub fn add(self, kind: RecordKind, fields: Fields) -> Result<(), CommandError> {
        let mut row = fields.0;
        row.insert("id".to_owned(), json!(self.id));
        let row = Clear::new(Value::Object(row).to_string());
        self.change(kind, "is added", |platform, _| Operation::Add {
            kind,
            platform,
            row,
        })
    }
}

/// Says what was done. A new secret stands alone on standard output, so that a script can take it.
fn print_changed(
    outcome: Outcome,
    words: &str,
    json: bool,
    spread: Option<&Spread>,
) -> Result<(), CommandError> {
    let Outcome::Record { record, secret } = outcome else {
        return Err(strange());
    };
    let with_spread = |mut shown: Value| {
        if let Some(spread) = spread {
            shown["revocation"] = spread.to_json();
        }
        shown
    };
    match (json, secret) {
        (true, None) => say(with_spread(Value::Object(record))),
        (true, Some(secret)) => {
            let shown = json!({ "record": record, "secret": secret.expose() });
            say(with_spread(shown));
        }
        (false, None) => say(words),
        (false, Some(secret)) => {
            say_error(format!("{words}; its secret is shown this once:"));
            say(secret.expose());
        }
    }
    Ok(())
}

/// The fields of a row that were given.
#[derive(Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field that has a value.
    #[must_use]
    pub fn with(mut self, key: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), json!(value));
        }
        self
    }

    /// Adds a list that is not empty.
    #[must_use]
    pub fn with_list(mut self, key: &str, values: &[String]) -> Self {
        if !values.is_empty() {
            self.0.insert(key.to_owned(), json!(values));
        }
        self
    }

    /// Adds attributes, each written as `NAME=VALUE`; a value that is JSON counts as such.
    ///
    /// # Errors
    /// Where one has no `=`.
    pub fn with_attributes(mut self, attributes: &[String]) -> Result<Self, CommandError> {
        let mut parsed = Map::new();
        for attribute in attributes {
            let (name, value) = attribute.split_once('=').ok_or_else(|| {
                CommandError::usage("an attribute is written as `--attribute NAME=VALUE`")
            })?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            parsed.insert(name.to_owned(), value);
        }
        if !parsed.is_empty() {
            self.0
                .insert("attributes".to_owned(), Value::Object(parsed));
        }
        Ok(self)
    }
}

/// Shows no field: one of them may be a secret.
impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields(..)")
    }
}
