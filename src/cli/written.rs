//! Where commands write: a file that gets its name when it is whole, or what is no file (a terminal, a pipe, `/dev/null`) as it comes.
//!
//! It must never touch a file that the command reads, nor leave half an output under the name that was asked for: what stood there before a
//! command that fails stands there afterwards. `screen`, `digest`, `export`, `simulate`, `train`, `evaluate` and `bench` call it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

/// Names for what the process has open already. They are written as they are, even where a shell has put a file behind them.
const DESCRIPTORS: [&str; 4] = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];

/// An output that is being written. Dropped before [`Written::keep`], a file leaves nothing.
#[derive(Debug)]
pub(super) struct Written {
    writer: BufWriter<Target>,
    shown: String,
}

/// What stands behind an output.
#[derive(Debug)]
enum Target {
    Stdout(io::StdoutLock<'static>),
    /// Written as it comes, after what is there.
    Direct(File),
    /// Written beside the file, under another name until it is whole.
    Beside {
        partial: NamedTempFile,
        file: PathBuf,
    },
}

impl Written {
    /// Begins to write the file, or standard output where none is named. `inputs` are the files that the command reads.
    ///
    /// # Errors
    /// When the file is one of the inputs, or cannot be written; so whoever works for long begins here.
    pub(super) fn begin(path: Option<&Path>, inputs: &[&Path]) -> anyhow::Result<Self> {
        match path {
            Some(path) => Self::file(path, inputs),
            None => Ok(Self { writer: BufWriter::new(Target::Stdout(io::stdout().lock())), shown: "standard output".to_owned() }),
        }
    }

    /// Begins to write the file.
    ///
    /// # Errors
    /// As [`Written::begin`].
    pub(super) fn file(path: &Path, inputs: &[&Path]) -> anyhow::Result<Self> {
        let shown = format!("`{}`", path.display());
        let there = fs::metadata(path).ok();
        if let Some(input) = inputs.iter().find(|input| there.as_ref().is_some_and(|there| is_same_file(path, there, input))) {
            bail!("{shown} is also read (`{}`) and would be lost; give the output another name", input.display());
        }
        let target = match there {
            Some(there) if !there.is_file() || DESCRIPTORS.iter().any(|name| path.starts_with(name)) => {
                OpenOptions::new().append(true).open(path).map(Target::Direct)
            }
            Some(there) => replacing(path, &there),
            None => beside(path.to_owned(), None),
        };
        Ok(Self { writer: BufWriter::new(target.with_context(|| format!("cannot write {shown}"))?), shown })
    }

    /// Whether a file comes of it, once it is kept.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.writer.get_ref(), Target::Beside { .. })
    }

    /// Ends the output; a file is now durable and has its name.
    ///
    /// # Errors
    /// When what is left cannot be written. A file of that name is then as it was.
    pub(super) fn keep(self) -> anyhow::Result<()> {
        let Self { writer, shown } = self;
        let kept = writer.into_inner().map_err(io::IntoInnerError::into_error).and_then(|target| match target {
            Target::Stdout(mut stdout) => stdout.flush(),
            Target::Direct(mut file) => file.flush(),
            Target::Beside { partial, file } => {
                partial.as_file().sync_all()?;
                partial.persist(file).map_err(|refused| refused.error)?;
                Ok(())
            }
        });
        kept.with_context(|| format!("cannot write {shown}"))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::Direct(file) => file.write(bytes),
            Self::Beside { partial, file: _ } => partial.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Direct(file) => file.flush(),
            Self::Beside { partial, file: _ } => partial.flush(),
        }
    }
}

/// Writes beside a file that is there. A file that may not be written is not replaced either; a link keeps pointing to what it points to.
fn replacing(path: &Path, there: &Metadata) -> io::Result<Target> {
    OpenOptions::new().append(true).open(path)?;
    beside(fs::canonicalize(path)?, Some(there))
}

/// Writes in the folder of a file. It gets the permissions of the one that is there, or those of any new file.
fn beside(file: PathBuf, there: Option<&Metadata>) -> io::Result<Target> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(name) = file.file_name() else { return Err(io::Error::other("it is not the name of a file")) };
    let mut prefix = name.to_owned();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let partial = builder.tempfile_in(folder)?;
    if let Some(there) = there {
        partial.as_file().set_permissions(there.permissions())?;
    }
    Ok(Target::Beside { partial, file })
}

/// Whether an input is the regular file that is to be written, under whatever name.
fn is_same_file(output: &Path, there: &Metadata, input: &Path) -> bool {
    let input = if input == Path::new("-") { Path::new("/dev/stdin") } else { input };
    there.is_file() && fs::metadata(input).is_ok_and(|read| is_one_file(output, there, input, &read))
}

#[cfg(unix)]
fn is_one_file(_output: &Path, there: &Metadata, _input: &Path, read: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    (there.dev(), there.ino()) == (read.dev(), read.ino())
}

#[cfg(not(unix))]
fn is_one_file(output: &Path, _there: &Metadata, input: &Path, _read: &Metadata) -> bool {
    fs::canonicalize(output).is_ok_and(|output| fs::canonicalize(input).is_ok_and(|input| input == output))
}

#[cfg(test)]
#[path = "written/tests.rs"]
mod tests;
