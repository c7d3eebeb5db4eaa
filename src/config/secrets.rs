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
    /// Its file, as the error about it says.
    #[error("{0}")]
    File(String),
    /// Others can read or change it.
    #[error("others can read or change it (mode {mode:03o})")]
    Open {
        /// Its rights.
        mode: u32,
    },
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// There are not two words in it.
    #[error("it must hold two lines, the key's id and its secret, and nothing else")]
    NotTwoLines,
    /// There is more in it than a secret.
    #[error("it must hold the token and nothing else")]
    NotOneWord,
}

impl From<std::io::Error> for SecretError {
    fn from(why: std::io::Error) -> Self {
        Self::File(why.to_string())
    }
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
    // in a variable; that of a file has been taken away
    let text = text.trim_start_matches('\u{feff}');
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

/// Takes an access key's id and its secret out of a file's bytes: two lines.
pub fn two_lines(bytes: &[u8]) -> Result<(Secret, Secret), SecretError> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (None, _, _) => Err(SecretError::Empty),
        (Some(id), Some(secret), None) => Ok((from_text(id)?, from_text(secret)?)),
        _ => Err(SecretError::NotTwoLines),
    }
}

/// Takes a password out of a file's bytes: its first line, whatever it holds. What is no UTF-8 is taken
/// for Latin-1, which is what else such files are written in.
pub fn first_line(bytes: &[u8]) -> Result<Secret, SecretError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_latin) => bytes.iter().copied().map(char::from).collect(),
    };
    // some editors mark a text so
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match text.lines().next().map(|line| line.trim_end_matches('\r')) {
        None | Some("") => Err(SecretError::Empty),
        Some(line) => Ok(Secret::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_a_password_is_a_line() {
        let word = |text| from_text(text).map(|secret| secret.reveal().to_owned());
        assert_eq!(word("AAAA%2Bx%3D\n"), Ok("AAAA%2Bx%3D".to_owned()));
        assert_eq!(word("api_key=1\nbearer_token=A=B\n"), Ok("A=B".to_owned()));
        assert_eq!(word("\u{feff}AAAA\r\n"), Ok("AAAA".to_owned()));
        assert_eq!(word(" \n"), Err(SecretError::Empty));
        assert_eq!(word("a b"), Err(SecretError::NotOneWord));
        assert_eq!(word("a\nb"), Err(SecretError::NotOneWord));
        assert_eq!(word("a\u{7}"), Err(SecretError::NotOneWord));
        let line = |bytes: &[u8]| first_line(bytes).map(|secret| secret.reveal().to_owned());
        for (bytes, password) in [
            (
                &b" pass \"word' #1\\ \r\nnot this\n"[..],
                " pass \"word' #1\\ ",
            ),
            ("\u{feff}pässwörd€".as_bytes(), "pässwörd€"),
            (b"p\xe4ss\n", "päss"),
        ] {
            assert_eq!(line(bytes), Ok(password.to_owned()));
        }
        assert_eq!(line(b""), Err(SecretError::Empty));
        assert_eq!(line(b"\npassword"), Err(SecretError::Empty));
        let two = |bytes: &[u8]| {
            two_lines(bytes).map(|(id, secret)| format!("{} {}", id.reveal(), secret.reveal()))
        };
        assert_eq!(two(b"AKIA\r\n\na/b+c=\n"), Ok("AKIA a/b+c=".to_owned()));
        assert_eq!(two(b"\n"), Err(SecretError::Empty));
        assert_eq!(two(b"AKIA\n"), Err(SecretError::NotTwoLines));
        assert_eq!(two(b"AKIA\nb\nc\n"), Err(SecretError::NotTwoLines));
        assert_eq!(check_mode(0o100_600), Ok(()));
        assert_eq!(check_mode(0o100_640), Ok(()));
        assert_eq!(
            check_mode(0o100_644),
            Err(SecretError::Open { mode: 0o644 })
        );
        for mode in [0o660, 0o620, 0o604, 0o601, 0o642] {
            assert_eq!(
                check_mode(0o100_000 | mode),
                Err(SecretError::Open { mode })
            );
        }
        assert_eq!(format!("{:?}", Secret::new("AAAA")), "Secret(…)");
    }
}
