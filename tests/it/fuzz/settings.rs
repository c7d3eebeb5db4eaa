//! What people write: the configuration, the predecessor's settings, the environment, files of secrets.

use std::path::Path;

use twinstream::config::{
    file::{self, Problem},
    predecessor,
    proxy::Proxies,
    resolve::{ThisMachine, resolve},
    secrets,
    write::Answers,
};

use super::assert_one_line;
use crate::support::fuzz::Fuzz;

/// What is wrong is told with its place, and a line for a person.
fn told(problems: &[Problem], lines: usize) -> String {
    assert!(!problems.is_empty());
    for problem in problems {
        assert!(
            problem
                .line
                .is_none_or(|line| (1..=lines + 1).contains(&line)),
            "{problem:?}"
        );
        assert!(!problem.why.is_empty() && !problem.to_string().is_empty());
    }
    problems[0].to_string()
}

#[test]
fn fuzz_config() {
    let answers = Answers {
        two_servers: true,
        ..Answers::default()
    };
    let written = answers.to_toml("server1.example.org");
    let more = "[merge]\ntimezone = \"Europe/Berlin\"\nkeep_raw = \"forever\"\n[mail]\nhost = \"mail.example.org\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]\n[dataset]\ntitle = \"T\"\ncreators = [{ name = \"A\", orcid = \"0000-0002-1825-0097\" }]\n[status]\nlisten = \"127.0.0.1:8430\"\n";
    let fuzz = Fuzz::new("config", 1_500)
        .seed(file::DEFAULT)
        .seed(format!("{written}{more}"))
        .seed("data_dir = \"~/x\"\nspool_dir = \"../../etc\"\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"h\"\n")
        .seed("[publish]\nforbid = \"dsa\"\n[publish.osf]\nproject = \"abcde\"\ntoken_file = \"t\"\n[witness]\ntsa = \"https://x/tsr\"\n");
    fuzz.run(|input| {
        let Ok(text) = str::from_utf8(input) else {
            return "no text".to_owned();
        };
        let lines = text.split('\n').count();
        let written = match file::read(text) {
            Ok(written) => written,
            Err(problems) => return told(&problems, lines),
        };
        let me = ThisMachine {
            asked: Some("1"),
            host: "server1.example.org",
            home: Some(Path::new("/home/x")),
        };
        match resolve(&written, Path::new("/etc/twinstream"), &me) {
            Err(problems) => told(&problems, lines),
            Ok(settings) => {
                // nowhere does what is in force depend on where one stands
                let (spool, vault) = (settings.spool_dir.name(), settings.vault_dir.name());
                for folder in [&*settings.data_dir, spool, vault] {
                    assert!(folder.is_absolute(), "{folder:?}");
                }
                "settings".to_owned()
            }
        }
    });
}

#[test]
fn fuzz_predecessors_settings() {
    let fuzz = Fuzz::new("predecessors_settings", 2_000).seed(
        "# settings\nSERVER=1\nPYTHON_DST=/usr/bin/python3\nTWITTER_API_KEY_DST=/k\nTWITTER_API_KEY_FILENAME=key.yaml\nNOTIFICATIONS=True\nEMAIL_CREDENTIALS_DST='/m'\nEMAIL_CREDENTIALS_FILENAME=\"m.txt\"\nTMP_STORAGE_SERVER_2=/t\nUSERNAME=u\nOSF_KEY_DST=/o\nOSF_KEY_FILENAME=o\nDATA_VAULT_DST=/vault/\nexport X=1\nodd\n",
    );
    fuzz.run(|input| {
        let Ok(text) = str::from_utf8(input) else {
            return "no text".to_owned();
        };
        let mut answers = Answers::default();
        let fates = predecessor::take_over(text, &mut answers);
        assert!(fates.is_sorted_by_key(|fate| fate.line));
        assert!(fates.iter().all(|fate| !fate.becomes.is_empty()));
        // whatever stood in the old file, the new one is read
        let toml = answers.to_toml("server1.example.org");
        assert!(file::read(&toml).is_ok(), "{:?}\n{toml}", file::read(&toml));
        fates
            .iter()
            .map(|fate| &*fate.becomes)
            .collect::<Vec<_>>()
            .join(" ")
    });
}

#[test]
fn fuzz_proxies_of_the_environment() {
    let fuzz = Fuzz::new("proxies_of_the_environment", 5_000)
        .seed("http://user:s3cret@proxy.example.org:3128\nlocalhost,10.0.0.0/8,.example.org")
        .seed("proxy.example.org:3128\n*")
        .seed("http://s3cret@[::1]:1\n[fe80::]/10, 192.168.0.0/33,*.example.org.")
        .seed("socks5://u:s3cret@h:1\n");
    fuzz.run(|input| {
        // reading an address passes over what cannot stand in a variable or in a line
        let text = String::from_utf8_lossy(input).replace(['\0', '\t', '\r'], "");
        let (proxy, except) = text.split_once('\n').unwrap_or((&text, ""));
        let environment = |name: &str| match name {
            "https_proxy" => Some(proxy.to_owned()),
            "no_proxy" => Some(except.to_owned()),
            _ => None,
        };
        let read = Proxies::new(environment);
        match &read {
            Err(why) => {
                // where it is wrong, and not a word of what may be a password
                assert!(why.to_string().contains("https_proxy"));
                let (scheme, _) = proxy.split_once("://").unwrap_or_default();
                assert!(
                    scheme.contains("s3cret") || !why.to_string().contains("s3cret"),
                    "{why}"
                );
                why.to_string()
            }
            Ok(proxies) => {
                for host in ["api.x.com", "10.1.2.3", "[fe80::1]", "a.example.org."] {
                    let _ = proxies.of(true, host);
                }
                assert!(
                    proxies.of(true, "127.0.0.1").is_none()
                        && proxies.of(true, "localhost").is_none()
                );
                let way = proxies.of_address("https://api.x.com/2");
                let shown = format!("{proxies:?} {way:?}");
                // a password in front of @; behind it, it is the name of a host
                let (before, after) = proxy.rsplit_once('@').unwrap_or(("", proxy));
                if before.contains("s3cret")
                    && !after.contains("s3cret")
                    && !except.contains("s3cret")
                {
                    assert!(!shown.contains("s3cret"), "{shown}");
                }
                format!("{}", way.is_some())
            }
        }
    });
}

#[test]
fn fuzz_files_of_secrets() {
    let fuzz = Fuzz::new("files_of_secrets", 3_000)
        .seed("AAAAAAAAAAAAAAAAAAAAAs3cret%3D\n")
        .seed("consumer_key=x\nbearer_token=s3cret\n")
        .seed("\u{feff}s3cret\r\n");
    fuzz.run(|input| {
        // a header takes it as it is
        let line = secrets::first_line(input);
        if let Ok(secret) = &line {
            assert!(!secret.reveal().contains('\n') && !secret.reveal().is_empty());
            assert!(!format!("{secret:?}").contains("s3cret"));
        }
        let token = secrets::from_text(&String::from_utf8_lossy(input));
        match &token {
            Ok(secret) => {
                assert_one_line(secret.reveal());
                assert!(secret.reveal().is_ascii() && !secret.reveal().contains(' '));
            }
            Err(why) => assert!(!why.to_string().contains("s3cret")),
        }
        format!("{} {}", line.is_ok(), super::outcome(&token))
    });
}
