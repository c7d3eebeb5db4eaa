//! Places at which a test can have this process killed, by name: `TWINSTREAM_CRASH_AT=NAME`, or
//! `NAME:3` for the third time it is passed. It is a real `kill -9`: no destructor runs, no file is
//! flushed. A release build does not look at the variable, and cannot be killed that way.

/// A step between two others, after which a stage may have been cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A place: it is marked durably, and not remembered.
    PlaceMade,
    /// Delivery to an object store: a file of a segment is there, read back; others are not yet.
    ObjectCreated,
    /// Delivery to an object store: what has arrived is announced, but not acknowledged.
    ArrivalsTold,
    /// Fetching from an object store: a segment is here without its seal.
    DataFetched,
    /// Commit: all data files are written aside and synced.
    DataAside,
    /// Commit: they were read back.
    DataChecked,
    /// Commit: the manifest lies aside, durably. The revision is committed.
    ManifestAside,
    /// Commit: a data file was renamed into place; others were not yet.
    FileInPlace,
    /// Commit: all data files are in place.
    DataInPlace,
    /// Commit: the former manifest is kept under `revisions/`.
    FormerKept,
    /// Commit: the manifest is in place.
    ManifestInPlace,
    /// Commit: the day's files are written.
    DayWritten,
    /// Commit: the ledger has its line.
    LedgerAppended,
    /// Commit to an object store: a data file of an attempt is there; others are not yet.
    AttemptStored,
    /// Commit to an object store: the revision is committed, or another's was found; its line is not in the ledger yet.
    RevisionCreated,
    /// Commit to an object store: the ledger has its line, the copy here does not follow yet.
    LineCreated,
    /// Delta Lake log: a version is there, what follows is not yet.
    VersionCreated,
    /// Delta Lake log: a checkpoint is there, and nothing points to it yet.
    CheckpointCreated,
    /// Delta Lake log: what pointed to the former checkpoint is gone.
    HintDeleted,
    /// Sweep of a vault in an object store: a file of an attempt that nobody reads is gone, others are not yet.
    AttemptSwept,
    /// Sweep: the compressed form of a segment lies aside, durably.
    PackedAside,
    /// Sweep: it was read back.
    PackedChecked,
    /// Sweep: it is in place, beside the plain form.
    PackedInPlace,
    /// Sweep: the plain form is removed.
    PlainRemoved,
    /// Sweep: what will be deleted is recorded.
    DeletionNoted,
    /// Sweep: a file of a segment is deleted from the object store, others are not.
    ObjectDeleted,
    /// Sweep: one segment is deleted, others are not.
    SegmentDeleted,
    /// Sweep: all of them are deleted, and still noted.
    AllDeleted,
    /// Redaction: the list is written, nothing is taken out yet.
    RedactionListed,
    /// Redaction: the new segment and its seal are written aside, durably.
    RedactedAside,
    /// Redaction: it is noted that they are.
    RedactionNoted,
    /// Redaction: the segment is in place, its seal is not.
    RedactedInPlace,
    /// Deletions: they are on the lists, and nothing says so yet.
    DeletionsListed,
    /// Deletions: the hours that may hold deleted records are recorded, none is remade yet.
    DeletionsNoted,
    /// Publishing: OSF has minted a DOI, the vault does not have it yet.
    DoiMinted,
}

impl Point {
    /// All that a merge passes, in the order in which it does.
    pub const OF_MERGE: [Self; 16] = [
        Self::DataAside,
        Self::DataChecked,
        Self::ManifestAside,
        Self::FileInPlace,
        Self::DataInPlace,
        Self::FormerKept,
        Self::ManifestInPlace,
        Self::DayWritten,
        Self::LedgerAppended,
        Self::PackedAside,
        Self::PackedChecked,
        Self::PackedInPlace,
        Self::PlainRemoved,
        Self::DeletionNoted,
        Self::SegmentDeleted,
        Self::AllDeleted,
    ];

    /// Those that honouring deletions passes besides.
    pub const OF_DELETIONS: [Self; 2] = [Self::DeletionsListed, Self::DeletionsNoted];

    /// Those that a redaction passes besides.
    pub const OF_REDACTION: [Self; 4] = [
        Self::RedactionListed,
        Self::RedactedAside,
        Self::RedactionNoted,
        Self::RedactedInPlace,
    ];
}

/// The variable that names the place.
pub const VARIABLE: &str = "TWINSTREAM_CRASH_AT";

/// Passes a place: ends the process here if a test asked for it.
#[cfg(debug_assertions)]
pub fn point(point: Point) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        Some(match text.split_once(':') {
            Some((name, nth)) => (name.to_owned(), nth.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });
    let Some((name, nth)) = wanted else {
        return;
    };
    if format!("{point:?}") == *name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
        let this = rustix::process::getpid();
        // it cannot fail for this very process; if it did, the test would see that nothing was killed
        let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
    }
}

/// Passes a place.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn point(_point: Point) {}
