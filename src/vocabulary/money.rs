//! Amounts of money, in the minor unit of an ISO 4217 currency.

use std::collections::BTreeMap;
use std::fmt;

/// An ISO 4217 currency: three upper-case letters. Membership of the list is the caller's business.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Currency([u8; 3]);

/// An amount. Unit: the currency's minor unit (cents). Range: 0 to 10^12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Money {
    amount_minor: i64,
    currency: Currency,
}

/// Why an amount is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not three upper-case letters.
    #[error("the currency must be three upper-case letters of ISO 4217, like `EUR`")]
    Currency,
    /// Negative or beyond 10^12 minor units.
    #[error("the amount must be between 0 and 1000000000000 minor units")]
    Amount,
}

/// The largest amount that is accepted, in minor units.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

impl Currency {
    /// Takes three upper-case letters.
    ///
    /// # Errors
    /// [`InvalidMoney::Currency`] for anything else.
    pub fn new(code: &str) -> Result<Self, InvalidMoney> {
        match *code.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(InvalidMoney::Currency),
        }
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Money {
    /// An amount in a currency.
    ///
    /// # Errors
    /// [`InvalidMoney`] for a negative or absurdly large amount, or a malformed currency.
    pub fn new(amount_minor: i64, currency: &str) -> Result<Self, InvalidMoney> {
        if !(0..=AMOUNT_MINOR_MAX).contains(&amount_minor) {
            return Err(InvalidMoney::Amount);
        }
        Ok(Self { amount_minor, currency: Currency::new(currency)? })
    }

    /// The amount in minor units.
    #[must_use]
    pub const fn amount_minor(self) -> i64 {
        self.amount_minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// What is left of it when so many minor units are taken away; nothing when they are more.
    #[must_use]
    pub fn less(self, minor: i64) -> Self {
        Self { amount_minor: self.amount_minor.saturating_sub(minor).clamp(0, self.amount_minor), ..self }
    }

    /// The part of it that `kept` is of `whole`, rounded down to the minor unit. All of it when `whole` is nothing.
    #[must_use]
    pub fn share(self, kept: i64, whole: i64) -> Self {
        if whole <= 0 {
            return self;
        }
        let part = i128::from(self.amount_minor) * i128::from(kept.clamp(0, whole)) / i128::from(whole);
        Self { amount_minor: i64::try_from(part).unwrap_or(self.amount_minor), ..self }
    }
}

impl Money {
    /// The amount in whole units of its currency, for comparing by size alone: 19.9 for `19.90 EUR`. Two decimals where the currency's are not known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "10^12 is far below what a float holds exactly")]
    pub fn major(self) -> f64 {
        let decimals = iso_currency::Currency::from_code(self.currency.as_str()).and_then(iso_currency::Currency::exponent);
        self.amount_minor as f64 / 10_f64.powi(i32::from(decimals.unwrap_or(2)))
    }
}

/// Amounts added up, one sum for each currency. A sum stops at 10^12 minor units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals(BTreeMap<Currency, i64>);

impl Totals {
    /// Adds an amount.
    pub fn add(&mut self, money: Money) {
        let sum = self.0.entry(money.currency).or_default();
        *sum = sum.saturating_add(money.amount_minor).min(AMOUNT_MINOR_MAX);
    }

    /// The sums, by currency.
    #[must_use]
    pub fn amounts(&self) -> Vec<Money> {
        self.0.iter().map(|(currency, amount_minor)| Money { amount_minor: *amount_minor, currency: *currency }).collect()
    }
}

impl Extend<Money> for Totals {
    fn extend<I: IntoIterator<Item = Money>>(&mut self, amounts: I) {
        amounts.into_iter().for_each(|money| self.add(money));
    }
}

impl FromIterator<Money> for Totals {
    fn from_iter<I: IntoIterator<Item = Money>>(amounts: I) -> Self {
        let mut totals = Self::default();
        totals.extend(amounts);
        totals
    }
}

/// `19.90 EUR`, `1990 JPY`; `1990 QQQ (minor units)` where the decimals of the currency are not known.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { amount_minor, currency } = self;
        let code = currency.as_str();
        match iso_currency::Currency::from_code(code).and_then(iso_currency::Currency::exponent) {
            Some(0) => write!(f, "{amount_minor} {code}"),
            Some(decimals) => {
                let whole = 10_i64.pow(u32::from(decimals));
                let width = usize::from(decimals);
                write!(f, "{}.{:0width$} {code}", amount_minor / whole, amount_minor % whole)
            }
            None => write!(f, "{amount_minor} {code} (minor units)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_added_up_by_currency_and_no_further_than_an_amount_goes() {
        let of = |minor, code| Money::new(minor, code).unwrap();
        let totals: Totals = [of(150, "EUR"), of(300, "JPY"), of(50, "EUR")].into_iter().collect();
        assert_eq!(totals.amounts(), [of(200, "EUR"), of(300, "JPY")]);
        let most: Totals = [of(AMOUNT_MINOR_MAX, "EUR"), of(1, "EUR")].into_iter().collect();
        assert_eq!(most.amounts(), [of(AMOUNT_MINOR_MAX, "EUR")]);
        assert_eq!((of(1_990, "EUR").major(), of(1_990, "JPY").major()), (19.9, 1_990.0));
    }

    #[test]
    fn an_amount_is_written_with_the_decimals_of_its_currency() {
        let written = |minor, code| Money::new(minor, code).unwrap().to_string();
        assert_eq!(written(1_990, "EUR"), "19.90 EUR");
        assert_eq!(written(5, "USD"), "0.05 USD");
        assert_eq!(written(1_990, "JPY"), "1990 JPY");
        assert_eq!(written(1_990, "KWD"), "1.990 KWD");
        assert_eq!(written(1_990, "QQQ"), "1990 QQQ (minor units)");
    }

    #[test]
    fn a_negative_amount_and_a_lower_case_currency_are_refused() {
        assert_eq!(Money::new(-1, "EUR"), Err(InvalidMoney::Amount));
        assert_eq!(Money::new(1, "eur"), Err(InvalidMoney::Currency));
        assert_eq!(Money::new(1, "EURO"), Err(InvalidMoney::Currency));
    }
}
