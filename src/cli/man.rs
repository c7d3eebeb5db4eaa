//! `man`: writes the manual pages into a folder, from the same text as `--help`. For packagers, hidden.

use std::path::PathBuf;

use super::{
    exit::{Exit, Failure},
    global::users_path,
};
use crate::world::disk::{self, Disk as _, RealDisk};

/// Writes the manual pages.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Where to
    #[arg(value_parser = users_path())]
    folder: PathBuf,
}

/// Of that command line.
pub(crate) fn run(mut whole: clap::Command, args: &ManArgs) -> Result<Exit, Failure> {
    RealDisk.make_folder(&args.folder)?;
    whole.build();
    let mut pages = vec![(whole.get_name().to_owned(), whole.clone())];
    for command in whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        let name = format!("{}-{}", whole.get_name(), command.get_name());
        pages.push((name.clone(), command.clone().display_name(name)));
    }
    for (name, command) in pages {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .title(name.clone())
            .render(&mut page)?;
        disk::put(&RealDisk, &args.folder.join(format!("{name}.1")), &page)?;
    }
    Ok(Exit::Done)
}
