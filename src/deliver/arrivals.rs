//! What has arrived in an object store: `arrivals/<server>/<n>.txt`, one for each delivery that sent something, names
//! its segments, one a line. It is created once, when all of their files are there and before they are acknowledged.
//! So fetching reads only what is new, and lists the server's whole spool only at the very first time.

use std::{collections::BTreeSet, io};

use crate::{
    place::store::{Created, Key, Store, StoreError, create_of, read_whole},
    segment::name::{SegmentName, ServerId},
};

/// How many segments a delivery announces at once; a line has some 50 bytes.
pub(super) const TOGETHER_MAX: usize = 1_000;

const BYTES_MAX: u64 = 1 << 20;

/// The arrivals of one server.
pub(super) struct Arrivals<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) server: &'a ServerId,
}

impl Arrivals<'_> {
    fn key(&self, number: u64) -> Result<Key, StoreError> {
        let key = Key::try_from(format!("arrivals/{}/{number}.txt", self.server));
        key.map_err(|why| StoreError::Io(io::Error::other(why)))
    }

    /// Tells of these after the number that was last told, as far as that is known; gives the new one.
    pub(super) fn tell(&self, last: u64, names: &[&SegmentName]) -> Result<u64, StoreError> {
        let mut lines = String::new();
        for name in names {
            lines.extend([name.to_string(), "\n".to_owned()]);
        }
        let mut number = last + 1;
        while create_of(self.store, &self.key(number)?, lines.as_bytes())? != Created::Stands {
            // what was last told has been forgotten here
            number = self.last(number)? + 1;
        }
        Ok(number)
    }

    /// The segments of a number; `None`: it has not been told yet. What is no segment of this server is passed over.
    pub(super) fn read(&self, number: u64) -> Result<Option<BTreeSet<SegmentName>>, StoreError> {
        let bytes = read_whole(self.store, &self.key(number)?, BYTES_MAX)?;
        Ok(bytes.map(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            let names = text.lines().filter_map(|line| line.parse().ok());
            names
                .filter(|name: &SegmentName| name.server == *self.server)
                .collect()
        }))
    }

    /// The last number that was told, from one on that was; 0 if none was.
    pub(super) fn last(&self, known: u64) -> Result<u64, StoreError> {
        let is_told = |number| Ok::<_, StoreError>(self.read(number)?.is_some());
        let (mut told, mut step) = (known, 1);
        while is_told(told + step)? {
            told += step;
            step *= 2;
        }
        // the first one that was not lies within the last step
        while 1 < step {
            step /= 2;
            if is_told(told + step)? {
                told += step;
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{place::folder::Folder, world::disk::RealDisk};

    #[test]
    fn the_last_number_is_found_and_nothing_is_told_over_another() {
        let there = tempfile::tempdir().unwrap();
        let store = Folder {
            disk: &RealDisk,
            root: there.path(),
        };
        let server: ServerId = "2".parse().unwrap();
        let arrivals = Arrivals {
            store: &store,
            server: &server,
        };
        let names: Vec<SegmentName> = (0..40)
            .map(|n| {
                format!("2_sample_20261123T14{n:02}Z_3fa9c01b_000")
                    .parse()
                    .unwrap()
            })
            .collect();
        let mut last = 0;
        for (n, name) in (1..).zip(&names) {
            assert_eq!(arrivals.last(0).unwrap(), n - 1);
            assert_eq!(arrivals.last(last).unwrap(), n - 1);
            // every third time what was told is forgotten
            last = arrivals
                .tell(if n % 3 == 0 { 0 } else { last }, &[name])
                .unwrap();
            assert_eq!(last, n);
            assert_eq!(arrivals.read(n).unwrap().unwrap(), [name.clone()].into());
        }
        // the same told once more is no other
        assert_eq!(arrivals.tell(39, &[&names[39]]).unwrap(), 40);
        let other: ServerId = "1".parse().unwrap();
        let others = Arrivals {
            store: &store,
            server: &other,
        };
        let (own, foreign): (SegmentName, _) = (
            "1_sample_20261123T1400Z_3fa9c01b_000".parse().unwrap(),
            &names[0],
        );
        others.tell(0, &[foreign, &own]).unwrap();
        assert_eq!(others.read(1).unwrap().unwrap(), [own].into());
    }
}
