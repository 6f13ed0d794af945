//! Names of headers.

/// Tells whether an upstream could take one name for the other: case, and `_`, `.` or any other sign for `-`. Where
/// headers become variables (RFC 3875 §4.1.18), some servers write `_` for `-` alone, and some for all that is neither a
/// letter nor a digit (lighttpd, `http_cgi_encode_varname`).
#[must_use]
pub fn folds_to(sent: &[u8], name: &str) -> bool {
    sent.len() == name.len() && sent.iter().copied().map(fold).eq(name.bytes().map(fold))
}

fn fold(byte: u8) -> u8 {
    FOLDED[usize::from(byte)]
}

/// What each byte of a name folds to.
static FOLDED: [u8; 256] = {
    let mut folded = [b'-'; 256];
    let mut byte = 0;
    while byte < folded.len() {
        if (byte as u8).is_ascii_alphanumeric() {
            folded[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    folded
};

/// Tells whether a byte of a name is neither a letter, a digit nor `-`.
#[must_use]
pub fn is_sign(byte: u8) -> bool {
    byte != b'-' && fold(byte) == b'-'
}

/// Gives a bit that is the same for all names that fold to one another ([`folds_to`]), and another for most others.
#[must_use]
pub fn fold_bit(name: &[u8]) -> u64 {
    match name {
        [first, .., last] => bit(fold(*first), fold(*last), name.len()),
        _ => 1,
    }
}

/// Makes of numbers that differ anywhere such as differ in their highest bits, most of them.
#[must_use]
pub fn spread(number: u64) -> u64 {
    // Odd, and without a pattern: 2⁶⁴ over the golden ratio.
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn bit(first: u8, last: u8, length: usize) -> u64 {
    let parts = u64::from(first) << 16 | u64::from(last) << 8 | (length as u64 & 0xff);
    1 << (spread(parts) >> 58)
}

/// Tells whether the byte may stand in a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Headers that Envoy or HTTP itself needs (envoy.proto `OkHttpResponse`): removing or setting
/// them breaks the request, so they can be neither credential places nor identity headers.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "",
    ];
    let name = name.to_ascii_lowercase();
    let prefixes = [":", "proxy-", "x-envoy-", "x-forwarded-"];
    NAMES.contains(&name.as_str()) || prefixes.iter().any(|it| name.starts_with(it))
}
