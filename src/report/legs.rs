//! Reports many legs: a stream with partitions may have eighty. Legs of a server with the same gaps are combined.
//! Pure.

use std::collections::BTreeMap;

use super::statement::{Share, Statement};
use crate::{
    cover::gap::{Gap, UNION},
    segment::name::{Leg, Partition, ServerId},
    source::Sources,
    text::{self, percent, plural, table, thousands, wrapped},
};

/// Up to this many legs, or servers, are reported one by one.
const SINGLE_MAX: usize = 8;

/// Gaps of two legs that begin and end so near to each other are alike: which second of a cut a post stood in last is chance.
const NEAR_S: i64 = 2;

/// Servers that are named in a row.
const NAMED_MAX: usize = 3;

/// Legs of a server that lack the same.
pub(super) struct Alike<'a> {
    pub(super) legs: Vec<&'a Leg>,
    /// What the first of them has.
    pub(super) share: &'a Share,
    /// The gaps of the first of them.
    pub(super) gaps: Vec<&'a Gap>,
}

impl Alike<'_> {
    /// `1`, `1.07`, `1.01-1.20`, `1.01-1.06, 1.08`
    pub(super) fn name(&self) -> String {
        let runs = text::runs(
            &self.legs,
            |a, b| number(a) + 1 == number(b),
            ToString::to_string,
            |first, last| format!("{first}-{last}"),
        );
        runs.join(", ")
    }

    /// The subject of a sentence: `Server 1`, `Each of the legs 1.01-1.20`.
    pub(super) fn subject(&self) -> String {
        match self.legs.as_slice() {
            [_] => format!("Server {}", self.name()),
            _ => format!("Each of the legs {}", self.name()),
        }
    }

    fn has(&self, leg: &Leg, gaps: &[&Gap]) -> bool {
        let is_near = |a: &Gap, b: &Gap| {
            let apart = |a: i64, b: i64| a.abs_diff(b) <= NEAR_S.unsigned_abs();
            a.cause == b.cause
                && apart(a.begin.second(), b.begin.second())
                && apart(a.end.second(), b.end.second())
        };
        let is_of_it = self
            .legs
            .first()
            .is_some_and(|first| first.server == leg.server);
        is_of_it
            && self.gaps.len() == gaps.len()
            && self.gaps.iter().zip(gaps).all(|(a, b)| is_near(a, b))
    }
}

fn number(leg: &Leg) -> u8 {
    leg.partition.map_or(0, Partition::number)
}

/// Whether legs stand together: each has its own place as long as they are few.
fn are_many(statement: &Statement) -> bool {
    statement.has_partitions() && SINGLE_MAX < statement.servers.len()
}

/// All legs, by server and partition; those that lack the same together, if there are many.
pub(super) fn alike(statement: &Statement) -> Vec<Alike<'_>> {
    let are_many = are_many(statement);
    let mut gaps: BTreeMap<&str, Vec<&Gap>> = BTreeMap::new();
    for gap in &statement.gaps {
        gaps.entry(&gap.server).or_default().push(gap);
    }
    let mut all: Vec<Alike<'_>> = Vec::new();
    for (leg, share) in &statement.servers {
        let gaps = gaps.remove(&*leg.to_string()).unwrap_or_default();
        match all
            .iter_mut()
            .find(|alike| are_many && alike.has(leg, &gaps))
        {
            Some(alike) => alike.legs.push(leg),
            None => all.push(Alike {
                legs: vec![leg],
                share,
                gaps,
            }),
        }
    }
    all
}

/// Those that are reported by themselves: of many legs, those that lack the most. For the others, a sentence.
pub(super) fn worth_telling(
    statement: &Statement,
    most: usize,
) -> (Vec<Alike<'_>>, Option<String>) {
    let all = alike(statement);
    if !are_many(statement) {
        return (all, None);
    }
    let (whole, mut lacking): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|alike| alike.gaps.is_empty());
    lacking.sort_by_key(|alike| std::cmp::Reverse(alike.share.in_gaps()));
    let beyond: usize = lacking
        .iter()
        .skip(most)
        .map(|alike| alike.legs.len())
        .sum();
    lacking.truncate(most);
    lacking.sort_by_key(|alike| alike.legs.first().copied());
    let mut words = Vec::new();
    if !whole.is_empty() {
        let count: usize = whole.iter().map(|alike| alike.legs.len()).sum();
        let names: Vec<String> = whole.iter().map(Alike::name).collect();
        let has = plural(count as u64, "leg has", "legs have");
        words.push(format!("{has} every second: {}.", names.join(", ")));
    }
    if 0 < beyond {
        let lack = plural(beyond as u64, "leg lacks", "legs lack");
        words.push(format!(
            "{lack} at most as much as these; the day's gaps.csv has all gaps."
        ));
    }
    let words = (!words.is_empty()).then(|| words.join(" "));
    (lacking, words)
}

/// How many servers the legs are of.
pub(super) fn servers(statement: &Statement) -> usize {
    let servers = statement.servers.keys().map(|leg| &leg.server);
    servers
        .collect::<std::collections::BTreeSet<&ServerId>>()
        .len()
}

const HEAD: [&str; 7] = [
    "covered",
    "quiet",
    "partial",
    "in gaps",
    "gaps",
    "posts",
    "only there",
];

/// The table of what each leg, and all together, have.
pub(super) fn has(statement: &Statement) -> String {
    if are_many(statement) {
        return by_server(statement) + "\n" + &by_partition(statement);
    }
    let mut rows = vec![row("", &HEAD)];
    rows.push(of_share("together", &statement.union, None));
    for (leg, share) in &statement.servers {
        rows.push(of_share(
            &format!("server {leg}"),
            share,
            Some(share.books.only_here),
        ));
    }
    let words = "Seconds, gaps and posts of each leg. Its name has the server and, after the dot, the partition.";
    told(statement, &rows, words)
}

fn row(name: &str, cells: &[&str]) -> Vec<String> {
    let cells = cells.iter().map(|cell| (*cell).to_owned());
    std::iter::once(name.to_owned()).chain(cells).collect()
}

fn of_share(name: &str, share: &Share, alone: Option<u64>) -> Vec<String> {
    let sum = &share.sum;
    let numbers = [
        sum.covered,
        sum.quiet,
        sum.partial,
        sum.missing,
        share.gaps,
        share.books.posts,
    ];
    let mut row = vec![name.to_owned()];
    row.extend(numbers.map(thousands));
    row.push(alone.map(thousands).unwrap_or_default());
    row
}

fn told(statement: &Statement, rows: &[Vec<String>], words: &str) -> String {
    let covered = Sources::words_of(&statement.stream).covered("For one leg, a second");
    let words = format!(
        "{words} For all servers together, a second is covered if each partition that is collected in its hour is \
         covered by some server. \
         {covered}, for the partitions that two servers have."
    );
    let right: Vec<usize> = (1..rows.first().map_or(0, Vec::len)).collect();
    format!("{}\n{}", table(rows, &right), wrapped(&words, "", 100))
}

/// The table of many legs, by server. Seconds of several legs are no seconds of the day, so the table has their share.
fn by_server(statement: &Statement) -> String {
    let mut servers: BTreeMap<&ServerId, (u64, u64, Share)> = BTreeMap::new();
    for (leg, share) in &statement.servers {
        let (legs, whole, all) = servers.entry(&leg.server).or_default();
        *legs += 1;
        *whole += u64::from(share.gaps == 0);
        all.sum.covered += share.sum.covered;
        all.sum.missing += share.sum.missing;
        all.gaps += share.gaps;
        all.books.posts += share.books.posts;
        all.books.only_here += share.books.only_here;
    }
    let cells = |of: &Share| {
        let share = percent(of.sum.covered, of.sum.covered + of.sum.missing);
        [share, thousands(of.gaps), thousands(of.books.posts)]
    };
    let [covered, gaps, posts] = cells(&statement.union);
    let mut rows = vec![
        row(
            "",
            &["legs", "whole", "covered", "gaps", "posts", "only there"],
        ),
        row("together", &["", "", &covered, &gaps, &posts, ""]),
    ];
    for (server, (legs, whole, all)) in &servers {
        let ([legs, whole], [covered, gaps, posts]) = ([*legs, *whole].map(thousands), cells(all));
        let alone = thousands(all.books.only_here);
        let cells = [&legs, &whole, &covered, &gaps, &posts, &alone].map(String::as_str);
        rows.push(row(&format!("server {server}"), &cells));
    }
    told(
        statement,
        &rows,
        "A leg is a server's connection to a partition; one without a gap is whole. Of a server, the table has the \
         covered share of the seconds of all its legs, and how many gaps and posts they have; a gap of ten legs at \
         the same time counts ten times.",
    )
}

/// The table of many legs, by partition.
fn by_partition(statement: &Statement) -> String {
    let mut partitions: BTreeMap<Partition, Vec<(u64, &Leg)>> = BTreeMap::new();
    for (leg, share) in &statement.servers {
        if let Some(partition) = leg.partition {
            let legs = partitions.entry(partition).or_default();
            legs.push((share.in_gaps(), leg));
        }
    }
    let mut nobody: BTreeMap<Partition, u64> = BTreeMap::new();
    for gap in statement.gaps_of(UNION) {
        for partition in &gap.partitions {
            *nobody.entry(*partition).or_default() += u64::try_from(gap.seconds()).unwrap_or(0);
        }
    }
    for (hours, partitions) in statement.uncollected() {
        let of_hours = statement
            .hours
            .iter()
            .filter(|said| hours.contains(&said.hour));
        let seconds: u64 = of_hours.map(|said| said.coverage.union.seconds).sum();
        for partition in partitions {
            *nobody.entry(partition).or_default() += seconds;
        }
    }
    let mut rows = vec![row(
        "partition",
        &["nobody has", "servers", "of these lack"],
    )];
    for (partition, mut legs) in partitions {
        let count = legs.len() as u64;
        legs.retain(|(seconds, _)| 0 < *seconds);
        legs.sort_by_key(|(seconds, leg)| (std::cmp::Reverse(*seconds), *leg));
        let mut lack: Vec<String> = legs
            .iter()
            .take(NAMED_MAX)
            .map(|(seconds, leg)| format!("{}: {} s", leg.server, thousands(*seconds)))
            .collect();
        if NAMED_MAX < legs.len() {
            lack.push(format!("{} more", legs.len() - NAMED_MAX));
        }
        let nobody = nobody.get(&partition).copied().unwrap_or(0);
        let lack = if lack.is_empty() {
            "nothing".to_owned()
        } else {
            lack.join("; ")
        };
        let cells = [format!("{} s", thousands(nobody)), thousands(count), lack];
        let name = std::iter::once(partition.to_string());
        rows.push(name.chain(cells).collect());
    }
    table(&rows, &[1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cover::{cause::Cause, seconds::Covered},
        period::{Day, Hour, Interval, UtcMs, Zone},
        report::{
            certificate, picture, readme,
            statement::{DaySaid, Statement},
        },
        vault::manifest::{
            Conflicts, Counts, Coverage, HourSaid, Minutes, ServerCounts, TotalCounts,
        },
    };

    /// What a leg lacks: from and to, in seconds of the day, and why.
    type Lacks = Vec<(i64, i64, Cause)>;

    /// Where an hour's part of something begins and ends.
    fn within(begin: i64, (from, to): (i64, i64)) -> (i64, i64) {
        let of_hour = |second: i64| second.clamp(begin, begin + 3_600);
        (of_hour(from), of_hour(to))
    }

    fn covered(intervals: &[Interval], begin: i64, lacks: &Lacks) -> Covered {
        let mut bits = vec![true; 3_600];
        for (from, to, _) in lacks {
            let (from, to) = within(begin, (*from, *to));
            let place = |second: i64| usize::try_from(second - begin).unwrap();
            bits[place(from)..place(to)].fill(false);
        }
        Covered::of(intervals, None, &bits, &[false; 3_600])
    }

    fn gaps(
        of: &str,
        partition: Option<Partition>,
        (day, begin): (i64, i64),
        lacks: &Lacks,
    ) -> Vec<Gap> {
        let gap = |(from, to, cause): &(i64, i64, Cause)| {
            let (from, to) = within(begin, (*from, *to));
            (from < to).then(|| Gap {
                server: of.to_owned(),
                partitions: partition.into_iter().collect(),
                begin: UtcMs((day + from) * 1_000),
                end: UtcMs((day + to) * 1_000),
                cause: *cause,
                detail: String::new(),
            })
        };
        lacks.iter().filter_map(gap).collect()
    }

    fn hour(hour: Hour, day: i64, legs: &BTreeMap<Leg, Lacks>) -> HourSaid {
        let intervals = Zone::named("UTC").unwrap().intervals(hour);
        let begin = intervals[0].begin.second() - day;
        let of_leg =
            |(leg, lacks): (&Leg, &Lacks)| (leg.clone(), covered(&intervals, begin, lacks));
        let servers: BTreeMap<Leg, Covered> = legs.iter().map(of_leg).collect();
        let count = |(leg, covered): (&Leg, &Covered)| {
            let counts = ServerCounts {
                posts: covered.covered * 300,
                lines: covered.covered * 300,
                ..ServerCounts::default()
            };
            (leg.clone(), counts)
        };
        let counts = servers.iter().map(count).collect();
        // of partition 12 everybody lacks the same
        let of_12 = Lacks::from([(60_000, 60_090, Cause::Refused)]);
        let of_leg =
            |(leg, lacks): (&Leg, &Lacks)| gaps(&leg.to_string(), None, (day, begin), lacks);
        let mut all: Vec<Gap> = legs.iter().flat_map(of_leg).collect();
        all.extend(gaps(UNION, Partition::new(12), (day, begin), &of_12));
        HourSaid {
            hour,
            program: "twinstream/0.1.0".to_owned(),
            stream: "firehose".to_owned(),
            timezone: "UTC".to_owned(),
            counts: Counts {
                servers: counts,
                total: TotalCounts {
                    posts: 20 * 3_600 * 300,
                    ..TotalCounts::default()
                },
            },
            outputs: Vec::new(),
            minutes: Minutes::default(),
            coverage: Coverage {
                servers,
                union: covered(&intervals, begin, &of_12),
                began: None,
            },
            intervals,
            gaps: all,
            rules: None,
            collections: None,
            estimate: None,
            backfills: Vec::new(),
            residues: Vec::new(),
            conflicts: Conflicts::default(),
            redactions: BTreeMap::new(),
            deletions: BTreeMap::new(),
        }
    }

    /// A day of four servers with twenty partitions each: server 2 is down in the morning, partition 12 is refused everywhere, and
    /// legs of server 3 have trouble of their own.
    fn eighty_legs() -> Statement {
        legs_of(20)
    }

    fn legs_of(partitions: u8) -> Statement {
        let day: Day = "2026-11-23".parse().unwrap();
        let mut legs: BTreeMap<Leg, Lacks> = BTreeMap::new();
        for server in ["1", "2", "3", "4"] {
            for partition in (1..=partitions).filter_map(Partition::new) {
                let number = i64::from(partition.number());
                let mut lacks = Lacks::new();
                if server == "2" {
                    lacks.push((18_600 + number % 2, 41_100 - number % 2, Cause::NotRunning));
                }
                if number == 12 {
                    lacks.push((60_000, 60_090, Cause::Refused));
                }
                if server == "3" && number % 2 == 0 {
                    lacks.push((70_000 + 200 * number, 70_035 + 200 * number, Cause::Stall));
                }
                let leg = Leg {
                    server: server.parse().unwrap(),
                    partition: Some(partition),
                };
                legs.insert(leg, lacks);
            }
        }
        let hours = day.hours();
        let begin = Zone::named("UTC").unwrap().intervals(Hour(day.0 * 24))[0]
            .begin
            .second();
        let said = DaySaid {
            hours: hours.map(|of| hour(of, begin, &legs)).collect(),
            revisions: Vec::new(),
        };
        Statement::of(day, said).unwrap()
    }

    #[test]
    fn legs_that_lack_the_same_stand_together_and_whole_ones_in_a_sentence() {
        let statement = eighty_legs();
        assert_eq!((servers(&statement), statement.servers.len()), (4, 80));
        let (told, others) = worth_telling(&statement, 20);
        let names: Vec<String> = told.iter().map(Alike::name).collect();
        assert_eq!(names[..3], ["1.12", "2.01-2.11, 2.13-2.20", "2.12"]);
        assert_eq!(names.len(), 3 + 10 + 1, "{names:?}");
        let whole = "48 legs have every second: 1.01-1.11, 1.13-1.20, 3.01, 3.03, ";
        assert!(others.unwrap().starts_with(whole));
        let (told, others) = worth_telling(&statement, 2);
        assert_eq!(told.len(), 2, "those that lack the most");
        assert!(
            others
                .unwrap()
                .contains("12 legs lack at most as much as these")
        );
    }

    #[test]
    fn partitions_that_nobody_collects_are_named() {
        let of = |statement: &Statement| certificate::headline(statement).replace('\n', " ");
        let told = |partitions| of(&legs_of(partitions));
        let all = told(20);
        assert!(
            all.contains("in every partition by") && !all.contains("No server"),
            "{all}"
        );
        let some = told(17);
        for part in [
            "in every collected partition by",
            "No server collects partitions 18-20 of the 20 of the stream: their posts are in no second of this day.",
        ] {
            assert!(some.contains(part), "{part}: {some}");
        }
        // one that is added in hour 14, one that stopped in hour 20, and two that are in the manifests from hour 9 on, and
        // begin after it
        let mut added = legs_of(20);
        for said in &mut added.hours {
            let hour = said.hour.of_day();
            let legs = &mut said.coverage.servers;
            legs.retain(|leg, _| match number(leg) {
                18 => 14 <= hour,
                17 => hour <= 20,
                19 | 20 => 9 <= hour,
                _ => true,
            });
            let early = legs
                .iter_mut()
                .filter(|(leg, _)| 18 < number(leg) && hour == 9);
            for (_, of) in early {
                let end = said.intervals[0].end;
                *of = Covered::of(&said.intervals, Some(end), &[false; 3_600], &[false; 3_600]);
            }
        }
        let told = of(&added);
        for part in [
            "in every collected partition by",
            " In hours 00-09, no server collected partitions 19-20 of the 20 of the stream.",
            " In hours 00-13, no server collected partition 18 of the 20 of the stream.",
            " In hours 21-23, no server collected partition 17 of the 20 of the stream.",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let text = certificate::text(&added);
        let row = format!("18           {} s        4", thousands(14 * 3_600));
        assert!(text.contains(&row), "{text}");
    }

    #[test]
    fn a_day_of_eighty_legs_is_read_on_some_pages() {
        let statement = eighty_legs();
        let text = certificate::text(&statement);
        let svg = picture::svg(&statement);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() < 200, "{} lines", lines.len());
        assert!(
            lines.iter().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        for part in [
            "Each of the legs 2.01-2.11, 2.13-2.20 lacks 22,498 seconds in 1 gap",
            "together               99.89 %     1",
            "server 2    20      0  73.9",
            "12               90 s        4  2: 22,590 s; 3: 125 s; 1: 90 s; 1 more",
            "13                0 s        4  2: 22,498 s",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(svg.contains("2: 19 legs") && svg.contains("48 legs have every second"));
        let readme = readme::text(&statement);
        assert!(
            readme.contains("received by 4 servers") && readme.lines().count() < 150,
            "{readme}"
        );
    }
}
