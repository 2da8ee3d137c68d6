//! Adapters: how the ports meet the disk, files and the clock. Nothing above this layer knows them.

pub mod audit_secret;
pub mod byte_order_mark;
pub mod certificate;
pub mod cold;
pub mod config;
pub mod descriptors;
pub mod doctor;
pub mod embedded;
pub mod figures;
pub mod journal;
mod log_filter;
mod metrics_page;
pub mod model_drift;
pub mod model_file;
pub mod model_shelf;
pub mod model_store;
pub mod policy_file;
pub mod policy_store;
pub mod private;
pub mod sealed_backup;
pub mod shared;
pub mod snapshots;
pub mod standing_rules;
pub mod stray_variables;
pub mod system_clock;
pub mod telemetry;
pub mod tls;
