//! The presets: platforms shipped as data inside the binary.
//!
//! A configuration takes one by name and overrides it key by key. A new preset is one YAML file and
//! its row here; no code knows one by name.

/// Every preset: its name and its text.
pub const ALL: &[(&str, &str)] = &[
    ("crossbar", include_str!("presets/crossbar.yaml")),
    ("infobip", include_str!("presets/infobip.yaml")),
    ("opentact", include_str!("presets/opentact.yaml")),
];

/// Gives a preset's text by its name.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|it| it.0 == name).map(|it| it.1)
}
