//! Where lines belong that were read before. Nearly every line comes from two servers: its second copy has the same
//! bytes but for its stamp's time, so it belongs where the first one does, and need not be read again.
//!
//! Only the latest lines are known, so the memory does not depend on how many there are. A line is known by a hash
//! with 128 bits that nobody can aim at (its seed is new in each process); should two lines have the same one, the
//! merge finds the second in the wrong place, and the books of the hour do not balance.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, OnceLock, PoisonError},
};

use twox_hash::XxHash3_128;

use crate::source::{Placed, Rejected};

/// How many lines are known: more than come over one connection between two copies of a line, or in a minute of 1,000
/// posts a second.
const LINES_MAX: u64 = 1 << 16;

/// Where a line belongs, and whether its beginning tells that.
type Place = (Placed, bool);

/// Where lines belong that were read before.
pub(super) struct KnownLines {
    seed: u64,
    /// The latest of all lines whose hashes have the same last bits.
    latest: OnceLock<Box<[Mutex<Option<Known>>]>>,
    lines_max: u64,
}

struct Known {
    hash: u128,
    place: Place,
}

impl KnownLines {
    /// None is known, and none will be.
    pub(super) fn none() -> Self {
        Self::with_room_for(0)
    }

    /// None so far.
    pub(super) fn some() -> Self {
        Self::with_room_for(LINES_MAX)
    }

    fn with_room_for(lines_max: u64) -> Self {
        Self {
            seed: RandomState::new().hash_one(0),
            latest: OnceLock::new(),
            lines_max,
        }
    }

    /// Where the line belongs that has these bytes around its time of arrival: as is known, or as `read` says.
    pub(super) fn find_or(
        &self,
        around: (&[u8], &[u8]),
        read: impl FnOnce() -> Result<Place, Rejected>,
    ) -> Result<Place, Rejected> {
        if self.lines_max == 0 {
            return read();
        }
        let hash = self.hash(around);
        let place_of = u64::try_from(hash % u128::from(self.lines_max)).unwrap_or(0);
        let latest = self.latest.get_or_init(|| {
            let empty = (0..self.lines_max).map(|_| Mutex::default());
            empty.collect()
        });
        let slot = usize::try_from(place_of).ok().and_then(|at| latest.get(at));
        let Some(slot) = slot else { return read() };
        let lock = || slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().as_ref().filter(|known| known.hash == hash) {
            return Ok(known.place.clone());
        }
        let place = read()?;
        let known = Known {
            hash,
            place: place.clone(),
        };
        *lock() = Some(known);
        Ok(place)
    }

    fn hash(&self, (before, after): (&[u8], &[u8])) -> u128 {
        let before = XxHash3_128::oneshot_with_seed(self.seed, before);
        let after = XxHash3_128::oneshot_with_seed(self.seed, after);
        before.rotate_left(1) ^ after
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{
        period::UtcMs,
        segment::line::{self, Stamp},
        source::{Source as _, x::X},
    };

    fn stored(received: &str, at: i64) -> Vec<u8> {
        let mut out = Vec::new();
        line::store(received.as_bytes(), UtcMs(at), &mut out);
        out.pop();
        out
    }

    /// Where the line belongs, and whether it was read.
    fn find(known: &KnownLines, stored: &[u8]) -> (Result<Place, Rejected>, bool) {
        let is_read = Cell::new(false);
        let stamp = Stamp::of(stored).unwrap();
        let place = known.find_or(stamp.around(stored), || {
            is_read.set(true);
            X.place_and_early(stored)
        });
        (place, is_read.get())
    }

    #[test]
    fn a_copy_is_known_and_nothing_else() {
        let known = KnownLines::some();
        let post = r#"{"data":{"id":"1541815603606036480"}}"#;
        let first = find(&known, &stored(post, 1));
        assert!(first.0.is_ok() && first.1);
        assert_eq!(find(&known, &stored(post, 2)), (first.0.clone(), false));
        // any other byte, also in what the stamp stands between
        let other = post.replace("480\"}}", "481\"}}");
        let found = find(&known, &stored(&other, 1));
        assert!(found.1 && found.0 != first.0, "{found:?}");
        let broken = post.replace("}}", "]}");
        assert!(find(&known, &stored(&broken, 1)).0.is_err());
        // a line that is no post is read each time
        assert_eq!(
            find(&known, &stored(&broken, 2)),
            (Err(Rejected::NOT_JSON), true)
        );
        let mut spaced = stored(post, 1);
        spaced.push(b' ');
        assert!(find(&known, &spaced).1);
        let spoiled = [stored(post, 1), b"]}".to_vec()].concat();
        assert_eq!(Stamp::of(&spoiled), None);
    }

    #[test]
    fn only_the_latest_are_known() {
        let known = KnownLines::with_room_for(8);
        let lines: Vec<String> = (0..1_000)
            .map(|n| format!(r#"{{"data":{{"id":"1541815603606036{n:03}"}}}}"#))
            .collect();
        for round in 0..3 {
            let read = lines.iter().filter(|line| {
                let (place, is_read) = find(&known, &stored(line, round));
                let id = place.unwrap().0.key.to_string();
                assert!(line.contains(&id), "{line} is taken for {id}");
                is_read
            });
            assert_eq!(read.count(), lines.len());
        }
        let none = KnownLines::none();
        assert!(find(&none, &stored(&lines[0], 1)).1 && find(&none, &stored(&lines[0], 2)).1);
    }
}
