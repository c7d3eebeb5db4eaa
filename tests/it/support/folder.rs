//! What lies below a folder. A file or folder that vanishes meanwhile is passed over: stages run
//! beside the tests that look.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
