//! `redact`: takes posts out of the archive on request.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::{Global, users_path},
    merge::Primary,
    merge_store,
    merging::{self, Fetch},
    output, progress,
    setup::{self, Setup},
};
use crate::{
    merge::{
        deletions::Honour,
        job::MergeJob,
        outcome::{CommittedHour, MergeOutcome},
    },
    period::Hour,
    place::decide::Asks,
    segment::name::SegmentName,
    share::Share,
    source::{Stream, key::Key},
    text::plural,
    vault::redactions::Redactions,
    world::{
        crash::{self, Point},
        disk::RealDisk,
        error_at::placed,
        users_file,
    },
};

/// A million ids have some 20 MiB.
const IDS_BYTES_MAX: u64 = 256 << 20;

/// Takes posts out of the archive on request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream redact --ids ids.txt --reason \"deleted by its author\" --dry-run
  twinstream redact --ids ids.txt --reason \"deleted by its author\"
  twinstream redact --author 12 --author 13 --reason \"asked to be left out\"
  twinstream redact --author did:plc:7iza6de2dwap2sbkpav7c6c6 --reason \"asked to be left out\"
  twinstream redact --deleted
  twinstream redact --ids ids.txt --reason asked --share 2/3

The file has one id per line (for Bluesky an address, which stands for all versions in the vault,
or a line of IDs.txt); --author stands for all posts of that author. Every hour that has one of the
posts gets a new revision without it: the post is gone from IDs, CSV, Parquet, examples of
conflicts, rejected lines and raw data; with an author's posts, the author's row is gone, too. The
manifest counts removed posts by reason, and the ledger shows the revision. Posts on the list, and
posts of authors on it, stay out when they arrive later. Not covered are other people's posts that
repost, quote or mention an author, copies that others have, and data on secondaries that is not
delivered yet (docs/operations.md).

Several tasks may split the hours (--share I/N, each with the same list): the first one adds the
posts to the list, and each makes its hours anew. The next merge does what a task has left undone.

--deleted is a merge that first takes out the posts that were deleted on Bluesky since the last
time, or whose account is gone, as the service does once a day. Like every merge, it also commits
the hours that are due.")]
pub(crate) struct RedactArgs {
    /// A file with one id or address per line
    #[arg(value_parser = users_path(), long, value_name = "FILE", required_unless_present_any = ["authors", "deleted"])]
    ids: Option<PathBuf>,
    /// All posts of the author with this id, now and later (repeatable)
    #[arg(long = "author", value_name = "ID")]
    authors: Vec<String>,
    /// Take out now what is otherwise taken out once a day: posts that were deleted on the platform, or whose account
    /// is gone
    #[arg(long, conflicts_with_all = ["ids", "authors", "reason", "dry_run"])]
    deleted: bool,
    /// The reason, which the manifests record
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "deleted",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Make only the hours of task I of N anew
    #[arg(long, value_name = "I/N", conflicts_with = "deleted")]
    share: Option<Share>,
    /// Say what would be taken out, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The result, or what it would be.
#[derive(Debug, Default, Serialize)]
struct Told {
    /// Whether nothing was done.
    dry_run: bool,
    /// The posts that the archive has or had, by id, and their hours.
    found: BTreeMap<String, Hour>,
    /// The posts that it never had; they stay out if they come.
    not_found: Vec<String>,
    /// How many posts of each author the vault had.
    authors: BTreeMap<String, u64>,
    /// Segments that posts were taken out of.
    segments: u64,
    /// Hours that were remade.
    committed: Vec<CommittedHour>,
}

/// What a file names.
#[derive(Default)]
struct Named {
    /// Posts.
    ids: BTreeSet<Key>,
    /// Records by their addresses, and whose they are: all versions that the vault has.
    records: BTreeMap<String, Key>,
}

/// What is to go.
struct Request {
    ids: BTreeSet<Key>,
    authors: BTreeSet<Key>,
    reason: String,
    share: Option<Share>,
}

pub(crate) fn run(global: &Global, args: &RedactArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    if args.deleted {
        return run_deleted(setup, args.json);
    }
    let stream = setup.stream();
    let ids = args.ids.as_deref().map(|file| read_ids(stream, file));
    let Named { ids, records } = ids.transpose()?.unwrap_or_default();
    let mut request = Request {
        ids,
        authors: authors(stream, args)?,
        reason: args.reason.trim().to_owned(),
        share: args.share,
    };
    if request.reason.is_empty() {
        return Err(Failure::new(Exit::Usage, "--reason is empty")
            .hint("say why in a few words: the manifests will have them"));
    }
    let stores = (&setup.settings.spool_store, &setup.settings.vault_store);
    let (json, dry_run) = (args.json, args.dry_run);
    if let (Some(spool), Some(vault)) = stores {
        return merge_store::with(&setup, ([spool, vault], None), |merger, job| {
            request.ids.extend(versions(job, &records)?);
            let Acted { told, hours, ended } = act(job, &request, dry_run, &|| merger.follow())?;
            // nobody may read there any more what was taken out, whatever else fails
            let swept = if dry_run {
                Ok(())
            } else {
                merger.sweep(&hours)
            };
            if let (Err(_), Err(why)) = (&ended, &swept) {
                tracing::warn!("{why}");
            }
            ended?;
            tell(&told, &request.ids, json)?;
            swept?;
            Ok(merger.exit(Exit::Done))
        });
    }
    let asks = if dry_run { Asks::Look } else { Asks::Make };
    let primary = Primary::of(setup, "redacting", asks)?;
    let _lock = (!dry_run).then(|| primary.lock()).transpose()?;
    let fetch = match &primary.setup.settings.spool_store {
        Some(address) if !dry_run => Some(merging::fetch(
            &primary.setup,
            (&primary.spool, None),
            address,
        )?),
        _ => None,
    };
    let nobody = BTreeSet::new();
    let job = primary.job(&nobody);
    let bring = |names: &BTreeSet<SegmentName>| {
        let places = (&primary.setup, &primary.spool);
        let brought = fetch.as_ref().map(|fetch| fetch.bring(places, names));
        brought.unwrap_or(Ok(0))
    };
    let job = MergeJob {
        elsewhere: fetch.as_ref().map_or(job.elsewhere, Fetch::elsewhere),
        bring: &bring,
        ..job
    };
    request.ids.extend(versions(job, &records)?);
    let Acted { told, ended, .. } = act(job, &request, dry_run, &|| Ok(()))?;
    ended?;
    tell(&told, &request.ids, json)?;
    Ok(Exit::Done)
}

/// What was done.
struct Acted {
    told: Told,
    /// The hours that have or had the posts.
    hours: BTreeSet<Hour>,
    /// What has failed, although some of them may have been made anew.
    ended: Result<(), Failure>,
}

/// Does it, or looks what would be done. `settle` brings what was committed into place.
fn act(
    job: MergeJob<'_>,
    request: &Request,
    dry_run: bool,
    settle: &dyn Fn() -> Result<(), Failure>,
) -> Result<Acted, Failure> {
    let by = posts_by(job, &request.authors)?;
    let mut told = Told {
        dry_run,
        authors: of_each(request, &by),
        ..Told::default()
    };
    let mut in_vault = job.scrubber().hours_with(&request.ids)?;
    in_vault.extend(by.iter().map(|(key, (hour, _))| (key.clone(), *hour)));
    let mut ended = Ok(());
    let mut hours: BTreeSet<Hour> = in_vault.values().copied().collect();
    if dry_run {
        let (in_raw, segments) = job.in_raw_data(&request.ids, &request.authors)?;
        let found = in_raw.into_iter().chain(in_vault);
        told.found = found.map(|(id, hour)| (id.to_string(), hour)).collect();
        told.segments = segments;
    } else {
        ended = redact(job, (request, &by), &hours, settle, &mut told);
        hours.extend(told.found.values());
    }
    let missing = request.ids.iter().map(Key::to_string);
    told.not_found = missing.filter(|id| !told.found.contains_key(id)).collect();
    Ok(Acted { told, hours, ended })
}

/// Reads what was deleted, and merges what is due, as a merge does once a day.
fn run_deleted(setup: Setup, json: bool) -> Result<Exit, Failure> {
    if !setup.settings.honours_deletions() {
        let what = "deletions are not honoured here";
        return Err(Failure::new(Exit::Configuration, what)
            .hint("it takes source = \"bluesky\" and [bluesky] honour_deletions = \"daily\""));
    }
    let stores = (&setup.settings.spool_store, &setup.settings.vault_store);
    if let (Some(spool), Some(vault)) = stores {
        return merge_store::with(&setup, ([spool, vault], None), |merger, job| {
            let honour = Honour::Now;
            merger.merge(&MergeJob { honour, ..job }, json)
        });
    }
    let primary = Primary::of(setup, "redacting", Asks::Make)?;
    let _lock = primary.lock()?;
    let all = BTreeSet::new();
    let job = MergeJob {
        honour: Honour::Now,
        ..primary.job(&all)
    };
    let outcome = job.run(&mut |_| ()).map_err(merging::failure)?;
    merging::tell_outcome(&outcome, &all, json)
}

/// The posts of the authors that the vault has, with hour and author.
type By = BTreeMap<Key, (Hour, Key)>;

fn posts_by(job: MergeJob<'_>, authors: &BTreeSet<Key>) -> Result<By, Failure> {
    let bar = progress::bar(0, "days looked through");
    let mut tell = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let by = job.scrubber().posts_by(authors, &mut tell)?;
    bar.finish_and_clear();
    Ok(by)
}

fn of_each(request: &Request, by: &By) -> BTreeMap<String, u64> {
    let of = |author: &Key| by.values().filter(|(_, of)| of == author).count() as u64;
    let authors = request.authors.iter();
    authors.map(|id| (id.to_string(), of(id))).collect()
}

/// How often the hours are remade if other machines commit meanwhile.
const PASSES_MAX: usize = 8;

/// Puts it on the list, and has a merge take it out of the hours that have it.
fn redact(
    job: MergeJob<'_>,
    (request, by): (&Request, &By),
    asked: &BTreeSet<Hour>,
    settle: &dyn Fn() -> Result<(), Failure>,
    told: &mut Told,
) -> Result<(), Failure> {
    let Request {
        ids,
        authors,
        reason,
        share,
    } = request;
    let (vault, source) = (job.vault, job.stream.source);
    let job = MergeJob {
        share: *share,
        asked,
        ..job
    };
    // whatever no hour has may be in raw data; to look there means to read all of it
    let is_idle = asked.is_empty() && job.in_raw_data(ids, authors)?.1 == 0;
    let mut list = Redactions::read(&RealDisk, vault, source)?;
    let before = list.len();
    list.ask(ids.iter().cloned(), reason);
    list.ask_for_authors(authors.iter().cloned(), reason);
    list.ask(by.keys().cloned(), reason);
    for (key, (hour, _)) in by {
        list.found(key, *hour);
    }
    let kept = job.commits.keep_list(&RealDisk, vault, &mut list);
    kept.map_err(merge_store::list_failure)?;
    crash::point(Point::RedactionListed);
    // a merge that is asked for no hour is one of all that are due
    let (outcome, passed) = if is_idle {
        (MergeOutcome::default(), Ok(()))
    } else {
        passes(job, settle)
    };
    let list = Redactions::read(&RealDisk, vault, source)?;
    let asked_for = list.since(0).into_iter();
    let asked_for = asked_for.filter(|(id, _)| ids.contains(id));
    let of_authors = list.since(before).into_iter();
    let of_authors = of_authors.filter(|_| !authors.is_empty());
    for (id, hour) in asked_for.chain(of_authors) {
        told.found.extend(hour.map(|hour| (id.to_string(), hour)));
    }
    told.segments = outcome.redacted;
    told.committed = outcome.committed;
    passed?;
    let failed = outcome.failed.iter().filter(|f| asked.contains(&f.hour));
    let failed: Vec<String> = failed.map(|f| format!("{}: {}", f.hour, f.why)).collect();
    if !failed.is_empty() {
        let what = format!(
            "these hours still have posts that should be gone: {}",
            failed.join("; ")
        );
        return Err(Failure::new(Exit::Failed, what)
            .hint("the posts are on the list: the next merge that succeeds takes them out"));
    }
    if 0 < outcome.unredacted {
        let segments = plural(outcome.unredacted, "segment", "segments");
        let what = format!(
            "the object store does not answer: posts that should be gone are still in {segments} there"
        );
        return Err(Failure::new(Exit::Unreachable, what)
            .hint("the posts are on the list: the next merge that succeeds takes them out"));
    }
    match outcome.stopped {
        None => Ok(()),
        Some(why) => Err(Failure::new(Exit::Failed, why)
            .hint("free space; the posts are on the list, and the next merge takes them out")),
    }
}

/// Merges until no other machine has committed an hour meanwhile that may have the posts still. What was done before something
/// failed is in the outcome.
fn passes(
    job: MergeJob<'_>,
    settle: &dyn Fn() -> Result<(), Failure>,
) -> (MergeOutcome, Result<(), Failure>) {
    let mut all = MergeOutcome::default();
    for _ in 0..PASSES_MAX {
        let run = job.run(&mut |_| ()).map_err(merging::failure);
        let outcome = match (run, settle()) {
            (Ok(outcome), Ok(())) => outcome,
            (Err(why), _) | (Ok(_), Err(why)) => return (all, Err(why)),
        };
        all.redacted += outcome.redacted;
        all.committed.extend(outcome.committed);
        (all.failed, all.stopped) = (outcome.failed, outcome.stopped);
        all.unredacted = outcome.unredacted;
        if outcome.elsewhere.is_empty() {
            return (all, Ok(()));
        }
    }
    let what = "other machines commit these hours faster than this one can make them again";
    let hint = "the posts are on the list: the next merge that succeeds takes them out";
    (all, Err(Failure::new(Exit::Failed, what).hint(hint)))
}

fn authors(stream: Stream, args: &RedactArgs) -> Result<BTreeSet<Key>, Failure> {
    let parsed = args.authors.iter().map(|text| {
        stream.source.author_key(text).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("--author {text:.40?} is not an id")).hint(format!(
                "{}; nothing was taken out",
                stream.words().account_by
            ))
        })
    });
    parsed.collect()
}

fn read_ids(stream: Stream, file: &Path) -> Result<Named, Failure> {
    let source = stream.source;
    let path = file.display();
    let cannot = |why: String| Failure::new(Exit::Usage, format!("cannot use {path}: {why}"));
    let text = users_file::read_text(file, IDS_BYTES_MAX).map_err(|why| {
        let what = format!("cannot use the ids: {}", placed(file, &why));
        Failure::new(Exit::Usage, what)
    })?;
    let mut named = Named::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let told = source.deletions();
        let listed = || source.listed(line).map(|listed| listed.key);
        if let Some(id) = source.key(line).or_else(listed) {
            named.ids.insert(id);
        } else if let Some(account) = told.and_then(|told| told.account_of(line)) {
            named.records.insert(line.to_owned(), account);
        } else {
            let what = format!("line {} is not a post id: {line:.40?}", number + 1);
            let hint = format!("{}; nothing was taken out", stream.words().named_by);
            return Err(cannot(what).hint(hint));
        }
    }
    if named.ids.is_empty() && named.records.is_empty() {
        return Err(cannot("it has no ids".to_owned()));
    }
    Ok(named)
}

/// The versions that the vault has of records.
fn versions(job: MergeJob<'_>, records: &BTreeMap<String, Key>) -> Result<BTreeSet<Key>, Failure> {
    let Some(told) = job.stream.source.deletions() else {
        return Ok(BTreeSet::new());
    };
    let accounts: BTreeSet<Key> = records.values().cloned().collect();
    let by = posts_by(job, &accounts)?;
    let is_of = |key: &Key| {
        let version = told.version(key);
        version.is_some_and(|version| records.contains_key(&version.record))
    };
    Ok(by.into_keys().filter(is_of).collect())
}

fn tell(told: &Told, ids: &BTreeSet<Key>, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(told);
    }
    let row = |id: &str, hour: &str| format!("{id:<20}  {hour}\n");
    let asked: BTreeSet<String> = ids.iter().map(Key::to_string).collect();
    let found = told.found.iter().filter(|(id, _)| asked.contains(*id));
    let mut text = if ids.is_empty() {
        String::new()
    } else {
        row("id", "hour")
    };
    text.extend(found.map(|(id, hour)| row(id, &hour.to_string())));
    let not_found = told.not_found.iter();
    text.extend(not_found.map(|id| row(id, "the archive never had it")));
    let authors = told.authors.iter();
    text.extend(authors.map(|(id, posts)| {
        let posts = plural(*posts, "post", "posts");
        row(&format!("author {id}"), &format!("{posts} in the vault"))
    }));
    output::print(&text)?;
    let (would, hours) = if told.dry_run {
        let hours: BTreeSet<&Hour> = told.found.values().collect();
        ("would be", hours.len())
    } else if told.found.len() == 1 {
        ("was", told.committed.len())
    } else {
        ("were", told.committed.len())
    };
    tracing::info!(
        "{} {would} taken out of {}; {} with a new revision",
        plural(told.found.len() as u64, "post", "posts"),
        plural(told.segments, "segment", "segments"),
        plural(hours as u64, "hour", "hours")
    );
    Ok(())
}
