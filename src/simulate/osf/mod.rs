//! OSF and WaterButler, over a directory: three services that share a tree of files.

mod answer;
mod api;
mod butler;
mod md5;
mod tree;

/// What goes wrong there.
pub mod fault;
/// The three services on their ports.
pub mod server;
/// What they have in common.
pub mod site;
