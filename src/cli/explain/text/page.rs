//! The page that a report is written on: labels at the left, text behind a margin, nothing wider
//! than the page.
//!
//! What came over the network may hold anything, so control characters are written out: no request
//! changes the terminal of whoever looks at it.

/// How wide the page is, in characters.
pub(super) const WIDTH: usize = 100;

/// Where text begins, behind the label.
pub(super) const MARGIN: usize = 14;

/// Text, laid out row by row.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Writes a label and what belongs to it.
    pub(super) fn row(&mut self, label: &str, text: impl AsRef<str>) {
        self.hang(label, 0, text.as_ref());
    }

    /// Writes more of the row above.
    pub(super) fn more(&mut self, text: impl AsRef<str>) {
        self.hang("", 0, text.as_ref());
    }

    /// Writes a word in a column of its own, and what belongs to it.
    pub(super) fn item(&mut self, label: &str, column: usize, word: &str, text: &str) {
        let word = format!("{:column$}  ", printable(word));
        let indent = word.chars().count();
        self.hang(label, indent, &format!("{word}{text}"));
    }

    /// Wraps text behind a label; all lines but the first stand `indent` further in.
    pub(super) fn hang(&mut self, label: &str, indent: usize, text: &str) {
        let width = WIDTH - MARGIN;
        let indent = indent.min(width / 2);
        for (number, line) in wrap(&printable(text), width, indent).iter().enumerate() {
            let (label, indent) = if number == 0 {
                (label, 0)
            } else {
                ("", indent)
            };
            let line = format!("{label:MARGIN$}{:indent$}{line}", "");
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Writes out what a terminal would obey.
fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for it in text.chars() {
        if it.is_control() || is_bidirectional(it) {
            printed.extend(it.escape_unicode());
        } else {
            printed.push(it);
        }
    }
    printed
}

/// Tells whether a character turns text around (Unicode TR 9 §2): what is shown would not be what is there.
fn is_bidirectional(it: char) -> bool {
    matches!(it, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Leaves the middle of a long word out.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - 8).collect();
    let begin: String = text.chars().take(width - 9).collect();
    format!("{begin}…{end}")
}

/// Breaks text into lines, at spaces where there are some. All but the first are narrower by
/// `indent`. Spaces within a line are kept.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    loop {
        let width = if lines.is_empty() {
            width
        } else {
            width - indent
        };
        if rest.len() <= width {
            lines.push(rest.into_iter().collect());
            return lines;
        }
        let space = rest[..=width].iter().rposition(|it| *it == ' ');
        // A break in the hanging word itself would leave a line without text.
        let at = space.filter(|it| *it > indent).unwrap_or(width);
        let after = if rest[at] == ' ' { at + 1 } else { at };
        let next = rest.split_off(after);
        lines.push(rest.into_iter().collect::<String>().trim_end().to_owned());
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_within_words_only_where_they_must() {
        let cases: [(&str, usize, &[&str]); 5] = [
            ("", 0, &[""]),
            ("one two", 0, &["one two"]),
            ("one two three", 0, &["one two", "three"]),
            ("one two three", 4, &["one two", "thre", "e"]),
            ("onetwothree", 0, &["onetwoth", "ree"]),
        ];
        for (text, indent, want) in cases {
            assert_eq!(wrap(text, 8, indent), want, "{text}");
        }
    }

    #[test]
    fn nothing_from_the_network_reaches_the_terminal_as_a_command() {
        let mut page = Page::default();
        page.row("request", "GET /\x1b[2J\r\n\u{202e}x");
        assert_eq!(
            page.text,
            "request       GET /\\u{1b}[2J\\u{d}\\u{a}\\u{202e}x\n"
        );
    }
}
