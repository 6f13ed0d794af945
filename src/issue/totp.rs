//! One-time passwords by time (RFC 6238): six digits, HMAC-SHA-1, steps of 30 seconds, as every
//! authenticator app makes them.
//!
//! It tells which step a code belongs to. That a step is used once is not its business: whoever
//! asks claims the step in the store, where all processes see it.

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use crate::credential::Secret;

/// Seconds in a step (RFC 6238 §4.1).
pub(super) const STEP: u64 = 30;

/// How many steps either side of now are taken: for clocks, and for whoever types slowly
/// (RFC 6238 §5.2; KAZOO's `otp` takes the same).
const DRIFT: u64 = 1;

const DIGITS: u32 = 1_000_000;

/// Gives the step that the code is of, if it is one of those taken now.
pub(super) fn step_of(seed: &Secret, code: &str, now: u64) -> Option<u64> {
    let current = now / STEP;
    let steps = current.saturating_sub(DRIFT)..=current + DRIFT;
    // Each is compared, so that time does not tell which came near.
    let mut found = None;
    for step in steps {
        if at(seed, step).as_bytes().ct_eq(code.as_bytes()).into() {
            found = Some(step);
        }
    }
    found
}

/// RFC 4226 §5.3.
fn at(seed: &Secret, step: u64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(seed.expose()).expect("HMAC takes any key");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash[hash.len() - 1] & 0xf);
    let mut word = [0; 4];
    word.copy_from_slice(&hash[offset..offset + 4]);
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, Appendix B, of which six digits are the last six of eight.
    #[test]
    fn codes_are_those_of_the_standard() {
        let seed = Secret::new(*b"12345678901234567890");
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(at(&seed, now / STEP), code, "{now}");
            assert_eq!(step_of(&seed, code, now), Some(now / STEP));
        }
    }

    #[test]
    fn a_code_is_taken_one_step_either_side_and_no_further() {
        let seed = Secret::new(*b"12345678901234567890");
        let code = at(&seed, 1000);
        let at_step = |step: u64| step_of(&seed, &code, step * STEP + 7);
        assert_eq!(
            [at_step(999), at_step(1000), at_step(1001)],
            [Some(1000); 3]
        );
        assert_eq!([at_step(998), at_step(1002)], [None; 2]);
        for wrong in ["", "0", "12345", "1234567", "abcdef", "00000０"] {
            assert_eq!(step_of(&seed, wrong, 1000 * STEP), None, "{wrong}");
        }
        assert_eq!(
            step_of(&Secret::new(*b"another seed of one"), &code, 1000 * STEP),
            None
        );
    }
}
