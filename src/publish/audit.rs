//! Compares all that is public with the vault, and writes into the diary what it lacks.

use serde::Serialize;
use url::Url;

use super::{
    address::Site,
    adopt::adopt,
    answer::RemoteEntry,
    folders::Folders,
    fork,
    job::PublishJob,
    look::{self, Scope},
    osf::Osf,
    outcome::PublishError,
    plan::{self, Compared, Listed, is_same},
    retry::Retries,
    upload::{GaveUp, RetryingClient},
};
use crate::{
    vault::{ledger, public::WITNESS, published},
    world::error_at::At as _,
};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Audited {
    /// The comparison.
    #[serde(flatten)]
    pub compared: Compared,
    /// Hours of the vault that could not be compared, and why.
    pub unready: Vec<String>,
    /// Lines that the diary lacked.
    pub diary_lines: u64,
}

impl Audited {
    /// Whether everything is as it should be.
    pub fn is_complete(&self) -> bool {
        let Compared {
            missing,
            differs,
            foreign,
            ..
        } = &self.compared;
        let all = [missing, differs, foreign, &self.unready];
        all.iter().all(|list| list.is_empty())
    }
}

impl PublishJob<'_> {
    /// Walks the remote tree and compares. With `dry_run` the diary stays as it is. `tell` hears of
    /// each folder.
    pub fn audit(
        &self,
        dry_run: bool,
        mut tell: impl FnMut(&str),
    ) -> Result<Audited, PublishError> {
        self.may_begin()?;
        let mut diary = self.diary()?;
        let scope = (Scope::All, self.clock.now());
        let look = look::look(self.disk, (self.data_dir, self.vault), &diary, scope)?;
        let site = Site::new(&self.settings.base_url)?;
        let osf = Osf::new(site.clone(), self.token, self.proxies, self.clock)?;
        let mut client = self.client(&osf, Retries::of_a_run());
        let mut folders = Folders::open(self.disk, self.data_dir, self.settings, &site);
        // what is remembered may be what is wrong
        folders.forget();
        let failed = |gave_up: GaveUp| PublishError::Trouble(gave_up.trouble());
        let root = client
            .with_retries(|osf| folders.root(osf))
            .map_err(failed)?;
        let listed = walk(&mut client, &root.children, &mut tell).map_err(failed)?;
        let ours = ledger::whole(self.disk, self.vault)?;
        let is_former_ledger = |entry: &RemoteEntry| fork::is_beginning(&ours, entry);
        let compared = plan::compare(&look.wanted, &listed, &is_former_ledger);
        let mut diary_lines = 0;
        for wanted in &look.wanted {
            if dry_run || diary.has(wanted.what, wanted.sha256) {
                continue;
            }
            let is_it =
                |entry: &&RemoteEntry| entry.name == wanted.what.name() && is_same(wanted, entry);
            let mut public = listed.iter().flat_map(|(_, entries)| entries);
            let Some(entry) = public.find(is_it) else {
                continue;
            };
            client.retries.begin();
            let adopted = adopt(self, &mut client, &diary, wanted, entry).map_err(failed)?;
            let path = published::path(self.data_dir);
            for line in &adopted {
                published::append(self.disk, &path, line).at(&path)?;
                diary.note(line);
                diary_lines += 1;
            }
        }
        let unready = look.unready.into_iter();
        Ok(Audited {
            compared,
            unready: unready
                .map(|(what, why)| format!("{}: {why}", what.published_path()))
                .collect(),
            diary_lines,
        })
    }
}

/// The root, that of the stamps, and every folder of a year, month and day.
fn walk(
    client: &mut RetryingClient<'_>,
    root: &Url,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<Listed>, GaveUp> {
    // digits of the names of years, months and days
    const DIGITS: [usize; 3] = [4, 2, 2];
    let mut listed = Vec::new();
    let mut level = vec![(String::new(), root.clone())];
    for depth in 0..=DIGITS.len() {
        let mut below = Vec::new();
        for (path, children) in level {
            tell(&path);
            client.retries.begin();
            let entries = client.with_retries(|osf| osf.list(&children))?;
            for entry in entries.iter().filter(|entry| entry.is_folder) {
                let is_date = DIGITS.get(depth).is_some_and(|digits| {
                    entry.name.len() == *digits && entry.name.bytes().all(|b| b.is_ascii_digit())
                });
                let is_ours = is_date || (path.is_empty() && entry.name == WITNESS);
                if let Some(children) = entry.children.as_ref().filter(|_| is_ours) {
                    below.push((format!("{path}{}/", entry.name), children.clone()));
                }
            }
            listed.push((path, entries));
        }
        level = below;
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_other_too_much_or_not_compared_is_not_complete() {
        let audited = |change: fn(&mut Audited)| {
            let mut audited = Audited {
                compared: Compared::default(),
                unready: Vec::new(),
                diary_lines: 0,
            };
            change(&mut audited);
            audited.is_complete()
        };
        assert!(audited(|_| ()));
        assert!(audited(|of| of.compared.ledger_behind = true));
        assert!(!audited(|of| of.compared.missing.push(String::new())));
        assert!(!audited(|of| of.compared.differs.push(String::new())));
        assert!(!audited(|of| of.compared.foreign.push(String::new())));
        assert!(!audited(|of| of.unready.push(String::new())));
    }
}
