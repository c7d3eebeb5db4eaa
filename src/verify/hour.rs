//! Checks one hour: its manifest, its data files, and whether they agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    backfills, collections, coverage, posts,
    problem::{Problems, some},
    rows::{self, Rows},
    rules,
    survey::{HourPlace, Root, zone},
};
use crate::{
    cover::{part, seconds},
    period::Minute,
    report::statement::{AnyStatement, BYTES_MAX, ReadStatement},
    segment::{
        line::PROGRAM,
        name::{Leg, SegmentName},
        sha256::Sha256,
    },
    source::{Source, Sources},
    vault::{
        deleted::LeftOut,
        layout::FileKind,
        manifest::{
            Counts, HourSaid, Inputs, MANIFEST_BYTES_MAX, Manifest, MinuteRow, Minutes, Output,
        },
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
            check_inputs(&path, &manifest, &mut found.problems);
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
    let history = &manifest.history;
    match (history.revision, history.previous_manifest) {
        (0, _) => problems.wrong(path, "its revision is 0"),
        (1, Some(_)) => problems.wrong(path, "it is the first revision, and names one before it"),
        (1, None) | (_, Some(_)) => (),
        (_, None) => problems.wrong(path, "it does not name the manifest before it"),
    }
    let segments = manifest.inputs.segments.iter().map(|input| &input.name);
    if !are_among(&history.segments, segments) {
        problems.wrong(path, "segments that came in are not among its inputs");
    }
    let events = manifest.inputs.events.iter().map(|input| &input.name);
    if !are_among(&history.events, events) {
        problems.wrong(path, "events files that came in are not among its inputs");
    }
}

/// Whether its inputs are named in order, each once, and each has the lines that were taken of it.
fn check_inputs(path: &Path, manifest: &Manifest, problems: &mut Problems) {
    let Inputs { segments, events } = &manifest.inputs;
    if !segments.is_sorted_by(|a, b| a.name < b.name)
        || !events.is_sorted_by(|a, b| a.name < b.name)
    {
        problems.wrong(path, "its inputs are not in order, or one is named twice");
    }
    if let Some(input) = segments.iter().find(|input| input.lines < input.taken) {
        let (name, lines, taken) = (&input.name, input.lines, input.taken);
        let what = format!("it takes {taken} lines of {name}, which has {lines}");
        problems.wrong(path, what);
    }
    let carried = manifest.carried.as_ref();
    if carried.is_some_and(|carried| manifest.history.revision <= carried.revision) {
        problems.wrong(path, "what it has carried over is of no revision before it");
    }
}

fn are_among<'i>(names: &[SegmentName], inputs: impl Iterator<Item = &'i SegmentName>) -> bool {
    let inputs: BTreeSet<&SegmentName> = inputs.collect();
    names.iter().all(|name| inputs.contains(name))
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

/// Whether what it says of deletions, minutes and backfills agrees with its counts and its seconds.
fn check_counts(path: &Path, said: &HourSaid, problems: &mut Problems) {
    check_deletions(path, said, problems);
    check_minutes(path, said, problems);
    backfills::check(path, said, problems);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;
    use crate::{vault::identity::Identity, world::disk::RealDisk};

    const HOUR: &str = "2026-11-23_13";
    const GOLDEN: &str = "tests/golden/v1/vault";
    const DAY: &str = "2026-11-23";

    /// What is found wrong with an hour of the example vault whose manifest was changed so, and with whose files in that folder
    /// something was done; each without the file's path.
    fn wrongs(change: impl Fn(&mut Value), more: impl Fn(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in fs::read_dir(Path::new(GOLDEN).join(DAY)).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_string_lossy().starts_with(HOUR) {
                fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
            }
        }
        let path = dir.path().join(format!("{HOUR}_manifest.json"));
        let mut says: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut says);
        let says = Manifest::from_json(says.to_string().as_bytes()).unwrap();
        disk::put(&RealDisk, &path, &says.to_json()).unwrap();
        more(dir.path());
        let place = HourPlace {
            folder: dir.path().to_owned(),
            hour: HOUR.parse().unwrap(),
            is_strict: true,
            is_half_done: false,
        };
        let root = Root {
            identity: Identity::read(&RealDisk, Path::new(GOLDEN)).unwrap(),
            ..Root::default()
        };
        let found = hour(&RealDisk, &Sources::known(), &place, Some(&root));
        found.problems.0.into_iter().map(|one| one.what).collect()
    }

    #[track_caller]
    fn is_told(words: &str, found: &[String]) {
        let is_told = found.iter().any(|what| what.contains(words));
        assert!(is_told, "{words}: {found:?}");
    }

    /// A segment that is no input of the hour, a hash that nothing has.
    const STRANGER: &str = "\"3_sample_20261123T1357Z_3fa9c01b_000\"";
    const HASH: &str = "\"0000000000000000000000000000000000000000000000000000000000000000\"";

    const CARRIED: &str = r#"{"revision":1,"segments":1,"posts":18,"members":[]}"#;

    /// Members of the example's manifest, as what they are changed to, and what is said then. It has two servers with 15 and
    /// 17 lines, all of which are posts; 18 different ones, 14 in common.
    #[rustfmt::skip]
    const CHANGES: &[(&str, &str, &str)] = &[
        ("/history/revision", "0", "its revision is 0"),
        ("/history/revision", "2", "it does not name the manifest before it"),
        ("/history/previous_manifest", HASH, "it is the first revision, and names one before it"),
        ("/history/segments/1", STRANGER, "segments that came in are not among its inputs"),
        ("/history/events/1", STRANGER, "events files that came in are not among its inputs"),
        ("/inputs/segments/0/lines", "4", "it takes 5 lines of 1_sample_20261123T1357Z_3fa9c01b_000, which has 4"),
        ("/inputs/segments/1/name", "\"1_sample_20261123T1357Z_3fa9c01b_000\"", "its inputs are not in order, or one is named twice"),
        ("/inputs/events/1/name", "\"1_sample_20261123T1350Z_3fa9c01b_000\"", "its inputs are not in order, or one is named twice"),
        ("/carried", CARRIED, "what it has carried over is of no revision before it"),
        ("/counts/servers/1/lines", "16", "the books do not balance"),
        ("/counts/total/duplicates", "15", "duplicates: it says 15, found 14"),
        ("/counts/servers/2/duplicates", "1", "duplicates: it says 14, found 15"),
        ("/inputs/segments/0/taken", "4", "lines of server 1: it says 15, found 14"),
        ("/inputs/segments/5/taken", "9", "lines of server 2: it says 17, found "),
        ("/counts/total/seen_by_all", "13", "posts: it says 18, found 17"),
        ("/counts/servers/2/only_here", "4", "posts: it says 18, found 19"),
        ("/counts/total/seen_by_all", "13", "posts seen by all: it says 13, found 14"),
        ("/minutes/rows/58/3", "0", "posts seen by all: it says 14, found "),
        ("/timezone", "\"CET\"", "the time zone: it says CET, found UTC"),
        ("/timezone", "\"CET\"", "its intervals are not those of the hour in CET"),
        ("/intervals/0/end", "\"2026-11-23T15:00:00.000Z\"", "its intervals are not those of the hour in UTC"),
        ("/stream", "\"sample10\"", "the stream: it says sample10, found sample"),
        ("/stream", "\"nothing\"", "this program knows no stream \"nothing\""),
        ("/hour", "\"2026-11-23_14\"", "the hour: it says 2026-11-23_14, found 2026-11-23_13"),
        ("/counts/total/deleted", "1", "lines of what was deleted: it says 1, found 0"),
        ("/counts/servers/2/deleted", "1", "lines of what was deleted: it says 0, found 1"),
        ("/deletions", "{\"lost\":0}", "\"lost\" is not a reason to take records out"),
        ("/deletions", "{\"deleted\":1}", "it counts more records that were deleted or held back than lines"),
        ("/deletions", "{\"held_back\":1}", "it counts more records that were deleted or held back than lines"),
        ("/deletions", "{\"held_back\":1}", "it does not name 2026-11-23_13_held.txt.xz"),
        ("/outputs/0/rows", "17", "rows of 2026-11-23_13_IDs.txt.xz: it says 17, found 18"),
        ("/outputs/1/rows", "19", "rows of 2026-11-23_13_tweets.csv.xz: it says 19, found 18"),
        ("/outputs/2/rows", "19", "rows of 2026-11-23_13_users.csv.xz: it says 19, more than posts"),
        ("/outputs/3/rows", "17", "rows of 2026-11-23_13_posts.parquet: it says 17, found 18"),
        ("/outputs/4/rows", "0", "rows of 2026-11-23_13_conflicts.jsonl.xz: it says 0, of 2 posts"),
        ("/conflicts/posts", "0", "rows of 2026-11-23_13_conflicts.jsonl.xz: it says "),
        ("/conflicts/posts", "0", "its manifest counts no posts whose copies differ"),
        ("/outputs/4/name", "\"2026-11-23_13_rejected.jsonl.xz\"", "rows of 2026-11-23_13_rejected.jsonl.xz: it says "),
        ("/outputs/4/name", "\"2026-11-23_13_rejected.jsonl.xz\"", "it is missing"),
        ("/outputs/4/name", "\"2026-11-23_13_rejected.jsonl.xz\"", "its manifest does not name it"),
        ("/outputs/4/name", "\"2026-11-23_14_conflicts.jsonl.xz\"", "\"2026-11-23_14_conflicts.jsonl.xz\", which is not a file of this hour"),
        ("/outputs/2/name", "\"2026-11-23_13_what.csv.xz\"", "its manifest does not name it"),
        ("/counts/total/rejected", "{\"no_id\":1}", "it does not name 2026-11-23_13_rejected.jsonl.xz"),
        ("/counts/servers/1/rejected", "{\"no_id\":1}", "its counts of rejected lines are not those of the file"),
        ("/outputs/0/bytes", "259", "bytes: it says 259, found 260"),
        ("/outputs/0/sha256", HASH, "sha256: it says 00"),
        ("/outputs/0/content_bytes", "359", "bytes of its content: it says 359, found 360"),
        ("/outputs/0/content_sha256", HASH, "sha256 of its content: it says 00"),
        ("/outputs/0/content_sha256", HASH, "the ids are not those that were committed, or in another order"),
        ("/outputs/3/content_sha256", HASH, "sha256 of its content: it says 00"),
        ("/minutes/rows/0/0", "\"2026-11-23T12:59Z\"", "does not have the minutes of the hour"),
        ("/minutes/servers/1", "\"3\"", "the table of minutes does not have the servers of the counts"),
        ("/minutes/rows/57/2", "[4, 6]", "posts of server 1: it says 15, found 14"),
        ("/minutes/rows/57/3", "6", "are impossible"),
        ("/minutes/rows/0/2", "[1, 0]", "the seconds of server 1 do not fit its posts in the table of minutes"),
        ("/coverage/servers/2/begins", "\"2026-11-23T13:57:06.500Z\"", "the second in which 2 begins is not in this hour"),
        ("/minutes/rows/57/2", "[7, 6]", "are impossible"),
        ("/minutes/rows/57/1", "12", "are impossible"),
        ("/minutes/rows/57/2", "[5, 6, 0]", "are impossible"),
        ("/minutes/rows/57/1", "7", "posts of minutes are not what the ids say: 2026-11-23T13:57Z: it says 7, found 6"),
        ("/residues/0/1", "2", "ids by (id >> 22) % 1000 are not what the ids say: 70: it says 2, found 1"),
        ("/residues/0/0", "92", "ids by (id >> 22) % 1000 are not what the ids say: 70: it says 0, found 1"),
    ];

    #[test]
    fn a_member_that_does_not_agree_is_told_for_what_it_is() {
        assert_eq!(wrongs(|_| (), |_| ()), [""; 0]);
        for (member, value, words) in CHANGES {
            let value: Value = serde_json::from_str(value).unwrap();
            let change = |says: &mut Value| {
                let (of, name) = member.rsplit_once('/').unwrap();
                // a member that is absent if there is nothing to say
                match says.pointer_mut(of).unwrap() {
                    Value::Object(members) => drop(members.insert(name.to_owned(), value.clone())),
                    of => of[name.parse::<usize>().unwrap()] = value.clone(),
                }
            };
            is_told(words, &wrongs(change, |_| ()));
        }
        let twice = |says: &mut Value| {
            let residues = says["residues"].as_array_mut().unwrap();
            residues.push(residues[0].clone());
        };
        is_told("ids by (id >> 22) % 1000 are not", &wrongs(twice, |_| ()));
    }

    #[test]
    fn a_file_that_is_not_what_the_manifest_says_is_told() {
        let manifest = format!("{HOUR}_manifest.json");
        let other_form = |dir: &Path| {
            let path = dir.join(&manifest);
            let bytes = [&fs::read(&path).unwrap()[..], b"\n"].concat();
            disk::put(&RealDisk, &path, &bytes).unwrap();
        };
        let found = wrongs(|_| (), other_form);
        assert_eq!(found, ["it is not as this program writes it"]);
        let posts = |dir: &Path| {
            let of = |hour: &str| format!("{hour}_posts.parquet");
            let other = Path::new(GOLDEN).join(DAY).join(of("2026-11-23_14"));
            fs::copy(other, dir.join(of(HOUR))).unwrap();
        };
        let found = wrongs(|_| (), posts);
        for words in [
            "which is not in this hour",
            "the ids in IDs.txt and in posts.parquet are not the same",
            "posts: it says 18, found 10",
        ] {
            is_told(words, &found);
        }
    }

    #[test]
    fn a_file_that_every_hour_has_is_missed() {
        let nothing_of = |says: &mut Value| drop(says["outputs"].as_array_mut().unwrap().remove(2));
        let users = format!("{HOUR}_users.csv.xz");
        let found = wrongs(nothing_of, |dir| {
            disk::remove_if_there(&RealDisk, &dir.join(&users)).unwrap();
        });
        is_told(&format!("it does not name {users}"), &found);
    }

    /// What a connection asked for again in vain, or not.
    #[test]
    fn a_hole_that_is_not_what_the_seconds_say_is_told() {
        // server 1 has posts in 14 of the 174 seconds from 13:57:06 on
        let hole = |closed: u64, open: u64, end: &str, server: &str| {
            let backfill = json!({
                "server": server, "run": "3fa9c01b", "connection": 2, "connected": "2026-11-23T14:00:00Z",
                "minutes": 4, "posts": 0, "duplicates": 0,
                "hole": {"begin": "2026-11-23T13:57:06Z", "end": end, "cause": "network", "closed": closed, "open": open},
            });
            wrongs(
                |says: &mut Value| says["backfills"] = json!([backfill]),
                |_| (),
            )
        };
        let end = "2026-11-23T14:00:00Z";
        assert_eq!(hole(14, 160, end, "1"), [""; 0]);
        for (closed, open, end, server, words) in [
            (
                15,
                159,
                end,
                "1",
                "the hole before the connection of server 1",
            ),
            (
                14,
                159,
                end,
                "1",
                "the hole before the connection of server 1",
            ),
            (
                14,
                160,
                "2026-11-23T14:00:01Z",
                "1",
                "the hole before the connection of server 1",
            ),
            (
                0,
                0,
                "2026-11-23T13:57:06Z",
                "1",
                "the hole before the connection of server 1",
            ),
            (14, 160, end, "3", "it has a backfill of server 3"),
        ] {
            is_told(words, &hole(closed, open, end, server));
        }
    }
}
