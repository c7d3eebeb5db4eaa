//! When which stage is due: settings, what was started when and how it ended, and the time go in.
//!
//! A new process starts everything at once: whatever was missed while it was off is caught up, since
//! each stage does all that is to be done. Only reports are counted by the day, and made again for days
//! to which late data came.

use std::{collections::BTreeMap, time::Duration};

use super::{
    record::StageRun,
    reported::{REPORT_DAYS_MAX, Reported},
    stage::Stage,
};
use crate::period::{Day, UtcMs, Zone, ms};

/// How often what came over ssh is acknowledged and late data is looked for, between the hours' settle
/// times: others take a server for silent that has acknowledged nothing for 15 minutes.
const MERGE_EVERY_MS: i64 = 5 * 60_000;

/// After the settle time, so that a clock a little off does not find the hour not yet due.
const MERGE_AFTER_MS: i64 = 2_000;

/// A report that failed, or that found another in progress, is tried again after this.
const REPORT_AGAIN_MS: i64 = 10 * 60_000;

/// Certificates outdated by late data are remade once no more late data has come for this long: two of the merges
/// that look for it …
const RENEW_QUIET_MS: i64 = 2 * MERGE_EVERY_MS;
/// … or after this, when it comes on and on: each new certificate is another version on OSF.
const RENEW_WAIT_MS: i64 = 3_600_000;
/// A certificate that a report could not remake is left until more data comes, or for this long.
const RENEW_AGAIN_MS: i64 = 6 * 3_600_000;

/// What this server does, and how often.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// How often to deliver, if at all.
    pub deliver_every: Option<Duration>,
    /// The vault's zone and the settle time; `None` on a secondary.
    pub merge: Option<(Zone, Duration)>,
    /// How often to publish, if at all.
    pub publish_every: Option<Duration>,
    /// How often to look whether the ledger is to be stamped, if at all.
    pub witness_every: Option<Duration>,
    /// When the report of the day before is due, in minutes after midnight in the vault's zone;
    /// `None` where nothing is published.
    pub report_at: Option<i64>,
}

/// A stage that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueStage {
    /// Which.
    pub stage: Stage,
    /// The day of a report.
    pub day: Option<Day>,
    /// Whether that report remakes outdated certificates, for which no mail is written at once.
    pub renews: bool,
}

/// What reports there are and should be.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    /// The days of the vault, ascending.
    pub days: Vec<Day>,
    /// The days whose report was made by its time.
    pub reported: Reported,
    /// Days whose certificate is outdated.
    pub outdated: Outdated,
}

/// Days whose certificate late data has made outdated, as this process has seen them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outdated {
    /// They, each with a number that changes when it becomes outdated further.
    days: BTreeMap<Day, u64>,
    /// Since when there are any, and when the last of them became so.
    times: Option<(UtcMs, UtcMs)>,
}

impl Outdated {
    /// Takes in what is so now.
    pub fn notice(&mut self, days: BTreeMap<Day, u64>, now: UtcMs) {
        let is_more = days
            .iter()
            .any(|(day, number)| self.days.get(day) != Some(number));
        self.times = match self.times {
            _ if days.is_empty() => None,
            Some((since, changed)) => Some((since, if is_more { now } else { changed })),
            None => Some((now, now)),
        };
        self.days = days;
    }
}

/// What is due. `runs` has what this process started so far.
pub fn due(
    schedule: &Schedule,
    runs: &BTreeMap<Stage, StageRun>,
    reports: &Reports,
    now: UtcMs,
) -> Vec<DueStage> {
    // one that began in the future was begun when the clock was ahead, and tells nothing of now
    let run = |stage| {
        let run = runs.get(&stage);
        run.filter(|run: &&StageRun| run.is_running() || run.started <= now)
    };
    let is_idle = |stage| run(stage).is_none_or(|run: &StageRun| !run.is_running());
    let every = |stage, every: Option<Duration>| {
        every.is_some_and(|every| run(stage).is_none_or(|run| interval_is_over(run, every, now)))
    };
    let plain = |stage| DueStage {
        stage,
        day: None,
        renews: false,
    };
    let mut found = Vec::new();
    if is_idle(Stage::Deliver) && every(Stage::Deliver, schedule.deliver_every) {
        found.push(plain(Stage::Deliver));
    }
    if is_idle(Stage::Merge)
        && let Some((zone, settle)) = &schedule.merge
        && run(Stage::Merge).is_none_or(|run| merge_is_due(run.started, zone, *settle, now))
    {
        found.push(plain(Stage::Merge));
    }
    if is_idle(Stage::Publish) && every(Stage::Publish, schedule.publish_every) {
        found.push(plain(Stage::Publish));
    }
    if is_idle(Stage::Witness) && every(Stage::Witness, schedule.witness_every) {
        found.push(plain(Stage::Witness));
    }
    let rested = run(Stage::Report)
        .is_none_or(|run| !run.is_to_be_repeated() || run.started.plus_ms(REPORT_AGAIN_MS) <= now);
    if is_idle(Stage::Report)
        && rested
        && let (Some((zone, _)), Some(minute)) = (&schedule.merge, schedule.report_at)
        && let Some(latest) = latest_due(zone, minute, now)
    {
        let new = report_day(reports, latest);
        let day = new.or_else(|| renewal(&reports.outdated, latest, run(Stage::Report), now));
        found.extend(day.map(|day| DueStage {
            stage: Stage::Report,
            day: Some(day),
            renews: new.is_none(),
        }));
    }
    found
}

fn interval_is_over(run: &StageRun, every: Duration, now: UtcMs) -> bool {
    run.started.plus_ms(ms(every)) <= now
}

/// Whether an hour of the vault has settled since, or it is time to look for late data.
fn merge_is_due(last: UtcMs, zone: &Zone, settle: Duration, now: UtcMs) -> bool {
    let settled = |at: UtcMs| zone.hour_of(at.plus_ms(-ms(settle).saturating_add(MERGE_AFTER_MS)));
    last.plus_ms(MERGE_EVERY_MS) <= now || settled(last) < settled(now)
}

/// When the report of a day is due: the next day at that minute, or at the first one after it that
/// exists.
pub fn report_due(zone: &Zone, minute: i64, day: Day) -> UtcMs {
    let hours = Day(day.0 + 1).hours().chain(Day(day.0 + 2).hours());
    let mut later = hours.skip(usize::try_from(minute.div_euclid(60)).unwrap_or(0));
    let begin = later.find_map(|hour| zone.intervals(hour).first().map(|i| i.begin));
    // a day in which no hour exists is not to be had; then it is never due
    begin.map_or(UtcMs(i64::MAX), |begin| {
        begin.plus_ms(minute.rem_euclid(60) * 60_000)
    })
}

/// The last day whose report is due.
fn latest_due(zone: &Zone, minute: i64, now: UtcMs) -> Option<Day> {
    let today = zone.hour_of(now).day();
    (1..=2)
        .map(|back| Day(today.0 - back))
        .find(|day| report_due(zone, minute, *day) <= now)
}

/// The oldest day of the vault that is to be reported.
fn report_day(reports: &Reports, latest: Day) -> Option<Day> {
    // a first report does not begin in the past, except for posts with times on the day before the archive began
    let first = reports.days.first().copied();
    let first = first.filter(|first| first.0 + 1 == latest.0);
    let from = first.unwrap_or(latest);
    let reported = &reports.reported;
    let from = reported.last.map_or(from, |day| Day(day.0 + 1));
    let oldest = Day(latest.0 - REPORT_DAYS_MAX);
    let is_due = |day: &Day| from <= *day || reported.passed.contains(day);
    let mut days = reports.days.iter().copied();
    days.find(|day| (oldest..=latest).contains(day) && is_due(day))
}

/// The oldest day whose certificate must be remade; its report remakes the others too. A day that is not over is not
/// reported yet, even if a person has asked for its certificate.
fn renewal(outdated: &Outdated, latest: Day, last: Option<&StageRun>, now: UtcMs) -> Option<Day> {
    let (since, changed) = outdated.times?;
    let day = *outdated.days.keys().next().filter(|day| **day <= latest)?;
    let has_failed = last.is_some_and(StageRun::is_to_be_repeated);
    let last = last.map_or(UtcMs(i64::MIN), |run| run.started);
    let at = if changed <= last {
        last.plus_ms(if has_failed {
            REPORT_AGAIN_MS
        } else {
            RENEW_AGAIN_MS
        })
    } else {
        let patience_ends = since.max(last).plus_ms(RENEW_WAIT_MS);
        changed.plus_ms(RENEW_QUIET_MS).min(patience_ends)
    };
    (at <= now).then_some(day)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(text: &str) -> UtcMs {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn day(text: &str) -> Day {
        format!("2026-11-{text}").parse().unwrap()
    }

    /// All days up to that one have been reported.
    fn until(text: &str) -> Reported {
        Reported {
            last: Some(day(text)),
            passed: BTreeSet::new(),
        }
    }

    fn primary() -> Schedule {
        Schedule {
            deliver_every: None,
            merge: Some((Zone::named("UTC").unwrap(), Duration::from_mins(10))),
            publish_every: Some(Duration::from_mins(10)),
            witness_every: None,
            report_at: Some(120),
        }
    }

    fn run(started: &str, ended: Option<&str>, failures: u32) -> StageRun {
        StageRun {
            ended: ended.map(at),
            failures,
            ..StageRun::begun(at(started))
        }
    }

    fn names(due: &[DueStage]) -> Vec<String> {
        due.iter()
            .map(|due| {
                let day = due.day.map_or_else(String::new, |day| format!(" {day}"));
                format!("{}{day}", due.stage)
            })
            .collect()
    }

    #[track_caller]
    fn check(schedule: &Schedule, runs: &[(Stage, StageRun)], now: &str, expected: &[&str]) {
        let runs = runs.iter().cloned().collect();
        let reports = Reports {
            days: vec![day("20"), day("22"), day("23")],
            reported: until("22"),
            ..Reports::default()
        };
        let found = due(schedule, &runs, &reports, at(now));
        assert_eq!(names(&found), expected);
    }

    #[test]
    fn everything_is_due_at_the_start() {
        check(
            &primary(),
            &[],
            "24T02:00",
            &["merge", "publish", "report 2026-11-23"],
        );
        check(&primary(), &[], "24T01:59", &["merge", "publish"]);
        let secondary = Schedule {
            deliver_every: Some(Duration::from_mins(1)),
            merge: None,
            publish_every: None,
            witness_every: None,
            report_at: None,
        };
        check(&secondary, &[], "24T02:00", &["deliver"]);
    }

    #[test]
    fn a_merge_comes_when_an_hour_has_settled_and_every_five_minutes() {
        let mut schedule = primary();
        schedule.publish_every = None;
        let done = |started| [(Stage::Merge, run(started, Some(started), 0))];
        check(&schedule, &done("23T14:08"), "23T14:09", &[]);
        // 14:10 and two seconds
        check(&schedule, &done("23T14:08"), "23T14:11", &["merge"]);
        check(&schedule, &done("23T14:11"), "23T14:15", &[]);
        check(&schedule, &done("23T14:11"), "23T14:16", &["merge"]);
        let running = [(Stage::Merge, run("23T14:05", None, 0))];
        check(&schedule, &running, "23T20:00", &[]);
    }

    #[test]
    fn a_stage_that_fails_is_tried_again_in_its_time() {
        let schedule = primary();
        let failed = [
            (Stage::Merge, run("24T03:00", Some("24T03:01"), 3)),
            (Stage::Publish, run("24T03:00", Some("24T03:01"), 3)),
            (Stage::Report, run("24T03:00", Some("24T03:01"), 3)),
        ];
        check(&schedule, &failed, "24T03:04", &[]);
        check(&schedule, &failed, "24T03:09", &["merge"]);
        check(
            &schedule,
            &failed,
            "24T03:10",
            &["merge", "publish", "report 2026-11-23"],
        );
        // a report that found another in progress is not asked for again and again meanwhile
        let locked = StageRun {
            exit: Some(7),
            ..run("24T03:00", Some("24T03:00"), 0)
        };
        let mut reports_only = primary();
        reports_only.publish_every = None;
        let merged = (Stage::Merge, run("24T03:05", Some("24T03:05"), 0));
        let locked = [(Stage::Report, locked), merged];
        check(&reports_only, &locked, "24T03:09", &[]);
        check(
            &reports_only,
            &locked,
            "24T03:10",
            &["merge", "report 2026-11-23"],
        );
    }

    #[test]
    fn missed_reports_are_caught_up_in_order() {
        let zone = Zone::named("UTC").unwrap();
        let latest = latest_due(&zone, 120, at("24T12:00")).unwrap();
        let next = |reported: Option<&str>| {
            let reports = Reports {
                days: (10..=24).map(|d| day(&d.to_string())).collect(),
                reported: reported.map(until).unwrap_or_default(),
                ..Reports::default()
            };
            report_day(&reports, latest).map(|day| day.to_string())
        };
        assert_eq!(next(Some("20")).unwrap(), "2026-11-21");
        assert_eq!(next(None).unwrap(), "2026-11-23");
        assert_eq!(next(Some("23")), None);
        let began = Reports {
            days: vec![day("22"), day("23")],
            ..Reports::default()
        };
        assert_eq!(report_day(&began, latest), Some(day("22")));
    }

    #[test]
    fn a_day_that_comes_after_its_time_is_reported_all_the_same() {
        let zone = Zone::named("UTC").unwrap();
        let latest = |now| latest_due(&zone, 120, at(now)).unwrap();
        let mut reports = Reports {
            days: vec![day("20"), day("23")],
            reported: until("20"),
            ..Reports::default()
        };
        let next =
            |reports: &Reports, now| report_day(reports, latest(now)).map(|day| day.to_string());
        assert_eq!(next(&reports, "24T03:00").unwrap(), "2026-11-23");
        reports.reported.note(day("23"));
        assert_eq!(next(&reports, "24T03:00"), None);
        // then all that a merge had held back of one of the days between is committed
        reports.days.insert(1, day("22"));
        assert_eq!(next(&reports, "24T03:00").unwrap(), "2026-11-22");
        reports.reported.note(day("22"));
        assert_eq!(next(&reports, "24T03:00"), None);
        assert_eq!(reports.reported.passed, [day("21")].into());
        assert_eq!(reports.reported.last, Some(day("23")));
    }

    /// Three weeks of data that arrive within hours, a report whenever one is due, and none that fails.
    #[test]
    fn outdated_certificates_are_made_anew_together() {
        let schedule = primary();
        let minute = |n: i64| at("24T03:00").plus_ms(n * 60_000);
        let mut reports = Reports {
            reported: until("23"),
            ..Reports::default()
        };
        let mut runs = BTreeMap::new();
        let (mut outdated, mut made) = (BTreeMap::new(), Vec::new());
        for n in 0..600 {
            // a merge every five minutes, each of which has something for another day
            if n % 5 == 0 && n < 150 {
                *outdated.entry(Day(day("01").0 + n / 5 % 21)).or_insert(24) += 1;
            }
            reports.outdated.notice(outdated.clone(), minute(n));
            let found = due(&schedule, &runs, &reports, minute(n));
            for due in found.iter().filter(|due| due.stage == Stage::Report) {
                assert!(due.renews);
                assert_eq!(due.day, outdated.keys().next().copied());
                made.push(n);
                let mut run = StageRun::begun(minute(n));
                run.ended = Some(minute(n));
                runs.insert(Stage::Report, run);
                outdated.clear();
            }
        }
        // while it comes on and on once an hour, and when it has ended at 145
        assert_eq!(made, [60, 125, 155]);
    }

    #[test]
    fn a_renewal_waits_for_quiet_for_its_day_and_for_reports_by_their_time() {
        let mut schedule = primary();
        (schedule.publish_every, schedule.merge) = (
            None,
            Some((Zone::named("UTC").unwrap(), Duration::from_hours(1_000))),
        );
        let merged = (Stage::Merge, run("24T03:00", None, 0));
        let outdated = |days: &[&str], noticed: &str| {
            let mut outdated = Outdated::default();
            outdated.notice(days.iter().map(|d| (day(d), 1)).collect(), at(noticed));
            outdated
        };
        let check = |outdated: &Outdated, last: Option<StageRun>, now: &str, expected: &[&str]| {
            let reports = Reports {
                days: vec![day("22"), day("23")],
                reported: until("22"),
                outdated: outdated.clone(),
            };
            let last = last.map(|run| (Stage::Report, run));
            let runs = last.into_iter().chain([merged.clone()]).collect();
            let found = due(&schedule, &runs, &reports, at(now));
            assert_eq!(names(&found), expected, "at {now}");
        };
        let one = outdated(&["20"], "24T01:00");
        check(&one, None, "24T01:09", &[]);
        check(&one, None, "24T01:10", &["report 2026-11-20"]);
        // the report by its time comes first
        check(&one, None, "24T02:00", &["report 2026-11-23"]);
        // a day that is not over, or whose report is not due, can wait
        check(&outdated(&["23"], "24T01:00"), None, "24T01:50", &[]);
        // what a report did not mend is left, unless it has failed
        let tried = |failures| Some(run("24T01:10", Some("24T01:11"), failures));
        check(&one, tried(0), "24T01:59", &[]);
        check(&one, tried(1), "24T01:19", &[]);
        check(&one, tried(1), "24T01:59", &["report 2026-11-20"]);
        // more data is another matter
        let mut more = one.clone();
        more.notice([(day("20"), 2)].into(), at("24T01:30"));
        check(&more, tried(0), "24T01:39", &[]);
        check(&more, tried(0), "24T01:40", &["report 2026-11-20"]);
        more.notice(BTreeMap::new(), at("24T01:41"));
        check(&more, None, "24T01:59", &[]);
    }

    #[test]
    fn the_report_s_minute_may_not_exist() {
        let zone = Zone::named("Europe/Vienna").unwrap();
        // on 2026-03-29 02:00 to 03:00 is skipped
        let due = report_due(&zone, 150, "2026-03-28".parse().unwrap());
        assert_eq!(due, "2026-03-29T01:30:00Z".parse().unwrap());
        let due = report_due(&zone, 150, "2026-03-29".parse().unwrap());
        assert_eq!(due, "2026-03-30T00:30:00Z".parse().unwrap());
    }

    /// A stage that takes longer than the time between two of its runs is not started beside itself.
    #[test]
    fn nothing_is_started_while_it_runs_and_everything_as_often_as_it_says() {
        let rules = Schedule {
            deliver_every: Some(Duration::from_mins(1)),
            witness_every: Some(Duration::from_hours(1)),
            ..primary()
        };
        let stages = [
            (Stage::Deliver, 1),
            (Stage::Merge, 5),
            (Stage::Publish, 10),
            (Stage::Witness, 60),
        ];
        let runs = |started: &str, ended: Option<&str>| -> BTreeMap<Stage, StageRun> {
            let all = [
                Stage::Deliver,
                Stage::Merge,
                Stage::Publish,
                Stage::Witness,
                Stage::Report,
            ];
            all.map(|stage| (stage, run(started, ended, 0))).into()
        };
        let reports = Reports {
            days: vec![day("22"), day("23")],
            reported: until("22"),
            ..Reports::default()
        };
        let found = |runs: &BTreeMap<Stage, StageRun>, now: UtcMs| {
            let found = due(&rules, runs, &reports, now);
            found.into_iter().map(|due| due.stage).collect::<Vec<_>>()
        };
        let running = runs("24T03:11", None);
        for hours in [0, 1, 30] {
            assert_eq!(
                found(&running, at("24T03:11").plus_ms(hours * 3_600_000)),
                []
            );
        }
        let done = runs("24T03:11", Some("24T03:11"));
        for (stage, minutes) in stages {
            let at = |minutes: i64, ms| at("24T03:11").plus_ms(60_000 * minutes + ms);
            assert!(!found(&done, at(minutes, -1)).contains(&stage), "{stage}");
            assert!(found(&done, at(minutes, 0)).contains(&stage), "{stage}");
        }
        assert!(found(&done, at("24T03:12")).contains(&Stage::Report));
        // who does not do it is never asked to
        let nothing = Schedule {
            deliver_every: None,
            merge: None,
            publish_every: None,
            witness_every: None,
            report_at: Some(120),
        };
        assert_eq!(
            due(&nothing, &BTreeMap::new(), &reports, at("24T03:12")),
            []
        );
    }

    /// Nobody wants a thousand mails.
    #[test]
    fn of_reports_that_were_missed_those_of_the_last_month_are_made() {
        let zone = Zone::named("UTC").unwrap();
        let latest = latest_due(&zone, 120, at("24T12:00")).unwrap();
        let next = |last: i64, passed: &[i64]| {
            let reports = Reports {
                days: (latest.0 - 400..=latest.0).map(Day).collect(),
                reported: Reported {
                    last: Some(Day(latest.0 - last)),
                    passed: passed.iter().map(|back| Day(latest.0 - back)).collect(),
                },
                ..Reports::default()
            };
            report_day(&reports, latest).map(|day| latest.0 - day.0)
        };
        assert_eq!(next(400, &[]), Some(31));
        assert_eq!(next(31, &[]), Some(30));
        assert_eq!(next(0, &[32, 40]), None);
        assert_eq!(next(0, &[31, 3, 40]), Some(31));
        let mut reported = Reported::default();
        for back in [40, 35, 20, 1] {
            reported.note(Day(latest.0 - back));
        }
        let passed: Vec<i64> = reported.passed.iter().map(|day| latest.0 - day.0).collect();
        assert_eq!(
            (passed.len(), passed.first(), passed.last()),
            (30, Some(&32), Some(&2))
        );
        // one that was passed over and is reported leaves the others, and is no later one
        reported.note(Day(latest.0 - 7));
        assert_eq!(
            (reported.passed.len(), reported.last),
            (29, Some(Day(latest.0 - 1)))
        );
    }
}
