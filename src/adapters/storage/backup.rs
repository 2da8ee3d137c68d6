//! Backup, restore, check and statistics of a journal. A backup is taken while serving and is consistent: everything
//! up to one moment, nothing after it. Restore never touches a folder that holds something. Called by the `ledger`
//! commands and the admin service.

/// What a backup or restore carried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupSummary {
    /// Programmes.
    pub programmes: u64,
    /// Journal records.
    pub records: u64,
    /// Side entries.
    pub side_entries: u64,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// BLAKE3 of everything before the trailer, in hex.
    pub digest_hex: String,
}
