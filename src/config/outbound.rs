//! How servers on the internet are asked.

use std::path::Path;

use crate::config::carried::Carried;
use crate::config::raw::RawOutbound;
use crate::credential::Secret;
use crate::document::{Document, Problem};
use crate::outbound::Outbound;

/// The most that may be under way at once.
const MAX_IN_FLIGHT: usize = 4096;

/// Makes what asks, or takes it over; `None` where the settings have problems, which are added.
pub(super) fn read(
    raw: &RawOutbound,
    base: &Path,
    document: &Document,
    carried: &mut Carried,
    problems: &mut Vec<Problem>,
) -> Option<Outbound> {
    let mut complain = |pointer: &str, message: &str| {
        problems.push(document.problem(&format!("/outbound{pointer}"), message));
    };
    if !(1..=MAX_IN_FLIGHT).contains(&raw.in_flight) {
        complain("/in_flight", "between 1 and 4096");
        return None;
    }
    let ca = raw.ca_file.as_ref().map(|it| Secret::read(&base.join(it)));
    let ca = ca.transpose();
    let made = ca.and_then(|ca| carried.ask_by(raw.in_flight, ca));
    made.map_err(|message| complain("/ca_file", &message)).ok()
}
