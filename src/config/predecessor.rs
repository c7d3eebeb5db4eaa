//! `server_settings.txt` of the system that was there before: read as people have written it, and for
//! each line what becomes of it here.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::write::Answers;

/// Its days and hours were those of this zone, wherever the server stood.
const ZONE: &str = "CET";

/// The new vault lies beside the old one: both have the same file names, and run side by side for a while.
const BESIDE: &str = "-twinstream";

/// A file of this kind has some twenty lines.
pub const BYTES_MAX: u64 = 1 << 20;

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The line, from 1.
    pub line: usize,
    /// The key as it is written; for a line that has none, its text.
    pub key: String,
    /// The value.
    pub value: String,
    /// What it is here.
    pub becomes: String,
}

/// A line with a key and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: usize,
    key: String,
    value: String,
}

/// Takes a file over into `answers`; gives what became of every line that says something.
pub fn take_over(text: &str, answers: &mut Answers) -> Vec<Fate> {
    let (lines, mut fates) = read(text);
    let found = Found { lines: &lines };
    found.fill(answers);
    for line in &lines {
        let again = lines
            .iter()
            .any(|other| other.key() == line.key() && line.number < other.number);
        let becomes = if again {
            "nothing: a later line has the same key".to_owned()
        } else {
            becomes(line, answers)
        };
        fates.push(Fate {
            line: line.number,
            key: line.key.clone(),
            value: line.value.clone(),
            becomes,
        });
    }
    fates.sort_by_key(|fate| fate.line);
    fates
}

/// `KEY = value`, `KEY=value`, `export KEY="value"`; comments and empty lines say nothing.
fn read(text: &str) -> (Vec<Line>, Vec<Fate>) {
    let (mut lines, mut strange) = (Vec::new(), Vec::new());
    for (at, written) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = written.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bare = line.strip_prefix("export ").unwrap_or(line);
        match bare.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => lines.push(Line {
                number: at + 1,
                key: key.trim().to_owned(),
                value: unquoted(value.trim()).to_owned(),
            }),
            _ => strange.push(Fate {
                line: at + 1,
                key: line.to_owned(),
                value: String::new(),
                becomes: "nothing: it is not a line of the form KEY = value".to_owned(),
            }),
        }
    }
    (lines, strange)
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner;
        }
    }
    value
}

impl Line {
    /// Keys were written in several ways, one of them with a small letter in it.
    fn key(&self) -> String {
        self.key.to_ascii_uppercase()
    }
}

/// All lines that were found.
struct Found<'a> {
    lines: &'a [Line],
}

impl Found<'_> {
    /// The last value of a key that is not empty.
    fn get(&self, key: &str) -> Option<&str> {
        let of_key = self.lines.iter().rev().find(|line| line.key() == key);
        of_key
            .map(|line| line.value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A file whose folder and name were two settings.
    fn file(&self, folder: &str, name: &str) -> Option<PathBuf> {
        Some(Path::new(self.get(folder)?).join(self.get(name)?))
    }

    fn vault(&self) -> Option<PathBuf> {
        let old = self.get("DATA_VAULT_DST")?.trim_end_matches('/');
        (!old.is_empty()).then(|| PathBuf::from(format!("{old}{BESIDE}")))
    }

    fn fill(&self, answers: &mut Answers) {
        answers.timezone = Some(ZONE.to_owned());
        answers.token_file = self.file("TWITTER_API_KEY_DST", "TWITTER_API_KEY_FILENAME");
        answers.vault_dir = self.vault();
        answers.osf_token_file = self.file("OSF_KEY_DST", "OSF_KEY_FILENAME");
        answers.mail_password_file =
            self.file("EMAIL_CREDENTIALS_DST", "EMAIL_CREDENTIALS_FILENAME");
        answers.two_servers =
            self.get("TMP_STORAGE_SERVER_2").is_some() || self.get("SERVER") == Some("2");
        answers.this_is_secondary = self.get("SERVER") == Some("2");
    }
}

fn becomes(line: &Line, answers: &Answers) -> String {
    let file = |path: &Option<PathBuf>, key: &str, else_say: &str| match path {
        Some(path) => format!("{key} = {:?}", path.display().to_string()),
        None => else_say.to_owned(),
    };
    match line.key().as_str() {
        "SERVER" => server(&line.value, answers),
        "PYTHON_DST" | "PYTHON_LIBRARY_DST" => "nothing: twinstream is one program and needs no Python".to_owned(),
        "REPOSITORY_DST" => "nothing: there are no scripts whose place must be known".to_owned(),
        "TWITTER_API_KEY_DST" | "TWITTER_API_KEY_FILENAME" => {
            file(&answers.token_file, "x.bearer_token_file", "nothing: folder and name of the key's file are not both given")
                + "; the file must hold the bearer token and nothing else, with mode 600"
        }
        "NOTIFICATIONS" => notifications(&line.value, answers),
        "EMAIL_CREDENTIALS_DST" | "EMAIL_CREDENTIALS_FILENAME" => {
            file(&answers.mail_password_file, "mail.password_file", "nothing: folder and name of the file are not both given")
                + "; the file must hold the password alone, host and user go into [mail]"
        }
        "M3CLASSIFY" => "nothing: classifiers are not part of this; [hook] after_hour runs a command of yours after each hour".to_owned(),
        "TMP_STORAGE_SERVER_1" | "TMP_STORAGE_SERVER_2" => format!(
            "nothing: segments go to {}/spool; what is in the old folder stays there",
            answers.data_dir().display()
        ),
        "USERNAME" if line.value == "root" => "nothing: twinstream never runs as root".to_owned(),
        "USERNAME" => format!("not in the file: `twinstream service install --run-as {}`, or a user of its own", line.value),
        "GROUPNAME" => "nothing: files belong to the user that the service runs as, nothing is handed over".to_owned(),
        "OSF_KEY_DST" | "OSF_KEY_FILENAME" => {
            let said = file(&answers.osf_token_file, "publish.osf.token_file", "nothing: folder and name of the key's file are not both given");
            if answers.osf_project.is_some() {
                said
            } else {
                said + ", behind #: write the project there (it stood in upload_IDs_to_OSF.py), or give --osf-project"
            }
        }
        "DATA_VAULT_DST" => match &answers.vault_dir {
            Some(new) => format!("vault_dir = {:?}: beside the old one, which stays as it is", new.display().to_string()),
            None => "nothing: it is empty".to_owned(),
        },
        _ => "nothing: twinstream does not know it".to_owned(),
    }
}

fn server(value: &str, answers: &Answers) -> String {
    match value {
        "1" => "[[servers]] id = \"1\", role = \"primary\": this machine".to_owned(),
        "2" => "[[servers]] id = \"2\", role = \"secondary\": this machine".to_owned(),
        other => format!(
            "nothing: {other:?} is neither 1 nor 2; this machine was taken for the {}",
            answers.role()
        ),
    }
}

fn notifications(value: &str, answers: &Answers) -> String {
    match (value.to_ascii_lowercase().as_str(), answers.mail_host.is_some()) {
        ("true", true) => "[mail]".to_owned(),
        ("true", false) => "[mail], behind #: write host, from and to there, or give --mail-host, --mail-from and --mail-to".to_owned(),
        ("false", _) => "no [mail]: no mail is sent".to_owned(),
        _ => format!("nothing: {value:?} is neither True nor False"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\u{feff}# settings\r\nSERVER = 2\r\nPYTHON_DST=/usr/bin/python\r\nPYTHON_LIBRARY_DST = /lib/py\r\n\
        TWITTER_API_KEY_DST = /home/me/keys\r\nTWITTER_API_KEY_FILENAME = 'key=1.txt'\r\nNOTIFICATIONS=True\r\n\
        M3ClASSIFY = False\r\nEMAIL_CREDENTIALS_DST=/home/me/keys\r\nEMAIL_CREDENTIALS_FILENAME=\r\n\
        TMP_STORAGE_SERVER_1=/data/one\r\nTMP_STORAGE_SERVER_2=\"/data/two\"\r\nREPOSITORY_DST=/r\r\nexport USERNAME=root\r\n\
        GROUPNAME=staff\r\nOSF_KEY_DST=/home/me/keys\r\nOSF_KEY_FILENAME=osf.txt\r\nDATA_VAULT_DST=/data/vault/\r\n\
        COLOUR = red\r\nSERVER = 1\r\nwhat is this\r\n";

    #[test]
    fn every_line_is_told_of_once_and_in_order() {
        let mut answers = Answers::default();
        let fates = take_over(OLD, &mut answers);
        let lines: Vec<usize> = fates.iter().map(|fate| fate.line).collect();
        assert_eq!(lines, (2..=21).collect::<Vec<_>>());
        let becomes = |line: usize| {
            fates
                .iter()
                .find(|fate| fate.line == line)
                .unwrap()
                .becomes
                .as_str()
        };
        for (line, begins) in [
            (2, "nothing: a later line has the same key"),
            (3, "nothing: twinstream is one program"),
            (
                5,
                "x.bearer_token_file = \"/home/me/keys/key=1.txt\"; the file must hold",
            ),
            (7, "[mail], behind #"),
            (8, "nothing: classifiers"),
            (9, "nothing: folder and name"),
            (14, "nothing: twinstream never runs as root"),
            (
                17,
                "publish.osf.token_file = \"/home/me/keys/osf.txt\", behind #",
            ),
            (18, "vault_dir = \"/data/vault-twinstream\""),
            (19, "nothing: twinstream does not know it"),
            (20, "[[servers]] id = \"1\""),
            (21, "nothing: it is not a line"),
        ] {
            assert!(
                becomes(line).starts_with(begins),
                "{line}: {}",
                becomes(line)
            );
        }
        assert_eq!(answers.timezone.as_deref(), Some("CET"));
        assert!(answers.two_servers && !answers.this_is_secondary);
    }
}
