//! The personas of a referral programme: who refers whom, what the two share, and how they come to convert.
//!
//! One code for every caller: the day of the demo and the simulated months differ only in parameters. A persona never knows
//! of rules, features or models. Called by [`super::scenario`] and the simulator.

mod conversions;
mod defaults;
mod environment;
mod groups;
mod identity;
mod pairs;
mod parameters;
mod stage;

pub use identity::Casting;
pub use parameters::{CaptureShares, Habits, Hiding, InvalidParameter, PersonaParameters, PersonasParameters, Sharing, Tempo};
pub use stage::{Stage, StageParameters};

use groups::Star;
use pairs::{Disguise, MailboxTrick};

use crate::vocabulary::label::Truth;
use crate::vocabulary::time::Timestamp;

use super::raw::RawConversion;

/// Who plays in an episode. The name says the truth in detail; [`Persona::truth`] says what a model must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persona {
    /// Two people who know each other and live apart.
    Friends,
    /// Two people at one address, often of one surname, sometimes on one tablet or with one card.
    Household,
    /// Colleagues behind one office address, on laptops that look alike.
    Colleagues,
    /// Students behind one campus address that hundreds share.
    Campus,
    /// An agency or a partner that refers many clients in good faith.
    Agency,
    /// Somebody who had an account already clicks a friend's link and buys.
    ExistingUser,
    /// A referral that was attached by hand after a dispute or a glitch, in good faith.
    ManualAttribution,
    /// An honest referral whose invoice is reported twice.
    DuplicateInvoice,
    /// Refers himself with a second address at another provider.
    SecondEmail,
    /// Refers himself with an alias of his mailbox: a plus tag or moved dots.
    Alias,
    /// Refers himself with his address written slightly otherwise.
    TypoMailbox,
    /// Refers himself with an unrelated address on the same device.
    SharedDevice,
    /// Refers himself with an unrelated address and pays with the same card.
    SharedCard,
    /// Refers himself from a fresh browser behind a VPN with another card; the name or the mailbox resembles his own.
    CarefulSelf,
    /// One person, several accounts on one device, each referring the next.
    DeviceRing,
    /// Accounts that refer each other in a circle of two to five.
    Loop,
    /// A burst of sign-ups with addresses of one pattern.
    SignupFarm,
    /// Buys at the smallest amount that earns a reward through accounts of his own, and takes refunds.
    RewardFarmer,
    /// Publishes a code where strangers who would buy anyway pick it up at the checkout.
    CouponSite,
}

impl Persona {
    /// All personas, honest ones first.
    pub const ALL: [Self; 19] = [
        Self::Friends,
        Self::Household,
        Self::Colleagues,
        Self::Campus,
        Self::Agency,
        Self::ExistingUser,
        Self::ManualAttribution,
        Self::DuplicateInvoice,
        Self::SecondEmail,
        Self::Alias,
        Self::TypoMailbox,
        Self::SharedDevice,
        Self::SharedCard,
        Self::CarefulSelf,
        Self::DeviceRing,
        Self::Loop,
        Self::SignupFarm,
        Self::RewardFarmer,
        Self::CouponSite,
    ];

    /// Whether the referrals of this persona are abusive.
    #[must_use]
    pub const fn truth(self) -> Truth {
        match self {
            Self::Friends
            | Self::Household
            | Self::Colleagues
            | Self::Campus
            | Self::Agency
            | Self::ExistingUser
            | Self::ManualAttribution
            | Self::DuplicateInvoice => Truth::Honest,
            Self::SecondEmail
            | Self::Alias
            | Self::TypoMailbox
            | Self::SharedDevice
            | Self::SharedCard
            | Self::CarefulSelf
            | Self::DeviceRing
            | Self::Loop
            | Self::SignupFarm
            | Self::RewardFarmer
            | Self::CouponSite => Truth::Abusive,
        }
    }

    /// The persona's name in files and reports, like `second_email`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Friends => "friends",
            Self::Household => "household",
            Self::Colleagues => "colleagues",
            Self::Campus => "campus",
            Self::Agency => "agency",
            Self::ExistingUser => "existing_user",
            Self::ManualAttribution => "manual_attribution",
            Self::DuplicateInvoice => "duplicate_invoice",
            Self::SecondEmail => "second_email",
            Self::Alias => "alias",
            Self::TypoMailbox => "typo_mailbox",
            Self::SharedDevice => "shared_device",
            Self::SharedCard => "shared_card",
            Self::CarefulSelf => "careful_self",
            Self::DeviceRing => "device_ring",
            Self::Loop => "loop",
            Self::SignupFarm => "signup_farm",
            Self::RewardFarmer => "reward_farmer",
            Self::CouponSite => "coupon_site",
        }
    }
}

/// Plays one episode of a persona: its conversions, none before `at`, not yet numbered, in no order.
///
/// Length: 1 up to the persona's `referees_max`, and one more for each invoice that is reported again or paid after a sign-up.
pub fn play(persona: Persona, stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let mut conversions = play_referrals(persona, stage, at);
    let later: Vec<_> = conversions.iter().filter_map(|conversion| stage.pay_later(conversion)).collect();
    conversions.extend(later);
    conversions
}

/// One conversion for each referral (two for an invoice that is reported again).
fn play_referrals(persona: Persona, stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let mut play_self = |mailbox, name_again, name_invented| {
        pairs::play_self_referral(persona, Disguise { mailbox, name_again, name_invented }, stage, at)
    };
    match persona {
        Persona::Friends
        | Persona::Household
        | Persona::Colleagues
        | Persona::Campus
        | Persona::Agency
        | Persona::ExistingUser
        | Persona::ManualAttribution
        | Persona::CouponSite => pairs::play_between_people(persona, stage, at),
        Persona::DuplicateInvoice => pairs::play_duplicate(stage, at),
        Persona::SecondEmail => play_self(MailboxTrick::OtherProvider, 0.70, 0.15),
        Persona::Alias => play_self(MailboxTrick::Alias, 0.70, 0.15),
        Persona::TypoMailbox => play_self(MailboxTrick::Slip, 0.70, 0.15),
        Persona::SharedDevice | Persona::SharedCard => play_self(MailboxTrick::Unrelated, 0.35, 0.45),
        Persona::CarefulSelf => play_self(MailboxTrick::OtherProviderOrUnrelated, 0.55, 0.30),
        Persona::DeviceRing => groups::play_ring(stage, at),
        Persona::Loop => groups::play_loop(stage, at),
        Persona::SignupFarm => groups::play_star(Star::Farm, stage, at),
        Persona::RewardFarmer => groups::play_star(Star::RewardFarmer, stage, at),
    }
}
