//! `~` and `$HOME` at the beginning of a path that a user writes: no shell has seen it in the configuration,
//! nor behind the `=` of a flag.

use std::path::{Path, PathBuf};

/// Why a path cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoPath {
    /// There is no home.
    #[error("there is no home folder here: $HOME is not set")]
    NoHome,
    /// Another user's home, or another variable.
    #[error("only `~/` and `$HOME/` are understood at the beginning of a path")]
    Other,
}

/// What to do about it.
pub const HINT: &str =
    "write an absolute path; for a name that really begins so, write `./~…` or `./$…`";

/// The path with the home folder in it.
pub fn expand(written: &str, home: Option<&Path>) -> Result<PathBuf, NoPath> {
    let (head, rest) = match written.split_once('/') {
        Some((head, rest)) => (head, Some(rest)),
        None => (written, None),
    };
    match head {
        "~" | "$HOME" | "${HOME}" => {
            let home = home.ok_or(NoPath::NoHome)?;
            Ok(rest.map_or_else(
                || home.to_owned(),
                |rest| home.join(rest.trim_start_matches('/')),
            ))
        }
        other if other.starts_with(['~', '$']) => Err(NoPath::Other),
        _ => Ok(written.into()),
    }
}

/// The home folder of the user who runs this.
pub fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_stands_at_the_beginning_only() {
        let home = Some(Path::new("/home/me"));
        for (written, path) in [
            ("~/a", Ok("/home/me/a")),
            ("$HOME//a/b", Ok("/home/me/a/b")),
            ("${HOME}", Ok("/home/me")),
            ("~", Ok("/home/me")),
            ("/a/~/$HOME", Ok("/a/~/$HOME")),
            ("./~/a", Ok("./~/a")),
            ("a~", Ok("a~")),
            ("~you/a", Err(NoPath::Other)),
            ("$XDG_DATA_HOME/a", Err(NoPath::Other)),
            ("$HOMEr", Err(NoPath::Other)),
        ] {
            assert_eq!(expand(written, home), path.map(PathBuf::from), "{written}");
        }
        assert_eq!(expand("~/a", None), Err(NoPath::NoHome));
        assert_eq!(expand("/a", None), Ok("/a".into()));
    }
}
