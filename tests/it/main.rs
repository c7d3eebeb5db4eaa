//! The behaviour of the whole: the built binary, real files, real processes, real sockets.

mod collect;
mod deliver;
mod disk;
mod power;
mod support;
mod tidy;
