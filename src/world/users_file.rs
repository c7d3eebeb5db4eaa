//! Files that a user names: the configuration, secrets, ids to take out, lines to replay. They are opened
//! as every tool opens files: links are followed (a secret of Kubernetes is one, and so is what `stow` puts
//! in place), pipes are read (`<(…)`).
//!
//! A byte order mark at the beginning of text is no part of it.

use std::{
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{disk::UsersDisk, error_at::not};

const MARK: &[u8] = "\u{feff}".as_bytes();

/// A whole file of at most `max` bytes.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_secret(path, max, |_mode| Ok(()))
}

/// The same as text.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read(path, max)?).map_err(|why| {
        let at = why.utf8_error().valid_up_to();
        unusable(path, format!("it is not text in UTF-8 (byte {at})"))
    })
}

/// The bytes of a file whose rights will do; they are those of the file that the links lead to.
pub fn read_secret<E: From<io::Error>>(
    path: &Path,
    max: u64,
    check_mode: impl FnOnce(u32) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let (file, meta) = UsersDisk.open_file(path)?;
    check_mode(meta.mode())?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if max < bytes.len() as u64 {
        let why = format!("it is longer than the {max} bytes such a file may have");
        return Err(unusable(path, why).into());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(unusable(path, "it is UTF-16: save it as UTF-8".to_owned()).into());
    }
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    Ok(bytes)
}

/// Where a path leads: links are followed as far as it exists.
pub fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|part| {
        let rest = path.strip_prefix(part).ok()?.to_owned();
        Some(std::fs::canonicalize(part).ok()?.join(rest))
    });
    there.unwrap_or_else(|| path.to_owned())
}

fn unusable(path: &Path, why: String) -> io::Error {
    not("used", path)(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a user's file")]
    fn what_a_user_names_is_read_as_every_tool_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        symlink(&file, &link).unwrap();
        for (bytes, text) in [
            (&b"a"[..], Ok("a")),
            (b"\xef\xbb\xbfa", Ok("a")),
            (b"\xff\xfea\0", Err("it is UTF-16: save it as UTF-8")),
            (b"a\xff", Err("it is not text in UTF-8 (byte 1)")),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let found = read_text(&link, 10).map_err(|why| why.to_string());
            let place = format!("{} cannot be used: ", link.display());
            let text = text.map_err(|why| format!("{place}{why}"));
            assert_eq!(found, text.map(str::to_owned));
        }
        assert!(
            read(&link, 1)
                .unwrap_err()
                .to_string()
                .contains("longer than the 1 bytes")
        );
        // the rights are those of what is read
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mode = |link: &Path| {
            let mut found = 0;
            let check = |mode| {
                found = mode;
                Err::<(), _>(io::Error::other("seen"))
            };
            read_secret(link, 10, check).unwrap_err();
            found & 0o777
        };
        assert_eq!(mode(&link), 0o640);
    }
}
