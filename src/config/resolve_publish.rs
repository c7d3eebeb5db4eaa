//! Resolves `[publish.osf]` into valid settings.

use super::{
    file::{self, Value},
    platform::Platform,
    resolve::Resolving,
    settings::{Forbid, Publish},
};

impl Resolving<'_> {
    /// Why nothing may be published, if that is so.
    pub(super) fn forbid(&mut self) -> Option<Forbid> {
        self.find("publish.forbid")?;
        Some(self.one_of("publish.forbid", &[("dsa", Forbid::Dsa)]))
    }

    /// Checked as soon as anything of it is written; it takes a project to publish.
    pub(super) fn publish(&mut self, source: Platform) -> Option<Publish> {
        let mut keys = file::KEYS
            .iter()
            .filter(|key| key.starts_with("publish.osf."));
        let line = keys.find_map(|key| self.line(key))?;
        let base_url = self.base_url("publish.osf.base_url");
        let project = if self.find("publish.osf.project").is_some() {
            self.text("publish.osf.project")
        } else {
            let hint = "write the id in the project's address: osf.io/abcde is \"abcde\"";
            self.wrong(Some(line), "publish.osf.project", "it is missing", hint);
            String::new()
        };
        for (key, word) in [
            ("publish.osf.project", &project),
            ("publish.osf.storage", &self.text("publish.osf.storage")),
        ] {
            // it becomes a part of addresses
            if !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let line = self.line(key);
                self.wrong(line, key, "it takes letters and digits only", "");
            }
        }
        let cap = self.find("publish.osf.ids_per_30_days");
        let cap = cap.map(|(value, _)| value);
        let ids_per_30_days = match cap {
            Some(Value::Integer(cap)) => u64::try_from(cap).ok(),
            _ => None,
        };
        if ids_per_30_days.is_none() {
            let key = "publish.osf.ids_per_30_days";
            let line = self.line(key);
            self.wrong(line, key, "it takes a whole number", "");
        }
        // the default is X's rule, and nobody else's
        let is_capped = source.limits_ids() || self.is_written("publish.osf.ids_per_30_days");
        Some(Publish {
            project,
            storage: self.text("publish.osf.storage"),
            token_file: self.path("publish.osf.token_file"),
            every: self.duration("publish.osf.every"),
            ids_per_30_days: Some(ids_per_30_days?).filter(|_| is_capped),
            base_url,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{resolve::testing::settings, settings::Publish};

    fn publish(section: &str) -> Result<Option<Publish>, Vec<String>> {
        let text = format!(
            "{section}\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n"
        );
        settings(&text).map(|settings| settings.publish)
    }

    #[test]
    fn a_project_is_what_it_takes_to_publish() {
        assert!(publish("").unwrap().is_none());
        let publishing = publish("[publish.osf]\nproject = \"abcde\"\n");
        let publishing = publishing.unwrap().expect("a section");
        assert_eq!(publishing.ids_per_30_days, Some(1_500_000));
        let of_bluesky = publish("source = \"bluesky\"\n[publish.osf]\nproject = \"abcde\"\n");
        assert_eq!(
            of_bluesky.unwrap().expect("a section").ids_per_30_days,
            None
        );
        let unhonoured = "source = \"bluesky\"\n[bluesky]\nhonour_deletions = \"never\"\n[publish.osf]\nproject = \"abcde\"\n";
        let refused = publish(unhonoured).unwrap_err();
        assert!(
            refused[0].contains("deletions are not honoured"),
            "{refused:?}"
        );
        assert_eq!(publishing.base_url, "https://api.osf.io");
        let forbidden = "[publish]\nforbid = \"dsa\"\n[publish.osf]\nproject = \"abcde\"\n";
        assert!(publish(forbidden).unwrap().is_none());
        assert_eq!(
            publish(&forbidden.replace("dsa", "gdpr")).unwrap_err(),
            ["`publish.forbid`: \"gdpr\" is not a valid value"]
        );
        for (section, expected) in [
            ("every = \"5m\"", "`publish.osf.project`: it is missing"),
            (
                "project = \"a/../b\"",
                "`publish.osf.project`: it takes letters and digits only",
            ),
            (
                "project = \"abcde\"\nids_per_30_days = -1",
                "`publish.osf.ids_per_30_days`: it takes a whole number",
            ),
            (
                "project = \"abcde\"\nbase_url = \"http://api.osf.io\"",
                "`publish.osf.base_url`: plain http would send the token unencrypted; it is allowed to this machine only",
            ),
        ] {
            assert_eq!(
                publish(&format!("[publish.osf]\n{section}\n")).unwrap_err(),
                [expected]
            );
        }
    }
}
