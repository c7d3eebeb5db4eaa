//! `inspect`: tells what a segment, events file, seal, manifest or vault file contains.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::{Global, users_path},
    output,
    scratch::ScratchFolder,
    setup, store,
};
use crate::{
    place::{
        s3::address::{Address, SCHEME},
        store::{NotAKey, Store as _},
    },
    segment::{
        acks,
        event::Event,
        line,
        name::SegmentName,
        raw,
        seal::{Digest, Digester, SEAL_BYTES_MAX, Seal},
    },
    source::{Placed, Sources, key::Key},
    vault::{
        identity::Identity,
        layout::{self, FileKind},
        ledger,
        manifest::Manifest,
        posts::read::{self, Wanted},
        xz,
    },
    world::disk::{self, Disk as _, RealDisk, UsersDisk},
};

/// Shows what a segment, events file, seal, manifest or vault file contains.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream inspect spool/1/2026-11-23/14/1_sample_20261123T1405Z_3fa9c01b_000.jsonl
  twinstream inspect --json vault/2026-11-23/2026-11-23_14_manifest.json
  twinstream inspect s3://archive/vault/…/r1-3fa9c01b5d20e7aa/2026-11-23_14_IDs.txt.xz")]
pub(crate) struct InspectArgs {
    /// The file
    #[arg(value_parser = users_path())]
    file: PathBuf,
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// Longer values are shown on several lines.
const ONE_LINE_CHARS: usize = 90;

/// What is found, by name.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
struct Facts(BTreeMap<String, serde_json::Value>);

impl Facts {
    fn add(&mut self, what: &str, value: impl Serialize) -> Result<(), Failure> {
        self.0.insert(what.to_owned(), serde_json::to_value(value)?);
        Ok(())
    }
}

pub(crate) fn run(global: &Global, args: &InspectArgs) -> Result<Exit, Failure> {
    let shown = args.file.display();
    let cannot = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot inspect {shown}: {why}"))
    };
    let scratch = fetched(global, &args.file)?;
    let path = scratch
        .as_ref()
        .map_or(args.file.as_path(), ScratchFolder::path);
    if path.is_dir() {
        return Err(cannot(&"it is a folder").hint("name a file in it; `verify` takes folders"));
    }
    if UsersDisk.len(path).map_err(|why| cannot(&why))?.is_none() {
        return Err(cannot(&"there is no such file"));
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut facts = Facts::default();
    facts.add("file", &args.file)?;
    let found = facts_of(path, &name, &mut facts);
    found.map_err(|failure| Failure {
        hint: failure.hint,
        ..cannot(&failure.what)
    })?;
    if args.json {
        output::print_json(&facts)?;
    } else {
        let mut lines = Vec::new();
        let named = facts.0.iter().map(|(what, value)| (what.as_str(), value));
        tell(&mut lines, named.collect(), "");
        output::print(&lines.concat())?;
    }
    Ok(Exit::Done)
}

/// A file in an object store, fetched for the time being.
fn fetched(global: &Global, file: &Path) -> Result<Option<ScratchFolder>, Failure> {
    let Some(rest) = file.to_str().and_then(|file| file.strip_prefix(SCHEME)) else {
        return Ok(None);
    };
    let wrong = |why: &str| {
        Failure::new(Exit::Usage, format!("{}: {why}", file.display()))
            .hint("write s3://bucket/folder/file")
    };
    let (folder, name) = rest
        .rsplit_once('/')
        .ok_or_else(|| wrong("it names no file"))?;
    let address = Address::new(folder).map_err(wrong)?;
    let key = name.to_owned().try_into();
    let key = key.map_err(|why: NotAKey| wrong(&why.to_string()))?;
    let store = store::open(&setup::load(global)?, &address)?;
    let scratch = ScratchFolder::new("inspect")?.inside(name);
    let mut to = disk::create_anew(&RealDisk, scratch.path())?;
    let found = store.read(&key, FETCHED_BYTES_MAX, &mut to);
    match found.map_err(|why| store::failure(&why))? {
        Some(_bytes) => Ok(Some(scratch)),
        None => Err(Failure::new(
            Exit::Failed,
            format!("cannot inspect {}: there is no such file", file.display()),
        )),
    }
}

/// A firehose's segment of a minute has some hundred megabytes, a Parquet file of its hour some gigabytes.
const FETCHED_BYTES_MAX: u64 = 64 << 30;

/// Appends values with their names, one a line; long ones part by part.
fn tell(lines: &mut Vec<String>, values: Vec<(&str, &serde_json::Value)>, indent: &str) {
    use serde_json::Value;
    let width = values.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    for (what, value) in values {
        let line = in_one_line(value);
        let parts: Vec<(&str, &Value)> = match value {
            Value::Object(parts) => parts
                .iter()
                .map(|(name, part)| (name.as_str(), part))
                .collect(),
            Value::Array(parts) => parts.iter().map(|part| ("-", part)).collect(),
            _ => Vec::new(),
        };
        if parts.is_empty() || line.chars().count() <= ONE_LINE_CHARS {
            lines.push(format!("{indent}{what:<width$}  {line}\n"));
        } else {
            lines.push(format!("{indent}{what}\n"));
            tell(lines, parts, &format!("{indent}  "));
        }
    }
}

fn in_one_line(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let inner = |value: &Value| match value {
        Value::Object(parts) if !parts.is_empty() => format!("({})", in_one_line(value)),
        _ => in_one_line(value),
    };
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(parts) if parts.is_empty() => "none".to_owned(),
        Value::Array(parts) => parts.iter().map(inner).collect::<Vec<_>>().join(", "),
        Value::Object(parts) if parts.is_empty() => "none".to_owned(),
        Value::Object(parts) => {
            let part = |(name, value)| format!("{name} {}", inner(value));
            parts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
    }
}

fn facts_of(path: &Path, name: &str, facts: &mut Facts) -> Result<(), Failure> {
    match SegmentName::of_file(name) {
        Some((segment, "seal.json")) => seal(path, &segment, facts),
        Some((segment, "events.jsonl" | "events.jsonl.open")) => events(path, &segment, facts),
        Some((segment, "jsonl" | "jsonl.zst" | "jsonl.open")) => lines(path, &segment, facts),
        _ if layout::hour_of_manifest(name).is_some() || layout::of_archived(name).is_some() => {
            manifest(path, facts)
        }
        _ => match FileKind::of_name(name) {
            Some((hour, kind)) => data_file(path, hour, kind, facts),
            None if name == "ledger.jsonl" => ledger(path, facts),
            None if name == "vault.json" => identity(path, facts),
            None if name == acks::ACKS => acknowledgements(path, facts),
            None if name == acks::WITHDRAWN => withdrawn(path, facts),
            None => Err(Failure::new(Exit::Failed, "this program has no files with such a name").hint(
                "it goes by the name; it knows segments, events files, seals, `acks.jsonl` and `withdrawn.jsonl`, and of a vault `vault.json`, `ledger.jsonl` and the manifests and data files of its hours",
            )),
        },
    }
}

fn seal(path: &Path, name: &SegmentName, facts: &mut Facts) -> Result<(), Failure> {
    let seal = Seal::read(&disk::read_bounded(&UsersDisk, path, SEAL_BYTES_MAX)?, name)?;
    facts.add("kind", "seal")?;
    facts.add("seal", &seal)
}

/// Compares with the seal beside it, if there is one.
fn sealed(
    path: &Path,
    name: &SegmentName,
    found: &Digest,
    of: fn(&Seal) -> &Digest,
    facts: &mut Facts,
) -> Result<(), Failure> {
    let seal_path = path.with_file_name(format!("{name}.seal.json"));
    let says = if UsersDisk.len(&seal_path)?.is_none() {
        "no: it is open, or was left by a crash".to_owned()
    } else {
        let bytes = disk::read_bounded(&UsersDisk, &seal_path, SEAL_BYTES_MAX)?;
        match Seal::read(&bytes, name) {
            Ok(seal) if of(&seal) == found => "yes, and the same bytes".to_owned(),
            Ok(_) => "yes, but the bytes differ: it is DAMAGED".to_owned(),
            Err(why) => format!("its seal cannot be read: {}: {why}", seal_path.display()),
        }
    };
    facts.add("sealed", says)?;
    facts.add("digest", found)
}

/// Every line of a file, with its number from 1 and its digest in the end.
fn each_line(
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<Digest, Failure> {
    let mut source = BufReader::new(match path.extension() {
        Some(ending) if ending == "zst" => raw::open_compressed(&UsersDisk, path)?,
        _ => UsersDisk.open(path)?,
    });
    let mut digester = Digester::default();
    let (mut line, mut number) = (Vec::new(), 0);
    while source.read_until(b'\n', &mut line)? != 0 {
        number += 1;
        digester.update(&line);
        each(number, line.strip_suffix(b"\n").unwrap_or(&line))?;
        line.clear();
    }
    Ok(digester.finish())
}

fn events(path: &Path, name: &SegmentName, facts: &mut Facts) -> Result<(), Failure> {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let (mut first, mut last, mut damaged) = (None, None, Vec::new());
    let digest = each_line(path, |number, line| {
        match serde_json::from_slice::<Event>(line) {
            Ok(event) => {
                first = first.or(Some(event.at));
                last = Some(event.at);
                let value = serde_json::to_value(&event)?;
                let kind = value
                    .get("kind")
                    .and_then(|kind| kind.as_str())
                    .unwrap_or("unknown");
                *kinds.entry(kind.to_owned()).or_default() += 1;
            }
            Err(_not_an_event) => damaged.push(number),
        }
        Ok(())
    })?;
    facts.add("kind", "events file")?;
    facts.add("events", kinds)?;
    facts.add("first", first)?;
    facts.add("last", last)?;
    facts.add("damaged lines", damaged)?;
    sealed(path, name, &digest, |seal| &seal.events, facts)
}

fn lines(path: &Path, name: &SegmentName, facts: &mut Facts) -> Result<(), Failure> {
    let mut rejected: BTreeMap<String, u64> = BTreeMap::new();
    let (mut posts, mut first_bad) = (0_u64, None);
    let (mut keys, mut arrivals) = (None, None);
    let sources = Sources::known();
    let source = sources.of(&name.stream).ok_or_else(|| {
        let what = format!("this program knows no stream {:?}", name.stream);
        Failure::new(Exit::Failed, what)
    })?;
    let digest = each_line(path, |number, stored| {
        match source.place(stored) {
            Ok(Placed { key, .. }) => {
                posts += 1;
                keys = Some(match keys.take() {
                    None => (key.clone(), key),
                    Some((low, high)) => (Key::min(low, key.clone()), Key::max(high, key)),
                });
            }
            Err(why) => {
                *rejected.entry(why.word().to_owned()).or_default() += 1;
                let text = String::from_utf8_lossy(stored)
                    .chars()
                    .take(200)
                    .collect::<String>();
                first_bad = first_bad
                    .take()
                    .or(Some((number, why.word().to_owned(), text)));
            }
        }
        if let Some(at) = line::cut(stored).retrieved_at {
            arrivals = Some((arrivals.map_or(at, |(first, _)| first), at));
        }
        Ok(())
    })?;
    facts.add("kind", "segment")?;
    facts.add("posts", posts)?;
    facts.add("no posts, by reason", rejected)?;
    facts.add("first line that is no post", first_bad)?;
    facts.add(
        "ids, lowest and highest",
        keys.map(|(low, high)| (low.to_string(), high.to_string())),
    )?;
    facts.add("arrivals, first and last", arrivals)?;
    sealed(path, name, &digest, |seal| &seal.segment, facts)
}

fn manifest(path: &Path, facts: &mut Facts) -> Result<(), Failure> {
    let manifest = Manifest::read(&UsersDisk, path)?;
    facts.add("kind", "manifest")?;
    facts.add("hour", manifest.hour)?;
    facts.add("revision", manifest.history.revision)?;
    facts.add("program", &manifest.program)?;
    facts.add("time", &manifest.intervals)?;
    facts.add("segments", manifest.inputs.segments.len())?;
    facts.add("counts", &manifest.counts)?;
    facts.add("outputs", &manifest.outputs)?;
    facts.add("books balance", manifest.balances())
}

fn ledger(path: &Path, facts: &mut Facts) -> Result<(), Failure> {
    let vault = path.parent().unwrap_or(Path::new("."));
    let lines = ledger::read(&UsersDisk, vault)?;
    let hours: BTreeSet<_> = lines.iter().map(|line| line.hour).collect();
    facts.add("kind", "ledger")?;
    facts.add("revisions", lines.len())?;
    facts.add("hours", hours.len())?;
    facts.add("first and last hour", (hours.first(), hours.last()))?;
    facts.add("last line", lines.last())?;
    facts.add(
        "lines that break the chain",
        ledger::breaks(&UsersDisk, vault)?,
    )
}

fn identity(path: &Path, facts: &mut Facts) -> Result<(), Failure> {
    let vault = path.parent().unwrap_or(Path::new("."));
    facts.add("kind", "a vault's description")?;
    facts.add("vault", Identity::read(&UsersDisk, vault)?)
}

fn acknowledgements(path: &Path, facts: &mut Facts) -> Result<(), Failure> {
    let acks = acks::read(&UsersDisk, path, |_| true)?;
    let times = || acks.values().map(|ack| ack.at);
    facts.add("kind", "acknowledgements")?;
    facts.add("files", acks.len())?;
    facts.add("first and last", (times().min(), times().max()))
}

fn withdrawn(path: &Path, facts: &mut Facts) -> Result<(), Failure> {
    facts.add("kind", "acknowledgements that were withdrawn")?;
    facts.add("files", acks::withdrawn(&UsersDisk, path)?.len())
}

fn data_file(
    path: &Path,
    hour: crate::period::Hour,
    kind: FileKind,
    facts: &mut Facts,
) -> Result<(), Failure> {
    let found = if kind == FileKind::Posts {
        read::read_through(&UsersDisk, path, Wanted::All, |_| Ok(()))?
    } else {
        xz::read_through(&UsersDisk, path, kind.header_lines(), |_| Ok(()))?
    };
    facts.add("kind", kind.ending())?;
    facts.add("hour", hour)?;
    facts.add("content", &found)?;
    let manifest_path = path.with_file_name(format!("{hour}_manifest.json"));
    if UsersDisk.len(&manifest_path)?.is_some() {
        let same = Manifest::read(&UsersDisk, &manifest_path)?
            .outputs
            .contains(&found);
        let says = if same {
            "yes"
        } else {
            "no: `twinstream verify` says what is wrong"
        };
        facts.add("as its manifest says", says)?;
    }
    Ok(())
}
