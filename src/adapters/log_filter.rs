//! Filters of the log, looked at before they are used: `tracing` takes a misspelt level for the name of a module, and a misspelt module for one of
//! somebody else's, and is silent for ever.

use crate::screening::similarity::{closest, is_slip_of};

/// The levels, and silence.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The crate, as targets of the log name it.
const CRATE: &str = "selfsame";

/// The modules of the crate, one a line, like `selfsame::ledger::open`; `build.rs` lists them.
const MODULES: &str = include_str!(concat!(env!("OUT_DIR"), "/modules.txt"));

/// What is wrong with a filter like `info` or `selfsame=debug,tonic=warn`; `None` when nothing is. Modules of other crates are not known.
pub(crate) fn problem_of(filter: &str) -> Option<String> {
    if filter.trim().is_empty() {
        return Some(format!("is empty; use one of `{}`", LEVELS.join("`, `")));
    }
    directives(filter).find_map(|directive| match directive.split_once('[') {
        // What stands in the brackets is about spans, and `tracing` knows what is wrong with it.
        Some((target, _)) => wrong_target(target.trim()),
        None => match directive.split_once('=') {
            Some((target, level)) => wrong_level(level.trim(), "").or_else(|| wrong_target(target.trim())),
            None => wrong_level(directive, "; a module stands with its level, like `selfsame=debug`"),
        },
    })
}

/// The parts between the commas, but for those in brackets.
fn directives(filter: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let between = move |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    filter.split(between).map(str::trim)
}

fn wrong_level(level: &str, more: &str) -> Option<String> {
    let lower = level.to_ascii_lowercase();
    let is_number = matches!(lower.as_bytes(), [b'0'..=b'5']);
    if is_number || LEVELS.contains(&lower.as_str()) {
        return None;
    }
    Some(match closest(&lower, LEVELS) {
        Some(meant) => format!("holds `{level}`, which is no level; did you mean `{meant}`?"),
        None => format!("holds `{level}`, which is no level; use one of `{}`{more}", LEVELS.join("`, `")),
    })
}

fn wrong_target(target: &str) -> Option<String> {
    let mut names = target.split("::");
    let (first, is_known) = (names.next().unwrap_or_default(), |module: &str| MODULES.lines().any(|known| known == module));
    if first != CRATE {
        let is_meant = first.starts_with(CRATE) || is_slip_of(first, CRATE);
        return is_meant.then(|| format!("holds `{target}`, which is no module; did you mean `{CRATE}`?"));
    }
    let mut above = CRATE.to_owned();
    for name in names {
        let module = format!("{above}::{name}");
        if !is_known(&module) {
            return Some(format!("holds `{target}`, which is no module; {}", instead_of(name, &above)));
        }
        above = module;
    }
    None
}

/// What may be written instead of a name that no module has right below another.
fn instead_of(name: &str, above: &str) -> String {
    let below = || MODULES.lines().filter_map(|known| known.rsplit_once("::")).filter(|(parent, _)| *parent == above);
    let names: Vec<&str> = below().map(|(_, name)| name).collect();
    match closest(name, names.iter().copied()) {
        Some(meant) => format!("did you mean `{above}::{meant}`?"),
        None if names.is_empty() => format!("there are none below `{above}`"),
        None => format!("those below `{above}` are `{}`", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_told_with_the_one_that_was_meant() {
        for (filter, meant) in [
            ("warning", "`warn`"),
            ("Warnings", "`warn`"),
            ("eror", "`error`"),
            ("inf", "`info`"),
            ("selfsame=debg,info", "`debug`"),
            ("selfsame=debug,warning", "`warn`"),
        ] {
            let problem = problem_of(filter).unwrap();
            assert!(problem.contains(&format!("did you mean {meant}?")), "{filter}: {problem}");
        }
        for filter in ["loud", "selfsame", "selfsame=loud", "", "info,,", "selfsame::service"] {
            assert!(problem_of(filter).is_some_and(|problem| problem.contains("use one of `error`")), "{filter}");
        }
    }

    #[test]
    fn what_tracing_takes_is_taken() {
        for filter in [
            "info",
            "WARN",
            "off",
            "3",
            "selfsame=debug,tonic=warn",
            "selfsame::service=trace, info",
            "selfsame::adapters::journal::postgres::database=debug",
            "tokio_postgres::connection=debug,h2=off,self_cell=warn",
            "[call{method=x,code=y}]=debug",
            "selfsame::service[call{method=x}]=debug,warn",
        ] {
            assert_eq!(problem_of(filter), None, "{filter}");
        }
    }

    #[test]
    fn a_misspelt_module_is_told_with_the_one_that_was_meant() {
        for (filter, meant) in [
            ("selfsame::legder=debug", "`selfsame::ledger`"),
            ("info,selfsame::ledger::opne=trace", "`selfsame::ledger::open`"),
            ("selfsame::legder[call]=debug", "`selfsame::ledger`"),
            ("selfsam=debug", "`selfsame`"),
            ("Selfsmae::ledger=debug", "`selfsame`"),
            ("selfsame_ledger=debug", "`selfsame`"),
        ] {
            let problem = problem_of(filter).unwrap();
            assert!(problem.contains(&format!("did you mean {meant}?")), "{filter}: {problem}");
        }
    }

    #[test]
    fn a_module_that_is_none_is_told_with_those_that_there_are() {
        for (filter, said) in [
            ("selfsame::money=debug", "those below `selfsame` are `adapters`, `assistant`, `book`, `cli`,"),
            ("selfsame::ports::xyz=debug", "those below `selfsame::ports` are `clock`, `cold`,"),
            ("selfsame::ports::clock::hands=debug", "there are none below `selfsame::ports::clock`"),
        ] {
            let problem = problem_of(filter).unwrap();
            assert!(problem.contains(said), "{filter}: {problem}");
        }
    }

    #[test]
    fn every_layer_and_every_module_that_logs_is_known() {
        for here in [module_path!(), "selfsame::adapters::log_filter", "selfsame::cli::serve", "selfsame::book::plan"] {
            let module = here.trim_end_matches("::tests");
            assert_eq!(problem_of(&format!("{module}=debug")), None, "{module}");
        }
        assert!(MODULES.lines().all(|module| !module.ends_with("tests")));
    }
}
