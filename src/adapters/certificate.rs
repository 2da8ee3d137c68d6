//! What there is to say of the certificate of a server: how long it still holds, and whether its key is private.

use std::path::Path;

use super::tls::{Facts, is_open_to_everybody};
use crate::ports::diagnosis::{Finding, Subject};
use crate::vocabulary::time::{Span, Timestamp};

/// What is left when somebody should look. Judgement: authorities that renew by themselves do it with a third of 90 days left.
const NOTED: Span = Span::from_days(21);
/// What is left when it is wrong: a weekend. Judgement.
const WRONG: Span = Span::from_days(3);

/// Looks at the certificate and its key. `facts` are absent when the certificate could not be looked into.
#[must_use]
pub fn look(key: &Path, facts: Option<&Facts>, now: Timestamp) -> Vec<Finding> {
    let mut found = vec![facts.map_or_else(unknown, |facts| age(facts, now))];
    if is_open_to_everybody(key) {
        let sentence = format!("the key in `{}` can be read by every user of the machine", key.display());
        found.push(Finding::wrong(
            Subject::Certificate,
            sentence,
            format!("chmod o-rwx `{}`, and renew the certificate with another key", key.display()),
        ));
    }
    found
}

fn unknown() -> Finding {
    let fix = "look at it with `openssl x509 -noout -text`: clients may not understand it either";
    Finding::note(Subject::Certificate, "the certificate cannot be looked into, so its end is not known", fix)
}

fn age(Facts { names, not_before, not_after }: &Facts, now: Timestamp) -> Finding {
    let named = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let named = if named.is_empty() { "no name".to_owned() } else { named };
    let left = not_after.since(now);
    let days = left.as_seconds() / 86_400.0;
    let renew = "renew it: the files are read again by themselves, or at a HUP";
    if now < *not_before {
        let sentence = format!("the certificate of {named} does not hold yet");
        Finding::wrong(Subject::Certificate, sentence, "compare the clock of this machine with a time server")
    } else if left <= Span::from_seconds(0) {
        Finding::wrong(Subject::Certificate, format!("the certificate of {named} ended {:.1} days ago", -days), renew)
    } else if left <= WRONG {
        Finding::wrong(Subject::Certificate, format!("the certificate of {named} ends in {days:.1} days"), renew)
    } else if left <= NOTED {
        Finding::note(Subject::Certificate, format!("the certificate of {named} ends in {days:.1} days"), renew)
    } else {
        Finding::fine(Subject::Certificate, format!("the certificate of {named} holds for {days:.0} days"))
    }
}

/// Seconds until the certificate ends, of a server that shows one; endless for one that shows none.
#[must_use]
pub fn seconds_left(facts: Option<&Facts>, now: Timestamp) -> f64 {
    facts.map_or(f64::INFINITY, |facts| facts.not_after.since(now).as_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::diagnosis::Level;

    fn at(days: i64) -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000).plus(Span::from_days(days))
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends() {
        let facts = Facts { names: vec!["api.internal".into()], not_before: at(0), not_after: at(90) };
        let levels = [0, 68, 69, 86, 87, 91, -1].map(|day| age(&facts, at(day)).level);
        assert_eq!(levels, [Level::Fine, Level::Fine, Level::Note, Level::Note, Level::Wrong, Level::Wrong, Level::Wrong]);
        let found = age(&facts, at(80));
        assert!(found.sentence.contains("`api.internal` ends in 10.0 days") && found.fix.contains("renew"), "{found:?}");
        assert!((seconds_left(Some(&facts), at(89)) - 86_400.0).abs() < 1.0);
        assert!(seconds_left(None, at(0)).is_infinite());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_everybody_may_read_is_wrong_and_one_for_a_group_is_not() {
        use std::os::unix::fs::PermissionsExt as _;

        let key = tempfile::NamedTempFile::new().unwrap();
        let facts = Facts { names: Vec::new(), not_before: at(0), not_after: at(90) };
        let found = |mode| {
            std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            look(key.path(), Some(&facts), at(1)).len()
        };
        assert_eq!([0o600, 0o640, 0o644].map(found), [1, 1, 2]);
    }
}
