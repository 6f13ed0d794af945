//! The second factor of a login: KAZOO 5's `otp`, a code by time (RFC 6238).
//!
//! Unlike KAZOO it never fails open: where one is demanded and cannot be given, nobody gets in. A
//! code is good once, whatever process it is sent to.

use std::time::Duration;

use serde_json::{Value, json};

use crate::decision::{Denial, Failure, Reason};
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::core::Core;
use crate::issue::crossbar::envelope;
use crate::issue::crossbar::token::Bearer;
use crate::issue::totp;

/// How long a code that was used is remembered: as long as it would be taken, and for clocks.
const REMEMBERED: Duration = Duration::from_secs(10 * totp::STEP);

/// What came of it.
pub(super) enum Factor {
    /// It is asked for.
    Asked(Answer),
    /// It was given.
    Proven,
}

/// Asks for the second factor of a user whose first was right, or takes it.
///
/// # Errors
/// A denial where it is not right, was used, or the user has none.
pub(super) async fn second_factor(
    core: &Core,
    asked: &Asked,
    bearer: &Bearer,
    response: Option<&Value>,
) -> Result<Factor, Failure> {
    let Some(response) = response else {
        return Ok(Factor::Asked(challenge(core, asked)));
    };
    let code = response.as_str().or_else(|| response.get("code")?.as_str());
    let user = bearer.user.as_ref().map_or("", |it| it.id.as_str());
    let verify = prove(core, asked, bearer, code.unwrap_or_default());
    core.try_second_factor(asked, user, verify).await?;
    Ok(Factor::Proven)
}

async fn prove(core: &Core, asked: &Asked, bearer: &Bearer, code: &str) -> Result<(), Failure> {
    let denied = |detail| Denial::new(Reason::SecondFactor, detail);
    let platform = &asked.platform.name;
    let user = bearer.user.as_ref();
    let user = user.ok_or_else(|| denied("only a user has a second factor"))?;
    let seed = core.directory().totp_seed(platform, user)?;
    let seed = seed.ok_or_else(|| denied("the user has no second factor, and needs one"))?;
    let step = totp::step_of(&seed, code, core.clock().unix_seconds());
    let step = step.ok_or_else(|| denied("the code is wrong"))?;
    let parts: [&[u8]; 3] = [b"totp", user.id.as_bytes(), &step.to_be_bytes()];
    if core
        .directory()
        .claim_once(platform, &parts, REMEMBERED)
        .await?
    {
        return Ok(());
    }
    Err(denied("the code was used already").into())
}

/// `crossbar_auth.erl`, with its own spelling of `perform`.
fn challenge(core: &Core, asked: &Asked) -> Answer {
    let data = json!({
        "message": "client needs to preform second-factor authentication",
        "multi_factor_request": { "key_type": "totp", "provider_name": "otp" },
    });
    envelope::failed(core, asked, 401, "invalid_credentials", data)
}
