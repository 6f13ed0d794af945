//! Where credentials stand in a request: as settings name the places, and as requests fill them.
//!
//! Apart from the schemes because each place is read one way for all of them. What was found is not
//! decoded here.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::Place;
use crate::decision::{Denial, Reason};
use crate::request::{Authorization, RequestView, is_reserved_header, is_token_byte};
use crate::scheme::{Challenge, Conflict, Reading, SchemeCase};

/// Where a scheme's credential may stand, as a setting writes it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Source {
    /// `{ authorization: App }`: behind this word in the `Authorization` header.
    Authorization(String),
    /// `{ header: x-my-key }`: the whole value of this header.
    Header(String),
    /// `{ query: apiKey }`: a query parameter, in this case.
    Query(String),
}

/// Parses the places of a scheme.
///
/// # Errors
/// What is wrong with them.
pub fn parse_places(from: &[Source]) -> Result<Vec<Place>, &'static str> {
    let token = |it: &str| !it.is_empty() && it.bytes().all(is_token_byte);
    let place = |it: &Source| match it {
        Source::Authorization(word) if token(word) => {
            Ok(Place::Authorization(word.as_str().into()))
        }
        Source::Header(name) if name.eq_ignore_ascii_case("authorization") => {
            Err("write `{ authorization: WORD }` to read behind a word of the Authorization header")
        }
        Source::Header(name) if token(name) && !is_reserved_header(name) => {
            Ok(Place::Header(name.to_ascii_lowercase().into()))
        }
        Source::Query(name) if token(name) => Ok(Place::Query(name.as_str().into())),
        Source::Authorization(_) => {
            Err("the word of an Authorization scheme is a token (RFC 9110)")
        }
        Source::Header(_) => Err("not a header that can carry a credential"),
        Source::Query(_) => Err("the name of a query parameter holds letters, digits, `-._~` here"),
    };
    if from.is_empty() {
        return Err("name at least one place, such as `{ header: x-my-key }`");
    }
    from.iter().map(place).collect()
}

/// Finds what stands at a scheme's places.
///
/// # Errors
/// A denial where a place holds something unreadable, or two places hold different things and the
/// platform has no precedence.
pub(crate) fn find<'r>(
    request: &RequestView<'r>,
    places: &[Place],
    reading: Reading,
) -> Result<Option<(Place, Cow<'r, str>)>, Denial> {
    let mut found: Option<(Place, Cow<'r, str>)> = None;
    for place in places {
        let value = match place {
            Place::Authorization(word) => behind_word(request, word, reading)?.map(Cow::Borrowed),
            Place::Certificate => None,
            Place::Header(name) => request.headers.single(name)?.map(Cow::Borrowed),
            Place::Query(name) => request.query.single(name)?,
        };
        match (value, &found) {
            (Some(value), None) if reading.conflict == Conflict::Precedence => {
                return Ok(Some((place.clone(), value)));
            }
            (Some(value), None) => found = Some((place.clone(), value)),
            (Some(value), Some(first)) if value != first.1 => {
                return Err(Denial::new(
                    Reason::Conflict,
                    "one scheme's credential stands in two places",
                ));
            }
            (Some(_) | None, _) => {}
        }
    }
    Ok(found)
}

/// Gives the challenge of a scheme that reads behind a word of `Authorization`; of another, none,
/// since no name is registered that a client could answer to.
pub(crate) fn challenge_of(places: &[Place]) -> Option<Challenge> {
    places.iter().find_map(|it| match it {
        Place::Authorization(word) => Some(Challenge {
            scheme: word.to_string(),
            parameters: "",
        }),
        Place::Certificate | Place::Header(_) | Place::Query(_) => None,
    })
}

/// Tells whether the text is this many hexadecimal digits in lower case.
pub(crate) fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

fn behind_word<'r>(
    request: &RequestView<'r>,
    word: &str,
    reading: Reading,
) -> Result<Option<&'r str>, Denial> {
    let Some(Authorization { word: sent, rest }) = request.headers.authorization()? else {
        return Ok(None);
    };
    let same = match reading.scheme_case {
        SchemeCase::Exact => sent == word,
        SchemeCase::Insensitive => sent.eq_ignore_ascii_case(word),
    };
    match (same, rest.is_empty()) {
        (false, _) => Ok(None),
        (true, false) => Ok(Some(rest)),
        (true, true) => Err(Denial::new(
            Reason::Malformed,
            "a scheme word without a credential",
        )),
    }
}
