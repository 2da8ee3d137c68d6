//! Network addresses: one text for each address, and the prefixes that a household or a site shares.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::text::trim_pasted;

/// Lengths of the prefixes of an IPv6 address, in bits, narrowest first.
const IPV6_PREFIXES_BITS: [u32; 3] = [64, 56, 48];

/// An address of a user, with IPv4 inside IPv6 unwrapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NetworkAddress(IpAddr);

/// The text is not an address of a user. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidNetworkAddress {
    /// Neither IPv4 nor IPv6.
    #[error("is neither an IPv4 nor an IPv6 address; give it without port, prefix length or zone")]
    NotAnAddress,
    /// Loopback, link-local, unspecified, broadcast, multicast, or of a block that nobody has.
    #[error(
        "the address is a loopback, link-local, unspecified, broadcast or multicast address, which tells nothing of a user; a proxy may hide the real one"
    )]
    NotOfAUser,
}

impl NetworkAddress {
    /// Takes an IPv4 or IPv6 address, the latter also in brackets.
    ///
    /// Private addresses are taken: in a programme of one site they can mean something. Their match weight keeps them harmless elsewhere.
    ///
    /// # Errors
    /// [`InvalidNetworkAddress`]: send the bundle without the network, and look at the proxy in front.
    pub fn parse(typed: &str) -> Result<Self, InvalidNetworkAddress> {
        let typed = trim_pasted(typed);
        let bare = typed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(typed);
        let address: IpAddr = bare.parse().map_err(|_| InvalidNetworkAddress::NotAnAddress)?;
        let address = address.to_canonical();
        let is_of_a_user = match address {
            IpAddr::V4(v4) => is_of_a_user_v4(v4),
            IpAddr::V6(v6) => is_of_a_user_v6(v6),
        };
        if is_of_a_user { Ok(Self(address)) } else { Err(InvalidNetworkAddress::NotOfAUser) }
    }

    /// The address: IPv4 in dotted decimal, IPv6 as eight groups of four lower-case hexadecimal digits.
    ///
    /// The long form, because the short ones differ between languages.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self.0 {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => long_form(v6),
        }
    }

    /// The prefixes, narrowest first, each as its first address and the length: the /24 of an IPv4 address; the /64, /56 and /48 of
    /// an IPv6 address.
    ///
    /// A household has a /64 or, from most providers, a /56 of which its devices use several /64 (RIPE-690, section 4.2); a site has
    /// a /48 (RFC 6177). Which of them a provider gives is not known from the address, so each is compared.
    #[must_use]
    pub fn prefixes(&self) -> Vec<String> {
        match self.0 {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                vec![format!("{a}.{b}.{c}.0/24")]
            }
            IpAddr::V6(v6) => IPV6_PREFIXES_BITS
                .map(|bits| {
                    let first = v6.to_bits() & u128::MAX << (u128::BITS - bits);
                    format!("{}/{bits}", long_form(Ipv6Addr::from_bits(first)))
                })
                .to_vec(),
        }
    }
}

/// Not of "this network" (0.0.0.0/8), and below the addresses that nobody has (240.0.0.0/4 with the broadcast address).
fn is_of_a_user_v4(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 240 && !(address.is_loopback() || address.is_link_local() || address.is_multicast())
}

/// Not one of ::/96, where IPv4 addresses, the unspecified address and the loopback address stand, nor bound to one link.
fn is_of_a_user_v6(address: Ipv6Addr) -> bool {
    address.to_bits() >> 32 != 0 && !address.is_unicast_link_local() && !address.is_multicast()
}

fn long_form(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:04x}")).join(":")
}

/// Shows nothing of the address.
impl std::fmt::Debug for NetworkAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NetworkAddress([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forms(typed: &str) -> (String, Vec<String>) {
        let address = NetworkAddress::parse(typed).unwrap();
        (address.canonical(), address.prefixes())
    }

    #[test]
    fn one_address_has_one_text_however_it_was_written() {
        let prefixes = [
            "2001:0db8:0001:0a02:0000:0000:0000:0000/64",
            "2001:0db8:0001:0a00:0000:0000:0000:0000/56",
            "2001:0db8:0001:0000:0000:0000:0000:0000/48",
        ];
        let v6 = ("2001:0db8:0001:0a02:0000:0000:0000:0003".to_owned(), prefixes.map(str::to_owned).to_vec());
        for typed in ["2001:db8:1:a02::3", "2001:DB8:1:A02:0:0:0:3", " [2001:db8:1:a02::3] "] {
            assert_eq!(forms(typed), v6);
        }
        let v4 = ("203.0.113.9".to_owned(), vec!["203.0.113.0/24".to_owned()]);
        for typed in ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109"] {
            assert_eq!(forms(typed), v4);
        }
    }

    #[test]
    fn what_is_no_address_of_a_user_is_refused() {
        for typed in ["", "203.0.113.9:443", "203.0.113.0/24", "fe80::1%eth0", "256.1.1.1", "example.com"] {
            assert_eq!(NetworkAddress::parse(typed), Err(InvalidNetworkAddress::NotAnAddress), "{typed}");
        }
        for typed in ["unknown", "n/a", "-", "null"] {
            assert_eq!(NetworkAddress::parse(typed), Err(InvalidNetworkAddress::NotAnAddress), "{typed}");
        }
        for typed in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "169.254.3.4",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:255.255.255.255",
            "::ffff:0.0.0.0",
            "::203.0.113.9",
        ] {
            assert_eq!(NetworkAddress::parse(typed), Err(InvalidNetworkAddress::NotOfAUser), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn neighbours_share_the_prefixes_up_to_where_they_differ(bits in any::<u128>(), at in 0_u32..128) {
            let (one, other) = (Ipv6Addr::from_bits(bits), Ipv6Addr::from_bits(bits ^ (1 << (127 - at))));
            if let (Ok(one), Ok(other)) = (NetworkAddress::parse(&one.to_string()), NetworkAddress::parse(&other.to_string())) {
                let (one, other) = (one.prefixes(), other.prefixes());
                for (index, bits) in IPV6_PREFIXES_BITS.into_iter().enumerate().filter(|_| one.len() == other.len() && one.len() > 1) {
                    prop_assert_eq!(one[index] == other[index], at >= bits);
                }
            }
        }
    }
}
