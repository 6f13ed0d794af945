//! Names of headers.

/// Tells whether an upstream could take one name for the other: case, and `_`, `.` or any other sign for `-`. Where
/// headers become variables (RFC 3875 §4.1.18), some servers write `_` for `-` alone, and some for all that is neither a
/// letter nor a digit (lighttpd, `http_cgi_encode_varname`).
#[must_use]
pub fn folds_to(sent: &[u8], name: &str) -> bool {
    sent.len() == name.len() && sent.iter().copied().map(fold).eq(name.bytes().map(fold))
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// Gives a bit that is the same for all names that fold to one another ([`folds_to`]), and another for most others.
#[must_use]
pub fn fold_bit(name: &[u8]) -> u64 {
    let [first, .., last] = name else {
        return 1;
    };
    let kind = usize::from(fold(*first)) * 5 + usize::from(fold(*last)) * 3 + name.len();
    1 << (kind % 64)
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
