//! The platforms of a configuration, each with what its preset brings, and beside one another.

use std::sync::Arc;

use crate::document::{Document, Problem};
use crate::platform::Platform;
use crate::platform::settings::{Surroundings, build, with_preset};

/// Reads each platform with its preset, which then stands in `resolved` too; what is wrong with one, or with two
/// beside each other, is added.
pub(super) fn read(
    document: &Document,
    around: Surroundings<'_>,
    resolved: &mut serde_json::Value,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<Platform>> {
    let mut built: Vec<Arc<Platform>> = Vec::new();
    for index in 0..document.count("/platforms") {
        let Some(settings) = document.child(&format!("/platforms/{index}")) else {
            continue;
        };
        let merged = with_preset(settings.clone(), problems);
        if let (Some(place), Some(value)) = (
            resolved.pointer_mut(&format!("/platforms/{index}")),
            merged.value(""),
        ) {
            *place = value;
        }
        let Some(platform) = build(merged, around, problems) else {
            continue;
        };
        if built.iter().any(|it| it.name == platform.name) {
            problems.push(settings.problem("/name", "another platform has this name"));
        }
        if let Some(other) = built.iter().find(|it| it.site.shadows(&platform.site)) {
            let message = format!(
                "platform {} has this host with the same prefix, so this one would never be asked",
                other.name
            );
            problems.push(settings.problem("/hosts", &message));
        }
        built.push(Arc::new(platform));
    }
    built
}
