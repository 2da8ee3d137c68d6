//! A conversion by itself as packed bytes, in the alphabet of journal records: for files of history that this program writes for itself.
//! It must never read what another version wrote as if it were its own. `offline::history_file` calls it.

use super::conversion;
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::conversion::Conversion;

/// The version that is written. A change of the alphabet is a new version beside the old one, as in the journal.
const VERSION: u8 = 1;

/// The bytes are not what [`pack_conversion`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a packed conversion that this build can read: {0}")]
pub struct NotPacked(&'static str);

/// A conversion as packed bytes.
#[must_use]
pub fn pack_conversion(conversion: &Conversion) -> Vec<u8> {
    let mut w = Writer::with_capacity(2048);
    w.u8(VERSION);
    conversion::write_heads(&mut w, conversion);
    conversion::write(&mut w, conversion);
    w.finish()
}

/// The conversion of packed bytes. Every id, time and digest is held to its type; how many there are is not, since [`pack_conversion`] was
/// given a conversion.
///
/// # Errors
/// [`NotPacked`] when the bytes are damaged or of a newer version.
pub fn unpack_conversion(bytes: &[u8]) -> Result<Conversion, NotPacked> {
    read(&mut Reader::new(bytes)).map_err(|Damaged(what)| NotPacked(what))
}

fn read(r: &mut Reader<'_>) -> Result<Conversion, Damaged> {
    if r.u8()? != VERSION {
        return Err(Damaged("its version is newer than this build"));
    }
    let heads = conversion::read_heads(r)?;
    let conversion = conversion::read(r, heads)?;
    if r.is_empty() { Ok(conversion) } else { Err(Damaged("it is longer than its content")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::fixtures::any_conversion;

    proptest! {
        #[test]
        fn a_packed_conversion_comes_back_and_a_cut_one_does_not(conversion in any_conversion()) {
            let bytes = pack_conversion(&conversion);
            prop_assert!(unpack_conversion(&bytes[..bytes.len() - 1]).is_err());
            prop_assert_eq!(unpack_conversion(&bytes), Ok(conversion));
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert!(unpack_conversion(&[VERSION + 1, 0, 0]).is_err_and(|error| error.to_string().contains("newer")));
    }
}
