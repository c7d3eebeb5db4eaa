//! One run: looks, asks, puts what is missing, writes the diary.

use std::collections::BTreeSet;

use super::{
    address::Site,
    adopt::adopt,
    answer::{RemoteEntry, Trouble, senseless},
    folders::{Folder, Folders},
    fork::{self, Fork},
    job::PublishJob,
    look::{self, Scope},
    osf::Osf,
    outcome::{FailedFile, PublishError, PublishOutcome, Stopped, Uploaded, alarm},
    plan::{self, Task, Wanted},
    publishable::{NotPublishable, Publishable},
    retry::Retries,
    truth::Truth,
    upload::{GaveUp, RetryingClient},
};
use crate::{
    alarm::AlarmKind,
    period::Hour,
    vault::{
        ledger::{self, LEDGER_BYTES_MAX},
        public::{Public, PublicFolder},
        published::{self, LastRun, Published},
    },
    world::error_at::At as _,
};

/// After this many different files in a row without an answer, or without space, the files are not the reason.
const IN_A_ROW_MAX: u32 = 3;

impl PublishJob<'_> {
    /// What is public, and what should be.
    fn begin(&self) -> Result<(Published, look::Look), PublishError> {
        self.may_begin()?;
        let published = self.diary()?;
        let look = look::look(
            self.disk,
            (self.data_dir, self.vault),
            &published,
            (Scope::New, self.clock.now()),
        )?;
        Ok((published, look))
    }

    /// Publishes what is committed and not public. `tell` gets the number of finished files, and of all.
    pub fn run(&self, mut tell: impl FnMut(usize, usize)) -> Result<PublishOutcome, PublishError> {
        let (published, look) = self.begin()?;
        let mut outcome = PublishOutcome::default();
        for (what, why) in look.unready {
            self.not_ready(what, why, &mut outcome);
        }
        let site = Site::new(&self.settings.base_url)?;
        let osf = Osf::new(site.clone(), self.token, self.proxies, self.clock)?;
        let mut work = Work {
            job: self,
            client: self.client(&osf, Retries::of_a_run()),
            folders: Folders::open(self.disk, self.data_dir, self.settings, &site),
            published,
            outcome,
            held: BTreeSet::new(),
            in_a_row: 0,
        };
        let (mut done, all) = (0, look.wanted.len());
        if let Some(first) = look.wanted.first() {
            let ours = ledger::whole(self.disk, self.vault)?;
            work.look_for_fork(&ours, first);
        }
        for (place, wanted) in plan::order(look.wanted) {
            if work.outcome.stopped.is_none() {
                work.folder(place, &wanted)?;
            } else {
                work.outcome.held += wanted.len() as u64;
            }
            done += wanted.len();
            tell(done, all);
        }
        let mut outcome = work.outcome;
        outcome.ids_in_30_days = work.published.ids_in_30_days(self.clock.now());
        outcome.ids_per_30_days = self.settings.ids_per_30_days;
        self.keep(&outcome)?;
        Ok(outcome)
    }

    /// A file that is not what the manifests say.
    fn not_ready(&self, what: Public, why: String, outcome: &mut PublishOutcome) {
        let path = what.published_path();
        if (self.merging)() {
            tracing::info!("{path} is postponed to the next run: {why}");
            outcome.held += 1;
            return;
        }
        alarm!(
            AlarmKind::NotPublishable,
            "",
            "not published: {path}: {why}"
        );
        outcome.failed.push(FailedFile {
            path,
            alarm: AlarmKind::NotPublishable,
            why,
        });
    }

    /// Records this run for the next one, and for the monitor.
    fn keep(&self, outcome: &PublishOutcome) -> Result<(), PublishError> {
        let last = LastRun {
            time: self.clock.now(),
            not_before: outcome.stopped.as_ref().and_then(|one| one.not_before),
            ids_in_30_days: outcome.ids_in_30_days,
            ids_per_30_days: outcome.ids_per_30_days,
        };
        Ok(last.write(self.disk, self.data_dir).at(self.data_dir)?)
    }

    /// What a run would do; asks, but changes nothing.
    pub fn preview(&self) -> Result<Vec<(Wanted, Task)>, PublishError> {
        let (_, look) = self.begin()?;
        let mut planned = Vec::new();
        if look.wanted.is_empty() {
            return Ok(planned);
        }
        let site = Site::new(&self.settings.base_url)?;
        let osf = Osf::new(site.clone(), self.token, self.proxies, self.clock)?;
        let mut client = self.client(&osf, Retries::of_a_look());
        let mut folders = Folders::open(self.disk, self.data_dir, self.settings, &site);
        let ours = ledger::whole(self.disk, self.vault)?;
        let fork = forked(&mut client, &mut folders, &ours);
        if let Some(fork) = fork.map_err(|gave_up| PublishError::Trouble(gave_up.trouble()))? {
            return Err(fork.into());
        }
        for (place, wanted) in plan::order(look.wanted) {
            let listing = list(&mut client, &mut folders, place, false);
            let listing = listing.map_err(|gave_up| PublishError::Trouble(gave_up.trouble()))?;
            let listing = listing.map_or_else(Vec::new, |(_, listing)| listing);
            let now = self.clock.now();
            for one in wanted {
                let task = plan::task(&one, &listing, now);
                planned.push((one, task));
            }
        }
        Ok(planned)
    }
}

/// A folder and what it holds. A recorded folder that is gone is looked for again.
fn list(
    client: &mut RetryingClient<'_>,
    folders: &mut Folders<'_>,
    place: PublicFolder,
    make: bool,
) -> Result<Option<(Folder, Vec<RemoteEntry>)>, GaveUp> {
    client.retries.begin();
    loop {
        let is_remembered = folders.is_remembered();
        let listed = client.with_retries(|osf| {
            let Some(folder) = folders.of(osf, place, make)? else {
                return Ok(None);
            };
            let listing = osf.list(&folder.children)?;
            Ok(Some((folder, listing)))
        });
        match listed {
            Err(GaveUp::One(Trouble::Refused { status: 404, .. })) if is_remembered => {
                folders.forget();
            }
            listed => return listed,
        }
    }
}

/// A run at work.
struct Work<'a> {
    job: &'a PublishJob<'a>,
    client: RetryingClient<'a>,
    folders: Folders<'a>,
    published: Published,
    outcome: PublishOutcome,
    /// Hours whose data was not uploaded, so that their manifest must not be either.
    held: BTreeSet<Hour>,
    in_a_row: u32,
}

/// How the public ledger and ours diverge, if they do. If the listing does not show it, the public ledger is read.
fn forked(
    client: &mut RetryingClient<'_>,
    folders: &mut Folders<'_>,
    ours: &[u8],
) -> Result<Option<Fork>, GaveUp> {
    let Some((_, listing)) = list(client, folders, PublicFolder::Root, false)? else {
        return Ok(None);
    };
    let name = Public::Ledger.name();
    let mut ledgers = listing.iter().filter(|e| !e.is_folder && e.name == name);
    let Some(public) = ledgers.find(|entry| !fork::is_beginning(ours, entry)) else {
        return Ok(None);
    };
    let Some(place) = &public.place else {
        return Err(GaveUp::One(senseless("the ledger has no address")));
    };
    let public = client.with_retries(|osf| osf.read(place, LEDGER_BYTES_MAX))?;
    Ok(fork::between(ours, &public))
}

impl Work<'_> {
    /// Before anything goes out: ends the run if our ledger does not begin with the public one.
    fn look_for_fork(&mut self, ours: &[u8], first: &Wanted) {
        let fork = match forked(&mut self.client, &mut self.folders, ours) {
            Ok(None) => return,
            Ok(Some(fork)) => fork,
            Err(gave_up) => {
                // if it is unknown what is public, nothing is replaced
                let until = gave_up.until();
                self.failed(first, gave_up);
                self.outcome.stopped = self.outcome.failed.last().map(|failed| Stopped {
                    alarm: failed.alarm,
                    why: failed.why.clone(),
                    not_before: until,
                });
                return;
            }
        };
        let (alarm, why) = (AlarmKind::LedgerForked, fork.to_string());
        alarm!(alarm, "", "nothing is published: {why}");
        self.outcome.failed.push(FailedFile {
            path: Public::Ledger.published_path(),
            alarm,
            why: why.clone(),
        });
        self.outcome.stopped = Some(Stopped {
            alarm,
            why,
            not_before: None,
        });
    }

    /// The files of one folder.
    fn folder(&mut self, place: PublicFolder, wanted: &[Wanted]) -> Result<(), PublishError> {
        let (folder, listing) = match list(&mut self.client, &mut self.folders, place, true) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(gave_up) => {
                if let Some(first) = wanted.first() {
                    self.failed(first, gave_up);
                    self.outcome.held += wanted.len() as u64 - 1;
                }
                return Ok(());
            }
        };
        for one in wanted {
            let is_behind = one
                .what
                .hour()
                .is_some_and(|hour| self.held.contains(&hour));
            if is_behind || self.outcome.stopped.is_some() {
                self.outcome.held += 1;
                continue;
            }
            self.client.retries.begin();
            self.file(&folder, one, &listing)?;
        }
        Ok(())
    }

    /// One file.
    fn file(
        &mut self,
        folder: &Folder,
        wanted: &Wanted,
        listing: &[RemoteEntry],
    ) -> Result<(), PublishError> {
        let known = match plan::task(wanted, listing, self.job.clock.now()) {
            Task::Later => return Ok(()),
            Task::Confirm(_) if self.published.has(wanted.what, wanted.sha256) => return Ok(()),
            Task::Confirm(entry) => match self.client.confirm(wanted, &entry) {
                Ok(true) => return self.confirmed(wanted, &entry),
                Ok(false) => Some(entry),
                Err(gave_up) => {
                    self.failed(wanted, gave_up);
                    return Ok(());
                }
            },
            Task::Replace(entry) => Some(entry),
            Task::Create => None,
        };
        if !self.is_within_cap(wanted) {
            return Ok(());
        }
        let truth = Truth {
            disk: self.job.disk,
            vault: self.job.vault,
            source: self.job.stream.source,
            published: &self.published,
        };
        let file = match Publishable::read(&truth, wanted) {
            Ok(file) => file,
            Err(why) => {
                self.not_publishable(wanted, &why);
                return Ok(());
            }
        };
        match self.client.upload(folder, wanted, &file, known) {
            Ok(()) => self.uploaded(wanted),
            Err(gave_up) => {
                self.failed(wanted, gave_up);
                Ok(())
            }
        }
    }

    /// Stops the ids, and with them the hours, when the cap would be passed.
    fn is_within_cap(&mut self, wanted: &Wanted) -> bool {
        let cap = self.job.settings.ids_per_30_days;
        let ids = self.published.ids_in_30_days(self.job.clock.now());
        let is_capped = self.outcome.capped.is_some() && 0 < wanted.new_ids;
        let Some(cap) = cap.filter(|cap| is_capped || !plan::fits(ids, wanted.new_ids, *cap))
        else {
            return true;
        };
        self.held.extend(wanted.what.hour());
        self.outcome.held += 1;
        if self.outcome.capped.is_none() {
            let path = wanted.what.published_path();
            let new = wanted.new_ids;
            let why =
                format!("{path} has {new} new ids; {ids} went out in 30 days, the cap is {cap}");
            alarm!(AlarmKind::IdCap, "", "publishing stops: {why}");
            self.outcome.capped = Some(why);
        }
        false
    }

    fn not_publishable(&mut self, wanted: &Wanted, why: &NotPublishable) {
        self.held.extend(wanted.what.hour());
        if let NotPublishable::Changed(_) | NotPublishable::Outdated(_) = why {
            tracing::info!("postponed: {why}");
            self.outcome.held += 1;
            return;
        }
        self.job
            .not_ready(wanted.what, why.to_string(), &mut self.outcome);
    }

    fn failed(&mut self, wanted: &Wanted, gave_up: GaveUp) {
        self.held.extend(wanted.what.hour());
        let (until, trouble) = (gave_up.until(), gave_up.trouble());
        let (path, alarm, why) = (
            wanted.what.published_path(),
            alarm(&trouble),
            trouble.to_string(),
        );
        alarm!(alarm, "", "not published: {path}: {why}");
        let is_of_all = [AlarmKind::OsfUnreachable, AlarmKind::OsfQuota].contains(&alarm);
        self.in_a_row = if is_of_all { self.in_a_row + 1 } else { 0 };
        if until.is_some() || alarm == AlarmKind::OsfToken || IN_A_ROW_MAX <= self.in_a_row {
            self.outcome.stopped = Some(Stopped {
                alarm,
                why: why.clone(),
                not_before: until,
            });
        }
        self.outcome.failed.push(FailedFile { path, alarm, why });
    }

    fn uploaded(&mut self, wanted: &Wanted) -> Result<(), PublishError> {
        self.in_a_row = 0;
        let entry = published::DiaryEntry {
            time: self.job.clock.now(),
            hour: wanted.what.hour(),
            revision: wanted.revision,
            file: wanted.what.name(),
            sha256: wanted.sha256,
            new_ids: wanted.new_ids,
        };
        self.note(&[entry])?;
        self.outcome.uploaded.push(Uploaded {
            path: wanted.what.published_path(),
            bytes: wanted.bytes,
            new_ids: wanted.new_ids,
        });
        Ok(())
    }

    /// The file is public, but not in the diary: an earlier run ended before it could write that.
    fn confirmed(&mut self, wanted: &Wanted, entry: &RemoteEntry) -> Result<(), PublishError> {
        self.in_a_row = 0;
        match adopt(self.job, &mut self.client, &self.published, wanted, entry) {
            Ok(entries) => self.note(&entries)?,
            Err(gave_up) => {
                self.failed(wanted, gave_up);
                return Ok(());
            }
        }
        self.outcome.confirmed += 1;
        Ok(())
    }

    fn note(&mut self, entries: &[published::DiaryEntry]) -> Result<(), PublishError> {
        let path = published::path(self.job.data_dir);
        for entry in entries {
            published::append(self.job.disk, &path, entry).at(&path)?;
            self.published.note(entry);
        }
        Ok(())
    }
}
