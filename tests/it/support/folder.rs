//! What lies below a folder. A file or folder that vanishes meanwhile is passed over: stages run
//! beside the tests that look.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use twinstream::vault::public::Public;

use super::primary::Site;

/// All files below, however deep, ascending by path.
pub(crate) fn files_below(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What is public of a vault, as it lies there, in an empty folder.
pub(crate) fn published(site: &Site) -> TempDir {
    let copy = TempDir::new().unwrap();
    for (name, bytes) in site.files() {
        let file = Path::new(&name).file_name().unwrap().to_str().unwrap();
        let is_former = name.contains("revisions/");
        if let Some(public) = Public::of_name(file).filter(|_| !is_former) {
            let path = copy.path().join(public.published_path());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    copy
}
