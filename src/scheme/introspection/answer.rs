//! What the endpoint's answer comes to (RFC 7662 §2.2).

use serde_json::{Map, Value};

use crate::decision::{Denial, Failure, Reason};
use crate::outbound::Reply;
use crate::scheme::introspection::fault;
use crate::strict_json::object;

/// Gives what is said of a token that is active.
///
/// # Errors
/// A denial where it is not, a fault where the answer is anything else than 200 and an object that
/// says one or the other.
pub(super) fn judge(reply: &Reply) -> Result<Map<String, Value>, Failure> {
    match reply.status {
        200 => {}
        status @ (401 | 403) => {
            let detail = format!("the endpoint refuses our own credentials (HTTP {status})");
            return Err(fault(detail).into());
        }
        status => return Err(fault(format!("the endpoint answers with HTTP {status}")).into()),
    }
    let said = object(&reply.body);
    let said = said.ok_or_else(|| fault("the endpoint's answer is no plain JSON object"))?;
    match said.get("active") {
        Some(Value::Bool(true)) => Ok(said),
        Some(Value::Bool(false)) => {
            Err(Denial::new(Reason::Unknown, "the issuer knows no such active token").into())
        }
        _ => Err(fault("the endpoint's answer does not say whether the token is active").into()),
    }
}

/// Judges a member of the answer that was refused: what cannot be read is the endpoint's failure,
/// and not that of whoever presents the token.
pub(super) fn unclear(denial: Denial) -> Failure {
    match denial.reason() {
        Reason::Malformed => fault(format!("the endpoint's answer: {}", denial.detail())).into(),
        _ => denial.into(),
    }
}
