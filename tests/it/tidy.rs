//! Checks the repository itself: front pages, names, who may import whom.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Who may import whom. A module missing on the left may import nothing of ours.
///
/// Three rows are design decisions: `segment` cannot reach `source` and `collect` only how a stream is asked for
/// (`source::wire`), so collecting survives a change of the JSON; stages are not in each other's rows, so they meet only in files;
/// `simulate` is in nobody's row but the command line's, and has no stage in its own.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("backoff", &["alarm", "period", "segment"]),
    (
        "cite",
        &[
            "config", "cover", "doi", "period", "report", "segment", "source", "text", "vault",
            "world",
        ],
    ),
    (
        "cli",
        &[
            "alarm",
            "backoff",
            "cite",
            "collect",
            "config",
            "cover",
            "deliver",
            "merge",
            "monitor",
            "period",
            "place",
            "pseudonym",
            "publish",
            "report",
            "schedule",
            "segment",
            "share",
            "simulate",
            "source",
            "stamp",
            "text",
            "vault",
            "verify",
            "witness",
            "world",
        ],
    ),
    (
        "collect",
        &[
            "alarm", "backoff", "config", "period", "place", "segment", "source", "text", "world",
        ],
    ),
    ("config", &["doi", "period", "place", "segment"]),
    ("cover", &["period", "segment", "text"]),
    (
        "deliver",
        &[
            "alarm", "config", "period", "place", "segment", "text", "world",
        ],
    ),
    (
        "merge",
        &[
            "alarm", "config", "cover", "period", "place", "segment", "share", "source", "text",
            "vault", "world",
        ],
    ),
    (
        "monitor",
        &[
            "alarm", "config", "cover", "period", "place", "schedule", "segment", "text", "vault",
            "world",
        ],
    ),
    ("place", &["period", "segment", "world"]),
    ("pseudonym", &["period", "segment", "vault", "world"]),
    (
        "publish",
        &[
            "alarm", "cite", "config", "doi", "period", "place", "report", "segment", "source",
            "text", "vault", "world",
        ],
    ),
    (
        "report",
        &[
            "cover", "doi", "period", "segment", "source", "text", "vault", "world",
        ],
    ),
    ("schedule", &["alarm", "period", "world"]),
    ("segment", &["alarm", "period", "world"]),
    ("simulate", &["period", "world"]),
    (
        "source",
        &["backoff", "config", "period", "segment", "text", "world"],
    ),
    ("stamp", &["period", "text"]),
    (
        "vault",
        &[
            "cover", "doi", "period", "place", "segment", "source", "stamp", "text", "world",
        ],
    ),
    (
        "verify",
        &[
            "cite", "cover", "doi", "period", "report", "segment", "share", "source", "stamp",
            "text", "vault", "world",
        ],
    ),
    (
        "witness",
        &["config", "period", "segment", "stamp", "vault", "world"],
    ),
    ("world", &["period"]),
];
/// The platforms that have a folder in `src/source/`.
const PLATFORMS: &[&str] = &["bluesky", "x"];
const FRONT_PAGE_LINES_MAX: usize = 60;
const BANNED_STEMS: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "types", "manager", "error", "errors",
];
/// Where `async` may stand: at the sockets.
const ASYNC: &[&str] = &[
    "src/collect/",
    "src/simulate/",
    "src/monitor/http.rs",
    "src/world/clock.rs",
    "src/world/signals.rs",
    "src/cli/",
];

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrongs = Vec::new();
    for path in sources(&root.join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        check(path.strip_prefix(root).unwrap(), &text, &mut wrongs);
    }
    assert!(
        wrongs.is_empty(),
        "{} untidy:\n{}",
        wrongs.len(),
        wrongs.join("\n")
    );
}

#[test]
fn what_is_forbidden_is_seen() {
    let mut wrongs = Vec::new();
    let text = "//! A.\nuse crate::{merge::{x, y}, segment};\nuse crate::segment::source::x::id;\nasync fn f() { tracing::error!(alarm = \"x\"); }\n";
    check(Path::new("src/deliver/a.rs"), text, &mut wrongs);
    assert_eq!(
        wrongs,
        [
            "src/deliver/a.rs: an error in the log is an alarm: `alarm!(AlarmKind::…, subject, \"…\")`, and a warning if it is none",
            "src/deliver/a.rs: `async` stands only at the sockets (see ASYNC)",
            "src/deliver/a.rs: only src/source/platform.rs and the command line may name `x`",
            "src/deliver/a.rs: `deliver` may not import `merge` (see MAY_IMPORT)"
        ]
    );
    let group = |platform: &str| {
        format!("//! A.\nuse crate::source::{{\n    key::Key,\n    {platform}::{{self}},\n}};\n")
    };
    let near = |platform: &str| format!("//! A.\nfn f() {{ super::super::{platform}::g() }}\n");
    for (home, other) in [("bluesky", "x"), ("x", "bluesky")] {
        for text in [group(other), near(other)] {
            let mut wrongs = Vec::new();
            let path = format!("src/source/{home}/a.rs");
            check(Path::new(&path), &text, &mut wrongs);
            let told = format!(
                "{path}: only src/source/platform.rs and the command line may name `{other}`"
            );
            assert_eq!(wrongs, [told]);
        }
    }
}

pub(crate) fn check(path: &Path, text: &str, wrongs: &mut Vec<String>) {
    let at = path.display();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().count();
    let is_front_page = stem == "mod" && !path.ends_with("cli/mod.rs");
    if is_front_page && FRONT_PAGE_LINES_MAX < lines {
        wrongs.push(format!(
            "{at}: {lines} lines of code, at most {FRONT_PAGE_LINES_MAX}: a front page only names the rooms"
        ));
    }
    if !text.starts_with("//!") {
        wrongs.push(format!("{at}:1: no `//!` that says what the file is for"));
    }
    if BANNED_STEMS.contains(&stem) {
        wrongs.push(format!(
            "{at}: `{stem}` says nothing: name the file after what it holds"
        ));
    }
    for word in ["TODO", "FIXME", "XXX"] {
        if code.contains(word) {
            wrongs.push(format!("{at}: {word}: finish it, or make it an issue"));
        }
    }
    if (code.contains("error!(") || code.contains("(alarm = ")) && module_of(path) != "alarm" {
        wrongs.push(format!(
            "{at}: an error in the log is an alarm: `alarm!(AlarmKind::…, subject, \"…\")`, and a warning if it is none"
        ));
    }
    if code.contains("async ") && !ASYNC.iter().any(|may| at.to_string().starts_with(may)) {
        wrongs.push(format!(
            "{at}: `async` stands only at the sockets (see ASYNC)"
        ));
    }
    check_platforms(path, code, wrongs);
    let module = module_of(path);
    if ["main", "lib"].contains(&module) {
        return;
    }
    let allowed = MAY_IMPORT
        .iter()
        .find(|(name, _)| *name == module)
        .map_or(&[][..], |(_, allowed)| allowed);
    for import in imports(code) {
        if import != module && !allowed.contains(&import.as_str()) {
            wrongs.push(format!(
                "{at}: `{module}` may not import `{import}` (see MAY_IMPORT)"
            ));
        }
    }
}

/// What is known of a platform stands in its folder: nobody names one but the list of platforms and the command line,
/// and no platform names another. What is collected is not looked into.
fn check_platforms(path: &Path, code: &str, wrongs: &mut Vec<String>) {
    let mut named = code.split("source::").skip(1);
    if path.starts_with("src/collect") && named.any(|rest| !rest.starts_with("wire")) {
        let at = path.display();
        wrongs.push(format!(
            "{at}: `collect` may name `source::wire` only: it asks no line what it is"
        ));
    }
    for platform in PLATFORMS {
        let home = format!("src/source/{platform}");
        let may = [Path::new("src/source/platform.rs"), Path::new("src/cli")];
        if path.starts_with(home) || may.iter().any(|may| path.starts_with(may)) {
            continue;
        }
        let is_near = path.starts_with("src/source");
        let names_it = named_after(code, "source::").contains(*platform)
            || is_near && named_after(code, "super::").contains(*platform);
        if names_it {
            let at = path.display();
            wrongs.push(format!(
                "{at}: only src/source/platform.rs and the command line may name `{platform}`"
            ));
        }
    }
}

/// Folders below a module's belong to it.
fn module_of(path: &Path) -> &str {
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    if let [_, folder, _, ..] = parts[..] {
        folder
    } else {
        path.file_stem().unwrap().to_str().unwrap()
    }
}

/// What is imported of the package.
fn imports(code: &str) -> BTreeSet<String> {
    named_after(code, "crate::")
}

/// The first path segment after every such beginning, looking into one level of braces.
fn named_after(code: &str, beginning: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split(beginning).skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level(group)),
            None => found.extend([ident(rest)]),
        }
    }
    found.remove("");
    found
}

/// `a::{b, c}, d}` has `a` and `d` at its top level.
fn top_level(group: &str) -> Vec<String> {
    let (mut depth, mut names) = (0_u32, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            c if depth == 0 => names.last_mut().unwrap().push(c),
            _ => (),
        }
    }
    names.iter().map(|name| ident(name.trim())).collect()
}

fn ident(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
