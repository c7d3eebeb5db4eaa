//! Checks the picture again and again, reports which alarms have begun and ended, and has the mails sent. There are
//! two threads, so one may wait for a mail server for as long as it takes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    alarm::{self, AlarmChange, Said},
    facts::Facts,
    gather::{Gatherer, Places, RemoteVault, Sample, free_path, mail_dir},
    link::LinkState,
    mail_texts,
    queue::{Attempt, Queue, QueuedMail, Way},
    send,
    snapshot::{self, Alarm, Settled, Snapshot},
};
use crate::{
    alarm::AlarmKind,
    config::settings::{Mail, Secret},
    period::UtcMs,
    world::{
        clock::Clock,
        disk::{self, Disk},
        lock::Lock,
    },
};

/// How old a picture may be that somebody is shown, by the clock.
const FRESH_MS: i64 = 1_000;

/// How often the alarms are checked, by the clock …
const EVERY_MS: i64 = 5_000;
/// … but not more often than this, in real time.
const TICK: Duration = Duration::from_millis(250);

/// How often the free space is noted, and how many notes are kept.
const SAMPLE_MS: i64 = 3_600_000;
const SAMPLES_MAX: usize = 8 * 24;

/// A mail that failed so often because nobody could be reached may be the reason itself: others must
/// not wait for it for ever.
const SUSPECT_ATTEMPTS: u32 = 3;

/// It has some entries with some texts each.
const SAID_BYTES_MAX: u64 = 4 << 20;

/// Where it is kept what has been said.
fn said_path(data_dir: &Path) -> PathBuf {
    data_dir.join("alarms.json")
}

/// Says, if mail is to be sent, whether settings and password are as they have to be, and what is wrong with them.
pub type MailFault = dyn Fn() -> Option<Result<(), String>> + Send + Sync;

/// The last picture, and when it was taken in the steady time.
type Taken = (Arc<Snapshot>, UtcMs);

/// Makes pictures for everybody who wants one.
pub struct Monitor {
    gatherer: Mutex<(Gatherer, Option<Taken>)>,
    settled: Settled,
    clock: Clock,
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
    /// Says what is wrong with mail, as far as that is known without trying.
    mail_fault: Box<MailFault>,
    /// Why the page cannot be served.
    page_fault: Mutex<Option<String>>,
    /// What the latest round of alarms left open; `None` if this process does not watch for them.
    said: Mutex<Option<Said>>,
}

impl Monitor {
    /// Knows nothing yet but what has been said before.
    pub fn new(
        disk: Arc<dyn Disk>,
        places: Places,
        settled: Settled,
        clock: Clock,
        mail_fault: Box<MailFault>,
    ) -> Self {
        let data_dir = places.data_dir.clone();
        Self {
            gatherer: Mutex::new((Gatherer::new(Arc::clone(&disk), places), None)),
            settled,
            clock,
            disk,
            data_dir,
            mail_fault,
            page_fault: Mutex::new(None),
            said: Mutex::default(),
        }
    }

    /// Asks there what is committed: neither the vault nor a copy of it is here.
    pub fn ask(&self, remote_vault: Box<dyn RemoteVault>) {
        let mut held = self.gatherer.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.ask(remote_vault);
    }

    /// The page cannot be served, or can again.
    pub fn page_is(&self, fault: Option<String>) {
        *self
            .page_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// How things stand; at most a second old.
    pub fn picture(&self) -> io::Result<Arc<Snapshot>> {
        let mut held = self.gatherer.lock().unwrap_or_else(PoisonError::into_inner);
        let time = self.clock.read();
        if let Some((picture, at)) = &held.1
            && time.steady.0 - at.0 < FRESH_MS
        {
            return Ok(Arc::clone(picture));
        }
        let facts: Facts = held.0.gather(time)?;
        let mut picture = snapshot::of(&facts, &self.settled, time.now);
        let page_fault = self.page_fault.lock();
        picture
            .page_fault
            .clone_from(&page_fault.unwrap_or_else(PoisonError::into_inner));
        let mail = (self.mail_fault)();
        picture.mails = mail.is_some();
        picture.mail_fault = mail.and_then(Result::err);
        (picture.watched, picture.alarms) = self.alarms(&picture);
        let picture = Arc::new(picture);
        held.1 = Some((Arc::clone(&picture), time.steady));
        Ok(picture)
    }

    /// Whether somebody watches for alarms here, and those that are open; if nobody does, those that hold now.
    fn alarms(&self, picture: &Snapshot) -> (bool, Vec<Alarm>) {
        let open = |said: &Said| said.open.iter().map(|open| open.alarm.clone()).collect();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = &*said {
            return (true, open(said));
        }
        let said = read_said(&*self.disk, &self.data_dir);
        match Lock::is_held(&self.data_dir, Lock::MONITOR) {
            Some(true) => (true, open(&said)),
            Some(false) | None => (false, alarm::now(picture, &said)),
        }
    }

    /// Looks for alarms until it `ends`; then says that collecting ends.
    pub fn run(&self, mails: bool, ends: &dyn Fn() -> bool) {
        let (mut next, real) = (UtcMs(i64::MIN), Clock::system());
        let (mut told, begun) = (false, self.clock.steady());
        let said = read_said(&*self.disk, &self.data_dir);
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        // other processes see by it that somebody watches; watching itself does not depend on it
        let mut lock = None;
        while !ends() {
            if lock.is_none() {
                lock = Lock::take(&self.data_dir, Lock::MONITOR, self.clock.now()).ok();
            }
            let time = self.clock.read();
            if next <= time.steady {
                next = time.steady.plus_ms(EVERY_MS);
                let begun = begun.plus_ms(time.stepped_ms);
                if let Err(why) = self.round(mails, &mut told, begun) {
                    tracing::warn!("cannot read the state: {why}");
                }
            }
            real.block(TICK);
        }
        if let Err(why) = self.farewell(mails) {
            tracing::warn!("cannot report that collecting ends: {why}");
        }
    }

    fn round(&self, mails: bool, told: &mut bool, begun: UtcMs) -> io::Result<()> {
        let mut picture = Snapshot::clone(&*self.picture()?);
        self.note_free_space(&picture);
        picture.seen_by_service_of(begun);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.get_or_insert_default();
        let before = said.clone();
        let changes = alarm::judge(&picture, said);
        picture.alarms = said.open.iter().map(|open| open.alarm.clone()).collect();
        for change in &changes {
            tell(change);
            let (queued, what) = mail_texts::of_change(change, &picture);
            let is_mailed = mails && !(self.settled.leaves_archive && change.is_of_archive());
            self.mail(is_mailed, &queued, &what);
        }
        let this = picture.servers.iter().find(|server| server.this);
        if !*told && this.is_some_and(|server| server.link.state == LinkState::Connected) {
            *told = true;
            let queued = mail_texts::begun(&picture, said.collecting_since.is_some());
            self.mail(mails, &queued, "collecting-begun");
            said.collecting_since = Some(picture.now);
        }
        if *said != before {
            self.keep(said)?;
        }
        Ok(())
    }

    fn farewell(&self, mails: bool) -> io::Result<()> {
        let picture = self.picture()?;
        self.mail(mails, &mail_texts::ends(&picture), "collecting-ends");
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.get_or_insert_default();
        said.collecting_since = None;
        self.keep(said)
    }

    fn mail(&self, mails: bool, queued: &QueuedMail, what: &str) {
        if !mails {
            return;
        }
        let queue = Queue::new(&*self.disk, mail_dir(&self.data_dir));
        if let Err(why) = queue.put(queued, what) {
            alarm!(
                AlarmKind::MailStuck,
                "",
                "a mail cannot be saved for sending: {}: {why}",
                queued.subject
            );
        }
    }

    fn keep(&self, said: &Said) -> io::Result<()> {
        let mut json = serde_json::to_vec(said)?;
        json.push(b'\n');
        disk::put(&*self.disk, &said_path(&self.data_dir), &json)
    }

    /// Notes the free space once an hour, so that its end can be told.
    fn note_free_space(&self, picture: &Snapshot) {
        if let Err(why) = self.try_to_note(picture) {
            tracing::debug!("cannot record the free space: {why}");
        }
    }

    fn try_to_note(&self, picture: &Snapshot) -> io::Result<()> {
        let path = free_path(&self.data_dir);
        let text = match self.disk.len(&path)? {
            Some(_) => disk::read_bounded(&*self.disk, &path, SAID_BYTES_MAX)?,
            None => Vec::new(),
        };
        let mut samples: Vec<Sample> = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let is_due = samples
            .last()
            .is_none_or(|last| picture.now < last.at || SAMPLE_MS <= picture.now.0 - last.at.0);
        if !is_due {
            return Ok(());
        }
        samples.push(Sample {
            at: picture.now,
            free_bytes: picture.free_bytes,
        });
        let from = samples.len().saturating_sub(SAMPLES_MAX);
        let mut lines = Vec::new();
        for sample in samples.get(from..).unwrap_or(&[]) {
            serde_json::to_writer(&mut lines, sample)?;
            lines.push(b'\n');
        }
        disk::put(&*self.disk, &path, &lines)
    }
}

/// What has been said; nothing, if that is not known.
pub fn read_said(disk: &dyn Disk, data_dir: &Path) -> Said {
    let path = said_path(data_dir);
    match disk::read_bounded(disk, &path, SAID_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|why| {
            tracing::warn!("{}: it is skipped: {why}", path.display());
            Said::default()
        }),
        Err(_not_there) => Said::default(),
    }
}

fn tell(change: &AlarmChange) {
    match change {
        AlarmChange::Begun(alarm) => alarm!(
            alarm.kind,
            alarm.subject,
            "alarm: {}; what to do: {}",
            alarm.what,
            alarm.todo
        ),
        AlarmChange::Ended(alarm, _) => tracing::info!("alarm over: {}", alarm.what),
    }
}

/// Sends what waits.
pub struct Mailer {
    /// The mail server, or what is wrong with the configuration of it.
    pub mail: Result<Mail, String>,
    /// Reads the password each time, since it may have changed.
    pub password: Box<dyn Fn() -> Result<Option<Secret>, String> + Send>,
    /// The time of the waits.
    pub clock: Clock,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Where the mails wait.
    pub data_dir: PathBuf,
}

impl Mailer {
    /// Sends until `end` is set; then once more. While it does, it is the only one here that sends.
    pub fn run(&self, end: &AtomicBool) {
        let real = Clock::system();
        let (mut lock, mut way) = (None, Way::default());
        loop {
            let ends = end.load(Ordering::Relaxed);
            if lock.is_none() {
                lock = Lock::take(&self.data_dir, "mail", self.clock.now()).ok();
            }
            if lock.is_some()
                && let Err(why) = self.send_due(&mut way)
            {
                tracing::warn!("cannot look for mails: {why}");
            }
            if ends {
                return;
            }
            real.block(TICK);
        }
    }

    /// Sends what is due; says how many mails were taken.
    pub fn send_due(&self, way: &mut Way) -> io::Result<u64> {
        let queue = Queue::new(&*self.disk, mail_dir(&self.data_dir));
        queue.send_due(way, self.clock.now(), |queued, id| self.send(queued, id))
    }

    fn send(&self, queued: &QueuedMail, id: &str) -> Attempt {
        let ready = self.mail.as_ref().map_err(Clone::clone);
        let (mail, password) = match ready.and_then(|mail| Ok((mail, (self.password)()?))) {
            Ok(ready) => ready,
            Err(why) => {
                return Attempt {
                    away: Some(why),
                    ..Attempt::default()
                };
            }
        };
        let first = send::send(mail, password.as_ref(), queued, id);
        let is_suspect = first.away.is_some() && SUSPECT_ATTEMPTS <= queued.attempts;
        if !is_suspect || send::try_to_mail(mail, password.as_ref()).is_err() {
            return first;
        }
        // the way is open, so it is this mail, or somebody whom it is for, that the server drops without a word
        let mut singly = send::send_singly(mail, password.as_ref(), queued, id, &first.taken);
        singly.taken.extend(first.taken);
        singly
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{period::Zone, world::disk::RealDisk};

    pub(in crate::monitor) fn monitor_of(dir: &Path, leaves_archive: bool) -> Monitor {
        let places = Places {
            data_dir: dir.to_owned(),
            this: Some("1".parse().unwrap()),
            spool: dir.join("spool").into(),
            merger: None,
            vault: dir.join("vault").into(),
            legs: vec!["1".parse().unwrap()],
            acks: None,
            zone: Zone::named("UTC").unwrap(),
        };
        let settled = Settled {
            leaves_archive,
            ids_max: None,
            ..snapshot::tests::settled()
        };
        let clock = Clock::system();
        Monitor::new(
            Arc::new(RealDisk),
            places,
            settled,
            clock,
            Box::new(|| None),
        )
    }

    fn mails(dir: &Path) -> Vec<String> {
        let entries = RealDisk.list(&mail_dir(dir)).unwrap();
        let names = entries.iter().filter_map(|entry| {
            let (_, what) = entry.name.split_once('_')?;
            Some(what.trim_end_matches(".json").to_owned())
        });
        names.collect()
    }

    /// What is said of a state, by the one who mails what concerns the archive and by one who leaves that to others.
    #[test]
    fn what_begins_and_ends_is_mailed_by_who_is_to_and_kept_by_all() {
        use crate::schedule::{
            record::{self, Raised, Record, StageRun},
            stage::Stage,
        };
        for (mails_at_all, leaves_archive, expected) in [
            (
                true,
                false,
                &["begin-hour_not_merged-", "begin-osf_token-"][..],
            ),
            (true, true, &["begin-osf_token-"]),
            (false, false, &[]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let monitor = monitor_of(dir.path(), leaves_archive);
            let raised = |kind| Raised {
                kind,
                subject: String::new(),
                what: "it is so".to_owned(),
                more: 0,
            };
            let mut run = StageRun::begun(monitor.clock.now());
            run.alarms = vec![
                raised(AlarmKind::HourNotMerged),
                raised(AlarmKind::OsfToken),
            ];
            let mut record = Record::default();
            record.stages.insert(Stage::Merge, run);
            record::write(&RealDisk, dir.path(), &record).unwrap();
            let begun = monitor.clock.steady();
            monitor.round(mails_at_all, &mut true, begun).unwrap();
            let mut found = mails(dir.path());
            found.sort();
            assert_eq!(found, expected);
            let said = read_said(&RealDisk, dir.path());
            assert_eq!(said.open.len(), 2);
            // another process knows what was said, and says it no second time
            let again = monitor_of(dir.path(), leaves_archive);
            *again.said.lock().unwrap() = Some(said);
            again.round(mails_at_all, &mut true, begun).unwrap();
            assert_eq!(mails(dir.path()).len(), expected.len());
        }
    }

    /// An end is kept as a begin is: else each start says it once more.
    #[test]
    fn that_a_state_is_over_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let monitor = monitor_of(dir.path(), false);
        let now = monitor.clock.now();
        let over = |ms: i64| alarm::OpenAlarm {
            alarm: Alarm {
                kind: AlarmKind::OsfToken,
                subject: String::new(),
                since: now.plus_ms(-3_600_000),
                what: "it was so".to_owned(),
                todo: "mend it".to_owned(),
                partitions: Vec::new(),
            },
            over_since: Some(now.plus_ms(-ms)),
            told: BTreeSet::new(),
            grown_since: None,
        };
        let said = Said {
            open: vec![over(600_000)],
            ..Said::default()
        };
        monitor.keep(&said).unwrap();
        *monitor.said.lock().unwrap() = Some(said);
        monitor
            .round(true, &mut true, monitor.clock.steady())
            .unwrap();
        assert_eq!(mails(dir.path()), ["end-osf_token-"]);
        assert_eq!(read_said(&RealDisk, dir.path()).open, []);
    }

    #[test]
    fn a_run_that_ended_in_order_is_not_said_to_have_crashed() {
        let dir = tempfile::tempdir().unwrap();
        let monitor = monitor_of(dir.path(), false);
        let said = Said {
            collecting_since: Some(monitor.clock.now()),
            ..Said::default()
        };
        monitor.keep(&said).unwrap();
        *monitor.said.lock().unwrap() = Some(said);
        monitor.farewell(true).unwrap();
        assert_eq!(mails(dir.path()), ["collecting-ends"]);
        assert_eq!(read_said(&RealDisk, dir.path()).collecting_since, None);
    }

    #[test]
    fn free_space_is_noted_once_an_hour_by_whatever_clock_and_the_latest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let monitor = monitor_of(dir.path(), false);
        let mut picture = Snapshot::clone(&*monitor.picture().unwrap());
        let begin = picture.now;
        let mut note = |minutes: i64| {
            picture.now = begin.plus_ms(60_000 * minutes);
            picture.free_bytes = u64::try_from(minutes + 1_000).unwrap();
            monitor.try_to_note(&picture).unwrap();
            let bytes = disk::read_bounded(&RealDisk, &free_path(dir.path()), 1 << 20).unwrap();
            let lines = bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty());
            let samples =
                lines.map(|line| serde_json::from_slice::<Sample>(line).unwrap().free_bytes);
            samples
                .map(|bytes| i64::try_from(bytes).unwrap() - 1_000)
                .collect::<Vec<i64>>()
        };
        assert_eq!(note(0), [0]);
        assert_eq!(note(59), [0]);
        assert_eq!(note(60), [0, 60]);
        // the clock was a day ahead, and was set back
        assert_eq!(note(1_500), [0, 60, 1_500]);
        assert_eq!(note(61), [0, 60, 1_500, 61]);
        assert_eq!(note(62), [0, 60, 1_500, 61]);
        for hour in 2..=300 {
            note(61 + 60 * hour);
        }
        let all = note(61 + 60 * 300);
        assert_eq!(
            (all.len(), all.last()),
            (SAMPLES_MAX, Some(&(61 + 60 * 300)))
        );
        assert_eq!(
            all[0],
            61 + 60 * (301 - i64::try_from(SAMPLES_MAX).unwrap())
        );
    }
}
