//! What OSF, a mail server and a time-stamp authority answer.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use twinstream::{
    config::settings::{Mail, MailTls},
    monitor::send,
    publish::{
        address::{self, Site},
        answer,
    },
    stamp::{token::Token, trust::Trust},
};
use url::Url;

use super::{assert_one_line, outcome};
use crate::{support::fuzz::Fuzz, witness::GOOD};

fn is_osf(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && (host == "osf.io" || host.ends_with(".osf.io"))
}

#[test]
fn fuzz_answers_of_osf() {
    let page = r#"{"data":[{"id":"x","attributes":{"name":"2026-11-23_13_IDs.txt.xz","kind":"file","provider":"osfstorage","size":712,"date_modified":"2026-11-23T15:00:00.000000","current_version":2,"extra":{"hashes":{"md5":"a","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"version":"3"}},"links":{"upload":"https://files.osf.io/v1/resources/abcde/providers/osfstorage/1?a=b"},"relationships":{"files":{"links":{"related":{"href":"https://api.osf.io/v2/nodes/abcde/files/osfstorage/2/"}}}}}],"links":{"next":"https://api.osf.io/v2/nodes/abcde/files/?page=2"}}"#;
    let refusal = r#"{"errors":[{"detail":"Not found."}],"message_long":"x","error":"y"}"#;
    let site = Site::new("https://api.osf.io").unwrap();
    let fuzz = Fuzz::new("answers_of_osf", 4_000)
        .seed(page)
        .seed(refusal)
        .seed("<html>");
    fuzz.run(|input| {
        for status in [401, 404, 429, 503] {
            assert_one_line(&answer::trouble(status, input, None).to_string());
        }
        let Ok(value) = serde_json::from_slice::<Value>(input) else {
            return "not JSON".to_owned();
        };
        let read = answer::page(&value, &site);
        if let Ok((entries, next)) = &read {
            let links = entries
                .iter()
                .flat_map(|entry| [&entry.place, &entry.children]);
            for url in links.flatten().chain(next) {
                assert!(is_osf(url), "{url} would get the token");
            }
        }
        if let Err(why) = &read {
            assert_one_line(&why.to_string());
        }
        outcome(&read)
    });
}

#[test]
fn fuzz_addresses_for_a_token() {
    let site = Site::new("https://api.osf.io").unwrap();
    let rehearsal = Site::new("http://127.0.0.1:9").unwrap();
    let from = Url::parse("https://files.osf.io/v1/x").unwrap();
    let mut fuzz = Fuzz::new("addresses_for_a_token", 8_000);
    for seed in [
        "https://files.osf.io/v1/resources?kind=file",
        "https://osf.io@evil.example/",
        "https://evil.example/.osf.io",
        "https://evilosf.io/",
        "//evil.example/osf.io",
        "http://api.osf.io/",
        "https://osf.io.evil.example:443/",
        "http://127.0.0.1:9/x",
        "http://localhost/",
        "../x?y#z",
    ] {
        fuzz = fuzz.seed(seed);
    }
    fuzz.run(|input| {
        let text = String::from_utf8_lossy(input);
        let read = site.link(&text);
        match &read {
            Ok(url) => {
                assert!(is_osf(url), "{url}");
                assert!(address::bare(url).query().is_none());
                let with = address::with(url, &[("name", "a&b=c/../d")]);
                let names = with.query_pairs().filter(|(name, _)| name == "name");
                assert_eq!(names.count(), 1);
            }
            Err(why) => assert_one_line(&why.to_string()),
        }
        if let Ok(url) = rehearsal.link(&text) {
            assert!(is_osf(&url) || url.host_str() == Some("127.0.0.1"), "{url}");
        }
        // where it is sent on to without a token, it stays behind TLS
        if let Ok(url) = site.redirect(&from, &text) {
            assert_eq!(url.scheme(), "https");
        }
        let _ = answer::after(Some(&text));
        outcome(&read)
    });
}

/// Nobody but who has the key makes a stamp that holds.
#[test]
fn fuzz_stamps() {
    let (answer, trust) = &*GOOD;
    let good = Token::open(answer, trust).unwrap();
    Fuzz::new("stamps", 500).seed(&answer[..]).run(|input| {
        let read = Token::open(input, trust);
        if let Ok(token) = &read {
            assert_eq!(token, &good);
        }
        outcome(&read)
    });
}

#[test]
fn fuzz_certificates_of_an_authority() {
    let (_, trust) = &*GOOD;
    let fuzz = Fuzz::new("certificates_of_an_authority", 1_000);
    fuzz.seed(trust.to_pem()).run(|input| {
        let read = Trust::from_pem(input);
        if let Ok(trust) = &read {
            let again = Trust::from_pem(trust.to_pem().as_bytes()).unwrap();
            assert_eq!(&again, trust);
        }
        outcome(&read)
    });
}

#[test]
fn fuzz_replies_of_a_mail_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let says: Arc<Mutex<Vec<u8>>> = Arc::default();
    let replies = Arc::clone(&says);
    // it ends with the test's process
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let replies = replies.lock().unwrap().clone();
            // whoever it speaks to may have gone
            let _ = tcp.write_all(&replies);
            let _ = tcp.shutdown(Shutdown::Write);
            let _ = tcp.read_to_end(&mut Vec::new());
        }
    });
    let mail = Mail {
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::None,
        user: None,
        password_file: None,
        from: "a@example.org".to_owned(),
        to: vec!["b@example.org".to_owned(), "c@example.org".to_owned()],
        helo: None,
    };
    let fuzz = Fuzz::new("replies_of_a_mail_server", 150)
        .seed("220 here\r\n250-here\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n550 no such user\r\n250 ok\r\n221 bye\r\n")
        .seed("220 here\r\n250 here\r\n250 ok\r\n451 later\r\n421 closing\r\n")
        .seed("554 \x1b[2Jgo away\r\n");
    fuzz.run(|input| {
        input.clone_into(&mut says.lock().unwrap());
        match send::try_recipients(&mail, None) {
            Ok(asked) => {
                let addresses = asked.iter().map(|(address, _)| address);
                assert!(addresses.eq(&mail.to));
                let whys = asked.iter().filter_map(|(_, said)| said.as_ref().err());
                let whys: Vec<&str> = whys.map(String::as_str).collect();
                for why in &whys {
                    assert_one_line(why);
                }
                whys.join(" ")
            }
            Err(why) => {
                assert_one_line(&why);
                why
            }
        }
    });
}
