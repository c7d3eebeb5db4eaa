//! Resolves `[mail]` and `[status]` into valid settings: how the service speaks to people.

use std::net::SocketAddr;

use super::{
    address,
    file::Value,
    resolve::Resolving,
    settings::{Mail, MailTls, Status},
};

/// Where the time that is written cannot be.
const DAILY_REPORT_AT: i64 = 2 * 60;

impl Resolving<'_> {
    /// Without `mail.host` no mail is sent; what else is written there is checked all the same.
    pub(super) fn mail(&mut self) -> Option<Mail> {
        let is_written = |key: &&str| self.is_written(key);
        let any = [
            "mail.host",
            "mail.user",
            "mail.password_file",
            "mail.from",
            "mail.to",
            "mail.helo",
        ];
        let wanted = any.iter().any(is_written);
        let (port, tls) = (self.port(), self.mail_tls());
        if !wanted {
            return None;
        }
        let host = self.text("mail.host");
        if tls == MailTls::None && !host.is_empty() && !address::is_loopback_host(&host) {
            let line = self.line("mail.tls");
            let why = "mail would go over the network unencrypted; \"none\" is allowed to this machine only";
            self.wrong(
                line,
                "mail.tls",
                why,
                "set it to \"starttls\" or \"implicit\"",
            );
        }
        let from = self.text("mail.from");
        self.check_address("mail.from", &from);
        let to = self.list("mail.to");
        for address in &to {
            self.check_address("mail.to", address);
        }
        if to.is_empty() {
            let line = self.line("mail.to");
            self.wrong(line, "mail.to", "there is no recipient", "");
        }
        let user = self.is_written("mail.user").then(|| self.text("mail.user"));
        let password_file = self
            .is_written("mail.password_file")
            .then(|| self.path("mail.password_file"));
        Some(Mail {
            host,
            port,
            tls,
            user,
            password_file,
            from,
            to,
            helo: self.helo(),
        })
    }

    fn helo(&mut self) -> Option<String> {
        let key = "mail.helo";
        let helo = self.is_written(key).then(|| self.text(key))?;
        if !helo.bytes().all(|byte| byte.is_ascii_graphic()) {
            let line = self.line(key);
            self.wrong(
                line,
                key,
                "it is not a host name",
                "write it as \"collector.example.org\", or as an address: \"[192.0.2.1]\"",
            );
        }
        Some(helo)
    }

    fn port(&mut self) -> u16 {
        match self.find("mail.port") {
            Some((Value::Integer(port), _)) if (1..=65_535).contains(&port) => {
                u16::try_from(port).unwrap_or(0)
            }
            other => {
                let line = other.and_then(|(_, line)| line);
                self.wrong(line, "mail.port", "it takes a port, 1 to 65535", "");
                0
            }
        }
    }

    fn mail_tls(&mut self) -> MailTls {
        let choices = [
            ("starttls", MailTls::Starttls),
            ("implicit", MailTls::Implicit),
            ("none", MailTls::None),
        ];
        self.one_of("mail.tls", &choices)
    }

    fn check_address(&mut self, key: &str, address: &str) {
        if address.parse::<lettre::Address>().is_err() && !address.is_empty() {
            let line = self.line(key);
            let why = format!("{address:?} is not a mail address");
            self.wrong(line, key, why, "write it as \"me@example.org\"");
        }
    }

    /// When the report of the day before is due, in minutes after midnight.
    pub(super) fn report_at(&mut self) -> i64 {
        let key = "mail.daily_report_at";
        let text = self.text(key);
        let minutes = text.split_once(':').and_then(|(hour, minute)| {
            let number = |text: &str, max: i64| {
                let is_two = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
                text.parse::<i64>().ok().filter(|n| is_two && *n <= max)
            };
            Some(number(hour, 23)? * 60 + number(minute, 59)?)
        });
        minutes.unwrap_or_else(|| {
            let line = self.line(key);
            let why = format!("{text:?} is not a time of day");
            self.wrong(line, key, why, "write \"02:00\"");
            DAILY_REPORT_AT
        })
    }

    /// Beyond this machine only with a token.
    pub(super) fn status(&mut self) -> Option<Status> {
        let key = "status.listen";
        let text = self.text(key);
        let line = self.line(key);
        let token_file = self
            .is_written("status.token_file")
            .then(|| self.path("status.token_file"));
        let Ok(listen) = text.parse::<SocketAddr>() else {
            let why = format!("{text:?} is not an address with its port");
            self.wrong(line, key, why, "write \"127.0.0.1:8430\" or \"[::1]:8430\"");
            return None;
        };
        if !listen.ip().is_loopback() && token_file.is_none() {
            let why = "others could read the page; beyond this machine it needs a token";
            self.wrong(
                line,
                key,
                why,
                "set status.token_file, or listen on 127.0.0.1",
            );
        }
        Some(Status { listen, token_file })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{
        resolve::testing,
        settings::{MailTls, Settings},
    };

    const ONE: &str = "[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n";
    const MAIL: &str = "[mail]\nhost = \"mail.example.org\"\nfrom = \"t@example.org\"\nto = [\"me@example.org\"]\n";

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        testing::settings(&format!("{text}{ONE}"))
    }

    #[test]
    fn mail_is_sent_when_there_is_a_host() {
        assert!(settings("").unwrap().mail.is_none());
        let mail = settings(MAIL).unwrap().mail.unwrap().unwrap();
        assert_eq!((mail.port, mail.tls), (587, MailTls::Starttls));
        assert_eq!(settings("").unwrap().report_at, 120);
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &[&str]) {
        assert_eq!(settings(text).unwrap_err(), expected);
    }

    /// Collecting goes on without mail.
    #[track_caller]
    fn check_wrong_mail(text: &str, expected: &[&str]) {
        let problems = settings(text).unwrap().mail.unwrap().unwrap_err();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, expected);
    }

    #[test]
    fn what_is_wrong_with_mail_keeps_nobody_from_collecting() {
        check_wrong_mail(
            "[mail]\nfrom = \"t@x\"\nto = [\"a\"]\n",
            &[
                "`mail.host`: it is missing",
                "`mail.to`: \"a\" is not a mail address",
            ],
        );
        check_wrong_mail(
            &format!("{MAIL}tls = \"none\"\nport = 0\n"),
            &[
                "`mail.port`: it takes a port, 1 to 65535",
                "`mail.tls`: mail would go over the network unencrypted; \"none\" is allowed to this machine only",
            ],
        );
        check_wrong_mail(
            "[mail]\ndaily_report_at = \"2:00\"\n",
            &["`mail.daily_report_at`: \"2:00\" is not a time of day"],
        );
        check_wrong_mail(
            &format!("{MAIL}helo = \"a b\"\nhots = 1\n"),
            &[
                "`mail.hots`: there is no such key",
                "`mail.helo`: it is not a host name",
            ],
        );
        check_wrong(
            "[mail]\nhots = 1\n[merge]\nxz = \"none such\"\n",
            &[
                "`mail.hots`: there is no such key",
                "`merge.xz`: \"none such\" is not a valid value",
            ],
        );
        assert!(
            settings(
                &MAIL
                    .replace("mail.example.org", "127.0.0.1")
                    .replace("[mail]", "[mail]\ntls = \"none\"")
            )
            .unwrap()
            .mail
            .unwrap()
            .is_ok()
        );
        let injected = MAIL.replace("me@example.org", "a@b\\r\\nBcc: x@y");
        assert!(settings(&injected).unwrap().mail.unwrap().is_err());
    }

    #[test]
    fn the_page_is_for_this_machine_unless_there_is_a_token() {
        check_wrong(
            "[status]\nlisten = \"0.0.0.0:8430\"\n",
            &["`status.listen`: others could read the page; beyond this machine it needs a token"],
        );
        check_wrong(
            "[status]\nlisten = \"8430\"\n",
            &["`status.listen`: \"8430\" is not an address with its port"],
        );
        assert!(settings("[status]\nlisten = \"0.0.0.0:8430\"\ntoken_file = \"t\"\n").is_ok());
    }

    #[test]
    fn a_report_is_due_at_a_time_of_day() {
        let at = |time: &str| {
            let settings = settings(&format!("{MAIL}daily_report_at = {time:?}\n")).unwrap();
            let is_right = settings.mail.unwrap().is_ok();
            is_right.then_some(settings.report_at)
        };
        for (time, minutes) in [("00:00", 0), ("02:30", 150), ("23:59", 1_439)] {
            assert_eq!(at(time), Some(minutes));
        }
        for wrong in [
            "24:00", "23:60", "2:00", "02:0", "+2:00", "02.00", "02:00:00", "noon",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
