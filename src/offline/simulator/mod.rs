//! The simulator: synthetic people who refer each other honestly or farm a referral programme, with the truth about each conversion.
//!
//! Who plays stands in `datasets/simulator/personas`, where they play in `datasets/simulator/programmes`; a number there is itself, and a pair is a
//! range from which each programme draws. What all people of a programme have in common (ages, tempo, prices, hours, devices) is drawn for the
//! programme, so that none of it tells the abusive from the honest; personas differ in what they share, and in what they do because of it.
//! From a file to a line: [`library`] draws a [`setting`], [`months`] plays episodes in its world, [`labeled_line`] digests them.

pub mod chance;
mod conversion;
pub mod day;
mod environment;
mod episode;
mod identity;
pub mod labeled_line;
pub mod library;
pub mod mailbox;
pub mod missing;
pub mod months;
pub mod parameter_file;
pub mod people;
pub mod persona;
pub mod programme;
pub mod pseudonymise;
pub mod raw;
pub mod setting;
mod sides;
#[cfg(test)]
mod telling_tests;
mod world;
