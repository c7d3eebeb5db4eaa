//! `witness`: has the ledger's last line stamped by an authority of time-stamping.

use std::path::Path;

use super::{
    commits,
    exit::{Exit, Failure},
    global::Global,
    output, setup, store,
};
use crate::{
    place::decide::Asks,
    stamp::trust::Trust,
    vault::witness::WitnessStamp,
    witness::{
        plan::StampDecision,
        run::{WitnessError, WitnessJob},
    },
    world::{disk::RealDisk, lock::Lock, users_file},
};

/// Certificates of an authority have some kilobytes.
const TRUST_BYTES_MAX: u64 = 1 << 20;

/// A clock that is off by more than this is worth a word.
const OFF_BY_SECONDS: i64 = 60;

/// Has a time-stamping authority stamp the ledger's last line, if a stamp is due.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream witness                  get a stamp if the last one is older than [witness] every
  twinstream witness --now            get a stamp whatever the age of the last one
  twinstream witness --dry-run        say what would be stamped, and do nothing

The authority ([witness] tsa, RFC 3161) gets the SHA-256 of the ledger's last line and nothing
else. Its answer is kept in the vault's folder witness/ if it stamps that hash, answers this very
request, and is signed with a time-stamping certificate that tsa_ca_file vouches for.
Since each line has the hash of the one before, the stamp covers the whole ledger up to that line,
and every manifest that the ledger names. `publish` uploads it, `verify` checks it, and so does
  openssl ts -verify -digest SHA256 -in witness/ledger_…tsr -CAfile CA.pem")]
pub(crate) struct WitnessArgs {
    /// Get a stamp even if the last one is younger than `witness.every`
    #[arg(long)]
    now: bool,
    /// Say what would be stamped, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the stamp as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &WitnessArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    setup.publishes("having the ledger stamped")?;
    let settings = &setup.settings;
    let Some(witness) = &settings.witness else {
        let what = "the ledger is not witnessed: the configuration has no [witness] tsa";
        let hint =
            "add [witness] with tsa and tsa_ca_file; `twinstream config default` has every key";
        return Err(Failure::new(Exit::Configuration, what).hint(hint));
    };
    let trust = trust(&witness.tsa_ca_file)?;
    let vault = if args.dry_run {
        setup.vault(Asks::Look)?
    } else {
        let vault = store::vault(&setup)?;
        if settings.vault_store.is_some() {
            commits::finish(&setup, &vault)?;
        }
        store::share_records(&setup, &vault)?;
        vault
    };
    let job = WitnessJob {
        disk: &RealDisk,
        vault: &vault,
        settings: witness,
        trust: &trust,
        proxies: &setup::proxies()?,
        clock: &setup.clock,
        keep_free: settings.merge.keep_free,
    };
    let line = match job.due(args.now).map_err(failure)? {
        StampDecision::Stamp(line) => line,
        StampDecision::NoLine => return Ok(nothing("the ledger has no line yet")),
        StampDecision::Stamped(name) => {
            return Ok(nothing(&format!("its last line is stamped: {name}")));
        }
        StampDecision::TooYoung(name) => {
            let why = format!("the last stamp is younger than witness.every: {name}");
            return Ok(nothing(&why));
        }
    };
    if args.dry_run {
        output::print(&format!(
            "line {line} would be stamped by {}\n",
            witness.tsa
        ))?;
        return Ok(Exit::Done);
    }
    let lock = Lock::take(&settings.data_dir, "witness", setup.clock.now());
    let _lock = lock.map_err(Failure::lock)?;
    let chance = getrandom::u64()?.to_be_bytes();
    let stamp = job.stamp(line, chance).map_err(failure)?;
    store::share_records_later(&setup, &vault);
    let off_by = job.off_by(stamp.time);
    if OFF_BY_SECONDS < off_by.abs() {
        tracing::warn!(
            "the authority's time is {off_by} s after this machine's: one of them is wrong"
        );
    }
    tell(&stamp, args.json)?;
    Ok(Exit::Done)
}

fn nothing(why: &str) -> Exit {
    tracing::info!("nothing to witness: {why}");
    Exit::NothingToDo
}

fn tell(stamp: &WitnessStamp, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(stamp);
    }
    output::print(&format!(
        "line {} of the ledger was stamped at {} by {}\n{}\n",
        stamp.line, stamp.time, stamp.authority, stamp.name
    ))
}

/// The certificates in a file, by which stamps hold.
pub(super) fn trust(path: &Path) -> Result<Trust, Failure> {
    let cannot = |why: &dyn std::fmt::Display| {
        let what = format!(
            "cannot use the authority's certificate: {}: {why}",
            path.display()
        );
        Failure::new(Exit::Configuration, what)
            .hint("fetch the root certificate, in PEM, from the authority's own pages")
    };
    let pem = users_file::read(path, TRUST_BYTES_MAX).map_err(|why| cannot(&why))?;
    Trust::from_pem(&pem).map_err(|why| cannot(&why))
}

pub(super) fn failure(error: WitnessError) -> Failure {
    let what = format!("the ledger is not witnessed: {error}");
    match error {
        WitnessError::NoAnswer { source, .. } if source.passes() => {
            Failure::new(Exit::Unreachable, what).hint("the next run asks again")
        }
        WitnessError::NoAnswer { .. } => {
            Failure::new(Exit::Failed, what).hint("is witness.tsa the address for requests?")
        }
        WitnessError::Refused { .. } => Failure::new(Exit::Failed, what)
            .hint("is witness.tsa_ca_file the root certificate of this authority, and current?"),
        WitnessError::Room(_) => Failure::new(Exit::Failed, what)
            .hint("free space, or lower merge.keep_free; the next run asks again"),
        WitnessError::Io(_) | WitnessError::Ledger(_) => Failure::new(Exit::Failed, what),
    }
}
