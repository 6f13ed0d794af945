//! How a string is written inside each kind of text so that it cannot become anything but a string.
//!
//! Apart from the templates, because these functions meet bytes from the network: what stands in a
//! `Path` or a `RequestId` was chosen by whoever sent the request. Nothing here fails: what a text
//! cannot carry is replaced.

use std::fmt::Write;

/// The kind of text that a string is written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// A header field value, RFC 9110 §5.5: bytes outside printable ASCII are percent-encoded.
    Header,
    /// The inside of a JSON string, RFC 8259 §7, without its quotation marks.
    Json,
    /// Plain text: nothing is special.
    Text,
    /// XML 1.0 character data, §2.4, between tags; not fit for an attribute.
    Xml,
}

impl Escape {
    /// Appends `text`, escaped, to `out`.
    pub fn push(self, text: &str, out: &mut String) {
        match self {
            Self::Header => push_header(text, out),
            Self::Json => push_json(text, out),
            Self::Text => out.push_str(text),
            Self::Xml => push_xml(text, out),
        }
    }
}

fn push_header(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' => out.push(char::from(byte)),
            other => push_formatted(out, format_args!("%{other:02X}")),
        }
    }
}

fn push_json(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // JSON allows the two separators as they are, but JavaScript before ES2019 ends a line there.
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                push_formatted(out, format_args!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
}

fn push_xml(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Written as it is, a reader would turn it into a line feed (XML 1.0 §2.11).
            '\r' => out.push_str("&#13;"),
            // Outside the production Char (XML 1.0 §2.2), hence not even a reference may name it.
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            other => out.push(other),
        }
    }
}

fn push_formatted(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::Escape;
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    fn escaped(escape: Escape, text: &str) -> String {
        let mut out = String::new();
        escape.push(text, &mut out);
        out
    }

    /// Unlike `any::<String>()`, with control characters.
    fn strings() -> impl Strategy<Value = String> {
        vec(any::<char>(), 0..24).prop_map(String::from_iter)
    }

    /// The production Char, XML 1.0 §2.2; a `char` is never a surrogate.
    fn is_xml_character(character: char) -> bool {
        matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
    }

    #[test]
    fn each_text_keeps_what_it_can_and_escapes_the_rest() {
        let rows = [
            ("plain", Escape::Json, "Ünïcode 👍", "Ünïcode 👍"),
            ("quote and backslash", Escape::Json, "\"\\/", "\\\"\\\\/"),
            (
                "controls",
                Escape::Json,
                "\0\x08\t\n\r\x1f\x7f",
                "\\u0000\\u0008\\t\\n\\r\\u001f\x7f",
            ),
            (
                "line separators",
                Escape::Json,
                "\u{2028}\u{2029}",
                "\\u2028\\u2029",
            ),
            (
                "markup",
                Escape::Xml,
                "<a b='c'>&amp;]]>",
                "&lt;a b='c'&gt;&amp;amp;]]&gt;",
            ),
            ("white space", Escape::Xml, "\t\n\r", "\t\n&#13;"),
            (
                "not in XML 1.0",
                Escape::Xml,
                "\0\x0b\x1f\u{fffe}",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            (
                "split response",
                Escape::Header,
                "/a\r\nset-cookie: x",
                "/a%0D%0Aset-cookie: x",
            ),
            ("not ASCII", Escape::Header, "é\x7f\t", "%C3%A9%7F%09"),
            ("text", Escape::Text, "<\"\\&\n", "<\"\\&\n"),
        ];
        for (name, escape, input, want) in rows {
            assert_eq!(escaped(escape, input), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_json_reader_gets_the_string_back(text in strings()) {
            let quoted = format!("\"{}\"", escaped(Escape::Json, &text));
            let back: String = serde_json::from_str(&quoted).expect("valid JSON");
            prop_assert_eq!(back, text);
        }

        #[test]
        fn xml_text_holds_no_markup_and_no_forbidden_character(text in strings()) {
            let out = escaped(Escape::Xml, &text);
            prop_assert!(!out.contains(['<', '>']));
            for reference in out.split('&').skip(1) {
                prop_assert!(["lt;", "gt;", "amp;", "#13;"].iter().any(|it| reference.starts_with(it)));
            }
            prop_assert!(out.chars().all(is_xml_character));
        }

        #[test]
        fn a_header_value_is_printable_ascii(text in strings()) {
            prop_assert!(escaped(Escape::Header, &text).bytes().all(|it| (b' '..=b'~').contains(&it)));
        }
    }
}
