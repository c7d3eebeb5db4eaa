//! The flags of `simulate` for OSF: what project there is, and what goes wrong with it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{
    exit::{Exit, Failure},
    global::users_path,
    simulate_flags::{FAULTS_BYTES_MAX, address},
};
use crate::{
    period::UtcMs,
    simulate::{
        osf::{
            fault::{self, Faults},
            server::Options,
            site::Role,
        },
        truth::Truth,
    },
    world::users_file,
};

/// With `--osf-faults random` about one request in so many goes wrong.
const RANDOM_ONE_IN: u64 = 6;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Simulated OSF")]
pub(crate) struct OsfArgs {
    /// Simulate OSF and WaterButler, too, and keep uploads below this folder
    #[arg(value_parser = users_path(), id = "osf", long = "osf", value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where its API listens: a port, or 127.0.0.1:PORT; port 0 takes any free one
    #[arg(id = "osf-listen", long = "osf-listen", value_name = "PORT", value_parser = address, default_value = "0")]
    pub(crate) listen: SocketAddr,
    /// The id of its one project
    #[arg(
        id = "osf-project",
        long = "osf-project",
        value_name = "ID",
        default_value = "abcde"
    )]
    project: String,
    /// The project is private: no DOI can be minted
    #[arg(id = "osf-private", long = "osf-private")]
    is_private: bool,
    /// What the token's owner may do there; only an admin gets a DOI
    #[arg(
        id = "osf-role",
        long = "osf-role",
        value_name = "ROLE",
        default_value = "admin",
        value_parser = role()
    )]
    role: Role,
    /// The access token that is accepted
    #[arg(
        id = "osf-token",
        long = "osf-token",
        value_name = "TOKEN",
        default_value = "simulated-osf"
    )]
    token: String,
    /// The space for all versions, in bytes
    #[arg(
        id = "osf-quota",
        long = "osf-quota",
        value_name = "BYTES",
        default_value_t = 50_000_000_000
    )]
    quota: u64,
    /// Its faults: a TOML file, or "random" for one request in six, from the seed
    #[arg(value_parser = users_path(), id = "osf-faults", long = "osf-faults", value_name = "FILE|random")]
    faults: Option<PathBuf>,
}

fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["admin", "write", "read"]).map(|word| match word.as_str() {
        "read" => Role::Read,
        "write" => Role::Write,
        _ => Role::Admin,
    })
}

impl OsfArgs {
    /// What the flags ask for; nothing without `--osf`.
    pub(crate) fn options(
        &self,
        seed: u64,
        start: UtcMs,
        truth: &Truth,
    ) -> Result<Option<Options>, Failure> {
        let Some(dir) = &self.dir else {
            return Ok(None);
        };
        Ok(Some(Options {
            dir: dir.clone(),
            project: self.project.clone(),
            is_private: self.is_private,
            role: self.role,
            token: self.token.clone(),
            seed,
            quota: self.quota,
            faults: self.faults()?,
            start,
            truth: truth.clone(),
        }))
    }

    fn faults(&self) -> Result<Faults, Failure> {
        let Some(path) = &self.faults else {
            return Ok(Faults::Listed(Vec::new()));
        };
        if path == Path::new("random") {
            return Ok(Faults::Random(RANDOM_ONE_IN));
        }
        let wrong = |why: String| {
            let what = format!("cannot read the faults: {}: {why}", path.display());
            Failure::new(Exit::Usage, what)
                .hint("`twinstream simulate --help` shows what an entry looks like")
        };
        let text =
            users_file::read_text(path, FAULTS_BYTES_MAX).map_err(|why| wrong(why.to_string()))?;
        fault::parse(&text).map_err(wrong)
    }
}
