//! `selfsame completions`, `selfsame man` and `selfsame openapi`: what shells, `man` and callers by HTTP want to know, from the same definitions as
//! `--help` and the server.

use std::io::{Write as _, stdout};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::adapters::private;

const COMPLETION_EXAMPLES: &str = "\
Examples:
  selfsame completions bash > /etc/bash_completion.d/selfsame
  selfsame completions zsh  > \"${fpath[1]}/_selfsame\"
  selfsame completions fish > ~/.config/fish/completions/selfsame.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  selfsame man /usr/local/share/man/man1 && man selfsame-serve";

/// Print what a shell completes commands with
#[derive(Debug, Clone, Args)]
#[command(after_long_help = COMPLETION_EXAMPLES, after_help = "Try --help for examples.")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Write the manual pages, one for each command
#[derive(Debug, Clone, Args)]
#[command(after_long_help = MAN_EXAMPLES, after_help = "Try --help for examples.")]
pub struct ManArgs {
    /// The folder; made when it is not there
    pub folder: PathBuf,
}

/// Print the OpenAPI document of the REST port
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  selfsame openapi > openapi.json")]
pub struct OpenApiArgs {}

/// Prints the OpenAPI document.
///
/// # Errors
/// When standard output takes nothing.
pub fn openapi(_: &OpenApiArgs) -> anyhow::Result<()> {
    Ok(stdout().lock().write_all(crate::rest::openapi::document().as_bytes())?)
}

/// Prints the completions of a shell. `whole` is the program's whole command line.
///
/// # Errors
/// When standard output takes nothing.
pub fn completions(args: &CompletionsArgs, mut whole: Command) -> anyhow::Result<()> {
    let name = whole.get_name().to_owned();
    // Into memory first: the crate ends the process where it cannot write.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut whole, name, &mut text);
    Ok(stdout().lock().write_all(&text)?)
}

/// Writes the manual pages. `whole` is the program's whole command line.
///
/// # Errors
/// When the folder or a page cannot be written.
pub fn man(args: &ManArgs, whole: Command) -> anyhow::Result<()> {
    let folder = &args.folder;
    private::make_folder(folder).with_context(|| format!("making `{}`", folder.display()))?;
    clap_mangen::generate_to(whole, folder).with_context(|| format!("writing the pages to `{}`", folder.display()))
}
