//! Mails that wait to be sent: `<data_dir>/mail/<time>_<what>.json`, one file each.
//!
//! A letter is a file before it is anything else, so that it outlives whatever happens to the
//! process, and it is removed when a mail server has taken it. Anybody may put one there.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    period::UtcMs,
    world::disk::{self, Disk},
};

/// The version of the format.
const FORMAT: u32 = 1;

/// A letter with a day's certificate and picture has some hundred kilobytes.
const LETTER_BYTES_MAX: u64 = 32 << 20;

/// Some months of a mail server that is gone. Beyond it nothing more is kept.
const LETTERS_MAX: usize = 1_000;

/// The first wait after a failure, doubled with each further one …
const WAIT_MS: i64 = 60_000;
/// … up to this.
const WAIT_MS_MAX: i64 = 3_600_000;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
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
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Not before this it is tried again.
    pub next: UtcMs,
    /// Why it failed last.
    pub failed: Option<String>,
}

/// A file that goes with a letter.
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

impl Letter {
    /// One that has not been tried yet.
    pub fn new(at: UtcMs, subject: String, text: String) -> Self {
        Self {
            format: FORMAT,
            at,
            subject,
            text,
            attachments: Vec::new(),
            attempts: 0,
            next: at,
            failed: None,
        }
    }

    /// Notes a failure; the next attempt is the later, the more there were.
    fn has_failed(&mut self, now: UtcMs, why: &str) {
        let factor = 1_i64.checked_shl(self.attempts.min(16)).unwrap_or(1);
        self.attempts = self.attempts.saturating_add(1);
        self.next = now.plus_ms(WAIT_MS.saturating_mul(factor).min(WAIT_MS_MAX));
        self.failed = Some(why.to_owned());
    }
}

/// The queue of a data directory.
pub struct Queue<'a> {
    disk: &'a dyn Disk,
    folder: PathBuf,
}

/// Why a letter was not taken.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotTaken {
    /// In words.
    pub why: String,
    /// Whether the mail server took no part in it, so that the next letter will fare the same.
    pub unreachable: bool,
}

impl<'a> Queue<'a> {
    /// In that folder.
    pub fn new(disk: &'a dyn Disk, folder: PathBuf) -> Self {
        Self { disk, folder }
    }

    /// Puts a letter in, durably; gives its name. `what` says what it is about, in a word.
    pub fn put(&self, letter: &Letter, what: &str) -> io::Result<String> {
        self.disk.make_folder(&self.folder)?;
        if LETTERS_MAX <= self.names()?.len() {
            let what = format!(
                "{LETTERS_MAX} mails wait in {} already",
                self.folder.display()
            );
            return Err(io::Error::other(what));
        }
        let mut at = letter.at;
        while self.disk.len(&self.folder.join(name(at, what)))?.is_some() {
            at = at.plus_ms(1);
        }
        let name = name(at, what);
        self.write(&name, letter)?;
        Ok(name)
    }

    /// Sends what is due, oldest first; says how many were taken. `send` is given the letter and a
    /// name that stays the same over all attempts, and is not asked any more once the mail server
    /// cannot be reached.
    pub fn send_due(
        &self,
        now: UtcMs,
        mut send: impl FnMut(&Letter, &str) -> Result<(), NotTaken>,
    ) -> io::Result<u64> {
        let mut taken = 0;
        for name in self.names()? {
            let path = self.folder.join(&name);
            let Some(mut letter) = self.read(&path) else {
                continue;
            };
            if now < letter.next {
                continue;
            }
            match send(&letter, name.trim_end_matches(".json")) {
                Ok(()) => {
                    self.disk.remove(&path)?;
                    taken += 1;
                    tracing::info!("mail sent: {}", letter.subject);
                }
                Err(not_taken) => {
                    letter.has_failed(now, &not_taken.why);
                    let wait_s = (letter.next.0 - now.0) / 1_000;
                    tracing::warn!(
                        "mail not sent, tried again in {wait_s} s: {}: {}",
                        letter.subject,
                        not_taken.why
                    );
                    self.write(&name, &letter)?;
                    if not_taken.unreachable {
                        break;
                    }
                }
            }
        }
        Ok(taken)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.disk.list(&self.folder)?;
        let names = entries.into_iter().filter(|entry| !entry.folder);
        Ok(names
            .map(|entry| entry.name)
            .filter(|name| time_of(name).is_some())
            .collect())
    }

    fn read(&self, path: &Path) -> Option<Letter> {
        let bytes = disk::read_bounded(self.disk, path, LETTER_BYTES_MAX);
        let letter = bytes.map_err(|why| why.to_string()).and_then(|bytes| {
            serde_json::from_slice::<Letter>(&bytes).map_err(|why| why.to_string())
        });
        match letter {
            Ok(letter) if letter.format <= FORMAT => Some(letter),
            Ok(_) => None,
            Err(why) => {
                tracing::warn!("{}: it is no letter and stays: {why}", path.display());
                None
            }
        }
    }

    fn write(&self, name: &str, letter: &Letter) -> io::Result<()> {
        let mut json = serde_json::to_vec(letter)?;
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

/// When the letter of that name was written; `None` for what is no letter.
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

    fn letter(subject: &str, at: UtcMs) -> Letter {
        let mut letter = Letter::new(at, subject.to_owned(), "text\n".to_owned());
        letter
            .attachments
            .push(Attachment::new("a.txt", "text/plain", b"\xff\x00bytes"));
        letter
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

    #[test]
    fn a_letter_waits_longer_each_time_and_goes_when_it_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(&RealDisk, dir.path().join("mail"));
        queue.put(&letter("first", AT), "a").unwrap();
        queue.put(&letter("second", AT.plus_ms(1)), "b").unwrap();
        let mut now = AT.plus_ms(1);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let mut asked = Vec::new();
            let taken = queue.send_due(now, |letter, _| {
                asked.push(letter.subject.clone());
                Err(NotTaken {
                    why: "no route".to_owned(),
                    unreachable: true,
                })
            });
            assert_eq!(
                (taken.unwrap(), asked.len()),
                (0, 1),
                "the second is not tried in vain"
            );
            let path = dir.path().join("mail/20261123T140509123Z_a.json");
            let next = queue.read(&path).unwrap().next;
            waits.push((next.0 - now.0) / 60_000);
            now = next;
            // only the first one's waits are counted
            let second = dir.path().join("mail/20261123T140509124Z_b.json");
            let mut letter = queue.read(&second).unwrap();
            letter.next = UtcMs(i64::MAX);
            queue.write("20261123T140509124Z_b.json", &letter).unwrap();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let mut ids = Vec::new();
        let taken = queue.send_due(now, |letter, id| {
            assert_eq!(letter.attachments[0].bytes(), b"\xff\x00bytes");
            ids.push(id.to_owned());
            Ok(())
        });
        assert_eq!(
            (taken.unwrap(), ids),
            (1, vec!["20261123T140509123Z_a".to_owned()])
        );
        assert_eq!(queue.names().unwrap().len(), 1);
    }

    #[test]
    fn a_letter_that_is_refused_does_not_hold_up_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(&RealDisk, dir.path().to_owned());
        queue.put(&letter("first", AT), "a").unwrap();
        queue.put(&letter("second", AT.plus_ms(1)), "b").unwrap();
        disk::put(
            &RealDisk,
            &dir.path().join("20261123T140509122Z_c.json"),
            b"{",
        )
        .unwrap();
        let taken = queue.send_due(AT.plus_ms(1), |letter, _| match letter.subject.as_str() {
            "first" => Err(NotTaken {
                why: "550 no".to_owned(),
                unreachable: false,
            }),
            _ => Ok(()),
        });
        assert_eq!(taken.unwrap(), 1);
        assert_eq!(queue.names().unwrap().len(), 2, "the damaged one stays");
    }
}
