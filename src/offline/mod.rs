//! Work on files instead of live traffic: people, scenarios, simulation, replay, training, evaluation. Layer 6.
//!
//! Nothing here runs in the path of a decision; it calls the same pure core as the service does.

pub mod chance;
pub mod foreign;
pub mod grouping;
pub mod history_file;
pub mod labeled_line;
pub mod learning;
pub mod line_by_line;
pub mod load;
pub mod mailbox;
pub mod missing;
pub mod people;
pub mod personas;
pub mod pseudonymise;
pub mod raw;
pub mod replay;
pub mod scenario;
pub mod simulate;
pub mod tally;
