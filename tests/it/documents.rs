//! The documents say what is: tables of columns, keys and commands are compared with the program's
//! own lists, and examples are read by it.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use twinstream::{
    simulate::{fault, osf, smtp_fault},
    source::{Source as _, Table, x::X},
};

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(path).unwrap()
}

/// What stands between two texts.
#[track_caller]
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    assert!(text.contains(begin), "no {begin:?}");
    let (_, rest) = text.split_once(begin).unwrap();
    rest.split_once(end).map_or(rest, |(inside, _)| inside)
}

/// The words between backticks, in their order.
fn names(table: &Table) -> Vec<&'static str> {
    table.columns.iter().map(|(name, _)| *name).collect()
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The words in the first column of a table that begins with this head.
#[track_caller]
fn first_column<'a>(text: &'a str, head: &str) -> BTreeSet<&'a str> {
    let table = between(text, &format!("\n| {head} |"), "\n\n");
    let rows = table.lines().skip(2);
    rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap_or_default()))
        .collect()
}

/// The names that an error offers in place of one that does not exist.
fn offered(error: &str) -> BTreeSet<&str> {
    assert!(error.contains("expected "), "{error}");
    let (_, list) = error.split_once("expected ").unwrap();
    quoted(list).into_iter().collect()
}

/// Checks a section on faults: its examples are read, its tables are what the reader knows.
#[track_caller]
fn check_faults(section: &str, read: &dyn Fn(&str) -> Result<(), String>) {
    let examples: Vec<&str> = section
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        assert_eq!(read(example), Ok(()), "{example}");
    }
    let error = |entry: &str| read(&format!("[[fault]]\nat = \"1s\"\n{entry}\n")).unwrap_err();
    assert_eq!(
        first_column(section, "key"),
        offered(&error("no_such_key = 1"))
    );
    assert_eq!(
        first_column(section, "`kind` | what happens"),
        offered(&error("for = \"1s\"\nkind = \"no_such_kind\""))
    );
}

#[test]
fn the_page_on_the_simulator_has_every_key_and_its_examples_are_read() {
    let page = document("docs/simulate.md");
    let section = |of: &str| between(&page, &format!("\n## {of}"), "\n## ");
    let streams = section("Faults of the streams");
    check_faults(streams, &|text| {
        fault::parse(text).map(drop).map_err(|why| why.to_string())
    });
    let no_such_line = "[[fault]]\nat = \"1s\"\nkind = \"garbage\"\nline = \"no_such_line\"\n";
    let error = fault::parse(no_such_line).unwrap_err().to_string();
    let row = between(streams, "| `garbage` | ", " |");
    assert_eq!(
        quoted(row).into_iter().collect::<BTreeSet<_>>(),
        offered(&error)
    );
    check_faults(section("Faults of OSF"), &|text| {
        osf::fault::parse(text).map(drop)
    });
    check_faults(section("Faults of the mail server"), &|text| {
        smtp_fault::parse(text).map(drop)
    });
}

#[test]
fn the_page_on_the_simulator_has_every_event_of_its_log() {
    let source = document("src/simulate/truth.rs");
    let variants = between(&source, "pub(super) enum Event<'a> {\n", "\n}\n");
    let events: BTreeSet<String> = variants
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| {
            let name = line.split([' ', ',']).next().unwrap();
            let snake = name.chars().enumerate().map(|(at, c)| {
                let parted = if c.is_uppercase() && at > 0 { "_" } else { "" };
                format!("{parted}{}", c.to_ascii_lowercase())
            });
            snake.collect()
        })
        .collect();
    assert!(events.contains("keep_alive"), "{events:?}");
    let page = document("docs/simulate.md");
    let told: BTreeSet<String> = first_column(&page, "`event`")
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(told, events);
}

/// The Rust file of a module, below the tests or the sources.
fn module(path: &[&str]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |top: &str| {
        let path = root.join(top).join(path.join("/"));
        [path.with_extension("rs"), path.join("mod.rs")]
    };
    let files = ["tests/it", "src"].into_iter().flat_map(below);
    let texts: Vec<String> = files
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    (!texts.is_empty()).then(|| texts.concat())
}

/// Whether `a::b::c` is a module, or something of one; `…` stands for the rest of a name.
fn is_there(path: &[&str]) -> bool {
    let Some((last, before)) = path.split_last() else {
        return false;
    };
    let has_it = |text: String| {
        let function = match last.split_once('…') {
            Some((begin, _)) => format!("fn {begin}"),
            None => format!("fn {last}("),
        };
        let others = ["struct ", "enum ", "trait ", "::"].map(|kind| format!("{kind}{last}"));
        text.contains(&function) || others.iter().any(|other| text.contains(other))
    };
    module(path).is_some() || module(before).is_some_and(has_it)
}

/// Who guards a promise is named in a document: a name that nobody has guards nothing.
#[test]
fn every_test_that_the_documents_name_is_there() {
    let mut checked = 0;
    for page in [
        "ARCHITECTURE.md",
        "docs/security.md",
        "docs/reliability.md",
        "docs/glossary.md",
    ] {
        let text = document(page);
        let is_path = |word: &&str| {
            let parts: Vec<&str> = word.split("::").collect();
            let is_name = |part: &&str| {
                let plain = |c: char| c.is_alphanumeric() || "_…".contains(c);
                !part.is_empty() && part.chars().all(plain)
            };
            1 < parts.len() && parts.iter().all(is_name)
        };
        for name in quoted(&text).into_iter().filter(is_path) {
            let parts: Vec<&str> = name.split("::").collect();
            assert!(is_there(&parts), "{page} names `{name}`, and there is none");
            checked += 1;
        }
    }
    assert!(80 < checked, "{checked}");
}

#[test]
fn the_page_on_formats_has_every_column_and_member() {
    let page = document("docs/formats.md");
    assert_eq!(
        quoted(between(&page, "\n`…_tweets.csv.xz`: ", ".\n")),
        names(X.table())
    );
    assert_eq!(
        quoted(between(&page, "\n`…_users.csv.xz`: ", ".\n")),
        names(X.authors())
    );
    let rejected = quoted(between(&page, "### Rejected lines", "### "));
    for reason in X.reasons() {
        assert!(rejected.contains(&reason.word()), "{reason:?}");
    }
    for file in ["gaps", "exposure"] {
        let name = format!("tests/golden/v1/vault/2026-11-23/2026-11-23_{file}.csv");
        let header = document(&name).lines().next().unwrap().replace(',', "`, `");
        let row = between(&page, &format!("\n| `…_{file}.csv` | "), "\n");
        // a remark in brackets may stand behind a column
        let columns: Vec<&str> = quoted(row);
        let expected: Vec<&str> = header.split("`, `").collect();
        assert_eq!(columns, expected, "{file}.csv");
    }
    let manifest = document("tests/golden/v1/vault/2026-11-23/2026-11-23_14_manifest.json");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let told = first_column(between(&page, "### Manifest", "### "), "member");
    for member in manifest.as_object().unwrap().keys() {
        assert!(told.contains(member.as_str()), "manifest: {member}");
    }
    let source = document("src/vault/manifest.rs");
    let mut fields = between(&source, "pub struct Manifest {\n", "\n}\n").to_owned();
    let said = between(&source, "pub struct HourSaid {\n", "\n}\n");
    fields = fields.replace("    pub said: HourSaid,", said);
    let fields = fields
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
        .map(|(name, _)| name);
    assert_eq!(fields.collect::<BTreeSet<_>>(), told);
    let statement = document("docs/example/2026-11-23_certificate.json");
    let statement: serde_json::Value = serde_json::from_str(&statement).unwrap();
    let section = between(&page, "### Certificate, picture, README", "### ");
    let (top, inner) = (first_column(section, "member"), quoted(section));
    let members = statement.as_object().unwrap().keys().map(String::as_str);
    // the example's archive began before its day
    let members: BTreeSet<&str> = members.chain(["began"]).collect();
    assert_eq!(members, top);
    let change = statement["revisions"].as_array().unwrap().iter();
    let change = change.map(|of| &of["change"]).find(|of| !of.is_null());
    for of in [&statement["union"], &statement["hours"][8], change.unwrap()] {
        for member in of.as_object().unwrap().keys() {
            assert!(inner.contains(&member.as_str()), "certificate: {member}");
        }
    }
}

#[test]
fn the_readme_names_every_command() {
    let help = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands: BTreeSet<&str> = between(&help, "Commands:\n", "\n\n")
        .lines()
        // what a line has no room for goes on in the next one, further in
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !["", "help"].contains(name))
        .collect();
    let readme = document("README.md");
    let table = between(&readme, "\n| command | does |", "\n\n");
    let told: BTreeSet<&str> = table
        .lines()
        .skip(2)
        .filter_map(|row| quoted(row).first()?.split(' ').next())
        .collect();
    assert_eq!(told, commands);
}

/// Each page has one number, its name and its title the same one, and none is left out.
#[test]
fn pages_of_decisions_are_numbered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions");
    let mut titles: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, text.lines().next().unwrap().to_owned())
        })
        .collect();
    titles.sort();
    for (number, (name, title)) in (1..).zip(titles) {
        assert!(
            name.starts_with(&format!("{number:04}-")),
            "{name} is page {number}"
        );
        assert!(
            title.starts_with(&format!("# {number}. ")),
            "{name}: {title}"
        );
    }
}
