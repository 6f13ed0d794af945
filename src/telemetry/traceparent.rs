//! Which trace a request belongs to (W3C Trace Context §3.2.2).

/// A span that another is part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether whoever began the trace wants its spans.
    pub sampled: bool,
}

impl Parent {
    /// Reads a `traceparent`; `None` where it is none, and a trace begins here.
    #[must_use]
    pub fn read(traceparent: &[u8]) -> Option<Self> {
        let parts = Parts::of(traceparent)?;
        let [flags] = bytes(parts.flags)?;
        Some(Self {
            trace: bytes(parts.trace)?,
            span: bytes(parts.parent)?,
            sampled: flags & 1 != 0,
        })
    }
}

/// How long a `traceparent` is that has four parts.
const WHOLE: usize = 55;

/// The parts of a `traceparent`, in hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'t> {
    pub(super) trace: &'t [u8],
    parent: &'t [u8],
    flags: &'t [u8],
}

impl<'t> Parts<'t> {
    pub(super) fn of(traceparent: &'t [u8]) -> Option<Self> {
        let (whole, more) = traceparent.split_first_chunk::<WHOLE>()?;
        let part = |begin: usize, length: usize| {
            let part = &whole[begin..begin + length];
            // Without an early end, which lets the compiler look at many at a time.
            let is_hex = part.iter().fold(true, |hex, it| {
                hex & matches!(it, b'0'..=b'9' | b'a'..=b'f')
            });
            is_hex.then_some(part)
        };
        let (version, trace) = (part(0, 2)?, part(3, 32)?);
        let (parent, flags) = (part(36, 16)?, part(53, 2)?);
        let are_parted = whole[2] == b'-' && whole[35] == b'-' && whole[52] == b'-';
        // Version 0 has four parts; later ones may have more.
        let ends = match more.first() {
            None => true,
            Some(byte) => *byte == b'-' && version != b"00" && str::from_utf8(more).is_ok(),
        };
        let is_zero = |it: &[u8]| it.iter().all(|it| *it == b'0');
        let is_one = are_parted && ends && version != b"ff" && !is_zero(trace) && !is_zero(parent);
        is_one.then_some(Self {
            trace,
            parent,
            flags,
        })
    }
}

/// Reads hexadecimal digits.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let pairs = digits.as_chunks::<2>().0;
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let pair = str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    (pairs.len() == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_what_the_standard_says_and_nothing_else() {
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        let span = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();
        let parent = |sampled| {
            Some(Parent {
                trace,
                span,
                sampled,
            })
        };
        let text = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (name, it, want) in [
            ("sampled", format!("00-{text}-01"), parent(true)),
            ("not sampled", format!("00-{text}-00"), parent(false)),
            ("other flags", format!("00-{text}-fe"), parent(false)),
            (
                "a later version",
                format!("cc-{text}-01-more"),
                parent(true),
            ),
            ("more", format!("00-{text}-01-more"), None),
            ("no version", format!("ff-{text}-01"), None),
            ("no flags", format!("00-{text}"), None),
            ("capitals", format!("00-{}-01", text.to_uppercase()), None),
            (
                "no trace",
                format!("00-{}-01", text.replace(|it| it != '-', "0")),
                None,
            ),
            ("nothing", String::new(), None),
        ] {
            assert_eq!(Parent::read(it.as_bytes()), want, "{name}");
        }
    }
}
