//! What lies on the disk, as far as the picture of the state needs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::link::Link;
use crate::{
    cover::cause::Cause,
    period::{Hour, Interval, Minute, UtcMs},
    schedule::record::Record,
    segment::name::{Leg, Partition, ServerId},
};

/// Everything that was gathered.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// By server; those of the configuration and those with a folder in the spool.
    pub servers: BTreeMap<ServerId, ServerFacts>,
    /// Whether a collector runs here; `None`: that cannot be told.
    pub is_collecting: Option<bool>,
    /// What is committed.
    pub vault: VaultFacts,
    /// What has been published, if anything ever was.
    pub published: Option<PublishedFacts>,
    /// Bytes that may still be written where the data lies.
    pub free_bytes: u64,
    /// How many bytes were free when, ascending, about one an hour for some days.
    pub free_then: Vec<(UtcMs, u64)>,
    /// How the stages ended.
    pub record: Record,
    /// Which places are away or others. What is said of them is from before.
    pub away: Vec<Away>,
    /// Mails that wait.
    pub mails: MailFacts,
}

/// Mails that wait.
#[derive(Debug, Clone, Default)]
pub struct MailFacts {
    /// How many.
    pub waiting: u64,
    /// Since when the oldest does.
    pub since: Option<UtcMs>,
    /// Why it has not got out.
    pub why: Option<String>,
}

/// A place that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Away {
    /// The word for it.
    pub place: &'static str,
    /// What is the matter.
    pub what: String,
}

/// What is known here of one server.
#[derive(Debug, Clone, Default)]
pub struct ServerFacts {
    /// Segments in the spool here that are sealed, and that are not.
    pub sealed: u64,
    /// Segments that are being written.
    pub open: u64,
    /// Those of them whose minute is long over.
    pub left_open: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Files that failed their check and were set aside.
    pub aside: u64,
    /// Lines of each minute of the last day, the present one as far as it has come.
    pub minutes: BTreeMap<Minute, u64>,
    /// When the last line came.
    pub last_line: Option<UtcMs>,
    /// The end of the last minute that is sealed here.
    pub sealed_until: Option<UtcMs>,
    /// When something new of it was last seen here, or an acknowledgement; `None` while nothing was seen to change.
    pub news: Option<UtcMs>,
    /// What its connection is like.
    pub link: Link,
    /// The last minute that was acknowledged where it delivers to, and when that was.
    pub acknowledged: Option<(Minute, UtcMs)>,
    /// Its legs, where the stream comes in partitions: `link` is that of the one that is worst off.
    pub legs: BTreeMap<Leg, LegFacts>,
}

/// What is known here of one leg.
#[derive(Debug, Clone, Default)]
pub struct LegFacts {
    /// When its last line came.
    pub last_line: Option<UtcMs>,
    /// The end of the last minute that is sealed here.
    pub sealed_until: Option<UtcMs>,
    /// What its connection is like.
    pub link: Link,
}

/// What is committed.
#[derive(Debug, Clone, Default)]
pub struct VaultFacts {
    /// The latest revision of each hour.
    pub revisions: BTreeMap<Hour, u64>,
    /// All revisions together.
    pub lines: u64,
    /// What some hours contain: those of the last days, and the same ones some weeks before.
    pub hours: BTreeMap<Hour, HourFacts>,
}

/// What a manifest says, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HourFacts {
    /// The UTC time of the hour.
    pub intervals: Vec<Interval>,
    /// Its books.
    pub counts: CountFacts,
    /// Its covered seconds.
    #[serde(alias = "seconds")]
    pub coverage: CoverageFacts,
    /// All other seconds.
    #[serde(default)]
    pub gaps: Vec<GapFacts>,
    /// How many ids have each millisecond of a second.
    #[serde(default)]
    pub residues: Vec<(u64, u64)>,
}

/// Posts of an hour.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CountFacts {
    /// By leg.
    pub servers: BTreeMap<Leg, PostFacts>,
    /// Together.
    pub total: PostFacts,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct PostFacts {
    /// Different posts.
    pub posts: u64,
}

/// Covered seconds of an hour.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CoverageFacts {
    /// By leg.
    pub servers: BTreeMap<Leg, SecondFacts>,
    /// By any.
    pub union: SecondFacts,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct SecondFacts {
    /// Seconds that count.
    pub seconds: u64,
    /// The first of them, if it is not the hour's first.
    #[serde(default)]
    pub begins: Option<UtcMs>,
    /// Covered ones.
    pub covered: u64,
}

/// A run of uncovered seconds.
#[derive(Debug, Clone, Deserialize)]
pub struct GapFacts {
    /// A server's id, where the stream comes in partitions its leg's; or `union`.
    pub server: String,
    /// Where the stream comes in partitions, those that are missing.
    #[serde(default)]
    pub partitions: Vec<Partition>,
    /// Its first second.
    pub begin: UtcMs,
    /// The first second after it.
    pub end: UtcMs,
    /// Its cause.
    pub cause: Cause,
}

/// What has been published.
#[derive(Debug, Clone, Default)]
pub struct PublishedFacts {
    /// The latest revision of each hour that is public.
    pub revisions: BTreeMap<Hour, u64>,
    /// New ids of each publication in the last 30 days, and when.
    pub ids: Vec<(UtcMs, u64)>,
}
