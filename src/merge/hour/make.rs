//! One hour: from its runs to a committed revision.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::mpsc,
};

use super::{
    context::{DataFile, HourContext},
    dedupe::Tally,
    distribute::Distributor,
    due::DueHour,
    made::Made,
    named::Names,
    remembered::Remembered,
    summary::{self, RejectedLines, Sums},
    taken_out::Out,
    timelines::{self, HourTimelines},
    uncommitted::HourError,
    unit::{self, Merged},
    units::{self, Segment, Unit},
    users::Users,
    window,
};
use crate::{
    cover::{backfill::Connection, part},
    merge::{index::Index, runs::RunKey},
    period::{Hour, Minute},
    segment::name::{Leg, RunId},
    source::Placed,
    vault::{
        commit::{HourOfVault, ReadBack},
        layout::{self, FileKind},
        ledger::Ledger,
        manifest::{Conflicts, Manifest, Output},
        posts::{
            self,
            write::{KEY_EVENTS, ParquetWriter},
        },
        xz,
    },
    world::{disk::Disk, error_at::At as _, workers},
};

/// The lists and the table of an hour's records that are being written.
struct Lists {
    ids: DataFile,
    table: DataFile,
    /// What accounts are called, as far as the table has come.
    names: Names,
    /// If the stream reports deletions.
    deletions: Option<DataFile>,
    /// If anything is held back.
    held: Option<DataFile>,
}

impl Lists {
    fn write(
        &mut self,
        merged: &mut Merged,
        held: &dyn Fn() -> Result<DataFile, HourError>,
    ) -> Result<(), HourError> {
        self.ids.write(&merged.ids)?;
        let named = std::mem::take(&mut merged.named);
        self.names.fill(&mut merged.table, named);
        self.table.write(&merged.table)?;
        if !merged.held.is_empty() {
            let data_file = match &mut self.held {
                Some(data_file) => data_file,
                none => none.insert(held()?),
            };
            data_file.write(&merged.held)?;
        }
        let deletions = self.deletions.as_mut();
        deletions.map_or(Ok(()), |data_file| data_file.write(&merged.deletions))
    }
}

/// What was written of an hour, and what it says.
struct Written {
    counted_before: Conflicts,
    tally: Tally,
    rejected: RejectedLines,
    outputs: Vec<Output>,
    read_back: Vec<ReadBack>,
    out: Out,
}

/// Rows of so many bytes are written together.
const ROWS_BYTES: usize = 64 * 1024;

/// So many times that may wait to be written.
const ROWS_AHEAD: usize = 4;

impl HourContext<'_> {
    /// Merges an hour and commits it. What was written of an hour that fails is removed.
    pub fn merge(&self, due: DueHour, ledger: &mut Ledger) -> Result<Manifest, HourError> {
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
            tracing::warn!("the unfinished files of hour {hour} could not be removed: {why}");
        }
        // the next hour needs the space
        let scratch = self.scratch.join(hour.to_string());
        if let Err(why) = clear(self.indexes.disk, &scratch) {
            tracing::warn!("{}: {why}", scratch.display());
        }
        result
    }

    fn merge_at(
        &self,
        place: &HourOfVault<'_>,
        due: DueHour,
        ledger: &mut Ledger,
    ) -> Result<Manifest, HourError> {
        let servers = summary::servers(&due.inputs, &due.servers);
        let former = self.former(&due, &servers);
        let mut all = match &due.former {
            Some(_) => former.remembered()?,
            None => Remembered::default(),
        };
        all.add(timelines::read_all(&self.indexes, &due)?);
        all.keep_inputs(&due.inputs);
        let HourTimelines {
            timelines,
            lags_ms,
            rules,
            collections,
        } = self.timelines(&all, &due, &servers)?;
        let connections: Vec<Vec<Connection>> = timelines
            .iter()
            .map(|timeline| timeline.connections.clone())
            .collect();
        let mut out = Out::default();
        let mut segments = self.segments(&due, &servers, &lags_ms, &mut out)?;
        if let Some(manifest) = &due.former {
            let path = self.former_path(due.hour);
            let lists = (self.indexes.redactions, self.deleted);
            segments.push(former.put_down(manifest, lists, &path, &mut out)?);
        }
        let written = self.write(place, &due, (&servers, &connections, &all), &segments, out)?;
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
            collections: (self.source().has_collections()).then_some(&collections),
            tells_when_seen: self.source().tells_when_seen(),
            tally: written.tally,
            rejected: written.rejected,
            out: &written.out,
            counted_before: written.counted_before,
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
        self.commits
            .commit(place, &manifest, &written.read_back, ledger)?;
        window::heed(place, &manifest);
        Ok(manifest)
    }

    fn timelines(
        &self,
        all: &Remembered,
        due: &DueHour,
        servers: &[Leg],
    ) -> Result<HourTimelines, HourError> {
        let intervals = self.zone.intervals(due.hour);
        let aside = timelines::set_aside(&self.indexes, due, &intervals)?;
        Ok(timelines::told(self.source(), (all, &aside), due, servers))
    }

    /// Where the rows of a former revision are put down.
    fn former_path(&self, hour: Hour) -> PathBuf {
        self.scratch.join(hour.to_string()).join("former.jsonl")
    }

    /// The segments with their runs of this hour, in the order of the inputs.
    fn segments(
        &self,
        due: &DueHour,
        servers: &[Leg],
        lags_ms: &BTreeMap<(Leg, RunId), i64>,
        out: &mut Out,
    ) -> Result<Vec<Segment>, HourError> {
        let mut segments = Vec::new();
        for input in due.fresh(|inputs| &inputs.segments) {
            let path = input.name.paths(self.indexes.spool).segment;
            let Index {
                segment,
                mut runs,
                lost,
                ..
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
            let server = servers.iter().position(|leg| input.name.is_of(leg));
            let server = server.unwrap_or(0);
            for (minute, seconds) in lost.iter().filter(|(minute, _)| hour(minute) == due.hour) {
                for second in seconds {
                    let second = minute.begin().second() + i64::from(*second);
                    out.lost.post([server], second);
                }
            }
            segments.push(Segment {
                path,
                server,
                lag_ms: lags_ms.get(&run).copied().unwrap_or(0),
                is_former: false,
                runs,
            });
        }
        Ok(segments)
    }

    /// `posts.parquet`, if it is wanted.
    fn posts(
        &self,
        place: &HourOfVault<'_>,
        due: &DueHour,
    ) -> Result<Option<(PathBuf, ParquetWriter)>, HourError> {
        if !self.parquet {
            return Ok(None);
        }
        let path = place.aside(FileKind::Posts, due.history.revision);
        let disk = self.indexes.disk;
        let file = ParquetWriter::create(disk, &path, self.source(), due.hour);
        let file = file.at(&path)?;
        Ok(Some((path, file)))
    }

    fn write(
        &self,
        place: &HourOfVault<'_>,
        due: &DueHour,
        (servers, connections, all): (&[Leg], &[Vec<Connection>], &Remembered),
        segments: &[Segment],
        mut out: Out,
    ) -> Result<Written, HourError> {
        let disk = self.indexes.disk;
        let folder = layout::day_folder(self.vault, due.hour.day());
        disk.make_folder(&folder).at(&folder)?;
        let source = self.source();
        let mut lists = self.lists(place, due)?;
        let mut posts = self.posts(place, due)?;
        let scratch = self.scratch.join(due.hour.to_string());
        let mut users = Users::new(disk, &scratch, source.join());
        let mut tally = Tally::new(&part::of_legs(servers));
        let mut last = None;
        let units = units::units(segments, self.unit_bytes);
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
        let distributor = Distributor::new(disk, &scratch, source, segments, &units);
        let work = |(number, unit): &(usize, &Unit)| {
            let text = distributor.take(*number);
            text.map(|text| unit::merge(segments, &made, unit, &text))
        };
        let numbered: Vec<(usize, &Unit)> = units.iter().enumerate().collect();
        workers::in_order(&numbered, self.threads, work, |merged| {
            let mut merged = merged?;
            check_order(&mut last, &mut merged)?;
            lists.write(&mut merged, &|| self.data_file(place, FileKind::Held, due))?;
            if let Some((path, posts)) = &mut posts {
                let batches = merged.posts.map_err(io::Error::other).at(path)?;
                for batch in &batches {
                    posts.take(batch).at(path)?;
                }
            }
            tally.add(merged.tally);
            Ok::<_, HourError>(users.take(merged.users).at(&scratch)?)
        })?;
        if due.former.is_some() {
            let path = self.former_path(due.hour);
            disk.remove(&path).at(&path)?;
        }
        let files = lists.held.into_iter().chain([lists.ids, lists.table]);
        let (mut outputs, read_back) = self.finish_files(place, due, files, users)?;
        if let Some((path, mut posts)) = posts {
            posts.tell(KEY_EVENTS, all.to_text().at(&path)?);
            outputs.push(posts.finish(FileKind::Posts.name(due.hour)).at(&path)?);
        }
        if let Some(deletions) = lists.deletions {
            outputs.push(deletions.finish(due.hour)?.output);
        }
        let (rejected, output) =
            self.write_rejected(place, due, (servers, segments), (&mut out, &mut tally))?;
        outputs.extend(output);
        let (output, counted_before) =
            self.write_conflicts(place, due, servers, &tally.examples)?;
        outputs.extend(output);
        Ok(Written {
            counted_before,
            tally,
            rejected,
            outputs,
            read_back,
            out,
        })
    }

    /// The files that are there before it is known what is in them.
    fn lists(&self, place: &HourOfVault<'_>, due: &DueHour) -> Result<Lists, HourError> {
        let source = self.source();
        let mut table = self.data_file(place, FileKind::table_of(source), due)?;
        table.write(source.table().header().as_bytes())?;
        let deletions = source
            .deletions()
            .map(|_| self.data_file(place, FileKind::Deletions, due));
        Ok(Lists {
            names: Names::default(),
            ids: self.data_file(place, FileKind::Ids, due)?,
            table,
            deletions: deletions.transpose()?,
            held: None,
        })
    }

    /// The end of one file does not keep all cores busy, so all are ended at the same time, and that of the authors is
    /// made meanwhile. Each is read back as soon as it is durable.
    fn finish_files(
        &self,
        place: &HourOfVault<'_>,
        due: &DueHour,
        files: impl Iterator<Item = DataFile>,
        users: Users<'_>,
    ) -> Result<(Vec<Output>, Vec<ReadBack>), HourError> {
        let read_back = |written: Result<xz::Written, HourError>| {
            Ok::<_, HourError>(place.read_back(&written?, due.history.revision)?)
        };
        std::thread::scope(|scope| {
            let finish = |file: DataFile| scope.spawn(move || read_back(file.finish(due.hour)));
            let files: Vec<_> = files.map(finish).collect();
            let users = read_back(self.write_users(place, due, users));
            let files = files
                .into_iter()
                .map(|file| file.join().unwrap_or_else(|why| resume_unwind(why)));
            // all threads end before the first error is given
            let all: Vec<_> = files.chain([users]).collect();
            let all = all.into_iter().collect::<Result<Vec<_>, HourError>>()?;
            let outputs = all.iter().map(|one| one.output().clone());
            Ok((outputs.collect(), all))
        })
    }

    fn write_users(
        &self,
        place: &HourOfVault<'_>,
        due: &DueHour,
        users: Users<'_>,
    ) -> Result<xz::Written, HourError> {
        let mut data_file = self.data_file(place, FileKind::Users, due)?;
        data_file.write(self.source().authors().header().as_bytes())?;
        let path = data_file.path.clone();
        let (sender, written) = mpsc::sync_channel(ROWS_AHEAD);
        // one thread puts them in order, this one hashes and writes them
        std::thread::scope(|scope| {
            let ordering = scope.spawn(move || in_pieces(users, &sender));
            for rows in written {
                data_file.write(&rows)?;
            }
            let ended = ordering.join().unwrap_or_else(|why| resume_unwind(why));
            ended.at(&path).map_err(HourError::from)
        })?;
        data_file.finish(due.hour)
    }
}

/// Gives all rows in their order, many at a time: a row alone is too little to hash and to compress.
fn in_pieces(users: Users<'_>, to: &mpsc::SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut rows = Vec::with_capacity(2 * ROWS_BYTES);
    // nobody takes any more: whoever writes them tells why
    let give = |rows: Vec<u8>| {
        to.send(rows)
            .map_err(|_unsent| io::ErrorKind::BrokenPipe.into())
    };
    users.finish(|row| {
        rows.extend_from_slice(row);
        if rows.len() < ROWS_BYTES {
            return Ok(());
        }
        give(std::mem::replace(
            &mut rows,
            Vec::with_capacity(2 * ROWS_BYTES),
        ))
    })?;
    give(rows)
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
pub fn clear_scratch(disk: &dyn Disk, scratch: &Path) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for entry in disk.list(scratch)? {
        if entry.folder && entry.name.parse::<Hour>().is_ok() {
            folders.insert(scratch.join(&entry.name));
        }
    }
    folders.iter().try_for_each(|folder| clear(disk, folder))
}

/// Removes what a merge left in the scratch folder of its hour, and the folder if it is there.
fn clear(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    for entry in disk.list(folder)? {
        disk.remove(&folder.join(&entry.name))?;
    }
    match disk.remove_folder(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
