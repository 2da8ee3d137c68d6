//! A look at what a server is to run on: configuration, policies, models, folder, disk, machine. It changes nothing, and may run beside the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificate;
use super::config::{CommandLine, Config, ConfigError};
use super::model_file;
use super::model_shelf::ModelShelf;
use super::model_store::ModelStore;
use super::policy_store::{PolicySources, PolicyStore};
use super::private;
use super::stray_variables::stray_variables;
use super::tls::ServerTls;
use crate::ports::diagnosis::{Finding, Subject};
use crate::vocabulary::time::Timestamp;

/// Room on the disk below which a server is soon in trouble: a snapshot beside a journal of a million conversions. Unit: bytes. Judgement.
const ROOM_MIN_BYTES: u64 = 2 << 30;
/// Descriptors that a server wants: one for each connection, and for the ledger's files. Judgement: the default limits, four times over.
const DESCRIPTORS_MIN: u64 = 4_096;
/// Files that are named, of those that are open to others.
const NAMED: usize = 3;

/// Looks at everything that can be looked at without a server.
#[must_use]
pub fn look(file: Option<&Path>, command_line: CommandLine, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    let config = match Config::load(file, command_line) {
        Ok(config) => config,
        Err(ConfigError(violations)) => {
            let wrong = |violation: &super::config::ConfigViolation| {
                let fix = "mend it; docs/selfsame.example.toml shows every key with its default";
                Finding::wrong(Subject::Configuration, violation.to_string(), fix)
            };
            return violations.iter().map(wrong).collect();
        }
    };
    let strays = stray_variables(std::env::vars_os());
    for stray in &strays {
        let sentence = format!("the variable `{}` is not read", stray.name);
        found.push(Finding::note(Subject::Configuration, sentence, format!("use `{}`", stray.meant)));
    }
    if strays.is_empty() {
        found.push(Finding::fine(Subject::Configuration, "every key is known and in its range"));
    }
    found.push(policies(&config));
    found.extend(models(&config, now));
    found.extend(folder(&config.data_folder.0));
    found.extend(machine(&config));
    found.extend(certificate(&config, now));
    found
}

fn policies(config: &Config) -> Finding {
    let sources = PolicySources {
        file: config.policy.file.clone(),
        folder: config.policy.folder.clone(),
        kept_for: config.retention.age(),
    };
    match PolicyStore::open(sources) {
        Ok(store) => {
            let set = store.in_force();
            let own = set.programs.len();
            let sentence = format!("{} for all programmes, {own} with one of their own", set.default.version());
            Finding::fine(Subject::Policies, sentence)
        }
        Err(refused) => {
            Finding::wrong(Subject::Policies, refused.to_string(), "mend the file; `selfsame policy check FILE` says the same")
        }
    }
}

fn models(config: &Config, now: Timestamp) -> Vec<Finding> {
    let folder = config.models.folder.clone().unwrap_or_else(|| config.data_folder.0.join("models"));
    // Opening makes the folder; a look does not.
    let looked_at = Some(folder.as_path()).filter(|folder| folder.is_dir());
    match ModelStore::open(looked_at, Arc::new(ModelShelf::default()), now) {
        Ok(store) => {
            let origin = if store.default_is_shipped() { "shipped" } else { "default.json of the model folder" };
            let sentence = format!("the default model is {} ({origin})", store.default_model().name.version);
            let misfits = looked_at.map(misfits).unwrap_or_default();
            [Finding::fine(Subject::Models, sentence)].into_iter().chain(misfits).collect()
        }
        Err(error) => {
            let fix = format!("train it again with this version, or take it out of `{}`", folder.display());
            vec![Finding::wrong(Subject::Models, error.to_string(), fix)]
        }
    }
}

/// Files of a model folder, and of the folders of programmes in it, that are no models of this version. The server leaves them out.
fn misfits(folder: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in entries(folder).into_iter().flat_map(|path| if path.is_dir() { entries(&path) } else { vec![path] }) {
        if path.extension().is_some_and(|extension| extension == "json")
            && let Err(error) = model_file::read(&path)
        {
            let sentence = format!("`{}` does not fit and is left out: {error}", path.display());
            found.push(Finding::note(Subject::Models, sentence, "train it again with this version, or take the file away"));
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn folder(folder: &Path) -> Vec<Finding> {
    if !folder.exists() {
        let sentence = format!("`{}` is not there yet", folder.display());
        return vec![Finding::note(Subject::Folder, sentence, "nothing, before the first start: the server makes it")];
    }
    if !folder.is_dir() {
        let sentence = format!("`{}` is not a folder", folder.display());
        return vec![Finding::wrong(Subject::Folder, sentence, "name another with --data-dir (the key `data_folder`)")];
    }
    vec![private_or_not(folder), room(folder)]
}

fn private_or_not(folder: &Path) -> Finding {
    match private::open_to_others(folder) {
        Ok(open) if open.is_empty() => {
            Finding::fine(Subject::Folder, format!("`{}` and all that is in it is its owner's alone", folder.display()))
        }
        Ok(open) => {
            let named: Vec<String> = open.iter().take(NAMED).map(|path: &PathBuf| format!("`{}`", path.display())).collect();
            let sentence = format!(
                "{} files or folders are open to other users of the machine, {} among them",
                open.len(),
                named.join(", ")
            );
            Finding::wrong(
                Subject::Folder,
                sentence,
                format!("chmod -R go-rwx `{}`; it holds pseudonyms and keys", folder.display()),
            )
        }
        Err(error) => {
            let sentence = format!("`{}` cannot be read: {error}", folder.display());
            Finding::wrong(Subject::Folder, sentence, "run this as the server's user")
        }
    }
}

#[cfg(target_os = "linux")]
fn room(folder: &Path) -> Finding {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => room_of(disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)),
        Err(error) => {
            Finding::note(Subject::Disk, format!("the disk tells nothing: {error}"), "see that the folder's disk is there")
        }
    }
}

/// Nothing is known of disks here.
#[cfg(not(target_os = "linux"))]
fn room(_folder: &Path) -> Finding {
    Finding::note(Subject::Disk, "the room on the disk is not known on this system", "see that some gigabytes are free")
}

/// Whether so many bytes of a disk are room enough.
fn room_of(free_bytes: u64, all_bytes: u64) -> Finding {
    let sentence = format!("{} MiB of {} MiB are free where the data folder is", free_bytes >> 20, all_bytes >> 20);
    let fix = "free some, give the journal's space back (`selfsame ledger compact`), or keep less (`retention.days`): a full disk stops writes";
    if free_bytes < ROOM_MIN_BYTES / 4 {
        Finding::wrong(Subject::Disk, sentence, fix)
    } else if free_bytes < ROOM_MIN_BYTES || free_bytes < all_bytes / 20 {
        Finding::note(Subject::Disk, sentence, fix)
    } else {
        Finding::fine(Subject::Disk, sentence)
    }
}

#[cfg(target_os = "linux")]
fn machine(config: &Config) -> Vec<Finding> {
    // A server raises its soft limit to this.
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
    vec![descriptors_of(descriptors), memory_of(config.ledger.memory_mib, memory)]
}

/// Nothing is known of limits here.
#[cfg(not(target_os = "linux"))]
fn machine(_config: &Config) -> Vec<Finding> {
    Vec::new()
}

/// The certificate, where there is one.
fn certificate(config: &Config, now: Timestamp) -> Vec<Finding> {
    let Some(files) = config.tls.server_files() else { return Vec::new() };
    let key = files.key.clone();
    match ServerTls::open(files) {
        Ok(tls) => certificate::look(&key, tls.in_force().facts.as_ref(), now),
        Err(error) => {
            let fix = "put certificate and key there, as PEM; a running server goes on with the earlier ones";
            vec![Finding::wrong(Subject::Certificate, error.to_string(), fix)]
        }
    }
}

/// Whether so many descriptors are enough; absent means without limit.
fn descriptors_of(descriptors: Option<u64>) -> Finding {
    match descriptors {
        Some(few) if few < DESCRIPTORS_MIN => {
            let sentence = format!("a process may have {few} descriptors, and each connection is one");
            Finding::note(Subject::Machine, sentence, "raise it: LimitNOFILE=65536 of the unit, or `ulimit -n 65536`")
        }
        Some(enough) => Finding::fine(Subject::Machine, format!("a process may have {enough} descriptors")),
        None => Finding::fine(Subject::Machine, "a process may have any number of descriptors"),
    }
}

/// The machine's memory, of the text that Linux has of it. Unit: MiB.
fn total_memory(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib >> 10)
}

/// Whether the ledger's budget fits the machine, both in MiB.
fn memory_of(budget_mib: usize, machine_mib: Option<usize>) -> Finding {
    match machine_mib {
        Some(machine) if budget_mib > machine / 10 * 9 => {
            let sentence = format!("`ledger.memory_mib` is {budget_mib}, and the machine has {machine}");
            Finding::wrong(
                Subject::Machine,
                sentence,
                "lower it to two thirds of the machine's: what the kernel kills refuses nothing first",
            )
        }
        Some(machine) => {
            Finding::fine(Subject::Machine, format!("`ledger.memory_mib` is {budget_mib} of the machine's {machine}"))
        }
        None => Finding::note(Subject::Machine, "the machine does not tell its memory", "see that `ledger.memory_mib` fits it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::diagnosis::Level;

    fn now() -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000)
    }

    fn level_of(found: &[Finding], subject: Subject) -> Level {
        found.iter().filter(|finding| finding.subject == subject).map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn what_is_wrong_names_its_fix_and_what_is_well_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        private::make_folder(&data).unwrap();
        let line =
            |policy: Option<&str>| CommandLine::default().with("data_folder", Some(data.display())).with("policy.file", policy);
        let found = look(None, line(None), now());
        for subject in [Subject::Configuration, Subject::Policies, Subject::Models, Subject::Folder] {
            assert_eq!(level_of(&found, subject), Level::Fine, "{found:#?}");
        }
        assert!(!data.join("models").exists(), "a look makes nothing");
        private::make_folder(&data.join("models/shop")).unwrap();
        std::fs::write(data.join("models/shop/old.json"), "{}").unwrap();
        let found = look(None, line(Some("/nowhere/policy.toml")), now());
        assert_eq!(level_of(&found, Subject::Models), Level::Note, "{found:#?}");
        assert_eq!(level_of(&found, Subject::Policies), Level::Wrong);
        assert!(found.iter().all(|finding| finding.fix.is_empty() == (finding.level == Level::Fine)), "{found:#?}");
    }

    #[test]
    fn a_configuration_that_is_wrong_is_told_key_by_key() {
        let found = look(None, CommandLine::default().with("retention.days", Some(3)).with("ledger.memory_mib", Some(0)), now());
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found.iter().all(|finding| (finding.subject, finding.level) == (Subject::Configuration, Level::Wrong)));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_named_and_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;

        let data = tempfile::tempdir().unwrap();
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let file = data.path().join("watermark");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let found = private_or_not(data.path());
        assert!(found.level == Level::Wrong && found.sentence.contains("watermark"), "{found:?}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn room_descriptors_and_memory_are_held_to_what_a_server_wants() {
        let gib = 1 << 30;
        let levels = [(100 * gib, 500 * gib), (10 * gib, 500 * gib), (gib, 4 * gib), (gib / 4, 4 * gib)]
            .map(|(free, all)| room_of(free, all).level);
        assert_eq!(levels, [Level::Fine, Level::Note, Level::Note, Level::Wrong]);
        assert_eq!(
            [Some(1_024), Some(65_536), None].map(|few| descriptors_of(few).level),
            [Level::Note, Level::Fine, Level::Fine]
        );
        assert_eq!(total_memory("MemFree: 1 kB\nMemTotal:       16384000 kB\n"), Some(16_000));
        assert_eq!([4_096, 15_000].map(|budget| memory_of(budget, Some(16_000)).level), [Level::Fine, Level::Wrong]);
    }
}
