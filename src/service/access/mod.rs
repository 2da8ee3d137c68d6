//! Who calls, and what callers may do: credentials become a [`Caller`] before a message is read, and every handler asks it, once its message is read,
//! whether the call may be made in the programme. What may be made by whom is one table.

mod asking;
mod caller;
mod door;
pub mod pairs;
mod share;
mod short;
mod table;

pub(super) use self::caller::Caller;
pub(super) use self::door::{Door, DoorLayer, digest_of};
pub(super) use self::share::Share;
pub(super) use self::short::{AccessToken, CLOCK_SKEW};
