//! `selfsame program rekey | keys`: teaches names of values under a new key, page by page, and shows how far that is.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::answer::{AnswerForm, print};
use super::client::{Client, readable};
use super::table::table;
use crate::book::rekeying::REKEYED_MAX;
use crate::wire::v1;
use crate::wire::v1::program_service_client::ProgramServiceClient;

/// What is to be taught.
#[derive(Debug, Clone, Args)]
pub(super) struct RekeyArgs {
    /// The programme
    #[arg(value_name = "ID")]
    id: String,
    /// The mapping that `selfsame digest --rekey` wrote; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

/// Teaches a mapping. Pages have ids made of their content: a run that was cut is run again, and takes nothing twice.
pub(super) async fn rekey(mut client: ProgramServiceClient<Client>, args: RekeyArgs, form: AnswerForm) -> anyhow::Result<()> {
    let RekeyArgs { id, file, note } = args;
    let input: Box<dyn std::io::Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(&file).with_context(|| format!("cannot read `{}`", file.display()))?)
    };
    let mut lines = BufReader::new(input).lines().enumerate();
    let (mut sent, mut taught, mut pages) = (0_usize, 0_u64, 0_u64);
    loop {
        let (mut values, mut hash, mut first) = (Vec::new(), blake3::Hasher::new(), 0);
        for (index, line) in lines.by_ref() {
            let line = line.with_context(|| format!("reading line {}", index + 1))?;
            if line.trim().is_empty() {
                continue;
            }
            let value: v1::RekeyedValue = serde_json::from_str(&line)
                .with_context(|| format!("line {} is no line of a mapping: `selfsame digest --rekey` writes those", index + 1))?;
            if values.is_empty() {
                first = index + 1;
            }
            hash.update(line.as_bytes()).update(&[0]);
            values.push(value);
            if values.len() == REKEYED_MAX {
                break;
            }
        }
        if values.is_empty() {
            break;
        }
        let digits: String = hash.finalize().to_hex().chars().take(32).collect();
        let (count, request_id) = (values.len(), format!("rekey-{digits}"));
        let request = v1::RekeyValuesRequest { program_id: id.clone(), values, note: note.clone(), request_id };
        let answer = client.rekey_values(request).await.map_err(readable);
        let answer = answer.with_context(|| {
            format!("of the page that begins at line {first} nothing was taken; the {sent} values before it were. `values[0]` is that line")
        })?;
        let v1::RekeyValuesResponse { taught: of_page, replayed } = answer.into_inner();
        sent += count;
        taught += if replayed { 0 } else { u64::from(of_page) };
        pages += 1;
    }
    if sent == 0 {
        bail!("`{}` holds no values", file.display());
    }
    let told = v1::RekeyValuesResponse { taught: u32::try_from(taught).unwrap_or(u32::MAX), replayed: false };
    print(form, &told, |_| format!("{sent} values in {pages} calls; {taught} of them, or their sketches, were new"))
}

/// Shows under which keys values are known.
pub(super) async fn keys(mut client: ProgramServiceClient<Client>, program_id: String, form: AnswerForm) -> anyhow::Result<()> {
    let answer = client.get_key_use(v1::GetKeyUseRequest { program_id }).await.map_err(readable)?.into_inner();
    print(form, &answer, listed)
}

fn listed(v1::GetKeyUseResponse { keys, values_cold }: &v1::GetKeyUseResponse) -> String {
    if keys.is_empty() {
        return "no value is known yet".to_owned();
    }
    let row = |known: &v1::KeyShare| {
        let v1::KeyShare { key_id, values, under_newer, taken } = known;
        let share = if *values == 0 { 100 } else { under_newer * 100 / values };
        let taken = if *taken { "yes" } else { "no" };
        vec![key_id.clone(), values.to_string(), format!("{under_newer} ({share} %)"), taken.to_owned()]
    };
    let head = ["key", "values known", "of these under a newer key", "taken"].map(str::to_owned).to_vec();
    let shown = table(&std::iter::once(head).chain(keys.iter().map(row)).collect::<Vec<_>>());
    if *values_cold == 0 {
        shown
    } else {
        format!("{shown}\n{values_cold} more values are cold, of accounts that nobody met for long")
    }
}
