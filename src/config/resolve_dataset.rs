//! Resolves `[dataset]` into valid settings.

use super::{
    dataset::{Creator, Dataset, LICENCES, Licence, Orcid},
    file::{self, Table, Value},
    resolve::Resolving,
};
use crate::doi::Doi;

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
            self.wrong(line, key, "one of its texts occurs twice", "");
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
                format!("{text:?} is not a licence for data that twinstream knows"),
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
            self.wrong(line, KEY, "one of them occurs twice", "");
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
                    self.wrong(line, KEY, "one of them occurs twice", "");
                }
                creators
            }
            Some((Value::List(names), line)) if !names.is_empty() => {
                let why = "each creator is a table with a name; a text alone is not a creator";
                self.wrong(line, KEY, why, HINT);
                Vec::new()
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
    use crate::config::resolve::{ThisMachine, resolve};

    const SERVER: &str = "[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a\"\n";

    fn dataset(section: &str) -> Result<Option<Dataset>, Vec<(usize, String, String)>> {
        let problems = match file::read(&format!("{section}\n{SERVER}")) {
            Ok(written) => match resolve(&written, Path::new("/etc/t"), &ThisMachine::default()) {
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
            ("\"b\"", "a text alone is not a creator"),
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
                "it is not an ORCID iD",
            ),
            (
                "{ name = \"b\", orcd = \"x\" }",
                "`dataset.creators.orcd`: there is no such key",
            ),
            ("{ name = 5 }", "`dataset.creators.name`: it takes a text"),
            ("{ name = \"b\" }, { name = \"b\" }", "occurs twice"),
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
            ("licence = \"MIT\"", "\"MIT\" is not a licence for data"),
            (
                "related = [\"https://doi.org/10.5281/x\"]",
                "it is not a DOI",
            ),
            ("related = [\"10.5281/a b\"]", "it is not a DOI"),
            ("related = [\"10.5281/x\", \"10.5281/x\"]", "occurs twice"),
            (
                "keywords = [\"\"]",
                "`dataset.keywords`: one of its texts is empty",
            ),
            (
                "funding = [\"x\", \" x\"]",
                "`dataset.funding`: one of its texts occurs twice",
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
