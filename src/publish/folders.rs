//! The folders of the remote tree: `YYYY/mm/dd/` and `witness/` below the project's storage.
//!
//! Where they are is known from answers only, and kept in `<data_dir>/osf_folders.json` so that it
//! need not be asked for every time. The file may be deleted at any moment.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    address::Site,
    answer::{self, RemoteEntry, Trouble, senseless},
    osf::Osf,
};
use crate::{
    config::settings::Publish,
    vault::public::{PublicFolder, published_folder},
    world::disk::{self, Disk},
};

/// Ten years of folders have some megabytes.
const CACHE_BYTES_MAX: u64 = 64 << 20;

/// A remote folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where files are put.
    pub place: Url,
    /// Where its content is listed.
    pub children: Url,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    base_url: String,
    project: String,
    storage: String,
    /// By path, `` for the root: place and children.
    folders: BTreeMap<String, (String, String)>,
}

/// What is known of the remote tree.
pub struct Folders<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    settings: &'a Publish,
    known: BTreeMap<String, Folder>,
}

impl<'a> Folders<'a> {
    /// With what an earlier run has found, if it was the same project's.
    pub fn open(disk: &'a dyn Disk, data_dir: &Path, settings: &'a Publish, site: &Site) -> Self {
        let path = data_dir.join("osf_folders.json");
        let kept = read(disk, &path).unwrap_or_else(|why| {
            tracing::debug!("{} is not used: {why}", path.display());
            Kept::default()
        });
        let is_same = kept.base_url == settings.base_url
            && kept.project == settings.project
            && kept.storage == settings.storage;
        let folder = |(name, (place, children)): (String, (String, String))| match (
            site.link(&place),
            site.link(&children),
        ) {
            (Ok(place), Ok(children)) => Some((name, Folder { place, children })),
            _ => None,
        };
        let folders = kept.folders.into_iter().filter(|_| is_same);
        Self {
            disk,
            path,
            settings,
            known: folders.filter_map(folder).collect(),
        }
    }

    /// Takes nothing for known any more.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Whether anything is known that may be out of date.
    pub fn is_remembered(&self) -> bool {
        !self.known.is_empty()
    }

    /// The storage itself.
    pub fn root(&mut self, osf: &Osf<'_>) -> Result<Folder, Trouble> {
        if let Some(root) = self.known.get("") {
            return Ok(root.clone());
        }
        let value = osf.get(&osf.site().api(&["v2", "guids", &self.settings.project]))?;
        let data = value.get("data").unwrap_or(&Value::Null);
        let kind = data.get("type").and_then(Value::as_str).unwrap_or("");
        if kind != "nodes" {
            let project = &self.settings.project;
            return Err(Trouble::Refused {
                status: 200,
                why: format!(
                    "{project} is neither a project nor a component: OSF calls it {kind:?}"
                ),
            });
        }
        let project = answer::entry(data, osf.site())?;
        let storages = project.children;
        let storages = storages.ok_or_else(|| senseless("the project has no list of files"))?;
        let storage = &self.settings.storage;
        let mut found = osf.list(&storages)?.into_iter();
        let found = found.find(|entry| entry.provider == *storage);
        let root = found.ok_or_else(|| Trouble::Refused {
            status: 200,
            why: format!("the project has no storage {storage:?}"),
        })?;
        self.keep("", &root)
    }

    /// A folder; `None` if it is not there and is not to be made.
    pub fn of(
        &mut self,
        osf: &Osf<'_>,
        place: PublicFolder,
        make: bool,
    ) -> Result<Option<Folder>, Trouble> {
        let mut folder = self.root(osf)?;
        let mut path = String::new();
        for name in published_folder(place) {
            path = format!("{path}{name}/");
            if let Some(known) = self.known.get(&path) {
                folder = known.clone();
                continue;
            }
            let mut found = osf.find(&folder.children, &name, true)?;
            if found.is_none() && make {
                osf.make_folder(&folder.place, &name)?;
                found = osf.find(&folder.children, &name, true)?;
                if found.is_none() {
                    return Err(senseless(&format!(
                        "the folder {path} was made but is not there"
                    )));
                }
            }
            match found {
                Some(entry) => folder = self.keep(&path, &entry)?,
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    fn keep(&mut self, path: &str, entry: &RemoteEntry) -> Result<Folder, Trouble> {
        let (Some(place), Some(children)) = (&entry.place, &entry.children) else {
            return Err(senseless("a folder has no addresses"));
        };
        let folder = Folder {
            place: place.clone(),
            children: children.clone(),
        };
        self.known.insert(path.to_owned(), folder.clone());
        if let Err(why) = self.write() {
            // the next run asks again
            tracing::warn!("{} cannot be written: {why}", self.path.display());
        }
        Ok(folder)
    }

    fn write(&self) -> io::Result<()> {
        let texts = |folder: &Folder| (folder.place.to_string(), folder.children.to_string());
        let folders = self.known.iter();
        let kept = Kept {
            base_url: self.settings.base_url.clone(),
            project: self.settings.project.clone(),
            storage: self.settings.storage.clone(),
            folders: folders
                .map(|(path, folder)| (path.clone(), texts(folder)))
                .collect(),
        };
        disk::put(self.disk, &self.path, &serde_json::to_vec(&kept)?)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Kept> {
    if disk.len(path)?.is_none() {
        return Ok(Kept::default());
    }
    Ok(serde_json::from_slice(&disk::read_bounded(
        disk,
        path,
        CACHE_BYTES_MAX,
    )?)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::world::disk::RealDisk;

    /// What was found of one project's storage is never where the files of another one go.
    #[test]
    fn folders_are_remembered_of_the_same_storage_only() {
        let settings = |base_url: &str, project: &str, storage: &str| Publish {
            project: project.to_owned(),
            storage: storage.to_owned(),
            token_file: PathBuf::new(),
            every: Duration::from_hours(1),
            ids_per_30_days: None,
            base_url: base_url.to_owned(),
        };
        let (osf, other) = ("https://api.osf.io", "https://api.test.osf.io");
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept {
            base_url: osf.to_owned(),
            project: "abcde".to_owned(),
            storage: "osfstorage".to_owned(),
            folders: BTreeMap::from([(
                String::new(),
                (
                    "https://files.osf.io/v1/".to_owned(),
                    "https://api.osf.io/v2/".to_owned(),
                ),
            )]),
        };
        let json = serde_json::to_vec(&kept).unwrap();
        disk::put(&RealDisk, &dir.path().join("osf_folders.json"), &json).unwrap();
        let is_remembered = |settings: &Publish| {
            let site = Site::new(&settings.base_url).unwrap();
            Folders::open(&RealDisk, dir.path(), settings, &site).is_remembered()
        };
        assert!(is_remembered(&settings(osf, "abcde", "osfstorage")));
        for another in [
            settings(other, "abcde", "osfstorage"),
            settings(osf, "fghij", "osfstorage"),
            settings(osf, "abcde", "s3"),
        ] {
            assert!(!is_remembered(&another), "{another:?}");
        }
    }
}
