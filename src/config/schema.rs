//! The JSON Schema of the configuration, so that editors complete and check it.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::config::raw::RawConfig;
use crate::platform::presets;
use crate::platform::settings::RawPlatform;
use crate::scheme;

/// Gives the schema (JSON Schema 2020-12), made from the types that read the configuration.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let platform = platform(&mut generator);
    let mut root = generator.root_schema_for::<RawConfig>().to_value();
    root["properties"]["platforms"] = json!({
        "description": "The platforms; at least one.",
        "type": "array",
        "minItems": 1,
        "items": platform,
    });
    root["required"] = json!(["platforms"]);
    root
}

/// A platform with its schemes. What a preset brings need not be written, so nothing but the
/// name is required.
fn platform(generator: &mut SchemaGenerator) -> Value {
    let schemes: Vec<Value> = scheme::ALL
        .iter()
        .map(|kind| {
            let reference = (kind.schema)(generator).to_value();
            let name = reference["$ref"]
                .as_str()
                .and_then(|it| it.rsplit('/').next());
            let settings = name.and_then(|it| generator.definitions().get(it)).cloned();
            let mut settings = settings.unwrap_or(reference);
            settings["properties"]["kind"] = json!({ "const": kind.name });
            settings.as_object_mut().map(|it| it.remove("required"));
            settings
        })
        .collect();
    generator.subschema_for::<RawPlatform>();
    let mut platform = generator
        .definitions()
        .get("RawPlatform")
        .cloned()
        .unwrap_or_default();
    platform["properties"]["schemes"] = json!({
        "description": "Ways to present a credential, by name; `null` switches a preset's scheme off.",
        "type": "object",
        "additionalProperties": { "anyOf": [{ "type": "null" }, { "anyOf": schemes }] },
    });
    let names: Vec<_> = presets::ALL.iter().map(|it| it.0).collect();
    platform["properties"]["preset"] =
        json!({ "description": "The preset to start from.", "enum": names });
    platform["required"] = json!(["name"]);
    platform
}
