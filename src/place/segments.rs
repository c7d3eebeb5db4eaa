//! Segments in a place: under which names their files lie, and how they go.
//!
//! ```text
//! 2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.jsonl.zst      as in a spool's folder, compressed before it was delivered
//!                 2_sample_20261123T1400Z_3fa9c01b_000.events.jsonl
//!                 2_sample_20261123T1400Z_3fa9c01b_000.seal.json      created last: it speaks of the plain bytes
//!                 2_sample_20261123T1400Z_3fa9c01b_000.redacted-12.jsonl.zst    without the lines that the first 12 redactions are
//!                 2_sample_20261123T1400Z_3fa9c01b_000.redacted-12.seal.json    about; created before those above are deleted
//! ```
//!
//! Nothing is overwritten: several machines that take the same lines out make the same file, and one that knows a longer list
//! makes another, later one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::store::{Content, Created, Key, NotAKey, Store, StoreError};
use crate::{
    segment::{
        name::{SegmentName, ServerId},
        raw::{self, Packed, Unpacking},
        seal::Digest,
    },
    world::disk::{self, Disk},
};

/// Where else segments of a spool's folder lie.
#[derive(Clone, Copy)]
pub enum Elsewhere<'a> {
    /// Nowhere.
    Nowhere,
    /// In a store that cannot be worked with now: what went here only would be fetched again.
    Away,
    /// In this store.
    In(&'a dyn Store),
}

/// Fetches segments from there, by their names; says how many are here since.
pub type Bring<'a> = &'a dyn Fn(&BTreeSet<SegmentName>) -> Result<u64, StoreError>;

/// Where there is nowhere to fetch from.
pub fn bring_nothing(_names: &BTreeSet<SegmentName>) -> Result<u64, StoreError> {
    Ok(0)
}

/// The endings of the three files of a segment, in the order in which they are created.
const ENDINGS: [&str; 3] = ["jsonl.zst", "events.jsonl", "seal.json"];

/// Where the files of a server lie.
pub fn prefix(server: &ServerId) -> String {
    format!("{server}/")
}

/// Where the files of a segment lie.
pub fn folder(name: &SegmentName) -> String {
    let (day, hour) = (name.minute.day_folder(), name.minute.hour_folder());
    format!("{}/{day}/{hour}/", name.server)
}

fn text(name: &SegmentName, ending: &str) -> String {
    format!("{}{name}.{ending}", folder(name))
}

fn keys_of(name: &SegmentName, endings: [&str; 3]) -> Result<[Key; 3], NotAKey> {
    let [segment, events, seal] = endings.map(|ending| Key::try_from(text(name, ending)));
    Ok([segment?, events?, seal?])
}

/// What the names of the segment and the seal have before their endings: nothing as they were delivered; where lines were taken
/// out of a segment on request, how long the list of those was. The longer the list, the later the form.
fn of_form(form: u64) -> String {
    if form == 0 {
        String::new()
    } else {
        format!("redacted-{form}.")
    }
}

/// The keys of the three files of a segment in an object store, in one of its forms.
pub fn keys(name: &SegmentName, form: u64) -> Result<[Key; 3], NotAKey> {
    let [segment, events, seal] = ENDINGS;
    let form = of_form(form);
    keys_of(
        name,
        [
            &format!("{form}{segment}"),
            events,
            &format!("{form}{seal}"),
        ],
    )
}

/// The same in a folder, where a segment is not compressed yet.
pub fn plain_keys(name: &SegmentName) -> Result<[Key; 3], NotAKey> {
    let [_, events, seal] = ENDINGS;
    keys_of(name, ["jsonl", events, seal])
}

/// A file of a segment: its place in [`keys`], and the form; the events file is of all forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Segment, events, seal.
    pub which: usize,
    /// Of which form.
    pub form: u64,
}

/// The segment of which this is a file, and which; `None`: it is no file of this server.
pub fn parse(key: &Key, server: &ServerId) -> Option<(SegmentName, File)> {
    let file = key.as_str().rsplit('/').next()?;
    let (name, ending) = SegmentName::of_file(file)?;
    let (form, ending) = match ending.strip_prefix("redacted-") {
        Some(rest) => {
            let (form, ending) = rest.split_once('.')?;
            (form.parse().ok()?, ending)
        }
        None => (0, ending),
    };
    let which = ENDINGS.iter().position(|one| *one == ending)?;
    let own = keys(&name, form).ok()?;
    let is_it = name.server == *server && own.get(which) == Some(key);
    is_it.then_some((name, File { which, form }))
}

/// The files of a segment in a store.
#[derive(Debug, Default)]
pub struct There {
    events: bool,
    /// Of each form whether segment and seal are there.
    forms: BTreeMap<u64, [bool; 2]>,
}

impl There {
    /// A file of it is there.
    pub fn take(&mut self, file: File) {
        match file.which {
            0 => self.forms.entry(file.form).or_default()[0] = true,
            1 => self.events = true,
            _ => self.forms.entry(file.form).or_default()[1] = true,
        }
    }

    /// Its latest form that is whole; without its seal it is still under way, without the others it is being deleted.
    pub fn latest(&self) -> Option<u64> {
        let whole = self.forms.iter().filter(|(_, files)| **files == [true; 2]);
        whole.map(|(form, _)| *form).max().filter(|_| self.events)
    }
}

/// Finds the files of a segment in a store.
pub fn look(store: &dyn Store, name: &SegmentName) -> Result<There, StoreError> {
    let mut there = There::default();
    store.list(&text(name, ""), &mut |listed| {
        if let Some((_, file)) = parse(&listed.key, &name.server) {
            there.take(file);
        }
    })?;
    Ok(there)
}

/// Creates the compressed form of a segment. Another program may have compressed the same lines differently; that is
/// fine.
pub fn create_packed(
    disk: &dyn Disk,
    store: &dyn Store,
    (key, sealed): (&Key, &Digest),
    plain: &Path,
) -> Result<Created, StoreError> {
    let mut packed = raw::compressed(plain);
    let is_plain = disk.len(plain)?.is_some();
    if is_plain {
        packed = disk::aside(&packed);
        match raw::pack(disk, plain, &packed, sealed)? {
            Packed::Whole => (),
            Packed::Damaged(found) | Packed::ReadsBack(found) => {
                let (key, found) = (key.clone(), found.sha256);
                return Err(StoreError::Changed { key, found });
            }
        }
    }
    let digest = raw::read_through(&mut *disk.open(&packed)?, |_| Ok(()))?;
    let content = Content {
        digest: &digest,
        open: &|| Ok(Box::new(disk.open(&packed)?)),
    };
    let created = store.create(key, &content);
    if is_plain {
        disk.remove(&packed)?;
    }
    let created = created?;
    if created == Created::Stands {
        return Ok(created);
    }
    let mut unpacking = Unpacking::new()?;
    let read = store.read(key, raw::packed_max(sealed.bytes), &mut unpacking);
    match read.map(|_found| unpacking.finish()) {
        Ok(Ok(found)) if found == *sealed => Ok(Created::Stands),
        // what cannot be unpacked is something else
        Ok(_) | Err(StoreError::Io(_) | StoreError::TooLong { .. }) => Ok(created),
        Err(why) => Err(why),
    }
}

/// Deletes the forms of a segment before its latest one that is whole: they have lines that were taken out since.
pub fn delete_former(store: &dyn Store, name: &SegmentName) -> Result<(), StoreError> {
    let there = look(store, name)?;
    let Some(latest) = there.latest() else {
        return Ok(());
    };
    for form in there.forms.keys().filter(|form| **form < latest) {
        let [segment, _, seal] = keys(name, *form).map_err(io::Error::other)?;
        store.delete(&segment)?;
        store.delete(&seal)?;
    }
    Ok(())
}

/// Deletes segments in all their forms, the seals last: a seal without its segment says that it was being deleted, and nobody
/// fetches it. `deleted` hears of each file.
pub fn delete(
    store: &dyn Store,
    names: &[SegmentName],
    deleted: &mut dyn FnMut(),
) -> Result<(), StoreError> {
    let mut folders: BTreeMap<String, Vec<&SegmentName>> = BTreeMap::new();
    for name in names {
        folders.entry(folder(name)).or_default().push(name);
    }
    for (folder, names) in folders {
        let mut there: BTreeMap<SegmentName, Vec<(File, Key)>> = BTreeMap::new();
        store.list(&folder, &mut |listed| {
            let server = names.first().map(|name| &name.server);
            if let Some((name, file)) = server.and_then(|server| parse(&listed.key, server)) {
                there.entry(name).or_default().push((file, listed.key));
            }
        })?;
        for name in names {
            let mut files = there.remove(name).unwrap_or_default();
            files.sort();
            for (_, key) in files {
                store.delete(&key)?;
                deleted();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_file_it_is_and_where_it_must_lie() {
        let (one, two) = ("1".parse().unwrap(), "2".parse().unwrap());
        for text in [
            "2_sample_20261123T1400Z_3fa9c01b_000",
            "2_sample10.01_20261123T1400Z_3fa9c01b_000",
        ] {
            let name: SegmentName = text.parse().unwrap();
            let keys = keys(&name, 0).unwrap();
            let seal = format!("2/2026-11-23/14/{text}.seal.json");
            assert_eq!(keys[2].as_str(), seal);
            for (which, key) in keys.iter().enumerate() {
                let file = File { which, form: 0 };
                assert_eq!(parse(key, &two), Some((name.clone(), file)));
                assert_eq!(parse(key, &one), None);
            }
            let redacted = super::keys(&name, 12).unwrap();
            assert_eq!(redacted[1], keys[1]);
            let seal = format!("2/2026-11-23/14/{text}.redacted-12.seal.json");
            assert_eq!(redacted[2].as_str(), seal);
            for which in [0, 2] {
                let file = File { which, form: 12 };
                assert_eq!(parse(&redacted[which], &two), Some((name.clone(), file)));
            }
        }
        for wrong in [
            "2/2026-11-23/15/2_sample_20261123T1400Z_3fa9c01b_000.jsonl.zst",
            "1/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.jsonl.zst",
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.jsonl",
            "2/2026-11-23/14/x/2_sample_20261123T1400Z_3fa9c01b_000.jsonl.zst",
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.redacted-012.seal.json",
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.redacted-0.seal.json",
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.redacted-12.events.jsonl",
            "2/acks.jsonl",
        ] {
            let key = Key::try_from(wrong.to_owned()).unwrap();
            assert_eq!(parse(&key, &two), None, "{wrong}");
        }
    }

    #[test]
    fn the_latest_form_that_is_whole_counts() {
        let mut there = There::default();
        let mut take = |which, form| {
            there.take(File { which, form });
            there.latest()
        };
        assert_eq!(take(0, 0), None);
        assert_eq!(take(2, 0), None);
        assert_eq!(take(1, 0), Some(0));
        assert_eq!(take(0, 7), Some(0));
        assert_eq!(take(2, 9), Some(0));
        assert_eq!(take(2, 7), Some(7));
    }
}
