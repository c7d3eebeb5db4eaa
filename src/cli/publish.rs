//! `publish`: uploads what is committed and not public to OSF, once; or compares all that is public.

use super::{
    commits,
    exit::{Exit, Failure},
    global::Global,
    output, progress,
    setup::{self, Setup},
    store,
};
use crate::{
    alarm::AlarmKind,
    cite::make,
    config::{address, dataset::Dataset, settings::Publish},
    place::{decide::Asks, open::Vault},
    publish::{
        answer::Trouble,
        audit::Audited,
        doi::Given,
        job::PublishJob,
        outcome::{self, NoDoi, PublishError, PublishOutcome},
        plan::{Task, Wanted},
    },
    text::plural,
    vault::ledger,
    world::{
        disk::{Disk as _, RealDisk},
        lock::Lock,
    },
};

/// Runs one upload to OSF: of everything that is committed and not yet public.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream publish                  everything that is committed and not public
  twinstream publish --dry-run        say what would be uploaded, and do nothing
  twinstream publish --audit          compare the published files with the vault
                                      (exit code 5 if they differ)
  twinstream publish --doi --dry-run  say whether the project can get a DOI
  twinstream publish --doi            have OSF mint the project's DOI, once and for all

These become public: below YYYY/mm/dd/ in the project, the lists of ids (X) or addresses (Bluesky),
the manifests and the day's files; in its root, the ledger. Posts never do. A file counts as public
once it has been downloaded again and found identical. X allows 1,500,000 ids in 30 days to one
recipient: publishing stops at [publish.osf] ids_per_30_days.
[publish] forbid = \"dsa\" refuses every upload (exit code 3).

A DOI cannot be withdrawn. To mint one you need a public project, an administrator's token,
[dataset] with a description, and a committed hour. The DOI is kept in the vault (doi.json); from
then on, all files to cite by name it, and so does the README of each day that is reported. The
next publish uploads them.")]
pub(crate) struct PublishArgs {
    /// Everything that is committed and not yet public (the default)
    #[arg(long, conflicts_with = "audit")]
    pending: bool,
    /// Compare the published files with the vault; upload nothing
    #[arg(long)]
    audit: bool,
    /// Have OSF mint the project's DOI, and upload nothing
    #[arg(long, conflicts_with_all = ["audit", "pending"])]
    doi: bool,
    /// Say what would be done, and do nothing; with --audit, leave the diary as it is
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &PublishArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    setup.publishes("publishing")?;
    let settings = &setup.settings;
    if let Some(forbid) = settings.forbid {
        let what = format!("nothing is published: {}", forbid.why());
        return Err(Failure::new(Exit::Configuration, what)
            .hint("if the data of this archive was obtained in another way, take that line out"));
    }
    let Some(publish) = &settings.publish else {
        let what = "nothing is published: the configuration has no [publish.osf] project";
        return Err(Failure::new(Exit::Configuration, what).hint(
            "add [publish.osf] with project = \"…\"; `twinstream config default` has every key",
        ));
    };
    check_clock(global, publish)?;
    let token = setup::secret("the OSF token", "osf-token", Some(&publish.token_file))?
        .ok_or_else(|| Failure::new(Exit::Configuration, "there is no OSF token"))?;
    RealDisk.make_folder(&settings.data_dir)?;
    let _lock =
        Lock::take(&settings.data_dir, "publish", setup.clock.now()).map_err(Failure::lock)?;
    let is_asking = args.audit || args.dry_run;
    let vault = if is_asking {
        setup.vault(Asks::Look)?
    } else {
        store::vault(&setup)?
    };
    if !is_asking {
        commits::finish(&setup, &vault)?;
        store::share_records(&setup, &vault)?;
    }
    // what cannot be told is not said to be wrong
    let merging = || commits::finish(&setup, &vault).unwrap_or(true);
    if args.doi {
        is_described(&vault, settings.dataset.as_ref())?;
    }
    if !is_asking {
        describe((&setup, &vault));
    }
    let job = PublishJob {
        disk: &RealDisk,
        data_dir: &settings.data_dir,
        vault: &vault,
        stream: setup.stream(),
        settings: publish,
        keep_free: settings.merge.keep_free,
        token: &token,
        proxies: &setup::proxies()?,
        clock: &setup.clock,
        chance: &chance,
        merging: &merging,
    };
    if args.audit {
        return audit(&job, args);
    }
    if args.doi {
        let given = job.doi(is_asking).map_err(failure)?;
        if !is_asking {
            store::share_records_later(&setup, &vault);
            describe((&setup, &vault));
        }
        return tell_doi(&given, args);
    }
    if args.dry_run {
        return tell_plan(&job.preview().map_err(failure)?, args.json);
    }
    let outcome = publish_all(&job);
    store::share_records_later(&setup, &vault);
    tell_outcome(&outcome?, args.json)
}

fn publish_all(job: &PublishJob<'_>) -> Result<PublishOutcome, Failure> {
    let bar = progress::bar(0, "files published");
    let tell = |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let outcome = job.run(tell).map_err(failure)?;
    bar.finish_and_clear();
    Ok(outcome)
}

/// Makes the files to cite by if they are not there, or do not have what is configured. Whatever comes of
/// it, the hours are published.
fn describe((setup, vault): (&Setup, &Vault)) {
    let Some(dataset) = &setup.settings.dataset else {
        return;
    };
    let data_dir = &setup.settings.data_dir;
    let has = make::has(&RealDisk, vault, dataset);
    let made = has.and_then(|has| {
        if has {
            return Ok(());
        }
        match Lock::take(data_dir, "report", setup.clock.now()) {
            Ok(_lock) => make::make(&RealDisk, vault, data_dir, dataset),
            // a report is at work, and makes them itself
            Err(_taken) => Ok(()),
        }
    });
    if let Err(why) = made {
        tracing::warn!("the files to cite by are not made: {why}");
    }
}

/// Whether all is there that a DOI's metadata are made of.
fn is_described(vault: &Vault, dataset: Option<&Dataset>) -> Result<(), Failure> {
    let missing = match dataset {
        None => Some("the configuration has no [dataset]"),
        Some(of) if of.description.is_none() => Some("[dataset] has no description"),
        Some(_) => None,
    };
    if let Some(why) = missing {
        let hint = "say in [dataset] what the archive is and who made it; `twinstream config default` has every key";
        return Err(
            Failure::new(Exit::Configuration, format!("no DOI is minted: {why}")).hint(hint),
        );
    }
    if ledger::read(&RealDisk, vault)?.is_empty() {
        let what = "no DOI is minted: the archive has no hour yet";
        return Err(Failure::new(Exit::Failed, what).hint("mint it once an hour is merged"));
    }
    Ok(())
}

fn tell_doi(given: &Given, args: &PublishArgs) -> Result<Exit, Failure> {
    let (doi, what) = match given {
        Given::Known(doi) => (Some(doi), "the archive has it"),
        Given::There(doi) if args.dry_run => (
            Some(doi),
            "the project has it, and the archive would take it over",
        ),
        Given::There(doi) => (
            Some(doi),
            "the project had it; from now on the archive cites by it",
        ),
        Given::Minted(doi) => (Some(doi), "minted; from now on the archive cites by it"),
        Given::Would => (None, "the project has no DOI; one would be minted"),
    };
    if args.json {
        output::print_json(&serde_json::json!({"doi": doi, "what": what}))?;
    } else {
        let doi = doi.map(|doi| format!("{}\n", doi.url()));
        output::print(&format!("{}{what}\n", doi.unwrap_or_default()))?;
    }
    Ok(match given {
        Given::Known(_) => Exit::NothingToDo,
        Given::There(_) | Given::Minted(_) | Given::Would => Exit::Done,
    })
}

/// A simulated clock is for a simulated OSF: it would write wrong times into the diary.
fn check_clock(global: &Global, publish: &Publish) -> Result<(), Failure> {
    if global.clock.is_none() || address::is_loopback(&publish.base_url) {
        return Ok(());
    }
    let what = format!(
        "--clock is refused: {} is not on this machine",
        publish.base_url
    );
    Err(Failure::new(Exit::Configuration, what).hint(
        "simulated time is for a simulated OSF: set publish.osf.base_url to its loopback address",
    ))
}

/// A number from 0 to 1 that differs between machines, so that they do not come back together.
fn chance() -> f64 {
    match getrandom::u32() {
        Ok(drawn) => f64::from(drawn) / f64::from(u32::MAX),
        Err(_without_chance) => 1.0,
    }
}

fn tell_plan(planned: &[(Wanted, Task)], json: bool) -> Result<Exit, Failure> {
    let word = |task: &Task| match task {
        Task::Create => "upload",
        Task::Replace(_) => "replace",
        Task::Confirm(_) => "confirm",
        Task::Later => "later",
    };
    if json {
        let list: Vec<serde_json::Value> = planned
            .iter()
            .map(|(wanted, task)| {
                serde_json::json!({"path": wanted.what.published_path(), "do": word(task),
                    "bytes": wanted.bytes, "sha256": wanted.sha256, "new_ids": wanted.new_ids})
            })
            .collect();
        output::print_json(&list)?;
    } else {
        for (wanted, task) in planned {
            let (word, path) = (word(task), wanted.what.published_path());
            let size = output::bytes(wanted.bytes);
            output::print(&format!("{word:<7}  {path:<50}  {size:>10}\n"))?;
        }
    }
    Ok(if planned.is_empty() {
        Exit::NothingToDo
    } else {
        Exit::Done
    })
}

fn tell_outcome(outcome: &PublishOutcome, json: bool) -> Result<Exit, Failure> {
    if json {
        output::print_json(outcome)?;
    } else {
        output::print(&summary(outcome))?;
    }
    if let Some(why) = &outcome.capped {
        return Err(Failure::new(Exit::Failed, format!("publishing has stopped: {why}")).hint(
            "raise publish.osf.ids_per_30_days only as far as the platform allows (X: with its written approval); publishing goes on by itself when older ids leave the 30 days",
        ));
    }
    let is_unreachable = |alarm: AlarmKind| alarm == AlarmKind::OsfUnreachable;
    if let Some(stopped) = &outcome.stopped {
        let exit = if is_unreachable(stopped.alarm) {
            Exit::Unreachable
        } else {
            Exit::Failed
        };
        let until = stopped.not_before.map_or_else(String::new, |until| {
            format!("; OSF has asked for no more requests until {until}")
        });
        let what = format!("publishing has stopped: {}{until}", stopped.why);
        return Err(Failure::new(exit, what).hint(hint(stopped.alarm)));
    }
    if let Some(failed) = outcome.failed.first() {
        let all_unreachable = outcome.failed.iter().all(|one| is_unreachable(one.alarm));
        let exit = if all_unreachable {
            Exit::Unreachable
        } else {
            Exit::Failed
        };
        let count = outcome.failed.len();
        let what = format!(
            "not public yet: {}, the first: {}: {}",
            plural(count as u64, "file", "files"),
            failed.path,
            failed.why
        );
        return Err(Failure::new(exit, what).hint(hint(failed.alarm)));
    }
    if outcome.uploaded.is_empty() && outcome.confirmed == 0 {
        tracing::info!("nothing to publish: all that is committed is public");
        return Ok(Exit::NothingToDo);
    }
    Ok(Exit::Done)
}

fn summary(outcome: &PublishOutcome) -> String {
    let mut text = Vec::new();
    for one in &outcome.uploaded {
        let size = output::bytes(one.bytes);
        text.push(format!("{:<50}  {size:>10}\n", one.path));
    }
    if !outcome.uploaded.is_empty() || outcome.confirmed != 0 || !outcome.failed.is_empty() {
        text.push(format!(
            "published {}, {} were there already, {} failed, {} wait\n\
             {} new ids in 30 days{}\n",
            plural(outcome.uploaded.len() as u64, "file", "files"),
            outcome.confirmed,
            outcome.failed.len(),
            outcome.held,
            outcome.ids_in_30_days,
            outcome
                .ids_per_30_days
                .map_or_else(String::new, |cap| format!(", of {cap} allowed"))
        ));
    }
    text.concat()
}

fn audit(job: &PublishJob<'_>, args: &PublishArgs) -> Result<Exit, Failure> {
    let bar = progress::bar(0, "folders compared");
    let audited = job.audit(args.dry_run, |_| bar.inc(1)).map_err(failure)?;
    bar.finish_and_clear();
    if args.json {
        output::print_json(&audited)?;
    } else {
        output::print(&findings(&audited))?;
    }
    Ok(if audited.is_complete() {
        Exit::Done
    } else {
        Exit::Incomplete
    })
}

fn findings(audited: &Audited) -> String {
    let compared = &audited.compared;
    let mut text = Vec::new();
    for (word, list) in [
        ("missing", &compared.missing),
        ("differs", &compared.differs),
        ("foreign", &compared.foreign),
        ("unready", &audited.unready),
    ] {
        for one in list {
            text.push(format!("{word}  {one}\n"));
        }
    }
    let count = |word: &str, list: &Vec<String>| format!("{} {word}", list.len());
    text.push(format!(
        "public as in the vault: {}; {}, {}, {}\n",
        plural(compared.good, "file", "files"),
        count("are missing", &compared.missing),
        count("differ", &compared.differs),
        count("should not be public", &compared.foreign),
    ));
    if compared.ledger_behind {
        text.push("the public ledger is an earlier one; it is uploaded once a day\n".to_owned());
    }
    if 0 < audited.diary_lines {
        text.push(format!(
            "added to published.jsonl, where it was missing: {}\n",
            plural(audited.diary_lines, "line", "lines")
        ));
    }
    text.concat()
}

/// What to do about an alarm, within a sentence.
fn hint(kind: AlarmKind) -> String {
    let mut chars = kind.todo().chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str())
}

fn failure(error: PublishError) -> Failure {
    let what = error.to_string();
    match error {
        PublishError::NotYet(_) => Failure::new(Exit::Unreachable, what)
            .hint("nothing is lost; the first run after that instant continues"),
        PublishError::Room { .. } => Failure::new(Exit::Failed, what).hint(
            "free space, or lower merge.keep_free; the next run resumes where this one stopped",
        ),
        PublishError::Trouble(trouble) => {
            let exit = match trouble {
                Trouble::Passing { .. } => Exit::Unreachable,
                _ => Exit::Failed,
            };
            Failure::new(exit, format!("cannot look at OSF: {what}"))
                .hint(hint(outcome::alarm(&trouble)))
        }
        PublishError::Forked(_) => {
            Failure::new(Exit::Failed, format!("nothing would be published: {what}"))
                .hint(hint(AlarmKind::LedgerForked))
        }
        PublishError::NoDoi(why) => {
            let (exit, hint) = match why {
                NoDoi::Kept(_) => (Exit::Failed, "put back the file that the vault had"),
                NoDoi::Elsewhere { .. } => (
                    Exit::Configuration,
                    "an archive keeps its one DOI even if it continues in another project or component: there is nothing to do",
                ),
                NoDoi::Private(_) => (
                    Exit::Failed,
                    "the DOI leads readers there: make the project public on its page at OSF",
                ),
                NoDoi::NotAdmin(_) => (
                    Exit::Failed,
                    "use a token of one of the project's administrators, or have one of them mint it on its page at OSF: then it is found",
                ),
            };
            Failure::new(exit, format!("no DOI is minted: {what}")).hint(hint)
        }
        PublishError::Address(_) => Failure::new(Exit::Configuration, what),
        PublishError::Look(_) | PublishError::Certificates(_) | PublishError::Io(_) => {
            Failure::from(error)
        }
    }
}
