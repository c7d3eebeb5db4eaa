//! `pseudonymise`: a copy of days for sharing inside a team, with keyed hashes in the place of ids.

use std::path::{Path, PathBuf};

use super::{
    exit::{Exit, Failure},
    global::{Global, users_path},
    output, progress, setup, store,
};
use crate::{
    config::secrets,
    period::Day,
    pseudonym::{
        copy::{self, Copied, CopyJob, NoCopy},
        key::{self, HashKey},
    },
    text::{plural, thousands},
    world::{
        disk::{self, RealDisk},
        users_file,
    },
};

/// A key's file has 65 bytes.
const KEY_BYTES_MAX: u64 = 4 << 10;

/// Copies days for your team, with keyed hashes in place of ids
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream pseudonymise /srv/team/november --key ~/november.key --day 2026-11-23 --dry-run
  twinstream pseudonymise /srv/team/november --key ~/november.key --day 2026-11-23 --day 2026-11-24

From posts.parquet it copies posts (text, language, minute, hashes of the post, its author, its
conversation and the posts that it refers to) and their authors (year of the account, rounded
counts). It removes @names, long numbers and addresses from texts (X: only X's own addresses;
Bluesky, where names are domains: all addresses). Names, places, pictures, links and everything
else that people say about themselves are not copied. The same key gives the same hashes, so copies
can be joined; if the file of --key does not exist, it is made, readable only by you. Keep the key
away from the copy: anyone who has it can find out ids by trying them all.

The copy is still personal data, since texts can be searched for. Give it only to people who may
have the archive, and do not publish it. README.md in the copy says what it protects from, and what
it does not.")]
pub(crate) struct PseudonymiseArgs {
    /// The folder to make; it must not exist yet
    #[arg(value_parser = users_path(), value_name = "OUT")]
    out: PathBuf,
    /// The key's file; it is made if it does not exist
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    key: PathBuf,
    /// The day, in the vault's time zone (repeatable)
    #[arg(long = "day", value_name = "DAY", required = true)]
    days: Vec<Day>,
    /// Say what would be copied, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(global: &Global, args: &PseudonymiseArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let vault = store::read_vault(&setup)?;
    let (out, key_file) = places(args, &vault)?;
    let hours = copy::hours(&RealDisk, &vault, &args.days).map_err(|why| failure(&why))?;
    if hours.is_empty() {
        tracing::info!("nothing to copy: no hour of these days is committed");
        return Ok(Exit::NothingToDo);
    }
    let (key, is_new) = key(&key_file, args.dry_run)?;
    let job = CopyJob {
        disk: &RealDisk,
        of: setup.platform().pseudonyms(),
        vault: &vault,
        out: &out,
        key: &key,
    };
    if args.dry_run {
        let would = job.preview(&hours).map_err(|why| failure(&why))?;
        let of_key = if is_new {
            "which would be made"
        } else {
            "which is there"
        };
        let (told, file) = (told(would), key_file.display());
        output::print(&format!(
            "{told} would be copied, by the key {file}, {of_key}\n"
        ))?;
        return Ok(Exit::Done);
    }
    let bar = progress::bar(hours.len() as u64, "hours copied");
    let copied = job.copy(&hours, || bar.inc(1)).map_err(|why| {
        let hint = format!(
            "{} is incomplete: delete it before the next try",
            out.display()
        );
        let told = failure(&why);
        if told.hint.is_some() {
            told
        } else {
            told.hint(hint)
        }
    })?;
    bar.finish_and_clear();
    let (told, file) = (told(copied), key_file.display());
    output::print(&format!(
        "{told} copied to {}\nkey {}: {file}\n",
        out.display(),
        key.mark()
    ))?;
    Ok(Exit::Done)
}

fn told(copied: Copied) -> String {
    let posts = thousands(copied.posts);
    format!("{posts} posts of {}", plural(copied.hours, "hour", "hours"))
}

/// Where copy and key lie: the copy in no place that has something else, the key not in the copy.
fn places(args: &PseudonymiseArgs, vault: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let (out, key) = (
        std::path::absolute(&args.out)?,
        std::path::absolute(&args.key)?,
    );
    let hint = "name a folder that does not exist yet, outside the vault";
    if out.symlink_metadata().is_ok() {
        let what = format!("{} exists already: nothing is overwritten", out.display());
        return Err(Failure::new(Exit::Usage, what).hint(hint));
    }
    let real = users_file::real(&out);
    if real.starts_with(users_file::real(vault)) {
        let what = format!("{} lies in the vault", out.display());
        return Err(Failure::new(Exit::Usage, what).hint(hint));
    }
    if users_file::real(&key).starts_with(&real) {
        let what = format!(
            "the key {} would lie in the copy {}",
            key.display(),
            out.display()
        );
        return Err(Failure::new(Exit::Usage, what)
            .hint("keep it where the people who get the copy cannot read it"));
    }
    Ok((out, key))
}

/// The key in that file, and whether it is a new one. One that is only asked for is not kept.
fn key(path: &Path, is_asking: bool) -> Result<(HashKey, bool), Failure> {
    if path.symlink_metadata().is_ok() {
        let cannot = |why: &dyn std::fmt::Display| {
            let what = format!("cannot use the key: {}: {why}", path.display());
            Failure::new(Exit::Configuration, what)
        };
        let bytes = users_file::read_secret(path, KEY_BYTES_MAX, secrets::check_mode);
        let bytes = bytes.map_err(|why| {
            let failure = cannot(&why);
            match why {
                secrets::SecretError::Open { .. } => {
                    failure.hint(format!("chmod 600 {}", path.display()))
                }
                _ => failure,
            }
        })?;
        let key = HashKey::of_text(&String::from_utf8_lossy(&bytes));
        let key = key.ok_or_else(|| {
            cannot(&"it must have 64 hexadecimal digits and nothing else")
                .hint("name a file that does not exist yet: a key is written to it")
        })?;
        return Ok((key, false));
    }
    let mut bytes = [0; key::BYTES];
    getrandom::fill(&mut bytes)?;
    if !is_asking {
        disk::put_secret(path, key::text(&bytes).as_bytes())
            .map_err(|why| Failure::new(Exit::Failed, format!("cannot make the key: {why}")))?;
    }
    Ok((HashKey::new(&bytes), true))
}

fn failure(error: &NoCopy) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("cannot copy: {error}"));
    match error {
        NoCopy::NoParquet(_) => failure
            .hint("it is made from Parquet: add \"parquet\" to [merge] formats, for future hours"),
        NoCopy::Changed(_) => failure.hint("if no merge is at work, `twinstream verify` says more"),
        NoCopy::Io(_) | NoCopy::Manifest(_) => failure,
    }
}
