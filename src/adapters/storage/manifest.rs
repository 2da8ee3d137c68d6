//! The manifest of a point table: which runs are alive, and up to which journal record they hold all effects.
//! It is replaced as a whole (write, sync, rename, sync the folder), never changed in place. Called by the table.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::adapters::storage::record::ProgrammeNumber;
use crate::adapters::storage::table::Covered;

const MAGIC: &[u8; 8] = b"SELFMAN\x01";
const NAME: &str = "manifest";
const NEW_NAME: &str = "manifest.new";

/// A run that is part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListedRun {
    pub(super) id: u64,
    /// How often its entries were merged; runs of one tier are merged together.
    pub(super) tier: u8,
}

/// The state of a table's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) layout: u32,
    pub(super) next_run: u64,
    pub(super) covered: Covered,
    /// Newest first.
    pub(super) runs: Vec<ListedRun>,
}

impl Manifest {
    pub(super) fn empty(layout: u32) -> Manifest {
        Manifest { layout, next_run: 1, covered: Covered::new(), runs: Vec::new() }
    }

    /// Reads the manifest; absent when the folder has none.
    pub(super) fn load(folder: &Path) -> Result<Option<Manifest>, String> {
        let bytes = match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        Self::decode(&bytes).map(Some).ok_or_else(|| "the manifest is damaged".to_owned())
    }

    /// Replaces the manifest durably.
    pub(super) fn store(&self, folder: &Path) -> std::io::Result<()> {
        let path = folder.join(NEW_NAME);
        let mut file = File::create(&path)?;
        file.write_all(&self.encode())?;
        file.sync_all()?;
        std::fs::rename(&path, folder.join(NAME))?;
        File::open(folder)?.sync_all()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.layout.to_le_bytes());
        bytes.extend_from_slice(&self.next_run.to_le_bytes());
        bytes.extend_from_slice(&(self.covered.len() as u64).to_le_bytes());
        for (programme, seq) in &self.covered {
            bytes.extend_from_slice(&programme.get().to_le_bytes());
            bytes.extend_from_slice(&seq.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.runs.len() as u64).to_le_bytes());
        for run in &self.runs {
            bytes.extend_from_slice(&run.id.to_le_bytes());
            bytes.push(run.tier);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Manifest> {
        let (body, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let layout = u32::from_le_bytes(take(&mut rest)?);
        let next_run = u64::from_le_bytes(take(&mut rest)?);
        let mut covered = Covered::new();
        for _ in 0..u64::from_le_bytes(take(&mut rest)?) {
            let programme = ProgrammeNumber::new(u32::from_le_bytes(take(&mut rest)?))?;
            covered.insert(programme, u64::from_le_bytes(take(&mut rest)?));
        }
        let mut runs = Vec::new();
        for _ in 0..u64::from_le_bytes(take(&mut rest)?) {
            let id = u64::from_le_bytes(take(&mut rest)?);
            let [tier] = take(&mut rest)?;
            runs.push(ListedRun { id, tier });
        }
        rest.is_empty().then_some(Manifest { layout, next_run, covered, runs })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
