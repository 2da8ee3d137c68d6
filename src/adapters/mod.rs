//! Adapters: how the ports meet the disk, files and the clock. Nothing above this layer knows them.

pub mod storage;
pub mod telemetry;
