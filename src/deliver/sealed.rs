//! Whether a sealed segment is what its seal says: read through, within the bounds that the seal sets.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    segment::{
        name::{Paths, SegmentName},
        raw,
        seal::{Digest, Digester, SEAL_BYTES_MAX, Seal, SealError},
        sha256::Sha256,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// A minute of the whole stream has some 2 GB; what claims to be larger is not read.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Why a sealed segment cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// A file could not be read. Trying again may help.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The seal is unusable.
    #[error(transparent)]
    Seal(#[from] ErrorAt<SealError>),
    /// A file has another length than was sealed, or one that no such file has.
    #[error("{} is damaged: it has {found} bytes, and {sealed} are right", path.display())]
    Length {
        /// Which.
        path: PathBuf,
        /// What the seal says.
        sealed: u64,
        /// What is there.
        found: u64,
    },
    /// A file has other content than was sealed.
    #[error("{} is damaged: sealed with sha256 {sealed}, found {found}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// The hash in the seal.
        sealed: Sha256,
        /// The hash of the bytes.
        found: Sha256,
    },
}

impl SealedError {
    /// Whether it can never be used as it is.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Io(why) => why.source.kind() == io::ErrorKind::NotFound,
            Self::Seal(why) => !matches!(why.source, SealError::TooNew { .. }),
            Self::Length { .. } | Self::Content { .. } => true,
        }
    }
}

/// What a segment's three files are by its seal: segment, events, and the seal itself.
pub fn digests(
    disk: &dyn Disk,
    name: &SegmentName,
    paths: &Paths,
) -> Result<[Digest; 3], SealedError> {
    let found = disk.len(&paths.seal).at(&paths.seal)?;
    if let Some(found @ SEAL_BYTES_MAX..) = found {
        return Err(SealedError::Length {
            path: paths.seal.clone(),
            sealed: SEAL_BYTES_MAX,
            found,
        });
    }
    let bytes = disk::read_bounded(disk, &paths.seal, SEAL_BYTES_MAX).at(&paths.seal)?;
    let seal = Seal::read(&bytes, name).at(&paths.seal)?;
    let mut of_seal = Digester::default();
    of_seal.update(&bytes);
    Ok([seal.segment, seal.events, of_seal.finish()])
}

/// Reads a segment and its events file through, and gives the digests of all three files if they are
/// what was sealed.
pub fn check(
    disk: &dyn Disk,
    name: &SegmentName,
    spool: &Path,
) -> Result<[Digest; 3], SealedError> {
    let paths = name.paths(spool);
    let digests = digests(disk, name, &paths)?;
    for (path, sealed) in [&paths.segment, &paths.events].into_iter().zip(&digests) {
        // a compressed segment has no length of its own: the read is bounded all the same
        let found = disk.len(path).at(path)?.unwrap_or(sealed.bytes);
        if found != sealed.bytes || FILE_BYTES_MAX < found {
            return Err(SealedError::Length {
                path: path.clone(),
                sealed: sealed.bytes,
                found,
            });
        }
        let source = raw::open(disk, path).at(path)?;
        let mut bounded = source.take(sealed.bytes + 1);
        let found = raw::read_through(&mut bounded, |_| Ok(())).at(path)?;
        if found != *sealed {
            return Err(SealedError::Content {
                path: path.clone(),
                sealed: sealed.sha256,
                found: found.sha256,
            });
        }
    }
    Ok(digests)
}

/// Reads a file through, of a segment its plain bytes.
pub(super) fn digest_of(disk: &dyn Disk, path: &Path) -> io::Result<Digest> {
    raw::read_through(&mut *raw::open(disk, path)?, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be well another time is not set aside.
    #[test]
    fn only_what_can_never_be_used_is_final() {
        let path = || PathBuf::from("x");
        let io = |kind: io::ErrorKind| SealedError::Io(ErrorAt::new(&path(), kind));
        let json = serde_json::from_str::<Seal>("{").unwrap_err();
        let seal = |why: SealError| SealedError::Seal(Err::<(), _>(why).at(&path()).unwrap_err());
        let sha256 = Sha256::ZEROS;
        for (why, is_final) in [
            (io(io::ErrorKind::NotFound), true),
            (io(io::ErrorKind::PermissionDenied), false),
            (io(io::ErrorKind::Other), false),
            (seal(SealError::Json(json)), true),
            (seal(SealError::TooNew { found: 2 }), false),
            (
                seal(SealError::OtherName {
                    name: "a".to_owned(),
                    says: "b".to_owned(),
                }),
                true,
            ),
            (
                SealedError::Length {
                    path: path(),
                    sealed: 1,
                    found: 2,
                },
                true,
            ),
            (
                SealedError::Content {
                    path: path(),
                    sealed: sha256,
                    found: sha256,
                },
                true,
            ),
        ] {
            assert_eq!(why.is_final(), is_final, "{why}");
        }
    }
}
