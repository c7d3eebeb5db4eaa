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
        gap::{self, Gap, UNION},
    },
    period::{Day, Hour, Interval, UtcMs, Zone},
    place::{decide::Asks, s3::address::Address},
    segment::name::{Leg, Partition},
    text::{self, plural},
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

`union` marks what no server covers. Gaps are cut at --since and --until, and joined across
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

/// Gaps of two legs that begin and end so near to each other are alike: which second of a cut a post stood in last is
/// chance.
const NEAR_MS: i64 = 2_000;

/// Where a stream comes in partitions, gaps of one cause that are less apart are one line.
const APART_MS: i64 = 60_000;

/// A line of the table: a gap, or gaps of several legs of a server that are alike, or short ones that follow each other.
struct Line<'a> {
    /// The server, or the union.
    of: &'a str,
    /// Its legs that have the gap.
    partitions: Vec<Partition>,
    begin: UtcMs,
    end: UtcMs,
    /// Of the first leg.
    seconds: i64,
    gaps: u64,
    cause: Cause,
    detail: &'a str,
}

impl Line<'_> {
    fn is_like(&self, other: &Self) -> bool {
        (self.of, self.cause, self.detail) == (other.of, other.cause, other.detail)
    }

    /// `1`, `1.07`, `1.01-20`, `union`
    fn name(&self) -> String {
        let of = self.of;
        let runs = text::runs(
            &self.partitions,
            |a, b| a.number() + 1 == b.number(),
            |one| format!("{of}.{one}"),
            |first, last| format!("{of}.{first}-{last}"),
        );
        if runs.is_empty() {
            of.to_owned()
        } else {
            runs.join(",")
        }
    }

    fn detail(&self) -> String {
        match (self.gaps, self.detail) {
            (1, detail) => detail.to_owned(),
            (gaps, "") => format!("{gaps} gaps"),
            (gaps, detail) => format!("{detail}; {gaps} gaps"),
        }
    }
}

/// The server of a gap, which may be that of a leg; or the union.
fn server_of(gap: &Gap) -> &str {
    let server = gap.server.split('.').next();
    server.unwrap_or_default()
}

/// The lines of a stream in partitions, where twenty legs may lack the same.
fn lines(gaps: &[Gap]) -> Vec<Line<'_>> {
    fn of_gap(gap: &Gap) -> Line<'_> {
        let leg: Option<Leg> = gap.server.parse().ok();
        Line {
            of: server_of(gap),
            partitions: leg.and_then(|leg| leg.partition).into_iter().collect(),
            begin: gap.begin,
            end: gap.end,
            seconds: gap.seconds(),
            gaps: 1,
            cause: gap.cause,
            detail: &gap.detail,
        }
    }
    let mut all: Vec<Line<'_>> = gaps.iter().map(of_gap).collect();
    // the union last, as before
    all.sort_by_key(|line| (line.of == UNION, line.of, line.begin));
    let mut alike: Vec<Line<'_>> = Vec::new();
    for line in all {
        let is_near = |a: UtcMs, b: UtcMs| a.0.abs_diff(b.0) <= NEAR_MS.unsigned_abs();
        let of_another_leg = |known: &Line<'_>| {
            let mut partitions = line.partitions.iter();
            !line.partitions.is_empty() && !partitions.any(|one| known.partitions.contains(one))
        };
        let mut recent = (alike.iter_mut().rev())
            .take_while(|known| known.of == line.of && is_near(known.begin, line.begin));
        let found = recent.find(|known| {
            known.is_like(&line) && is_near(known.end, line.end) && of_another_leg(known)
        });
        match found {
            Some(known) => known.partitions.extend(line.partitions),
            None => alike.push(line),
        }
    }
    let mut told: Vec<Line<'_>> = Vec::new();
    for mut line in alike {
        line.partitions.sort_unstable();
        let mut recent = told.iter_mut().rev();
        let before =
            recent.find(|known| known.of == line.of && known.partitions == line.partitions);
        match before {
            Some(known) if known.is_like(&line) && line.begin.0 - known.end.0 < APART_MS => {
                known.end = line.end;
                known.seconds += line.seconds;
                known.gaps += 1;
            }
            _ => told.push(line),
        }
    }
    told
}

fn table(gaps: &[Gap]) -> String {
    let has_partitions = |gap: &Gap| gap.server.contains('.') || !gap.partitions.is_empty();
    if gaps.iter().any(has_partitions) {
        return by_legs(gaps);
    }
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

/// The table of a stream in partitions.
fn by_legs(gaps: &[Gap]) -> String {
    let second = |at: UtcMs| at.to_string().replace(".000Z", "Z");
    let head = ["leg", "begin", "end", "seconds", "cause", "detail"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(lines(gaps).iter().map(|line| {
        vec![
            line.name(),
            second(line.begin),
            second(line.end),
            line.seconds.to_string(),
            line.cause.to_string(),
            line.detail(),
        ]
    }));
    let mut totals: Vec<(&str, BTreeSet<&str>, u64, i64)> = Vec::new();
    for gap in gaps {
        let of = server_of(gap);
        let place = totals.iter().position(|(known, ..)| *known == of);
        let place = place.unwrap_or_else(|| {
            totals.push((of, BTreeSet::new(), 0, 0));
            totals.len() - 1
        });
        if let Some((_, legs, count, seconds)) = totals.get_mut(place) {
            legs.insert(&gap.server);
            *count += 1;
            *seconds += gap.seconds();
        }
    }
    let mut text = text::table(&rows, &[3]) + "\n";
    for (of, legs, count, seconds) in totals {
        let gaps = plural(count, "gap", "gaps");
        let words = match legs.len() as u64 {
            1 if legs.contains(of) => format!("{of:<10}  {gaps}, {seconds} s"),
            legs => format!(
                "server {of:<3}  {gaps} of {}, {seconds} s of all of them",
                plural(legs, "leg", "legs")
            ),
        };
        text.extend([&*words, "\n"]);
    }
    text + "\nLegs of a server that lack the same (within 2 s) are one line, and so are gaps with one cause that are less than a\n\
            minute apart; `seconds` are those of one leg without the time in between. --csv and --json list every gap.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_that_lack_the_same_and_short_gaps_in_a_row_are_one_line() {
        let gap = |leg: &str, begin: i64, end: i64, cause, partitions: &[u8]| Gap {
            server: leg.to_owned(),
            partitions: partitions
                .iter()
                .filter_map(|one| Partition::new(*one))
                .collect(),
            begin: UtcMs(1_000 * begin),
            end: UtcMs(1_000 * end),
            cause,
            detail: String::new(),
        };
        let mut gaps = Vec::new();
        for number in 1..=20 {
            let leg = format!("1.{number:02}");
            if number == 3 {
                gaps.extend([10, 15, 20, 200].map(|at| gap(&leg, at, at + 1, Cause::Stall, &[])));
            }
            let late = i64::from(number % 2);
            gaps.push(gap(&leg, 1_000 + late, 2_000, Cause::Network, &[]));
        }
        gaps.push(gap("2.05", 5, 6, Cause::Stall, &[]));
        gaps.push(gap("union", 1_001, 2_000, Cause::Network, &[5]));
        let found = lines(&gaps);
        let told: Vec<String> = found
            .iter()
            .map(|line| {
                format!(
                    "{} {} {} {}",
                    line.name(),
                    line.begin.second(),
                    line.seconds,
                    line.detail()
                )
            })
            .collect();
        let expected = [
            "1.03 10 3 3 gaps",
            "1.03 200 1 ",
            "1.01-20 1000 1000 ",
            "2.05 5 1 ",
            "union 1001 999 ",
        ];
        assert_eq!(told, expected);
        let text = table(&gaps);
        assert!(text.contains("server 1    24 gaps of 20 legs"), "{text}");
        assert!(text.lines().count() < 15, "{text}");
        let whole = [
            gap("1", 0, 5, Cause::Stall, &[]),
            gap("1", 7, 9, Cause::Stall, &[]),
        ];
        assert!(
            table(&whole).contains("2 gaps, 7 s"),
            "each by itself: {}",
            table(&whole)
        );
    }
}
