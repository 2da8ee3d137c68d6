//! Work on files instead of live traffic: simulation, replay, training, evaluation. Layer 8.
//!
//! Nothing here runs in the path of a decision; it calls the same pure core as the service does.

pub mod foreign;
pub mod grouping;
pub mod history_file;
pub mod learning;
pub mod line_by_line;
pub mod load;
pub mod replay;
pub mod simulator;
pub mod tally;
