//! Places for connections: so many in all, so many for each address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many connections as may be.
    All,
    /// The address has as many as it may.
    Address,
}

impl Full {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::All, Self::Address];

    /// Its name, as a label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    all_max: usize,
    an_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(all_max: usize, an_address_max: usize) -> Arc<Self> {
        metrics::gauge!(OPEN).set(0.0);
        Arc::new(Self { all_max, an_address_max, taken: Mutex::default() })
    }

    /// A place for a connection from an address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let address = network_of(address);
        let mut taken = self.taken.lock();
        if taken.all >= self.all_max {
            return Err(Full::All);
        }
        let own = taken.by_address.entry(address).or_default();
        if *own >= self.an_address_max {
            return Err(Full::Address);
        }
        *own += 1;
        taken.all += 1;
        metrics::gauge!(OPEN).increment(1.0);
        Ok(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
        metrics::gauge!(OPEN).decrement(1.0);
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// The gauge of connections that are open.
const OPEN: &str = "selfsame_connections";

/// What is one address: of IPv6, whose subscribers have whole networks, the first 64 bits.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_own_share_and_a_place_that_is_given_back_is_free() {
        let places = Places::new(3, 2);
        let first = places.take(ip("10.0.0.1")).unwrap();
        let _second = places.take(ip("::ffff:10.0.0.1")).unwrap();
        assert_eq!(places.take(ip("10.0.0.1")).unwrap_err(), Full::Address);
        let _other = places.take(ip("10.0.0.2")).unwrap();
        assert_eq!(places.take(ip("10.0.0.3")).unwrap_err(), Full::All);
        drop(first);
        let _again = places.take(ip("10.0.0.1")).unwrap();
        assert_eq!(places.taken.lock().by_address.len(), 2);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let places = Places::new(9, 1);
        let _one = places.take(ip("2001:db8:0:1::1")).unwrap();
        assert_eq!(places.take(ip("2001:db8:0:1:ffff::2")).unwrap_err(), Full::Address);
        assert!(places.take(ip("2001:db8:0:2::1")).is_ok());
    }
}
