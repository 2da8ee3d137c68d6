//! `selfsame digest`: turns raw values into pseudonyms on the caller's machine, so that no personal datum leaves it.
//!
//! Reads arguments, CSV, JSONL or lines; writes one JSON object a line, in the API's own JSON form. Prints no raw value.

mod mapping;
mod reading;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use rand::RngCore as _;
use secrecy::zeroize::Zeroizing;

use self::mapping::Mapping;
use self::reading::{Sink, read_csv, read_jsonl, read_lines};
use super::progress;
use super::written::Written;
use crate::adapters::byte_order_mark::{self, Unmarked};
use crate::digesting::{AccountIds, Digester, DomainRules, PlusFolded, ProgrammeKey, RowSettings, payment_kind_of, purpose_of};
use crate::vocabulary::bundle::{PaymentKind, PaymentPurpose};
use crate::vocabulary::digest::KeyId;

/// The environment variable that holds the programme key.
const KEY_VARIABLE: &str = "SELFSAME_PROGRAMME_KEY";
/// Bytes of a generated key.
const GENERATED_KEY_BYTES: usize = 32;

const EXAMPLES: &str = "\
Examples:
  Make a key, once for each programme, and keep it in a secret store:
    selfsame digest --generate-key --key-file programme.key

  The signals of one e-mail address, ready to paste into a request:
    selfsame digest --key-file programme.key jane.doe+shop@gmail.com

  Names, addresses, devices:
    selfsame digest --key-file programme.key --kind name 'Jane Doe'
    selfsame digest --key-file programme.key --kind ip 203.0.113.9 2001:db8::1
  (an IPv6 address gives three lines, for its /64, /56 and /48; all go into `networks`;
  the `personSketch` of an e-mail address is compared with that of a name)

  A table, one `SignalBundle` for each row; the columns are found by their headers
  (account_id, email, name or first_name and last_name, device, browser, user_agent,
  platform, time_zone, ip, payment or card or iban or paypal, payment_kind,
  payment_purpose, payment_country):
    selfsame digest --key-file programme.key --input people.csv > people.jsonl

  A table of IBANs to which rewards are paid, without columns that say so:
    selfsame digest --key-file programme.key --payment-kind sepa \\
        --payment-purpose payout --input payouts.csv

  Domains of your own, one a line (`throwaway.example disposable`, `company.example
  folds_plus`); they go before the shipped lists:
    selfsame digest --key-file programme.key --domains domains.txt --input people.csv

  While keys rotate, digest under both:
    selfsame digest --key-file new.key --key-id k2 \\
        --previous-key-file old.key --previous-key-id k1 --input people.csv

  What the service knows, under the new key too (see docs/digests.md, \"Rotating the key\"):
    selfsame digest --rekey --key-file new.key --key-id k2 \\
        --previous-key-file old.key --previous-key-id k1 --without-accounts \\
        --input people.csv > mapping.jsonl

The key is text in hexadecimal or base64 (or `raw:` and the text), or a binary file; at
least 32 bytes. Without --key-file it is read from SELFSAME_PROGRAMME_KEY.
What stands where there is no value (`n/a`, zeros, test@test.com, a test card of a
payment provider) is refused, with line and column: all who have none would be one.
The rules and test vectors for other languages are in docs/digests.md.";

/// Turn e-mails, names, devices, addresses and cards into pseudonyms
///
/// Selfsame never sees raw values: it compares keyed digests and sketches. This command makes them where the raw values are.
/// Give values as arguments, or a table with --input. One JSON object is written for each value or row, in the API's JSON form.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct DigestArgs {
    /// Values to digest, all of one --kind
    #[arg(conflicts_with = "input")]
    pub values: Vec<String>,

    /// What the values or lines are; tables do not need it, they have headers [default: email]
    #[arg(long, value_enum)]
    pub kind: Option<ValueKind>,

    /// File to read, `-` for standard input
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Format of the input [default: by the file's ending; lines with --kind]
    #[arg(long, value_enum)]
    pub format: Option<InputFormat>,

    /// File to write instead of standard output; it gets its name when all of it is there
    #[arg(long, short, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// File that holds the programme key; without it, the variable SELFSAME_PROGRAMME_KEY
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Name of the programme key, sent with each digest
    #[arg(long, env = "SELFSAME_PROGRAMME_KEY_ID", default_value = "k1", value_parser = KeyId::new, value_name = "KEY_ID")]
    pub key_id: KeyId,

    /// File that holds the previous key, while keys rotate
    #[arg(long, requires = "previous_key_id", value_name = "FILE")]
    pub previous_key_file: Option<PathBuf>,

    /// Name of the previous key
    #[arg(long, requires = "previous_key_file", value_parser = KeyId::new, value_name = "KEY_ID")]
    pub previous_key_id: Option<KeyId>,

    /// Write a mapping instead: which digest under the previous key is which under the new one, for `selfsame program rekey`
    #[arg(long, requires = "previous_key_file")]
    pub rekey: bool,

    /// What to do with a value or row that cannot be digested
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    pub on_error: OnError,

    /// File of e-mail domains that goes before the shipped lists: a domain a line, then `disposable`, `relay`, `free_mail` or
    /// `corporate`, and `folds_plus` or `keeps_plus`; may be given several times. Use the same files wherever you digest
    #[arg(long, value_name = "FILE")]
    pub domains: Vec<PathBuf>,

    /// Kind of the payment instruments that no column tells: card, sepa, paypal, bank_account, wallet or other
    #[arg(long, value_name = "KIND", value_parser = read_kind)]
    pub payment_kind: Option<PaymentKind>,

    /// What the payment instruments are used for, where no column tells: billing or payout
    #[arg(long, value_name = "PURPOSE", value_parser = read_purpose)]
    pub payment_purpose: Option<PaymentPurpose>,

    /// Take rows without account_id; the server takes no such bundle, so you add the ids yourself
    #[arg(long, requires = "input")]
    pub without_accounts: bool,

    /// Write `plusFolded` too: the address cut at its `+`, where that may or may not be a tag. The API of this release does not take it
    #[arg(long)]
    pub plus_folded: bool,

    /// Make a random key, print it (or write it to --key-file, which must not exist), and end
    #[arg(long, conflicts_with_all = ["values", "input", "previous_key_file"])]
    pub generate_key: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ValueKind {
    /// An e-mail address
    Email,
    /// A person's name
    Name,
    /// A device fingerprint
    Device,
    /// A browser's cookie or installation id
    Browser,
    /// An IPv4 or IPv6 address
    Ip,
    /// A payment instrument's fingerprint
    Payment,
}

/// How the input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Comma-separated, the first line being the headers
    Csv,
    /// One JSON object a line; a field may hold a list of texts
    Jsonl,
    /// One value a line, all of one --kind
    Lines,
}

/// What happens at a value or row that cannot be digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Stop at the first
    Stop,
    /// Say what is wrong on standard error, leave it out, and go on
    Skip,
}

/// Runs the command.
///
/// # Errors
/// A missing or unusable key, an unreadable input, an unwritable output, or (with `--on-error stop`) a value that cannot be
/// digested. No message shows a raw value or the key.
pub fn run(args: &DigestArgs) -> anyhow::Result<()> {
    if args.generate_key {
        return generate_key(args.key_file.as_deref());
    }
    let source = Source::of(args)?;
    let digester = digester(args)?;
    let settings = settings(args)?;
    let inputs = [&args.input, &args.key_file, &args.previous_key_file];
    let inputs: Vec<&Path> = inputs.into_iter().flatten().chain(&args.domains).map(PathBuf::as_path).collect();
    let output = Written::begin(args.write.as_deref(), &inputs)?;
    let bar = source.progress_bar();
    let mut report = |line: &str| bar.suspend(|| say(line));
    let (on_error, digester, settings) = (args.on_error, &digester, &settings);
    let mapping = mapping(args)?;
    let mut sink = Sink { digester, settings, on_error, output, mapping, written: 0, refused: 0, report: &mut report };
    let outcome = source.read_into(&bar, &mut sink);
    let Sink { output, written, refused, .. } = sink;
    let outcome = outcome.and_then(|()| output.keep());
    bar.finish_and_clear();
    if refused > 0 {
        say(&format!("digested {written}, refused {refused}"));
    }
    // Whoever reads the output has had enough (`| head`): not an error.
    match outcome {
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => Ok(()),
        outcome => outcome,
    }
}

/// Tells the user something on standard error. Nobody listening is not an error.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

fn generate_key(path: Option<&Path>) -> anyhow::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; GENERATED_KEY_BYTES]);
    rand::rngs::OsRng.fill_bytes(bytes.as_mut());
    let text = Zeroizing::new(hex::encode(bytes.as_ref()));
    match path {
        Some(path) => {
            let mut options = File::options();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).with_context(|| format!("cannot make the key file `{}`", path.display()))?;
            writeln!(file, "{}", text.as_str())?;
            say(&format!(
                "wrote a new programme key to `{}`; whoever holds it can test guesses against the pseudonyms",
                path.display()
            ));
        }
        None => writeln!(io::stdout(), "{}", text.as_str())?,
    }
    Ok(())
}

fn digester(args: &DigestArgs) -> anyhow::Result<Digester> {
    let current = if let Some(path) = &args.key_file {
        key_of_file(path, &args.key_id)?
    } else {
        let text = std::env::var(KEY_VARIABLE).map(Zeroizing::new).map_err(|_| {
            anyhow::anyhow!(
                "no programme key: give --key-file, or set {KEY_VARIABLE}; `selfsame digest --generate-key` makes one"
            )
        })?;
        ProgrammeKey::from_text(args.key_id, &text).with_context(|| format!("in the variable {KEY_VARIABLE}"))?
    };
    match (&args.previous_key_file, &args.previous_key_id) {
        (Some(path), Some(id)) => Ok(Digester::rotating(&current, &key_of_file(path, id)?)?),
        (None, _) | (_, None) => Ok(Digester::new(&current)),
    }
}

/// The mapping that is to be written; absent where bundles are.
fn mapping(args: &DigestArgs) -> anyhow::Result<Option<Mapping>> {
    let Some(old) = args.previous_key_id.filter(|_| args.rekey) else { return Ok(None) };
    if args.plus_folded {
        bail!("--plus-folded goes with bundles; the server keeps no such value");
    }
    Ok(Some(Mapping::new(old, args.key_id)))
}

fn settings(args: &DigestArgs) -> anyhow::Result<RowSettings> {
    let mut domains = DomainRules::SHIPPED;
    for path in &args.domains {
        let text =
            byte_order_mark::read_to_string(path).with_context(|| format!("cannot read the domains `{}`", path.display()))?;
        domains.add_file(&text).with_context(|| format!("in the domains `{}`", path.display()))?;
    }
    Ok(RowSettings {
        domains,
        payment_kind: args.payment_kind,
        payment_purpose: args.payment_purpose,
        account_ids: if args.without_accounts { AccountIds::AddedLater } else { AccountIds::Required },
        plus_folded: if args.plus_folded { PlusFolded::Written } else { PlusFolded::LeftOut },
    })
}

fn read_kind(word: &str) -> Result<PaymentKind, &'static str> {
    payment_kind_of(word).ok_or("use card, sepa, paypal, bank_account, wallet or other")
}

fn read_purpose(word: &str) -> Result<PaymentPurpose, &'static str> {
    purpose_of(word).ok_or("use billing or payout")
}

fn key_of_file(path: &Path, id: &KeyId) -> anyhow::Result<ProgrammeKey> {
    let content = Zeroizing::new(std::fs::read(path).with_context(|| format!("cannot read the key file `{}`", path.display()))?);
    ProgrammeKey::from_file_content(*id, &content).with_context(|| format!("in the key file `{}`", path.display()))
}

/// Where the values come from.
enum Source<'a> {
    Arguments { values: &'a [String], kind: ValueKind },
    Lines { path: &'a Path, kind: ValueKind },
    Csv { path: &'a Path },
    Jsonl { path: &'a Path },
}

impl<'a> Source<'a> {
    fn of(args: &'a DigestArgs) -> anyhow::Result<Self> {
        let kind = args.kind.unwrap_or(ValueKind::Email);
        if !args.values.is_empty() {
            if args.format.is_some() {
                bail!("--format goes with --input; the values are given as arguments");
            }
            return Ok(Self::Arguments { values: &args.values, kind });
        }
        let path = match &args.input {
            Some(path) => path.as_path(),
            None if io::stdin().is_terminal() => {
                bail!("nothing to digest: give values, or a file with --input; --help has examples")
            }
            None => Path::new("-"),
        };
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let format = match (args.format, ending.as_str()) {
            (Some(format), _) => format,
            (None, "csv") if args.kind.is_none() => InputFormat::Csv,
            (None, "jsonl" | "ndjson") if args.kind.is_none() => InputFormat::Jsonl,
            (None, "txt") => InputFormat::Lines,
            (None, _) if args.kind.is_some() => InputFormat::Lines,
            (None, _) if path == Path::new("-") => {
                bail!("standard input has no ending to tell its format: say --format csv, jsonl or lines")
            }
            (None, _) => bail!("cannot tell the format of `{}` by its ending: say --format csv, jsonl or lines", path.display()),
        };
        match format {
            InputFormat::Lines => Ok(Self::Lines { path, kind }),
            InputFormat::Csv | InputFormat::Jsonl if args.kind.is_some() => {
                bail!("--kind goes with values and lines; the columns of a table say what they hold")
            }
            InputFormat::Csv => Ok(Self::Csv { path }),
            InputFormat::Jsonl => Ok(Self::Jsonl { path }),
        }
    }

    /// A bar over the bytes of a file, when somebody watches; else a hidden one.
    fn progress_bar(&self) -> ProgressBar {
        let path = match self {
            Self::Arguments { .. } => return ProgressBar::hidden(),
            Self::Lines { path, .. } | Self::Csv { path } | Self::Jsonl { path } => path,
        };
        let bytes = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
        let template = "digesting {bar:30} {percent:>3} % {decimal_bytes_per_sec} {eta} left";
        bytes.map_or_else(ProgressBar::hidden, |bytes| progress::bar(Some(bytes), template))
    }

    fn read_into<W: Write>(&self, bar: &ProgressBar, sink: &mut Sink<'_, W>) -> anyhow::Result<()> {
        match self {
            Self::Arguments { values, kind } => {
                for (index, value) in values.iter().enumerate() {
                    sink.take_value(&format!("value {}", index + 1), *kind, value)?;
                }
                Ok(())
            }
            Self::Lines { path, kind } => read_lines(open(path, bar)?, *kind, sink),
            Self::Csv { path } => read_csv(open(path, bar)?, sink),
            Self::Jsonl { path } => read_jsonl(open(path, bar)?, sink),
        }
    }
}

fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(Unmarked::of(io::stdin().lock())));
    }
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Box::new(Unmarked::of(bar.wrap_read(file))))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: DigestArgs,
    }

    fn args(words: &[&str]) -> DigestArgs {
        Cli::try_parse_from([&["digest"], words].concat()).unwrap().args
    }

    #[test]
    fn the_format_follows_the_ending_and_kind_means_lines() {
        for (words, format) in [
            (["--input", "a.csv"].as_slice(), "csv"),
            (&["--input", "a.ndjson"], "jsonl"),
            (&["--input", "a.csv", "--kind", "ip"], "lines"),
            (&["--input", "-", "--format", "csv"], "csv"),
            (&["jane@example.com"], "arguments"),
        ] {
            let args = args(words);
            let found = match Source::of(&args).unwrap() {
                Source::Arguments { .. } => "arguments",
                Source::Lines { .. } => "lines",
                Source::Csv { .. } => "csv",
                Source::Jsonl { .. } => "jsonl",
            };
            assert_eq!(found, format, "{words:?}");
        }
        assert!(Source::of(&args(&["--input", "a.bin"])).is_err());
        assert!(Source::of(&args(&["--input", "a.csv", "--format", "csv", "--kind", "ip"])).is_err());
    }

    #[test]
    fn neither_the_table_nor_the_key_is_ever_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let (table, key) = (folder.path().join("p.csv"), folder.path().join("k.key"));
        let content = "account_id,email\na1,jane@example.com\n";
        std::fs::write(&table, content).unwrap();
        generate_key(Some(&key)).unwrap();
        let [table_name, key_name] = [&table, &key].map(|path| path.to_str().unwrap().to_owned());
        for output in [&table_name, &key_name] {
            let refused = run(&args(&["--key-file", &key_name, "-i", &table_name, "-w", output])).unwrap_err().to_string();
            assert!(refused.contains("is also read"), "{refused}");
        }
        assert_eq!(std::fs::read_to_string(&table).unwrap(), content);
        let output = folder.path().join("p.jsonl");
        run(&args(&["--key-file", &key_name, "-i", &table_name, "-w", output.to_str().unwrap()])).unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap().lines().count(), 1);
    }

    #[test]
    fn an_input_with_a_byte_order_mark_is_the_input_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (key, domains) = (path("k.key"), path("domains.txt"));
        generate_key(Some(Path::new(&key))).unwrap();
        let marked_key = path("marked.key");
        std::fs::write(&marked_key, format!("\u{feff}{}", std::fs::read_to_string(&key).unwrap())).unwrap();
        std::fs::write(&domains, "\u{feff}company.example folds_plus\n").unwrap();
        for (name, more, content) in [
            ("t.csv", "", "\"account_id\",\"email\"\na1,jane+x@company.example\n"),
            ("t.csv", "", "account_id,ip\r\na1,203.0.113.9\r\n"),
            ("t.jsonl", "", "{\"account_id\":\"a1\",\"name\":\"Jane Doe\"}\n"),
            ("t.txt", "--kind ip", "203.0.113.9\n203.0.113.10\n"),
            ("t.txt", "--kind device", "fp-1\n"),
        ] {
            let digested = |key: &str, mark: &str| {
                let (input, output) = (path(name), path("out.jsonl"));
                std::fs::write(&input, format!("{mark}{content}")).unwrap();
                let words = ["--key-file", key, "--domains", &domains, "-i", &input, "-w", &output];
                run(&args(&words.into_iter().chain(more.split_whitespace()).collect::<Vec<_>>())).unwrap();
                std::fs::read_to_string(&output).unwrap()
            };
            let expected = digested(&key, "");
            assert!(!expected.is_empty());
            assert_eq!(digested(&key, "\u{feff}"), expected, "{content}");
            assert_eq!(digested(&marked_key, ""), expected, "{content}");
        }
    }

    #[test]
    fn a_generated_key_is_usable_and_never_overwrites_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("programme.key");
        generate_key(Some(&path)).unwrap();
        let written = std::fs::read(&path).unwrap();
        assert!(ProgrammeKey::from_file_content(KeyId::new("k1").unwrap(), &written).is_ok());
        assert!(generate_key(Some(&path)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }
}
