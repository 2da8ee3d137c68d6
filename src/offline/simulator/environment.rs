//! What people come with: devices that many own alike, and networks that few or hundreds share.
//!
//! Addresses are from reserved ranges only (private, shared, benchmark, documentation), so that nobody's real one occurs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::chance::Chance;
use super::raw::{RawDevice, RawNetwork};
use crate::vocabulary::bundle::NetworkFlag;
use crate::vocabulary::time::Timestamp;

/// Fingerprints so common that strangers share them: a popular phone as it comes out of the box.
const POPULAR_FINGERPRINTS: usize = 120;

struct DeviceKind {
    platform: &'static str,
    /// `{}` stands for the version.
    user_agent: &'static str,
    first_version: u32,
    screens_px: [(u32, u32); 3],
    share: f64,
    /// How likely the fingerprint is a popular one.
    popular: f64,
}

const DEVICE_KINDS: [DeviceKind; 9] = [
    DeviceKind {
        platform: "iOS",
        user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS {}_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.1 Mobile/15E148 Safari/604.1",
        first_version: 25,
        screens_px: [(390, 844), (393, 852), (430, 932)],
        share: 0.27,
        popular: 0.07,
    },
    DeviceKind {
        platform: "Android",
        user_agent: "Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Mobile Safari/537.36",
        first_version: 140,
        screens_px: [(360, 800), (384, 854), (412, 915)],
        share: 0.20,
        popular: 0.03,
    },
    DeviceKind {
        platform: "Windows",
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
        first_version: 140,
        screens_px: [(1920, 1080), (1536, 864), (2560, 1440)],
        share: 0.20,
        popular: 0.01,
    },
    DeviceKind {
        platform: "macOS",
        user_agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
        first_version: 140,
        screens_px: [(1440, 900), (1512, 982), (1728, 1117)],
        share: 0.10,
        popular: 0.02,
    },
    DeviceKind {
        platform: "macOS",
        user_agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.2 Safari/605.1.15",
        first_version: 25,
        screens_px: [(1440, 900), (1512, 982), (1680, 1050)],
        share: 0.08,
        popular: 0.03,
    },
    DeviceKind {
        platform: "Windows",
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{}.0) Gecko/20100101 Firefox/{}.0",
        first_version: 142,
        screens_px: [(1920, 1080), (1366, 768), (2560, 1440)],
        share: 0.05,
        popular: 0.01,
    },
    DeviceKind {
        platform: "Windows",
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36 Edg/{}.0.0.0",
        first_version: 140,
        screens_px: [(1920, 1080), (1536, 864), (1366, 768)],
        share: 0.06,
        popular: 0.01,
    },
    DeviceKind {
        platform: "iPadOS",
        user_agent: "Mozilla/5.0 (iPad; CPU OS {}_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.1 Mobile/15E148 Safari/604.1",
        first_version: 25,
        screens_px: [(820, 1180), (834, 1194), (1024, 1366)],
        share: 0.03,
        popular: 0.08,
    },
    DeviceKind {
        platform: "Linux",
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0",
        first_version: 142,
        screens_px: [(1920, 1080), (2560, 1440), (3840, 2160)],
        share: 0.01,
        popular: 0.0,
    },
];

/// A device of somebody in this country.
///
/// `browser_releases` is how many browser versions came out since the simulated world began: attributes drift with it. `model_fingerprint` is
/// how likely the fingerprint is of the model, which many have, and not of the device.
pub(super) fn draw_device(
    chance: &mut Chance,
    country: &str,
    browser_releases: u32,
    model_fingerprint: f64,
    seen_at: Timestamp,
) -> RawDevice {
    let kind = &DEVICE_KINDS[chance.weighted(DEVICE_KINDS.iter().map(|kind| kind.share))];
    let behind = match chance.below(10) {
        0..=5 => 0,
        6..=8 => 1,
        _ => 2 + chance.between(0, 4),
    };
    let version = (kind.first_version + browser_releases).saturating_sub(behind).to_string();
    let screen_px = chance.pick(&kind.screens_px);
    let fingerprint = if chance.happens(model_fingerprint) {
        format!("fp-model-{}-{version}-{}x{}", kind.platform, screen_px.0, screen_px.1)
    } else if chance.happens(kind.popular) {
        format!("fp-popular-{}", chance.below(POPULAR_FINGERPRINTS))
    } else {
        format!("fp-{:016x}", chance.token())
    };
    RawDevice {
        fingerprint: Some(fingerprint),
        browser: Some(fresh_browser(chance)),
        user_agent: kind.user_agent.replace("{}", &version),
        platform: kind.platform.to_owned(),
        time_zone: time_zone(chance, country).to_owned(),
        languages: languages(chance, country),
        screen_px: Some(screen_px),
        seen_at,
    }
}

/// A browser that was never seen.
fn fresh_browser(chance: &mut Chance) -> String {
    format!("br-{:016x}", chance.token())
}

fn time_zone(chance: &mut Chance, country: &str) -> &'static str {
    match country {
        "AU" => chance.pick(&["Australia/Sydney", "Australia/Melbourne", "Australia/Brisbane", "Australia/Perth"]),
        "US" => chance.pick(&["America/New_York", "America/Chicago", "America/Los_Angeles", "America/Denver"]),
        "DE" => "Europe/Berlin",
        "NL" => "Europe/Amsterdam",
        "IE" => "Europe/Dublin",
        _ => "Europe/London",
    }
}

fn languages(chance: &mut Chance, country: &str) -> Vec<String> {
    let first = match country {
        "AU" => "en-AU",
        "US" => "en-US",
        "DE" => "de-DE",
        "NL" => "nl-NL",
        "IE" => "en-IE",
        _ => "en-GB",
    };
    if chance.happens(0.4) { vec![first.to_owned(), "en".to_owned()] } else { vec![first.to_owned()] }
}

/// Where somebody is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A home in a city: one address for one household.
    Home { city_number: u32, token: u64 },
    /// An address of a mobile carrier of this number: one for many people.
    Carrier(u32),
    /// An office of this number: one address for its people.
    Office(u32),
    /// A campus of this number: one address for hundreds.
    Campus(u32),
    /// A shop of this number: one address for all who are served there.
    Shop(u32),
    /// An exit of a commercial VPN.
    Vpn,
    /// A Tor exit.
    Tor,
    /// A machine at a hosting provider.
    Hosting,
}

/// The network of a place.
pub(super) fn network(chance: &mut Chance, place: Place, country: &'static str, seen_at: Timestamp) -> RawNetwork {
    let (address, asn, flags) = match place {
        Place::Home { city_number, token } => (home_address(city_number, token), 64_520 + city_number % 7, Vec::new()),
        Place::Carrier(number) => {
            (v4(100, 64 + low_byte(number >> 16) % 64, low_byte(number >> 8), low_byte(number)), 64_530 + number % 3, Vec::new())
        }
        Place::Office(number) => (
            v4(172, 16 + low_byte(number >> 8) % 8, low_byte(number), 1 + low_byte(number >> 11) % 250),
            64_540 + number % 5,
            Vec::new(),
        ),
        Place::Campus(number) => (v4(172, 24 + low_byte(number >> 8) % 8, low_byte(number), 1), 64_550, Vec::new()),
        Place::Shop(number) => (v4(198, 19, 64 + low_byte(number >> 8) % 128, low_byte(number)), 64_570, Vec::new()),
        Place::Vpn => (v4(198, 18, below_u8(chance, 12), below_u8(chance, 40)), 64_560, vec![NetworkFlag::Vpn]),
        Place::Tor => (v4(198, 19, 0, below_u8(chance, 60)), 64_561, vec![NetworkFlag::Tor]),
        Place::Hosting => (v4(198, 19, 16 + below_u8(chance, 32), below_u8(chance, 250)), 64_562, vec![NetworkFlag::Hosting]),
    };
    let country = match place {
        Place::Vpn | Place::Tor | Place::Hosting => chance.pick(&["NL", "US", "SE", "CH", "DE"]),
        Place::Home { .. } | Place::Carrier(_) | Place::Office(_) | Place::Campus(_) | Place::Shop(_) => country,
    };
    RawNetwork { address, asn: Some(asn), country: Some(country), flags, seen_at }
}

/// Another address in the same /24 or /48.
pub(super) fn neighbour_of(chance: &mut Chance, network: &RawNetwork) -> RawNetwork {
    let address = match network.address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            v4(a, b, c, below_u8(chance, 255))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, low_word(chance.token()), 0, 0, 0, low_word(chance.token())))
        }
    };
    RawNetwork { address, ..network.clone() }
}

/// Three homes in ten have IPv6; the rest an address of the private range, with the city in its second byte.
fn home_address(city_number: u32, token: u64) -> IpAddr {
    let [a, b, c, d, ..] = token.to_be_bytes();
    if a < 77 {
        let (block, site) = (u16::from_be_bytes([b & 0x0F, c]), u16::from_be_bytes([c ^ b, d]));
        IpAddr::V6(Ipv6Addr::new(0x3FFF, block, site, 0, 0, 0, 0, low_word(token)))
    } else {
        v4(10, low_byte(city_number), b, c)
    }
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

fn below_u8(chance: &mut Chance, end: u8) -> u8 {
    u8::try_from(chance.below(usize::from(end))).unwrap_or_default()
}

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

fn low_word(token: u64) -> u16 {
    let [a, b, ..] = token.to_le_bytes();
    u16::from_le_bytes([a, b])
}
