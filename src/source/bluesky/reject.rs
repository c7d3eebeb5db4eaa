//! Why a line of Bluesky is no event, beside its not being JSON: a closed list.

use crate::source::Rejected;

/// No `did` that is one.
pub(super) const NO_DID: Rejected = Rejected::new("no_did");

/// Its `kind` is none of commit, identity and account.
pub(super) const UNKNOWN_KIND: Rejected = Rejected::new("unknown_kind");

/// A commit without a collection, a record's key or an operation that is one.
pub(super) const BAD_COMMIT: Rejected = Rejected::new("bad_commit");

/// A commit whose revision is no TID.
pub(super) const BAD_REV: Rejected = Rejected::new("bad_rev");

/// An identity or account event without a number.
pub(super) const NO_SEQ: Rejected = Rejected::new("no_seq");

/// No `time_us`, or an identity or account event without a time.
pub(super) const NO_TIME: Rejected = Rejected::new("no_time");

/// Its time is not near the instant at which the endpoint saw it.
pub(super) const OUT_OF_RANGE: Rejected = Rejected::new("out_of_range");
