//! Why a line of X is no post, beside its not being JSON: a closed list.

use crate::source::Rejected;

/// No `data` object with an `id`.
pub(super) const NO_ID: Rejected = Rejected::new("no_id");

/// The id is not a number of at most 2^63 − 1.
pub(super) const BAD_ID: Rejected = Rejected::new("bad_id");

/// An id from before ids carried their time, without a readable `created_at`.
pub(super) const NO_TIME: Rejected = Rejected::new("no_time");
