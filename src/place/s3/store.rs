//! A prefix of a bucket as a place. A doubtful result is followed by another request, through the next endpoint,
//! until it is known what is there, or until the tries are used up.

use std::{
    fmt,
    io::{Read as _, Write},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{
    answer::Meaning,
    request::{self, Requests, Said},
};
use crate::{
    period::UtcMs,
    place::store::{
        Checked, Content, Created, Key, Listed, Store, StoreError, Timed, Window, digest_of,
    },
    world::clock::Clock,
};

/// How often a request is tried. With the waits between, that is some 25 seconds: a gateway that is started again, or
/// a disk of the store that has died, takes less.
const TRIES_MAX: u32 = 9;
/// The first wait; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(6);
/// Pages of 1,000 names: the spool of 20 partitions has fewer in ten years.
const PAGES_MAX: usize = 2_000_000;
/// How much of a body is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What lies under a name is hashed as it comes, however long it is.
const ANY_LENGTH: u64 = u64::MAX;

/// A place in an object store.
pub struct S3 {
    requests: Requests,
    clock: Clock,
    /// The endpoint that answered last.
    way: AtomicUsize,
}

/// Counts the attempts at one thing, and waits between them.
struct Tries<'a> {
    store: &'a S3,
    tries: u32,
}

impl Tries<'_> {
    /// Another attempt failed: takes the next way and waits, or gives up.
    fn again(&mut self, why: String) -> Result<(), StoreError> {
        self.store.next_way();
        self.wait(why)
    }

    /// The same on the way that answered last.
    fn wait(&mut self, why: String) -> Result<(), StoreError> {
        self.tries += 1;
        if TRIES_MAX <= self.tries {
            return Err(StoreError::Unreachable {
                place: self.store.name(),
                why,
            });
        }
        tracing::debug!("{}: {why}; it is asked again", self.store.name());
        self.store.clock.block(wait(self.tries, chance()));
        Ok(())
    }
}

/// How long to wait before the next attempt: longer and longer, and not for all at the same moment.
fn wait(tries: u32, chance: u8) -> Duration {
    let longest = WAIT_FIRST.saturating_mul(1 << tries.min(16)).min(WAIT_MAX);
    longest / 2 + longest / 2 * u32::from(chance) / 255
}

fn chance() -> u8 {
    let mut bits = [128];
    // without randomness all wait equally long, which is worse only for the store
    if let Err(why) = getrandom::fill(&mut bits) {
        tracing::debug!("no chance: {why}");
    }
    bits[0]
}

impl S3 {
    /// A place of which nothing was asked yet.
    pub const fn new(requests: Requests, clock: Clock) -> Self {
        Self {
            requests,
            clock,
            way: AtomicUsize::new(0),
        }
    }

    pub(super) const fn requests(&self) -> &Requests {
        &self.requests
    }

    pub(super) fn wait_again(&self, why: String, tries: u32) -> Result<(), StoreError> {
        Tries { store: self, tries }.again(why)
    }

    pub(super) fn next_way(&self) {
        self.way.fetch_add(1, Ordering::Relaxed);
    }

    fn way(&self) -> usize {
        self.way.load(Ordering::Relaxed)
    }

    fn begin(&self) -> Tries<'_> {
        Tries {
            store: self,
            tries: 0,
        }
    }

    pub(super) fn refused(&self, asked: impl fmt::Display, why: impl Into<String>) -> StoreError {
        StoreError::Refused {
            place: self.name(),
            asked: asked.to_string(),
            why: why.into(),
        }
    }

    /// One attempt to create it.
    fn try_to_put(
        &self,
        key: &Key,
        content: &Content<'_>,
        window: Option<Window>,
    ) -> Result<Said<Meaning>, StoreError> {
        let mut checked = Checked::open(content)?;
        let bytes = content.digest.bytes;
        let said = self
            .requests
            .put(self.way(), (key.as_str(), window), bytes, &mut checked);
        checked.ended(key)?;
        Ok(said)
    }

    fn put(
        &self,
        key: &Key,
        content: &Content<'_>,
        window: Option<Window>,
    ) -> Result<Created, StoreError> {
        let mut attempts = self.begin();
        loop {
            let mut is_late = false;
            let doubt = match self.try_to_put(key, content, window)? {
                Ok(Meaning::Refused(why)) => {
                    is_late = match window {
                        Some(window) => window.is_over(self.now()?),
                        None => false,
                    };
                    if !is_late {
                        return Err(self.refused(format_args!("PUT {key}"), why));
                    }
                    why
                }
                Ok(Meaning::Absent) => {
                    return Err(self.refused(format_args!("PUT {key}"), "NoSuchKey"));
                }
                Ok(Meaning::Done) => "it was stored, but is not there".to_owned(),
                Ok(Meaning::Taken) => "its name is taken, but nothing is there".to_owned(),
                Ok(Meaning::Again(why)) | Err(why) => {
                    // not asked again where nothing can be learned
                    self.next_way();
                    why
                }
            };
            // "it is there" may mean oneself, and silence may mean that it was done
            match digest_of(self, key, ANY_LENGTH)? {
                Some(there) if there == *content.digest => return Ok(Created::Stands),
                Some(there) => {
                    return Ok(Created::Taken {
                        sha256: there.sha256,
                    });
                }
                None if is_late => {
                    let (place, key) = (self.name(), key.clone());
                    return Err(StoreError::Late { place, key });
                }
                None => attempts.wait(doubt)?,
            }
        }
    }
}

impl Store for S3 {
    fn name(&self) -> String {
        self.requests.address().to_string()
    }

    fn create(&self, key: &Key, content: &Content<'_>) -> Result<Created, StoreError> {
        self.put(key, content, None)
    }

    fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        sink: &mut dyn Write,
    ) -> Result<Option<u64>, StoreError> {
        let mut attempts = self.begin();
        let mut taken = 0_u64;
        let mut chunk = vec![0; CHUNK_BYTES];
        'asked: loop {
            let mut response = match self.requests.get(self.way(), key.as_str(), taken) {
                Ok((Meaning::Done, response)) => response,
                Ok((Meaning::Absent, _)) => return Ok(None),
                Ok((Meaning::Refused(why), _)) => {
                    return Err(self.refused(format_args!("GET {key}"), why));
                }
                Ok((Meaning::Taken, _)) => {
                    return Err(self.refused(format_args!("GET {key}"), "it takes it for a PUT"));
                }
                Ok((Meaning::Again(why), _)) | Err(why) => {
                    attempts.again(why)?;
                    continue;
                }
            };
            // who does not know the range begins at the beginning
            let mut skip = if response.status().as_u16() == 206 {
                0
            } else {
                taken
            };
            let mut body = response.body_mut().as_reader();
            loop {
                let len = match body.read(&mut chunk) {
                    Ok(0) => return Ok(Some(taken)),
                    Ok(len) => len,
                    Err(why) => {
                        attempts.again(request::cut_off(&why))?;
                        continue 'asked;
                    }
                };
                let known = usize::try_from(skip).unwrap_or(len).min(len);
                skip -= known as u64;
                let new = chunk.get(known..len).unwrap_or_default();
                taken += new.len() as u64;
                if bytes_max < taken {
                    return Err(StoreError::TooLong {
                        place: self.name(),
                        key: key.to_string(),
                        bytes_max,
                    });
                }
                sink.write_all(new)?;
                if !new.is_empty() {
                    // it goes on
                    attempts.tries = 0;
                }
            }
        }
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let mut attempts = self.begin();
        let mut token: Option<String> = None;
        let mut pages = 0;
        while pages < PAGES_MAX {
            let page = match self.requests.list(self.way(), prefix, token.as_deref()) {
                Ok(Ok(page)) => page,
                Ok(Err(Meaning::Refused(why))) => {
                    return Err(self.refused(format_args!("to list {prefix:?}"), why));
                }
                Ok(Err(Meaning::Again(why))) | Err(why) => {
                    attempts.again(why)?;
                    continue;
                }
                Ok(Err(other)) => {
                    let asked = format_args!("to list {prefix:?}");
                    return Err(self.refused(asked, format!("{other:?}")));
                }
            };
            attempts.tries = 0;
            for name in page.strangers {
                tracing::warn!(
                    "{}: {name:?} is not one of our names and is skipped",
                    self.name()
                );
            }
            for listed in page.found {
                if listed.key.as_str().starts_with(prefix) {
                    each(listed);
                }
            }
            match page.next {
                None => return Ok(()),
                next if next == token => break,
                next => token = next,
            }
            pages += 1;
        }
        Err(self.refused(format_args!("to list {prefix:?}"), "it does not end"))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let mut attempts = self.begin();
        loop {
            match self.requests.delete(self.way(), key.as_str()) {
                Ok(Meaning::Done | Meaning::Absent) => return Ok(()),
                Ok(Meaning::Refused(why)) => {
                    return Err(self.refused(format_args!("DELETE {key}"), why));
                }
                Ok(Meaning::Taken) => {
                    let asked = format_args!("DELETE {key}");
                    return Err(self.refused(asked, "it takes it for a PUT"));
                }
                Ok(Meaning::Again(why)) | Err(why) => attempts.again(why)?,
            }
        }
    }
}

impl Timed for S3 {
    fn now(&self) -> Result<UtcMs, StoreError> {
        let mut attempts = self.begin();
        loop {
            match self.requests.now(self.way()) {
                Ok(Ok(now)) => return Ok(now),
                Ok(Err(Meaning::Again(why))) | Err(why) => attempts.again(why)?,
                Ok(Err(Meaning::Refused(why))) => return Err(self.refused("to tell the time", why)),
                Ok(Err(other)) => {
                    return Err(self.refused("to tell the time", format!("{other:?}")));
                }
            }
        }
    }

    fn create_within(
        &self,
        key: &Key,
        content: &Content<'_>,
        window: Window,
    ) -> Result<Created, StoreError> {
        self.put(key, content, Some(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_have_an_end_and_are_not_all_the_same() {
        let ms = |tries, chance| wait(tries, chance).as_millis();
        assert_eq!((ms(1, 0), ms(1, 255)), (100, 200));
        assert_eq!((ms(2, 0), ms(2, 255)), (200, 400));
        assert_eq!((ms(30, 0), ms(30, 255)), (3_000, 6_000));
        let longest: u128 = (1..TRIES_MAX).map(|tries| ms(tries, 255)).sum();
        assert!((15_000..40_000).contains(&longest), "{longest}");
    }
}
