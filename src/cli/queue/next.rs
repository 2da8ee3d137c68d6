//! One case after the other: take the next, show it, ask, decide. Nothing is decided that was not asked for.

use std::io::{BufRead as _, Write as _};

use clap::Args;
use tonic::Code;

use super::{Desk, render};
use crate::adapters::system_clock::SystemClock;
use crate::cli::client::readable;
use crate::ports::clock::Clock as _;
use crate::wire::v1;

/// Cases that are looked at for one that nobody else takes meanwhile.
const CANDIDATES: u32 = 20;

const HELP: &str = "  a [CODE [NOTE]]  accept       r [CODE [NOTE]]  reject       s  skip, give it back
  n NOTE           add a note   f  show all of it             q  quit, give it back";

/// How cases are shown.
#[derive(Debug, Args)]
pub struct NextArgs {
    /// Show neither the score nor the reasons, so that they do not lead you: for the audit sample, and for second opinions
    #[arg(long)]
    pub blind: bool,
    /// Only cases with this reason, like `device.same_device`
    #[arg(long, value_name = "CODE", default_value = "")]
    pub reason: String,
    /// End after so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

/// What a reviewer says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Decide(v1::Resolution, String, String),
    Note(String),
    Skip,
    Full,
    Quit,
    Unclear,
}

impl Said {
    fn read(line: &str) -> Self {
        let mut words = line.trim().splitn(2, char::is_whitespace);
        let (word, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
        let (code, note) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let decide = |resolution| Self::Decide(resolution, code.to_owned(), note.trim().to_owned());
        match word {
            "a" | "accept" => decide(v1::Resolution::Accept),
            "r" | "reject" => decide(v1::Resolution::Reject),
            "n" | "note" if !rest.is_empty() => Self::Note(rest.to_owned()),
            "s" | "skip" => Self::Skip,
            "f" | "full" => Self::Full,
            "q" | "quit" => Self::Quit,
            _ => Self::Unclear,
        }
    }
}

/// What became of a case that was taken.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Decided,
    Skipped,
    Quit,
}

impl Desk {
    pub(super) async fn next(mut self, args: &NextArgs) -> anyhow::Result<()> {
        let (mut decided, mut skipped) = (0, Vec::new());
        while args.limit.is_none_or(|limit| decided < limit) {
            let Some(case) = self.take_next(args, &skipped).await? else {
                println!("Nothing waits.");
                break;
            };
            match self.ask(&case, args.blind).await? {
                Left::Decided => decided += 1,
                Left::Skipped => skipped.push(case),
                Left::Quit => break,
            }
        }
        println!("{decided} decided.");
        Ok(())
    }

    /// Claims the first case that nobody has and that was not skipped.
    async fn take_next(&mut self, args: &NextArgs, skipped: &[String]) -> anyhow::Result<Option<String>> {
        let mut request = v1::ListCasesRequest {
            program_id: self.program_id.clone(),
            states: vec![v1::CaseState::Open.into()],
            reason_code: args.reason.clone(),
            page_size: CANDIDATES,
            ..Default::default()
        };
        loop {
            let page = self.client.list_cases(request.clone()).await.map_err(readable)?.into_inner();
            for case in page.cases.into_iter().map(|case| case.case_id).filter(|case| !skipped.contains(case)) {
                let claim =
                    v1::ClaimCaseRequest { program_id: self.program_id.clone(), case_id: case.clone(), ..Default::default() };
                match self.client.claim_case(claim).await {
                    Ok(_) => return Ok(Some(case)),
                    // Another reviewer was faster.
                    Err(status) if status.code() == Code::FailedPrecondition => {}
                    Err(status) => return Err(readable(status)),
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(None);
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn ask(&mut self, case: &str, blind: bool) -> anyhow::Result<Left> {
        let shown = self.case(case, v1::CaseView::Full).await?;
        if blind {
            println!("\n{}", render::blind(&shown));
        } else {
            let page = self.case(case, v1::CaseView::Basic).await?.page;
            println!("\n{case}\n{}", page.join("\n"));
        }
        loop {
            print!("{case}: accept, reject, skip, note, full or quit? ");
            std::io::stdout().flush()?;
            let mut line = String::new();
            let ended = std::io::stdin().lock().read_line(&mut line)? == 0;
            match if ended { Said::Quit } else { Said::read(&line) } {
                Said::Decide(resolution, code, note) => {
                    match self.resolve(case.to_owned(), resolution, &code, &note, None).await {
                        Ok(answer) => {
                            println!("{}", render::resolved(&answer));
                            return Ok(Left::Decided);
                        }
                        Err(refused) => println!("{refused}"),
                    }
                }
                Said::Note(note) => {
                    let request = v1::AddNoteRequest {
                        program_id: self.program_id.clone(),
                        case_id: case.to_owned(),
                        note,
                        request_id: String::new(),
                    };
                    match self.client.add_note(request).await {
                        Ok(_) => println!("noted"),
                        Err(status) => println!("{}", readable(status)),
                    }
                }
                Said::Full if blind => println!("{}", render::blind(&shown)),
                Said::Full => println!("{}", render::case(&shown, SystemClock.now())),
                Said::Skip => return self.give_back(case).await.map(|()| Left::Skipped),
                Said::Quit => return self.give_back(case).await.map(|()| Left::Quit),
                Said::Unclear => println!("{HELP}"),
            }
        }
    }

    async fn case(&mut self, case: &str, view: v1::CaseView) -> anyhow::Result<v1::Case> {
        let request = v1::GetCaseRequest {
            program_id: self.program_id.clone(),
            case_id: case.to_owned(),
            view: Some(view.into()),
            ..Default::default()
        };
        Ok(self.client.get_case(request).await.map_err(readable)?.into_inner().review_case.unwrap_or_default())
    }

    async fn give_back(&mut self, case: &str) -> anyhow::Result<()> {
        let request =
            v1::ReleaseCaseRequest { program_id: self.program_id.clone(), case_id: case.to_owned(), ..Default::default() };
        self.client.release_case(request).await.map_err(readable)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reviewer_says_is_understood_or_asked_again() {
        let decide = |resolution, code: &str, note: &str| Said::Decide(resolution, code.to_owned(), note.to_owned());
        assert_eq!(Said::read("a\n"), decide(v1::Resolution::Accept, "", ""));
        assert_eq!(Said::read(" r ring  nine on one card \n"), decide(v1::Resolution::Reject, "ring", "nine on one card"));
        assert_eq!(Said::read("n they called"), Said::Note("they called".to_owned()));
        for unclear in ["", "n", "yes", "ar"] {
            assert_eq!(Said::read(unclear), Said::Unclear, "{unclear}");
        }
        assert_eq!((Said::read("s"), Said::read("q"), Said::read("full")), (Said::Skip, Said::Quit, Said::Full));
    }
}
