//! The JSON Schema that `portcullis config schema` prints knows what a configuration may hold.

use serde_json::Value;

use crate::support::tls::Authority;
use crate::{Site, portcullis};

/// Every key of a configuration and of a platform, once.
const EVERYTHING: &str = r#"
listen: { grpc: ["127.0.0.1:9001"], admin: "127.0.0.1:9003", issue: "127.0.0.1:9002" }
store: { url: "memory:", directory_file: directory.yaml }
signing: { key_files: [], assertion_key_files: [] }
cache: { capacity: 100000, ttl_seconds: 60, denial_capacity: 20000, denial_ttl_seconds: 5, proof_capacity: 100000 }
check: { deadline_ms: 150, on_fault: deny }
client_address: { from: x-forwarded-for, trusted_hops: 1 }
telemetry:
  { log: info, log_format: json, audit: { to: audit.jsonl, allows: 0.01 }, otlp_endpoint: "https://collector:4317", otlp: { ca_file: ca.pem, headers_file: headers, metrics_seconds: 30 }, traces: { sampled: 0.01, parent_from: request } }
platform_from: host
platforms:
  - name: mine
    preset: crossbar
    hosts: [api.example.com]
    prefix: /
    conflict: refuse
    scheme_case: exact
    base64: lenient
    https: redirect
    challenge: false
    account_header: x-account
    issue: { dialect: crossbar }
    throttle:
      { failures: 20, window_seconds: 300, bucket: { size: 100, per_second: 10, cost: 35 }, scheme: { failures: 300, window_seconds: 60 } }
    method_override: { headers: [x-verb], query: [verb] }
    role_scopes: { admin: ["a:b"] }
    identity_headers: { user: x-caller }
    assertion: { issuer: "https://auth.example.com", audience: [orders], header: x-who, lifetime_seconds: 60 }
    schemes: { key: { kind: api_key, from: [{ header: x-my-key }] } }
    rules: [{ paths: ["/**"], issue: true }]
    errors: [{ for: [401], body: { a: b } }]
"#;

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let printed = portcullis(&["config", "schema"]);
    assert_eq!(printed.code, 0);
    let schema: Value = serde_json::from_str(&printed.out).expect("JSON");
    let site = Site::new();
    site.write("directory.yaml", "");
    site.write("ca.pem", &Authority::new().pem());
    site.write("headers", "authorization: one\n");
    site.write("c.yaml", EVERYTHING);
    let checked = site.run(&["config", "check", "c.yaml"]);
    assert_eq!(checked.code, 0, "{checked:?}");

    let everything: Value = serde_saphyr::from_str(EVERYTHING).expect("YAML");
    assert!(fits(&schema, &schema, &everything));
    for unknown in [
        "/nmae",
        "/listen/nmae",
        "/signing/nmae",
        "/client_address/nmae",
        "/telemetry/audit/nmae",
        "/telemetry/otlp/nmae",
        "/telemetry/traces/nmae",
        "/platforms/0/nmae",
        "/platforms/0/schemes/key/nmae",
        "/platforms/0/rules/0/nmae",
        "/platforms/0/errors/0/nmae",
        "/platforms/0/issue/nmae",
        "/platforms/0/throttle/nmae",
        "/platforms/0/throttle/bucket/nmae",
        "/platforms/0/throttle/scheme/nmae",
        "/platforms/0/identity_headers/nmae",
        "/platforms/0/assertion/nmae",
    ] {
        let (parent, key) = unknown.rsplit_once('/').expect("a pointer");
        let mut wrong = everything.clone();
        wrong.pointer_mut(parent).expect("a mapping")[key] = Value::Null;
        assert!(!fits(&schema, &schema, &wrong), "{unknown} is not known");
    }
}

/// As much of JSON Schema as tells keys apart: types, properties, items, references, alternatives.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let schema = resolve(root, schema);
    let fits_one = |alternatives: &Value| {
        let mut alternatives = alternatives.as_array().into_iter().flatten();
        alternatives.any(|it| fits(root, it, value))
    };
    let is_of = |name: &Value| match name.as_str().unwrap_or_default() {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("a type of its own: {other}"),
    };
    let typed = match &schema["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is_of),
        name => is_of(name),
    };
    let known = |(key, value): (&String, &Value)| {
        let own = schema["properties"].get(key);
        let own = own.or(schema.get("additionalProperties"));
        own.is_none_or(|it| it.as_bool().unwrap_or_else(|| fits(root, it, value)))
    };
    let inside = match value {
        Value::Array(items) => items.iter().all(|it| fits(root, &schema["items"], it)),
        Value::Object(fields) => fields.iter().all(known),
        _ => true,
    };
    let alternatives = ["anyOf", "oneOf"].map(|it| &schema[it]);
    typed && inside && alternatives.iter().all(|it| it.is_null() || fits_one(it))
}

fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let target = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    let target = target.and_then(|pointer| root.pointer(pointer));
    target.unwrap_or(schema)
}
