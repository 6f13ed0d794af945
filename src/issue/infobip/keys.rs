//! The API keys of an account: `/settings/2/api-keys`.

use crate::decision::{Denial, Failure};
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::core::Core;

/// Answers a request below `/settings/2/api-keys`; `rest` is the path behind it.
pub(super) async fn answer(
    _core: &Core,
    _asked: &Asked,
    _method: &str,
    _rest: &[&str],
) -> Result<Answer, Failure> {
    Err(Denial::not_found("nothing manages keys here yet").into())
}
