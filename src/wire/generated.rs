//! The code that `build.rs` generates from `proto/`: messages, clients, servers and canonical JSON.
//! Nothing here is written by hand but the inclusion. Only `wire` and its re-exports call it.

/// The encoded `google.protobuf.FileDescriptorSet` of the contract, comments included, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/selfsame.v1.descriptors.bin"));

/// Package `selfsame.v1`.
///
/// Digests and sketches are [`bytes::Bytes`]. JSON is the protobuf mapping: camel-case names on output, both spellings on
/// input, `bytes` in base64, 64-bit integers as strings, unknown fields refused.
#[allow(
    missing_docs,
    rustdoc::all,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "generated code is read in proto/, not here"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/selfsame.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/selfsame.v1.serde.rs"));
}
