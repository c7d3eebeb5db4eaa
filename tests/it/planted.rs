//! The planted bugs (`tests/planted/`) are where `scripts/planted` looks for them, and there are enough: of each
//! promise and each invariant at least three.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;

use super::tidy;

/// So many break each promise and each invariant, …
const OF_EACH_MIN: usize = 3;
/// … and there are so many in all.
const ALL_MIN: usize = 60;

/// Invariants that no test holds but the form of the code: nothing of them can be switched on in a program that
/// was built.
const HELD_BY_FORM: &[(&str, &str)] = &[(
    "Only world/clock.rs reads a clock",
    "clippy: disallowed_methods",
)];

/// The bugs of an area.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    plant: Vec<Plant>,
}

/// A bug: where it stands, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plant {
    name: String,
    /// Promises by their numbers, invariants by their begins.
    breaks: Vec<String>,
    says: String,
    file: String,
    find: String,
    /// What stands in the right text's place while it is on …
    bug: Option<String>,
    /// … or the whole of both, with `PLANTED` for whether it is on.
    switch: Option<String>,
    /// It is one of form: `tidy` sees it.
    #[serde(default)]
    form: bool,
}

impl Plant {
    /// Whether its text begins or ends within a word of the file: then its switch is no program.
    fn cuts_a_word(&self, text: &str) -> bool {
        let is_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let find = self.find.as_str();
        text.split_once(find).is_some_and(|(before, after)| {
            let begins_in = is_of_word(before.chars().last()) && is_of_word(find.chars().next());
            let ends_in = is_of_word(find.chars().last()) && is_of_word(after.chars().next());
            begins_in || ends_in
        })
    }

    /// Whether the two cannot be the arms of an `if`: an arm of a `match`, the head of a block, a name that what follows needs,
    /// a call of what stands before it, a member of a list, an item.
    fn needs_a_switch(&self) -> bool {
        let find = self.find.trim();
        let begins = [".", "&&", "||", "let ", "const ", "static "];
        find.contains(" => ")
            || find.ends_with(['{', ','])
            || begins.iter().any(|begin| find.starts_with(begin))
    }

    /// Whether it is called on what stands before it: then its two texts are no expressions.
    fn is_called_on_something(&self, text: &str) -> bool {
        let before = text.split_once(&self.find).map_or("", |(before, _)| before);
        before.ends_with('.') && !before.ends_with("..")
    }

    /// Whether the function in which it stands is one of constants: there nothing can be switched.
    fn is_in_const_fn(&self, text: &str) -> bool {
        let before = text.split_once(&self.find).map_or("", |(before, _)| before);
        let mut lines = before.lines().rev();
        let indent = |line: &str| line.len() - line.trim_start().len();
        let own = lines.next().map_or(0, indent);
        let head = lines.find(|line| indent(line) < own && line.contains("fn "));
        head.is_some_and(|head| head.contains("const fn "))
    }

    /// Its place in a file; that of others in the same file must be another.
    fn place(&self, root: &Path) -> (&str, std::ops::Range<usize>) {
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        let begin = text.find(&self.find).unwrap_or(0);
        (&self.file, begin..begin + self.find.len())
    }

    /// What is wrong with it.
    fn wrongs(&self, root: &Path) -> Vec<String> {
        let mut wrongs = Vec::new();
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        match text.matches(&self.find).count() {
            1 if self.cuts_a_word(&text) => {
                wrongs.push("its text begins or ends within a word".to_owned());
            }
            1 if self.switch.is_none() && self.is_called_on_something(&text) => {
                wrongs.push(
                    "its text is called on what stands before it, and needs a switch".to_owned(),
                );
            }
            1 if !self.form && self.is_in_const_fn(&text) => {
                wrongs.push("it stands in a const fn, where nothing can be switched".to_owned());
            }
            1 => (),
            n => wrongs.push(format!(
                "{} has its text {n} times, not once: {:?}",
                self.file, self.find
            )),
        }
        match (&self.bug, &self.switch) {
            (Some(_), None) if self.form || !self.needs_a_switch() => (),
            (None, Some(switch)) if switch.contains("PLANTED") => (),
            (Some(_), None) => {
                let why = "it is no whole expression or statement, and needs a switch";
                wrongs.push(why.to_owned());
            }
            _ => wrongs.push("it has either a bug or a switch with PLANTED in it".to_owned()),
        }
        if self.form {
            let planted = text.replace(&self.find, self.bug.as_deref().unwrap_or_default());
            let mut untidy = Vec::new();
            tidy::check(Path::new(&self.file), &planted, &mut untidy);
            if untidy.is_empty() {
                wrongs.push("it does not make the tree untidy".to_owned());
            }
        }
        wrongs
    }
}

#[test]
fn every_planted_bug_has_its_place_and_there_are_enough() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plants = plants(root);
    let mut wrongs = Vec::new();
    let (mut known, mut said) = (BTreeSet::new(), BTreeSet::new());
    let mut of_each: BTreeMap<String, usize> = BTreeMap::new();
    let rules = rules(root);
    for plant in &plants {
        let mut wrong = plant.wrongs(root);
        if !known.insert(&plant.name) || !said.insert(&plant.says) {
            wrong.push("another one has its name or its sentence".to_owned());
        }
        for breaks in &plant.breaks {
            match rules.iter().find(|rule| is_of(rule, breaks)) {
                Some(rule) => *of_each.entry(rule.clone()).or_default() += 1,
                None => wrong.push(format!("nothing in ARCHITECTURE.md begins with {breaks:?}")),
            }
        }
        wrongs.extend(wrong.iter().map(|what| format!("{}: {what}", plant.name)));
    }
    let switched = plants.iter().filter(|plant| !plant.form);
    let mut places: Vec<_> = switched.map(|one| (one.place(root), &one.name)).collect();
    places.sort_by_key(|((file, place), _)| (*file, place.start));
    for two in places.windows(2) {
        let [((file, place), one), ((other, next), name)] = two else {
            continue;
        };
        if file == other && next.start < place.end {
            wrongs.push(format!("{name}: it stands in the text of {one}"));
        }
    }
    for rule in &rules {
        let is_held = HELD_BY_FORM.iter().any(|(held, _)| rule.starts_with(held));
        let count = of_each.get(rule).copied().unwrap_or(0);
        if count < OF_EACH_MIN && !is_held {
            wrongs.push(format!(
                "{count} plants break what at least {OF_EACH_MIN} must: {rule}"
            ));
        }
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    assert!(ALL_MIN <= plants.len(), "{} plants", plants.len());
}

fn plants(root: &Path) -> Vec<Plant> {
    let entries = fs::read_dir(root.join("tests/planted")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let area: Area = toml::from_str(&text)
            .map_err(|why| format!("{}: {why}", path.display()))
            .unwrap();
        area.plant
    };
    paths.flat_map(read).collect()
}

/// The promises (`1. Nothing …`) and the invariants of ARCHITECTURE.md, without marks.
fn rules(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let part = |from: &str| {
        text.split(from)
            .nth(1)
            .unwrap()
            .split("\n## ")
            .next()
            .unwrap()
    };
    let promises = part("\n## Promises").lines().filter_map(|line| {
        let cell = line.strip_prefix("| ")?;
        cell.starts_with(|c: char| c.is_ascii_digit())
            .then_some(cell)
    });
    let invariants = part("\n## Invariants").lines();
    let invariants = invariants.filter_map(|line| line.strip_prefix("- "));
    promises
        .chain(invariants)
        .map(|rule| rule.replace('`', ""))
        .collect()
}

fn is_of(rule: &str, breaks: &str) -> bool {
    match breaks.parse::<u8>() {
        Ok(number) => rule.starts_with(&format!("{number}. ")),
        Err(_not_a_promise) => 20 <= breaks.len() && rule.starts_with(breaks),
    }
}
