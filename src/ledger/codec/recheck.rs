//! Records of another look at conversions.

use super::decision;
use super::numbers;
use crate::book::event::{Reassessed, Rechecked};
use crate::book::records::Cursor;
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::ids::{AccountId, ConversionId, RewardId};

pub(super) fn write(w: &mut Writer, event: &Rechecked) {
    let Rechecked { at, as_of, seen, changed } = event;
    w.time(*at);
    w.u64(as_of.0);
    w.list(seen, |w, id| w.text(id.as_str()));
    w.list(changed, |w, changed| {
        let Reassessed { conversion_id, referrer, referee, previous_verdict, verdict, due_at, paid, decision } = changed;
        w.text(conversion_id.as_str());
        w.text(referrer.as_str());
        w.text(referee.as_str());
        w.u8(numbers::verdict(*previous_verdict));
        w.u8(numbers::verdict(*verdict));
        w.time(*due_at);
        w.list(paid, |w, id| w.text(id.as_str()));
        decision::write(w, decision);
    });
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Rechecked, Damaged> {
    Ok(Rechecked {
        at: r.time()?,
        as_of: Cursor(r.u64()?),
        seen: r.list(|r| r.id(ConversionId::new))?,
        changed: r.list(|r| {
            Ok(Reassessed {
                conversion_id: r.id(ConversionId::new)?,
                referrer: r.id(AccountId::new)?,
                referee: r.id(AccountId::new)?,
                previous_verdict: numbers::read_verdict(r.u8()?)?,
                verdict: numbers::read_verdict(r.u8()?)?,
                due_at: r.time()?,
                paid: r.list(|r| r.id(RewardId::new))?,
                decision: Box::new(decision::read(r)?),
            })
        })?,
    })
}
