//! Examples of posts whose copies differ: collected unit by unit, with those of a former revision whose raw
//! data is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::{context::HourContext, due::DueHour, uncommitted::HourError};
use crate::{
    segment::name::Leg,
    source::{Source, key::Key},
    vault::{
        commit::HourOfVault,
        conflicts::{EXAMPLES_MAX, Example, Side, value},
        deleted::{Deleted, LeftOut},
        layout::FileKind,
        manifest::{Conflicts, Output},
        redactions::Redactions,
    },
};

/// A post whose copies differ in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    key: Key,
    /// Each copy's server, by number, and cell: of the copy that counts, and of the first other.
    copies: [(usize, String); 2],
}

/// The first of each column; posts come in ascending order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Examples(BTreeMap<&'static str, Vec<Differing>>);

impl Examples {
    /// Takes one more, if there is room.
    pub fn take(&mut self, field: &'static str, key: &Key, copies: [(usize, &str); 2]) {
        let of_field = self.0.entry(field).or_default();
        if of_field.len() < EXAMPLES_MAX {
            let copies = copies.map(|(server, cell)| (server, value(cell)));
            let key = key.clone();
            of_field.push(Differing { key, copies });
        }
    }

    /// Takes those of later posts.
    pub fn add(&mut self, later: Self) {
        for (field, mut differing) in later.0 {
            let of_field = self.0.entry(field).or_default();
            differing.truncate(EXAMPLES_MAX - of_field.len());
            of_field.append(&mut differing);
        }
    }

    /// Those of these differences that a former revision has counted already, as far as its examples tell.
    fn counted_before(&self, former: &[Example], source: &dyn Source) -> Conflicts {
        let named: BTreeSet<(&str, Key)> = former
            .iter()
            .filter_map(|example| Some((&*example.field, source.key(&example.id)?)))
            .collect();
        let posts: BTreeSet<&Key> = named.iter().map(|(_, key)| key).collect();
        let mut counted = Conflicts::default();
        let mut counted_posts = BTreeSet::new();
        for (field, differing) in &self.0 {
            for one in differing {
                if named.contains(&(*field, one.key.clone())) {
                    *counted.by_field.entry((*field).to_owned()).or_default() += 1;
                }
                if posts.contains(&one.key) && counted_posts.insert(&one.key) {
                    counted.posts += 1;
                }
            }
        }
        counted
    }

    /// The file, which may be empty: these examples, and those of a former revision, without posts that stay out.
    pub fn text(
        &self,
        servers: &[Leg],
        former: Vec<Example>,
        (redactions, deleted): (&Redactions, &Deleted<'_>),
    ) -> Vec<u8> {
        let mut all: BTreeMap<String, BTreeMap<Key, Example>> = BTreeMap::new();
        for (field, differing) in &self.0 {
            let of_field = all.entry((*field).to_owned()).or_default();
            for one in differing {
                let example = one.named(field, servers);
                of_field.extend(example.map(|example| (one.key.clone(), example)));
            }
        }
        for example in former {
            let key = redactions.source.key(&example.id);
            let is_gone = |key: &Key| {
                let why = deleted.why(key);
                redactions.has(key) || why.is_some_and(|why| why != LeftOut::Held)
            };
            if let Some(key) = key.filter(|key| !is_gone(key)) {
                let of_field = all.entry(example.field.clone()).or_default();
                let now = of_field.get(&key).map(|now| &now.kept);
                // what was said first stays, unless another copy counts now
                if now.is_none_or(|kept| *kept == example.kept) {
                    of_field.insert(key, example);
                }
            }
        }
        let mut text = Vec::new();
        for example in all
            .values()
            .flat_map(|of_field| of_field.values().take(EXAMPLES_MAX))
        {
            // writing to memory what is made of texts
            if serde_json::to_writer(&mut text, example).is_ok() {
                text.push(b'\n');
            }
        }
        text
    }
}

impl Differing {
    fn named(&self, field: &str, servers: &[Leg]) -> Option<Example> {
        let side = |(server, value): &(usize, String)| {
            let server = servers.get(*server)?.clone();
            let value = value.clone();
            Some(Side { server, value })
        };
        let [kept, other] = &self.copies;
        Some(Example {
            field: field.to_owned(),
            id: self.key.to_string(),
            kept: side(kept)?,
            other: side(other)?,
        })
    }
}

impl HourContext<'_> {
    /// Writes the examples, if there are any; and says which of the differences the former revision has counted already.
    pub(super) fn write_conflicts(
        &self,
        place: &HourOfVault<'_>,
        due: &DueHour,
        servers: &[Leg],
        examples: &Examples,
    ) -> Result<(Option<Output>, Conflicts), HourError> {
        let mut before = Vec::new();
        if let Some(manifest) = &due.former {
            let former = self.former(due, servers);
            former.lines(FileKind::Conflicts, manifest, |line| {
                before.push(serde_json::from_slice(line)?);
                Ok(())
            })?;
        }
        let counted = examples.counted_before(&before, self.source());
        let text = examples.text(servers, before, (self.indexes.redactions, self.deleted));
        if text.is_empty() {
            return Ok((None, counted));
        }
        let mut data_file = self.data_file(place, FileKind::Conflicts, due)?;
        data_file.write(&text)?;
        Ok((Some(data_file.finish(due.hour)?.output), counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{source::x::X, world::disk::RealDisk};

    fn lines(text: &[u8]) -> Vec<(String, String)> {
        let text = str::from_utf8(text).unwrap();
        let examples = text
            .lines()
            .map(|line| serde_json::from_str::<Example>(line).unwrap());
        examples.map(|e| (e.field, e.id)).collect()
    }

    #[test]
    fn the_lowest_ids_of_each_column_count_however_they_were_collected() {
        let servers = ["1", "2"].map(|id| id.parse().unwrap());
        let long = "ä".repeat(3_000);
        let collect = |units: &[(u64, u64)]| {
            let mut all = Examples::default();
            for (first, end) in units {
                let mut of_unit = Examples::default();
                for id in *first..*end {
                    of_unit.take("text", &Key::from(id), [(0, "a"), (1, &long)]);
                }
                for id in (*first..*end).filter(|id| id.is_multiple_of(4)) {
                    of_unit.take("lang", &Key::from(id), [(1, "de"), (0, "en")]);
                }
                all.add(of_unit);
            }
            all
        };
        let nothing = Deleted::none(&RealDisk);
        let nobody = (&Redactions::none(&X), &nothing);
        let once = collect(&[(1, 30)]).text(&servers, Vec::new(), nobody);
        assert_eq!(
            once,
            collect(&[(1, 3), (3, 4), (4, 30)]).text(&servers, Vec::new(), nobody)
        );
        let found = lines(&once);
        assert_eq!(found.len(), 7 + EXAMPLES_MAX);
        assert_eq!(found[0], ("lang".to_owned(), "4".to_owned()));
        assert_eq!(found.last().unwrap(), &("text".to_owned(), "10".to_owned()));
        assert!(once.len() < 40_000, "values are cut");
        // those of before, without what is to stay out
        let mut list = Redactions::none(&X);
        list.ask([5.into()], "why");
        let former: Vec<Example> = str::from_utf8(&once)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let next = collect(&[(40, 50)]).text(&servers, former, (&list, &nothing));
        let texts: Vec<String> = lines(&next)
            .into_iter()
            .filter(|l| l.0 == "text")
            .map(|l| l.1)
            .collect();
        assert_eq!(texts, ["1", "2", "3", "4", "6", "7", "8", "9", "10", "40"]);
        assert_eq!(Examples::default().text(&servers, Vec::new(), nobody), b"");
    }

    #[test]
    fn what_was_said_first_of_a_post_stays_whatever_a_later_copy_says() {
        let servers = ["1", "2", "3"].map(|id| id.parse().unwrap());
        let redactions = Redactions::none(&X);
        let nothing = Deleted::none(&RealDisk);
        let nobody = || (&redactions, &nothing);
        let mut first = Examples::default();
        first.take("text", &Key::from(5), [(0, "kept"), (1, "other")]);
        let first = first.text(&servers, Vec::new(), nobody());
        // the raw data is gone: a third server's copy comes late, and is compared with the row
        let mut later = Examples::default();
        later.take("text", &Key::from(5), [(0, "kept"), (2, "another")]);
        later.take("text", &Key::from(7), [(0, "kept"), (2, "another")]);
        let former = vec![serde_json::from_slice(&first).unwrap()];
        let counted = later.counted_before(&former, &X);
        assert_eq!((counted.posts, counted.by_field["text"]), (1, 1));
        let both = later.text(&servers, former.clone(), nobody());
        assert!(
            both.starts_with(&first),
            "{}",
            String::from_utf8_lossy(&both)
        );
        assert_eq!(lines(&both).len(), 2);
        // the third server's copy came first, and is the one that counts
        let mut later = Examples::default();
        later.take("text", &Key::from(5), [(2, "first"), (0, "kept")]);
        let now = later.text(&servers, former, nobody());
        assert_eq!(now, later.text(&servers, Vec::new(), nobody()));
    }
}
