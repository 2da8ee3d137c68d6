//! Descriptors of the process: as many as the system lets it have, and how many connections leave enough of them for files.

/// Descriptors that connections leave alone: files of the ledger, of models, of a backup; the metrics; connections to the database and to replicas.
pub const FOR_FILES: u64 = 256;

/// How many descriptors the process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Before it asked for more; absent: any number.
    pub before: Option<u64>,
    /// Now; absent: any number.
    pub now: Option<u64>,
}

impl Descriptors {
    /// Connections of so many that are wanted for which there are descriptors. At least one.
    #[must_use]
    pub fn room_for(self, wanted: usize) -> usize {
        let room = self.now.map_or(usize::MAX, |now| usize::try_from(now.saturating_sub(FOR_FILES)).unwrap_or(usize::MAX));
        wanted.min(room).max(1)
    }
}

/// Raises the soft limit to the hard one.
#[cfg(target_os = "linux")]
#[must_use]
pub fn raise() -> Descriptors {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current: before, maximum } = getrlimit(Resource::Nofile);
    // What the system refuses leaves it as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    Descriptors { before, now: getrlimit(Resource::Nofile).current }
}

/// Nothing is known of limits here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn raise() -> Descriptors {
    Descriptors { before: None, now: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        let with = |now| Descriptors { before: Some(1), now };
        assert_eq!([None, Some(1_024), Some(100)].map(|now| with(now).room_for(2_048)), [2_048, 768, 1]);
        assert_eq!(with(Some(65_536)).room_for(2_048), 2_048);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let raised = raise();
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        assert_eq!(raised.now, hard);
    }
}
