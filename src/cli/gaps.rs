//! `gaps`: what is missing, since when, until when, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    str::FromStr,
};

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::Global,
    output,
    setup::{self, Setup},
    store,
    vault_there::VaultThere,
};
use crate::{
    cover::{
        cause::Cause,
        gap::{self, Gap},
    },
    period::{Day, Hour, Interval, UtcMs, Zone},
    place::{decide::Asks, s3::address::Address},
    segment::name::Partition,
    text::plural,
    vault::{day, layout, manifest::HourSaid},
    world::disk::RealDisk,
};

/// Lists the gaps of the archive: which server missed which seconds, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream gaps                                        all of them, as a table
  twinstream gaps --since 2026-11-23 --until 2026-11-23  one day of the vault's time zone
  twinstream gaps --since 2026-11-23_14 --csv            from that hour on
  twinstream gaps --since 2026-11-23T14:05:09Z --json

`union` are the gaps that no server covers. Gaps are cut at --since and --until, and joined across
hours and days. Only committed hours are listed; a `late` gap closes once the late data has arrived
and is merged. A vault in an object store is read there; if the store does not answer, the copy on
this machine is read.")]
pub(crate) struct GapsArgs {
    /// The begin: a day, an hour (YYYY-MM-DD_HH), or a time in UTC
    #[arg(long, value_name = "T")]
    since: Option<Moment>,
    /// The end: a day or an hour (including it), or a time in UTC
    #[arg(long, value_name = "T")]
    until: Option<Moment>,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All time.
const EVER: Interval = Interval {
    begin: UtcMs(i64::MIN),
    end: UtcMs(i64::MAX),
};

/// A time as a person writes it.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Day(Day),
    Hour(Hour),
    Instant(UtcMs),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = text.parse().map(Self::Day);
        let hour = || text.parse().map(Self::Hour);
        let instant = || text.parse().map(Self::Instant);
        day.or_else(|_| hour())
            .or_else(|_| instant())
            .map_err(|_told_by_all_forms| {
                format!(
                    "{text:?} is not a time (2026-11-23, 2026-11-23_14 or 2026-11-23T14:05:09Z)"
                )
            })
    }
}

impl Moment {
    /// The UTC time that it stands for; an instant is both begin and end.
    fn interval(self, zone: &Zone) -> Option<Interval> {
        let hours = match self {
            Self::Instant(at) => {
                return Some(Interval { begin: at, end: at });
            }
            Self::Hour(hour) => zone.intervals(hour),
            Self::Day(day) => day.hours().flat_map(|hour| zone.intervals(hour)).collect(),
        };
        Some(Interval {
            begin: hours.first()?.begin,
            end: hours.last()?.end,
        })
    }
}

/// A gap as JSON has it.
#[derive(Serialize)]
struct Row<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "<[Partition]>::is_empty")]
    partitions: &'a [Partition],
    begin: UtcMs,
    end: UtcMs,
    seconds: i64,
    cause: Cause,
    detail: &'a str,
}

pub(crate) fn run(global: &Global, args: &GapsArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let settings = &setup.settings;
    let zone = &settings.merge.timezone;
    let edge = |moment: Moment| {
        let interval = moment.interval(zone);
        let what = format!("there is no such time in {}", zone.name());
        interval.ok_or_else(|| Failure::new(Exit::Usage, what))
    };
    let (since, until) = (args.since.map(edge), args.until.map(edge));
    let asked = Interval {
        begin: since.transpose()?.map_or(EVER.begin, |since| since.begin),
        end: until.transpose()?.map_or(EVER.end, |until| until.end),
    };
    if asked.end <= asked.begin {
        return Err(Failure::new(Exit::Usage, "--until is before --since"));
    }
    let (found, of) = if let Some(address) = &settings.vault_store {
        find_in_store(&setup, address, asked)?
    } else {
        let vault = setup.vault(Asks::Look)?;
        let of = vault.display().to_string();
        (find_in_folder(&vault, zone, asked)?, of)
    };
    let is_committed = found.is_some();
    let gaps = found.unwrap_or_default();
    if args.json {
        output::print_json(&gaps.iter().map(row).collect::<Vec<Row<'_>>>())?;
    } else if args.csv {
        output::print(&day::gaps_text(&gaps))?;
    } else if is_committed {
        output::print(&table(&gaps))?;
    }
    // as JSON or CSV, it is an empty list
    if is_committed {
        Ok(Exit::Done)
    } else {
        tracing::info!("no hour of that time is committed in {of}");
        Ok(Exit::NothingToDo)
    }
}

fn row(gap: &Gap) -> Row<'_> {
    Row {
        server: &gap.server,
        partitions: &gap.partitions,
        begin: gap.begin,
        end: gap.end,
        seconds: gap.seconds(),
        cause: gap.cause,
        detail: &gap.detail,
    }
}

/// The gaps of a time, joined; `None` if no hour of it is committed.
type Found = Option<Vec<Gap>>;

fn find_in_folder(vault: &Path, zone: &Zone, asked: Interval) -> Result<Found, Failure> {
    let days = layout::days(&RealDisk, vault)?;
    find(days, zone, asked, &|day| {
        let folder = layout::day_folder(vault, day);
        Ok(day::hours_in(&RealDisk, &folder, day)?)
    })
}

/// The same of a vault in an object store, and which vault that was: while nobody answers there, its copy here.
fn find_in_store(
    setup: &Setup,
    address: &Address,
    asked: Interval,
) -> Result<(Found, String), Failure> {
    let why = match find_there(setup, address, asked) {
        Err(why) if why.exit == Exit::Unreachable => why,
        found => return Ok((found?, address.to_string())),
    };
    let copy = setup.vault(Asks::Look)?;
    if copy.id().is_none() {
        return Err(why);
    }
    let of = copy.display().to_string();
    tracing::warn!("{}; this is what the copy in {of} has", why.what);
    let zone = &setup.settings.merge.timezone;
    Ok((find_in_folder(&copy, zone, asked)?, of))
}

fn find_there(setup: &Setup, address: &Address, asked: Interval) -> Result<Found, Failure> {
    let Some(there) = VaultThere::open(setup, address)? else {
        return Ok(None);
    };
    let zone = &setup.settings.merge.timezone;
    let day = |at: UtcMs| zone.hour_of(at).day();
    let first = (asked.begin != EVER.begin).then(|| day(asked.begin));
    // nobody has committed what is still to come, however far clocks are apart
    let end = asked.end.min(setup.clock.now().plus_ms(86_400_000));
    let manifests = there.manifests();
    let latest = manifests.latest(first, Some(day(end)));
    let latest = latest.map_err(|why| store::vault_failure(&why))?;
    let mut of_day: BTreeMap<Day, Vec<(Hour, u64)>> = BTreeMap::new();
    for (hour, revision) in latest {
        of_day.entry(hour.day()).or_default().push((hour, revision));
    }
    let days: BTreeSet<Day> = of_day.keys().copied().collect();
    find(days, zone, asked, &|day| {
        let hours = of_day.get(&day).into_iter().flatten();
        let said = hours.map(|(hour, revision)| {
            let bytes = manifests.bytes(*hour, *revision);
            let bytes = bytes.map_err(|why| store::vault_failure(&why))?;
            let said = serde_json::from_slice::<HourSaid>(&bytes).map_err(std::io::Error::from)?;
            Ok(said)
        });
        said.collect()
    })
}

/// Looks through the hours of those of these days that the time touches.
fn find(
    days: impl IntoIterator<Item = Day>,
    zone: &Zone,
    asked: Interval,
    hours_of: &dyn Fn(Day) -> Result<Vec<HourSaid>, Failure>,
) -> Result<Found, Failure> {
    let touches = |interval: &Interval| interval.begin < asked.end && asked.begin < interval.end;
    let mut found: Vec<Gap> = Vec::new();
    let mut is_committed = false;
    for day in days {
        let of_day = day.hours().flat_map(|hour| zone.intervals(hour));
        if !of_day.into_iter().any(|interval| touches(&interval)) {
            continue;
        }
        for hour in hours_of(day)? {
            is_committed |= hour.intervals.iter().any(touches);
            found.extend(hour.gaps.into_iter().filter_map(|gap| cut(gap, asked)));
        }
    }
    Ok(is_committed.then(|| gap::join(&found)))
}

/// The part of a gap in the requested time.
fn cut(gap: Gap, asked: Interval) -> Option<Gap> {
    let (begin, end) = (gap.begin.max(asked.begin), gap.end.min(asked.end));
    (begin < end).then_some(Gap { begin, end, ..gap })
}

fn table(gaps: &[Gap]) -> String {
    let mut text = format!(
        "{:<16}  {:<20}  {:<20}  {:>9}  {:<19}  detail\n",
        "server", "begin", "end", "seconds", "cause"
    );
    let second = |at: UtcMs| at.to_string().replace(".000Z", "Z");
    let mut totals: Vec<(&str, u64, i64)> = Vec::new();
    for gap in gaps {
        let line = format!(
            "{:<16}  {:<20}  {:<20}  {:>9}  {:<19}  {}",
            gap.server,
            second(gap.begin),
            second(gap.end),
            gap.seconds(),
            gap.cause,
            gap.detail
        );
        text += line.trim_end();
        text.push('\n');
        match totals.last_mut() {
            Some((server, count, seconds)) if *server == gap.server => {
                *count += 1;
                *seconds += gap.seconds();
            }
            _ => totals.push((&gap.server, 1, gap.seconds())),
        }
    }
    text.push('\n');
    for (server, count, seconds) in totals {
        // writing to a text cannot fail
        let _never = writeln!(
            text,
            "{server:<16}  {}, {seconds} s",
            plural(count, "gap", "gaps")
        );
    }
    if gaps.is_empty() {
        text += "no gaps\n";
    }
    text
}
