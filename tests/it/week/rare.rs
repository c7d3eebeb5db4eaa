//! A day in which posts are rare, with two hours without any and keep-alives in between. Nothing is missing but what the
//! faults took. If rules choose the posts, a silence is none; if a partition brings only few, a long silence is a gap.

use twinstream::{collect::pulse::Pulse, segment::event::WaitReason};

use super::*;

/// The platform sends an empty line after so much silence.
const KEEP_ALIVE_MS: i64 = 20_000;
const DAY_MS: i64 = DAY_S * 1_000;
/// So many days, unless `TWINSTREAM_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 6;
/// The longest time between two posts, of which one comes in a minute.
const A_POST_A_MINUTE: i64 = 120_000;
/// In these hours nothing is posted.
const SILENT: std::ops::Range<i64> = 5 * 3_600_000..7 * 3_600_000;

/// What a collector wrote, and what came.
struct Lived {
    begin: UtcMs,
    pulse: Pulse,
    files: BTreeMap<(u64, Minute), Vec<Event>>,
    run: u64,
    connection: u64,
    /// The seconds of posts that came, and how late each came.
    posts: Vec<(i64, i64)>,
}

impl Lived {
    fn at(&self, ms: i64) -> UtcMs {
        self.begin.plus_ms(ms)
    }

    fn tell(&mut self, ms: i64, what: EventKind) {
        let at = self.at(ms);
        for alive in self.pulse.over(at) {
            let end = alive.minute.end().plus_ms(-1);
            self.put(end, EventKind::Alive(alive));
        }
        self.pulse.event(at, &what);
        self.put(at, what);
    }

    fn put(&mut self, at: UtcMs, what: EventKind) {
        let connection = self.connection;
        let file = self.files.entry((self.run, at.minute())).or_default();
        file.push(Event {
            at,
            what,
            connection,
        });
    }

    fn start(&mut self, ms: i64) {
        self.run += 1;
        self.pulse = Pulse::new(self.at(ms));
        let last_line = self.posts.last();
        let last_line = last_line.map(|(made, delay)| self.at(made + delay));
        self.tell(
            ms,
            EventKind::Started {
                program: "test/1".to_owned(),
                number: self.run,
                after: (1 < self.run).then(|| self.run - 1),
                last_line,
            },
        );
    }

    /// A connection from one instant to another: the posts that arrive, and keep-alives between them.
    fn connected(&mut self, from: i64, to: i64, posts: &[(i64, i64)]) {
        self.connection += 1;
        self.tell(
            from,
            EventKind::Connected {
                status: 200,
                backfill_minutes: 0,
                transaction: None,
            },
        );
        self.pulse.connected(self.at(from));
        let mut last = from;
        let arriving = posts.iter().map(|(made, delay)| (made + delay, *made));
        let mut arriving: Vec<(i64, i64)> =
            arriving.filter(|(at, _)| from < *at && *at < to).collect();
        arriving.sort_unstable();
        arriving.push((to, i64::MIN));
        for (at, made) in arriving {
            while last + KEEP_ALIVE_MS < at {
                last += KEEP_ALIVE_MS;
                self.bytes(last, 0, 1);
            }
            if made != i64::MIN {
                last = at;
                self.bytes(at, 1, 0);
                self.posts.push((made, at - made));
            }
        }
    }

    fn bytes(&mut self, ms: i64, lines: u64, keep_alives: u64) {
        let at = self.at(ms);
        for alive in self.pulse.over(at) {
            let end = alive.minute.end().plus_ms(-1);
            self.put(end, EventKind::Alive(alive));
        }
        self.pulse.bytes(at);
        self.pulse.counted(lines, keep_alives);
    }

    fn broken(&mut self, ms: i64) {
        self.pulse.disconnected(self.at(ms));
        self.tell(
            ms,
            EventKind::Disconnected(Disconnected {
                cause: event::EndCause::Eof,
                status: None,
                disconnect_type: None,
                lines: 1,
                unfinished: None,
                detail: String::new(),
            }),
        );
        self.waits(ms);
    }

    fn waits(&mut self, ms: i64) {
        self.tell(
            ms,
            EventKind::Waiting {
                wait_ms: Some(1_000),
                why: WaitReason::Network,
            },
        );
    }

    fn stop(&mut self, ms: i64) {
        self.pulse.disconnected(self.at(ms));
        let why = "signal".to_owned();
        let last = self.pulse.last(self.at(ms));
        self.put(self.at(ms), EventKind::Alive(last));
        self.tell(ms, EventKind::Stopped { why });
    }

    /// The hour's account, as a merge makes it: with the minutes of the hour, and one before and after.
    fn hour(&self, hour: i64, has_rules: bool) -> Account {
        let begin = self.at(hour * 3_600_000);
        let interval = Interval {
            begin,
            end: begin.plus_ms(3_600_000),
        };
        let minutes = Minute(begin.minute().0 - 1)..=Minute(begin.minute().0 + 60);
        let files = self.files.iter();
        let files = files.filter(|((_, minute), _)| minutes.contains(minute));
        let mut files: Vec<EventsFile> = files
            .map(|((run, minute), events)| EventsFile {
                name: SegmentName {
                    server: "1".parse().unwrap(),
                    stream: "filtered".to_owned(),
                    partition: None,
                    minute: *minute,
                    run: RunId(u32::try_from(*run).unwrap()),
                    part: 0,
                },
                number: *run,
                lag_ms: 0,
                listened: Vec::new(),
                events: events.clone(),
            })
            .collect();
        let mut lags: BTreeMap<RunId, Vec<Lag>> = BTreeMap::new();
        let mut seconds = Seconds::new();
        for (made, delay) in &self.posts {
            let at = self.at(*made);
            if interval.contains(at) {
                let run = RunId(
                    u32::try_from(if *made < 13 * 3_600_000 + 1_200_000 {
                        1
                    } else {
                        2
                    })
                    .unwrap(),
                );
                lags.entry(run).or_default().push((*delay, 1));
                let one = seconds.entry(at.second()).or_insert_with(|| InSecond {
                    servers: vec![0],
                    ..InSecond::default()
                });
                one.posts += 1;
                one.servers[0] += 1;
                one.common += 1;
            }
        }
        clock::set(&mut files, &lags, false);
        account(&Given {
            intervals: &[interval],
            servers: &["1".parse().unwrap()],
            posts: &[seconds],
            timelines: &[Timeline::of(&files, false)],
            is_in_span: true,
            began: Some(self.begin),
            changes: &[],
            has_rules,
            tells_when_seen: false,
            alike: None,
            lost: &[],
        })
    }
}

/// A day: up from its begin, broken for `broken_ms` at half past nine, and stopped for two minutes around twenty past
/// one. Of another day nothing breaks. Posts come at most `apart_ms` after each other, half of that in the mean.
fn lived(seed: u64, apart_ms: i64, broken_ms: Option<i64>) -> Lived {
    let mut dice = Dice(seed);
    let begin: UtcMs = BEGIN.parse().unwrap();
    let mut posts = Vec::new();
    let mut at = 0;
    while at < DAY_MS {
        at += dice.between(100, apart_ms);
        if !SILENT.contains(&at) {
            posts.push((at, dice.between(500, 8_000)));
        }
    }
    let mut lived = Lived {
        begin,
        pulse: Pulse::new(begin),
        files: BTreeMap::new(),
        run: 0,
        connection: 0,
        posts: Vec::new(),
    };
    let end = DAY_MS + 120_000;
    lived.start(0);
    if let Some(broken_ms) = broken_ms {
        let (nine, one) = (9 * 3_600_000 + 1_800_777, 13 * 3_600_000 + 1_200_000);
        lived.connected(300, nine, &posts);
        lived.broken(nine);
        for ms in (nine..nine + broken_ms).step_by(30_000).skip(1) {
            lived.waits(ms);
        }
        lived.connected(nine + broken_ms, one - 30_000, &posts);
        lived.stop(one - 30_000);
        lived.start(one + 90_000);
        lived.connected(one + 90_200, end, &posts);
    } else {
        lived.connected(300, end, &posts);
    }
    lived.stop(end);
    lived
}

#[test]
fn a_simulated_filtered_day_at_one_post_a_minute_is_without_a_false_gap() {
    let mut silent = 0;
    for seed in seeds(SEEDS) {
        let day = lived(30 + seed, A_POST_A_MINUTE, None);
        for hour in 0..24 {
            let account = day.hour(hour, true);
            assert_eq!(account.gaps, [], "seed {seed}, hour {hour}");
            let covered = &account.servers[0];
            assert_eq!(covered.covered, covered.seconds, "seed {seed}, hour {hour}");
            silent += u64::from(covered.quiet == 3_600);
            // where a rate can be expected, an hour without a post is one of nothing
            if covered.quiet == 3_600 {
                assert!(!day.hour(hour, false).gaps.is_empty(), "{hour}");
            }
        }
        let day = lived(31 + seed, A_POST_A_MINUTE, Some(40_000));
        let mut told: Vec<(i64, i64, Cause)> = Vec::new();
        for hour in 0..24 {
            let gaps = day.hour(hour, true).gaps;
            let gaps = gaps.into_iter().filter(|gap| gap.server == gap::UNION);
            told.extend(gaps.map(|gap| {
                let second = |at: UtcMs| at.second() - day.begin.second();
                (second(gap.begin), second(gap.end), gap.cause)
            }));
        }
        let (nine, one) = (9 * 3_600 + 1_800, 13 * 3_600 + 1_200);
        let (of_nine, of_one): (Vec<_>, Vec<_>) = told.iter().partition(|gap| gap.1 < one - 100);
        // a post may have come between the last sign of life and the break
        let is_of_nine = |gap: &&(i64, i64, Cause)| {
            nine - 30 <= gap.0 && gap.1 <= nine + 42 && gap.2 == Cause::Network
        };
        assert!(of_nine.iter().all(is_of_nine), "seed {seed}: {told:?}");
        let is_of_one = |gap: &&(i64, i64, Cause)| {
            one - 60 <= gap.0 && gap.1 <= one + 92 && gap.2 == Cause::NotRunning
        };
        assert!(of_one.iter().all(is_of_one), "seed {seed}: {told:?}");
        // all of it is told but the seconds of posts that were still under way, and came after it
        let came: BTreeSet<i64> = day.posts.iter().map(|(made, _)| made / 1_000).collect();
        for second in (nine + 1..nine + 31).chain(one - 30..one + 80) {
            let is_told = told.iter().any(|gap| (gap.0..gap.1).contains(&second));
            assert_ne!(
                is_told,
                came.contains(&second),
                "seed {seed}, {second}: {told:?}"
            );
        }
    }
    assert_eq!(
        silent,
        2 * seeds(SEEDS).count() as u64,
        "hours without a post"
    );
}

/// Ten posts a minute, or two: fewer than a partition of X ever brings. The seconds after a connection is made, those
/// before one breaks, and the silences between are no false gaps; a real silence is one.
#[test]
fn a_simulated_day_of_a_partition_with_few_posts_has_no_false_gap_and_cause() {
    let (nine, one) = (9 * 3_600 + 1_800, 13 * 3_600 + 1_200);
    for seed in seeds(2) {
        for (apart_ms, broken_s) in [(12_000, 40), (12_000, 1_200), (60_000, 40), (60_000, 1_200)] {
            let day = lived(50 + seed, apart_ms, Some(broken_s * 1_000));
            let came: BTreeSet<i64> = day.posts.iter().map(|(made, _)| made / 1_000).collect();
            let last_before = |second: i64| came.range(..second).next_back().copied().unwrap();
            let first_after = |second: i64| came.range(second..).next().copied().unwrap();
            let silent = SILENT.start / 1_000..SILENT.end / 1_000;
            let silent = last_before(silent.start) + 1..first_after(silent.end);
            let gaps = (0..24).flat_map(|hour| day.hour(hour, false).gaps);
            let mut told: BTreeMap<i64, Cause> = BTreeMap::new();
            for gap in gaps.filter(|gap| gap.server == gap::UNION) {
                for second in gap.begin.second()..gap.end.second() {
                    told.insert(second - day.begin.second(), gap.cause);
                }
            }
            // at most: since the last sign of life, and until the first posts may come
            let may = [
                (0..6, Cause::NotRunning),
                (nine - 30..nine + broken_s + 7, Cause::Network),
                (one - 60..one + 97, Cause::NotRunning),
                (silent, Cause::UpstreamSilence),
            ];
            let name = format!("seed {seed}, {apart_ms} ms, {broken_s} s");
            for (second, cause) in &told {
                let is_right =
                    |(of, is): &(std::ops::Range<i64>, Cause)| of.contains(second) && is == cause;
                assert!(may.iter().any(is_right), "{name}: {cause} at {second}");
            }
            // at least: what was posted then did not come, unless it was still under way
            let must = (nine + 1..nine + broken_s - 9)
                .chain(one - 30..one + 80)
                .chain(SILENT.start / 1_000..SILENT.end / 1_000);
            for second in must {
                assert_ne!(
                    told.contains_key(&second),
                    came.contains(&second),
                    "{name}: {second}"
                );
            }
        }
    }
}
