//! `[dataset]`: who made the data set and how it is to be cited; what is written of it → values that
//! cannot be wrong.

use super::{
    file::{self, Table, Value},
    resolve::Resolving,
};
use crate::doi::Doi;

/// What a person has to say about the data set; all else follows from manifests and ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its title.
    pub title: String,
    /// Who made it; at least one.
    pub creators: Vec<Creator>,
    /// What it is, in the makers' words.
    pub description: Option<String>,
    /// The licence of the id lists.
    pub licence: Licence,
    /// Words by which it is found.
    pub keywords: Vec<String>,
    /// Who paid for it.
    pub funding: Vec<String>,
    /// What it belongs to: papers, other data sets.
    pub related: Vec<Doi>,
}

/// One who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// The name, as it is to be cited.
    pub name: String,
    /// The person's ORCID iD.
    pub orcid: Option<Orcid>,
    /// Where the person works.
    pub affiliation: Option<String>,
}

impl Creator {
    /// The name in its two parts, if it is written so: `Family, Given`.
    pub fn family_and_given(&self) -> Option<(&str, &str)> {
        let (family, given) = self.name.split_once(',')?;
        let (family, given) = (family.trim(), given.trim());
        (!family.is_empty() && !given.is_empty()).then_some((family, given))
    }

    /// Whether it is a person, as far as name and ORCID iD show it; else it is taken for a group.
    pub fn is_person(&self) -> bool {
        self.orcid.is_some() || self.family_and_given().is_some()
    }
}

/// An ORCID iD whose check digit is right: `0000-0002-1825-0097`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orcid(String);

impl Orcid {
    /// Reads one as it is written.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let groups: Vec<&str> = text.split('-').collect();
        let has_form = groups.len() == 4 && groups.iter().all(|group| group.len() == 4);
        let marks = text.bytes().filter(|byte| *byte != b'-');
        let marks: Vec<u32> = marks
            .enumerate()
            .filter_map(|(place, byte)| match byte {
                b'0'..=b'9' => Some(u32::from(byte - b'0')),
                b'X' if place == 15 => Some(10),
                _ => None,
            })
            .collect();
        let (Some((check, digits)), true) = (marks.split_last(), has_form && marks.len() == 16)
        else {
            return Err("it is no ORCID iD: that has four groups of four digits");
        };
        // ISO 7064, MOD 11-2
        let sum = digits.iter().fold(0, |sum, digit| (sum + digit) * 2 % 11);
        if (12 - sum) % 11 == *check {
            Ok(Self(text.to_owned()))
        } else {
            Err("its check digit does not fit: a digit is wrong, or two have changed places")
        }
    }

    /// Its address, which is its full form.
    pub fn url(&self) -> String {
        format!("https://orcid.org/{}", self.0)
    }

    /// The one that an address names.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::new(url.strip_prefix("https://orcid.org/")?).ok()
    }
}

/// The licences that may be named, by their SPDX identifier and name: those made for data, or used for it,
/// that every one of the metadata formats knows. A licence for programs says nothing about a list of ids.
const LICENCES: &[(&str, &str)] = &[
    ("CC0-1.0", "Creative Commons Zero v1.0 Universal"),
    (
        "CC-BY-4.0",
        "Creative Commons Attribution 4.0 International",
    ),
    (
        "CC-BY-SA-4.0",
        "Creative Commons Attribution Share Alike 4.0 International",
    ),
    (
        "CC-BY-NC-4.0",
        "Creative Commons Attribution Non Commercial 4.0 International",
    ),
    (
        "CC-BY-NC-SA-4.0",
        "Creative Commons Attribution Non Commercial Share Alike 4.0 International",
    ),
    (
        "CC-BY-ND-4.0",
        "Creative Commons Attribution No Derivatives 4.0 International",
    ),
    (
        "CC-BY-NC-ND-4.0",
        "Creative Commons Attribution Non Commercial No Derivatives 4.0 International",
    ),
    (
        "PDDL-1.0",
        "Open Data Commons Public Domain Dedication & License 1.0",
    ),
    ("ODC-By-1.0", "Open Data Commons Attribution License v1.0"),
    ("ODbL-1.0", "Open Data Commons Open Database License v1.0"),
    (
        "CDLA-Permissive-1.0",
        "Community Data License Agreement Permissive 1.0",
    ),
    (
        "CDLA-Sharing-1.0",
        "Community Data License Agreement Sharing 1.0",
    ),
    ("C-UDA-1.0", "Computational Use of Data Agreement v1.0"),
    ("O-UDA-1.0", "Open Use of Data Agreement v1.0"),
    ("etalab-2.0", "Etalab Open License 2.0"),
    ("OGL-UK-3.0", "Open Government Licence v3.0"),
];

/// A licence of that list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Licence {
    /// Its SPDX identifier.
    pub id: &'static str,
    /// Its full name.
    pub name: &'static str,
}

impl Licence {
    /// The one with that SPDX identifier.
    pub fn of_id(text: &str) -> Option<Self> {
        let (id, name) = LICENCES.iter().find(|(id, _)| *id == text)?;
        Some(Self { id, name })
    }

    /// Where its text is.
    pub fn url(self) -> String {
        format!("https://spdx.org/licenses/{}.html", self.id)
    }
}

/// Whether anything of a list comes again; some of the formats refuse that.
fn has_twice<T: PartialEq>(list: &[T]) -> bool {
    let mut rest = list;
    while let [first, others @ ..] = rest {
        if others.contains(first) {
            return true;
        }
        rest = others;
    }
    false
}

impl Resolving<'_> {
    /// Checked as soon as anything of it is written.
    pub(super) fn dataset(&mut self) -> Option<Dataset> {
        let mut keys = file::KEYS.iter().filter(|key| key.starts_with("dataset."));
        let line = keys.find_map(|key| self.line(key))?;
        let title = if self.is_written("dataset.title") {
            self.one_line("dataset.title")
        } else {
            let hint = "write the title under which it is to be cited";
            self.wrong(Some(line), "dataset.title", "it is missing", hint);
            String::new()
        };
        let description = self.is_written("dataset.description");
        let dataset = Dataset {
            title,
            creators: self.creators(line),
            description: description.then(|| self.text("dataset.description").trim().to_owned()),
            licence: self.licence(),
            keywords: self.words("dataset.keywords"),
            funding: self.words("dataset.funding"),
            related: self.related(),
        };
        Some(dataset)
    }

    /// A text that names something: not empty, and in one line.
    fn one_line(&mut self, key: &str) -> String {
        let text = self.text(key);
        if text.chars().any(char::is_control) {
            let line = self.line(key);
            self.wrong(
                line,
                key,
                "it has more than one line",
                "write it in one line",
            );
        }
        text.trim().to_owned()
    }

    fn words(&mut self, key: &str) -> Vec<String> {
        let list = self.list(key);
        let list: Vec<String> = list.iter().map(|word| word.trim().to_owned()).collect();
        let is_wrong = |word: &String| word.is_empty() || word.chars().any(char::is_control);
        let line = self.line(key);
        if list.iter().any(is_wrong) {
            self.wrong(
                line,
                key,
                "one of its texts is empty or has more than one line",
                "",
            );
        } else if has_twice(&list) {
            self.wrong(line, key, "one of its texts stands there twice", "");
        }
        list
    }

    fn licence(&mut self) -> Licence {
        const KEY: &str = "dataset.licence";
        let text = self.text(KEY);
        Licence::of_id(&text).unwrap_or_else(|| {
            let ids: Vec<&str> = LICENCES.iter().map(|(id, _)| *id).collect();
            let line = self.line(KEY);
            let hint = format!(
                "it takes the SPDX identifier of a licence for data: {}",
                ids.join(", ")
            );
            self.wrong(
                line,
                KEY,
                format!("{text:?} is no licence for data that is known here"),
                &hint,
            );
            // what is returned is never used: there is a problem
            Licence { id: "", name: "" }
        })
    }

    fn related(&mut self) -> Vec<Doi> {
        const KEY: &str = "dataset.related";
        let list = self.list(KEY);
        let mut dois = Vec::new();
        for text in list {
            match text.parse() {
                Ok(doi) => dois.push(doi),
                Err(why) => {
                    let line = self.line(KEY);
                    let hint = "write it without an address before it: \"10.5281/zenodo.1234567\"";
                    self.wrong(line, KEY, format!("{text:?}: {why}"), hint);
                }
            }
        }
        if has_twice(&dois) {
            let line = self.line(KEY);
            self.wrong(line, KEY, "one of them stands there twice", "");
        }
        dois
    }

    fn creators(&mut self, line: usize) -> Vec<Creator> {
        const KEY: &str = "dataset.creators";
        const HINT: &str = "write [{ name = \"Ada Example\", orcid = \"0000-0002-1825-0097\", affiliation = \"…\" }]";
        match self.find(KEY) {
            Some((Value::Tables(tables), line)) if !tables.is_empty() => {
                let creators: Vec<Creator> = tables.iter().map(|of| self.creator(of)).collect();
                let orcids: Vec<&Orcid> =
                    creators.iter().filter_map(|of| of.orcid.as_ref()).collect();
                if has_twice(&creators) || has_twice(&orcids) {
                    self.wrong(line, KEY, "one of them stands there twice", "");
                }
                creators
            }
            Some((_, line)) => {
                self.wrong(line, KEY, "it takes a list of at least one creator", HINT);
                Vec::new()
            }
            None => {
                self.wrong(Some(line), KEY, "it is missing", HINT);
                Vec::new()
            }
        }
    }

    fn creator(&mut self, table: &Table) -> Creator {
        const KEY: &str = "dataset.creators";
        let line = Some(table.line);
        let mut text = |name: &str| {
            let text = table.texts.get(name)?.trim();
            if text.is_empty() || text.chars().any(char::is_control) {
                let why = format!("a creator's {name} is empty or has more than one line");
                self.wrong(line, KEY, why, "");
            }
            Some(text.to_owned())
        };
        let (name, orcid, affiliation) = (text("name"), text("orcid"), text("affiliation"));
        if name.is_none() {
            self.wrong(
                line,
                KEY,
                "a creator has no name",
                "write name = \"Ada Example\"",
            );
        }
        let orcid = orcid.and_then(|text| match Orcid::new(&text) {
            Ok(orcid) => Some(orcid),
            Err(why) => {
                let hint = "write it as 0000-0002-1825-0097, without an address before it";
                self.wrong(line, KEY, format!("orcid {text:?}: {why}"), hint);
                None
            }
        });
        Creator {
            name: name.unwrap_or_default(),
            orcid,
            affiliation,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::resolve::{Me, resolve};

    const SERVER: &str = "[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a\"\n";

    fn dataset(section: &str) -> Result<Option<Dataset>, Vec<(usize, String, String)>> {
        let problems = match file::read(&format!("{section}\n{SERVER}")) {
            Ok(written) => match resolve(&written, Path::new("/etc/t"), &Me::default()) {
                Ok(settings) => return Ok(settings.dataset),
                Err(problems) => problems,
            },
            Err(problems) => problems,
        };
        let told = problems.iter().map(|p| {
            (
                p.line.unwrap(),
                p.to_string(),
                p.hint.clone().unwrap_or_default(),
            )
        });
        Err(told.collect())
    }

    #[test]
    fn a_section_is_read_and_none_is_none() {
        assert_eq!(dataset(""), Ok(None));
        let section = "[dataset]\ntitle = \" Ids \"\ncreators = [\n{ name = \"Ada Example\", orcid = \"0000-0002-1825-0097\" },\n\
                       { name = \"A Group\", affiliation = \"A University\" } ]\nrelated = [\"10.5281/zenodo.1234567\"]\n";
        let read = dataset(section).unwrap().unwrap();
        assert_eq!((read.title.as_str(), read.licence.id), ("Ids", "CC0-1.0"));
        assert_eq!(
            read.creators[0].orcid.as_ref().map(Orcid::url).as_deref(),
            Some("https://orcid.org/0000-0002-1825-0097")
        );
        assert_eq!(
            read.creators[1].affiliation.as_deref(),
            Some("A University")
        );
        assert_eq!(
            read.related[0].url(),
            "https://doi.org/10.5281/zenodo.1234567"
        );
        assert_eq!(
            (read.description, read.keywords, read.funding),
            (None, vec![], vec![])
        );
    }

    /// One thing is wrong: on that line, with these words among what is said.
    #[track_caller]
    fn check_wrong(section: &str, line: usize, says: &str) {
        let told = dataset(section).unwrap_err();
        let [(at, what, hint)] = told.as_slice() else {
            panic!("{section}: {told:?}");
        };
        assert!(*at == line && what.contains(says), "{section}: {told:?}");
        let speaks_for_itself = ["is empty", "twice"].iter().any(|of| what.contains(of));
        assert!(speaks_for_itself || !hint.is_empty(), "{section}: {told:?}");
    }

    #[test]
    fn a_wrong_title_or_creator_is_told_with_its_line_and_a_hint() {
        for (title, says) in [
            ("title = \"\"", "`dataset.title`: it is empty"),
            ("title = \"a\\nb\"", "more than one line"),
        ] {
            let section = format!("[dataset]\n{title}\ncreators = [{{ name = \"b\" }}]");
            check_wrong(&section, 2, says);
        }
        check_wrong(
            "[dataset]\ncreators = [{ name = \"b\" }]",
            2,
            "`dataset.title`: it is missing",
        );
        check_wrong(
            "[dataset]\ntitle = \"a\"",
            2,
            "`dataset.creators`: it is missing",
        );
        for (list, says) in [
            ("", "at least one creator"),
            ("\"b\"", "at least one creator"),
            (
                "{ orcid = \"0000-0002-1825-0097\" }",
                "a creator has no name",
            ),
            ("{ name = \" \" }", "a creator's name is empty"),
            (
                "{ name = \"b\", orcid = \"0000-0002-1825-0079\" }",
                "its check digit does not fit",
            ),
            (
                "{ name = \"b\", orcid = \"https://orcid.org/0000-0002-1825-0097\" }",
                "it is no ORCID iD",
            ),
            (
                "{ name = \"b\", orcd = \"x\" }",
                "`dataset.creators.orcd`: there is no such key",
            ),
            ("{ name = 5 }", "`dataset.creators.name`: it takes a text"),
            ("{ name = \"b\" }, { name = \"b\" }", "stands there twice"),
        ] {
            check_wrong(
                &format!("[dataset]\ntitle = \"a\"\ncreators = [{list}]"),
                3,
                says,
            );
        }
        let list = "[\n{ name = \"b\" },\n{ affiliation = \"c\" } ]";
        check_wrong(
            &format!("[dataset]\ntitle = \"a\"\ncreators = {list}"),
            5,
            "has no name",
        );
    }

    #[test]
    fn whatever_else_is_wrong_is_told_with_its_line_and_a_hint() {
        for (line, says) in [
            ("licence = \"MIT\"", "\"MIT\" is no licence for data"),
            ("related = [\"https://doi.org/10.5281/x\"]", "it is no DOI"),
            ("related = [\"10.5281/a b\"]", "it is no DOI"),
            (
                "related = [\"10.5281/x\", \"10.5281/x\"]",
                "stands there twice",
            ),
            (
                "keywords = [\"\"]",
                "`dataset.keywords`: one of its texts is empty",
            ),
            (
                "funding = [\"x\", \" x\"]",
                "`dataset.funding`: one of its texts stands there twice",
            ),
            ("titel = \"b\"", "`dataset.titel`: there is no such key"),
        ] {
            let section = "[dataset]\ntitle = \"a\"\ncreators = [{ name = \"b\" }]";
            check_wrong(&format!("{section}\n{line}"), 4, says);
        }
    }

    #[test]
    fn check_digits() {
        for good in [
            "0000-0002-1825-0097",
            "0000-0001-5109-3700",
            "0000-0002-1694-233X",
        ] {
            assert!(Orcid::new(good).is_ok(), "{good}");
        }
        for bad in [
            "0000-0002-1694-2330",
            "000-00002-1825-0097",
            "X000-0002-1825-0097",
            "0000000218250097",
            "",
        ] {
            assert!(Orcid::new(bad).is_err(), "{bad}");
        }
    }
}
