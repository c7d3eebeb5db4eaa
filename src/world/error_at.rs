//! Errors of files, with the file: one form for all of them, which says its path once.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// What went wrong with a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("{}", placed(path, source))]
pub struct ErrorAt<E: Error + 'static = io::Error> {
    /// Which.
    pub path: PathBuf,
    /// What.
    pub source: E,
}

impl ErrorAt {
    /// What is not there, or is not what it must be.
    pub fn new(path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        Self { path, source }
    }
}

/// What may go wrong with a file or folder.
pub trait At<T, E: Error> {
    /// Says with which.
    fn at(self, path: &Path) -> Result<T, ErrorAt<E>>;
}

impl<T, E: Error> At<T, E> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, ErrorAt<E>> {
        self.map_err(|source| ErrorAt {
            path: path.to_owned(),
            source,
        })
    }
}

/// What could not be done, and with which file or folder.
#[derive(Debug)]
struct NotDone {
    path: PathBuf,
    /// `opened`, `listed` …
    done: &'static str,
    source: io::Error,
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, done, source } = self;
        write!(f, "{} cannot be {done}: {source}", path.display())
    }
}

impl Error for NotDone {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Gives an error its place; it stays of its kind.
pub(super) fn not<'p>(
    done: &'static str,
    path: &'p Path,
) -> impl FnOnce(io::Error) -> io::Error + 'p {
    move |source| {
        let path = path.to_owned();
        io::Error::new(source.kind(), NotDone { path, done, source })
    }
}

/// An error about a file for a person: with that file's path, unless it says itself where it happened.
pub fn placed<'e>(path: &'e Path, why: &'e (dyn Error + 'static)) -> impl fmt::Display + 'e {
    let is_place = |why: &(dyn Error + 'static)| {
        let inner = why.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner
            .and_then(|inner| inner.downcast_ref::<NotDone>())
            .is_some()
    };
    let mut causes =
        std::iter::successors(Some(why), |&why: &&'e (dyn Error + 'static)| why.source());
    let has_place = causes.any(is_place);
    fmt::from_fn(move |f| {
        if has_place {
            write!(f, "{why}")
        } else {
            write!(f, "{}: {why}", path.display())
        }
    })
}
