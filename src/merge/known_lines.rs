//! Where lines belong that were read before. Nearly every line comes from two servers: its second copy has the same
//! bytes but for its stamp's time, so it belongs where the first one does, and need not be read again.
//!
//! What several servers received in one minute is read one after the other by one thread, and what it knows of that
//! minute stays near the processor. Beyond a limit no further line becomes known, so the memory does not depend on how
//! many there are. A line is known by a hash with 128 bits that nobody can aim at (its seed is new for each minute);
//! should two lines have the same one, the merge finds the second in the wrong place, and the books of the hour do not
//! balance.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
};

use twox_hash::XxHash3_128;

use crate::source::{Placed, Rejected};

/// How many lines are known: those of a minute of 500 posts a second.
const LINES_MAX: usize = 1 << 15;

/// Where a line belongs, and whether its beginning tells that.
type Place = (Placed, bool);

/// Where lines belong that were read before.
pub(super) struct KnownLines {
    seed: u64,
    places: HashMap<u128, Place, BuildHasherDefault<Begin>>,
    lines_max: usize,
}

/// Of a hash, its begin: it needs no further hashing.
#[derive(Default)]
struct Begin(u64);

impl Hasher for Begin {
    fn write(&mut self, hash: &[u8]) {
        self.0 = hash.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
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

    fn with_room_for(lines_max: usize) -> Self {
        Self {
            seed: RandomState::new().hash_one(0),
            places: HashMap::default(),
            lines_max,
        }
    }

    /// Where the line belongs that has these bytes around its time of arrival: as is known, or as `read` says.
    pub(super) fn find_or(
        &mut self,
        around: (&[u8], &[u8]),
        read: impl FnOnce() -> Result<Place, Rejected>,
    ) -> Result<Place, Rejected> {
        if self.lines_max == 0 {
            return read();
        }
        let hash = self.hash(around);
        if let Some(place) = self.places.get(&hash) {
            return Ok(place.clone());
        }
        let place = read()?;
        if self.places.len() < self.lines_max {
            self.places.insert(hash, place.clone());
        }
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
    fn find(known: &mut KnownLines, stored: &[u8]) -> (Result<Place, Rejected>, bool) {
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
        let mut known = KnownLines::some();
        let post = r#"{"data":{"id":"1541815603606036480"}}"#;
        let first = find(&mut known, &stored(post, 1));
        assert!(first.0.is_ok() && first.1);
        assert_eq!(find(&mut known, &stored(post, 2)), (first.0.clone(), false));
        // any other byte, also in what the stamp stands between
        let other = post.replace("480\"}}", "481\"}}");
        let found = find(&mut known, &stored(&other, 1));
        assert!(found.1 && found.0 != first.0, "{found:?}");
        let broken = post.replace("}}", "]}");
        assert!(find(&mut known, &stored(&broken, 1)).0.is_err());
        // a line that is no post is read each time
        assert_eq!(
            find(&mut known, &stored(&broken, 2)),
            (Err(Rejected::NOT_JSON), true)
        );
        let mut spaced = stored(post, 1);
        spaced.push(b' ');
        assert!(find(&mut known, &spaced).1);
        let spoiled = [stored(post, 1), b"]}".to_vec()].concat();
        assert_eq!(Stamp::of(&spoiled), None);
    }

    #[test]
    fn so_many_are_known_and_no_more() {
        let mut known = KnownLines::with_room_for(8);
        let lines: Vec<String> = (0..1_000)
            .map(|n| format!(r#"{{"data":{{"id":"1541815603606036{n:03}"}}}}"#))
            .collect();
        for round in 0..3 {
            let read = lines.iter().filter(|line| {
                let (place, is_read) = find(&mut known, &stored(line, round));
                let id = place.unwrap().0.key.to_string();
                assert!(line.contains(&id), "{line} is taken for {id}");
                is_read
            });
            let again = if round == 0 { 0 } else { 8 };
            assert_eq!(read.count(), lines.len() - again);
        }
        let mut none = KnownLines::none();
        for round in 1..3 {
            assert!(find(&mut none, &stored(&lines[0], round)).1);
        }
    }
}
