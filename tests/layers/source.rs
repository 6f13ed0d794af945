//! Rust sources, taken apart just far enough to see which modules they name.
//!
//! Apart from the rules, which are the reason to read them. It is no parser: it knows words, marks
//! and texts, leaves out comments and whatever stands under `#[cfg(test)]`, and follows `crate::…`
//! and `super::…`, in `use` items with all their branches and in the midst of code. Macros from
//! elsewhere are not looked into.

#![allow(unreachable_pub, reason = "a part of one test")]

use std::fs;
use std::path::Path;

/// A file of `src/`, without comments and test code.
#[derive(Debug)]
pub struct Source {
    /// From the root of the project, as `src/envoy/answer.rs`.
    pub path: String,
    /// Every line, as it was read.
    pub text: String,
    pub tokens: Vec<Token>,
    /// Modules that only tests have, in files of their own: `#[cfg(test)] mod scripted;`.
    test_modules: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
    pub is_literal: bool,
}

/// A path of modules and items from the root of the crate, and where it is named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Source {
    /// Reads all files of `src/` that are more than test code.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let mut unread = vec![root.join("src")];
        while let Some(path) = unread.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(&path).expect("a readable directory");
                unread.extend(entries.map(|it| it.expect("a readable entry").path()));
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(root).expect("below the root");
                let text = fs::read_to_string(&path).expect("a readable file");
                files.push(Self::parse(&name.display().to_string(), &text));
            }
        }
        let only_for_tests: Vec<_> = files
            .iter()
            .flat_map(|it| it.test_modules.iter().map(|name| it.child(name)))
            .collect();
        files.retain(|it| !only_for_tests.contains(&it.modules()));
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    pub fn parse(path: &str, text: &str) -> Self {
        let (tokens, test_modules) = without_tests(&tokens(text));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            test_modules,
        }
    }

    /// Gives the module that the file is, from the root of the crate; nothing for the root itself.
    pub fn modules(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let modules = path.split('/').map(str::to_owned);
        modules.filter(|it| it != "lib" && it != "main").collect()
    }

    fn child(&self, name: &str) -> Vec<String> {
        let mut modules = self.modules();
        modules.push(name.to_owned());
        modules
    }

    /// Gives every path from the root of the crate that the file names.
    pub fn names(&self) -> Vec<Named> {
        let mut found = Vec::new();
        for at in 0..self.tokens.len() {
            let begins = at == 0 || self.tokens[at - 1].text != "::";
            if let ("crate" | "super", true) = (self.tokens[at].text.as_str(), begins) {
                let base = match self.tokens[at].text.as_str() {
                    "super" => self.modules(),
                    _ => Vec::new(),
                };
                if self.text_at(at + 1) == "::" || base.is_empty() && !self.is_visibility(at) {
                    self.follow(at, base, &mut found);
                }
            }
        }
        found
    }

    /// Tells whether `crate` stands in `pub(crate)`.
    fn is_visibility(&self, at: usize) -> bool {
        self.text_at(at + 1) == ")"
    }

    /// Follows a path from its word at `at`, into every branch; gives where it ends.
    fn follow(&self, mut at: usize, mut segments: Vec<String>, found: &mut Vec<Named>) -> usize {
        let line = self.tokens[at].line;
        loop {
            match self.text_at(at) {
                "crate" | "self" => {}
                "super" => drop(segments.pop()),
                "{" => return self.follow_branches(at + 1, &segments, found),
                word => segments.push(word.to_owned()),
            }
            if self.text_at(at + 1) != "::" || self.text_at(at + 2) == "<" {
                found.push(Named { segments, line });
                return at + 1;
            }
            at += 2;
        }
    }

    fn follow_branches(&self, mut at: usize, base: &[String], found: &mut Vec<Named>) -> usize {
        while at < self.tokens.len() && self.text_at(at) != "}" {
            at = self.follow(at, base.to_vec(), found);
            while !matches!(self.text_at(at), "," | "}" | "") {
                at += 1; // `as` and the other name
            }
            if self.text_at(at) == "," {
                at += 1;
            }
        }
        at + 1
    }

    fn text_at(&self, at: usize) -> &str {
        let token = self.tokens.get(at).filter(|it| !it.is_literal);
        token.map_or("", |it| &it.text)
    }
}

/// Leaves out what stands under `#[cfg(test)]`; gives the names of modules that it declares.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let texts = rest.iter().map(|it| it.text.as_str());
        if !texts.take(MARK.len()).eq(MARK) {
            kept.push(first.clone());
            rest = &rest[1..];
            continue;
        }
        let item = &rest[MARK.len()..];
        let length = item_length(item);
        if let [.., module, name, end] = &item[..length]
            && (module.text.as_str(), end.text.as_str()) == ("mod", ";")
        {
            modules.push(name.text.clone());
        }
        rest = &item[length..];
    }
    (kept, modules)
}

/// The length of an item: to the `;` or the `}` that ends it, attributes included.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().filter(|it| !it.1.is_literal) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Divides a text into words, marks and literals; comments and characters are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        let (length, kind) = first_token(rest);
        let (token, after) = rest.split_at(length);
        rest = after;
        if kind != Kind::Nothing {
            tokens.push(Token {
                text: token.to_owned(),
                line,
                is_literal: kind == Kind::Literal,
            });
        }
        line += token.matches('\n').count();
    }
    tokens
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Literal,
    Nothing,
    Plain,
}

/// The length in bytes of what `text` begins with, and what that is.
fn first_token(text: &str) -> (usize, Kind) {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let first = text.chars().next().expect("not empty");
    let word = text.find(|it| !is_word(it)).unwrap_or(text.len());
    let behind_word = &text[word..];
    match first {
        '/' if text.starts_with("//") => (text.find('\n').unwrap_or(text.len()), Kind::Nothing),
        '/' if text.starts_with("/*") => (comment_length(text), Kind::Nothing),
        '"' => (string_length(text), Kind::Literal),
        '\'' => (character_length(text), Kind::Nothing),
        ':' if text.starts_with("::") => (2, Kind::Plain),
        _ if word == 0 && first.is_whitespace() => (first.len_utf8(), Kind::Nothing),
        _ if word == 0 => (first.len_utf8(), Kind::Plain),
        _ if matches!(&text[..word], "r" | "br" | "cr") && raw_length(behind_word).is_some() => {
            (word + raw_length(behind_word).unwrap_or(0), Kind::Literal)
        }
        _ if matches!(&text[..word], "b" | "c") && behind_word.starts_with('"') => {
            (word + string_length(behind_word), Kind::Literal)
        }
        _ => (word, Kind::Plain),
    }
}

fn comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `#"…"#`, with any number of `#`; `None` where it is something else.
fn raw_length(text: &str) -> Option<usize> {
    let hashes = text.find(|it| it != '#')?;
    let inside = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end)?;
    Some(hashes + 1 + length + end.len())
}

/// The length of a character, or of the mark before a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            let closing = text[escaped + 1..].find('\'');
            closing.map_or(text.len(), |it| escaped + 2 + it)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}
