//! Checks one hour: its manifest, its data files, and whether they agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    collections, coverage, posts,
    problem::{Problems, some},
    rows::{self, Rows},
    rules,
    survey::{HourPlace, Root, zone},
};
use crate::{
    cover::{part, seconds},
    period::Minute,
    report::statement::{AnyStatement, BYTES_MAX, ReadStatement},
    segment::{line::PROGRAM, name::Leg, sha256::Sha256},
    source::{Source, Sources},
    vault::{
        deleted::LeftOut,
        layout::FileKind,
        manifest::{Counts, HourSaid, MANIFEST_BYTES_MAX, Manifest, MinuteRow, Minutes, Output},
        public::{DayFile, Public},
    },
    world::disk::{self, Disk},
};

/// What an hour comes to.
#[derive(Debug, Default)]
pub struct HourFound {
    /// Its posts.
    pub posts: u64,
    /// Bytes of data files that were read.
    pub bytes: u64,
    /// Its revision; 0 without a manifest.
    pub revision: u64,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Option<Sha256>,
    /// SHA-256 of the manifest before it, as it says.
    pub previous_manifest: Option<Sha256>,
    /// Data files that its manifest names but this copy lacks, because they are never published.
    pub absent: Vec<FileKind>,
    /// Whether a collector ran in it: events files of its own minutes are among its inputs.
    pub was_collected: bool,
    /// The seconds of the union that count, and whether the archive says to begin in this hour.
    pub counts: (u64, bool),
    /// What does not hold.
    pub problems: Problems,
}

/// Checks an hour.
pub fn hour(
    disk: &dyn Disk,
    sources: &Sources,
    place: &HourPlace,
    root: Option<&Root>,
) -> HourFound {
    let mut found = HourFound::default();
    if place.is_half_done {
        // the files may belong to two revisions
        return found;
    }
    let path = place.folder.join(format!("{}_manifest.json", place.hour));
    match read_manifest(disk, &path) {
        Ok(Some((manifest, bytes))) => {
            found.manifest_sha256 = Some(Sha256::of(&bytes));
            if manifest.program == PROGRAM && manifest.to_json() != bytes {
                found
                    .problems
                    .wrong(&path, "it is not as this program writes it");
            }
            found.revision = manifest.history.revision;
            found.previous_manifest = manifest.history.previous_manifest;
            check_history(&path, &manifest, &mut found.problems);
            check_books(&path, &manifest, &mut found.problems);
            let said = (&*path, &manifest.said);
            check_said((disk, sources), place, root, said, &mut found);
        }
        Ok(None) if place.is_strict => found.problems.wrong(&path, "the manifest is missing"),
        Ok(None) => {
            let mut what = "the manifest is missing: nothing of this hour could be checked";
            if let Some((statement, said)) = told(disk, place) {
                what = "the manifest is missing: the ids were compared with what certificate.json says of this hour, but \
                        nothing shows that this is what was committed";
                let said = (&*statement, &said);
                check_said((disk, sources), place, root, said, &mut found);
            }
            found.problems.incomplete(&path, what);
        }
        Err(why) => found.problems.wrong(&path, why),
    }
    found
}

/// What the statement of the day says of an hour, and where it lies.
fn told(disk: &dyn Disk, place: &HourPlace) -> Option<(PathBuf, HourSaid)> {
    let name = Public::Day(place.hour.day(), DayFile::Statement).name();
    let path = place.folder.join(name);
    // errors in the statement are reported where the day is checked
    let bytes = disk::read_bounded(disk, &path, BYTES_MAX).unwrap_or_default();
    let told = AnyStatement::read(&bytes).and_then(|spoken| ReadStatement::read(&bytes, &spoken));
    let told = told.unwrap_or(None)?;
    let mut hours = told.hours.into_iter();
    let said = hours.find(|said| said.hour == place.hour)?;
    Some((path, said))
}

/// Checks what is said of an hour, in that file, and the data files against it.
fn check_said(
    (disk, sources): (&dyn Disk, &Sources),
    place: &HourPlace,
    root: Option<&Root>,
    (path, said): (&Path, &HourSaid),
    found: &mut HourFound,
) {
    found.posts = said.counts.total.posts;
    let mut of_servers = said.coverage.servers.values();
    found.was_collected = of_servers.any(|covered| 0 < covered.seconds);
    let union = &said.coverage.union;
    found.counts = (union.seconds, union.begins.is_some());
    check_labels(path, said, place, root, &mut found.problems);
    check_counts(path, said, &mut found.problems);
    let Some(source) = sources.of(&said.stream) else {
        let what = format!("this program knows no stream {:?}", said.stream);
        return found.problems.wrong(path, what);
    };
    check_outputs(path, source, said, &mut found.problems);
    let rows = check_files((disk, source), path, said, place, found);
    let problems = &mut found.problems;
    check_rows(path, source, said, &rows, place.is_strict, problems);
}

fn read_manifest(disk: &dyn Disk, path: &Path) -> Result<Option<(Manifest, Vec<u8>)>, String> {
    match disk.len(path) {
        Ok(None) => return Ok(None),
        Ok(Some(_)) => (),
        Err(why) => return Err(why.to_string()),
    }
    let bytes =
        disk::read_bounded(disk, path, MANIFEST_BYTES_MAX).map_err(|why| why.to_string())?;
    let manifest = Manifest::from_json(&bytes).map_err(|why| why.to_string())?;
    Ok(Some((manifest, bytes)))
}

/// Whose hour it is, and what UTC time it has.
fn check_labels(
    path: &Path,
    said: &HourSaid,
    place: &HourPlace,
    root: Option<&Root>,
    problems: &mut Problems,
) {
    problems.same(path, "the hour", said.hour, place.hour);
    if let Some(zone) = zone(&said.timezone, path, problems)
        && zone.intervals(said.hour) != said.intervals
    {
        problems.wrong(
            path,
            format!("its intervals are not those of the hour in {}", zone.name()),
        );
    }
    if let Some(identity) = root.and_then(|root| root.identity.as_ref()) {
        problems.same(path, "the time zone", &said.timezone, &identity.timezone);
        problems.same(path, "the stream", &said.stream, &identity.stream);
    }
}

/// Whether it is a revision, made of what came in with it.
fn check_history(path: &Path, manifest: &Manifest, problems: &mut Problems) {
    if manifest.history.revision == 0 {
        problems.wrong(path, "its revision is 0");
    }
    let inputs: BTreeSet<_> = manifest
        .inputs
        .segments
        .iter()
        .map(|input| &input.name)
        .collect();
    let came_in = &manifest.history.segments;
    if !came_in.iter().all(|name| inputs.contains(name)) {
        problems.wrong(path, "segments that came in are not among its inputs");
    }
}

/// Whether the manifest's numbers agree with each other.
fn check_books(path: &Path, manifest: &Manifest, problems: &mut Problems) {
    if !manifest.balances() {
        problems.wrong(
            path,
            "the books do not balance: the lines are not the sum of posts, duplicates, rejected and deleted lines",
        );
    }
    let Counts { servers, total } = &manifest.counts;
    let copies: u64 = servers
        .values()
        .map(|server| server.posts + server.unlisted + server.duplicates)
        .sum();
    let further = copies.saturating_sub(total.records());
    problems.same(path, "duplicates", total.duplicates, further);
    for (id, server) in servers {
        let (what, lines) = (format!("lines of server {id}"), server.lines);
        let taken = manifest.inputs.taken(id);
        problems.same(path, &what, lines + manifest.redacted(id), taken);
    }
    let partitions: BTreeSet<_> = servers.keys().map(|leg| leg.partition).collect();
    if partitions.len() == servers.len() {
        // each is the only one that could see its posts
        problems.same(path, "posts that all saw", total.posts, total.seen_by_all);
    } else if partitions.len() == 1
        && let [first, second] = servers.values().collect::<Vec<_>>()[..]
    {
        let seen = first.only_here + second.only_here + total.seen_by_all;
        problems.same(path, "posts", total.posts, seen);
    }
}

/// Whether what it says of deletions and minutes agrees with its counts.
fn check_counts(path: &Path, said: &HourSaid, problems: &mut Problems) {
    check_deletions(path, said, problems);
    check_minutes(path, said, problems);
}

/// Whether what it says of deletions agrees with its books.
fn check_deletions(path: &Path, said: &HourSaid, problems: &mut Problems) {
    let Counts { servers, total } = &said.counts;
    let lines: u64 = servers.values().map(|server| server.deleted).sum();
    problems.same(path, "lines of what was deleted", total.deleted, lines);
    let mut words = said.deletions.keys();
    if let Some(word) = words.find(|word| !LeftOut::WORDS.contains(&word.as_str())) {
        problems.wrong(
            path,
            format!("{word:?} is not a reason to take records out"),
        );
    }
    let held = said.held_back();
    let records: u64 = said.deletions.values().sum();
    // each record that was taken out had at least one line; there may be further, rejected lines
    if total.deleted < records.saturating_sub(held) || total.unlisted < held {
        let what = "it counts more records that were deleted or held back than lines";
        problems.wrong(path, what);
    }
}

/// How many rows a file must have, at least and at most, if the counts tell.
fn rows_of(
    source: &dyn Source,
    kind: FileKind,
    said: &HourSaid,
) -> Option<std::ops::RangeInclusive<u64>> {
    let total = &said.counts.total;
    let held = said.held_back();
    match kind {
        FileKind::Held => Some(held..=held),
        FileKind::Ids => Some(total.posts..=total.posts),
        FileKind::Tweets | FileKind::PostsTable if source.has_rows_of_all() => {
            Some(total.posts..=total.posts)
        }
        FileKind::Tweets | FileKind::PostsTable => Some(0..=total.posts + held),
        FileKind::Posts => Some(total.records()..=total.records()),
        FileKind::Deletions => Some(0..=total.unlisted),
        FileKind::Users | FileKind::Rejected | FileKind::Conflicts => None,
    }
}

/// Whether the rows that it gives its data files are those that it counts; the files may not be here.
fn check_outputs(path: &Path, source: &dyn Source, said: &HourSaid, problems: &mut Problems) {
    let total = &said.counts.total;
    let rejected: u64 = total.rejected.values().sum();
    for output in &said.outputs {
        let Some((_, kind)) = FileKind::of_name(&output.name) else {
            continue;
        };
        let what = format!("rows of {}", output.name);
        if let Some(fit) = rows_of(source, kind, said) {
            let nearest = output.rows.clamp(*fit.start(), *fit.end());
            problems.same(path, &what, output.rows, nearest);
            continue;
        }
        match kind {
            FileKind::Rejected => problems.same(path, &what, output.rows, rejected),
            // an author has at least one post, and of a field so many examples are kept
            FileKind::Users if total.records() < output.rows => problems.wrong(
                path,
                format!("{what}: it says {}, more than posts", output.rows),
            ),
            FileKind::Conflicts if output.rows == 0 || said.conflicts.posts == 0 => {
                let posts = said.conflicts.posts;
                let says = format!("{what}: it says {}, of {posts} posts", output.rows);
                problems.wrong(path, says);
            }
            _ => (),
        }
    }
}

/// Whether the table of minutes agrees with the counts.
fn check_minutes(path: &Path, said: &HourSaid, problems: &mut Problems) {
    let Minutes { servers, rows, .. } = &said.minutes;
    let is_whole = part::parts(servers).len() == 1;
    let all = seconds::minutes(&said.intervals);
    if !rows.iter().map(|row| row.minute).eq(all) {
        problems.wrong(
            path,
            "the table of minutes does not have the minutes of the hour",
        );
    }
    let common: u64 = rows.iter().map(|row| row.common).sum();
    problems.same(
        path,
        "posts seen by all",
        said.counts.total.seen_by_all,
        common,
    );
    if !servers.iter().eq(said.counts.servers.keys()) {
        problems.wrong(
            path,
            "the table of minutes does not have the servers of the counts",
        );
    }
    for (number, (id, server)) in said.counts.servers.iter().enumerate() {
        let of_server = rows.iter().filter_map(|row| row.of_servers.get(number));
        let posts: u64 = of_server.sum();
        problems.same(path, &format!("posts of server {id}"), server.posts, posts);
    }
    for MinuteRow {
        minute,
        posts,
        of_servers,
        common,
        ..
    } in rows
    {
        let fits = of_servers.len() == servers.len()
            && common <= posts
            && of_servers
                .iter()
                .all(|of_server| (!is_whole || common <= of_server) && of_server <= posts)
            && *posts <= of_servers.iter().sum();
        if !fits {
            problems.wrong(path, format!("its numbers for {minute} are impossible"));
        }
    }
}

/// What is said of a copy without the ids of an hour.
const NO_IDS: &str = "it is missing: whether the manifest describes these posts, and what follows from their ids (counts, \
     seconds covered), was not checked";

/// Reads all data files, and compares them with what the manifest says of them.
fn check_files(
    (disk, source): (&dyn Disk, &dyn Source),
    path: &Path,
    said: &HourSaid,
    place: &HourPlace,
    found: &mut HourFound,
) -> Rows {
    let mut rows = Rows::default();
    let has_rejected = !said.counts.total.rejected.is_empty();
    for kind in FileKind::ALL {
        let name = kind.name(place.hour);
        let data = place.folder.join(&name);
        let says = said.outputs.iter().find(|output| output.name == name);
        let is_there = matches!(disk.len(&data), Ok(Some(_)));
        let problems = &mut found.problems;
        match (says, is_there) {
            (None, false) => {
                let is_wanted = match kind {
                    FileKind::Rejected => has_rejected,
                    FileKind::Held => 0 < said.held_back(),
                    // examples of a post that was taken out on request are gone too
                    kind => kind.is_always_there(source),
                };
                if is_wanted {
                    problems.wrong(path, format!("it does not name {name}"));
                }
            }
            (None, true) => problems.wrong(&data, "its manifest does not name it"),
            (Some(_), false) if place.is_strict => problems.wrong(&data, "it is missing"),
            (Some(_), false) if kind == FileKind::Ids => problems.incomplete(&data, NO_IDS),
            (Some(_), false) => found.absent.push(kind),
            (Some(says), true) => {
                found.bytes += says.bytes;
                check_file(
                    (disk, source),
                    (&data, kind),
                    says,
                    said,
                    &mut rows,
                    problems,
                );
            }
        }
    }
    let known = |output: &Output| {
        FileKind::of_name(&output.name).is_some_and(|(hour, _)| hour == place.hour)
    };
    for output in said.outputs.iter().filter(|output| !known(output)) {
        found.problems.wrong(
            path,
            format!(
                "it names {:?}, which is not a file of this hour",
                output.name
            ),
        );
    }
    rows
}

fn check_file(
    (disk, source): (&dyn Disk, &dyn Source),
    (path, kind): (&Path, FileKind),
    says: &Output,
    said: &HourSaid,
    rows: &mut Rows,
    problems: &mut Problems,
) {
    let read = if kind == FileKind::Posts {
        posts::read(disk, path, source, &said.intervals, rows, problems)
    } else {
        let intervals = &said.intervals;
        rows::read((disk, source), path, kind, intervals, rows, problems)
    };
    let output = match read {
        Ok(output) => output,
        Err(why) => {
            return match why.kind() {
                io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::Other => problems.wrong(path, format!("it is damaged: {why}")),
                // an unreadable file does not prove that the hour is wrong
                _ => problems.incomplete(path, format!("it cannot be read: {why}")),
            };
        }
    };
    problems.same(path, "bytes", says.bytes, output.bytes);
    problems.same(path, "sha256", says.sha256, output.sha256);
    problems.same(
        path,
        "bytes of its content",
        says.content_bytes,
        output.content_bytes,
    );
    problems.same(
        path,
        "sha256 of its content",
        says.content_sha256,
        output.content_sha256,
    );
    problems.same(path, "rows", says.rows, output.rows);
    if kind == FileKind::Ids {
        rows.ids_content = Some(output.content_sha256);
    }
    if let Some(fit) = rows_of(source, kind, said) {
        let nearest = output.rows.clamp(*fit.start(), *fit.end());
        problems.same(path, "posts", nearest, output.rows);
    }
    if kind == FileKind::Conflicts && said.conflicts.posts == 0 {
        problems.wrong(path, "its manifest counts no posts whose copies differ");
    }
}

/// Whether what the rows come to is what the manifest says.
fn check_rows(
    path: &Path,
    source: &dyn Source,
    said: &HourSaid,
    rows: &Rows,
    is_strict: bool,
    problems: &mut Problems,
) {
    for (one, other) in differing(rows) {
        let what = format!("the ids in {one} and in {other} are not the same");
        problems.wrong(path, what);
    }
    let is_known = rows.has_ids() && (rows.old_ids == 0 || rows.has_table);
    coverage::check(path, (source, said), is_known.then_some(rows), problems);
    rules::check(path, (source, said), problems);
    collections::check(path, (source, said), problems);
    if !is_known {
        // without the file there is nothing to compare with, and that is already reported
        return;
    }
    let counted = |minute: &Minute| rows.minutes.get(minute).copied().unwrap_or(0);
    let wrong = said.minutes.rows.iter();
    let wrong: Vec<String> = wrong
        .filter(|row| row.posts != counted(&row.minute))
        .map(|row| {
            let minute = row.minute.begin().to_string();
            let minute = minute.get(..16).unwrap_or_default();
            format!(
                "{minute}Z: it says {}, found {}",
                row.posts,
                counted(&row.minute)
            )
        })
        .collect();
    if !wrong.is_empty() {
        let what = format!(
            "posts of minutes are not what the ids say: {}",
            some(&wrong)
        );
        problems.wrong(path, what);
    }
    let says: BTreeMap<u64, u64> = said.residues.iter().copied().collect();
    let all: BTreeSet<u64> = says.keys().chain(rows.residues.keys()).copied().collect();
    let number = |of: &BTreeMap<u64, u64>, residue| of.get(&residue).copied().unwrap_or(0);
    let numbers = all.into_iter().map(|residue| {
        let (says, found) = (number(&says, residue), number(&rows.residues, residue));
        (residue, says, found)
    });
    let others: Vec<String> = numbers
        .filter(|(_, says, found)| says != found)
        .map(|(residue, says, found)| format!("{residue}: it says {says}, found {found}"))
        .collect();
    if !others.is_empty() || says.len() != said.residues.len() {
        let what = format!(
            "ids by (id >> 22) % 1000 are not what the ids say: {}",
            some(&others)
        );
        problems.wrong(path, what);
    }
    if is_other_content(said, rows) {
        let which = if wrong.is_empty() && others.is_empty() {
            "the ids are not those that were committed, or in another order, but every minute has the right number: \
             the ids alone do not tell which ones differ"
        } else {
            "besides the minutes that are named, ids of any minute may differ from those that were committed: the \
             ids alone do not tell which ones"
        };
        let what = format!(
            "{which}; `{}.csv` and `posts.parquet` of the archive have them",
            source.table().name
        );
        problems.wrong(path, what);
    }
    if is_strict {
        check_rejected(path, said, rows, problems);
    }
}

/// The pairs of files that do not agree on the entries of a list.
fn differing(rows: &Rows) -> BTreeSet<(&'static str, &'static str)> {
    let mut differing = BTreeSet::new();
    for told in rows.ids.values() {
        let mut files = told.iter();
        let Some((first, hash)) = files.next() else {
            continue;
        };
        let others = files.filter(|(_, other)| *other != hash);
        differing.extend(others.map(|(other, _)| (first.words(), other.words())));
    }
    differing
}

/// Whether the ids are not those of which the manifest has the hash.
fn is_other_content(said: &HourSaid, rows: &Rows) -> bool {
    let is_ids = |output: &&Output| {
        FileKind::of_name(&output.name).is_some_and(|(_, kind)| kind == FileKind::Ids)
    };
    let says = said.outputs.iter().find(is_ids);
    let known = says.zip(rows.ids_content);
    known.is_some_and(|(says, found)| says.content_sha256 != found)
}

fn check_rejected(path: &Path, said: &HourSaid, rows: &Rows, problems: &mut Problems) {
    let servers = said.counts.servers.iter();
    let says: BTreeMap<Leg, _> = servers
        .filter(|(_, counts)| !counts.rejected.is_empty())
        .map(|(leg, counts)| (leg.clone(), counts.rejected.clone()))
        .collect();
    if says != rows.rejected {
        problems.wrong(
            path,
            "its counts of rejected lines are not those of the file",
        );
    }
}
