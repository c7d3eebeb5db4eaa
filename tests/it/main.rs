//! The behaviour of the whole: the built binary, real files, real processes, real sockets.

mod deliver;
mod tidy;
