//! One file, until it is there: uploads it, looks it up, reads it back.
//!
//! No answer is no failure: after each one the folder is asked what it holds, and the file is sent
//! again only if it is missing or other. A file counts when its bytes came down as they went up.

use super::{
    answer::{RemoteEntry, Trouble, senseless},
    folders::Folder,
    osf::{Osf, Put},
    plan::{Wanted, is_same},
    publishable::Publishable,
    retry::{Next, Retries},
};
use crate::{period::UtcMs, world::clock::Clock};

/// How often a file is put before it is given up, whatever the answers.
const TURNS_MAX: u32 = 12;

/// Why something was not done in this run.
#[derive(Debug)]
pub enum GaveUp {
    /// This one thing.
    One(Trouble),
    /// Nothing may be asked before that instant.
    All(UtcMs, Trouble),
}

impl GaveUp {
    /// Before when nothing may be asked.
    pub const fn until(&self) -> Option<UtcMs> {
        match self {
            Self::One(_) => None,
            Self::All(until, _) => Some(*until),
        }
    }

    /// What happened.
    pub fn trouble(self) -> Trouble {
        match self {
            Self::One(trouble) | Self::All(_, trouble) => trouble,
        }
    }
}

/// A client of OSF that repeats calls until they succeed or have failed too often.
pub struct RetryingClient<'a> {
    /// The client.
    pub osf: &'a Osf<'a>,
    /// What has been waited.
    pub retries: Retries,
    /// Tells the time and waits.
    pub clock: &'a Clock,
    /// Chance from 0 to 1.
    pub chance: &'a dyn Fn() -> f64,
}

impl RetryingClient<'_> {
    /// A call, again and again while its trouble is of the kind that passes.
    pub fn with_retries<T>(
        &mut self,
        mut call: impl FnMut(&Osf<'_>) -> Result<T, Trouble>,
    ) -> Result<T, GaveUp> {
        loop {
            match call(self.osf) {
                Ok(found) => return Ok(found),
                Err(trouble) => self.wait(trouble)?,
            }
        }
    }

    /// Waits after a trouble that passes.
    fn wait(&mut self, trouble: Trouble) -> Result<(), GaveUp> {
        let Trouble::Passing { after, .. } = &trouble else {
            return Err(GaveUp::One(trouble));
        };
        let now = self.clock.now();
        match self.retries.failed(now, *after, (self.chance)()) {
            Next::Wait(wait) => {
                tracing::info!("{trouble}; again in {} s", wait.as_secs());
                self.clock.block(wait);
                Ok(())
            }
            Next::GiveUp => Err(GaveUp::One(trouble)),
            Next::Stop(until) => Err(GaveUp::All(until, trouble)),
        }
    }

    /// Puts a file where it belongs. `known` is the file of that name, if there is one.
    pub fn upload(
        &mut self,
        folder: &Folder,
        wanted: &Wanted,
        file: &Publishable,
        mut known: Option<RemoteEntry>,
    ) -> Result<(), GaveUp> {
        let name = wanted.what.name();
        for _ in 0..TURNS_MAX {
            let put = match known.as_ref().and_then(|entry| entry.place.as_ref()) {
                Some(place) => self.osf.put(place, None, file),
                None => self.osf.put(&folder.place, Some(&name), file),
            };
            let found = match put {
                Ok(Put::Conflict(Some(entry)) | Put::Stored(entry)) if is_same(wanted, &entry) => {
                    Some(entry)
                }
                Ok(Put::Conflict(Some(entry))) => {
                    known = Some(entry);
                    continue;
                }
                Ok(Put::Stored(_)) => {
                    self.wait(senseless("the bytes stored are not the bytes sent"))?;
                    self.look(folder, &name)?
                }
                Ok(Put::Conflict(None)) => match self.look(folder, &name)? {
                    None => {
                        let why = format!("{name} cannot be uploaded and is not there");
                        return Err(GaveUp::One(Trouble::Refused { status: 409, why }));
                    }
                    found => found,
                },
                // the file that was known has been taken away
                Err(Trouble::Refused { status: 404, .. }) if known.is_some() => {
                    self.look(folder, &name)?
                }
                Err(trouble) => {
                    self.wait(trouble)?;
                    self.look(folder, &name)?
                }
            };
            match found {
                Some(entry) if is_same(wanted, &entry) => {
                    if self.confirm(wanted, &entry)? {
                        return Ok(());
                    }
                    self.wait(senseless("the bytes downloaded are not the bytes uploaded"))?;
                    known = Some(entry);
                }
                found => known = found,
            }
        }
        Err(GaveUp::One(senseless("it keeps changing")))
    }

    fn look(&mut self, folder: &Folder, name: &str) -> Result<Option<RemoteEntry>, GaveUp> {
        self.with_retries(|osf| osf.find(&folder.children, name, false))
    }

    /// Whether a remote file's bytes are the wanted ones.
    pub fn confirm(&mut self, wanted: &Wanted, entry: &RemoteEntry) -> Result<bool, GaveUp> {
        let Some(place) = &entry.place else {
            return Err(GaveUp::One(senseless("a file has no address")));
        };
        let back = self.with_retries(|osf| osf.read_back(place, wanted.bytes))?;
        Ok(back == (wanted.bytes, wanted.sha256))
    }
}
