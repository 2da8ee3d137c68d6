//! Test cards: the numbers that payment providers document for sandboxes. Whoever tries out a shop types one, so that as a value it would make
//! one person of everybody's test accounts. `docs/digests.md` prints the list; a test holds the two equal.

/// The documented numbers of the large providers, by whose pages they were found first; digits alone.
#[rustfmt::skip] // a list of numbers reads better in lines than in a column
pub const TEST_CARDS: &[&str] = &[
    // Stripe.
    "4242424242424242", "4000056655665556", "4000058260000005", "5555555555554444", "2223003122003222", "5200828282828210",
    "5105105105105100", "378282246310005", "371449635398431", "6011111111111117", "6011000990139424", "6011981111111113",
    "3056930009020004", "36227206271667", "6555900000604105", "3566002020360505", "6200000000000005", "6200000000000047",
    "6205500000000000004",
    // Braintree and PayPal.
    "4111111111111111", "4005519200000004", "4009348888881881", "4012000033330026", "4012000077777777", "4012888888881881",
    "4217651111111119", "4500600000000061", "4222222222222", "2223000048400011", "378734493671000", "36259600000004",
    "30569309025904", "38520000023237", "6011000991300009", "3530111333300000", "6304000000000000", "5610591081018250",
    "6331101999990016",
    // Adyen.
    "4444333322221111", "4166676667666746", "4646464646464644", "4293189100000008", "4988438843884305", "4977949494949497",
    "5136333333333335", "5585558555855583", "5555444433331111", "5500000000000004", "5454545454545454", "5100290029002909",
    "5577000055770004", "2222400070000005", "2222410740360010", "2223000048410010", "2222400010000008", "2223520443560010",
    "2222400030000004", "2222400060000007", "2222400050000009", "5103221911199245", "370000000000002", "345177925488348",
    "36006666333344", "6011601160116611", "6445644564456445", "3569990010095841", "6771798021000008", "6771830999991239",
    "6243030000000001", "8171999927660000",
    // Authorize.net, Cybersource, Worldpay, Checkout.com and Square.
    "4007000000027", "5424000000000015", "2223000010309703", "2223000010309711", "6011000000000012", "6011000000000004",
    "3088000000000017", "38000000000006", "2222420000001113", "2222630000001125", "3566111111111113", "4917610000000000",
    "4462030000000000", "4917300800000000", "4484070000000000", "5641820000000005", "6759649826438453", "4543474002249996",
    "5436031030606378", "345678901234564", "30123456789019", "4532759734545858", "340000000000009", "30000000000004",
];

/// What the test cards of a country, a decline or a dispute begin with at Stripe, and those of others too: hundreds, of which no list is complete.
/// Judgement: banks have other ranges.
pub const TEST_CARD_BEGINNING: &str = "400000";
/// How many digits such a card has.
const TEST_CARD_DIGITS: usize = 16;

/// Whether the digits are those of a test card.
pub(super) fn is_test_card(digits: &str) -> bool {
    let is_number = digits.len() == TEST_CARD_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    TEST_CARDS.contains(&digits) || (is_number && digits.starts_with(TEST_CARD_BEGINNING))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The check digit of card numbers (ISO/IEC 7812, annex B).
    fn fits_check_digit(digits: &str) -> bool {
        let value = |(place, digit): (usize, u32)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 };
        digits.chars().rev().filter_map(|c| c.to_digit(10)).enumerate().map(value).sum::<u32>() % 10 == 0
    }

    #[test]
    fn the_list_holds_card_numbers_each_once() {
        assert_eq!(TEST_CARDS.iter().collect::<BTreeSet<_>>().len(), TEST_CARDS.len());
        for digits in TEST_CARDS {
            assert!((13..=19).contains(&digits.len()) && fits_check_digit(digits), "{digits}");
        }
    }

    #[test]
    fn cards_of_the_series_are_test_cards_and_other_numbers_are_not() {
        for digits in ["4000000000000002", "4000002500003155", "4000000760000002", "4242424242424242", "378282246310005"] {
            assert!(is_test_card(digits), "{digits}");
        }
        for digits in ["4242424242424243", "4000010000000001", "40000000000000021", "400000fp_1234567", "12345612345678"] {
            assert!(!is_test_card(digits), "{digits}");
        }
    }
}
