//! Turns `proto/` into Rust: messages, services, canonical JSON and the descriptor set for reflection; and lists the modules of `src/`, which
//! filters of the log name. It must never need `protoc` or the network. Cargo calls it.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs, io};

use prost::Message;

/// Folder of the contract, from the repository's root.
const CONTRACT_ROOT: &str = "proto";
/// Folder of the package `selfsame.v1`, from the repository's root.
const PACKAGE_FOLDER: &str = "proto/selfsame/v1";
/// Folder of the code, from the repository's root.
const CODE_FOLDER: &str = "src";
/// The message of an instant, and the type that stands for it because it is spelled with `Z`, as all other times are.
const TIMESTAMP: &str = ".google.protobuf.Timestamp";
const OUR_TIMESTAMP: &str = "crate::wire::WireTimestamp";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={CONTRACT_ROOT}");
    println!("cargo:rerun-if-changed={CODE_FOLDER}");
    let out_folder = PathBuf::from(env::var("OUT_DIR")?);

    let mut modules = Vec::new();
    list_modules(Path::new(CODE_FOLDER), "selfsame", &mut modules)?;
    modules.sort();
    fs::write(out_folder.join("modules.txt"), modules.join("\n"))?;

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

    // The codec knows by its name which message it reads.
    let mut named = tonic_prost_build::Config::new();
    named.enable_type_names();
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(TIMESTAMP, OUR_TIMESTAMP)
        .bytes(".")
        .codec_path("crate::wire::codec::BoundedCodec")
        .compile_fds_with_config(descriptors, named)?;

    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(TIMESTAMP, OUR_TIMESTAMP)
        .build(&[".selfsame.v1"])?;
    Ok(())
}

/// Adds the modules below a folder by their paths, like `selfsame::ledger::open`; those of tests are left out.
fn list_modules(folder: &Path, above: &str, modules: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let module = format!("{above}::{name}");
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let is_module = is_rust && !matches!(name, "lib" | "main" | "mod") && !name.ends_with("tests");
        if path.is_dir() {
            list_modules(&path, &module, modules)?;
            let is_named_in_it = path.join("mod.rs").is_file();
            modules.extend(is_named_in_it.then_some(module));
        } else if is_module {
            modules.push(module);
        }
    }
    Ok(())
}
