//! From a raw conversion to the one that a reward service sends: every personal value digested, the truth apart as a label.
//!
//! This is where plain text ends: nothing raw is in the result. Uses the callers' own digesting, so that simulated and real
//! traffic are made alike.

use super::raw::{
    CURRENCY, RawAttribution, RawConversion, RawDevice, RawLabel, RawNetwork, RawPayment, RawReward, RawSide, RawTouchpoint,
};
use crate::digesting::{Digester, InvalidIdentifier, InvalidNetworkAddress, InvalidPayment};
use crate::digesting::{digest_device, digest_email, digest_name, digest_networks, digest_payment_of_kind};
use crate::vocabulary::bundle::{DeviceSignals, NetworkSignals, PaymentSignals, SignalBundle};
use crate::vocabulary::conversion::{Conversion, Reward};
use crate::vocabulary::ids::{AccountId, Actor, CampaignId, ConversionId, InvalidId, InvoiceId, ProgramId, RewardId, Ucc};
use crate::vocabulary::journey::{Attribution, Journey, Touchpoint};
use crate::vocabulary::label::Label;
use crate::vocabulary::money::{InvalidMoney, Money};

/// Why a raw conversion cannot be sent. No variant shows a personal value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PseudonymiseError {
    /// An id is not one.
    #[error("an identifier {0}")]
    Id(#[from] InvalidId),
    /// An amount is not one.
    #[error(transparent)]
    Money(#[from] InvalidMoney),
    /// A device or browser identifier is not one.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// A payment instrument is not one.
    #[error(transparent)]
    Payment(#[from] InvalidPayment),
    /// A network address is not one.
    #[error(transparent)]
    Network(#[from] InvalidNetworkAddress),
}

/// The conversion as it is sent.
///
/// An e-mail address or a name that cannot be digested is left out, as a reward service would: with the typos of the data, some cannot.
///
/// # Errors
/// [`PseudonymiseError`] when the raw conversion holds an id or amount that is none; then its maker has a bug.
pub fn pseudonymise(raw: &RawConversion, program_id: &ProgramId, digester: &Digester) -> Result<Conversion, PseudonymiseError> {
    let RawConversion {
        conversion_id,
        campaign_id,
        kind,
        occurred_at,
        value_minor,
        minimum_purchase_minor,
        invoice_id,
        referee_standing,
        attribution,
        referrer,
        referee,
        rewards,
        // The truth is for labels only.
        outcome: _,
        persona: _,
        truth: _,
        group: _,
    } = raw;
    let money = |amount_minor: &Option<i64>| amount_minor.map(|amount_minor| Money::new(amount_minor, CURRENCY)).transpose();
    Ok(Conversion {
        program_id: program_id.clone(),
        conversion_id: ConversionId::new(conversion_id)?,
        campaign_id: campaign_id.map(CampaignId::new).transpose()?,
        kind: *kind,
        occurred_at: *occurred_at,
        value: money(value_minor)?,
        minimum_purchase: money(minimum_purchase_minor)?,
        invoice_id: invoice_id.as_deref().map(InvoiceId::new).transpose()?,
        referee_standing: *referee_standing,
        attribution: attribution_of(attribution)?,
        referrer: bundle_of(referrer, digester)?,
        referee: bundle_of(referee, digester)?,
        rewards: rewards.iter().map(reward_of).collect::<Result<_, _>>()?,
    })
}

/// The signals of one side alone, for recording what is known of an account.
///
/// # Errors
/// As [`pseudonymise`].
pub fn bundle_of(side: &RawSide, digester: &Digester) -> Result<SignalBundle, PseudonymiseError> {
    let RawSide { account_id, account_created_at, emails, names, devices, networks, payments, journey } = side;
    let touchpoints = journey.iter().map(|step| touchpoint_of(step, digester)).collect::<Result<_, _>>()?;
    Ok(SignalBundle {
        account_id: AccountId::new(account_id)?,
        account_created_at: *account_created_at,
        emails: emails.iter().filter_map(|email| digest_email(digester, email).ok()).collect(),
        names: names.iter().filter_map(|name| digest_name(digester, name).ok()).collect(),
        devices: devices.iter().map(|device| device_of(device, digester)).collect::<Result<_, _>>()?,
        networks: networks.iter().map(|network| networks_of(network, digester)).collect::<Result<Vec<_>, _>>()?.concat(),
        payments: payments.iter().map(|payment| payment_of(payment, digester)).collect::<Result<_, _>>()?,
        journey: Journey::new(touchpoints, None),
    })
}

/// The label as it is kept.
#[must_use]
pub const fn label_of(raw: &RawLabel) -> Label {
    Label { truth: raw.truth, source: raw.source, labeled_at: raw.labeled_at }
}

fn attribution_of(raw: &RawAttribution) -> Result<Attribution, InvalidId> {
    let RawAttribution { captured_via, ucc, code_validity, previous_ucc, captured_at, attached_by } = raw;
    Ok(Attribution {
        captured_via: *captured_via,
        ucc: ucc.as_deref().map(Ucc::new).transpose()?,
        code_validity: *code_validity,
        previous_ucc: previous_ucc.as_deref().map(Ucc::new).transpose()?,
        captured_at: *captured_at,
        attached_by: attached_by.as_deref().map(Actor::new).transpose()?,
    })
}

fn reward_of(raw: &RawReward) -> Result<Reward, PseudonymiseError> {
    let RawReward { reward_id, beneficiary, amount_minor } = raw;
    let amount = Some(Money::new(*amount_minor, CURRENCY)?);
    Ok(Reward { reward_id: RewardId::new(reward_id)?, beneficiary: *beneficiary, amount })
}

fn device_of(raw: &RawDevice, digester: &Digester) -> Result<DeviceSignals, PseudonymiseError> {
    let RawDevice { fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at } = raw;
    Ok(DeviceSignals {
        user_agent: user_agent.as_str().into(),
        platform: platform.as_str().into(),
        time_zone: time_zone.as_str().into(),
        languages: languages.iter().map(|language| language.as_str().into()).collect(),
        screen_px: *screen_px,
        seen_at: Some(*seen_at),
        ..digest_device(digester, fingerprint.as_deref(), browser.as_deref())?
    })
}

/// The network with its narrowest prefix, then its wider prefixes in entries of their own.
fn networks_of(raw: &RawNetwork, digester: &Digester) -> Result<Vec<NetworkSignals>, PseudonymiseError> {
    let RawNetwork { address, asn, country, flags, seen_at } = raw;
    let mut flags = flags.clone();
    flags.sort_unstable();
    flags.dedup();
    let mut networks = digest_networks(digester, &address.to_string())?;
    for network in &mut networks {
        network.seen_at = Some(*seen_at);
    }
    if let Some(narrowest) = networks.first_mut() {
        narrowest.asn = *asn;
        narrowest.country = country.and_then(country_code);
        narrowest.flags = flags;
    }
    Ok(networks)
}

fn payment_of(raw: &RawPayment, digester: &Digester) -> Result<PaymentSignals, PseudonymiseError> {
    let RawPayment { instrument, kind, purpose, country, seen_at } = raw;
    Ok(PaymentSignals {
        instrument: digest_payment_of_kind(digester, Some(*kind), instrument)?,
        kind: *kind,
        purpose: *purpose,
        country: country.and_then(country_code),
        seen_at: Some(*seen_at),
    })
}

fn touchpoint_of(raw: &RawTouchpoint, digester: &Digester) -> Result<Touchpoint, PseudonymiseError> {
    let RawTouchpoint { kind, occurred_at, device, browser, path_token } = raw;
    let seen = digest_device(digester, device.as_deref(), browser.as_deref())?;
    Ok(Touchpoint {
        kind: *kind,
        occurred_at: *occurred_at,
        device: seen.fingerprint,
        browser: seen.browser,
        path_token: (*path_token).into(),
    })
}

/// ISO 3166-1 alpha-2 as two bytes; absent when it is not two bytes long.
fn country_code(country: &str) -> Option<[u8; 2]> {
    country.as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digesting::ProgrammeKey;
    use crate::offline::simulator::day::Day;
    use crate::offline::simulator::library::Library;
    use crate::offline::simulator::people::People;
    use crate::vocabulary::digest::{DigestSet, KeyId};
    use crate::vocabulary::time::Timestamp;

    type AnyError = Box<dyn std::error::Error>;

    fn day() -> Result<Vec<(RawConversion, Conversion)>, AnyError> {
        let begins_at = Timestamp::saturating_from_millis(1_790_035_200_000);
        let nothing = "never_sent = 0.0\n[missing]\nreferrer_bundle = 0\nemail = 0\nname = 0\nnetwork = 0\npayments = 0\n[people]\nrelay_email = 0\n";
        let library = Library::embedded()?.changed("test.toml", nothing)?;
        let digester = Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1")?, b"0123456789abcdefghijklmnopqrstuv")?);
        let program_id = ProgramId::new("demo")?;
        let raws = Day { seed: 3, begins_at, conversions: 400 }.play(&library, &People::embedded()?)?;
        raws.into_iter()
            .map(|raw| pseudonymise(&raw, &program_id, &digester).map(|sent| (raw, sent)).map_err(Into::into))
            .collect()
    }

    fn of<'d>(day: &'d [(RawConversion, Conversion)], persona: &str) -> Vec<&'d Conversion> {
        day.iter().filter(|(raw, _)| raw.persona == persona).map(|(_, sent)| sent).collect()
    }

    fn emails_equal(conversion: &Conversion, of: impl Fn(&crate::vocabulary::bundle::EmailSignals) -> Option<DigestSet>) -> bool {
        let side = |bundle: &SignalBundle| bundle.emails.first().and_then(&of);
        side(&conversion.referrer).is_some() && side(&conversion.referrer) == side(&conversion.referee)
    }

    #[test]
    fn every_conversion_of_a_day_can_be_sent_and_nearly_every_address_digested() -> Result<(), AnyError> {
        let day = day()?;
        let raw: usize = day.iter().map(|(raw, _)| raw.referrer.emails.len() + raw.referee.emails.len()).sum();
        let sent: usize = day.iter().map(|(_, sent)| sent.referrer.emails.len() + sent.referee.emails.len()).sum();
        assert!(sent * 100 >= raw * 98, "{sent} of {raw}");
        Ok(())
    }

    #[test]
    fn an_alias_shares_its_mailbox_digest_and_a_friend_does_not() -> Result<(), AnyError> {
        let day = day()?;
        let same_mailbox =
            |persona| of(&day, persona).into_iter().filter(|sent| emails_equal(sent, |email| email.mailbox.clone())).count();
        assert!(same_mailbox("self_alias") >= 1);
        assert_eq!(same_mailbox("friends"), 0);
        Ok(())
    }

    #[test]
    fn some_second_addresses_share_their_local_part_at_another_provider() -> Result<(), AnyError> {
        let day = day()?;
        let second = of(&day, "self_second_mailbox");
        let shared = second.iter().filter(|sent| emails_equal(sent, |email| email.local_part.clone())).count();
        assert!(shared >= 1, "{shared} of {}", second.len());
        Ok(())
    }

    #[test]
    fn nothing_raw_is_left_in_what_is_sent() -> Result<(), AnyError> {
        for (raw, sent) in day()?.into_iter().take(100) {
            let shown = format!("{sent:?}");
            for side in [&raw.referrer, &raw.referee] {
                let personal = side.emails.iter().cloned().chain(side.names.iter().cloned());
                let personal = personal.chain(side.networks.iter().map(|network| network.address.to_string()));
                let personal = personal.chain(side.payments.iter().map(|payment| payment.instrument.clone()));
                // A short surname may be a word of the schema.
                for value in personal.filter(|value| value.len() >= 8) {
                    assert!(!shown.contains(&value));
                }
            }
        }
        Ok(())
    }
}
