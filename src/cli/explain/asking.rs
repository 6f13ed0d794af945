//! From the command line to the message that Envoy would send.
//!
//! What is asked holds credentials, so no error repeats any of it.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;

use crate::cli::CommandError;
use crate::cli::explain::Arguments;
use crate::credential::Secret;
use crate::envoy::question::{self, Question};
use crate::request::is_token_byte;

/// As much as the Check RPC takes (tonic's limit of a message).
const MAX_INPUT_BYTES: usize = 4 * 1024 * 1024;

/// Reads a file of the command line; `-` is standard input.
fn read(name: &str) -> Result<Vec<u8>, CommandError> {
    let bounded = |it: &mut dyn Read| {
        let mut bytes = Vec::new();
        let limit = MAX_INPUT_BYTES as u64 + 1;
        it.take(limit).read_to_end(&mut bytes).map(|_| bytes)
    };
    let read = match name {
        "-" => bounded(&mut io::stdin().lock()),
        _ => File::open(name).and_then(|mut it| bounded(&mut it)),
    };
    let bytes = read.map_err(|it| CommandError::usage(format!("{name} cannot be read: {it}")))?;
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(CommandError::usage(format!(
            "{name} is larger than a Check can be"
        )));
    }
    Ok(bytes)
}

/// Gives the message that the arguments stand for.
///
/// # Errors
/// Wrong usage, in words for whoever typed it.
pub fn message(arguments: &Arguments) -> Result<Bytes, CommandError> {
    if let Some(file) = &arguments.request {
        let message = question::read(&read(file)?);
        return message.map_err(|it| CommandError::usage(format!("{file}: {it}")));
    }
    let url = arguments.url.as_ref().and_then(Secret::expose_str);
    let url = url.ok_or_else(|| CommandError::usage("say a URL, or --request FILE"))?;
    let url = Url::parse(url).map_err(CommandError::usage)?;
    let mut headers = Vec::new();
    for argument in &arguments.headers {
        add_headers(&mut headers, argument.expose_str().unwrap_or_default())?;
    }
    if !headers.iter().any(|it| it.0 == "x-forwarded-proto") {
        headers.push(("x-forwarded-proto".to_owned(), url.scheme.to_owned()));
    }
    // As curl does: the last word on whom it is sent to.
    let host = headers.iter().position(|it| it.0 == "host");
    let host = host.map(|it| headers.remove(it).1);
    let question = Question {
        method: &arguments.method,
        scheme: url.scheme,
        authority: host.as_deref().unwrap_or(url.authority),
        target: &url.target,
        headers: &headers,
        peer: arguments.peer,
        platform: arguments.platform.as_deref(),
    };
    Ok(question.message())
}

/// Adds the header of a `-H`, or those of the file that it names.
fn add_headers(headers: &mut Vec<(String, String)>, argument: &str) -> Result<(), CommandError> {
    let Some(file) = argument.strip_prefix('@') else {
        let unreadable = "-H is 'Name: value' or @FILE; in quotes, as there is a space in it";
        headers.push(header(argument).ok_or_else(|| CommandError::usage(unreadable))?);
        return Ok(());
    };
    let text = String::from_utf8(read(file)?)
        .map_err(|_| CommandError::usage(format!("{file} is not UTF-8")))?;
    let lines = text.lines().enumerate();
    for (index, line) in lines.filter(|it| !it.1.trim().is_empty()) {
        let unreadable =
            || CommandError::usage(format!("{file}, line {}: not 'Name: value'", index + 1));
        headers.push(header(line).ok_or_else(unreadable)?);
    }
    Ok(())
}

/// Reads `Name: value`, the name in lower case as Envoy sends it.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_name = !name.is_empty() && name.bytes().all(is_token_byte);
    is_name.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// A URL, cut into what Envoy tells of it. Nothing is decoded or put right.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Url<'u> {
    scheme: &'static str,
    authority: &'u str,
    /// Path and query.
    target: String,
}

impl<'u> Url<'u> {
    fn parse(text: &'u str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "http",
            "https" => "https",
            _ => return Err("a URL begins with http:// or https://"),
        };
        // A fragment never leaves the client (RFC 9110 §7.1).
        let rest = rest.split_once('#').map_or(rest, |it| it.0);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() {
            return Err("the URL names no host");
        }
        if authority.contains('@') {
            return Err("credentials come in headers (-H), not before the host of the URL");
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            scheme,
            authority,
            target: format!("{slash}{target}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_and_not_put_right() {
        let cases = [
            ("https://a.example/b", ("https", "a.example", "/b")),
            ("HTTP://a.example:80", ("http", "a.example:80", "/")),
            ("https://a?b=/c", ("https", "a", "/?b=/c")),
            ("https://a/b#c?d", ("https", "a", "/b")),
            ("https://[::1]:8/", ("https", "[::1]:8", "/")),
            (
                "https://a//b/../%2e;c?d=%zz",
                ("https", "a", "//b/../%2e;c?d=%zz"),
            ),
        ];
        for (text, (scheme, authority, target)) in cases {
            let target = target.to_owned();
            let want = Url {
                scheme,
                authority,
                target,
            };
            assert_eq!(Url::parse(text), Ok(want), "{text}");
        }
        for bad in [
            "",
            "a.example/b",
            "ftp://a/",
            "https:///b",
            "https://u:p@a/",
            "https:/a",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_is_a_name_a_colon_and_a_value() {
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        let cases = [
            ("X-One: 1", pair("x-one", "1")),
            ("x-one:a: b ", pair("x-one", "a: b")),
            ("x-empty:", pair("x-empty", "")),
            ("no colon", None),
            (": x", None),
            (":path: /x", None),
            ("a b: c", None),
        ];
        for (line, want) in cases {
            assert_eq!(header(line), want, "{line}");
        }
    }
}
