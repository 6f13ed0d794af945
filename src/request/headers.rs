//! The headers of a request, each read one way.

use std::fmt;

use crate::credential::MAX_CREDENTIAL_BYTES;
use crate::decision::{Denial, Reason};
use crate::request::names::{fold_bit, folds_to};
use crate::request::{malformed, mistakable_header};

/// The headers of a request, in the order they arrived.
pub struct Headers<'a> {
    all: Vec<Header<'a>>,
    /// The kinds of their names, so that nearly all that are not there are not looked for.
    kinds: u64,
    /// Read once, as several schemes look for theirs in it; `None` where it is refused.
    authorization: Option<Option<Authorization<'a>>>,
}

/// The one value of `Authorization`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Authorization<'a> {
    /// What stands before the first space: the name of a scheme (RFC 9110 §11.4), as sent.
    pub word: &'a str,
    /// What stands behind the spaces; empty where there are none.
    pub rest: &'a str,
}

impl<'a> Authorization<'a> {
    fn of(value: &'a str) -> Self {
        // The word is so short that this is quicker than to search for it.
        let end = value.bytes().position(|it| it == b' ');
        let (word, rest) = value.split_at(end.unwrap_or(value.len()));
        let rest = rest.trim_start_matches(' ');
        Self { word, rest }
    }
}

/// Shows nothing of it: it may be all credential.
impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

impl Default for Headers<'_> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// A name and a value, as they were sent.
pub type Header<'a> = (&'a [u8], &'a [u8]);

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers(..)")
    }
}

impl<'a> From<Vec<Header<'a>>> for Headers<'a> {
    fn from(all: Vec<Header<'a>>) -> Self {
        let kinds = all.iter().fold(0, |kinds, it| kinds | fold_bit(it.0));
        Self::of_kinds(all, kinds)
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a [u8])>>(headers: T) -> Self {
        let headers = headers.into_iter();
        let all: Vec<_> = headers.map(|it| (it.0.as_bytes(), it.1)).collect();
        all.into()
    }
}

impl<'a> Headers<'a> {
    /// Takes headers whose kinds ([`fold_bit`]) are known.
    #[must_use]
    pub fn of_kinds(all: Vec<Header<'a>>, kinds: u64) -> Self {
        let mut headers = Self {
            all,
            kinds,
            authorization: None,
        };
        headers.authorization = headers.read_authorization().ok();
        headers
    }

    /// Gives every value of the header, compared without regard to ASCII case.
    #[inline]
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_bytes();
        let looked_at = match self.kinds & fold_bit(name) {
            0 => &[],
            _ => &self.all[..],
        };
        // Most names are of another length, which costs less to see than a call.
        let is_it = move |it: &[u8]| it.len() == name.len() && it.eq_ignore_ascii_case(name);
        looked_at
            .iter()
            .filter(move |it| is_it(it.0))
            .map(|it| it.1)
    }

    /// Gives every entry of a header that is a list.
    pub(super) fn entries(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let values = self.all(name);
        values.flat_map(|it| it.split(|byte| *byte == b','))
    }

    /// Tells whether the client asks that the header be dropped on the way (RFC 9110 §7.6.1). Envoy does not drop it, and
    /// passes that on where it passes an upgrade on; the next proxy may.
    #[must_use]
    pub fn are_to_drop(&self, name: &str) -> bool {
        let mut dropped = self.entries("connection");
        dropped.any(|it| folds_to(it.trim_ascii(), name))
    }

    /// Gives the names as they were spelled.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.all.iter().map(|it| it.0)
    }

    /// Gives what stands in `Authorization`; `None` where it is absent or empty.
    ///
    /// # Errors
    /// As [`Headers::single`].
    pub fn authorization(&self) -> Result<Option<Authorization<'a>>, Denial> {
        self.authorization
            .map_or_else(|| self.read_authorization(), Ok)
    }

    fn read_authorization(&self) -> Result<Option<Authorization<'a>>, Denial> {
        let value = self.single("authorization")?;
        Ok(value.map(Authorization::of))
    }

    /// Tells whether the header is there with any value.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// As [`Headers::single`], for a header that a verdict depends on and that upstreams may read
    /// under a name that only looks alike (such as `_` for `-`): such a name is refused.
    ///
    /// # Errors
    /// As there, and for a look-alike.
    pub fn single_unmistakable(&self, name: &str) -> Result<Option<&'a str>, Denial> {
        if self.have_alike(name) {
            return Err(mistakable_header());
        }
        self.single(name)
    }

    /// Tells whether there is a header under a name that is not this one and that an upstream could take for it.
    #[must_use]
    pub fn have_alike(&self, name: &str) -> bool {
        let alike = |it: &[u8]| folds_to(it, name) && !it.eq_ignore_ascii_case(name.as_bytes());
        self.kinds & fold_bit(name.as_bytes()) != 0 && self.names().any(alike)
    }

    /// Gives the header's one value, trimmed; `None` where it is absent or empty.
    ///
    /// # Errors
    /// A denial where the value is not one: sent twice, merged by Envoy with a comma, longer than
    /// any credential, or not printable ASCII (RFC 9110 §5.5).
    pub fn single(&self, name: &str) -> Result<Option<&'a str>, Denial> {
        let mut values = self.all(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let is_alone = values.next().is_none();
        single_value(value, is_alone)
    }
}

fn single_value(value: &[u8], is_alone: bool) -> Result<Option<&str>, Denial> {
    // Without an early end and in bytes, which lets the compiler look at many at a time.
    let (unprintable, commas) = value.iter().fold((0, 0), |(unprintable, commas), byte| {
        let is_unprintable = byte.wrapping_sub(b' ') > b'~' - b' ';
        let is_comma = *byte == b',';
        (
            unprintable | u8::from(is_unprintable),
            commas | u8::from(is_comma),
        )
    });
    if !is_alone || commas != 0 {
        return Err(malformed(
            "a header that carries one value was sent with several",
        ));
    }
    if value.len() > MAX_CREDENTIAL_BYTES {
        return Err(Denial::new(
            Reason::TooLarge,
            "a header is longer than any credential",
        ));
    }
    if unprintable != 0 {
        return Err(malformed("a header holds bytes that no credential holds"));
    }
    // Spaces: no other white space is printable.
    let text = std::str::from_utf8(value.trim_ascii()).expect("printable ASCII is UTF-8");
    Ok(Some(text).filter(|it| !it.is_empty()))
}
