//! Signal bundles between messages and vocabulary.
//! It must never take a raw personal datum, nor fill in what was not sent. Soft signals (what a device looks like, where a network is) that are
//! malformed count as absent with a warning; digests are right or refused. Conversions, recorded signals and the ledger's records call it.

use super::digest::{digest_messages, digest_set, sketch_messages, sketches};
use super::enums::WireEnum;
use super::fields::{
    Arrival, country, country_text, list, optional_enum, optional_time, required_enum, required_id, soft_enum_set, soft_text,
    time_message,
};
use super::violation::{At, Violation, Violations};
use super::{journey, v1};
use crate::vocabulary::bundle::{
    ATTRIBUTE_BYTES_MAX, DeviceSignals, ENVIRONMENTS_MAX, EmailSignals, IDENTITIES_MAX, LANGUAGES_MAX, NameSignals,
    NetworkSignals, PAYMENTS_MAX, PaymentSignals, SCREEN_PX_MAX, SignalBundle, USER_AGENT_BYTES_MAX,
};

/// Flags that a network can have.
const NETWORK_FLAGS_MAX: usize = 4;

/// Reads a bundle. `path`: where it stands in the request.
///
/// # Errors
/// All violations.
pub fn parse(message: v1::SignalBundle, path: &str, arrival: Arrival) -> Result<SignalBundle, Vec<Violation>> {
    let mut found = Violations::default();
    let bundle = read(message, &At::path(path), arrival, &mut found);
    found.into_result(bundle)
}

/// Reads a bundle and notes what is wrong.
pub fn read(message: v1::SignalBundle, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<SignalBundle> {
    let v1::SignalBundle { account_id, account_created_at, emails, names, devices, networks, payments, journey: way } = message;
    let account_id = required_id(&account_id, &at.field("account_id"), found);
    let account_created_at = optional_time(account_created_at, &at.field("account_created_at"), arrival, found);
    let emails = list(emails, IDENTITIES_MAX, &at.field("emails"), found, email);
    let names = list(names, IDENTITIES_MAX, &at.field("names"), found, name);
    let devices =
        list(devices, ENVIRONMENTS_MAX, &at.field("devices"), found, |message, at, found| device(message, at, arrival, found));
    let networks =
        list(networks, ENVIRONMENTS_MAX, &at.field("networks"), found, |message, at, found| network(message, at, arrival, found));
    let payments =
        list(payments, PAYMENTS_MAX, &at.field("payments"), found, |message, at, found| payment(message, at, arrival, found));
    let journey = journey::read(way, &at.field("journey"), arrival, found);
    Some(SignalBundle { account_id: account_id?, account_created_at, emails, names, devices, networks, payments, journey })
}

fn email(message: v1::EmailSignals, at: &At<'_>, found: &mut Violations) -> Option<EmailSignals> {
    if message == v1::EmailSignals::default() {
        found.add(at, "is empty; send at least one digest, sketch or class, or leave the entry out");
        return None;
    }
    let v1::EmailSignals { exact, mailbox, pattern, local_part, domain, domain_class, local_part_sketch, person_sketch } =
        message;
    Some(EmailSignals {
        exact: digest_set(exact, &at.field("exact"), found),
        mailbox: digest_set(mailbox, &at.field("mailbox"), found),
        pattern: digest_set(pattern, &at.field("pattern"), found),
        local_part: digest_set(local_part, &at.field("local_part"), found),
        domain: digest_set(domain, &at.field("domain"), found),
        domain_class: optional_enum(domain_class, &at.field("domain_class"), found),
        local_part_sketches: sketches(local_part_sketch, &at.field("local_part_sketch"), found),
        person_sketches: sketches(person_sketch, &at.field("person_sketch"), found),
    })
}

fn name(message: v1::NameSignals, at: &At<'_>, found: &mut Violations) -> Option<NameSignals> {
    if message == v1::NameSignals::default() {
        found.add(at, "is empty; send a digest or a sketch, or leave the entry out");
        return None;
    }
    let v1::NameSignals { exact, sketch, person_sketch } = message;
    Some(NameSignals {
        exact: digest_set(exact, &at.field("exact"), found),
        sketches: sketches(sketch, &at.field("sketch"), found),
        person_sketches: sketches(person_sketch, &at.field("person_sketch"), found),
    })
}

fn device(message: v1::DeviceSignals, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<DeviceSignals> {
    let unseen = v1::DeviceSignals { seen_at: message.seen_at, ..Default::default() };
    if message == unseen {
        found.ignore(at, "says nothing of the device; send at least one field besides `seen_at`, or leave the entry out");
        return None;
    }
    let v1::DeviceSignals {
        fingerprint,
        browser,
        user_agent,
        platform,
        time_zone,
        languages,
        screen_width_px,
        screen_height_px,
        seen_at,
    } = message;
    let device = DeviceSignals {
        fingerprint: digest_set(fingerprint, &at.field("fingerprint"), found),
        browser: digest_set(browser, &at.field("browser"), found),
        user_agent: soft_text(&user_agent, USER_AGENT_BYTES_MAX, &at.field("user_agent"), found),
        platform: soft_text(&platform, ATTRIBUTE_BYTES_MAX, &at.field("platform"), found),
        time_zone: soft_text(&time_zone, ATTRIBUTE_BYTES_MAX, &at.field("time_zone"), found),
        languages: self::languages(&languages, &at.field("languages"), found),
        screen_px: screen(screen_width_px, screen_height_px, at, found),
        seen_at: optional_time(seen_at, &at.field("seen_at"), arrival, found),
    };
    (!device.says_nothing()).then_some(device)
}

fn languages(tags: &[String], at: &At<'_>, found: &mut Violations) -> Vec<Box<str>> {
    if tags.len() > LANGUAGES_MAX {
        found.cut(at, &format!("holds {} entries, and {LANGUAGES_MAX} are kept", tags.len()));
    }
    let mut kept = Vec::with_capacity(tags.len().min(LANGUAGES_MAX));
    for (index, tag) in tags.iter().take(LANGUAGES_MAX).enumerate() {
        let at = at.entry(index);
        if tag.is_empty() {
            found.ignore(&at, "is empty; leave the entry out");
        }
        let tag = soft_text(tag, ATTRIBUTE_BYTES_MAX, &at, found);
        kept.extend((!tag.is_empty()).then_some(tag));
    }
    kept
}

/// The screen; half of one, and one that is larger than any, counts as absent.
fn screen(width: u32, height: u32, at: &At<'_>, found: &mut Violations) -> Option<(u32, u32)> {
    if (width, height) == (0, 0) {
        return None;
    }
    let mut plausible = true;
    for (pixels, field, other) in
        [(width, "screen_width_px", "screen_height_px"), (height, "screen_height_px", "screen_width_px")]
    {
        if pixels == 0 {
            found.ignore(&at.field(field), &format!("is missing beside `{other}`"));
        } else if pixels > SCREEN_PX_MAX {
            found.ignore(&at.field(field), &format!("is {pixels}, and no screen has more than {SCREEN_PX_MAX} pixels"));
        }
        plausible &= (1..=SCREEN_PX_MAX).contains(&pixels);
    }
    plausible.then_some((width, height))
}

fn network(message: v1::NetworkSignals, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<NetworkSignals> {
    let unseen = v1::NetworkSignals { seen_at: message.seen_at, ..Default::default() };
    if message == unseen {
        found.ignore(at, "says nothing of the network; send at least one field besides `seen_at`, or leave the entry out");
        return None;
    }
    let v1::NetworkSignals { address, prefix, asn, country: country_code, flags, seen_at } = message;
    let network = NetworkSignals {
        address: digest_set(address, &at.field("address"), found),
        prefix: digest_set(prefix, &at.field("prefix"), found),
        asn: (asn != 0).then_some(asn),
        country: country(&country_code, &at.field("country"), found),
        flags: soft_enum_set(&flags, NETWORK_FLAGS_MAX, &at.field("flags"), found),
        seen_at: optional_time(seen_at, &at.field("seen_at"), arrival, found),
    };
    (!network.says_nothing()).then_some(network)
}

fn payment(message: v1::PaymentSignals, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<PaymentSignals> {
    let v1::PaymentSignals { instrument, kind, purpose, country: country_code, seen_at } = message;
    if instrument.is_empty() {
        found.add(&at.field("instrument"), "is required: one digest, or two while keys rotate");
    }
    let instrument = digest_set(instrument, &at.field("instrument"), found);
    let kind = required_enum(kind, &at.field("kind"), found);
    let purpose = required_enum(purpose, &at.field("purpose"), found);
    let country = country(&country_code, &at.field("country"), found);
    let seen_at = optional_time(seen_at, &at.field("seen_at"), arrival, found);
    Some(PaymentSignals { instrument: instrument?, kind: kind?, purpose: purpose?, country, seen_at })
}

/// Writes a bundle. Reading the message gives the same bundle again.
#[must_use]
pub fn message_of(bundle: &SignalBundle) -> v1::SignalBundle {
    let SignalBundle { account_id, account_created_at, emails, names, devices, networks, payments, journey: way } = bundle;
    v1::SignalBundle {
        account_id: account_id.to_string(),
        account_created_at: account_created_at.map(time_message),
        emails: emails.iter().map(email_message).collect(),
        names: names.iter().map(name_message).collect(),
        devices: devices.iter().map(device_message).collect(),
        networks: networks.iter().map(network_message).collect(),
        payments: payments.iter().map(payment_message).collect(),
        journey: journey::message_of(way),
    }
}

fn email_message(email: &EmailSignals) -> v1::EmailSignals {
    let EmailSignals { exact, mailbox, pattern, local_part, domain, domain_class, local_part_sketches, person_sketches } = email;
    v1::EmailSignals {
        exact: digest_messages(exact.as_ref()),
        mailbox: digest_messages(mailbox.as_ref()),
        pattern: digest_messages(pattern.as_ref()),
        local_part: digest_messages(local_part.as_ref()),
        domain: digest_messages(domain.as_ref()),
        domain_class: domain_class.map(WireEnum::to_number),
        local_part_sketch: sketch_messages(local_part_sketches),
        person_sketch: sketch_messages(person_sketches),
    }
}

fn name_message(name: &NameSignals) -> v1::NameSignals {
    let NameSignals { exact, sketches, person_sketches } = name;
    v1::NameSignals {
        exact: digest_messages(exact.as_ref()),
        sketch: sketch_messages(sketches),
        person_sketch: sketch_messages(person_sketches),
    }
}

fn device_message(device: &DeviceSignals) -> v1::DeviceSignals {
    let DeviceSignals { fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at } = device;
    let (screen_width_px, screen_height_px) = screen_px.unwrap_or_default();
    v1::DeviceSignals {
        fingerprint: digest_messages(fingerprint.as_ref()),
        browser: digest_messages(browser.as_ref()),
        user_agent: user_agent.to_string(),
        platform: platform.to_string(),
        time_zone: time_zone.to_string(),
        languages: languages.iter().map(ToString::to_string).collect(),
        screen_width_px,
        screen_height_px,
        seen_at: seen_at.map(time_message),
    }
}

fn network_message(network: &NetworkSignals) -> v1::NetworkSignals {
    let NetworkSignals { address, prefix, asn, country, flags, seen_at } = network;
    v1::NetworkSignals {
        address: digest_messages(address.as_ref()),
        prefix: digest_messages(prefix.as_ref()),
        asn: asn.unwrap_or_default(),
        country: country_text(*country),
        flags: flags.iter().map(|flag| flag.to_number()).collect(),
        seen_at: seen_at.map(time_message),
    }
}

fn payment_message(payment: &PaymentSignals) -> v1::PaymentSignals {
    let PaymentSignals { instrument, kind, purpose, country, seen_at } = payment;
    v1::PaymentSignals {
        instrument: digest_messages(Some(instrument)),
        kind: kind.to_number(),
        purpose: purpose.to_number(),
        country: country_text(*country),
        seen_at: seen_at.map(time_message),
    }
}
