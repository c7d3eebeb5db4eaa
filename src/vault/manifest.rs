//! What a revision of an hour contains, and what it was made of: `…_manifest.json`.
//!
//! The canonical form: members in the order of these types, the outer three levels one item a line, what is deeper on
//! one line, LF at the end. No clock and no host name: except for the block `history`, it is a function of the
//! inputs.

use std::{
    collections::BTreeMap,
    io,
    ops::{Deref, DerefMut},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{deleted::HELD_BACK, layout::FileKind};
use crate::{
    cover::{
        backfill::Backfill,
        collections::Requested,
        estimate::{Both, Estimate},
        gap::Gap,
        rules::InForce,
        seconds::Covered,
    },
    period::{Hour, Interval, Minute, UtcMs},
    segment::{
        name::{Leg, SegmentName},
        seal::Digest,
        sha256::Sha256,
    },
    world::disk::{self, Disk},
};

/// The version of the vault's format that this program writes.
pub const FORMAT: u32 = 1;

/// An hour with thousands of segments has some megabytes; a larger file is not a manifest.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// Counts by a word: reasons, fields, residues.
pub type ByWord = BTreeMap<String, u64>;

/// A manifest. The values of the hour are members of it in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Version of the format: 1.
    pub format: u32,
    /// What it says of the hour.
    #[serde(flatten)]
    pub said: HourSaid,
    /// What was merged.
    pub inputs: Inputs,
    /// What was carried over, if this revision was merged from the rows of the former one because its raw data was
    /// gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// What this revision has to do with the ones before.
    pub history: History,
}

/// The part of a manifest that describes the hour, without its inputs: all that a day's files need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourSaid {
    /// Name and version of the program that merged.
    pub program: String,
    /// Which stream.
    pub stream: String,
    /// The vault's time zone, an IANA name.
    pub timezone: String,
    /// The label.
    pub hour: Hour,
    /// The UTC time that carries the label.
    pub intervals: Vec<Interval>,
    /// The books.
    pub counts: Counts,
    /// The data files.
    pub outputs: Vec<Output>,
    /// What each server saw in each minute.
    pub minutes: Minutes,
    /// The seconds that each server has, and any.
    pub coverage: Coverage,
    /// All other seconds: the gaps of the servers in their order, then those of the union.
    pub gaps: Vec<Gap>,
    /// Where rules choose what the stream brings: which were in force in which seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<InForce>,
    /// Where a platform sends only the collections that are requested: which were requested in which seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<Requested>,
    /// How many posts both missed; none with other than two servers, or no second that both have.
    pub estimate: Option<Estimate>,
    /// What the connections that asked for backfill brought, by server and time.
    pub backfills: Vec<Backfill>,
    /// How many ids have each `(id >> 22) % 1000`; residues without one are left out.
    pub residues: Vec<(u64, u64)>,
    /// Posts whose copies differ.
    pub conflicts: Conflicts,
    /// How many posts of this hour were taken out on request, by the reason that was given.
    #[serde(default, skip_serializing_if = "ByWord::is_empty")]
    pub redactions: ByWord,
    /// How many records of this hour were taken out because they were `deleted`, or because their `account` is gone, and how
    /// many are `held_back`.
    #[serde(default, skip_serializing_if = "ByWord::is_empty")]
    pub deletions: ByWord,
}

impl HourSaid {
    /// How many records are held back.
    pub fn held_back(&self) -> u64 {
        self.deletions.get(HELD_BACK).copied().unwrap_or(0)
    }
}

/// What every format has.
#[derive(Deserialize)]
struct Numbered {
    format: u32,
}

/// For reading, everything but the values of the hour: `flatten` would hold the whole file in memory a second time,
/// and does not accept numbers as keys.
#[derive(Deserialize)]
struct MadeOf {
    inputs: Inputs,
    carried: Option<Carried>,
    history: History,
}

impl Deref for Manifest {
    type Target = HourSaid;

    fn deref(&self) -> &HourSaid {
        &self.said
    }
}

impl DerefMut for Manifest {
    fn deref_mut(&mut self) -> &mut HourSaid {
        &mut self.said
    }
}

/// What was merged, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The segments that have lines of this hour.
    pub segments: Vec<SegmentInput>,
    /// The events files of its time and of one minute before and after, those on both sides of every hole, and those
    /// of later backfills that reach into it.
    pub events: Vec<EventsInput>,
}

impl Inputs {
    /// The lines of a leg's segments that belong to the hour.
    pub fn taken(&self, leg: &Leg) -> u64 {
        let segments = self.segments.iter();
        let of_server = segments.filter(|input| input.name.is_of(leg));
        of_server.map(|input| input.taken).sum()
    }
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SegmentInput {
    /// Its name.
    pub name: SegmentName,
    /// SHA-256 of its plain bytes.
    pub sha256: Sha256,
    /// All its lines.
    pub lines: u64,
    /// Its lines that belong to this hour.
    pub taken: u64,
    /// If lines were taken out of it on request: SHA-256 that it had as it was collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Sha256>,
}

/// One events file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventsInput {
    /// The name of its segment.
    pub name: SegmentName,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its records.
    pub lines: u64,
}

/// The books: `lines = posts + unlisted + duplicates + rejected + deleted`, for each server and in total.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By server.
    pub servers: BTreeMap<Leg, ServerCounts>,
    /// Together.
    pub total: TotalCounts,
}

/// What one server gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounts {
    /// Lines taken.
    pub lines: u64,
    /// Different posts.
    pub posts: u64,
    /// Different records that are in no list of ids: deletions, what is told of accounts, and what is held back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
    /// Further copies of either from the same server.
    pub duplicates: u64,
    /// Lines that are not posts, by reason.
    pub rejected: ByWord,
    /// Lines of what was deleted, or whose accounts are gone: they stand in no file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deleted: u64,
    /// Posts that no other server saw.
    pub only_here: u64,
}

/// What all servers gave together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalCounts {
    /// Lines taken.
    pub lines: u64,
    /// Different posts: the lines of `IDs.txt`.
    pub posts: u64,
    /// Different records that are in no list of ids: deletions, what is told of accounts, and what is held back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
    /// Further copies of either, from the same or another server.
    pub duplicates: u64,
    /// Lines that are not posts, by reason.
    pub rejected: ByWord,
    /// Lines of what was deleted, or whose accounts are gone: they stand in no file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deleted: u64,
    /// Posts that all servers saw.
    pub seen_by_all: u64,
}

impl TotalCounts {
    /// The rows of `posts.parquet`.
    pub const fn records(&self) -> u64 {
        self.posts + self.unlisted
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: Sha256,
    /// Bytes of its content, uncompressed.
    pub content_bytes: u64,
    /// SHA-256 of them.
    pub content_sha256: Sha256,
    /// Its rows, header not counted.
    pub rows: u64,
}

impl Output {
    /// A file of these bytes, whose content begins with so many lines that are no rows.
    pub(super) fn of(name: String, file: &Digest, content: &Digest, header_lines: u64) -> Self {
        Self {
            name,
            bytes: file.bytes,
            sha256: file.sha256,
            content_bytes: content.bytes,
            content_sha256: content.sha256,
            rows: content.lines.saturating_sub(header_lines),
        }
    }
}

/// What each server saw in each minute of the hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minutes {
    /// The servers, or where the stream comes in partitions, the legs, in the order of the numbers in each row.
    pub servers: Vec<Leg>,
    /// Every minute of the hour.
    pub rows: Vec<MinuteRow>,
    /// For each partition that two servers have, for every minute of the hour, of the seconds that both have posts of:
    /// how many they are, posts of the first, of the second, in common.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<u8, Vec<Both>>,
}

impl Minutes {
    /// What is known of the seconds that two servers both have posts of: the strata of the estimate.
    pub fn both(&self) -> impl Iterator<Item = &Both> {
        let whole = self.rows.iter().filter_map(|row| row.both.as_ref());
        whole.chain(self.partitions.values().flatten())
    }
}

/// A minute; in JSON a list of these in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MinuteCells", into = "MinuteCells")]
pub struct MinuteRow {
    /// Which.
    pub minute: Minute,
    /// Its posts.
    pub posts: u64,
    /// Those of each server.
    pub of_servers: Vec<u64>,
    /// Those that all of them saw.
    pub common: u64,
    /// With two servers: what is known of the seconds that both have posts of.
    pub both: Option<Both>,
}

type MinuteCells = (Minute, u64, Vec<u64>, u64, Option<Both>);

impl From<MinuteCells> for MinuteRow {
    fn from((minute, posts, of_servers, common, both): MinuteCells) -> Self {
        Self {
            minute,
            posts,
            of_servers,
            common,
            both,
        }
    }
}

impl From<MinuteRow> for MinuteCells {
    fn from(row: MinuteRow) -> Self {
        (row.minute, row.posts, row.of_servers, row.common, row.both)
    }
}

/// The seconds that the servers have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// By server.
    pub servers: BTreeMap<Leg, Covered>,
    /// By any server.
    pub union: Covered,
    /// The archive's first connection, or first line, if the union begins in this hour: what it has of the time before
    /// was under way then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<UtcMs>,
}

/// Posts whose copies differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflicts {
    /// How many.
    pub posts: u64,
    /// Of these, how many differ in each column of `tweets.csv`; `retrieved_at` is not counted.
    pub by_field: ByWord,
}

/// Counts that could not be made again because the raw data was gone: carried over from the former revision, and
/// added to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The last revision whose raw data was there.
    pub revision: u64,
    /// Its segments, which are gone or were not read again.
    pub segments: u64,
    /// Its posts, each of which counts as one copy wherever copies are compared.
    pub posts: u64,
    /// What was carried over: members of this manifest.
    pub members: Vec<String>,
    /// Lines of each server that were taken out of the rows on request since the raw data is gone:
    /// `inputs` still count them, `counts` do not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted: BTreeMap<Leg, u64>,
}

/// What this revision has to do with the ones before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// 1, 2, 3 …
    pub revision: u64,
    /// SHA-256 of the manifest before; none for the first.
    pub previous_manifest: Option<Sha256>,
    /// The segments that came in with this revision.
    pub segments: Vec<SegmentName>,
    /// The events files that came in with this revision.
    pub events: Vec<SegmentName>,
}

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not a manifest.
    #[error("it is not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// From a later program.
    #[error("it has format {0}, this program reads up to {FORMAT}: upgrade")]
    TooNew(u32),
}

impl Manifest {
    /// Reads one from its file.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self, ManifestError> {
        Self::from_json(&disk::read_bounded(disk, path, MANIFEST_BYTES_MAX)?)
    }

    /// Reads one from its bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        // one of a later format may lack members of this one
        let Numbered { format } = serde_json::from_slice(bytes)?;
        if FORMAT < format {
            return Err(ManifestError::TooNew(format));
        }
        let made: MadeOf = serde_json::from_slice(bytes)?;
        Ok(Self {
            format,
            said: serde_json::from_slice(bytes)?,
            inputs: made.inputs,
            carried: made.carried,
            history: made.history,
        })
    }

    /// Lines of a server that its inputs count and its counts do not.
    pub fn redacted(&self, server: &Leg) -> u64 {
        let carried = self.carried.as_ref();
        let redacted = carried.and_then(|carried| carried.redacted.get(server));
        redacted.copied().unwrap_or(0)
    }

    /// Whether it names a `posts.parquet`, which has every row of the hour.
    pub fn names_posts(&self) -> bool {
        let name = FileKind::Posts.name(self.hour);
        self.outputs.iter().any(|output| output.name == name)
    }

    /// The canonical form.
    pub fn to_json(&self) -> Vec<u8> {
        canonical(self)
    }

    /// Whether the books balance: every line was kept, dropped as a copy, rejected, or deleted.
    pub fn balances(&self) -> bool {
        let sum = |by: &ByWord| by.values().sum::<u64>();
        let total = &self.counts.total;
        let servers = self.counts.servers.values();
        let inputs = self.inputs.segments.iter();
        let inputs: u64 = inputs.map(|segment| segment.taken).sum();
        let redacted: u64 = self.counts.servers.keys().map(|id| self.redacted(id)).sum();
        servers
            .clone()
            .all(|s| s.lines == s.posts + s.unlisted + s.duplicates + sum(&s.rejected) + s.deleted)
            && total.lines
                == total.records() + total.duplicates + sum(&total.rejected) + total.deleted
            && total.lines == servers.clone().map(|s| s.lines).sum::<u64>()
            && total.lines + redacted == inputs
            && self.minutes.rows.iter().map(|row| row.posts).sum::<u64>() == total.posts
    }
}

/// The canonical form of a value that is made of texts and numbers.
pub fn canonical(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut json, Shallow::default());
    // writing to memory
    if value.serialize(&mut writer).is_err() {
        json.clear();
    }
    json.push(b'\n');
    json
}

/// Breaks lines in the outer levels only, so that a table has one row a line.
#[derive(Default)]
struct Shallow {
    depth: usize,
    empty: bool,
}

/// Levels whose items stand on lines of their own.
const OUTER_LEVELS: usize = 3;

impl Shallow {
    fn open<W: io::Write + ?Sized>(&mut self, to: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        to.write_all(bracket)
    }

    fn close<W: io::Write + ?Sized>(&mut self, to: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.empty && self.depth < OUTER_LEVELS {
            self.new_line(to)?;
        }
        self.empty = false;
        to.write_all(bracket)
    }

    fn item<W: io::Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if !first {
            to.write_all(b",")?;
        }
        if self.depth <= OUTER_LEVELS {
            self.new_line(to)
        } else {
            Ok(())
        }
    }

    fn new_line<W: io::Write + ?Sized>(&self, to: &mut W) -> io::Result<()> {
        to.write_all(b"\n")?;
        to.write_all(" ".repeat(self.depth).as_bytes())
    }
}

impl serde_json::ser::Formatter for Shallow {
    fn begin_array<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b"]")
    }

    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(to, first)
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, _to: &mut W) -> io::Result<()> {
        self.empty = false;
        Ok(())
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b"}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(to, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, _to: &mut W) -> io::Result<()> {
        self.empty = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GOLDEN: &str =
        include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");

    /// The example's manifest with other values at these places.
    fn changed(changes: &[(&str, Value)]) -> Result<Manifest, ManifestError> {
        let mut says: Value = serde_json::from_str(GOLDEN).unwrap();
        for (place, value) in changes {
            *says.pointer_mut(place).unwrap() = value.clone();
        }
        Manifest::from_json(says.to_string().as_bytes())
    }

    /// Server 1 has 15 lines, server 2 has 17; all are posts, 18 different ones. Each change leaves the other sums alone.
    #[test]
    fn books_balance_in_each_of_their_sums() {
        let [one, two] = ["/counts/servers/1/lines", "/counts/servers/2/lines"];
        assert!(changed(&[]).unwrap().balances());
        for changes in [
            vec![(one, json!(16)), (two, json!(16))],
            vec![("/counts/total/duplicates", json!(15))],
            vec![(one, json!(16)), ("/counts/servers/1/posts", json!(16))],
            vec![("/inputs/segments/0/taken", json!(6))],
            vec![("/minutes/rows/57/1", json!(7))],
            vec![("/counts/total/rejected", json!({"no_id": 1}))],
            vec![("/counts/servers/1/rejected", json!({"no_id": 1}))],
        ] {
            assert!(!changed(&changes).unwrap().balances(), "{changes:?}");
        }
        // a line that was taken out of rows whose raw data is gone
        let mut manifest = changed(&[("/inputs/segments/0/taken", json!(6))]).unwrap();
        manifest.carried = Some(Carried {
            revision: 1,
            segments: 1,
            posts: 0,
            members: Vec::new(),
            redacted: BTreeMap::from([("1".parse().unwrap(), 1)]),
        });
        assert!(manifest.balances());
    }

    #[test]
    fn what_a_later_program_wrote_is_not_read() {
        let later = changed(&[("/format", json!(FORMAT + 1))]);
        assert!(matches!(later, Err(ManifestError::TooNew(2))), "{later:?}");
        let other = Manifest::from_json(b"{\"format\":2,\"more\":[]}");
        assert!(matches!(other, Err(ManifestError::TooNew(2))), "{other:?}");
    }
}
