//! `selfsame audit`: the audit trail, searched, exported and verified. An exported file is verified without a server and without anything of ours.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::answer::{AnswerForm, print};
use super::client::{ANSWER_BYTES_MAX, DeskArgs, block_on, readable};
use super::table::table;
use super::written::Written;
use crate::ledger::trail::{Verification, Verified};
use crate::wire::v1::audit_service_client::AuditServiceClient;
use crate::wire::{WireTimestamp, v1};

const EXAMPLES: &str = "\
Examples:
  Who looked at an account, and what was done about it:
    selfsame audit --program shop search --account mallory

  What one reviewer did on a day:
    selfsame audit --program shop search --actor rita --from 2026-11-28T00:00:00Z --to 2026-11-29T00:00:00Z

  Programmes, identities, tokens and backups:
    selfsame audit --ledger search --act token

  A copy to keep elsewhere, verified there without a server:
    selfsame audit --program shop export -w shop.audit
    selfsame audit verify shop.audit

  Whether the server's trail is still the one that was exported:
    selfsame audit --program shop verify --against shop.audit";

/// Search, export and verify the audit trail: who did what, when, and who looked at whom
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct AuditArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// What is of the ledger as a whole, instead of a programme: programmes, identities, tokens, backups
    #[arg(long, global = true)]
    ledger: bool,
    #[command(subcommand)]
    step: AuditStep,
}

#[derive(Debug, Clone, Subcommand)]
enum AuditStep {
    /// Find entries, the newest first
    Search(Box<SearchArgs>),
    /// Write the whole trail to a file
    Export {
        /// File to write instead of standard output; it gets its name when all of it is there
        #[arg(long, short, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Say whether anything was changed, removed or moved: in an exported file, or in the server's trail
    Verify {
        /// An exported file; without one the server's trail is verified
        #[arg(value_name = "FILE", conflicts_with = "against")]
        file: Option<PathBuf>,
        /// An exported file with which the server's trail must still begin
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
struct SearchArgs {
    /// Only what this caller did
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    actor: String,
    /// Only this act, or all that begin with this word: `case.accepted`, `payout`
    #[arg(long, default_value = "", hide_default_value = true)]
    act: String,
    /// Only what is about this account
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    account: String,
    /// Only what is about this conversion
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    conversion: String,
    /// Only what is about this case
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    case: String,
    /// Not before this time, like 2026-11-28T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,
    /// At most so many entries
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Runs the command.
///
/// # Errors
/// When the server cannot be reached or refuses, a file cannot be read or written, or something is wrong with what was verified.
pub fn run(args: &AuditArgs) -> anyhow::Result<()> {
    let AuditArgs { desk, ledger, step } = args;
    let program = || if *ledger { Ok(String::new()) } else { desk.server.program() };
    match step {
        AuditStep::Verify { file: Some(file), .. } => told(&verified(file)?, desk.answer.output),
        AuditStep::Verify { file: None, against } => {
            let before = against.as_deref().map(verified).transpose()?;
            if let Some(before) = before.as_ref().filter(|before| !before.findings.is_empty()) {
                return told(before, desk.answer.output);
            }
            block_on(verify(desk, program()?, before))
        }
        AuditStep::Search(wanted) => block_on(search(desk, program()?, wanted)),
        AuditStep::Export { write } => block_on(export(desk, program()?, write.as_deref())),
    }
}

/// What is found of an exported file.
fn verified(file: &Path) -> anyhow::Result<Verified> {
    let opened = File::open(file).with_context(|| format!("reading `{}`", file.display()))?;
    let mut verification = Verification::default();
    for line in BufReader::new(opened).lines() {
        verification.line(&line.with_context(|| format!("reading `{}`", file.display()))?);
    }
    Ok(verification.finish())
}

fn told(found: &Verified, form: AnswerForm) -> anyhow::Result<()> {
    let Verified { program, first, last, chain, findings } = found;
    let answer = v1::VerifyAuditResponse {
        first_place: *first,
        last_place: *last,
        chain: chain.clone(),
        hashes_alone: 0,
        findings: findings.clone(),
    };
    tell(form, &answer, program)
}

fn tell(form: AnswerForm, answer: &v1::VerifyAuditResponse, of: &str) -> anyhow::Result<()> {
    print(form, answer, |answer| {
        let v1::VerifyAuditResponse { first_place, last_place, chain, hashes_alone, findings } = answer;
        let alone = if *hashes_alone == 0 { String::new() } else { format!(", {hashes_alone} of them as hashes alone") };
        let head = format!("trail of {of}: entries {first_place} to {last_place}{alone}, chain {chain}");
        if findings.is_empty() {
            format!("{head}\nnothing was changed, removed or moved")
        } else {
            format!("{head}\n{}", findings.join("\n"))
        }
    })?;
    match answer.findings.len() {
        0 => Ok(()),
        1 => bail!("something is wrong with the audit trail"),
        many => bail!("{many} things are wrong with the audit trail"),
    }
}

async fn verify(desk: &DeskArgs, program_id: String, before: Option<Verified>) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(desk.connect().await?);
    let of = if program_id.is_empty() { "the ledger".to_owned() } else { program_id.clone() };
    let (expected_place, expected_chain) = before.map(|before| (before.last, before.chain)).unwrap_or_default();
    let request = v1::VerifyAuditRequest { program_id, expected_place, expected_chain };
    let answer = client.verify_audit(request).await.map_err(readable)?.into_inner();
    tell(desk.answer.output, &answer, &of)
}

async fn search(desk: &DeskArgs, program_id: String, wanted: &SearchArgs) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(desk.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    let SearchArgs { actor, act, account, conversion, case, from, to, limit } = wanted.clone();
    let mut request = v1::SearchAuditRequest {
        program_id,
        actor,
        act,
        account_id: account,
        conversion_id: conversion,
        case_id: case,
        from: from.map(instant),
        to: to.map(instant),
        page_size: 0,
        page_token: String::new(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    request.page_size = u32::try_from(limit.min(500)).unwrap_or(500);
    let mut found = v1::SearchAuditResponse::default();
    loop {
        let v1::SearchAuditResponse { entries, next_page_token } =
            client.search_audit(request.clone()).await.map_err(readable)?.into_inner();
        found.entries.extend(entries);
        if next_page_token.is_empty() || found.entries.len() >= limit {
            found.entries.truncate(limit);
            break;
        }
        request.page_token = next_page_token;
    }
    print(desk.answer.output, &found, |found| listed(&found.entries))
}

fn instant(at: jiff::Timestamp) -> WireTimestamp {
    WireTimestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

fn listed(entries: &[v1::AuditEntry]) -> String {
    let mut rows = vec![["place", "at", "who", "what", "of", ""].map(str::to_owned).to_vec()];
    for entry in entries {
        let of: Vec<&str> = entry.conversion_ids.iter().chain(&entry.account_ids).map(String::as_str).collect();
        let facts: Vec<String> = entry.facts.iter().map(|fact| format!("{}={}", fact.name, fact.value)).collect();
        let at = entry.at.as_ref().and_then(|at| at.spelled().ok()).unwrap_or_default();
        rows.push(vec![entry.place.to_string(), at, entry.actor.clone(), entry.act.clone(), of.join(" "), facts.join(" ")]);
    }
    table(&rows)
}

async fn export(desk: &DeskArgs, program_id: String, output: Option<&Path>) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(desk.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut output = Written::begin(output, &[])?;
    let mut stream = client.export_audit(v1::ExportAuditRequest { program_id }).await.map_err(readable)?.into_inner();
    while let Some(v1::ExportAuditResponse { lines }) = stream.message().await.map_err(readable)? {
        output.write_all(lines.as_bytes()).context("writing the trail")?;
    }
    output.keep()
}
