//! Seals: how a replica tells another for whom it forwards a call. It has asked who calls; the other believes it because the seal is made with a key
//! that only replicas hold. A token does not leave the replica that it was shown to, and a caller with a certificate stays who it is.

use std::fmt;
use std::time::Duration;

use tonic::codegen::http::HeaderValue;

use crate::ports::leases::ReplicaKey;
use crate::vocabulary::ids::Actor;
use crate::vocabulary::time::{Span, Timestamp};

/// How far the clocks of two replicas, and the way between them, may be apart. Judgement.
const GOOD_FOR: Duration = Duration::from_secs(120);
/// Separates this use of the key from every other, and this form from those to come.
const CONTEXT: &str = "selfsame 2026-11 who calls, from replica to replica";

/// As whom a call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// As an identity of the directory.
    Identity(Actor),
    /// As somebody who said a name where nobody is asked.
    Named(Actor),
    /// As nobody, where nobody is asked.
    Nameless,
}

impl Said {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Named(_) => "named",
            Self::Nameless => "nameless",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Identity(name) | Self::Named(name) => name.as_str(),
            Self::Nameless => "",
        }
    }

    fn read(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "identity" => Actor::new(name).ok().map(Self::Identity),
            "named" => Actor::new(name).ok().map(Self::Named),
            "nameless" => name.is_empty().then_some(Self::Nameless),
            _ => None,
        }
    }
}

/// Makes seals, and opens those that are for this replica.
#[derive(Clone)]
pub(super) struct Seals {
    key: [u8; 32],
    own_address: String,
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seals of {}", self.own_address)
    }
}

impl Seals {
    /// Those of a replica that the others reach at an address.
    pub(super) fn new(key: &ReplicaKey, own_address: &str) -> Self {
        Self { key: blake3::derive_key(CONTEXT, &key.0), own_address: own_address.to_owned() }
    }

    /// A seal for one method of the replica at an address: `millis;kind;mac;name`.
    pub(super) fn seal(&self, said: &Said, method: &str, to: &str, now: Timestamp) -> Option<HeaderValue> {
        let (millis, kind, name) = (now.as_millis().to_string(), said.kind(), said.name());
        let mac = self.mac([&millis, kind, name, method, to]);
        let mut value = HeaderValue::from_str(&format!("{millis};{kind};{};{name}", mac.to_hex())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// As whom a call is made, by a seal for this method of this replica; absent when it is none.
    pub(super) fn open(&self, seal: &HeaderValue, method: &str, now: Timestamp) -> Option<Said> {
        let mut parts = seal.to_str().ok()?.splitn(4, ';');
        let (millis, kind, mac, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Digests compare in the same time wherever they differ.
        if blake3::Hash::from_hex(mac).ok()? != self.mac([millis, kind, name, method, &self.own_address]) {
            return None;
        }
        let sealed_at = Timestamp::saturating_from_millis(millis.parse().ok()?);
        let good_for = Span::from_seconds(i64::try_from(GOOD_FOR.as_secs()).unwrap_or(i64::MAX));
        (now.since(sealed_at).abs() <= good_for).then(|| Said::read(kind, name)).flatten()
    }

    fn mac(&self, parts: [&str; 5]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: &str = "/selfsame.v1.PayoutService/MarkPaid";

    fn seals(key: u8, address: &str) -> Seals {
        Seals::new(&ReplicaKey([key; 32]), address)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000 + seconds * 1_000)
    }

    #[test]
    fn a_seal_says_who_calls_what_and_where_and_is_good_nowhere_else() {
        let (here, there) = (seals(7, "10.0.0.1:1"), seals(7, "10.0.0.2:1"));
        let rita = Said::Identity(Actor::new("rita").unwrap());
        for said in [rita.clone(), Said::Named(Actor::new("ci;x").unwrap()), Said::Nameless] {
            let seal = here.seal(&said, METHOD, "10.0.0.2:1", at(0)).unwrap();
            assert_eq!(there.open(&seal, METHOD, at(3)), Some(said));
        }
        let seal = here.seal(&rita, METHOD, "10.0.0.2:1", at(0)).unwrap();
        assert_eq!(here.open(&seal, METHOD, at(0)), None, "another replica's");
        assert_eq!(there.open(&seal, "/selfsame.v1.AccessService/PutIdentity", at(0)), None);
        assert_eq!(seals(8, "10.0.0.2:1").open(&seal, METHOD, at(0)), None, "another key");
        assert_eq!([-121, 121].map(|late| there.open(&seal, METHOD, at(late))), [None, None]);
    }

    #[test]
    fn no_part_of_a_seal_can_be_changed() {
        let (here, there) = (seals(7, "a"), seals(7, "b"));
        let seal = here.seal(&Said::Named(Actor::new("rita").unwrap()), METHOD, "b", at(0)).unwrap();
        let text = seal.to_str().unwrap();
        for (from, to) in [("named", "identity"), ("rita", "root"), ("1790", "1791"), (";named", ";nameless"), (";rita", "")] {
            let forged = HeaderValue::from_str(&text.replace(from, to)).unwrap();
            assert_eq!(there.open(&forged, METHOD, at(0)), None, "{forged:?}");
        }
        for forged in ["", "1", ";;;", "1;nameless;00;"] {
            assert_eq!(there.open(&HeaderValue::from_static(forged), METHOD, at(0)), None);
        }
    }
}
