//! Mails that wait to be sent: `<data_dir>/mail/<time>_<what>.json`, one file each.
//!
//! A mail is written to a file first, so it survives whatever happens to the process. It is removed once a mail
//! server has accepted it. Any process may add one.
//!
//! Mails are sent in the order in which they were written, so that nobody reads of the end of an alarm before its
//! beginning. While the mail server cannot be reached, only the oldest is tried. A mail that the server refuses is
//! tried again before others are sent, but does not delay them. If it is refused for some recipients, the others
//! still get it, and nobody gets it twice.

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    period::UtcMs,
    world::disk::{self, Disk},
};

/// The version of the format.
const FORMAT: u32 = 1;

/// A mail with a day's certificate and picture has some hundred kilobytes.
const MAIL_BYTES_MAX: u64 = 32 << 20;

/// Enough for some months without a mail server. Beyond it, nothing more is kept.
const MAILS_MAX: usize = 1_000;

/// The first wait after a failure, doubled with each further one …
const WAIT_MS: i64 = 60_000;
/// … up to this.
const WAIT_MS_MAX: i64 = 3_600_000;

/// After this many refusals, which take a quarter of an hour, a mail is tried at its own times, and no longer with
/// the others.
const REFUSALS_MAX: u32 = 5;

/// After this time, a mail that some recipients have got is given up for the others, so that an address that no
/// longer exists does not fill the queue.
const GIVE_UP_MS: i64 = 48 * 3_600_000;

/// How long a file that is not a mail is not read again.
const DAMAGED_MS: i64 = 3_600_000;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMail {
    /// Version of the format: 1.
    pub format: u32,
    /// When it was written.
    pub at: UtcMs,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// What is attached.
    pub attachments: Vec<Attachment>,
    /// The addresses that have got it.
    #[serde(default)]
    pub taken: Vec<String>,
    /// How often sending it failed.
    pub attempts: u32,
    /// How often of these the mail server has refused it.
    #[serde(default)]
    pub refusals: u32,
    /// When it is tried again at its own time.
    pub next: UtcMs,
    /// Why it failed last.
    pub failed: Option<String>,
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// What it is, such as `image/svg+xml`.
    pub kind: String,
    /// Its bytes, as base64.
    pub base64: String,
}

impl Attachment {
    /// Of bytes.
    pub fn new(name: &str, kind: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            base64: STANDARD.encode(bytes),
        }
    }

    /// The bytes; none if it is damaged.
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.base64).unwrap_or_default()
    }
}

impl QueuedMail {
    /// One that has not been tried yet.
    pub fn new(at: UtcMs, subject: String, text: String) -> Self {
        Self {
            format: FORMAT,
            at,
            subject,
            text,
            attachments: Vec::new(),
            taken: Vec::new(),
            attempts: 0,
            refusals: 0,
            next: at,
            failed: None,
        }
    }

    /// Those of them who do not have it yet.
    pub fn lacks<'l>(&'l self, to: &'l [String]) -> impl Iterator<Item = &'l str> {
        to.iter()
            .filter(|address| !self.taken.contains(address))
            .map(String::as_str)
    }

    /// Records how an attempt ended. The more refusals, the later the next attempt.
    fn was_tried(&mut self, now: UtcMs, attempt: &Attempt) {
        self.taken.extend(attempt.taken.iter().cloned());
        self.attempts = self.attempts.saturating_add(1);
        self.failed = Some(attempt.to_string());
        if attempt.away.is_none() {
            self.refusals = self.refusals.saturating_add(1);
            self.next = now.plus_ms(wait_ms(self.refusals));
        }
    }

    /// Whether it goes at its own times only.
    fn is_stuck(&self, now: UtcMs) -> bool {
        REFUSALS_MAX <= self.refusals && is_to_come(self.next, now)
    }
}

/// Whether a recorded time is still to come. No time is set further ahead than the longest wait: a later one was
/// recorded when the clock was ahead, and is ignored.
fn is_to_come(next: UtcMs, now: UtcMs) -> bool {
    now < next && next.0.saturating_sub(now.0) <= WAIT_MS_MAX
}

/// How long to wait after so many failures.
fn wait_ms(failures: u32) -> i64 {
    let factor = 1_i64.checked_shl(failures.saturating_sub(1).min(16));
    let factor = factor.unwrap_or(1);
    WAIT_MS.saturating_mul(factor).min(WAIT_MS_MAX)
}

/// The state of the connection to the mail server. A new process knows nothing, and tries at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// How often in a row it could not be reached.
    failures: u32,
    /// When that was last, and when it is tried again.
    tried: Option<(UtcMs, UtcMs)>,
    /// Which mails are not read again, and until when.
    rests: BTreeMap<String, UtcMs>,
}

impl Way {
    /// Whether to try: the time has come, or there is a newer mail.
    fn may_be_open(&self, newest: UtcMs, now: UtcMs) -> bool {
        self.tried
            .is_none_or(|(last, next)| !is_to_come(next, now) || last < newest)
    }

    fn is_open(&mut self) {
        (self.failures, self.tried) = (0, None);
    }

    /// It was not; says when it is tried again.
    fn is_closed(&mut self, now: UtcMs) -> UtcMs {
        self.failures = self.failures.saturating_add(1);
        let next = now.plus_ms(wait_ms(self.failures));
        self.tried = Some((now, next));
        next
    }
}

/// The queue of a data directory.
pub struct Queue<'a> {
    disk: &'a dyn Disk,
    folder: PathBuf,
}

/// The result of giving a mail to the mail server. An address in neither list was not tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The addresses that got it.
    pub taken: Vec<String>,
    /// The addresses that it was refused for, and in which words.
    pub refused: BTreeMap<String, String>,
    /// Why the attempt broke off, if the mail is not the reason: the next one will fail in the same way.
    pub away: Option<String>,
}

impl Attempt {
    /// It was refused for all of them in the same words.
    pub fn refuse_all(&mut self, addresses: &[&str], why: &str) {
        for address in addresses {
            self.refused.insert((*address).to_owned(), why.to_owned());
        }
    }

    fn is_done(&self) -> bool {
        self.refused.is_empty() && self.away.is_none()
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.refused.iter();
        let words = refused.map(|(address, why)| format!("to {address}: {why}"));
        let words: Vec<String> = words.chain(self.away.clone()).collect();
        f.write_str(&words.join("; "))
    }
}

impl<'a> Queue<'a> {
    /// In that folder.
    pub fn new(disk: &'a dyn Disk, folder: PathBuf) -> Self {
        Self { disk, folder }
    }

    /// Puts a mail in, durably; gives its name. `what` says what it is about, in a word.
    pub fn put(&self, queued: &QueuedMail, what: &str) -> io::Result<String> {
        self.disk.make_folder(&self.folder)?;
        if MAILS_MAX <= self.names()?.len() {
            let what = format!(
                "{MAILS_MAX} mails wait in {} already",
                self.folder.display()
            );
            return Err(io::Error::other(what));
        }
        let mut at = queued.at;
        while self.disk.len(&self.folder.join(name(at, what)))?.is_some() {
            at = at.plus_ms(1);
        }
        let name = name(at, what);
        self.write(&name, queued)?;
        Ok(name)
    }

    /// Sends the mails that are due, oldest first, and with them all that wait; returns how many were accepted.
    /// `send` gets the mail and a name that is the same for all attempts, and is not called again once the mail
    /// server cannot be reached.
    pub fn send_due(
        &self,
        way: &mut Way,
        now: UtcMs,
        mut send: impl FnMut(&QueuedMail, &str) -> Attempt,
    ) -> io::Result<u64> {
        let names = self.names()?;
        let Some(newest) = names.iter().filter_map(|name| time_of(name)).max() else {
            return Ok(0);
        };
        way.rests.retain(|name, _| names.contains(name));
        if !way.may_be_open(newest, now) || !names.iter().any(|name| self.is_due(way, name, now)) {
            return Ok(0);
        }
        let mut taken = 0;
        for name in names {
            let Some(queued) = self.read(&name).ok().flatten() else {
                continue;
            };
            if queued.is_stuck(now) {
                continue;
            }
            let attempt = send(&queued, name.trim_end_matches(".json"));
            if attempt.is_done() {
                way.is_open();
                self.disk.remove(&self.folder.join(&name))?;
                taken += 1;
                tracing::info!("mail sent: {}", queued.subject);
            } else {
                self.keep(way, &name, queued, &attempt, now)?;
            }
            if attempt.away.is_some() {
                break;
            }
        }
        Ok(taken)
    }

    /// Keeps a mail that not all have got.
    fn keep(
        &self,
        way: &mut Way,
        name: &str,
        mut queued: QueuedMail,
        attempt: &Attempt,
        now: UtcMs,
    ) -> io::Result<()> {
        queued.was_tried(now, attempt);
        let next = if attempt.away.is_some() {
            way.is_closed(now)
        } else {
            way.is_open();
            queued.next
        };
        let taken = queued.taken.join(", ");
        if attempt.away.is_none() && !taken.is_empty() && GIVE_UP_MS <= now.0 - queued.at.0 {
            tracing::warn!(
                "mail given up, which went to {taken} only: {}: {attempt}",
                queued.subject
            );
            return self.disk.remove(&self.folder.join(name));
        }
        let sent = if taken.is_empty() {
            "not sent".to_owned()
        } else {
            format!("sent to {taken}, not yet to all")
        };
        tracing::warn!(
            "mail {sent}, tried again in {} s: {}: {attempt}",
            (next.0 - now.0) / 1_000,
            queued.subject
        );
        self.write(name, &queued)
    }

    /// Whether there is a mail of that name whose time has come.
    fn is_due(&self, way: &mut Way, name: &str, now: UtcMs) -> bool {
        if way
            .rests
            .get(name)
            .is_some_and(|until| is_to_come(*until, now))
        {
            return false;
        }
        let next = match self.read(name) {
            Ok(Some(queued)) => queued.next,
            Ok(None) => return false,
            Err(why) => {
                tracing::warn!("it is not a mail, and is kept: {why}");
                now.plus_ms(DAMAGED_MS)
            }
        };
        let is_to_come = is_to_come(next, now);
        if is_to_come {
            way.rests.insert(name.to_owned(), next);
        }
        !is_to_come
    }

    /// Why the oldest has not been sent, as far as that is known.
    pub fn why_oldest(&self) -> Option<String> {
        let oldest = self.names().ok()?.into_iter().min()?;
        match self.read(&oldest) {
            Ok(queued) => queued?.failed,
            Err(why) => Some(why.to_string()),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.disk.list(&self.folder)?;
        let names = entries.into_iter().filter(|entry| !entry.folder);
        Ok(names
            .map(|entry| entry.name)
            .filter(|name| time_of(name).is_some())
            .collect())
    }

    /// A mail; none if it has just gone.
    fn read(&self, name: &str) -> io::Result<Option<QueuedMail>> {
        let path = self.folder.join(name);
        let at = |why: &dyn fmt::Display| io::Error::other(format!("{}: {why}", path.display()));
        let bytes = match disk::read_bounded(self.disk, &path, MAIL_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(at(&why)),
        };
        let queued: QueuedMail = serde_json::from_slice(&bytes).map_err(|why| at(&why))?;
        if FORMAT < queued.format {
            return Err(at(&"a later version of the program has written it"));
        }
        Ok(Some(queued))
    }

    fn write(&self, name: &str, queued: &QueuedMail) -> io::Result<()> {
        let mut json = serde_json::to_vec(queued)?;
        json.push(b'\n');
        disk::put(self.disk, &self.folder.join(name), &json)
    }
}

/// `20261123T140509123Z_<what>.json`
fn name(at: UtcMs, what: &str) -> String {
    let time: String = at
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let what: String = what
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    format!("{time}_{what}.json")
}

/// When the mail of that name was written; `None` for what is no mail.
pub fn time_of(name: &str) -> Option<UtcMs> {
    let (time, what) = name.split_once('_')?;
    what.strip_suffix(".json")?;
    if time.len() != 19 || !time.is_ascii() {
        return None;
    }
    let part = |from: usize, to: usize| time.get(from..to).unwrap_or("");
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 15),
        part(15, 19)
    );
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    const AT: UtcMs = UtcMs(1_795_442_709_123);

    fn queued(subject: &str, at: UtcMs) -> QueuedMail {
        let mut queued = QueuedMail::new(at, subject.to_owned(), "text\n".to_owned());
        queued
            .attachments
            .push(Attachment::new("a.txt", "text/plain", b"\xff\x00bytes"));
        queued
    }

    #[test]
    fn names_tell_their_time() {
        let name = name(AT, "begin no_posts/../1");
        assert_eq!(name, "20261123T140509123Z_begin_no_posts____1.json");
        assert_eq!(time_of(&name), Some(AT));
        for foreign in [
            "x",
            "20261123T140509123Z.json",
            "20261123T140509123Z_a.tmp",
            "é_.json",
        ] {
            assert_eq!(time_of(foreign), None);
        }
    }

    fn unreachable() -> Attempt {
        Attempt {
            away: Some("no route".to_owned()),
            ..Attempt::default()
        }
    }

    fn refused() -> Attempt {
        let mut attempt = Attempt::default();
        attempt.refuse_all(&["a@x"], "451 later");
        attempt
    }

    /// What was tried, in its order, when each mail is answered so.
    fn round(
        queue: &Queue<'_>,
        way: &mut Way,
        now: UtcMs,
        answer: impl Fn(&str) -> Attempt,
    ) -> Vec<String> {
        let mut asked = Vec::new();
        let sent = queue.send_due(way, now, |queued, _| {
            assert_eq!(queued.attachments[0].bytes(), b"\xff\x00bytes");
            asked.push(queued.subject.clone());
            answer(&queued.subject)
        });
        let taken = asked.iter().filter(|subject| answer(subject).is_done());
        assert_eq!(sent.unwrap(), taken.count() as u64);
        asked
    }

    #[test]
    fn what_was_put_off_when_the_clock_was_ahead_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(&RealDisk, dir.path().join("mail"));
        let ahead = AT.plus_ms(2 * WAIT_MS_MAX);
        queue.put(&queued("begin", ahead), "a").unwrap();
        let mut way = Way::default();
        assert_eq!(
            round(&queue, &mut way, ahead.plus_ms(1), |_| unreachable()),
            ["begin"]
        );
        // put right, in the same process and in a new one
        for way in [&mut way, &mut Way::default()] {
            assert_eq!(round(&queue, way, AT, |_| unreachable()), ["begin"]);
        }
    }

    #[test]
    fn while_nobody_is_there_the_oldest_is_tried_ever_less_often() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(&RealDisk, dir.path().join("mail"));
        let (mut way, mut now) = (Way::default(), AT.plus_ms(1));
        let nobody = |_: &str| unreachable();
        assert!(round(&queue, &mut way, now, nobody).is_empty());
        queue.put(&queued("begin", AT), "a").unwrap();
        queue.put(&queued("other", AT.plus_ms(1)), "b").unwrap();
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(round(&queue, &mut way, now, nobody), ["begin"]);
            let next = way.tried.unwrap().1;
            assert!(round(&queue, &mut way, next.plus_ms(-1), nobody).is_empty());
            waits.push((next.0 - now.0) / 60_000);
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // a new mail is a reason to try again, once, and the oldest goes first
        assert_eq!(round(&queue, &mut way, now, nobody), ["begin"]);
        let later = now.plus_ms(1_000);
        queue.put(&queued("end", later), "c").unwrap();
        assert_eq!(round(&queue, &mut way, later, nobody), ["begin"]);
        assert!(round(&queue, &mut way, later.plus_ms(250), nobody).is_empty());
        queue.put(&queued("last", later.plus_ms(300)), "d").unwrap();
        let all = ["begin", "other", "end", "last"];
        let now = later.plus_ms(300);
        assert_eq!(round(&queue, &mut way, now, |_| Attempt::default()), all);
        assert_eq!((way, queue.names().unwrap().len()), (Way::default(), 0));
    }

    #[test]
    fn who_is_refused_keeps_a_letter_from_nobody_and_who_has_it_is_not_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(&RealDisk, dir.path().to_owned());
        queue.put(&queued("one", AT), "a").unwrap();
        let to = ["a@x", "b@x", "c@x"].map(str::to_owned);
        let mut now = AT;
        let mut go = |step_ms: i64, refused: &[&str]| {
            now = now.plus_ms(step_ms);
            let mut asked = Vec::new();
            // each time another process
            let sent = queue.send_due(&mut Way::default(), now, |queued, _| {
                let lacks: Vec<&str> = queued.lacks(&to).collect();
                asked.extend(lacks.iter().map(|address| (*address).to_owned()));
                let (no, yes): (Vec<&str>, Vec<&str>) = lacks
                    .into_iter()
                    .partition(|address| refused.contains(address));
                let mut attempt = Attempt {
                    taken: yes.into_iter().map(str::to_owned).collect(),
                    ..Attempt::default()
                };
                attempt.refuse_all(&no, "550 nobody");
                attempt
            });
            (asked.join(" "), sent.unwrap(), queue.why_oldest())
        };
        let why = Some("to b@x: 550 nobody".to_owned());
        assert_eq!(go(0, &["b@x"]), ("a@x b@x c@x".to_owned(), 0, why.clone()));
        for _ in 0..5 {
            assert_eq!(
                go(WAIT_MS_MAX, &["b@x"]),
                ("b@x".to_owned(), 0, why.clone())
            );
        }
        // in the end it is taken …
        assert_eq!(go(WAIT_MS_MAX, &[]), ("b@x".to_owned(), 1, None));
        // … or given up, but only if somebody has it
        queue.put(&queued("two", AT), "a").unwrap();
        assert_eq!(go(0, &["a@x", "b@x", "c@x"]).1, 0);
        assert!(go(GIVE_UP_MS, &["a@x", "b@x", "c@x"]).2.is_some());
        assert!(go(WAIT_MS_MAX, &["b@x"]).2.is_none());
        assert_eq!(queue.names().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_letter_that_is_refused_goes_first_and_holds_up_none() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(&RealDisk, dir.path().to_owned());
        queue.put(&queued("begin", AT), "a").unwrap();
        let damaged = dir.path().join("20261123T140509122Z_c.json");
        disk::put(&RealDisk, &damaged, b"{").unwrap();
        let mut way = Way::default();
        let mut go = |now: UtcMs, refuses: &[&str]| {
            round(&queue, &mut way, now, |subject| {
                if refuses.contains(&subject) {
                    refused()
                } else {
                    Attempt::default()
                }
            })
        };
        // a server that refuses for now
        assert_eq!(go(AT, &["begin"]), ["begin"]);
        assert!(go(AT.plus_ms(1_000), &[]).is_empty());
        queue.put(&queued("end", AT.plus_ms(30_000)), "b").unwrap();
        // the mail that has come since does not go before the one that waits
        assert_eq!(go(AT.plus_ms(30_000), &[]), ["begin", "end"]);
        // a mail that it never takes
        queue.put(&queued("bad", AT.plus_ms(40_000)), "a").unwrap();
        let mut now = AT.plus_ms(40_000);
        for n in 0..5 {
            let subject = format!("good {n}");
            queue.put(&queued(&subject, now), "b").unwrap();
            assert_eq!(go(now, &["bad"]), ["bad", &subject]);
            now = now.plus_ms(1_000);
        }
        queue.put(&queued("good", now), "b").unwrap();
        assert_eq!(go(now, &["bad"]), ["good"], "it is not tried on and on");
        assert_eq!(go(now.plus_ms(WAIT_MS_MAX), &["bad"]), ["bad"]);
        assert_eq!(
            queue.names().unwrap().len(),
            2,
            "it stays, as the damaged one"
        );
    }
}
