//! The flags of `simulate` for mail: where it goes, and what goes wrong with it.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    exit::{Exit, Failure},
    global::users_path,
    simulate_flags::{FAULTS_BYTES_MAX, address},
};
use crate::{
    period::UtcMs,
    simulate::{
        smtp::{self, SmtpOptions},
        smtp_fault,
        truth::Truth,
    },
    world::users_file,
};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Simulated mail server")]
pub(crate) struct SmtpArgs {
    /// Simulate a mail server, too, and keep each mail as a file in this folder
    #[arg(value_parser = users_path(), id = "smtp", long = "smtp", value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where it listens: a port, or 127.0.0.1:PORT; port 0 takes any free one
    #[arg(id = "smtp-listen", long = "smtp-listen", value_name = "PORT", value_parser = address, default_value = "0")]
    pub(crate) listen: SocketAddr,
    /// Its certificate (PEM); without it there is no TLS
    #[arg(value_parser = users_path(),
        id = "smtp-cert",
        long = "smtp-cert",
        value_name = "FILE",
        requires = "smtp-key"
    )]
    certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(value_parser = users_path(),
        id = "smtp-key",
        long = "smtp-key",
        value_name = "FILE",
        requires = "smtp-cert"
    )]
    key: Option<PathBuf>,
    /// TLS from the beginning of a connection, rather than after STARTTLS
    #[arg(id = "smtp-implicit", long = "smtp-implicit", requires = "smtp-cert")]
    implicit: bool,
    /// The user that may send mail [default: anyone]
    #[arg(id = "smtp-login", long = "smtp-login", value_name = "USER:PASSWORD")]
    login: Option<String>,
    /// Its faults: a TOML file
    #[arg(value_parser = users_path(), id = "smtp-faults", long = "smtp-faults", value_name = "FILE")]
    faults: Option<PathBuf>,
}

impl SmtpArgs {
    /// What the flags ask for; nothing without `--smtp`.
    pub(crate) fn options(
        &self,
        start: UtcMs,
        truth: &Truth,
    ) -> Result<Option<SmtpOptions>, Failure> {
        let Some(folder) = &self.dir else {
            return Ok(None);
        };
        let wrong = |why: String| {
            let what = format!("the simulated mail server: {why}");
            Failure::new(Exit::Usage, what)
                .hint("`twinstream simulate --help` shows what its faults look like")
        };
        let tls = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(smtp::tls(certificate, key).map_err(wrong)?),
            _ => None,
        };
        let faults = match &self.faults {
            Some(path) => {
                let read =
                    users_file::read_text(path, FAULTS_BYTES_MAX).map_err(|why| why.to_string());
                let parsed = read.and_then(|text| smtp_fault::parse(&text));
                parsed.map_err(|why| wrong(format!("{}: {why}", path.display())))?
            }
            None => Vec::new(),
        };
        Ok(Some(SmtpOptions {
            folder: folder.clone(),
            tls,
            implicit: self.implicit,
            login: self.login.clone(),
            faults,
            start,
            truth: truth.clone(),
        }))
    }
}
