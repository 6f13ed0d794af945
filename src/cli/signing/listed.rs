//! The list of key files in the text of a configuration, and edits of it that leave all other text as it is.
//!
//! Whoever wrote the file keeps comments, order and quotes. Nothing is edited that is not found exactly where the
//! parser says that it stands, and whoever edits reads the result again before it takes the file's place.

use std::ops::Range;

use jiff::Timestamp;

use crate::document::{Document, Place};

/// What begins the comment that tells until when a key that signs no more is needed.
const NOTE: &str = "# portcullis signing: ";

/// What stands in it between the file and the time.
const MAY_GO: &str = " may go after ";

/// The list as it is written.
#[derive(Debug)]
pub(super) struct Listed<'t> {
    text: &'t str,
    /// Where each entry stands, quotes included.
    spans: Vec<Range<usize>>,
}

impl<'t> Listed<'t> {
    /// Finds the list of this setting of `signing`; empty where there is none.
    ///
    /// # Errors
    /// Where it is not written as a list of plain or quoted texts.
    pub(super) fn find(text: &'t str, setting: &str) -> Result<Self, &'static str> {
        const STRANGE: &str = "the list is written in a way that this command does not edit";
        let document = Document::parse("", text).map_err(|_| STRANGE)?;
        let list = format!("/signing/{setting}");
        let mut spans = Vec::new();
        for index in 0..document.count(&list) {
            let item = format!("{list}/{index}");
            let value = document.value(&item);
            let value = value.as_ref().and_then(|it| it.as_str()).ok_or(STRANGE)?;
            let place = document.place(&item).ok_or(STRANGE)?;
            spans.push(span(text, place, value).ok_or(STRANGE)?);
        }
        let in_order = spans.windows(2).all(|it| it[0].end <= it[1].start);
        in_order.then_some(Self { text, spans }).ok_or(STRANGE)
    }

    /// The entries as they are written, without quotes.
    pub(super) fn entries(&self) -> Vec<&'t str> {
        let bare = |it: &Range<usize>| self.text[it.clone()].trim_matches(['"', '\'']);
        self.spans.iter().map(bare).collect()
    }

    /// Gives the text with another entry behind the first, written as that one is.
    pub(super) fn with_second(&self, entry: &str) -> String {
        let Some(first) = self.spans.first() else {
            return self.text.to_owned();
        };
        let quote = self.text[first.clone()].chars().next();
        let quote = quote.filter(|it| "\"'".contains(*it));
        let quote = quote.map(String::from).unwrap_or_default();
        let entry = format!("{quote}{entry}{quote}");
        let (at, entry) = match self.dash(first) {
            Some(lead) => (self.line(first).end, format!("\n{lead}{entry}")),
            None => (first.end, format!(", {entry}")),
        };
        [&self.text[..at], &entry, &self.text[at..]].concat()
    }

    /// Gives the text with this entry first, before all others.
    pub(super) fn with_first(&self, index: usize) -> String {
        let mut order: Vec<_> = (0..self.spans.len()).filter(|it| *it != index).collect();
        order.insert(0, index);
        let mut text = String::new();
        let mut from = 0;
        for (span, entry) in self.spans.iter().zip(order) {
            text.push_str(&self.text[from..span.start]);
            text.push_str(&self.text[self.spans[entry].clone()]);
            from = span.end;
        }
        text + &self.text[from..]
    }

    /// Gives the text without this entry, which is not the first, and without what is noted of it.
    pub(super) fn without(&self, index: usize) -> String {
        let gone = &self.spans[index];
        let cut = match self.dash(gone) {
            Some(_) => self.line(gone).start..(self.line(gone).end + 1).min(self.text.len()),
            None => self.spans[index.saturating_sub(1)].end..gone.end,
        };
        let note = self.note_of(index).map(|it| it.0);
        let mut cuts: Vec<_> = note.into_iter().chain([cut]).collect();
        cuts.sort_by_key(|it| it.start);
        let mut text = self.text.to_owned();
        for cut in cuts.into_iter().rev() {
            text.replace_range(cut, "");
        }
        text
    }

    /// Gives the text without what is noted of this entry.
    pub(super) fn forgetting(&self, index: usize) -> String {
        let mut text = self.text.to_owned();
        if let Some((note, _)) = self.note_of(index) {
            text.replace_range(note, "");
        }
        text
    }

    /// Gives the text with a comment above the list that this entry may go after a time.
    pub(super) fn noting(&self, index: usize, time: Timestamp) -> String {
        let Some(first) = self.spans.first() else {
            return self.text.to_owned();
        };
        let start = self.line(first).start;
        let line = &self.text[start..];
        let indent = &line[..line.len() - line.trim_start_matches(' ').len()];
        let entry = self.entries()[index];
        let note = format!("{indent}{NOTE}{entry}{MAY_GO}{time}\n");
        [&self.text[..start], &note, &self.text[start..]].concat()
    }

    /// Gives after which time an entry may go, where that is noted.
    pub(super) fn may_go(&self, index: usize) -> Option<Timestamp> {
        self.note_of(index).map(|it| it.1)
    }

    /// Gives the line of the note of an entry, with its end.
    fn note_of(&self, index: usize) -> Option<(Range<usize>, Timestamp)> {
        let entry = *self.entries().get(index)?;
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let range = start..start + line.len();
            start = range.end;
            let note = line.trim().strip_prefix(NOTE);
            let time = note
                .and_then(|it| it.strip_prefix(entry))
                .and_then(|it| it.strip_prefix(MAY_GO));
            if let Some(time) = time.and_then(|it| it.parse().ok()) {
                return Some((range, time));
            }
        }
        None
    }

    /// What stands before an entry that has a line of its own, its dash included.
    fn dash(&self, span: &Range<usize>) -> Option<&'t str> {
        let lead = &self.text[self.line(span).start..span.start];
        (lead.trim() == "-").then_some(lead)
    }

    /// The line where an entry begins, without its end.
    fn line(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text[..span.start].rfind('\n').map_or(0, |it| it + 1);
        let rest = self.text[span.end..].find('\n');
        start..rest.map_or(self.text.len(), |it| span.end + it)
    }
}

/// Finds a text where it stands, plain or in quotes.
fn span(text: &str, place: &Place, value: &str) -> Option<Range<usize>> {
    let (line, column) = (place.line as usize, place.column as usize);
    let before: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let rest = text.get(before..)?;
    let start = before + rest.char_indices().nth(column.checked_sub(1)?)?.0;
    let written = [
        value.to_owned(),
        format!("\"{value}\""),
        format!("'{value}'"),
    ];
    let written = written.iter().find(|it| text[start..].starts_with(*it))?;
    Some(start..start + written.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "a: 1 # one\nsigning: { key_files: [old.pem] } # ours\nb: 2\n";
    const BLOCK: &str =
        "signing:\n  # ours\n  key_files:\n    - \"k/old.pem\"  # first\n    - k/older.pem\nb: 2\n";

    fn at(text: &str) -> Listed<'_> {
        Listed::find(text, "key_files").expect("a list")
    }

    #[test]
    fn entries_come_and_go_and_everything_else_stays_as_it_was_written() {
        let added = at(FLOW).with_second("new.pem");
        assert_eq!(added, FLOW.replace("old.pem", "old.pem, new.pem"));
        let swapped = at(&added).with_first(1);
        assert_eq!(swapped, FLOW.replace("old.pem", "new.pem, old.pem"));
        let time: Timestamp = "2026-11-26T20:00:00Z".parse().unwrap();
        let noted = at(&swapped).noting(1, time);
        let note = "# portcullis signing: old.pem may go after 2026-11-26T20:00:00Z\nsigning:";
        assert_eq!(noted, swapped.replace("signing:", note));
        assert_eq!(
            (at(&noted).may_go(0), at(&noted).may_go(1)),
            (None, Some(time))
        );
        assert_eq!(at(&noted).without(1), FLOW.replace("old.pem", "new.pem"));
        assert_eq!(at(&noted).forgetting(1), swapped);

        let added = at(BLOCK).with_second("k/new.pem");
        let line = "# first\n    - \"k/new.pem\"";
        assert_eq!(added, BLOCK.replace("# first", line));
        assert_eq!(
            at(&added).entries(),
            ["k/old.pem", "k/new.pem", "k/older.pem"]
        );
        let swapped = at(&added).with_first(1);
        assert_eq!(
            at(&swapped).entries(),
            ["k/new.pem", "k/old.pem", "k/older.pem"]
        );
        let noted = at(&swapped).noting(2, time);
        assert_eq!(at(&noted).may_go(2), Some(time));
        let gone = at(&noted).without(2);
        assert_eq!(gone, swapped.replace("    - k/older.pem\n", ""));
        assert!(at("signing: {}").entries().is_empty());
    }

    #[test]
    fn what_is_not_found_as_it_is_read_is_not_edited() {
        for strange in [
            "signing: { key_files: [\"a\\x2epem\"] }",
            "signing: { key_files: [1] }",
        ] {
            assert!(Listed::find(strange, "key_files").is_err(), "{strange}");
        }
    }
}
