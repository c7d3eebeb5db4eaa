//! Resolves `[witness]` into valid settings.

use std::time::Duration;

use super::{address::is_loopback, resolve::Resolving, settings::Witness};

/// Authorities are free to use, and many ask at once.
const EVERY_MIN: Duration = Duration::from_mins(1);

impl Resolving<'_> {
    /// Checked as soon as anything of it is written; it takes an authority and its certificate.
    pub(super) fn witness(&mut self) -> Option<Witness> {
        const KEYS: [&str; 3] = ["witness.tsa", "witness.tsa_ca_file", "witness.every"];
        let line = KEYS.iter().find_map(|key| self.line(key))?;
        for (key, hint) in [
            (
                "witness.tsa",
                "write the authority's address: \"https://freetsa.org/tsr\"",
            ),
            (
                "witness.tsa_ca_file",
                "write the path of the authority's root certificate (PEM)",
            ),
        ] {
            if self.find(key).is_none() {
                self.wrong(Some(line), key, "it is missing", hint);
            }
        }
        self.find("witness.tsa")?;
        self.find("witness.tsa_ca_file")?;
        let tsa = self.text("witness.tsa");
        let is_plain = |text: &str| !text.is_empty() && !text.contains(['@', '#', ' ']);
        let is_https = tsa.strip_prefix("https://").is_some_and(is_plain);
        let is_here = tsa.starts_with("http://") && is_loopback(&tsa);
        if !is_https && !is_here {
            let line = self.line("witness.tsa");
            let why = "it is not a URL with https:// (plain http is allowed to this machine only)";
            self.wrong(line, "witness.tsa", why, "");
        }
        let every = self.duration("witness.every");
        if every < EVERY_MIN {
            let line = self.line("witness.every");
            self.wrong(line, "witness.every", "it is less than a minute", "");
        }
        Some(Witness {
            tsa,
            tsa_ca_file: self.path("witness.tsa_ca_file"),
            every,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{resolve::testing::settings, settings::Witness};

    fn witness(section: &str) -> Result<Option<Witness>, Vec<String>> {
        let text = format!(
            "{section}\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n"
        );
        settings(&text).map(|settings| settings.witness)
    }

    #[test]
    fn an_authority_and_its_certificate_are_what_it_takes() {
        assert!(witness("").unwrap().is_none());
        let both = "[witness]\ntsa = \"https://tsa.example.org/tsr\"\ntsa_ca_file = \"ca.pem\"\n";
        let found = witness(both).unwrap().unwrap();
        assert_eq!(found.every, std::time::Duration::from_hours(24));
        assert_eq!(found.tsa_ca_file, Path::new("/etc/t/ca.pem"));
        assert!(witness(&both.replace("https://tsa.example.org", "http://127.0.0.1:1")).is_ok());
        let missing = witness("[witness]\nevery = \"1d\"\n").unwrap_err();
        assert_eq!(
            missing,
            [
                "`witness.tsa`: it is missing",
                "`witness.tsa_ca_file`: it is missing"
            ]
        );
        for (wrong, why) in [
            (
                both.replace("https", "http"),
                "`witness.tsa`: it is not a URL with https://",
            ),
            (
                both.replace("tsa.example.org", "me@x"),
                "`witness.tsa`: it is not a URL",
            ),
            (
                format!("{both}every = \"5s\"\n"),
                "`witness.every`: it is less than a minute",
            ),
        ] {
            let found = witness(&wrong).unwrap_err();
            assert!(found.len() == 1 && found[0].starts_with(why), "{found:?}");
        }
    }
}
