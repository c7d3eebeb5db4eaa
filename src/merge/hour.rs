//! One hour: from its runs to a committed revision.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
};

use super::{
    deal::{DealError, Dealer},
    dedupe::Tally,
    former::Former,
    index::{Index, IndexError, Indexes, RunKey},
    named::Names,
    plan::Known,
    summary::{self, RejectedLines, Sums},
    taken_out::Out,
    timelines::{self, Told},
    unit::{self, Made, Merged, Segment},
    users::Users,
    window, workers,
};
use crate::{
    cover::{backfill::Connection, part},
    period::{Hour, Minute, UtcMs, Zone},
    segment::name::{Leg, RunId, SegmentName, ServerId},
    source::{Placed, Source, key::Key},
    vault::{
        commit::{CommitError, Commits, HourOfVault},
        deleted::{Deleted, DeletedError},
        layout::{self, Kind},
        ledger::Ledger,
        manifest::{History, Inputs, Manifest, Output},
        posts::{self, write::ParquetWriter},
        xz::{Effort, XzWriter},
    },
};

/// What every hour is merged with.
pub struct Workshop<'a> {
    /// Segments and their indexes.
    pub indexes: Indexes<'a>,
    /// What was deleted: it stays out, or is held back.
    pub deleted: &'a Deleted<'a>,
    /// The vault.
    pub vault: &'a Path,
    /// A folder for what does not fit into memory.
    pub scratch: &'a Path,
    /// The vault's zone.
    pub zone: &'a Zone,
    /// How hard to compress.
    pub effort: Effort,
    /// Where its hours are committed.
    pub commits: &'a dyn Commits,
    /// Whether `posts.parquet` is wanted.
    pub parquet: bool,
    /// How many threads may work.
    pub threads: usize,
    /// Bytes of lines that make a unit of work.
    pub unit_bytes: u64,
}

/// An hour that is due.
pub struct Due {
    /// The hour.
    pub hour: Hour,
    /// Everything that is to be merged.
    pub inputs: Inputs,
    /// The former revision, if its raw data is gone: its rows stand for its inputs.
    pub former: Option<Manifest>,
    /// The configured legs whose servers have not ended before it.
    pub servers: Vec<Leg>,
    /// The primary: nothing of it can be on its way.
    pub primary: Option<ServerId>,
    /// What the plan knows of the inputs that are here.
    pub known: BTreeMap<SegmentName, Known>,
    /// Whether it lies in the vault's span. Outside of it nothing ran.
    pub is_in_span: bool,
    /// When the vault began: its first connection.
    pub began: Option<UtcMs>,
    /// What comes in with this revision; its number and its predecessor are put in here.
    pub history: History,
}

impl Due {
    /// The inputs whose files are read: those that the former revision's rows do not stand for.
    pub(super) fn fresh<'d, T: PartialEq + 'd>(
        &'d self,
        of: impl Fn(&'d Inputs) -> &'d [T],
    ) -> impl Iterator<Item = &'d T> {
        let former = self.former.as_ref().map(|former| of(&former.inputs));
        let is_fresh = move |input: &&T| former.is_none_or(|former| !former.contains(input));
        of(&self.inputs).iter().filter(is_fresh)
    }
}

/// Why an hour was not committed. Its inputs are kept.
#[derive(Debug, thiserror::Error)]
pub enum HourError {
    /// A segment cannot be used any more.
    #[error("a segment cannot be used: {0}")]
    Index(#[from] IndexError),
    /// A segment is another one than when the hour was planned.
    #[error("{} has changed since the merge began", .0.display())]
    Changed(PathBuf),
    /// The rows that stand for raw data that is gone are not what was committed.
    #[error("raw data is gone, and {} is not as its manifest says", .0.display())]
    Former(PathBuf),
    /// A segment does not read as it was indexed.
    #[error("a segment cannot be used: {0}")]
    Unit(#[from] DealError),
    /// The ids did not ascend.
    #[error("the ids do not ascend after {0}")]
    Order(Key),
    /// Lines have gone missing, or there are too many.
    #[error(
        "the books do not balance: {lines} lines taken, but {posts} posts, {duplicates} duplicates, {rejected} rejected lines and {deleted} deleted ones"
    )]
    Books {
        /// Lines taken, by the index.
        lines: u64,
        /// Different posts.
        posts: u64,
        /// Further copies.
        duplicates: u64,
        /// No posts.
        rejected: u64,
        /// Of what was deleted since.
        deleted: u64,
    },
    /// A file could not be written or read.
    #[error("{}", crate::world::disk::placed(path, source))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lists of what was deleted.
    #[error("what was deleted is not known: {0}")]
    Deleted(#[from] DeletedError),
    /// The vault.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> HourError + '_ {
    move |source| HourError::Io {
        path: path.to_owned(),
        source,
    }
}

/// A data file that is being written.
pub(super) struct Sheet {
    path: PathBuf,
    kind: Kind,
    file: XzWriter,
}

impl Sheet {
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), HourError> {
        self.file.write_all(text).map_err(at(&self.path))
    }

    pub(super) fn finish(self, hour: Hour) -> Result<Output, HourError> {
        let (name, header) = (self.kind.name(hour), self.kind.header_lines());
        self.file.finish(name, header).map_err(at(&self.path))
    }
}

/// The lists and the table of an hour's records that are being written.
struct Lists {
    ids: Sheet,
    table: Sheet,
    /// What accounts are called, as far as the table has come.
    names: Names,
    /// If the stream tells of deletions.
    deletions: Option<Sheet>,
    /// If anything is held back.
    held: Option<Sheet>,
}

impl Lists {
    fn write(
        &mut self,
        merged: &mut Merged,
        held: &dyn Fn() -> Result<Sheet, HourError>,
    ) -> Result<(), HourError> {
        self.ids.write(&merged.ids)?;
        let named = std::mem::take(&mut merged.named);
        self.names.fill(&mut merged.table, named);
        self.table.write(&merged.table)?;
        if !merged.held.is_empty() {
            let sheet = match &mut self.held {
                Some(sheet) => sheet,
                none => none.insert(held()?),
            };
            sheet.write(&merged.held)?;
        }
        let deletions = self.deletions.as_mut();
        deletions.map_or(Ok(()), |sheet| sheet.write(&merged.deletions))
    }
}

/// What was written of an hour, and what it says.
struct Written {
    tally: Tally,
    rejected: RejectedLines,
    outputs: Vec<Output>,
    out: Out,
}

/// Rows of so many bytes are written together.
const ROWS_BYTES: usize = 64 * 1024;

/// Compressing takes some 60 MiB for each thread.
const COMPRESSING_THREADS_MAX: usize = 8;

impl Workshop<'_> {
    /// Merges an hour and commits it. What was written of an hour that fails is removed.
    pub fn merge(&self, due: Due, ledger: &mut Ledger) -> Result<Manifest, HourError> {
        let hour = due.hour;
        let place = HourOfVault {
            disk: self.indexes.disk,
            vault: self.vault,
            hour,
        };
        let result = self.merge_at(&place, due, ledger);
        if result.is_err()
            && let Err(why) = place.finish(ledger)
        {
            tracing::warn!("what was written of hour {hour} could not be removed: {why}");
        }
        result
    }

    fn merge_at(
        &self,
        place: &HourOfVault<'_>,
        due: Due,
        ledger: &mut Ledger,
    ) -> Result<Manifest, HourError> {
        let servers = summary::servers(&due.inputs, &due.servers);
        let Told {
            timelines,
            lags_ms,
            rules,
        } = timelines::told(&self.indexes, &due, &servers)?;
        let connections: Vec<Vec<Connection>> = timelines
            .iter()
            .map(|timeline| timeline.connections.clone())
            .collect();
        let mut segments = self.segments(&due, &servers, &lags_ms)?;
        let former = self.former(&due, &servers);
        let mut out = Out::default();
        if let Some(manifest) = &due.former {
            let path = self.former_path(due.hour);
            let lists = (self.indexes.redactions, self.deleted);
            segments.push(former.put_down(manifest, lists, &path, &mut out)?);
        }
        let written = self.write(place, &due, (&servers, &connections), &segments, out)?;
        self.deleted.check()?;
        let manifest = summary::manifest(Sums {
            stream: self.indexes.stream,
            hour: due.hour,
            zone: self.zone,
            inputs: due.inputs,
            servers: &servers,
            timelines: &timelines,
            is_in_span: due.is_in_span,
            began: due.began,
            rules: (self.source().has_rules(self.indexes.stream)).then_some(&rules),
            tally: written.tally,
            rejected: written.rejected,
            out: &written.out,
            outputs: written.outputs,
            redactions: self.indexes.redactions.of_hour(due.hour),
            former: due.former.as_ref(),
            history: due.history,
        });
        if !manifest.balances() {
            let total = &manifest.counts.total;
            return Err(HourError::Books {
                lines: total.lines,
                posts: total.posts,
                duplicates: total.duplicates,
                rejected: total.rejected.values().sum(),
                deleted: total.deleted,
            });
        }
        self.commits.commit(place, &manifest, ledger)?;
        window::heed(place, &manifest);
        Ok(manifest)
    }

    /// What lines are.
    fn source(&self) -> &'static dyn Source {
        self.indexes.redactions.source
    }

    pub(super) fn former<'f>(&'f self, due: &Due, servers: &'f [Leg]) -> Former<'f> {
        Former {
            disk: self.indexes.disk,
            vault: self.vault,
            hour: due.hour,
            servers,
        }
    }

    /// Where the rows of a former revision are put down.
    fn former_path(&self, hour: Hour) -> PathBuf {
        self.scratch.join(hour.to_string()).join("former.jsonl")
    }

    /// The segments with their runs of this hour, in the order of the inputs.
    fn segments(
        &self,
        due: &Due,
        servers: &[Leg],
        lags_ms: &BTreeMap<(Leg, RunId), i64>,
    ) -> Result<Vec<Segment>, HourError> {
        let mut segments = Vec::new();
        for input in due.fresh(|inputs| &inputs.segments) {
            let path = input.name.paths(self.indexes.spool).segment;
            let Index {
                segment, mut runs, ..
            } = self.indexes.get(&input.name)?;
            if segment.sha256 != input.sha256 {
                return Err(HourError::Changed(path));
            }
            let hour = |minute: &Minute| self.zone.hour_of(minute.begin());
            let belongs = |key: &RunKey| match key {
                RunKey::Minute(of) | RunKey::Old(of) => hour(of) == due.hour,
                RunKey::Rejected => {
                    let known = due.known.get(&input.name);
                    hour(&known.map_or(input.name.minute, |known| known.minute)) == due.hour
                }
            };
            let run = (input.name.leg(), input.name.run);
            runs.retain(|run| belongs(&run.key));
            runs.shrink_to_fit();
            segments.push(Segment {
                path,
                server: servers
                    .iter()
                    .position(|leg| input.name.is_of(leg))
                    .unwrap_or(0),
                lag_ms: lags_ms.get(&run).copied().unwrap_or(0),
                is_former: false,
                runs,
            });
        }
        Ok(segments)
    }

    pub(super) fn sheet(
        &self,
        place: &HourOfVault<'_>,
        kind: Kind,
        due: &Due,
    ) -> Result<Sheet, HourError> {
        let path = place.aside(kind, due.history.revision);
        // ids are few and compress well: one thread keeps up
        let threads = match kind {
            Kind::Held
            | Kind::Ids
            | Kind::Posts
            | Kind::Deletions
            | Kind::Rejected
            | Kind::Conflicts => 1,
            Kind::Tweets | Kind::PostsTable | Kind::Users => {
                self.threads.clamp(1, COMPRESSING_THREADS_MAX)
            }
        };
        let threads = u32::try_from(threads).unwrap_or(1);
        let disk = self.indexes.disk;
        let file = XzWriter::create(disk, &path, self.effort, threads).map_err(at(&path))?;
        Ok(Sheet { path, kind, file })
    }

    /// `posts.parquet`, if it is wanted.
    fn posts(
        &self,
        place: &HourOfVault<'_>,
        due: &Due,
    ) -> Result<Option<(PathBuf, ParquetWriter)>, HourError> {
        if !self.parquet {
            return Ok(None);
        }
        let path = place.aside(Kind::Posts, due.history.revision);
        let disk = self.indexes.disk;
        let file = ParquetWriter::create(disk, &path, self.source(), due.hour);
        let file = file.map_err(at(&path))?;
        Ok(Some((path, file)))
    }

    fn write(
        &self,
        place: &HourOfVault<'_>,
        due: &Due,
        (servers, connections): (&[Leg], &[Vec<Connection>]),
        segments: &[Segment],
        mut out: Out,
    ) -> Result<Written, HourError> {
        let disk = self.indexes.disk;
        let folder = layout::day_folder(self.vault, due.hour.day());
        disk.make_folder(&folder).map_err(at(&folder))?;
        let source = self.source();
        let mut lists = self.lists(place, due)?;
        let mut posts = self.posts(place, due)?;
        let scratch = self.scratch.join(due.hour.to_string());
        let mut users = Users::new(disk, &scratch, source.join());
        let mut tally = Tally::new(&part::of_legs(servers));
        let mut last = None;
        let units = unit::units(segments, self.unit_bytes);
        let columns = self.parquet.then(|| posts::rows::schema(source));
        let names: Vec<String> = servers.iter().map(Leg::to_string).collect();
        let part_of = part::of_legs(servers);
        let made = Made {
            source,
            names: &names,
            part_of: &part_of,
            connections,
            columns: columns.as_ref(),
            deleted: self.deleted,
        };
        let dealer = Dealer::new(disk, source, segments, &units);
        let work = |number: usize| {
            let unit = units.get(number)?;
            let text = dealer.take(number);
            Some(text.map(|text| unit::merge(segments, &made, unit, &text)))
        };
        workers::in_order(units.len(), self.threads, work, |result| {
            let Some(mut merged) = result.transpose()? else {
                return Ok(());
            };
            check_order(&mut last, &mut merged)?;
            lists.write(&mut merged, &|| self.sheet(place, Kind::Held, due))?;
            if let Some((path, posts)) = &mut posts {
                let batches = merged.posts.map_err(io::Error::other).map_err(at(path))?;
                for batch in &batches {
                    posts.take(batch).map_err(at(path))?;
                }
            }
            tally.add(merged.tally);
            users.take(merged.users).map_err(at(&scratch))
        })?;
        if due.former.is_some() {
            let path = self.former_path(due.hour);
            disk.remove(&path).map_err(at(&path))?;
        }
        let mut outputs = finish_ids(lists.held, lists.ids, due.hour)?;
        outputs.extend(self.finish_tables(place, due, lists.table, users)?);
        if let Some((path, posts)) = posts {
            let name = Kind::Posts.name(due.hour);
            outputs.push(posts.finish(name).map_err(at(&path))?);
        }
        if let Some(deletions) = lists.deletions {
            outputs.push(deletions.finish(due.hour)?);
        }
        let (rejected, output) =
            self.write_rejected(place, due, (servers, segments), (&mut out, &mut tally))?;
        outputs.extend(output);
        outputs.extend(self.write_conflicts(place, due, servers, &tally)?);
        if due.former.is_some() {
            // empty, if authors that did not fit into memory have not removed it already
            let _gone = disk.remove_folder(&scratch);
        }
        Ok(Written {
            tally,
            rejected,
            outputs,
            out,
        })
    }

    /// The files that are there before it is known what is in them.
    fn lists(&self, place: &HourOfVault<'_>, due: &Due) -> Result<Lists, HourError> {
        let source = self.source();
        let mut table = self.sheet(place, Kind::table_of(source), due)?;
        table.write(source.table().header().as_bytes())?;
        let deletions = source
            .deletions()
            .map(|_| self.sheet(place, Kind::Deletions, due));
        Ok(Lists {
            names: Names::default(),
            ids: self.sheet(place, Kind::Ids, due)?,
            table,
            deletions: deletions.transpose()?,
            held: None,
        })
    }

    /// The end of one file does not keep all cores busy, so the next one is made at the same time.
    fn finish_tables(
        &self,
        place: &HourOfVault<'_>,
        due: &Due,
        table: Sheet,
        users: Users<'_>,
    ) -> Result<[Output; 2], HourError> {
        let (table, users) = std::thread::scope(|scope| {
            let table = scope.spawn(|| table.finish(due.hour));
            let users = self.write_users(place, due, users);
            (table.join().unwrap_or_else(|why| resume_unwind(why)), users)
        });
        Ok([table?, users?])
    }

    fn write_users(
        &self,
        place: &HourOfVault<'_>,
        due: &Due,
        users: Users<'_>,
    ) -> Result<Output, HourError> {
        let mut sheet = self.sheet(place, Kind::Users, due)?;
        sheet.write(self.source().authors().header().as_bytes())?;
        let path = sheet.path.clone();
        // a row alone is too little to hash and to compress
        let mut rows = Vec::with_capacity(2 * ROWS_BYTES);
        users
            .finish(|row| {
                rows.extend_from_slice(row);
                if rows.len() < ROWS_BYTES {
                    return Ok(());
                }
                sheet.file.write_all(&rows)?;
                rows.clear();
                Ok(())
            })
            .map_err(at(&path))?;
        sheet.write(&rows)?;
        sheet.finish(due.hour)
    }
}

fn finish_ids(held: Option<Sheet>, ids: Sheet, hour: Hour) -> Result<Vec<Output>, HourError> {
    let held = held.map(|held| held.finish(hour)).transpose()?;
    Ok(held.into_iter().chain([ids.finish(hour)?]).collect())
}

/// Units come in ascending order, and so do the records within.
fn check_order(last: &mut Option<Placed>, merged: &mut Merged) -> Result<(), HourError> {
    let Some((first, next)) = merged.range.take() else {
        return Ok(());
    };
    match last.replace(next) {
        Some(before) if first.order() <= before.order() => Err(HourError::Order(before.key)),
        _ => Ok(()),
    }
}

/// Removes what an interrupted merge left in the scratch folder.
pub fn clear_scratch(disk: &dyn crate::world::disk::Disk, scratch: &Path) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for entry in disk.list(scratch)? {
        if entry.folder && entry.name.parse::<Hour>().is_ok() {
            folders.insert(scratch.join(&entry.name));
        }
    }
    for folder in folders {
        for entry in disk.list(&folder)? {
            disk.remove(&folder.join(&entry.name))?;
        }
        disk.remove_folder(&folder)?;
    }
    Ok(())
}
