//! `gaps`: what is missing, since when, until when, and why.

use std::{fmt::Write as _, path::Path, str::FromStr};

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::Global,
    output, setup, store,
};
use crate::{
    cover::{
        cause::Cause,
        gap::{self, Gap},
    },
    period::{Day, Hour, Interval, UtcMs, Zone},
    text::plural,
    vault::{day, layout},
    world::disk::RealDisk,
};

/// Prints the gaps of the archive: which server missed which seconds, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream gaps                                        all of them, as a table
  twinstream gaps --since 2026-11-23 --until 2026-11-23  one day of the vault's time zone
  twinstream gaps --since 2026-11-23_14 --csv            from that hour on
  twinstream gaps --since 2026-11-23T14:05:09Z --json

`union` is what no server has. Gaps are cut at --since and --until, and joined across hours and
days. Only hours that are committed are told of: `late` gaps close when what is late has come and
is merged.")]
pub(crate) struct GapsArgs {
    /// From then on: a day, an hour (YYYY-MM-DD_HH), or an instant of UTC
    #[arg(long, value_name = "T")]
    since: Option<Moment>,
    /// Until then: the end of a day or an hour, or an instant of UTC
    #[arg(long, value_name = "T")]
    until: Option<Moment>,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

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
                format!("{text:?} is no time (2026-11-23, 2026-11-23_14 or 2026-11-23T14:05:09Z)")
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
    let edge = |moment: Option<Moment>| moment.and_then(|moment| moment.interval(zone));
    let asked = Interval {
        begin: edge(args.since).map_or(UtcMs(i64::MIN), |since| since.begin),
        end: edge(args.until).map_or(UtcMs(i64::MAX), |until| until.end),
    };
    if asked.end <= asked.begin {
        return Err(Failure::new(Exit::Usage, "--until lies before --since"));
    }
    let vault = store::read_vault(&setup)?;
    let found = find(&vault, zone, asked)?;
    let is_committed = found.is_some();
    let gaps = found.unwrap_or_default();
    if args.json {
        output::print_json(&gaps.iter().map(row).collect::<Vec<Row<'_>>>())?;
    } else if args.csv {
        output::print(&day::gaps_text(&gaps))?;
    } else if is_committed {
        output::print(&table(&gaps))?;
    }
    // whoever reads JSON or CSV gets an empty list of it
    if is_committed {
        Ok(Exit::Done)
    } else {
        Ok(nothing(&vault))
    }
}

fn row(gap: &Gap) -> Row<'_> {
    Row {
        server: &gap.server,
        begin: gap.begin,
        end: gap.end,
        seconds: gap.seconds(),
        cause: gap.cause,
        detail: &gap.detail,
    }
}

fn nothing(vault: &Path) -> Exit {
    tracing::info!("no hour of that time is committed in {}", vault.display());
    Exit::NothingToDo
}

/// The gaps of a time, joined; `None` if no hour of it is committed.
fn find(vault: &Path, zone: &Zone, asked: Interval) -> Result<Option<Vec<Gap>>, Failure> {
    let touches = |interval: &Interval| interval.begin < asked.end && asked.begin < interval.end;
    let mut found: Vec<Gap> = Vec::new();
    let mut is_committed = false;
    for day in layout::days(&RealDisk, vault)? {
        let of_day = day.hours().flat_map(|hour| zone.intervals(hour));
        if !of_day.into_iter().any(|interval| touches(&interval)) {
            continue;
        }
        for hour in day::hours_in(&RealDisk, &layout::day_folder(vault, day), day)? {
            is_committed |= hour.intervals.iter().any(touches);
            found.extend(hour.gaps.into_iter().filter_map(|gap| cut(gap, asked)));
        }
    }
    Ok(is_committed.then(|| gap::join(&found)))
}

/// The part of a gap that lies in the time asked for.
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
