//! `report DAY`: the day's report and certificate.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Serialize;

use super::{
    commits,
    exit::{Exit, Failure},
    global::Global,
    output,
    run::mailer,
    setup::{self, Setup},
    store,
};
use crate::{
    alarm::AlarmKind,
    cite::make::{self, MakeError},
    config::settings::Role,
    cover::{
        cause::Cause,
        estimate::Estimate,
        gap::{Gap, UNION},
    },
    monitor::{daily, mail_texts, queue::Way, renewed, threads::Mailer},
    period::{Day, Hour},
    place::{decide::Asks, open::Vault},
    report::{
        certificate, files,
        outdated::{self, How, Outdated},
        read,
        statement::{NoStatement, Share, Statement},
    },
    segment::name::{Leg, Partition, ServerId},
    text,
    vault::{
        identity::Identity,
        layout,
        ledger::{self, Committed},
        public::{DayFile, Public},
        witness::WitnessStamp,
    },
    world::{
        disk::{self, Disk as _, RealDisk},
        lock::{Lock, LockError},
    },
};

/// A report has a line for each hour.
const REPORT_BYTES_MAX: u64 = 1 << 20;

/// Writes the day's certificate, in words, as a picture and as values, and the README; prints the day's report.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream report 2026-11-23          writes the certificate; prints it and the report
  twinstream report yesterday --mail    the same, and mails report, certificate and picture
  twinstream report 2026-11-23 --dry-run | less

Certificate (text, SVG, JSON) and README are written into the day's folder of the vault, and
published from there. They follow from the day's manifests alone: running it twice gives the same
bytes. With [dataset], the files to cite by are written into the vault's root, too. Certificates of
other days that are outdated by late data or by a stamp of the ledger are written anew. Exit code
5: seconds are missing, an hour is not merged yet, data is late, or the folder has something that
the ledger does not.")]
pub(crate) struct ReportArgs {
    /// The day in the vault's time zone: YYYY-MM-DD, or `yesterday`
    #[arg(value_name = "DAY")]
    day: String,
    /// Mail it ([mail] to)
    #[arg(long)]
    mail: bool,
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
    /// Only print: write and mail nothing
    #[arg(long)]
    dry_run: bool,
}

/// The JSON output.
#[derive(Serialize)]
struct Told<'a> {
    day: Day,
    complete: bool,
    /// What is incomplete, in words.
    lacks: &'a [String],
    hours: Vec<Hour>,
    absent: &'a [Hour],
    posts: u64,
    seconds: u64,
    seconds_committed: u64,
    seconds_covered: u64,
    seconds_quiet: u64,
    seconds_partial: u64,
    seconds_missing: u64,
    /// What no server has.
    gaps: Vec<&'a Gap>,
    estimate: Option<&'a Estimate>,
    /// The oldest stamp that covers the day.
    witness: Option<&'a WitnessStamp>,
    /// The files that were written, or would be.
    files: Vec<String>,
    /// Other days whose outdated certificate was rewritten.
    renewed: Vec<Day>,
    mailed: bool,
}

pub(crate) fn run(global: &Global, args: &ReportArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let this = setup.this_server()?;
    let settings = &setup.settings;
    if this.role == Role::Secondary {
        let what = format!(
            "server {} is a secondary: the vault is on the primary",
            this.id
        );
        return Err(Failure::new(Exit::Configuration, what).hint("run report on the primary"));
    }
    let mailer = if args.mail { mailer(&setup) } else { None };
    has_mail(args, mailer.as_ref())?;
    let day = day(&args.day, &setup)?;
    let (vault, _lock) = if args.dry_run {
        (setup.vault(Asks::Look)?, None)
    } else {
        RealDisk.make_folder(&settings.data_dir)?;
        let lock = Lock::take(&settings.data_dir, "report", setup.clock.now());
        let lock = lock.map_err(Failure::lock)?;
        let vault = store::vault(&setup)?;
        commits::finish(&setup, &vault)?;
        store::share_records(&setup, &vault)?;
        (vault, Some(lock))
    };
    let vault = &vault;
    let mut renewed = BTreeMap::new();
    let mut was_outdated = false;
    if !args.dry_run {
        let outdated = outdated_days(&setup, vault)?;
        was_outdated = outdated.get(&day).is_some_and(|how| how.is_late);
        renewed = renew(vault, &outdated, day);
        if settings.vault_store.is_some() {
            catch_up(vault, day)?;
        }
        remember(&setup, &late(&renewed, &outdated))?;
    }
    let describe = || describe((&setup, vault));
    let undescribed = (!args.dry_run).then(describe).flatten();
    let statement = match stated(vault, day)? {
        Ok(statement) => statement,
        Err(NoStatement::NoHour(_)) if !renewed.is_empty() => return Ok(Exit::Done),
        Err(NoStatement::NoHour(_)) => {
            tracing::info!(
                "nothing to report: no hour of {day} is committed in {}",
                vault.display()
            );
            return Ok(Exit::NothingToDo);
        }
        Err(why) => {
            return Err(
                Failure::from(why).hint("`twinstream verify` says what is wrong with the day")
            );
        }
    };
    let told = tell(
        (&setup, vault),
        &statement,
        (renewed.into_keys().collect(), undescribed),
        mailer.as_ref(),
        args,
    );
    if was_outdated && !args.mail {
        remember(
            &setup,
            &BTreeMap::from([(day, certificate::headline(&statement))]),
        )?;
    }
    told
}

/// The days whose certificate is outdated.
fn outdated_days(setup: &Setup, vault: &Path) -> Result<BTreeMap<Day, How>, Failure> {
    let places = (setup.settings.data_dir.as_path(), vault);
    let mut notes = outdated::notes(&RealDisk, places, setup.clock.now());
    let outdated = Outdated::default().look(&RealDisk, vault, &mut notes)?;
    notes.keep();
    Ok(outdated)
}

fn has_mail(args: &ReportArgs, mailer: Option<&Mailer>) -> Result<(), Failure> {
    if args.mail && mailer.is_none() {
        let hint = "set host, from and to in [mail]";
        return Err(Failure::new(Exit::Configuration, "no mail is configured").hint(hint));
    }
    Ok(())
}

/// Writes, prints and mails what is stated.
fn tell(
    (setup, vault): (&Setup, &Vault),
    statement: &Statement,
    (renewed, undescribed): (Vec<Day>, Option<String>),
    mailer: Option<&Mailer>,
    args: &ReportArgs,
) -> Result<Exit, Failure> {
    let day = statement.day;
    let mut lacks = lacks((setup, vault), statement)?;
    lacks.extend(undescribed);
    if !args.dry_run {
        write(vault, statement)?;
    }
    let table = report(vault, day)?;
    if args.json {
        output::print_json(&Told {
            renewed,
            ..told(statement, &lacks, args)
        })?;
    } else {
        let text = certificate::text(statement);
        output::print(&format!("{}\n{text}", aligned(&table)))?;
    }
    for what in &lacks {
        tracing::warn!("{day}: {what}");
    }
    if let Some(mailer) = mailer {
        if args.dry_run {
            match &mailer.mail {
                Ok(mail) => tracing::info!("it would be mailed to {}", mail.to.join(", ")),
                Err(why) => tracing::warn!("the mail would have to wait: {why}"),
            }
        } else {
            mail((setup, vault), mailer, statement)?;
        }
    }
    Ok(if lacks.is_empty() {
        Exit::Done
    } else {
        Exit::Incomplete
    })
}

/// Makes the files by which the archive is cited, if that is configured; says why they could not be made.
fn describe((setup, vault): (&Setup, &Vault)) -> Option<String> {
    // a merge may commit between the reading of ledger and manifests
    const ATTEMPTS: u32 = 3;
    let settings = &setup.settings;
    let dataset = settings.dataset.as_ref()?;
    let mut made = Ok(());
    for _ in 0..ATTEMPTS {
        made = make::make(&RealDisk, vault, &settings.data_dir, dataset);
        if !matches!(made, Err(MakeError::NotCommitted(_))) {
            break;
        }
    }
    made.err()
        .map(|why| format!("the files to cite the data set by are not made: {why}"))
}

/// Rewrites the certificates of other days that do not name the revisions that are in place, or a stamp that covers
/// them.
fn renew(vault: &Path, outdated: &BTreeMap<Day, How>, but: Day) -> BTreeMap<Day, String> {
    let mut renewed = BTreeMap::new();
    for (&day, how) in outdated.iter().filter(|(day, _)| **day != but) {
        // a day that cannot be reported does not stop the others
        match write_anew(vault, day) {
            Ok(headline) => {
                let why = if how.is_late {
                    "late data had come"
                } else {
                    "its hours are witnessed now"
                };
                tracing::info!("{day}: {why}: its certificate was written again");
                renewed.insert(day, headline);
            }
            Err(why) => alarm!(
                AlarmKind::CertificateOutdated,
                "",
                "{day}: its certificate is outdated and stays so: {why}"
            ),
        }
    }
    renewed
}

/// Writes the certificates of earlier days that another machine has made: they are not in the store, since they are a
/// function of what is.
fn catch_up(vault: &Path, before: Day) -> Result<(), Failure> {
    let is_missing = |day: &Day| {
        let path = Public::Day(*day, DayFile::Statement).path(vault);
        *day < before && matches!(RealDisk.len(&path), Ok(None))
    };
    let days = layout::days(&RealDisk, vault)?;
    for day in days.into_iter().filter(is_missing) {
        match write_anew(vault, day) {
            Ok(_headline) => tracing::info!("{day}: its certificate was made here, too"),
            Err(why) => tracing::warn!("{day}: its certificate is not made here: {}", why.what),
        }
    }
    Ok(())
}

fn write_anew(vault: &Path, day: Day) -> Result<String, Failure> {
    let statement = stated(vault, day)??;
    write(vault, &statement)?;
    Ok(certificate::headline(&statement))
}

/// What is to be said of a day.
fn stated(vault: &Path, day: Day) -> Result<Result<Statement, NoStatement>, Failure> {
    let said = read::day(&RealDisk, &layout::day_folder(vault, day), day)?;
    let mut statement = match Statement::of(day, said) {
        Ok(statement) => statement,
        Err(why) => return Ok(Err(why)),
    };
    read::beside(&RealDisk, vault, &mut statement)?;
    Ok(Ok(statement))
}

/// Those outdated by late data, which are mentioned in mails.
fn late(renewed: &BTreeMap<Day, String>, outdated: &BTreeMap<Day, How>) -> BTreeMap<Day, String> {
    let is_late = |day: &Day| outdated.get(day).is_some_and(|how| how.is_late);
    let mut late = renewed.clone();
    late.retain(|day, _| is_late(day));
    late
}

/// Keeps what the next mail is to tell, if there are mails.
fn remember(setup: &Setup, renewed: &BTreeMap<Day, String>) -> Result<(), Failure> {
    let settings = &setup.settings;
    if settings.mail.is_some() && !renewed.is_empty() {
        renewed::add(&RealDisk, &settings.data_dir, renewed)?;
    }
    Ok(())
}

/// The day that was asked for.
fn day(asked: &str, setup: &Setup) -> Result<Day, Failure> {
    if asked == "yesterday" {
        let zone = &setup.settings.merge.timezone;
        let today = zone.hour_of(setup.clock.now()).day();
        return Ok(Day(today.0 - 1));
    }
    asked.parse().map_err(|why: crate::period::NotATime| {
        Failure::new(Exit::Usage, why.to_string()).hint("name a day, or `yesterday`")
    })
}

/// What is incomplete about a day, in words.
fn lacks((setup, vault): (&Setup, &Vault), statement: &Statement) -> Result<Vec<String>, Failure> {
    let mut lacks = Vec::new();
    let missing = statement.union.sum.missing;
    if 0 < missing {
        let seconds = text::plural(missing, "second is", "seconds are");
        lacks.push(format!("{seconds} missing"));
    }
    let late = statement.gaps.iter().filter(|gap| gap.cause == Cause::Late);
    let late = late.filter(|gap| gap.server != UNION);
    lacks.extend(late_servers(late.map(|gap| gap.server.as_str())));
    let first = Identity::read(&RealDisk, vault)?.and_then(|identity| identity.first_hour);
    let in_span = |hour: &&Hour| first.is_some_and(|first| first <= **hour);
    let now = setup.clock.now();
    let is_over = |hour: &&Hour| {
        let of_hour = statement.exist.iter().find(|(known, _)| known == *hour);
        let end = of_hour.and_then(|(_, intervals)| intervals.last());
        end.is_none_or(|last| last.end <= now)
    };
    let absent = statement.absent.iter().filter(in_span);
    let (over, to_come): (Vec<&Hour>, Vec<&Hour>) = absent.partition(is_over);
    if !to_come.is_empty() {
        let hours = text::plural(to_come.len() as u64, "hour is", "hours are");
        lacks.push(format!("the day is not over: {hours} still to come"));
    }
    let absent = over.len() as u64;
    if 0 < absent {
        let hours = text::plural(absent, "hour is", "hours are");
        lacks.push(format!("{hours} not merged yet"));
    }
    let lines = ledger::read(&RealDisk, vault)?;
    for said in &statement.hours {
        let mut revisions = statement.revisions.iter().map(|revision| &revision.of);
        let is_in_ledger =
            |of: &Committed| of.hour != said.hour || lines.iter().any(|line| line.is_of(of));
        if !revisions.all(is_in_ledger) {
            lacks.push(format!(
                "{}: its manifests are not what the ledger has; `twinstream verify` tells more",
                said.hour
            ));
        }
    }
    Ok(lacks)
}

/// Whose data is late: one sentence for each server, with its partitions if the stream has some.
fn late_servers<'a>(late: impl Iterator<Item = &'a str>) -> Vec<String> {
    let legs = late.filter_map(|leg| leg.parse::<Leg>().ok());
    let mut servers: BTreeMap<ServerId, BTreeSet<Partition>> = BTreeMap::new();
    for Leg { server, partition } in legs {
        servers.entry(server).or_default().extend(partition);
    }
    let told = servers.into_iter().map(|(server, partitions)| {
        let partitions: Vec<Partition> = partitions.into_iter().collect();
        let of = match &*partitions {
            [] => String::new(),
            some => format!(" ({})", Partition::words(some)),
        };
        format!("data of server {server} is late{of}")
    });
    told.collect()
}

/// Puts the files of a report in place.
fn write(vault: &Path, statement: &Statement) -> Result<(), Failure> {
    for file in files::REPORTED {
        let path = Public::Day(statement.day, file).path(vault);
        let text = files::text(statement, file);
        disk::put(&RealDisk, &path, text.as_bytes()).map_err(|why| {
            Failure::new(
                Exit::Failed,
                format!(
                    "cannot write: {}",
                    crate::world::error_at::placed(&path, &why)
                ),
            )
        })?;
    }
    Ok(())
}

/// The day's report in the vault.
fn report(vault: &Path, day: Day) -> Result<String, Failure> {
    let path = layout::report_path(vault, day);
    let bytes = disk::read_bounded(&RealDisk, &path, REPORT_BYTES_MAX).map_err(|why| {
        Failure::new(
            Exit::Failed,
            format!(
                "cannot read the report: {}",
                crate::world::error_at::placed(&path, &why)
            ),
        )
        .hint("the next `twinstream merge` that commits an hour of the day writes it again")
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn aligned(report: &str) -> String {
    let rows: Vec<Vec<String>> = report
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    text::table(&rows, &(0..columns).collect::<Vec<usize>>())
}

/// Puts the mail into the queue, and sends what waits there, unless the service does.
fn mail(
    (setup, vault): (&Setup, &Vault),
    mailer: &Mailer,
    statement: &Statement,
) -> Result<(), Failure> {
    let data_dir = &setup.settings.data_dir;
    let now = setup.clock.now();
    let of = mail_texts::DayMail {
        server: &setup.this_server()?.id,
        day: statement.day,
        headline: &certificate::headline(statement),
    };
    daily::put(&RealDisk, data_dir, vault, of, now)?;
    match Lock::take(data_dir, "mail", now) {
        Ok(_lock) => {
            // what is not taken now waits for the service, or for the next time
            if mailer.send_due(&mut Way::default())? == 0 {
                return Err(Failure::new(
                    Exit::Unreachable,
                    "the mail waits to be sent, or to be accepted for all of its recipients",
                ));
            }
        }
        Err(LockError::Taken { .. }) => tracing::info!("the service sends the mail"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn told<'a>(statement: &'a Statement, lacks: &'a [String], args: &ReportArgs) -> Told<'a> {
    let Share { sum, books, .. } = &statement.union;
    let written = files::REPORTED.map(|file| Public::Day(statement.day, file).name());
    Told {
        day: statement.day,
        complete: lacks.is_empty(),
        lacks,
        hours: statement.hours.iter().map(|said| said.hour).collect(),
        absent: &statement.absent,
        posts: books.posts,
        seconds: statement.seconds,
        seconds_committed: statement.committed,
        seconds_covered: sum.covered,
        seconds_quiet: sum.quiet,
        seconds_partial: sum.partial,
        seconds_missing: sum.missing,
        gaps: statement.gaps_of(UNION).collect(),
        estimate: statement.estimate.as_ref(),
        witness: statement.witness.as_ref(),
        files: written.into(),
        renewed: Vec::new(),
        mailed: args.mail && !args.dry_run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_twenty_late_legs_one_sentence_tells() {
        let legs: Vec<String> = (1..=20).map(|number| format!("2.{number:02}")).collect();
        let late = legs.iter().map(String::as_str).chain(["3.07", "4", "2.05"]);
        let expected = [
            "data of server 2 is late (partitions 1-20)",
            "data of server 3 is late (partition 7)",
            "data of server 4 is late",
        ];
        assert_eq!(late_servers(late), expected);
    }
}
