//! The thread that starts the stages, watches how they end, and reports the state to systemd.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sd_notify::NotifyState;

use super::{
    child::{Child, Ended},
    plan::{self, DueStage, Reports, Schedule},
    record::{self, LOCKED, Record, StageRun},
    stage::Stage,
};
use crate::{
    period::{Day, UtcMs},
    world::{clock::Clock, disk::Disk},
};

/// How often it looks, in real time.
const TICK: Duration = Duration::from_millis(100);

/// How often the state is reported to systemd, in real milliseconds.
const STATUS_MS: i64 = 10_000;

/// How often the days of the vault are examined, by the clock.
const LOOK_MS: i64 = 60_000;

/// When the service ends, children get this long before they are ended, in real milliseconds.
const FAREWELL_MS: i64 = 3_000;

/// The exit codes that are not failures: done, nothing to do, set aside.
const NO_FAILURES: [i32; 3] = [0, 4, 5];

/// The days of the vault, and those whose certificate is outdated, with a number that changes when a certificate
/// becomes outdated again.
pub type Days = (Vec<Day>, BTreeMap<Day, u64>);

/// Starts the command of a stage.
pub type Starter = dyn Fn(DueStage) -> Command + Send;

/// What the collector's thread reports about itself; read only.
pub trait Watched: Send + Sync {
    /// Whether it collects, or waits for a known reason to begin.
    fn is_ready(&self) -> bool;
    /// Whether it makes progress, or waits for a known reason.
    fn goes_on(&self) -> bool;
    /// Whether it has been told to end.
    fn is_stopping(&self) -> bool;
    /// What it does, in a few words.
    fn words(&self) -> String;
}

/// Receives a report.
pub type Tell = dyn Fn(&[NotifyState<'_>]) + Send;

/// The receiver of the service's state.
pub struct Systemd {
    /// How long it waits for a sign of life, if it does.
    pub watchdog: Option<Duration>,
    /// Tells it.
    pub tell: Box<Tell>,
}

impl Systemd {
    /// The one that started this process, if one did.
    pub fn real() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled(),
            tell: Box::new(|state| {
                if let Err(why) = sd_notify::notify(state) {
                    tracing::debug!("systemd cannot be told: {why}");
                }
            }),
        }
    }
}

/// The service beside the collector.
pub struct Service {
    /// What is due when.
    pub schedule: Schedule,
    /// How to start a stage.
    pub starter: Box<Starter>,
    /// Where the record is kept.
    pub data_dir: PathBuf,
    /// Looks at the days of the vault.
    pub days: Mutex<Box<dyn FnMut() -> io::Result<Days> + Send>>,
    /// The time of schedules.
    pub clock: Clock,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The collector.
    pub collector: Arc<dyn Watched>,
    /// The receiver of the state.
    pub systemd: Systemd,
}

/// While it runs.
struct ServiceState {
    record: Record,
    runs: BTreeMap<Stage, StageRun>,
    children: BTreeMap<Stage, (Child, DueStage)>,
    reports: Reports,
    /// When the vault was last examined.
    looked: Option<UtcMs>,
    real: Clock,
    stopping_since: Option<UtcMs>,
    ready: bool,
    told: Option<UtcMs>,
    fed: Option<UtcMs>,
}

impl Service {
    /// Runs until `end` is set and all children have ended.
    pub fn run(&self, end: &AtomicBool) {
        let mut state = self.state();
        loop {
            self.reap(&mut state);
            let stopping = end.load(Ordering::Relaxed) || self.collector.is_stopping();
            if stopping {
                if self.say_farewell(&mut state) && end.load(Ordering::Relaxed) {
                    return;
                }
            } else {
                self.start_what_is_due(&mut state);
                self.tell_systemd(&mut state);
            }
            state.real.block(TICK);
        }
    }

    /// At its begin.
    fn state(&self) -> ServiceState {
        ServiceState {
            record: record::read(&*self.disk, &self.data_dir),
            runs: BTreeMap::new(),
            children: BTreeMap::new(),
            reports: Reports::default(),
            looked: None,
            real: Clock::system(),
            stopping_since: None,
            ready: false,
            told: None,
            fed: None,
        }
    }

    fn start_what_is_due(&self, state: &mut ServiceState) {
        let now = self.clock.now();
        self.look_at_days(state, now);
        for due in plan::due(&self.schedule, &state.runs, &state.reports, now) {
            let before = state.runs.get(&due.stage).cloned();
            let mut run = StageRun::begun(now);
            if let Some(before) = &before {
                (run.failures, run.failing_since) = (before.failures, before.failing_since);
                run.said.clone_from(&before.said);
                run.alarms.clone_from(&before.alarms);
            }
            let command = (self.starter)(due);
            match Child::start(due.stage, command, due.stage.limit(), state.real.steady()) {
                Ok(child) => {
                    tracing::debug!("{} is started", due.stage);
                    state.children.insert(due.stage, (child, due));
                    state.runs.insert(due.stage, run);
                }
                Err(why) => {
                    tracing::warn!("cannot start {}: {why}", due.stage);
                    let ended = Ended {
                        exit: None,
                        why: Some(format!("it cannot be started: {why}")),
                        with_service: false,
                        said: None,
                        alarms: Vec::new(),
                    };
                    state.runs.insert(due.stage, run);
                    self.note(state, due, ended);
                }
            }
            self.keep(state);
        }
    }

    /// Looks for days to report, now and then.
    fn look_at_days(&self, state: &mut ServiceState, now: UtcMs) {
        state.reports.reported.clone_from(&state.record.reported);
        let is_fresh = state
            .looked
            .is_some_and(|at| at <= now && now.0 - at.0 < LOOK_MS);
        if self.schedule.report_at.is_none() || is_fresh {
            return;
        }
        state.looked = Some(now);
        // nobody else takes this lock
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        match days() {
            Ok((days, outdated)) => {
                state.reports.days = days;
                state.reports.outdated.notice(outdated, now);
            }
            Err(why) => tracing::warn!("cannot look for days to report: {why}"),
        }
    }

    fn reap(&self, state: &mut ServiceState) {
        let now = state.real.steady();
        let stages: Vec<Stage> = state.children.keys().copied().collect();
        for stage in stages {
            let Some((child, due)) = state.children.get_mut(&stage) else {
                continue;
            };
            let due = *due;
            match child.poll(now) {
                Ok(None) => (),
                Ok(Some(ended)) => {
                    state.children.remove(&stage);
                    self.note(state, due, ended);
                    self.keep(state);
                }
                Err(why) => tracing::warn!("cannot find out whether {stage} has ended: {why}"),
            }
        }
    }

    /// Notes how a stage ended.
    fn note(&self, state: &mut ServiceState, due: DueStage, ended: Ended) {
        let now = self.clock.now();
        let Some(run) = state.runs.get_mut(&due.stage) else {
            return;
        };
        run.ended = Some(now);
        run.exit = ended.exit;
        if due.stage == Stage::Report {
            // a report has changed what is outdated
            state.looked = None;
        }
        if ended.exit == Some(LOCKED) {
            // another run is in progress: this one says nothing about the state, and has reported no day
            return;
        }
        // nor does a stage that the service ended
        if !ended.with_service {
            run.alarms = ended.alarms;
        }
        let is_failure = ended.exit.is_none_or(|code| !NO_FAILURES.contains(&code));
        if !is_failure {
            (run.failures, run.failing_since) = (0, None);
            run.said = if ended.exit == Some(5) {
                ended.said
            } else {
                None
            };
            if let Some(day) = due.day
                && !due.renews
            {
                state.record.reported.note(day);
            }
            return;
        }
        if ended.with_service {
            run.said = ended.why;
            return;
        }
        run.failures = run.failures.saturating_add(1);
        run.failing_since = run.failing_since.or(Some(run.started));
        let code = ended.exit.map(|code| format!("exit code {code}"));
        run.said = ended.said.or(ended.why).or(code);
        tracing::warn!(
            "{} has failed ({} in a row): {}",
            due.stage,
            run.failures,
            run.said.as_deref().unwrap_or("without a word")
        );
    }

    fn keep(&self, state: &mut ServiceState) {
        state.record.stages.clone_from(&state.runs);
        if let Err(why) = record::write(&*self.disk, &self.data_dir, &state.record) {
            tracing::warn!("cannot save how the stages ended: {why}");
        }
    }

    /// Has the children end; says whether all have.
    fn say_farewell(&self, state: &mut ServiceState) -> bool {
        let now = state.real.steady();
        let since = *state.stopping_since.get_or_insert_with(|| {
            (self.systemd.tell)(&[
                NotifyState::Stopping,
                NotifyState::Status("writing and sealing"),
            ]);
            now
        });
        for (child, _) in state.children.values_mut() {
            child.ask_to_end(now);
        }
        if since.plus_ms(FAREWELL_MS) <= now {
            // dropping a child ends it
            state.children.clear();
        }
        state.children.is_empty()
    }

    fn tell_systemd(&self, state: &mut ServiceState) {
        let now = state.real.steady();
        if !state.ready && self.collector.is_ready() {
            state.ready = true;
            (self.systemd.tell)(&[NotifyState::Ready]);
        }
        let is_over = |last: Option<UtcMs>, ms: i64| last.is_none_or(|at| at.plus_ms(ms) <= now);
        if let Some(limit) = self.systemd.watchdog
            && is_over(
                state.fed,
                i64::try_from(limit.as_millis() / 4).unwrap_or(1_000),
            )
            && self.collector.goes_on()
        {
            state.fed = Some(now);
            (self.systemd.tell)(&[NotifyState::Watchdog]);
        }
        if is_over(state.told, STATUS_MS) {
            state.told = Some(now);
            let running: Vec<&str> = state.children.keys().map(|stage| stage.name()).collect();
            let running = if running.is_empty() {
                String::new()
            } else {
                format!("; running: {}", running.join(", "))
            };
            (self.systemd.tell)(&[NotifyState::Status(&format!(
                "{}{running}",
                self.collector.words()
            ))]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::record::Raised, *};
    use crate::{alarm::AlarmKind, world::disk::RealDisk};

    /// A collector that does as it is told.
    #[derive(Default)]
    struct Puppet {
        hangs: AtomicBool,
        stops: AtomicBool,
    }

    impl Watched for Puppet {
        fn is_ready(&self) -> bool {
            true
        }

        fn goes_on(&self) -> bool {
            !self.hangs.load(Ordering::Relaxed)
        }

        fn is_stopping(&self) -> bool {
            self.stops.load(Ordering::Relaxed)
        }

        fn words(&self) -> String {
            "collecting".to_owned()
        }
    }

    /// Ends the service also when the test fails.
    struct Ends<'a>(&'a AtomicBool);

    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[track_caller]
    fn until(mut is_so: impl FnMut() -> bool) {
        for _ in 0..2_000 {
            if is_so() {
                return;
            }
            Clock::system().block(Duration::from_millis(5));
        }
        panic!("waited in vain");
    }

    /// One that delivers, which takes its time.
    fn service(data_dir: &Path, puppet: &Arc<Puppet>, tell: Box<Tell>) -> Service {
        Service {
            schedule: Schedule {
                deliver_every: Some(Duration::from_secs(1)),
                merge: None,
                publish_every: None,
                witness_every: None,
                report_at: None,
            },
            starter: Box::new(|_| {
                let mut command = Command::new("sleep");
                command.arg("600");
                command
            }),
            data_dir: data_dir.to_owned(),
            days: Mutex::new(Box::new(|| Ok(Days::default()))),
            clock: Clock::system(),
            disk: Arc::new(RealDisk),
            collector: Arc::clone(puppet) as Arc<dyn Watched>,
            systemd: Systemd {
                watchdog: Some(Duration::from_millis(400)),
                tell,
            },
        }
    }

    #[test]
    fn a_day_is_reported_by_the_report_that_was_for_it_and_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let service = service(dir.path(), &Arc::default(), Box::new(|_| ()));
        let day: Day = "2026-11-23".parse().unwrap();
        // the exit code, or none when it was killed; whether it only remakes certificates
        for (exit, renews, is_reported) in [
            (Some(0), false, true),
            (Some(5), false, true),
            (Some(0), true, false),
            // somebody else's report is in progress: it may mail nothing
            (Some(LOCKED), false, false),
            (Some(1), false, false),
            (None, false, false),
        ] {
            let mut state = service.state();
            let mut run = StageRun::begun(UtcMs(0));
            run.failures = 3;
            state.runs.insert(Stage::Report, run);
            let due = DueStage {
                stage: Stage::Report,
                day: Some(day),
                renews,
            };
            let ended = Ended {
                exit,
                why: None,
                with_service: false,
                said: None,
                alarms: Vec::new(),
            };
            service.note(&mut state, due, ended);
            let reported = state.record.reported.last;
            assert_eq!(reported, is_reported.then_some(day), "{exit:?} {renews}");
            // whether it would fail again, one that did nothing does not know
            let failures = match exit {
                Some(0 | 5) => 0,
                Some(LOCKED) => 3,
                _ => 4,
            };
            assert_eq!(state.runs[&Stage::Report].failures, failures, "{exit:?}");
        }
    }

    #[test]
    fn the_watchdog_is_fed_only_while_the_collector_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let puppet = Arc::new(Puppet::default());
        let told = Arc::new(Mutex::new(Vec::<String>::new()));
        let (end, heard) = (AtomicBool::new(false), Arc::clone(&told));
        let tell = move |state: &[NotifyState<'_>]| {
            let told = state.iter().map(ToString::to_string);
            heard.lock().unwrap().extend(told);
        };
        let service = service(dir.path(), &puppet, Box::new(tell));
        let fed = || {
            let told = told.lock().unwrap();
            told.iter()
                .filter(|line| line.contains("WATCHDOG=1"))
                .count()
        };
        std::thread::scope(|scope| {
            let when_to_end = &end;
            let _ends = Ends(when_to_end);
            scope.spawn(move || service.run(when_to_end));
            until(|| 3 <= fed());
            puppet.hangs.store(true, Ordering::Relaxed);
            // what was decided before is let through
            Clock::system().block(Duration::from_millis(300));
            let before = fed();
            Clock::system().block(Duration::from_secs(1));
            assert_eq!(fed(), before, "a collector that hangs is kept alive");
            puppet.hangs.store(false, Ordering::Relaxed);
            until(|| before < fed());
            // a child that would take its time does not hold up the end
            puppet.stops.store(true, Ordering::Relaxed);
            until(|| {
                told.lock()
                    .unwrap()
                    .iter()
                    .any(|line| line.contains("STOPPING=1"))
            });
        });
        let record = record::read(&RealDisk, dir.path());
        let run = &record.stages[&Stage::Deliver];
        assert_eq!(
            (run.failures, run.said.as_deref()),
            (0, Some("the service ends"))
        );
    }

    fn raised(subject: &str) -> Raised {
        Raised {
            kind: AlarmKind::Disk,
            subject: subject.to_owned(),
            what: "it is so".to_owned(),
            more: 0,
        }
    }

    /// One run after the other, and what is known of the stage after each.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_is_known_of_a_stage_is_what_its_runs_have_shown() {
        let dir = tempfile::tempdir().unwrap();
        let service = service(dir.path(), &Arc::default(), Box::new(|_| ()));
        let mut state = service.state();
        let due = DueStage {
            stage: Stage::Merge,
            day: None,
            renews: false,
        };
        for (started, exit, with_service, said, alarms, failures, since, says, open) in [
            (
                10,
                Some(1),
                false,
                "broken",
                &["a"][..],
                1,
                Some(10),
                Some("broken"),
                &["a"][..],
            ),
            (
                20,
                Some(3),
                false,
                "",
                &["a", "b"],
                2,
                Some(10),
                Some("exit code 3"),
                &["a", "b"],
            ),
            // what says nothing of the state leaves it as it was
            (
                30,
                Some(LOCKED),
                false,
                "",
                &[],
                2,
                Some(10),
                Some("exit code 3"),
                &["a", "b"],
            ),
            (
                40,
                None,
                true,
                "",
                &[],
                2,
                Some(10),
                Some("the service ends"),
                &["a", "b"],
            ),
            (
                50,
                None,
                false,
                "",
                &[],
                3,
                Some(10),
                Some("signal 9 ended it"),
                &[],
            ),
            (
                60,
                Some(5),
                false,
                "1 aside",
                &["c"],
                0,
                None,
                Some("1 aside"),
                &["c"],
            ),
            (
                70,
                Some(1),
                false,
                "broken",
                &[],
                1,
                Some(70),
                Some("broken"),
                &[],
            ),
            (80, Some(4), false, "in passing", &[], 0, None, None, &[]),
            (90, Some(0), false, "in passing", &[], 0, None, None, &[]),
        ] {
            let run = state
                .runs
                .entry(due.stage)
                .or_insert(StageRun::begun(UtcMs(0)));
            (run.started, run.ended) = (UtcMs(started), None);
            let why = match (exit, with_service) {
                (_, true) => Some("the service ends".to_owned()),
                (None, false) => Some("signal 9 ended it".to_owned()),
                (Some(_), false) => None,
            };
            let ended = Ended {
                exit,
                why,
                with_service,
                said: Some(said.to_owned()).filter(|said| !said.is_empty()),
                alarms: alarms.iter().map(|subject| raised(subject)).collect(),
            };
            service.note(&mut state, due, ended);
            let run = &state.runs[&due.stage];
            let subjects: Vec<&str> = run.alarms.iter().map(|one| &*one.subject).collect();
            assert_eq!(
                (run.failures, run.failing_since, run.said.as_deref()),
                (failures, since.map(UtcMs), says),
                "{started}"
            );
            assert_eq!(subjects, open, "{started}");
            assert_eq!(run.exit, exit);
            assert!(run.ended.is_some());
        }
    }

    /// A stage that fails and raises an alarm, again and again: nothing of it is over because the next run has begun.
    #[test]
    fn while_a_stage_runs_again_what_its_last_run_has_shown_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut service = service(dir.path(), &Arc::default(), Box::new(|_| ()));
        service.schedule.deliver_every = Some(Duration::ZERO);
        service.starter = Box::new(|_| {
            let mut command = Command::new("sh");
            let script = r#"echo '{"level":"ERROR","message":"it is so","alarm":"disk","subject":"2"}' >&2; sleep 0.2; exit 1"#;
            command.args(["-c", script]);
            command
        });
        let mut state = service.state();
        let mut first = None;
        for failures in 1..=3 {
            service.start_what_is_due(&mut state);
            let run = &state.runs[&Stage::Deliver];
            let first = *first.get_or_insert(run.started);
            assert!(run.is_running());
            let known = record::read(&RealDisk, dir.path());
            for run in [run, &known.stages[&Stage::Deliver]] {
                assert_eq!(run.failures, failures - 1);
                assert_eq!(run.alarms, vec![raised("2"); usize::from(1 < failures)]);
                assert_eq!(run.failing_since, (1 < failures).then_some(first));
                assert_eq!(run.said.is_some(), 1 < failures);
            }
            until(|| {
                service.reap(&mut state);
                state.children.is_empty()
            });
            let run = &state.runs[&Stage::Deliver];
            assert_eq!((run.failures, run.failing_since), (failures, Some(first)));
        }
    }

    #[test]
    fn a_stage_that_cannot_be_started_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        let mut service = service(dir.path(), &Arc::default(), Box::new(|_| ()));
        service.starter = Box::new(|_| Command::new("/nowhere/twinstream"));
        let mut state = service.state();
        service.start_what_is_due(&mut state);
        let known = record::read(&RealDisk, dir.path());
        let run = &known.stages[&Stage::Deliver];
        assert!(run.ended.is_some() && run.failures == 1, "{run:?}");
        assert!(
            run.said.as_ref().unwrap().contains("cannot be started"),
            "{run:?}"
        );
        assert!(state.children.is_empty());
    }

    #[test]
    fn days_are_looked_at_once_a_minute_after_each_report_and_whatever_the_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let mut service = service(dir.path(), &Arc::default(), Box::new(|_| ()));
        let looks = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&looks);
        service.days = Mutex::new(Box::new(move || {
            *counted.lock().unwrap() += 1;
            Ok(Days::default())
        }));
        let mut state = service.state();
        service.look_at_days(&mut state, UtcMs(100_000));
        assert_eq!(*looks.lock().unwrap(), 0, "nobody reports here");
        service.schedule.report_at = Some(120);
        for (now, count) in [
            (100_000, 1),
            (159_999, 1),
            (160_000, 2),
            // the clock was set back
            (50_000, 3),
            (50_001, 3),
        ] {
            service.look_at_days(&mut state, UtcMs(now));
            assert_eq!(*looks.lock().unwrap(), count, "{now}");
        }
        for (stage, count) in [(Stage::Merge, 3), (Stage::Report, 4)] {
            state.runs.insert(stage, StageRun::begun(UtcMs(0)));
            let due = DueStage {
                stage,
                day: None,
                renews: false,
            };
            let ended = Ended {
                exit: Some(0),
                why: None,
                with_service: false,
                said: None,
                alarms: Vec::new(),
            };
            service.note(&mut state, due, ended);
            service.look_at_days(&mut state, UtcMs(50_002));
            assert_eq!(*looks.lock().unwrap(), count, "{stage}");
        }
    }
}
