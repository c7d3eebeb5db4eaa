//! The flags of `simulate` for Bluesky's Jetstream.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    exit::{Exit, Failure},
    global::users_path,
};
use crate::{
    period::UtcMs,
    simulate::{
        bluesky::{self, jetstream::JetstreamOptions, world::World},
        fault::{self, Fault},
        truth::Truth,
    },
    world::{
        disk::{Disk as _, RealDisk},
        users_file,
    },
};

/// The longest dictionary that is read.
const DICTIONARY_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Simulated Jetstream (--source bluesky)")]
pub(crate) struct BlueskyArgs {
    /// How far back cursors reach; older ones begin there
    #[arg(long, value_name = "DURATION", value_parser = fault::duration_ms, default_value = "24h")]
    window: i64,
    /// The dictionary for clients that ask for compressed frames; without it they are refused. Made from the seed if
    /// the file does not exist
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
}

impl BlueskyArgs {
    /// What the flags ask for.
    pub(crate) fn options(
        &self,
        world: World,
        start: UtcMs,
        faults: Vec<Fault>,
        truth: Truth,
    ) -> Result<JetstreamOptions, Failure> {
        let dictionary = match &self.dictionary {
            None => None,
            Some(path) => Some(dictionary(path, world.seed).map_err(|why| {
                let what = format!(
                    "cannot read or make the dictionary: {}: {why}",
                    path.display()
                );
                Failure::new(Exit::Failed, what)
            })?),
        };
        Ok(JetstreamOptions {
            world,
            start,
            faults,
            window_ms: self.window,
            dictionary,
            truth,
        })
    }
}

fn dictionary(path: &Path, seed: u64) -> io::Result<Vec<u8>> {
    match users_file::read(path, DICTIONARY_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = bluesky::dictionary(seed)?;
            let mut file = RealDisk.create(path)?;
            io::Write::write_all(&mut file, &made)?;
            Ok(made)
        }
        read => read,
    }
}
