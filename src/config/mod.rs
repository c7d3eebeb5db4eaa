//! What is settled before anything runs.

/// The values that stages take; they exist only if every check has passed.
pub mod settings;
