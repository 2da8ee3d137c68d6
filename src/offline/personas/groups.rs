//! Episodes of several accounts that belong to one hand: rings on one device, circles, farms, reward farmers.
//!
//! Called by [`super::play`] only.

use super::Persona;
use super::pairs::{Disguise, MailboxTrick, second_account, times_of};
use super::stage::{Pays, Stage};
use crate::offline::chance::Chance;
use crate::offline::mailbox::{MailboxHabit, MailboxStyle};
use crate::offline::raw::{RawConversion, RawSide};
use crate::vocabulary::conversion::ConversionKind;
use crate::vocabulary::time::Timestamp;

/// Accounts of a ring: his own name at other providers, or names out of a list.
const RING_FACES: Disguise = Disguise { mailbox: MailboxTrick::OtherProviderOrUnrelated, name_again: 0.20, name_invented: 0.65 };
/// Accounts that are meant to look like strangers.
const NEW_FACES: Disguise = Disguise { mailbox: MailboxTrick::Unrelated, name_again: 0.20, name_invented: 0.65 };

/// What the accounts around one referrer are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Star {
    /// Sign-ups with addresses of one pattern, in a burst.
    Farm,
    /// Purchases of the smallest amount, taken back later.
    RewardFarmer,
}

/// A chain on one device: a seed account refers the second, either of them the third, and so on.
pub(super) fn play_ring(stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let persona = Persona::DeviceRing;
    let group = stage.draw_group(persona);
    let identity = stage.draw_identity();
    let home = stage.home_of(&identity);
    let mut accounts = vec![stage.open_referrer(&identity, home, at, 20.0)];
    let mut conversions = Vec::new();
    for converted_at in times_of(persona, stage, at) {
        let by = if stage.chance.happens(0.6) { 0 } else { stage.chance.below(accounts.len()) };
        let kind = stage.draw_kind();
        let mut referee = second_account(RING_FACES, stage, &identity, home, converted_at);
        let mut referrer = accounts[by].clone();
        stage.tie(persona, &mut referrer, &mut referee, converted_at, Pays::with(kind));
        accounts[by] = referrer.clone();
        conversions.push(stage.convert(persona, &group, kind, referrer, referee.clone(), converted_at));
        accounts.push(referee);
    }
    conversions
}

/// A circle: each account is referred by the one before it, the first by the last. Two to five long.
pub(super) fn play_loop(stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let persona = Persona::Loop;
    let group = stage.draw_group(persona);
    let identity = stage.draw_identity();
    let home = stage.home_of(&identity);
    let times = times_of(persona, stage, at);
    let first = stage.open_referrer(&identity, home, at, 12.0);
    let mut referrer = first.clone();
    let mut conversions = Vec::new();
    for (position, converted_at) in times.iter().copied().enumerate() {
        let closes = position + 1 == times.len() && position > 0;
        let kind = stage.draw_kind();
        let mut referee = if closes {
            RawSide { journey: Vec::new(), ..first.clone() }
        } else {
            second_account(RING_FACES, stage, &identity, home, converted_at)
        };
        if !closes {
            stage.tie(persona, &mut referrer, &mut referee, converted_at, Pays::with(kind));
        }
        let mut conversion = stage.convert(persona, &group, kind, referrer, referee.clone(), converted_at);
        if closes {
            // The first account was there before; it is referred late.
            conversion.referee.account_created_at = first.account_created_at;
        }
        conversions.push(conversion);
        referrer = referee;
    }
    conversions
}

/// One referrer and accounts of his own: a farm with addresses of one pattern, or buyers who want their money back.
pub(super) fn play_star(star: Star, stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let (persona, disguise) = match star {
        Star::Farm => (Persona::SignupFarm, Disguise { name_again: 0.35, name_invented: 0.35, ..NEW_FACES }),
        Star::RewardFarmer => (Persona::RewardFarmer, NEW_FACES),
    };
    let group = stage.draw_group(persona);
    let identity = stage.draw_identity();
    let home = stage.home_of(&identity);
    let mut referrer = stage.open_referrer(&identity, home, at, 15.0);
    let pattern = EmailPattern::draw(stage, &identity.shown.email);
    let farm_kind = if stage.chance.happens(0.7) { ConversionKind::NewSignup } else { ConversionKind::ChargeSucceeded };
    let mut conversions = Vec::new();
    for (position, converted_at) in times_of(persona, stage, at).into_iter().enumerate() {
        let kind = match star {
            Star::Farm => farm_kind,
            Star::RewardFarmer if stage.chance.happens(0.6) => ConversionKind::InvoicePaid,
            Star::RewardFarmer => ConversionKind::ChargeSucceeded,
        };
        let mut referee = second_account(disguise, stage, &identity, home, converted_at);
        if star == Star::Farm {
            referee.emails = vec![pattern.address(&mut stage.chance, position)];
        }
        stage.tie(persona, &mut referrer, &mut referee, converted_at, Pays::with(kind));
        conversions.push(stage.convert(persona, &group, kind, referrer.clone(), referee, converted_at));
    }
    conversions
}

/// How a farm makes its addresses.
enum EmailPattern {
    /// `jane.doe1`, `jane.doe2`, …
    Numbered { local: String, provider: String },
    /// `jane.doe+1`, `jane.doe+2`, …
    Tagged { local: String, provider: String },
    /// Names out of a list, at one provider: no pattern in the address.
    Invented { provider: String },
}

impl EmailPattern {
    fn draw(stage: &mut Stage<'_>, email: &str) -> Self {
        let stranger = stage.draw_identity().shown.email;
        let based_on = if stage.chance.happens(0.5) { email } else { &stranger };
        let (local, provider) = based_on.split_once('@').unwrap_or((based_on, "gmail.com"));
        let (local, provider) = (local.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(), provider.to_owned());
        match stage.chance.weighted([0.5, 0.15, 0.35].into_iter()) {
            0 => Self::Numbered { local, provider },
            1 => Self::Tagged { local, provider },
            _ => Self::Invented { provider },
        }
    }

    fn address(&self, chance: &mut Chance, position: usize) -> String {
        match self {
            Self::Numbered { local, provider } => format!("{local}{}@{provider}", position + 1),
            Self::Tagged { local, provider } => format!("{local}+{}@{provider}", position + 1),
            Self::Invented { provider } => {
                let habit = MailboxHabit::draw(chance, 1990);
                let handle = MailboxHabit { style: MailboxStyle::Handle, ..habit };
                format!("{}@{provider}", handle.local_part("", ""))
            }
        }
    }
}
