//! Work on files instead of live traffic: people, scenarios, simulation, replay, training, evaluation. Layer 6.
pub mod learning;
