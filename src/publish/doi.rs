//! The DOI of the project: minted once, and kept in the vault.
//!
//! OSF gives a project one DOI and no second one. So after a lost answer, or an end before the DOI was kept, the next
//! run asks which DOI there is before it asks for one, and nothing is minted twice.

use super::{
    address::Site,
    answer::{Project, Trouble},
    job::PublishJob,
    osf::Osf,
    outcome::{NoDoi, PublishError},
    retry::Retries,
};
use crate::{
    doi::Doi,
    vault::doi::{self, Minted},
    world::{
        crash::{self, Point},
        error_at::At as _,
    },
};

/// The result.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// The archive has one.
    Known(Doi),
    /// OSF has given the project one before. The archive has it now, unless it was only asked.
    There(Doi),
    /// OSF has minted one now, and the archive has it.
    Minted(Doi),
    /// One would be minted.
    Would,
}

impl PublishJob<'_> {
    /// Has OSF mint a DOI for the project, if it has none, and keeps it; `is_asking`: only says what would be
    /// done.
    pub fn doi(&self, is_asking: bool) -> Result<Given, PublishError> {
        self.may_begin()?;
        let project = &self.settings.project;
        match Minted::read(self.disk, self.vault).map_err(NoDoi::from)? {
            Some(kept) if kept.project == *project => return Ok(Given::Known(kept.doi)),
            Some(Minted { doi, project, .. }) => {
                return Err(NoDoi::Elsewhere { doi, project }.into());
            }
            None => (),
        }
        let osf = Osf::new(
            Site::new(&self.settings.base_url)?,
            self.token,
            self.proxies,
            self.clock,
        )?;
        let retries = if is_asking {
            Retries::of_a_look()
        } else {
            Retries::of_a_run()
        };
        let mut client = self.client(&osf, retries);
        client.retries.begin();
        let found = client.with_retries(|osf| osf.project(project));
        match found.map_err(|why| PublishError::Trouble(why.trouble()))? {
            Project {
                is_public: false, ..
            } => return Err(NoDoi::Private(project.clone()).into()),
            Project {
                is_admin: false, ..
            } => return Err(NoDoi::NotAdmin(project.clone()).into()),
            Project { .. } => (),
        }
        let given = client.with_retries(|osf| {
            if let Some(there) = osf.doi(project)? {
                return Ok(Given::There(there));
            }
            if is_asking {
                return Ok(Given::Would);
            }
            match osf.mint(project) {
                Ok(doi) => Ok(Given::Minted(doi)),
                // somebody was faster
                Err(refused @ Trouble::Refused { status: 400, .. }) => {
                    osf.doi(project)?.map(Given::There).ok_or(refused)
                }
                Err(other) => Err(other),
            }
        });
        let given = given.map_err(|why| PublishError::Trouble(why.trouble()))?;
        if let (Given::There(doi) | Given::Minted(doi), false) = (&given, is_asking) {
            crash::point(Point::DoiMinted);
            Minted::keep(self.disk, self.vault, doi, project).at(&doi::path(self.vault))?;
        }
        Ok(given)
    }
}
