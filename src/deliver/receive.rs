//! The primary's side of a delivery over ssh: makes what has arrived durable, reads it back, checks it against its
//! seal, and acknowledges it.
//!
//! The files come from another machine, which an attacker may control. A segment that does not match its seal, and
//! any file with a name that no secondary gives, is set aside under `<spool>/<server>/aside/` with an alarm; links
//! are never followed. Nothing is deleted or overwritten.
//!
//! `<data_dir>/received.json` has the UTC days that are acknowledged completely, and the state of their folders:
//! these are read again only when a file is added or removed. If it is lost, everything is read once.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    plan::ENDINGS,
    remote_folder::HOLD,
    sealed::{self, SealedError},
};
use crate::{
    alarm::AlarmKind,
    period::{Day, UtcMs},
    place::open::{SPOOL_MARK, Spool, spool_mark},
    segment::{
        acks::{self, ACKS, Ack, Old, WITHDRAWN},
        aside,
        days::{self, Folders, Still, Walk},
        name::{SegmentName, ServerId},
        raw,
        sha256::Sha256,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// How many segments are acknowledged together, and so may have to be read again after a power cut.
const TOGETHER: usize = 60;

/// The order for receiving.
pub struct ReceiveJob<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Where it records what need not be read again.
    pub data_dir: &'a Path,
    /// The primary's spool.
    pub spool: &'a Spool,
    /// The servers that deliver over ssh; those that deliver to a folder acknowledge by themselves.
    pub servers: &'a [ServerId],
    /// Bytes that must stay free; below it nothing is received.
    pub keep_free: u64,
    /// How long the secondaries keep what was acknowledged.
    pub keep_delivered: Duration,
}

/// The result.
#[derive(Debug, Default, serde::Serialize)]
pub struct Received {
    /// Segments that are acknowledged since.
    pub acknowledged: u64,
    /// What was set aside, or could not be.
    pub refused: Vec<Refused>,
    /// Why nothing is received at present.
    pub hold: Option<String>,
    /// Servers whose files could not all be read; the log says why.
    pub failed: Vec<ServerId>,
}

/// What was delivered and is not used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The segment, or the entry of a folder.
    pub what: String,
    /// Why.
    pub why: String,
    /// Where it was moved to; `None` if it stays where it is.
    pub moved_to: Option<PathBuf>,
}

/// Some bytes for each day and server.
const KNOWN_BYTES_MAX: u64 = 64 << 20;

/// The parts of a server's folder that need not be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// UTC days of which all is acknowledged, and what their folders were like.
    days: BTreeMap<Day, Sha256>,
    /// Since when the others have been as they are.
    still: Still,
    /// How many of its acknowledgements need not be read any more.
    old: Old,
    /// How many bytes of them there were.
    acks: u64,
}

impl Known {
    /// Whether there may be something new in a day's folders.
    fn is_open(&self, day: Day, of: &Folders) -> bool {
        of.version.is_none() || self.days.get(&day) != of.version.as_ref()
    }
}

fn unreadable(server: &ServerId, why: &io::Error, received: &mut Received) {
    if !received.failed.contains(server) {
        received.failed.push(server.clone());
    }
    alarm!(
        AlarmKind::Unreadable,
        server,
        "its deliveries are not received: {why}"
    );
}

impl ReceiveJob<'_> {
    /// Receives from all servers. A failure of one is reported, and does not stop the others.
    pub fn run(&self, now: &dyn Fn() -> UtcMs) -> Received {
        let mut received = Received::default();
        let path = self.data_dir.join("received.json");
        let before: BTreeMap<ServerId, Known> =
            disk::noted(self.disk, &path, KNOWN_BYTES_MAX).unwrap_or_default();
        let mut known = before.clone();
        known.retain(|server, _| self.servers.contains(server));
        for server in self.servers {
            let of_server = known.entry(server.clone()).or_default();
            if let Err(why) = self.server((server, of_server), now, &mut received) {
                alarm!(
                    AlarmKind::Unreadable,
                    server,
                    "nothing more is received from server {server}: {why}\n  hint: the next merge tries again"
                );
                received.failed.push(server.clone());
            }
        }
        if known != before
            && let Err(why) = self.keep(&path, &known)
        {
            tracing::warn!("acknowledged files are read again: {why}");
        }
        received
    }

    fn keep(&self, path: &Path, known: &BTreeMap<ServerId, Known>) -> io::Result<()> {
        disk::put(self.disk, path, &serde_json::to_vec(known)?)
    }

    fn too_little_room(&self) -> Result<Option<String>, ErrorAt> {
        let free = self.disk.free(self.spool).at(self.spool)?;
        let keep = self.keep_free;
        Ok((free < keep).then(|| format!("{free} bytes are free, merge.keep_free is {keep}")))
    }

    fn server(
        &self,
        (server, known): (&ServerId, &mut Known),
        now: &dyn Fn() -> UtcMs,
        received: &mut Received,
    ) -> Result<(), ErrorAt> {
        received.hold = self.too_little_room()?;
        let top = self.spool.join(server.as_str());
        self.disk.make_folder(&top).at(&top)?;
        // before it is read
        let walk = days::walk(self.disk, &[self.spool], slice::from_ref(server)).at(&top)?;
        let may_be_new = |day: &Day| {
            let of = walk.days.get(day);
            of.is_none_or(|of| known.is_open(*day, of))
        };
        self.refuse_strangers(server, &may_be_new, received)?;
        self.set_hold(&top, received.hold.as_deref())?;
        let path = acks::path(self.spool, server);
        if self.disk.len(&path).at(&path)?.is_none() {
            // it tells a restricted key that this is the server's folder
            acks::append(self.disk, &path, &[]).at(&path)?;
        }
        self.show_mark(&top)?;
        if received.hold.is_some() {
            return Ok(());
        }
        for (_, why) in &walk.unreadable {
            unreadable(server, why, received);
        }
        let now_is = now();
        let acks = || self.disk.len(&path).at(&path);
        if acks()?.unwrap_or(0) < known.acks {
            // acknowledgements have been removed, by whatever
            known.days.clear();
        }
        let is_other = known.old.go_on(self.disk, &path, now_is);
        if is_other.at(&path)? && walk.unreadable.is_empty() {
            self.forget((&path, &mut known.old), &walk, now_is)?;
        }
        let is_as_it_was = |day: &Day, version: &Sha256| {
            let of = walk.days.get(day);
            of.is_some_and(|of| of.version.as_ref() == Some(version))
        };
        known.days.retain(|day, version| is_as_it_was(day, version));
        let open = walk.days.iter();
        let open: Vec<(&Day, &Folders)> =
            open.filter(|(day, of)| known.is_open(**day, of)).collect();
        let (mut sealed, mut failed) = (Vec::new(), BTreeSet::new());
        for (day, folders) in &open {
            let (names, errors) = folders.sealed(self.disk);
            sealed.extend(names.into_iter().map(|(name, _)| name));
            for (_, why) in &errors {
                failed.insert(**day);
                unreadable(server, why, received);
            }
        }
        if !sealed.is_empty() {
            let days = open.iter().map(|(day, _)| **day).collect();
            let given = self.given((&path, &mut known.old), &walk, &days)?;
            self.acknowledge((&path, &given), (&sealed, &mut failed), now, received)?;
        }
        for (day, folders) in open {
            if let Some(version) = folders.unchanged(self.disk).at(&top)?
                && !failed.contains(day)
                && known.still.is(*day, version, now_is)
            {
                known.days.insert(*day, version);
            }
        }
        known.acks = acks()?.unwrap_or(0);
        let Known { days, still, .. } = known;
        still.retain(|day| walk.days.contains_key(&day) && !days.contains_key(&day));
        Ok(())
    }

    /// The acknowledgements of segments of these days.
    fn given(
        &self,
        (path, old): (&Path, &mut Old),
        walk: &Walk,
        days: &BTreeSet<Day>,
    ) -> Result<BTreeMap<String, Ack>, ErrorAt> {
        // what belongs to an earlier day may have been acknowledged long ago
        let recent: BTreeSet<Day> = walk.days.keys().rev().take(2).copied().collect();
        let after = if days.is_subset(&recent) {
            old.bytes
        } else {
            0
        };
        let is_asked = |name: &SegmentName| {
            let day = name.minute.utc_day();
            recent.contains(&day) || days.contains(&day)
        };
        let (given, before) = acks::read_after(self.disk, (path, after), is_asked).at(path)?;
        old.skip_to(before);
        Ok(given)
    }

    /// Drops acknowledgements that no secondary can need any more, if the whole folder can be read.
    fn forget(
        &self,
        (path, old): (&Path, &mut Old),
        walk: &Walk,
        now: UtcMs,
    ) -> Result<(), ErrorAt> {
        let mut here = BTreeSet::new();
        for folders in walk.days.values() {
            let (names, errors) = folders.sealed(self.disk);
            here.extend(names.into_iter().map(|(name, _)| name));
            if !errors.is_empty() {
                // an unreadable folder may have files that are still needed; the stage that reads it reports the
                // error
                return Ok(());
            }
        }
        let is_here = |name: &SegmentName| here.contains(name);
        let forgotten = acks::forget(self.disk, path, self.keep_delivered, now, is_here);
        if 0 < forgotten.at(path)? {
            // the others lie elsewhere now
            *old = Old::default();
            old.go_on(self.disk, path, now).at(path)?;
        }
        Ok(())
    }

    /// Reads back and acknowledges those that are not `given` yet. `failed` gets the days of those that could not be.
    fn acknowledge(
        &self,
        (path, given): (&Path, &BTreeMap<String, Ack>),
        (sealed, failed): (&[SegmentName], &mut BTreeSet<Day>),
        now: &dyn Fn() -> UtcMs,
        received: &mut Received,
    ) -> Result<(), ErrorAt> {
        let is_new = |name: &&SegmentName| {
            !ENDINGS
                .iter()
                .all(|ending| given.contains_key(&format!("{name}.{ending}")))
        };
        let new: Vec<&SegmentName> = sealed.iter().filter(is_new).collect();
        for together in new.chunks(TOGETHER) {
            let mut given = Vec::new();
            for name in together {
                match self.read_back(name) {
                    Ok(digests) => given.extend(acks_of(name, digests, now())),
                    Err(why) => {
                        failed.insert(name.minute.utc_day());
                        self.refuse(name, &why, received);
                    }
                }
            }
            if !given.is_empty() {
                acks::append(self.disk, path, &given).at(path)?;
                received.acknowledged += (given.len() / ENDINGS.len()) as u64;
            }
        }
        Ok(())
    }

    /// A restricted key sees this folder and nothing above it, so the spool's mark is here too.
    fn show_mark(&self, top: &Path) -> Result<(), ErrorAt> {
        let path = top.join(SPOOL_MARK);
        let Some(id) = self.spool.id() else {
            return Ok(());
        };
        let mark = spool_mark(id).at(&path)?;
        let is_shown = self.disk.len(&path).at(&path)?.is_some()
            && disk::read_bounded(self.disk, &path, mark.len() as u64).is_ok_and(|b| b == mark);
        if is_shown {
            return Ok(());
        }
        disk::put(self.disk, &path, &mark).at(&path)
    }

    /// The secondary fetches this file, and sends nothing while it is there.
    fn set_hold(&self, top: &Path, why: Option<&str>) -> Result<(), ErrorAt> {
        let path = top.join(HOLD);
        let is_there = self.disk.len(&path).at(&path)?.is_some();
        match why {
            Some(why) => disk::put(self.disk, &path, format!("{why}\n").as_bytes()).at(&path),
            None if is_there => self.disk.remove(&path).at(&path),
            None => Ok(()),
        }
    }

    /// Makes a segment durable, whatever the program that put it there did, and reads it back.
    fn read_back(&self, name: &SegmentName) -> Result<[Sha256; 3], SealedError> {
        let paths = name.paths(self.spool);
        let compressed = raw::compressed(&paths.segment);
        let is_plain = self.disk.len(&paths.segment).at(&paths.segment)?.is_some();
        let segment = if is_plain {
            &paths.segment
        } else {
            &compressed
        };
        for path in [segment, &paths.events, &paths.seal] {
            if self.disk.len(path).at(path)?.is_none() {
                return Err(ErrorAt::new(path, io::ErrorKind::NotFound).into());
            }
            let synced = self.disk.append(path).and_then(|mut file| file.sync());
            synced.at(path)?;
        }
        let day = paths.folder.parent().unwrap_or(&paths.folder);
        let server = day.parent().unwrap_or(day);
        for folder in [&paths.folder, day, server] {
            self.disk.sync_folder(folder).at(folder)?;
        }
        sealed::check(self.disk, name, self.spool)
            .map(|digests| digests.map(|digest| digest.sha256))
    }

    fn refuse(&self, name: &SegmentName, why: &SealedError, received: &mut Received) {
        let mut moved_to = None;
        if why.is_final() {
            match aside::segment(self.disk, self.spool, name) {
                Ok(folder) => moved_to = Some(folder),
                Err(why) => alarm!(
                    AlarmKind::Unreadable,
                    name.server,
                    "{name} cannot be set aside: {why}"
                ),
            }
        }
        let hint = match &moved_to {
            Some(folder) => format!(
                "it is kept in {}, and server {} sends it again",
                folder.display(),
                name.server
            ),
            None => "it is tried again".to_owned(),
        };
        alarm!(
            AlarmKind::FailsCheck,
            name.server,
            "{name} was delivered, but is not acknowledged: {why}\n  hint: {hint}"
        );
        received.refused.push(Refused {
            what: name.to_string(),
            why: why.to_string(),
            moved_to,
        });
    }

    /// Sets aside what no secondary puts into its folder. Names that begin with a dot are rsync's, while it is
    /// running. The hours of a day are read only if it `may_be_new`.
    fn refuse_strangers(
        &self,
        server: &ServerId,
        may_be_new: &dyn Fn(&Day) -> bool,
        received: &mut Received,
    ) -> Result<(), ErrorAt> {
        let is_kept = |name: &str| {
            [ACKS, WITHDRAWN, HOLD, SPOOL_MARK, "reserve"]
                .iter()
                .any(|kept| name.strip_suffix(".tmp").unwrap_or(name) == *kept)
        };
        let is_day = |name: &str| name.parse::<Day>().is_ok();
        let top = |name: &str, folder: bool| {
            if folder {
                is_day(name) || aside::is_aside(name)
            } else {
                is_kept(name)
            }
        };
        let mut days = self.sift(server, Path::new(""), &top, received)?;
        days.retain(|name| is_day(name));
        for day in days {
            let hours = self.sift(server, Path::new(&day), &is_hour, received)?;
            let is_looked_into = day.parse().is_ok_and(|day| may_be_new(&day));
            for hour in hours.into_iter().filter(|_| is_looked_into) {
                let inside = Path::new(&day).join(hour);
                let ours = Path::new(server.as_str()).join(&inside);
                let is_ours = |name: &str, folder: bool| {
                    let of_file = SegmentName::of_file(name).map(|(name, _)| name);
                    let is_here =
                        |name: SegmentName| name.server == *server && name.folder() == ours;
                    !folder && of_file.is_some_and(is_here)
                };
                self.sift(server, &inside, &is_ours, received)?;
            }
        }
        Ok(())
    }

    /// Sets aside what does not belong in a server's folder, and returns the folders that do.
    fn sift(
        &self,
        server: &ServerId,
        inside: &Path,
        belongs: &dyn Fn(&str, bool) -> bool,
        received: &mut Received,
    ) -> Result<Vec<String>, ErrorAt> {
        let folder = self.spool.join(server.as_str()).join(inside);
        let entries = self.disk.list(&folder).at(&folder)?;
        let others = self.disk.others(&folder).at(&folder)?;
        let mut folders = Vec::new();
        let mut strangers: Vec<(OsString, &str)> = Vec::new();
        for name in others {
            strangers.push((
                name,
                "it is neither a file nor a folder, or has no proper name",
            ));
        }
        for entry in entries {
            if entry.name.starts_with('.') {
                continue;
            }
            match belongs(&entry.name, entry.folder) {
                true if entry.folder => folders.push(entry.name),
                true => (),
                false => strangers.push((entry.name.into(), "nothing of this name belongs there")),
            }
        }
        for (name, why) in strangers {
            let what = folder.join(&name).display().to_string();
            let moved_to = match aside::set(self.disk, self.spool, server, inside, &[&name]) {
                Ok(to) => Some(to),
                Err(why) => {
                    alarm!(
                        AlarmKind::Unreadable,
                        server,
                        "{what:?} cannot be set aside: {why}"
                    );
                    None
                }
            };
            alarm!(
                AlarmKind::FailsCheck,
                server,
                "{what:?} was delivered to the folder of server {server} and is not used: {why}\n  hint: it is set \
                 aside in that server's folder; somebody with the key of server {server} put it there"
            );
            received.refused.push(Refused {
                what,
                why: why.to_owned(),
                moved_to,
            });
        }
        Ok(folders)
    }
}

/// `00` to `23`, a folder.
fn is_hour(name: &str, folder: bool) -> bool {
    let is_number = name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_digit());
    folder && is_number && name < "24"
}

fn acks_of(name: &SegmentName, digests: [Sha256; 3], at: UtcMs) -> Vec<Ack> {
    let of_file = |(sha256, ending): (Sha256, &str)| Ack {
        at,
        file: format!("{name}.{ending}"),
        sha256,
    };
    digests.into_iter().zip(ENDINGS).map(of_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_s_folder_has_two_digits() {
        let hours = |name: &str| is_hour(name, true);
        assert!(["00", "09", "23"].into_iter().all(hours));
        assert!(
            !["24", "+5", "-0", "5", "005", "", "٥"]
                .into_iter()
                .any(hours)
        );
        assert!(!is_hour("05", false));
    }

    /// What a restricted key sees in its folder: whether there is room, and which spool it is.
    #[test]
    fn a_server_s_folder_says_whether_there_is_room_and_which_spool_it_is_in() {
        use crate::{
            place::{decide::Asks, id::PlaceId, open::Opener},
            world::{disk::RealDisk, faulty::FaultyDisk},
        };
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let servers = ["2".parse().unwrap(), "3".parse().unwrap()];
        let told = |free, id: &PlaceId| {
            disk.has_free(free);
            let mark = spool_mark(id).unwrap();
            disk::put(&RealDisk, &dir.path().join("spool.json"), &mark).unwrap();
            let data_dir = dir.path().join(id.to_string());
            let opener = Opener::of(&disk, &data_dir);
            let job = ReceiveJob {
                disk: &disk,
                data_dir: &data_dir,
                spool: &opener.spool(&dir.path().into(), Asks::Use).unwrap(),
                servers: &servers,
                keep_free: 1_000,
                keep_delivered: Duration::ZERO,
            };
            let received = job.run(&|| UtcMs(1));
            assert!(
                received.failed.is_empty() && received.refused.is_empty(),
                "{received:?}"
            );
            let folders = ["2", "3"].map(|server| dir.path().join(server));
            let has = |name: &str| folders.each_ref().map(|folder| folder.join(name).exists());
            let is_it = |folder: &PathBuf| {
                disk::read_bounded(&RealDisk, &folder.join(SPOOL_MARK), 999).unwrap() == mark
            };
            assert!(folders.iter().all(is_it), "{id}");
            assert_eq!(has(ACKS), [true, true]);
            assert_eq!(received.hold.is_some(), has(HOLD)[0]);
            has(HOLD)
        };
        let (a, b) = (PlaceId::of(1), PlaceId::of(2));
        assert_eq!(told(1_000, &a), [false, false]);
        assert_eq!(told(999, &a), [true, true]);
        assert_eq!(told(999, &a), [true, true]);
        assert_eq!(told(1_000, &a), [false, false]);
        // the disk of another primary is mounted, with these folders on it
        assert_eq!(told(1_000, &b), [false, false]);
    }
}
