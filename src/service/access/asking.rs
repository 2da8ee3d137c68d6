//! How often one caller asks about one person: an account, a mailbox, a payment instrument. Whoever tries one person's signals again and again until an
//! answer pleases is slowed, however they are spread over conversions, and the operator is told.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::screening::history::{IdentifierKind, visit_values};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::ids::{AccountId, ProgramId};

/// In this time as many questions about one person as may be asked at once are gained again.
const WINDOW: Duration = Duration::from_secs(600);
/// Persons that are counted at a time. A person is forgotten as soon as nothing is counted of it; beyond this all are.
const COUNTED_MAX: usize = 65_536;

/// What one caller asked about whom.
pub(super) struct Asking {
    counted: RateLimiter<u64, HashMapStateStore<u64>, DefaultClock>,
    hasher: RandomState,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}

/// What a person is known by.
#[derive(Debug, Clone, Copy, Hash)]
enum Known<'a> {
    Account(&'a AccountId),
    Value(IdentifierKind, &'a [u8; 32]),
}

impl Asking {
    /// Lets so many questions about one person be asked at once, and in each window.
    pub(super) fn new(questions: NonZeroU32) -> Option<Self> {
        let quota = Quota::with_period(WINDOW / questions.get())?.allow_burst(questions);
        Some(Self { counted: RateLimiter::hashmap(quota), hasher: RandomState::new() })
    }

    /// Counts a question about an account.
    ///
    /// # Errors
    /// When the next may be asked.
    pub(super) fn about_account(&self, program: &ProgramId, account: &AccountId) -> Result<(), Duration> {
        self.count(program, Known::Account(account))
    }

    /// Counts a question about a person by everything that one person alone has: account, mailbox, address and payment instruments.
    ///
    /// # Errors
    /// When the next may be asked.
    pub(super) fn about(&self, program: &ProgramId, person: &SignalBundle) -> Result<(), Duration> {
        let mut asked = self.about_account(program, &person.account_id);
        visit_values(person, |kind, value, _| {
            if matches!(kind, IdentifierKind::EmailExact | IdentifierKind::Mailbox | IdentifierKind::Payment) {
                for digest in value.iter() {
                    let counted = self.count(program, Known::Value(kind, &digest.value));
                    asked = longer(asked, counted);
                }
            }
        });
        asked
    }

    fn count(&self, program: &ProgramId, known: Known<'_>) -> Result<(), Duration> {
        if self.counted.len() >= COUNTED_MAX {
            self.counted.retain_recent();
        }
        let key = self.hasher.hash_one((program, known));
        let refused = self.counted.check_key(&key).err();
        refused.map_or(Ok(()), |refused| Err(refused.wait_time_from(DefaultClock::default().now()).max(Duration::from_millis(1))))
    }
}

fn longer(one: Result<(), Duration>, other: Result<(), Duration>) -> Result<(), Duration> {
    match (one, other) {
        (Err(one), Err(other)) => Err(one.max(other)),
        (Err(wait), Ok(())) | (Ok(()), Err(wait)) => Err(wait),
        (Ok(()), Ok(())) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::fixtures::{bundle, card, email};
    use crate::vocabulary::bundle::PaymentPurpose;
    use crate::vocabulary::email::EmailDomainClass;

    fn program(id: &str) -> ProgramId {
        ProgramId::new(id).unwrap()
    }

    #[test]
    fn a_person_is_slowed_under_every_account_and_others_are_not() {
        let asking = Asking::new(NonZeroU32::new(3).unwrap()).unwrap();
        let shop = program("shop");
        let ask = |account: &str, number: u8| {
            let mut person = bundle(account);
            person.payments.push(card(number, PaymentPurpose::Billing));
            asking.about(&shop, &person)
        };
        for account in ["a", "b", "c"] {
            assert_eq!(ask(account, 7), Ok(()), "{account}");
        }
        let wait = ask("d", 7).unwrap_err();
        assert!(wait <= WINDOW / 3, "{wait:?}");
        assert_eq!(ask("e", 8), Ok(()));
        let mut person = bundle("f");
        person.payments.push(card(7, PaymentPurpose::Billing));
        assert_eq!(asking.about(&program("other"), &person), Ok(()), "another programme knows nothing of it");
    }

    #[test]
    fn an_account_is_slowed_whatever_it_shows() {
        let asking = Asking::new(NonZeroU32::new(2).unwrap()).unwrap();
        let shop = program("shop");
        let asked: Vec<bool> = (0..4)
            .map(|number| {
                let mut person = bundle("a");
                person.emails.push(email(number, 100 + number, EmailDomainClass::FreeMail));
                asking.about(&shop, &person).is_ok()
            })
            .collect();
        assert_eq!(asked, [true, true, false, false]);
        assert!(asking.about_account(&shop, &bundle("a").account_id).is_err());
    }
}
