//! Rows of JSON as people read them: aligned columns, or one value a line.
//!
//! A list may be longer than memory, so columns are measured over the first rows only, and a later
//! cell that is wider moves its own row. What is printed cannot steer a terminal.

use serde_json::Value;

use crate::cli::say;
use crate::directory::file::written::Row;

/// Over how many rows columns are measured.
const MEASURED_ROWS: usize = 500;

/// A column: its heading, and what it shows of a row.
pub type Column = (&'static str, fn(&Row) -> String);

/// A table that is being printed.
#[derive(Debug)]
pub struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    waiting: Vec<Vec<String>>,
    measured: bool,
}

impl Table {
    /// Begins a table; nothing is printed before its first row.
    #[must_use]
    pub fn new(columns: &'static [Column]) -> Self {
        let headings: Vec<_> = columns.iter().map(|it| it.0.to_owned()).collect();
        Self {
            columns,
            widths: vec![0; columns.len()],
            waiting: vec![headings],
            measured: false,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        let cells = self.columns.iter().map(|it| printable(&(it.1)(row)));
        self.waiting.push(cells.collect());
        if self.measured || self.waiting.len() > MEASURED_ROWS {
            self.print();
        }
    }

    /// Prints what has not been printed; nothing where there was no row.
    pub fn finish(mut self) {
        if self.measured || self.waiting.len() > 1 {
            self.print();
        }
    }

    fn print(&mut self) {
        self.measured = true;
        let waiting = std::mem::take(&mut self.waiting);
        for row in &waiting {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &waiting {
            say(line(row, &self.widths));
        }
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths);
    let padded: Vec<_> = padded
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    padded.join("  ").trim_end().to_owned()
}

/// Prints an object, one value a line.
pub fn print_object(row: &Row) {
    let width = row.keys().map(String::len).max().unwrap_or(0);
    for (key, value) in row {
        say(format!("{key:width$}  {}", printable(&text(value))));
    }
}

/// Gives a cell: a text as it is, a list with commas, `-` for nothing.
#[must_use]
pub fn cell(row: &Row, key: &str) -> String {
    row.get(key).map_or_else(|| "-".to_owned(), text)
}

/// Gives whether a record is on.
#[must_use]
pub fn state(row: &Row) -> String {
    let is = |key: &str| row.get(key).and_then(Value::as_bool);
    let state = match (is("unreadable"), is("revoked"), is("enabled")) {
        (Some(true), _, _) => "unreadable",
        (_, Some(true), _) => "revoked",
        (_, _, Some(true)) => "on",
        (_, _, _) => "off",
    };
    state.to_owned()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            items.join(", ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn printable(text: &str) -> String {
    let printable = |it: char| if it.is_control() { '\u{fffd}' } else { it };
    text.chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let cells = |row: [&str; 3]| row.map(str::to_owned).to_vec();
        assert_eq!(line(&cells(["a", "ü", "c"]), &[3, 2, 9]), "a    ü   c");
        assert_eq!(line(&cells(["a", "", ""]), &[3, 2, 9]), "a");
    }

    #[test]
    fn values_read_as_text_and_steer_no_terminal() {
        let cases = [
            (json!("plain"), "plain"),
            (json!(["a", "b"]), "a, b"),
            (json!([]), "-"),
            (json!(null), "-"),
            (json!({ "a": 1 }), "{\"a\":1}"),
            (json!("\u{1b}[2J"), "\u{fffd}[2J"),
        ];
        for (value, want) in cases {
            assert_eq!(printable(&text(&value)), want, "{value}");
        }
    }
}
