//! `deleted/`: the lists of what was deleted, which later merges leave out.
//!
//! ```text
//! <vault>/deleted/2026-11-23/14.txt   deletions of records that were made in that hour of UTC, as their addresses say
//!                 other/3f.txt        of all others, by a hash of the address
//!                 accounts.txt        what became of accounts
//!                 standing.txt        what that comes to: those that are gone, were, or are not active
//!                 state.json          which hours are on the lists, as of when, and which are to be made anew
//! ```
//!
//! The lists have the lines of `deletions.txt`, each once, in ascending byte order, and only ever grow. They follow
//! from the files of the hours: if the folder is missing, they are made again. They are never published.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    period::{Hour, UtcMs},
    source::{
        Deletions,
        deletions::{AccountStatus, DeletionLine, Version},
        key::Key,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// A list of one hour has some megabytes; a longer one is not ours.
const LIST_BYTES_MAX: u64 = 1 << 30;

/// How many lists are kept in memory: that of the hour being merged, and those of records of other hours.
const LISTS_MAX: usize = 8;

/// Hours of a hundred years.
const STATE_BYTES_MAX: u64 = 64 << 20;

/// How long records that may come back are held back: 30 days.
pub const HOLD_MS: i64 = 30 * 86_400_000;

/// Addresses may tell of these times, in milliseconds since 1970: 2022 to the end of 2199.
const POSSIBLE: std::ops::Range<i64> = 1_640_995_200_000..7_258_118_400_000;

/// An address is made before its revision; clocks differ.
const AHEAD_MS_MAX: i64 = 3_600_000;

/// Why a record is left out of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It was deleted.
    Deleted,
    /// Its account is gone.
    Account,
    /// Its account may come back: it is held back.
    Held,
}

impl LeftOut {
    /// The word for it in a manifest.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Account => "account",
            Self::Held => HELD_BACK,
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 3] = [
        Self::Deleted.word(),
        Self::Account.word(),
        Self::Held.word(),
    ];
}

/// The word for what is held back.
pub const HELD_BACK: &str = "held_back";

/// The folder, or a file in it, cannot be used. Without it nothing is merged, or deleted records would come back.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DeletedError(#[from] ErrorAt);

/// The status of an account; accounts with all their records in place have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Account {
    /// Records before this time are gone.
    gone_before: Option<UtcMs>,
    /// All others are held back.
    is_held: bool,
}

impl Account {
    /// The line of an account: its name, the time before which its records are gone (`ever`: all, `-`: none), and
    /// whether the others are held back.
    fn line(self, name: &str) -> String {
        let before = match self.gone_before {
            None => "-".to_owned(),
            Some(EVER) => "ever".to_owned(),
            Some(before) => before.to_string(),
        };
        let held = if self.is_held { "held" } else { "-" };
        format!("{name}\t{before}\t{held}")
    }

    fn named(line: &str) -> Option<(Box<str>, Self)> {
        let mut cells = line.split('\t');
        let name = cells.next()?;
        let gone_before = match cells.next()? {
            "-" => None,
            "ever" => Some(EVER),
            before => Some(before.parse().ok()?),
        };
        let is_held = match cells.next()? {
            "-" => false,
            "held" => true,
            _ => return None,
        };
        let account = Self {
            gone_before,
            is_held,
        };
        cells.next().is_none().then_some((name.into(), account))
    }
}

/// Later than all records.
const EVER: UtcMs = UtcMs(i64::MAX);

/// The status of an account, event by event.
#[derive(Debug, Default)]
struct AccountHistory {
    gone_before: Option<UtcMs>,
    /// Since when it has been away, and whether it is gone for good.
    away: Option<(UtcMs, bool)>,
}

impl AccountHistory {
    fn of(mut events: Vec<(UtcMs, u64, AccountStatus)>) -> Self {
        events.sort_by_key(|(at, number, _)| (*at, *number));
        let mut history = Self::default();
        for (at, _, standing) in events {
            history.take(at, standing);
        }
        history
    }

    fn take(&mut self, at: UtcMs, standing: AccountStatus) {
        match standing {
            AccountStatus::Active => {
                if self.away.take().is_some_and(|away| is_over(away, at)) {
                    self.gone_before = Some(at);
                }
            }
            AccountStatus::Away | AccountStatus::Gone => {
                let (since, is_gone) = self.away.unwrap_or((at, false));
                self.away = Some((since, is_gone || standing == AccountStatus::Gone));
            }
            AccountStatus::Unchanged => (),
        }
    }

    /// How it stands then.
    fn stands(&self, as_of: UtcMs) -> Account {
        match self.away {
            Some(away) if is_over(away, as_of) => Account {
                gone_before: Some(EVER),
                is_held: false,
            },
            away => Account {
                gone_before: self.gone_before,
                is_held: away.is_some(),
            },
        }
    }
}

/// Whether what was held back since then is gone.
fn is_over((since, is_gone): (UtcMs, bool), at: UtcMs) -> bool {
    is_gone || since.plus_ms(HOLD_MS) <= at
}

/// How accounts stand.
type Accounts = BTreeMap<Box<str>, Account>;

/// What is known of the vault's hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedState {
    /// When deletions were last read. What is held back is decided as of then.
    pub as_of: UtcMs,
    /// The revision of each hour whose deletions are on the lists.
    pub listed: BTreeMap<Hour, u64>,
    /// The revision of each hour whose deletions have also been assigned to the hours that they concern.
    pub honoured: BTreeMap<Hour, u64>,
    /// Hours that may hold records that have to be removed or held back.
    pub due: BTreeSet<Hour>,
}

impl Default for DeletedState {
    fn default() -> Self {
        Self {
            as_of: UtcMs(0),
            listed: BTreeMap::new(),
            honoured: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }
}

/// What was deleted.
pub struct Deleted<'a> {
    disk: &'a dyn Disk,
    folder: PathBuf,
    /// How the stream reports deletions; `None` if it does not.
    told: Option<&'static dyn Deletions>,
    /// What is known of the hours.
    pub state: DeletedState,
    accounts: Accounts,
    lists: Mutex<Vec<(PathBuf, Arc<Vec<u8>>)>>,
    failed: Mutex<Option<DeletedError>>,
}

impl fmt::Debug for Deleted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deleted")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl<'a> Deleted<'a> {
    /// For a stream that reports no deletions.
    pub fn none(disk: &'a dyn Disk) -> Self {
        Self {
            disk,
            folder: PathBuf::new(),
            told: None,
            state: DeletedState::default(),
            accounts: Accounts::new(),
            lists: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Reads the status of accounts and hours, but not every event of an account ever recorded, a list that only
    /// grows.
    pub fn read(
        disk: &'a dyn Disk,
        vault: &Path,
        told: Option<&'static dyn Deletions>,
    ) -> Result<Self, DeletedError> {
        let mut all = Self {
            folder: vault.join("deleted"),
            told,
            ..Self::none(disk)
        };
        if told.is_some() {
            let path = all.state_path();
            if disk.len(&path).at(&path)?.is_some() {
                let bytes = disk::read_bounded(disk, &path, STATE_BYTES_MAX).at(&path)?;
                all.state = serde_json::from_slice(&bytes)
                    .map_err(io::Error::from)
                    .at(&path)?;
            }
            let path = all.standing_path();
            all.accounts = match disk.len(&path).at(&path)? {
                Some(_) => all.standing().at(&path)?,
                None => all.accounts(all.state.as_of, &mut |_, _| ())?,
            };
        }
        Ok(all)
    }

    /// What the stream tells.
    pub const fn told(&self) -> Option<&'static dyn Deletions> {
        self.told
    }

    fn state_path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn accounts_path(&self) -> PathBuf {
        self.folder.join("accounts.txt")
    }

    fn standing_path(&self) -> PathBuf {
        self.folder.join("standing.txt")
    }

    fn standing(&self) -> io::Result<Accounts> {
        let lines = BufReader::new(self.disk.open(&self.standing_path())?).lines();
        lines
            .map(|line| {
                let line = line?;
                let wrong = || {
                    let why = format!("{line:.80?} names no account");
                    io::Error::new(io::ErrorKind::InvalidData, why)
                };
                Account::named(&line).ok_or_else(wrong)
            })
            .collect()
    }

    /// Writes the status of accounts durably.
    pub fn write_standing(&self) -> Result<(), DeletedError> {
        let path = self.standing_path();
        let write = || {
            self.disk.make_folder(&self.folder)?;
            let aside = disk::aside(&path);
            let mut to = BufWriter::new(disk::create_anew(self.disk, &aside)?);
            for (name, account) in &self.accounts {
                writeln!(to, "{}", account.line(name))?;
            }
            let mut file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync()?;
            drop(file);
            self.disk.rename(&aside, &path)?;
            self.disk.sync_folder(&self.folder)
        };
        Ok(write().at(&path)?)
    }

    /// Writes what is known of the hours durably.
    pub fn write_state(&self) -> Result<(), DeletedError> {
        let path = self.state_path();
        let json = serde_json::to_vec(&self.state)
            .map_err(io::Error::from)
            .at(&path)?;
        self.disk.make_folder(&self.folder).at(&self.folder)?;
        Ok(disk::put(self.disk, &path, &json).at(&path)?)
    }

    /// Records that these hours need nothing more.
    pub fn are_done(&mut self, hours: &BTreeSet<Hour>) -> Result<(), DeletedError> {
        if self.state.due.is_disjoint(hours) {
            return Ok(());
        }
        self.state.due.retain(|hour| !hours.contains(hour));
        self.write_state()
    }

    /// Adds lines of `deletions.txt` to the lists, durably.
    pub fn add(&self, lines: BTreeSet<String>) -> Result<(), DeletedError> {
        let mut of_lists: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
        for line in lines {
            let path = match self.told.and_then(|told| told.told(&line)) {
                Some(DeletionLine::Record { record, at, .. }) => self.place(record, at),
                Some(DeletionLine::Account { .. }) => self.accounts_path(),
                None => continue,
            };
            of_lists.entry(path).or_default().insert(line);
        }
        for (path, lines) in of_lists {
            self.add_to(&path, lines).at(&path)?;
        }
        self.lists
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    /// A list with more lines.
    fn add_to(&self, path: &Path, lines: BTreeSet<String>) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        self.disk.make_folder(folder)?;
        let aside = disk::aside(path);
        let mut to = BufWriter::new(disk::create_anew(self.disk, &aside)?);
        let mut new = lines.into_iter().peekable();
        if self.disk.len(path)?.is_some() {
            for line in BufReader::new(self.disk.open(path)?).lines() {
                let line = line?;
                while let Some(before) = new.next_if(|new| *new < line) {
                    writeln!(to, "{before}")?;
                }
                new.next_if(|new| *new == line);
                writeln!(to, "{line}")?;
            }
        }
        for line in new {
            writeln!(to, "{line}")?;
        }
        let mut file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync()?;
        drop(file);
        self.disk.rename(&aside, path)?;
        self.disk.sync_folder(folder)
    }

    /// The list of a record of that revision's time.
    fn place(&self, record: &str, at: UtcMs) -> PathBuf {
        match self.made(record) {
            Some(made) if made.0 <= at.0.saturating_add(AHEAD_MS_MAX) => self.by_time(made),
            _ => self.by_hash(record),
        }
    }

    /// When a record was made, if its address tells a possible time.
    pub fn made(&self, record: &str) -> Option<UtcMs> {
        let made = self.told?.made(record)?;
        POSSIBLE.contains(&made.0).then_some(made)
    }

    fn by_time(&self, made: UtcMs) -> PathBuf {
        let minute = made.minute();
        let name = format!("{}.txt", minute.hour_folder());
        self.folder.join(minute.day_folder()).join(name)
    }

    fn by_hash(&self, record: &str) -> PathBuf {
        let hash = crc32fast::hash(record.as_bytes()) & 0xff;
        self.folder.join("other").join(format!("{hash:02x}.txt"))
    }

    /// The revision that deleted a record last, as far as it may concern a version of that time.
    fn deleted_by(&self, record: &str, at: UtcMs) -> Result<Option<String>, DeletedError> {
        let first = self.place(record, at);
        let mut places = vec![first];
        // the address tells a later time than its revision, so the deletion is later too
        if let Some(made) = self.made(record) {
            places.push(self.by_time(made));
        }
        places.dedup();
        let mut latest = None;
        for path in places {
            let text = self.list(&path)?;
            let found = latest_in(&text, record);
            latest = latest.max(found.map(str::to_owned));
        }
        Ok(latest)
    }

    /// A list, which may be empty.
    fn list(&self, path: &Path) -> Result<Arc<Vec<u8>>, DeletedError> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = lists.iter().position(|(of, _)| of == path) {
            // those that were used last stay
            let found = lists.remove(place);
            let text = Arc::clone(&found.1);
            lists.push(found);
            return Ok(text);
        }
        let text = match self.disk.len(path).at(path)? {
            Some(_) => disk::read_bounded(self.disk, path, LIST_BYTES_MAX).at(path)?,
            None => Vec::new(),
        };
        let text = Arc::new(text);
        if LISTS_MAX <= lists.len() {
            lists.remove(0);
        }
        lists.push((path.to_owned(), Arc::clone(&text)));
        Ok(text)
    }

    /// The status of accounts at that time, for those whose records are gone or held back. `each` gets every account,
    /// and whether it was ever away.
    fn accounts(
        &self,
        as_of: UtcMs,
        each: &mut dyn FnMut(&str, bool),
    ) -> Result<Accounts, DeletedError> {
        let path = self.accounts_path();
        let mut accounts = Accounts::new();
        let (Some(told), Some(_)) = (self.told, self.disk.len(&path).at(&path)?) else {
            return Ok(accounts);
        };
        let mut end = |account: &str, events: Vec<(UtcMs, u64, AccountStatus)>| {
            let is_away = |of: &(_, _, AccountStatus)| {
                matches!(of.2, AccountStatus::Away | AccountStatus::Gone)
            };
            each(account, events.iter().any(is_away));
            let stands = AccountHistory::of(events).stands(as_of);
            if stands != Account::default() {
                accounts.insert(account.into(), stands);
            }
        };
        let mut events = Vec::new();
        let mut last = String::new();
        let file = self.disk.open(&path).at(&path)?;
        for line in BufReader::new(file).lines() {
            let line = line.at(&path)?;
            let Some(DeletionLine::Account {
                account,
                at: time,
                number,
                standing,
            }) = told.told(&line)
            else {
                let why = format!("{line:.80?} names no account");
                return Err(
                    ErrorAt::new(&path, io::Error::new(io::ErrorKind::InvalidData, why)).into(),
                );
            };
            if account != last {
                end(&last, std::mem::take(&mut events));
                account.clone_into(&mut last);
            }
            events.push((time, number, standing));
        }
        end(&last, events);
        Ok(accounts)
    }

    /// Applies what was added to the lists, as of the time at which they were last read.
    pub fn read_again(&mut self) -> Result<(), DeletedError> {
        self.accounts = self.accounts(self.state.as_of, &mut |_, _| ())?;
        Ok(())
    }

    /// Applies the lists as of then. Returns the accounts whose status changed merely because time has passed, and
    /// those in `told` that were ever away. Events of all other accounts change nothing.
    pub fn go_on_to(
        &mut self,
        as_of: UtcMs,
        told: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, DeletedError> {
        let mut wanted = BTreeSet::new();
        let before = self.accounts(self.state.as_of, &mut |_, _| ())?;
        self.accounts = self.accounts(as_of, &mut |account, was_away| {
            if was_away && told.contains(account) {
                wanted.insert(account.to_owned());
            }
        })?;
        self.state.as_of = as_of;
        let all = before.keys().chain(self.accounts.keys());
        let all: BTreeSet<&str> = all.map(AsRef::as_ref).collect();
        let is_other = |account: &&str| before.get(*account) != self.accounts.get(*account);
        let others = all.into_iter().filter(is_other);
        wanted.extend(others.map(str::to_owned));
        Ok(wanted)
    }

    /// Why a record is left out of its files, if it is.
    pub fn why(&self, key: &Key) -> Option<LeftOut> {
        let version = self.told?.version(key)?;
        self.heed(self.why_version(&version)).flatten()
    }

    /// Keeps a failure for [`Self::check`]: a merge calls that before it uses what was written.
    fn heed<T>(&self, result: Result<T, DeletedError>) -> Option<T> {
        let keep =
            |failed| *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
        result.map_err(keep).ok()
    }

    fn why_version(&self, version: &Version<'_>) -> Result<Option<LeftOut>, DeletedError> {
        let by = self.deleted_by(&version.record, version.at)?;
        if by.is_some_and(|by| version.revision < by.as_str()) {
            return Ok(Some(LeftOut::Deleted));
        }
        let Some(account) = self.accounts.get(version.account) else {
            return Ok(None);
        };
        if account
            .gone_before
            .is_some_and(|before| version.at < before)
        {
            return Ok(Some(LeftOut::Account));
        }
        Ok(account.is_held.then_some(LeftOut::Held))
    }

    /// Whether a rejected line belongs to a record that was deleted at any time, or to an account that was gone at
    /// any time after `since`: the line's own time is not known.
    pub fn are_named_in(&self, line: &[u8], since: UtcMs) -> bool {
        let Some(told) = self.told else {
            return false;
        };
        let names = told.names_in(line);
        let is_gone = |account: &String| {
            let account = self.accounts.get(account.as_str());
            let before = account.and_then(|account| account.gone_before);
            before.is_some_and(|before| since < before)
        };
        names.accounts.iter().any(is_gone)
            || names.records.iter().any(|record| {
                // its own time is not believed: all lists count
                let by = self.deleted_by(record, UtcMs(i64::MIN));
                self.heed(by).flatten().is_some()
            })
    }

    /// An error if a list could not be read since the last time that this was asked.
    pub fn check(&self) -> Result<(), DeletedError> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take().map_or(Ok(()), Err)
    }
}

/// The greatest revision that a list has for a record.
fn latest_in<'t>(text: &'t [u8], record: &str) -> Option<&'t str> {
    let (mut low, mut high) = (0, text.len());
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let before = text.get(low..middle).unwrap_or_default();
        let begin = memchr::memrchr(b'\n', before).map_or(low, |end| low + end + 1);
        let rest = text.get(begin..).unwrap_or_default();
        let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = str::from_utf8(line).unwrap_or_default();
        let (name, revision) = line.split_once('\t').unwrap_or((line, ""));
        if name <= record {
            found = (name == record).then_some(revision).or(found);
            low = begin + line.len() + 1;
        } else {
            high = begin;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use AccountStatus::{Active, Away, Gone, Unchanged};

    use super::*;

    proptest! {
        #[test]
        fn the_latest_deletion_of_each_record_is_found(lines in proptest::collection::btree_set(("[a-d.]{1,3}", "[2-5]{2}"), 0..30)) {
            let text: BTreeSet<String> = lines.iter().map(|(name, rev)| format!("{name}\t{rev}")).collect();
            let text: Vec<u8> = text.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
            for name in lines.iter().map(|line| line.0.as_str()).chain(["", "a", "b.", "dddd", "e"]) {
                let of_name = lines.iter().filter(|line| line.0 == name);
                let latest = of_name.map(|line| line.1.as_str()).max();
                prop_assert_eq!(latest_in(&text, name), latest);
            }
        }
    }

    #[test]
    fn how_an_account_stands_is_read_as_it_was_written() {
        let at = "2026-11-23T14:05:09.123Z".parse().unwrap();
        for gone_before in [None, Some(at), Some(EVER)] {
            for is_held in [false, true] {
                let account = Account {
                    gone_before,
                    is_held,
                };
                let line = account.line("did:plc:a");
                assert_eq!(Account::named(&line), Some(("did:plc:a".into(), account)));
            }
        }
        for wrong in [
            "",
            "did:plc:a",
            "a\t-",
            "a\tnever\t-",
            "a\t-\tno",
            "a\t-\t-\t-",
        ] {
            assert_eq!(Account::named(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_account_that_may_come_back_is_held_for_thirty_days() {
        const DAY: i64 = 86_400_000;
        let history = |events: &[(i64, AccountStatus)]| {
            let events = events.iter().zip(0..);
            AccountHistory::of(
                events
                    .map(|((day, standing), n)| (UtcMs(day * DAY), n, *standing))
                    .collect(),
            )
        };
        let stands = |events: &[(i64, AccountStatus)], day: i64| {
            let account = history(events).stands(UtcMs(day * DAY));
            let before = account.gone_before.map(|at| at.0 / DAY);
            (before, account.is_held)
        };
        let forever = Some(i64::MAX / DAY);
        assert_eq!(stands(&[(1, Active)], 99), (None, false));
        assert_eq!(stands(&[(1, Away)], 30), (None, true));
        assert_eq!(stands(&[(1, Away)], 31), (forever, false));
        assert_eq!(stands(&[(1, Away), (20, Away)], 31), (forever, false));
        assert_eq!(stands(&[(1, Away), (20, Active)], 99), (None, false));
        assert_eq!(stands(&[(20, Active), (1, Away)], 99), (None, false));
        assert_eq!(stands(&[(1, Away), (31, Active)], 99), (Some(31), false));
        assert_eq!(
            stands(&[(1, Away), (20, Active), (21, Away)], 40),
            (None, true)
        );
        assert_eq!(stands(&[(1, Gone)], 1), (forever, false));
        assert_eq!(stands(&[(1, Gone), (2, Away)], 3), (forever, false));
        assert_eq!(stands(&[(1, Away), (2, Gone)], 3), (forever, false));
        assert_eq!(
            stands(&[(1, Gone), (2, Unchanged), (3, Active)], 3),
            (Some(3), false)
        );
        assert_eq!(
            stands(&[(1, Gone), (3, Active), (5, Away)], 6),
            (Some(3), true)
        );
    }
}
