//! Behaviour of the whole program, one file per subject.

mod simulate;
