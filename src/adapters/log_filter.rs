//! Filters of the log, looked at before they are used: `tracing` takes a misspelt level for the name of a module, and is silent for ever.

use crate::screening::similarity::closest;

/// The levels, and silence.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// What is wrong with a filter like `info` or `selfsame=debug,tonic=warn`; `None` when nothing is.
pub(super) fn problem_of(filter: &str) -> Option<String> {
    if filter.trim().is_empty() {
        return Some(format!("is empty; use one of `{}`", LEVELS.join("`, `")));
    }
    // A directive for spans has commas of its own, and `tracing` knows what is wrong with it.
    if filter.contains('[') {
        return None;
    }
    filter.split(',').map(str::trim).find_map(|directive| match directive.split_once('=') {
        Some((_, level)) => wrong_level(level.trim(), ""),
        None => wrong_level(directive, "; a module stands with its level, like `selfsame=debug`"),
    })
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
        for filter in
            ["info", "WARN", "off", "3", "selfsame=debug,tonic=warn", "selfsame::service=trace, info", "[call{method=x}]=debug"]
        {
            assert_eq!(problem_of(filter), None, "{filter}");
        }
    }
}
