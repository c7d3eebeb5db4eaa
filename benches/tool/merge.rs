//! A merge of one hour as the program does it, with every file and check, but with a chosen number of
//! threads and, if asked, without compression.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::Args;
use twinstream::{
    config::settings::{Merge, Xz},
    merge::{deletions::Honour, hour::units::UNIT_BYTES, job::MergeJob},
    period::{Hour, Zone},
    place::{
        decide::Asks,
        open::Opener,
        segments::{self, Elsewhere},
    },
    source::Stream,
    vault::{
        commit::Here,
        identity,
        xz::{Compress, Effort},
    },
    world::{
        clock::Clock,
        disk::{Disk as _, RealDisk},
    },
};

use super::{Failure, stored::Stored, stream};

#[derive(Args)]
pub(super) struct MergeHour {
    #[arg(long)]
    spool: PathBuf,
    /// Where index, scratch and vault are made
    #[arg(long)]
    data_dir: PathBuf,
    #[arg(long)]
    hour: Hour,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// balanced, fast, small, or stored: not compressed
    #[arg(long, value_parser = effort)]
    xz: &'static dyn Compress,
    #[arg(long)]
    parquet: bool,
    /// x, firehose or bluesky
    #[arg(long, value_parser = stream, default_value = "x")]
    source: Stream,
}

fn effort(word: &str) -> Result<&'static dyn Compress, String> {
    match word {
        "balanced" => Ok(&Effort::Balanced),
        "fast" => Ok(&Effort::Fast),
        "small" => Ok(&Effort::Small),
        "stored" => Ok(&Stored),
        _ => Err("balanced, fast, small or stored".to_owned()),
    }
}

impl MergeHour {
    pub(super) fn run(&self) -> Result<(), Failure> {
        RealDisk.make_folder(&self.data_dir)?;
        let settings = Merge {
            timezone: Zone::named("UTC")?,
            settle: Duration::from_mins(10),
            parquet: self.parquet,
            xz: Xz::Balanced,
            keep_raw: None,
            orphans: Duration::from_hours(48),
            keep_superseded: Duration::from_hours(7 * 24),
            keep_free: 0,
        };
        let opener = Opener::of(&RealDisk, &self.data_dir);
        let vault = self.data_dir.join("vault").into();
        let job = MergeJob {
            stream: self.source,
            disk: &RealDisk,
            data_dir: &self.data_dir,
            spool: &opener.spool(&self.spool.clone().into(), Asks::Make)?,
            vault: &identity::open(&opener, &vault, Asks::Make, "UTC", self.source.word)?,
            commits: &Here,
            elsewhere: Elsewhere::Nowhere,
            bring: &segments::bring_nothing,
            settings: &settings,
            servers: &[],
            honour: Honour::Never,
            asked: &BTreeSet::from([self.hour]),
            share: None,
            compress: self.xz,
            threads: self.threads,
            unit_bytes: UNIT_BYTES,
            now: Clock::system().now(),
        };
        let outcome = job.run(&mut |_| ())?;
        match outcome.committed.as_slice() {
            [hour] => {
                println!("{}", serde_json::to_string(hour)?);
                Ok(())
            }
            _ => Err(format!("not one hour was committed: {outcome:?}").into()),
        }
    }
}
