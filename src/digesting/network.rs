//! Network addresses: one text for each address, and the prefix that a household or a site shares.

use core::net::{IpAddr, Ipv6Addr};

use super::text::trim_pasted;

/// An address of a user, with IPv4 inside IPv6 unwrapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NetworkAddress(IpAddr);

/// The text is not an address of a user. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidNetworkAddress {
    /// Neither IPv4 nor IPv6.
    #[error("is neither an IPv4 nor an IPv6 address; give it without port, prefix length or zone")]
    NotAnAddress,
    /// Loopback, unspecified or multicast.
    #[error(
        "the address is a loopback, unspecified or multicast address, which tells nothing of a user; a proxy may hide the real one"
    )]
    NotOfAUser,
}

impl NetworkAddress {
    /// Takes an IPv4 or IPv6 address, the latter also in brackets.
    ///
    /// Private addresses are taken: in a programme of one site they can mean something. Rarity keeps them harmless elsewhere.
    ///
    /// # Errors
    /// [`InvalidNetworkAddress`]: send the bundle without the network, and look at the proxy in front.
    pub fn parse(typed: &str) -> Result<Self, InvalidNetworkAddress> {
        let typed = trim_pasted(typed);
        let bare = typed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(typed);
        let address: IpAddr = bare.parse().map_err(|_| InvalidNetworkAddress::NotAnAddress)?;
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
            return Err(InvalidNetworkAddress::NotOfAUser);
        }
        Ok(Self(address))
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

    /// The /24 of an IPv4 address, the /48 of an IPv6 address, as its first address and the length.
    #[must_use]
    pub fn prefix(&self) -> String {
        match self.0 {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                format!("{}/48", long_form(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
            }
        }
    }
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
    use super::*;

    fn forms(typed: &str) -> (String, String) {
        let address = NetworkAddress::parse(typed).unwrap();
        (address.canonical(), address.prefix())
    }

    #[test]
    fn one_address_has_one_text_however_it_was_written() {
        let v6 = ("2001:0db8:0001:0002:0000:0000:0000:0003".to_owned(), "2001:0db8:0001:0000:0000:0000:0000:0000/48".to_owned());
        for typed in ["2001:db8:1:2::3", "2001:DB8:1:2:0:0:0:3", " [2001:db8:1:2::3] "] {
            assert_eq!(forms(typed), v6);
        }
        let v4 = ("203.0.113.9".to_owned(), "203.0.113.0/24".to_owned());
        for typed in ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109"] {
            assert_eq!(forms(typed), v4);
        }
    }

    #[test]
    fn what_is_no_address_of_a_user_is_refused() {
        for typed in ["", "203.0.113.9:443", "203.0.113.0/24", "fe80::1%eth0", "256.1.1.1", "example.com"] {
            assert_eq!(NetworkAddress::parse(typed), Err(InvalidNetworkAddress::NotAnAddress), "{typed}");
        }
        for typed in ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "::ffff:127.0.0.1"] {
            assert_eq!(NetworkAddress::parse(typed), Err(InvalidNetworkAddress::NotOfAUser), "{typed}");
        }
    }
}
