//! Signal bundles as packed bytes: inside journal records, and alone as the profile of an account. Called by the record codec and the fold.

use super::numbers;
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::bundle::{DeviceSignals, EmailSignals, NameSignals, NetworkSignals, PaymentSignals, SignalBundle};
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::journey::{Journey, Touchpoint};

/// A bundle with its account.
pub(crate) fn write(w: &mut Writer, bundle: &SignalBundle) {
    w.text(bundle.account_id.as_str());
    write_signals(w, bundle);
}

/// A bundle with its account.
pub(crate) fn read(r: &mut Reader<'_>) -> Result<SignalBundle, Damaged> {
    let account_id = r.id(AccountId::new)?;
    read_signals(r, account_id)
}

/// A bundle whose account is written elsewhere.
pub(crate) fn write_signals(w: &mut Writer, bundle: &SignalBundle) {
    let SignalBundle { account_id: _, account_created_at, emails, names, devices, networks, payments, journey } = bundle;
    w.option(*account_created_at, Writer::time);
    w.list(emails, write_email);
    w.list(names, write_name);
    w.list(devices, write_device);
    w.list(networks, write_network);
    w.list(payments, write_payment);
    w.u32(journey.touchpoint_count_total());
    w.list(journey.touchpoints(), write_touchpoint);
}

/// A bundle whose account was read elsewhere.
pub(crate) fn read_signals(r: &mut Reader<'_>, account_id: AccountId) -> Result<SignalBundle, Damaged> {
    Ok(SignalBundle {
        account_id,
        account_created_at: r.option(Reader::time)?,
        emails: r.list(read_email)?,
        names: r.list(read_name)?,
        devices: r.list(read_device)?,
        networks: r.list(read_network)?,
        payments: r.list(read_payment)?,
        journey: {
            let count_total = r.u32()?;
            Journey::new(r.list(read_touchpoint)?, Some(count_total))
        },
    })
}

pub(super) fn write_email(w: &mut Writer, email: &EmailSignals) {
    let EmailSignals { exact, mailbox, pattern, local_part, domain, domain_class, local_part_sketches, person_sketches } = email;
    for digests in [exact, mailbox, pattern, local_part, domain] {
        w.digests(digests.as_ref());
    }
    w.option(*domain_class, |w, class| w.u8(numbers::domain_class(class)));
    w.list(local_part_sketches, Writer::sketch);
    w.list(person_sketches, Writer::sketch);
}

pub(super) fn read_email(r: &mut Reader<'_>) -> Result<EmailSignals, Damaged> {
    Ok(EmailSignals {
        exact: r.digests()?,
        mailbox: r.digests()?,
        pattern: r.digests()?,
        local_part: r.digests()?,
        domain: r.digests()?,
        domain_class: r.option(|r| numbers::read_domain_class(r.u8()?))?,
        local_part_sketches: r.list(Reader::sketch)?,
        person_sketches: r.list(Reader::sketch)?,
    })
}

pub(super) fn write_name(w: &mut Writer, NameSignals { exact, sketches, person_sketches }: &NameSignals) {
    w.digests(exact.as_ref());
    w.list(sketches, Writer::sketch);
    w.list(person_sketches, Writer::sketch);
}

pub(super) fn read_name(r: &mut Reader<'_>) -> Result<NameSignals, Damaged> {
    Ok(NameSignals { exact: r.digests()?, sketches: r.list(Reader::sketch)?, person_sketches: r.list(Reader::sketch)? })
}

fn write_device(w: &mut Writer, device: &DeviceSignals) {
    let DeviceSignals { fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at } = device;
    w.digests(fingerprint.as_ref());
    w.digests(browser.as_ref());
    w.text(user_agent);
    w.text(platform);
    w.text(time_zone);
    w.list(languages, |w, language| w.text(language));
    w.option(*screen_px, |w, (width, height)| {
        w.u32(width);
        w.u32(height);
    });
    w.option(*seen_at, Writer::time);
}

fn read_device(r: &mut Reader<'_>) -> Result<DeviceSignals, Damaged> {
    Ok(DeviceSignals {
        fingerprint: r.digests()?,
        browser: r.digests()?,
        user_agent: r.boxed_text()?,
        platform: r.boxed_text()?,
        time_zone: r.boxed_text()?,
        languages: r.list(Reader::boxed_text)?,
        screen_px: r.option(|r| Ok((r.u32()?, r.u32()?)))?,
        seen_at: r.option(Reader::time)?,
    })
}

fn write_network(w: &mut Writer, network: &NetworkSignals) {
    let NetworkSignals { address, prefix, asn, country, flags, seen_at } = network;
    w.digests(address.as_ref());
    w.digests(prefix.as_ref());
    w.option(*asn, Writer::u32);
    w.option(*country, |w, country| w.raw(&country));
    w.list(flags, |w, flag| w.u8(numbers::network_flag(*flag)));
    w.option(*seen_at, Writer::time);
}

fn read_network(r: &mut Reader<'_>) -> Result<NetworkSignals, Damaged> {
    Ok(NetworkSignals {
        address: r.digests()?,
        prefix: r.digests()?,
        asn: r.option(Reader::u32)?,
        country: r.option(Reader::array)?,
        flags: r.list(|r| numbers::read_network_flag(r.u8()?))?,
        seen_at: r.option(Reader::time)?,
    })
}

pub(super) fn write_payment(w: &mut Writer, payment: &PaymentSignals) {
    let PaymentSignals { instrument, kind, purpose, country, seen_at } = payment;
    w.digests(Some(instrument));
    w.u8(numbers::payment_kind(*kind));
    w.u8(numbers::payment_purpose(*purpose));
    w.option(*country, |w, country| w.raw(&country));
    w.option(*seen_at, Writer::time);
}

pub(super) fn read_payment(r: &mut Reader<'_>) -> Result<PaymentSignals, Damaged> {
    Ok(PaymentSignals {
        instrument: r.digests()?.ok_or(Damaged("a payment has no instrument"))?,
        kind: numbers::read_payment_kind(r.u8()?)?,
        purpose: numbers::read_payment_purpose(r.u8()?)?,
        country: r.option(Reader::array)?,
        seen_at: r.option(Reader::time)?,
    })
}

fn write_touchpoint(w: &mut Writer, touchpoint: &Touchpoint) {
    let Touchpoint { kind, occurred_at, device, browser, path_token } = touchpoint;
    w.u8(numbers::touchpoint_kind(*kind));
    w.time(*occurred_at);
    w.digests(device.as_ref());
    w.digests(browser.as_ref());
    w.text(path_token);
}

fn read_touchpoint(r: &mut Reader<'_>) -> Result<Touchpoint, Damaged> {
    Ok(Touchpoint {
        kind: numbers::read_touchpoint_kind(r.u8()?)?,
        occurred_at: r.time()?,
        device: r.digests()?,
        browser: r.digests()?,
        path_token: r.boxed_text()?,
    })
}
