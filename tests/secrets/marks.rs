//! Secrets that are looked for, in every form in which they could have been written.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// What is looked for.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<(String, Vec<String>)>);

impl Marks {
    /// Looks for a secret from now on; `name` is how failures call it.
    pub(super) fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 8, "{name} could stand anywhere by chance");
        let hex: String = secret.bytes().map(|it| format!("{it:02x}")).collect();
        let escaped: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let mut forms = vec![secret.to_owned(), hex.to_uppercase(), hex, escaped];
        for before in 0..3 {
            forms.push(inside_base64(secret, before, |it| {
                BASE64_STANDARD_NO_PAD.encode(it)
            }));
            forms.push(inside_base64(secret, before, |it| {
                BASE64_URL_SAFE_NO_PAD.encode(it)
            }));
        }
        forms.sort();
        forms.dedup();
        self.0.push((name.to_owned(), forms));
    }

    /// Names each secret that stands in the text, with what stands around it.
    pub(super) fn found_in(&self, text: &str) -> Vec<String> {
        let found = self.0.iter().filter_map(|(name, forms)| {
            let at = forms.iter().find_map(|it| text.find(it.as_str()))?;
            let before: String = text[..at].chars().rev().take(200).collect();
            let before: String = before.chars().rev().collect();
            let after: String = text[at..].chars().take(120).collect();
            Some(format!("{name}: …{before}>>>{after}…"))
        });
        found.collect()
    }
}

/// Gives what of a text is the same in the base64 of all that it stands in, `before` bytes behind a multiple of three.
fn inside_base64(text: &str, before: usize, encode: impl Fn(&[u8]) -> String) -> String {
    let padded = [&vec![0; before][..], text.as_bytes()].concat();
    let encoded = encode(&padded);
    let first = (before * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded[first..last].to_owned()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let mut marks = Marks::default();
    marks.add("it", "MARKED-secret?");
    for before in ["", "a", "ab", "abc:"] {
        for after in ["", "x", "xy"] {
            let text = format!("{before}MARKED-secret?{after}");
            let hex: String = text.bytes().map(|it| format!("{it:02x}")).collect();
            for written in [
                BASE64_STANDARD_NO_PAD.encode(&text),
                BASE64_URL_SAFE_NO_PAD.encode(&text),
                hex,
                text,
            ] {
                assert_eq!(marks.found_in(&written).len(), 1, "{written}");
            }
        }
    }
    assert!(marks.found_in("MARKED-secret").is_empty());
    assert_eq!(marks.found_in("MARKED-secret%3F").len(), 1);
}
