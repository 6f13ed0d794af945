//! Compiles `proto/` without `protoc`: messages by prost, the Check service over a codec of our own. What a collector of
//! telemetry is told is apart from that: nobody is served it.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use tonic_build::manual::{Builder, Method, Service};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut descriptors =
        protox::compile(["envoy/service/auth/v3/external_auth.proto"], ["proto"])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    // The service is generated below, over raw bytes; prost would need a generator for it.
    for file in &mut descriptors.file {
        file.service.clear();
    }
    let mut config = prost_build::Config::new();
    read_from_json(&mut config);
    config.include_file("protos.rs").compile_fds(descriptors)?;

    let check = Method::builder()
        .name("check")
        .route_name("Check")
        .input_type("::bytes::Bytes")
        .output_type("::bytes::Bytes")
        .codec_path("crate::envoy::codec::RawCodec")
        .build();
    Builder::new().compile(&[Service::builder()
        .name("Authorization")
        .package("envoy.service.auth.v3")
        .method(check)
        .build()]);

    let told = protox::compile(
        [
            "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
            "opentelemetry/proto/collector/trace/v1/trace_service.proto",
        ],
        ["proto"],
    )?;
    let mut config = prost_build::Config::new();
    config.include_file("otlp.rs").compile_fds(told)?;
    Ok(())
}

/// Lets what a `CheckRequest` is made of be read from JSON: names in either spelling, what is absent
/// empty, what we do not read ignored (protobuf.dev, JSON mapping).
fn read_from_json(config: &mut prost_build::Config) {
    const MESSAGES: [&str; 6] = [
        ".envoy.service.auth.v3.CheckRequest",
        ".envoy.service.auth.v3.AttributeContext",
        ".envoy.config.core.v3.Address",
        ".envoy.config.core.v3.HeaderMap",
        ".envoy.config.core.v3.HeaderValue",
        ".envoy.config.core.v3.SocketAddress",
    ];
    const TWO_WORDS: [(&str, &str); 4] = [
        ("AttributeContext.context_extensions", "contextExtensions"),
        ("Address.socket_address", "socketAddress"),
        ("HttpRequest.header_map", "headerMap"),
        ("HeaderValue.raw_value", "rawValue"),
    ];
    for message in MESSAGES {
        config.type_attribute(message, "#[derive(serde::Deserialize)] #[serde(default)]");
    }
    for (field, json) in TWO_WORDS {
        config.field_attribute(field, format!("#[serde(alias = \"{json}\")]"));
    }
    let base64 = "#[serde(deserialize_with = \"::portcullis::envoy::question::base64\")]";
    config.field_attribute("HeaderValue.raw_value", base64);
}
