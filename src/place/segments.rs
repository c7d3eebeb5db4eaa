//! Segments in a place: under which names their files lie, and how they go.
//!
//! ```text
//! 2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.jsonl.zst      as in a spool's folder, compressed before it was delivered
//!                 2_sample_20261123T1400Z_3fa9c01b_000.events.jsonl
//!                 2_sample_20261123T1400Z_3fa9c01b_000.index.json     what it holds, for those who need not fetch it; may be missing
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
    path::{Path, PathBuf},
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

/// The endings of the files of a segment, in the order in which they are created and deleted.
const ENDINGS: [(Which, &str); 4] = [
    (Which::Segment, "jsonl.zst"),
    (Which::Events, "events.jsonl"),
    (Which::Index, "index.json"),
    (Which::Seal, "seal.json"),
];

/// An index has some hundred bytes, and as many for each minute that its posts are of. A longer one would cost those who do not
/// need the segment more than the segment costs.
pub const INDEX_BYTES_MAX: u64 = 64 * 1024;

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
    let form = of_form(form);
    keys_of(
        name,
        [
            &format!("{form}jsonl.zst"),
            "events.jsonl",
            &format!("{form}seal.json"),
        ],
    )
}

/// The key of what a segment holds, as it was delivered.
pub fn index_key(name: &SegmentName) -> Result<Key, NotAKey> {
    Key::try_from(text(name, "index.json"))
}

/// Where a machine keeps what it needs of segments that it leaves in the store: the same folders as in its spool, with seal,
/// events file and index of each.
pub fn unfetched(spool: &Path) -> PathBuf {
    spool.join("_unfetched")
}

/// Where it keeps the index of one.
pub fn index_path(spool: &Path, name: &SegmentName) -> PathBuf {
    let folder = unfetched(spool).join(name.folder());
    folder.join(format!("{name}.index.json"))
}

/// The same in a folder, where a segment is not compressed yet.
pub fn plain_keys(name: &SegmentName) -> Result<[Key; 3], NotAKey> {
    keys_of(name, ["jsonl", "events.jsonl", "seal.json"])
}

/// The files of a segment in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Its lines.
    Segment,
    /// What its collector has reported.
    Events,
    /// What it holds, in the form in which it was delivered.
    Index,
    /// What the others must be.
    Seal,
}

/// A file of a segment, and of which form; events file and index have one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Which of its files.
    pub which: Which,
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
    let (which, _) = *ENDINGS.iter().find(|(_, one)| *one == ending)?;
    let [segment, events, seal] = keys(&name, form).ok()?;
    let own = match which {
        Which::Segment => segment,
        Which::Events => events,
        Which::Index => index_key(&name).ok()?,
        Which::Seal => seal,
    };
    let is_it = name.server == *server && own == *key;
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
            Which::Segment => self.forms.entry(file.form).or_default()[0] = true,
            Which::Events => self.events = true,
            Which::Index => (),
            Which::Seal => self.forms.entry(file.form).or_default()[1] = true,
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
    if 0 < latest {
        // it counts the lines of the first form
        store.delete(&index_key(name).map_err(io::Error::other)?)?;
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
            let [segment, events, seal] = keys.clone();
            for (which, key) in [
                (Which::Segment, segment),
                (Which::Events, events),
                (Which::Index, index_key(&name).unwrap()),
                (Which::Seal, seal),
            ] {
                let file = File { which, form: 0 };
                assert_eq!(parse(&key, &two), Some((name.clone(), file)));
                assert_eq!(parse(&key, &one), None);
            }
            let redacted = super::keys(&name, 12).unwrap();
            assert_eq!(redacted[1], keys[1]);
            let seal = format!("2/2026-11-23/14/{text}.redacted-12.seal.json");
            assert_eq!(redacted[2].as_str(), seal);
            for (which, key) in [(Which::Segment, &redacted[0]), (Which::Seal, &redacted[2])] {
                let file = File { which, form: 12 };
                assert_eq!(parse(key, &two), Some((name.clone(), file)));
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
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.redacted-12.index.json",
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
        assert_eq!(take(Which::Segment, 0), None);
        assert_eq!(take(Which::Seal, 0), None);
        assert_eq!(take(Which::Index, 0), None);
        assert_eq!(take(Which::Events, 0), Some(0));
        assert_eq!(take(Which::Segment, 7), Some(0));
        assert_eq!(take(Which::Seal, 9), Some(0));
        assert_eq!(take(Which::Seal, 7), Some(7));
    }
}
