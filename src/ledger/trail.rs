//! The audit trail as bytes: an entry's hash, the chain over the hashes, and the file that a stranger verifies with nothing but SHA-256.
//!
//! The chain is computed when the trail is read, from the entries that the records say. Keeping it takes nothing: the journal has a chain of its own,
//! which holds the records. Where retention removed a record, the hash of its entry outlives it, so the chain goes on from the first entry there ever was.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::book::records::Cursor;
use crate::book::trail::TrailEntry;
use crate::vocabulary::ids::ProgramId;

/// The hash of an entry's canonical text.
pub type Leaf = [u8; 32];

/// The chain up to an entry: SHA-256 of the chain before it and of its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailChain(pub [u8; 32]);

impl TrailChain {
    /// What stands before the first entry of a trail that begins at a place.
    #[must_use]
    pub fn before(program: &ProgramId, first: Cursor) -> Self {
        Self(Sha256::digest(format!("selfsame audit trail of {program} from {}", first.0)).into())
    }

    /// The chain with one more entry.
    #[must_use]
    pub fn then(self, leaf: &Leaf) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(leaf).finalize().into())
    }
}

impl fmt::Display for TrailChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The canonical text of an entry.
#[must_use]
pub fn text_of(entry: &TrailEntry) -> String {
    // Strings and numbers always have a JSON form.
    serde_json::to_string(entry).unwrap_or_default()
}

/// The hash of a canonical text.
#[must_use]
pub fn leaf_of(text: &str) -> Leaf {
    Sha256::digest(text).into()
}

/// How a file of a trail begins.
const MAGIC: &str = "selfsame-audit-1";

/// A file of a trail, written line by line: a head, a line for each entry, and an end.
///
/// The head is `selfsame-audit-1 PROGRAM FIRST CHAIN`; CHAIN stands before the first line. An entry is `CHAIN TEXT`: its canonical text, and the chain
/// up to it. Of an entry that retention removed the line is `CHAIN leaf:PLACE:HASH`. The end is `end LAST CHAIN`.
#[derive(Debug, Clone, Copy)]
pub struct TrailFile {
    chain: TrailChain,
    last: Cursor,
}

impl TrailFile {
    /// Begins a file. Returns its head.
    #[must_use]
    pub fn begin(program: &ProgramId, first: Cursor) -> (Self, String) {
        let chain = TrailChain::before(program, first);
        let last = Cursor(first.0.saturating_sub(1));
        (Self { chain, last }, format!("{MAGIC} {program} {} {chain}", first.0))
    }

    /// The line of the next entry, of which the text is absent when only its hash is left.
    pub fn line(&mut self, place: Cursor, leaf: &Leaf, text: Option<&str>) -> String {
        (self.chain, self.last) = (self.chain.then(leaf), place);
        match text {
            Some(text) => format!("{} {text}", self.chain),
            None => format!("{} leaf:{}:{}", self.chain, place.0, hex::encode(leaf)),
        }
    }

    /// The end.
    #[must_use]
    pub fn end(&self) -> String {
        format!("end {} {}", self.last.0, self.chain)
    }

    /// The chain up to the newest line.
    #[must_use]
    pub const fn chain(&self) -> TrailChain {
        self.chain
    }
}

/// What was found of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Whose trail it is.
    pub program: String,
    /// The place of its first entry.
    pub first: u64,
    /// The place of its newest entry.
    pub last: u64,
    /// The chain up to that, hexadecimal.
    pub chain: String,
    /// What is wrong, the first found first. Empty when all is as it was exported.
    pub findings: Vec<String>,
}

/// Findings that are told.
const FINDINGS_MAX: usize = 100;

/// Verifies the lines of a file, one after the other.
#[derive(Debug, Default)]
pub struct Verification {
    found: Verified,
    chain: Option<TrailChain>,
    next: u64,
    ended: bool,
    lines: u64,
}

impl Verification {
    /// Takes the next line.
    pub fn line(&mut self, line: &str) {
        self.lines += 1;
        if self.ended {
            self.find(format!("line {} stands after the end", self.lines));
        } else if self.lines == 1 {
            self.head(line);
        } else if let Some(end) = line.strip_prefix("end ") {
            self.end(end);
        } else {
            self.entry(line);
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Verified {
        if !self.ended {
            self.find(format!("the end is missing: entries after {} may be too", self.next.saturating_sub(1)));
        }
        let Self { mut found, chain, next, .. } = self;
        found.last = next.saturating_sub(1);
        found.chain = chain.map(|chain| chain.to_string()).unwrap_or_default();
        found
    }

    fn find(&mut self, what: String) {
        if self.found.findings.len() < FINDINGS_MAX {
            self.found.findings.push(what);
        }
    }

    fn head(&mut self, line: &str) {
        let parts: Vec<&str> = line.split(' ').collect();
        let read = match *parts.as_slice() {
            [MAGIC, program, first, chain] => {
                first.parse().ok().zip(chain_of(chain)).map(|(first, chain)| (program.to_owned(), first, chain))
            }
            _ => None,
        };
        let Some((program, first, chain)) = read else {
            return self.find(format!("it does not begin with `{MAGIC} PROGRAM FIRST CHAIN`: it is no export of an audit trail"));
        };
        let expected = ProgramId::new(&program).ok().map(|id| TrailChain::before(&id, Cursor(first)));
        if expected != Some(chain) {
            self.find("the first line was changed".to_owned());
        }
        self.found.program = program;
        (self.found.first, self.next, self.chain) = (first, first, Some(chain));
    }

    fn entry(&mut self, line: &str) {
        let number = self.lines;
        let read = line.split_once(' ').and_then(|(chain, rest)| Some((chain_of(chain)?, placed(rest)?)));
        let Some((stated, (place, leaf))) = read else {
            return self.find(format!("line {number}, where entry {} was expected, is no entry", self.next));
        };
        if place > self.next {
            let gone = if place == self.next + 1 {
                format!("entry {} is missing", self.next)
            } else {
                format!("entries {} to {} are missing", self.next, place - 1)
            };
            self.find(format!("{gone} (line {number})"));
        } else if place < self.next {
            self.find(format!(
                "entry {place} stands where entry {} was expected (line {number}): it was moved, or put in",
                self.next
            ));
        } else if self.chain.is_some_and(|before| before.then(&leaf) != stated) {
            self.find(format!("entry {place} was changed (line {number})"));
        }
        // From here on what the file states is followed, so that each damage is named once.
        (self.chain, self.next) = (Some(stated), place + 1);
    }

    fn end(&mut self, end: &str) {
        self.ended = true;
        let read = end.split_once(' ').and_then(|(last, chain)| Some((last.parse::<u64>().ok()?, chain_of(chain)?)));
        match read {
            None => self.find("the last line was changed".to_owned()),
            Some((last, _)) if last + 1 > self.next => {
                self.find(format!("entries {} to {last} are missing at the end", self.next));
            }
            Some((last, chain)) if last + 1 < self.next || Some(chain) != self.chain => {
                self.find("the last line does not belong to what stands before it".to_owned());
            }
            Some(_) => {}
        }
    }
}

fn chain_of(text: &str) -> Option<TrailChain> {
    hex::decode(text).ok()?.try_into().ok().map(TrailChain)
}

/// The place of a line's entry, and its hash.
fn placed(rest: &str) -> Option<(u64, Leaf)> {
    /// Of an entry no more than its place.
    #[derive(serde::Deserialize)]
    struct Placed {
        place: u64,
    }

    if let Some(kept) = rest.strip_prefix("leaf:") {
        let (place, leaf) = kept.split_once(':')?;
        return Some((place.parse().ok()?, hex::decode(leaf).ok()?.try_into().ok()?));
    }
    let Placed { place } = serde_json::from_str(rest).ok()?;
    Some((place, leaf_of(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<String> {
        let (mut file, head) = TrailFile::begin(&ProgramId::new("shop").unwrap(), Cursor(1));
        let mut lines = vec![head];
        for place in 1..=6 {
            let entry = TrailEntry { place, act: "case.accepted".to_owned(), by: "rita".to_owned(), ..TrailEntry::default() };
            let text = text_of(&entry);
            lines.push(file.line(Cursor(place), &leaf_of(&text), (place != 2).then_some(&text)));
        }
        lines.push(file.end());
        lines
    }

    fn verified(lines: &[String]) -> Verified {
        let mut verification = Verification::default();
        for line in lines {
            verification.line(line);
        }
        verification.finish()
    }

    #[test]
    fn what_was_not_touched_is_sound_and_says_where_it_ends() {
        let Verified { program, first, last, chain, findings } = verified(&file());
        assert_eq!((program.as_str(), first, last, findings), ("shop", 1, 6, Vec::<String>::new()));
        assert_eq!(chain.len(), 64);
    }

    #[test]
    fn each_kind_of_damage_is_found_and_named() {
        let sound = file();
        let with = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = sound.clone();
            change(&mut lines);
            verified(&lines).findings
        };
        let changed = with(&|lines| lines[4] = lines[4].replace("rita", "rida"));
        assert_eq!(changed, ["entry 4 was changed (line 5)"]);
        let removed = with(&|lines| drop(lines.remove(3)));
        assert_eq!(removed, ["entry 3 is missing (line 4)"]);
        let swapped = with(&|lines| lines.swap(3, 4));
        assert!(swapped[0].contains("entry 3 is missing") && swapped[1].contains("entry 3 stands where entry 5"), "{swapped:?}");
        let put_in = with(&|lines| lines.insert(4, lines[3].clone()));
        assert!(put_in[0].contains("entry 3 stands where entry 4 was expected"), "{put_in:?}");
        let cut = with(&|lines| lines.truncate(5));
        assert_eq!(cut, ["the end is missing: entries after 4 may be too"]);
        let shorter = with(&|lines| drop(lines.drain(5..7)));
        assert_eq!(shorter, ["entries 5 to 6 are missing at the end"]);
        let of_hash = with(&|lines| lines[2] = lines[2].replace("leaf:2:", "leaf:2:00").replacen("00", "", 0));
        assert!(!of_hash.is_empty());
        let head = with(&|lines| lines[0] = lines[0].replace("shop", "shoq"));
        assert_eq!(head, ["the first line was changed"]);
        let after = with(&|lines| lines.push(lines[3].clone()));
        assert_eq!(after, ["line 9 stands after the end"]);
        assert!(verified(&["hello".to_owned()]).findings[0].contains("no export of an audit trail"));
    }
}
