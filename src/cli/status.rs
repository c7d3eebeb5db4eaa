//! `status`: tells how things stand, from what lies on the disk.
//!
//! It reads files only and starts nothing, so it may be run beside every stage, at any time.

use std::path::Path;

use serde::Serialize;

use super::{
    args::Global,
    exit::{Exit, Failure},
    output, setup,
};
use crate::{
    period::UtcMs,
    segment::{
        name::{SegmentName, ServerId},
        seal::{SEAL_BYTES_MAX, Seal},
        spool,
    },
    vault::ledger,
    world::disk::{self, Disk as _, RealDisk},
};

/// Tells how things stand, from what lies on the disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream status
  twinstream status --json | jq '.servers[].lag_s'")]
pub(crate) struct StatusArgs {
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// How things stand.
#[derive(Debug, Serialize)]
struct Status {
    now: UtcMs,
    servers: Vec<ServerStatus>,
    vault: VaultStatus,
    /// Bytes that may still be written where the data lies.
    free_bytes: u64,
}

/// What is known here of one server.
#[derive(Debug, Serialize)]
struct ServerStatus {
    server: ServerId,
    /// Whether this machine is that server.
    this: bool,
    /// When its last line arrived, as far as is known here.
    last_line: Option<UtcMs>,
    /// Seconds since then.
    lag_s: Option<i64>,
    /// Segments in the spool here that are sealed, and bytes of everything.
    sealed: u64,
    open: u64,
    spool_bytes: u64,
    /// Lines that arrived in the last 60 sealed minutes.
    lines_last_hour: u64,
}

/// What is committed here.
#[derive(Debug, Serialize)]
struct VaultStatus {
    /// Committed hours and revisions, by the ledger.
    hours: u64,
    revisions: u64,
    /// The latest hour that is committed.
    last_hour: Option<String>,
}

pub(crate) fn run(global: &Global, args: &StatusArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let settings = &setup.settings;
    let now = setup.clock.now();
    let mut ids: Vec<ServerId> = settings
        .servers
        .iter()
        .map(|server| server.id.clone())
        .collect();
    for id in spool::servers(&RealDisk, &settings.spool_dir)? {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let servers = ids
        .into_iter()
        .map(|id| {
            let this = settings.this.as_ref() == Some(&id);
            server_status(&settings.spool_dir, id, this, now)
        })
        .collect::<Result<_, _>>()?;
    let existing = settings.data_dir.ancestors().find(|path| path.is_dir());
    let status = Status {
        now,
        servers,
        vault: vault_status(&settings.vault_dir)?,
        free_bytes: RealDisk.free(existing.unwrap_or(Path::new("/")))?,
    };
    if args.json {
        output::print_json(&status)?;
    } else {
        output::print(&as_text(&status))?;
    }
    Ok(Exit::Done)
}

fn server_status(
    spool_dir: &Path,
    server: ServerId,
    this: bool,
    now: UtcMs,
) -> Result<ServerStatus, Failure> {
    let (mut names, mut open, mut spool_bytes): (Vec<SegmentName>, _, _) = (Vec::new(), 0, 0);
    for folder in spool::hour_folders(&RealDisk, spool_dir, &server)? {
        for (name, found) in spool::in_folder(&RealDisk, &folder, &server)? {
            spool_bytes += found.bytes;
            if found.sealed {
                names.push(name);
            } else {
                open += 1;
            }
        }
    }
    let (mut last_line, mut lines_last_hour) = (None, 0);
    for name in names.iter().rev() {
        if last_line.is_some() && name.minute.0 + 60 < now.minute().0 {
            break;
        }
        let path = name.paths(spool_dir).seal;
        let bytes = disk::read_bounded(&RealDisk, &path, SEAL_BYTES_MAX)?;
        let seal = Seal::read(&bytes, name)?;
        last_line = last_line.max(seal.last_arrival);
        if now.minute().0 <= name.minute.0 + 60 {
            lines_last_hour += seal.segment.lines;
        }
    }
    let lag_s = last_line.map(|last: UtcMs| (now.0 - last.0).div_euclid(1_000));
    let sealed = names.len() as u64;
    Ok(ServerStatus {
        server,
        this,
        last_line,
        lag_s,
        sealed,
        open,
        spool_bytes,
        lines_last_hour,
    })
}

fn vault_status(vault: &Path) -> Result<VaultStatus, Failure> {
    let lines = ledger::read(&RealDisk, vault)?;
    let hours: std::collections::BTreeSet<String> =
        lines.iter().map(|line| line.hour.to_string()).collect();
    Ok(VaultStatus {
        hours: hours.len() as u64,
        revisions: lines.len() as u64,
        last_hour: hours.into_iter().next_back(),
    })
}

fn as_text(status: &Status) -> String {
    let header = format!(
        "{:<18} {:<26} {:>8} {:>14} {:>7} {:>5} {:>10}\n",
        "server", "last line", "lag", "lines/60 min", "sealed", "open", "spool"
    );
    let servers: Vec<String> = status.servers.iter().map(server_line).collect();
    let last = status.vault.last_hour.as_deref().unwrap_or("none");
    let vault = format!(
        "\nvault     {} hours committed in {} revisions, the latest is {last}\n",
        status.vault.hours, status.vault.revisions
    );
    let disk = format!("disk      {} free\n", output::bytes(status.free_bytes));
    [header, servers.concat(), vault, disk].concat()
}

fn server_line(server: &ServerStatus) -> String {
    let here = if server.this { " (here)" } else { "" };
    let id = format!("{}{here}", server.server);
    let last = server
        .last_line
        .map_or_else(|| "none".to_owned(), |last| last.to_string());
    let lag = server
        .lag_s
        .map_or_else(|| "-".to_owned(), |s| format!("{s} s"));
    format!(
        "{id:<18} {last:<26} {lag:>8} {:>14} {:>7} {:>5} {:>10}\n",
        server.lines_last_hour,
        server.sealed,
        server.open,
        output::bytes(server.spool_bytes)
    )
}
