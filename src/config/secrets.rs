//! Secrets: from a file's bytes and rights to a text that cannot be printed.
//!
//! Reading the file is the command line's; here is decided whether what was read will do.

use super::settings::Secret;

/// A token has some hundred characters; a file beyond this is not one.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Rights that others must not have on a secret's file: all of theirs, and the group's to write.
const FORBIDDEN_MODE: u32 = 0o027;

/// Why a secret will not do. Never shows any of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    /// Others can read or change it.
    #[error("others can read or change it (mode {mode:03o})")]
    Open {
        /// Its rights.
        mode: u32,
    },
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// There is more in it than a secret.
    #[error("it must hold the token and nothing else")]
    NotOneWord,
}

/// Checks the rights of a secret's file.
pub fn check_mode(mode: u32) -> Result<(), SecretError> {
    let mode = mode & 0o777;
    if mode & FORBIDDEN_MODE == 0 {
        Ok(())
    } else {
        Err(SecretError::Open { mode })
    }
}

/// Takes the secret out of a file's text. A line `bearer_token=…`, as the Python scripts kept it, will do too.
pub fn from_text(text: &str) -> Result<Secret, SecretError> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let named = lines
        .iter()
        .find_map(|line| line.strip_prefix("bearer_token="));
    let word = match (named, lines.as_slice()) {
        (Some(word), _) => word.trim(),
        (None, [word]) => word,
        (None, []) => return Err(SecretError::Empty),
        (None, _) => return Err(SecretError::NotOneWord),
    };
    if word.is_empty() {
        return Err(SecretError::Empty);
    }
    if word.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(word))
    } else {
        Err(SecretError::NotOneWord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_word_and_is_taken_as_issued() {
        let word = |text| from_text(text).map(|secret| secret.reveal().to_owned());
        assert_eq!(word("AAAA%2Bx%3D\n"), Ok("AAAA%2Bx%3D".to_owned()));
        assert_eq!(word("api_key=1\nbearer_token=A=B\n"), Ok("A=B".to_owned()));
        assert_eq!(word(" \n"), Err(SecretError::Empty));
        assert_eq!(word("a b"), Err(SecretError::NotOneWord));
        assert_eq!(word("a\nb"), Err(SecretError::NotOneWord));
        assert_eq!(word("a\u{7}"), Err(SecretError::NotOneWord));
        assert_eq!(check_mode(0o100_600), Ok(()));
        assert_eq!(check_mode(0o100_640), Ok(()));
        assert_eq!(
            check_mode(0o100_644),
            Err(SecretError::Open { mode: 0o644 })
        );
        assert_eq!(format!("{:?}", Secret::new("AAAA")), "Secret(…)");
    }
}
