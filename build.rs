//! Turns `proto/` into Rust: messages, services, canonical JSON and the descriptor set for reflection.
//! It must never need `protoc` or the network. Cargo calls it.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// Folder of the contract, from the repository's root.
const CONTRACT_ROOT: &str = "proto";
/// Folder of the package `selfsame.v1`, from the repository's root.
const PACKAGE_FOLDER: &str = "proto/selfsame/v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={CONTRACT_ROOT}");
    let out_folder = PathBuf::from(env::var("OUT_DIR")?);

    let mut files = Vec::new();
    for entry in fs::read_dir(PACKAGE_FOLDER)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    // The order of a folder is the file system's; generated code must not depend on it.
    files.sort();

    let descriptors = protox::compile(&files, [CONTRACT_ROOT])?;
    let encoded = descriptors.encode_to_vec();
    fs::write(out_folder.join("selfsame.v1.descriptors.bin"), &encoded)?;

    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .bytes(".")
        .compile_fds(descriptors)?;

    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .extern_path(".google.protobuf", "::pbjson_types")
        .build(&[".selfsame.v1"])?;
    Ok(())
}
