//! Compiles `proto/` without `protoc`: messages by prost, the Check service over a codec of our own.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use tonic_build::manual::{Builder, Method, Service};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut descriptors = protox::compile(["envoy/service/auth/v3/external_auth.proto"], ["proto"])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    // The service is generated below, over raw bytes; prost would need a generator for it.
    for file in &mut descriptors.file {
        file.service.clear();
    }
    prost_build::Config::new()
        .include_file("protos.rs")
        .compile_fds(descriptors)?;

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
    Ok(())
}
