//! A primary with its spool and vault, on a real disk or one in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use twinstream::{
    config::settings::{Merge, Server, Xz},
    merge::{
        deletions::Honour,
        job::MergeJob,
        outcome::{CommittedHour, MergeOutcome},
    },
    period::{Hour, UtcMs, Zone},
    place::{
        decide::Asks,
        id::PlaceId,
        open::{NotHere, Opener, Spool, Vault},
        segments::{self, Bring, Elsewhere},
    },
    segment::{
        acks::{self, Ack},
        sha256::Sha256,
    },
    source::{SAMPLE, Sources, Stream},
    vault::{commit::Here, identity, manifest::Manifest, xz::Effort},
    verify::{found::Found, hour, survey, together},
    world::disk::{Disk, RealDisk},
};

use super::{disk::SimulatedDisk, posts::Segment};

/// A primary: its disk, its folders, its zone.
pub(crate) struct Site {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) settings: Merge,
    /// Those that are configured.
    pub(crate) servers: Vec<Server>,
    pub(crate) threads: usize,
    pub(crate) unit_bytes: u64,
    pub(crate) stream: Stream,
    /// When deletions are honoured.
    pub(crate) honour: Honour,
    /// Removes the folder in the end.
    pub(crate) dir: Option<TempDir>,
}

/// What a manifest says of the rows of a file.
pub(crate) fn rows(manifest: &Manifest, file: &str) -> (u64, Sha256) {
    let mut outputs = manifest.outputs.iter();
    let output = outputs.find(|output| output.name == file).unwrap();
    (output.rows, output.content_sha256)
}

pub(crate) fn at(text: &str) -> UtcMs {
    text.parse().unwrap()
}

impl Site {
    pub(crate) fn new(zone: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_owned();
        Self {
            dir: Some(dir),
            ..Self::on(Box::new(RealDisk), &root, zone)
        }
    }

    /// On a disk in memory, which does not make the test wait for its syncs.
    pub(crate) fn in_memory() -> Self {
        let site = Self::on(
            Box::new(SimulatedDisk::default()),
            Path::new("/primary"),
            "UTC",
        );
        site.disk.make_folder(&site.spool()).unwrap();
        site
    }

    pub(crate) fn on(disk: Box<dyn Disk>, root: &Path, zone: &str) -> Self {
        let settings = Merge {
            timezone: Zone::named(zone).unwrap(),
            settle: Duration::from_mins(10),
            parquet: false,
            xz: Xz::Fast,
            keep_raw: None,
            orphans: Duration::from_hours(48),
            keep_superseded: Duration::from_hours(7 * 24),
            keep_free: 0,
        };
        let root = root.to_owned();
        Self {
            disk,
            root,
            settings,
            servers: Vec::new(),
            threads: 2,
            unit_bytes: 4 << 20,
            stream: SAMPLE,
            honour: Honour::Never,
            dir: None,
        }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.root.join("vault")
    }

    /// Both places, through the opener; their ids are always the same.
    pub(crate) fn opened(&self) -> Result<(Spool, Vault), NotHere> {
        let opener = Opener {
            draw: &|| Ok(PlaceId::of(7)),
            ..Opener::of(&*self.disk, &self.root)
        };
        let spool = opener.spool(&self.spool().into(), Asks::Make)?;
        let zone = self.settings.timezone.name();
        let vault = identity::open(
            &opener,
            &self.vault().into(),
            Asks::Make,
            zone,
            self.stream.word,
        )?;
        Ok((spool, vault))
    }

    pub(crate) fn put(&self, segments: &[Segment]) {
        for segment in segments {
            segment.put(&*self.disk, &self.spool(), self.dir.is_none());
        }
    }

    pub(crate) fn try_merge(&self, asked: &[&str], now: &str) -> Result<MergeOutcome, String> {
        self.merge_bringing(&segments::bring_nothing, asked, now)
    }

    /// The same, with somebody who has more segments.
    pub(crate) fn merge_bringing(
        &self,
        bring: Bring<'_>,
        asked: &[&str],
        now: &str,
    ) -> Result<MergeOutcome, String> {
        let asked: BTreeSet<Hour> = asked.iter().map(|hour| hour.parse().unwrap()).collect();
        let (spool, vault) = self.opened().map_err(|why| why.to_string())?;
        let job = MergeJob {
            disk: &*self.disk,
            data_dir: &self.root,
            spool: &spool,
            vault: &vault,
            commits: &Here,
            elsewhere: Elsewhere::Nowhere,
            bring,
            stream: self.stream,
            settings: &self.settings,
            honour: self.honour,
            servers: &self.servers,
            asked: &asked,
            share: None,
            compress: &Effort::Fast,
            threads: self.threads,
            unit_bytes: self.unit_bytes,
            now: at(now),
        };
        job.run(&mut |_| ()).map_err(|why| why.to_string())
    }

    #[track_caller]
    pub(crate) fn merge(&self, now: &str) -> Vec<CommittedHour> {
        let outcome = self.try_merge(&[], now).unwrap();
        assert_eq!(
            (outcome.failed.len(), outcome.unusable.len()),
            (0, 0),
            "{outcome:?}"
        );
        outcome.committed
    }

    /// Puts segments into the spool as a delivery does: with an acknowledgement of each seal.
    pub(crate) fn deliver(&self, segments: &[Segment], now: UtcMs) {
        self.put(segments);
        for segment in segments {
            let ack = Ack {
                at: now,
                file: format!("{}.seal.json", segment.name),
                sha256: Sha256::ZEROS,
            };
            let path = acks::path(&self.spool(), &segment.name.server);
            acks::append(&*self.disk, &path, &[ack]).unwrap();
        }
    }

    /// Every file of the vault by its path in it.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files_of("")
    }

    /// The same of one of its folders.
    pub(crate) fn files_of(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.vault().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in self.disk.list(&folder).unwrap() {
                let path = folder.join(&entry.name);
                if entry.folder {
                    folders.push(path);
                    continue;
                }
                let mut bytes = Vec::new();
                self.disk
                    .open(&path)
                    .unwrap()
                    .read_to_end(&mut bytes)
                    .unwrap();
                let inside = path.strip_prefix(self.vault()).unwrap();
                files.insert(inside.to_str().unwrap().to_owned(), bytes);
            }
        }
        files
    }

    /// What must be the same however it came about: all but `history`, the ledger, and what is kept
    /// of former revisions.
    pub(crate) fn essence(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.files();
        files.retain(|name, _| !name.contains("revisions/") && name != "ledger.jsonl");
        for (name, bytes) in &mut files {
            if name.ends_with("_manifest.json") {
                let history = memchr::memmem::find(bytes, b"\n \"history\": ").expect("a history");
                bytes.truncate(history);
            }
        }
        files
    }

    pub(crate) fn manifest(&self, hour: &str) -> Manifest {
        let (day, _) = hour.split_once('_').unwrap();
        let path = self.vault().join(day).join(format!("{hour}_manifest.json"));
        Manifest::read(&*self.disk, &path).unwrap()
    }

    /// The committed hours.
    pub(crate) fn hours(&self) -> Vec<String> {
        let names = self
            .files()
            .into_keys()
            .filter(|name| !name.contains("revisions/"));
        let hour = |name: String| {
            Some(
                name.split('/')
                    .nth(1)?
                    .strip_suffix("_manifest.json")?
                    .to_owned(),
            )
        };
        names.filter_map(hour).collect()
    }

    /// Works everything out again.
    pub(crate) fn verify(&self) -> Found {
        let survey = survey::survey(&*self.disk, &[self.vault()], None).unwrap();
        let root = |number: &Option<usize>| number.and_then(|number| survey.roots.get(number));
        let sources = Sources::known();
        let places = survey.hours.iter();
        let hours = places
            .map(|(place, number)| hour::hour(&*self.disk, &sources, place, root(number)))
            .collect();
        together(&*self.disk, &survey, hours)
    }

    pub(crate) fn text(&self, hour: &str, ending: &str) -> String {
        let (day, _) = hour.split_once('_').unwrap();
        unxz(&self.files()[&format!("{day}/{hour}_{ending}")])
    }
}

pub(crate) fn unxz(bytes: &[u8]) -> String {
    let mut text = String::new();
    liblzma::read::XzDecoder::new_multi_decoder(bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// A command, on a primary of its own, at a time.
pub(crate) fn command(site: &Site, name: &str, now: &str) -> Command {
    let config = site.root.join("twinstream.toml");
    let formats = if site.settings.parquet {
        r#""csv", "parquet""#
    } else {
        r#""csv""#
    };
    let source = if site.stream.word == SAMPLE.word {
        "x"
    } else {
        "bluesky"
    };
    let text = format!(
        "source = \"{source}\"\ndata_dir = \"{}\"\n[x]\nbase_url = \"http://127.0.0.1:9\"\n[bluesky]\nendpoints = [\"ws://127.0.0.1:9\"]\n[[servers]]\nid = \"1\"\nrole = \"primary\"\n\
         host = \"a.example.org\"\n[[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
         deliver_to = \"/nowhere/spool\"\n[merge]\nformats = [{formats}]\nxz = \"fast\"\nkeep_raw = \"1h\"\nkeep_free = \"1MiB\"\n",
        site.root.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
    command.args([name, "--clock", &format!("{now}@1"), "--config"]);
    command.arg(config).env("TWINSTREAM_SERVER", "1");
    command
}
