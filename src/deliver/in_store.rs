//! The names of segments in a store: the same as in a spool's folder, with `/` between.

use crate::{
    place::store::{Key, NotAKey},
    segment::name::{SegmentName, ServerId},
};

use super::plan::ENDINGS;

/// Where the files of a server lie.
pub(super) fn prefix(server: &ServerId) -> String {
    format!("{server}/")
}

fn text(name: &SegmentName, ending: &str) -> String {
    let (day, hour) = (name.minute.day_folder(), name.minute.hour_folder());
    format!("{}/{day}/{hour}/{name}.{ending}", name.server)
}

/// The keys of the three files of a segment, in the order of [`ENDINGS`].
pub(super) fn keys(name: &SegmentName) -> Result<[Key; 3], NotAKey> {
    let [segment, events, seal] = ENDINGS.map(|ending| Key::try_from(text(name, ending)));
    Ok([segment?, events?, seal?])
}

/// The segment of which this is the file with that place in [`ENDINGS`]; `None`: it is no file of this server.
pub(super) fn parse(key: &Key, server: &ServerId) -> Option<(SegmentName, usize)> {
    let file = key.as_str().rsplit('/').next()?;
    let (stem, ending) = file.split_once('.')?;
    let name: SegmentName = stem.parse().ok()?;
    let which = ENDINGS.iter().position(|one| *one == ending)?;
    (name.server == *server && text(&name, ending) == key.as_str()).then_some((name, which))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_file_it_is_and_where_it_must_lie() {
        let name: SegmentName = "2_sample_20261123T1400Z_3fa9c01b_000".parse().unwrap();
        let keys = keys(&name).unwrap();
        assert_eq!(
            keys[2].as_str(),
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.seal.json"
        );
        let (one, two) = ("1".parse().unwrap(), "2".parse().unwrap());
        for (which, key) in keys.iter().enumerate() {
            assert_eq!(parse(key, &two), Some((name.clone(), which)));
            assert_eq!(parse(key, &one), None);
        }
        for wrong in [
            "2/2026-11-23/15/2_sample_20261123T1400Z_3fa9c01b_000.jsonl",
            "1/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.jsonl",
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.jsonl.zst",
            "2/2026-11-23/14/x/2_sample_20261123T1400Z_3fa9c01b_000.jsonl",
            "2/acks.jsonl",
        ] {
            let key = Key::try_from(wrong.to_owned()).unwrap();
            assert_eq!(parse(&key, &two), None, "{wrong}");
        }
    }
}
