//! Enumerations of the contract as words of the command line: `OUTCOME_KIND_CHARGE_REFUNDED` is `charge-refunded`. The contract is the only list of them.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::wire::v1;

/// An enumeration whose zero is "not given" and whose others follow without a gap.
pub(super) trait Named: TryFrom<i32> + Copy + Send + Sync + 'static {
    /// What all of its names begin with.
    const PREFIX: &'static str;

    /// The name in the contract.
    fn in_contract(&self) -> &'static str;

    /// The word.
    fn word(&self) -> String {
        self.in_contract().trim_start_matches(Self::PREFIX).to_lowercase().replace('_', "-")
    }
}

macro_rules! named {
    ($($kind:ty: $prefix:literal;)*) => {$(
        impl Named for $kind {
            const PREFIX: &'static str = $prefix;

            fn in_contract(&self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

named! {
    v1::IdentifierKind: "IDENTIFIER_KIND_";
    v1::ListKind: "LIST_KIND_";
    v1::OutcomeKind: "OUTCOME_KIND_";
    v1::Gate: "GATE_";
    v1::GateReason: "GATE_REASON_";
    v1::FeedEventKind: "FEED_EVENT_KIND_";
}

/// All that can be given.
fn all<E: Named>() -> impl Iterator<Item = E> {
    (1..).map_while(|number| E::try_from(number).ok())
}

/// Takes one of the words, and shows all of them where none fits.
pub(super) fn one_of<E: Named>() -> impl TypedValueParser<Value = E> {
    PossibleValuesParser::new(all::<E>().map(|value| value.word()))
        .try_map(|word| all::<E>().find(|value| value.word() == word).ok_or("no such word"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_but_the_one_that_says_nothing_has_a_word_of_its_own() {
        let words: Vec<String> = all::<v1::OutcomeKind>().map(|kind| kind.word()).collect();
        let expected =
            ["charge-refunded", "chargeback", "subscription-canceled", "account-banned", "dispute-won", "account-unbanned"];
        assert_eq!(words, expected);
        assert_eq!(all::<v1::IdentifierKind>().count(), 10);
        assert_eq!(v1::GateReason::OtherConversion.word(), "other-conversion");
    }
}
