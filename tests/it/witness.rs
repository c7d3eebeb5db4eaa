//! The witness: a stamp of an authority made with openssl, asked for by the real command, kept, published,
//! verified by this program and by openssl; and every kind of false answer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;
use tempfile::TempDir;
use twinstream::{
    segment::sha256::Sha256,
    stamp::{
        request::{Nonce, request},
        token::Token,
        trust::Trust,
    },
    vault::ledger,
    world::disk::RealDisk,
};

use crate::support::{
    authority::{Authority, Keys, Manner, P256},
    folder::files_below,
    osf::{Osf, Publisher, Said, fast_folder},
    proxy::Proxy,
};

const NOWHERE: &str = "http://127.0.0.1:9";
const DAY: &str = "2026-11-23";

fn publisher() -> Publisher {
    Publisher::with_hours("2026-11-23T13:10:00Z", 2, "2026-11-24T00:30:00Z")
}

fn witness(publisher: &Publisher, authority: &Authority, args: &[&str]) -> Said {
    let args = [&["witness"], args].concat();
    publisher.run(NOWHERE, &authority.config(), &args)
}

fn verify(folder: &Path, args: &[&str]) -> (i32, String) {
    let said = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .arg("verify")
        .args(args)
        .arg(folder)
        .output()
        .unwrap();
    let words = [said.stdout, said.stderr].concat();
    (
        said.status.code().unwrap(),
        String::from_utf8(words).unwrap(),
    )
}

/// The stamps that lie in a vault or a copy of it.
fn stamps(root: &Path) -> Vec<PathBuf> {
    let mut found = files_below(&root.join("witness"));
    found.retain(|path| path.extension().is_some_and(|ending| ending == "tsr"));
    found.sort();
    found
}

fn certificate(publisher: &Publisher) -> String {
    let path = publisher
        .site
        .vault()
        .join(format!("{DAY}/{DAY}_certificate.txt"));
    fs::read_to_string(path).unwrap()
}

/// What a certificate says of its stamp, as it stands in the file.
fn member_witness(statement: &Path) -> String {
    let text = fs::read_to_string(statement).unwrap();
    let begin = text.find("\"witness\"").unwrap();
    let end = begin + text[begin..].find("\"doi\"").unwrap();
    text[begin..end].to_owned()
}

#[test]
fn the_ledger_is_stamped_once_a_day_and_openssl_confirms_it() {
    let (publisher, authority) = (publisher(), Authority::start(P256));
    let vault = publisher.site.vault();
    // the day's certificate is made before anybody has witnessed it
    publisher
        .run(NOWHERE, "", &["report", DAY])
        .check(5, "no stamp of an authority");
    publisher
        .run(NOWHERE, "", &["witness"])
        .check(3, "[witness]");
    witness(&publisher, &authority, &["--dry-run"]).check(0, "would be stamped");
    assert!(stamps(&vault).is_empty());
    witness(&publisher, &authority, &[]).check(0, "Time stamps");
    let [stamp] = &stamps(&vault)[..] else {
        panic!("{:?}", stamps(&vault));
    };
    let head = ledger::head(&RealDisk, &vault).unwrap().to_string();
    assert!(authority.confirms(stamp, &head));
    assert!(
        !authority.confirms(stamp, &head.replace('a', "b")),
        "openssl looks at the hash"
    );
    witness(&publisher, &authority, &[]).check(4, "its last line is stamped");
    let (code, said) = verify(&vault, &[]);
    assert_eq!(code, 0, "{said}");
    let lines = ledger::read(&RealDisk, &vault).unwrap().len();
    for words in [
        "1 stamp holds",
        &format!("line {lines} and all before it were there at"),
        "root certificate lies beside the stamps",
        "but it does not name that stamp yet",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    // the next report of whatever day tells of it
    let statement = vault.join(format!("{DAY}/{DAY}_certificate.json"));
    let former = fs::read(&statement).unwrap();
    let report = || publisher.run(NOWHERE, "", &["report", "2026-11-22"]);
    report().check(0, "witnessed now");
    // one that dies before the last of its files
    fs::write(&statement, former).unwrap();
    let (code, said) = verify(&vault, &[]);
    let is_told =
        said.contains("README.md: it does not name the same stamp, or DOI, as certificate.json");
    assert!(code == 5 && is_told, "{said}");
    report().check(0, "witnessed now");
    assert!(certificate(&publisher).contains("Any change to a manifest of this day after"));
    let stamped = member_witness(&statement);
    let (code, said) = verify(&vault, &[]);
    assert!(code == 0 && !said.contains("does not name yet"), "{said}");
    // late data: another revision, which this stamp does not cover
    let more = crate::support::osf::some_of(publisher_hour(13), "3");
    publisher.site.put(&more);
    assert!(!publisher.site.merge("2026-11-24T03:00:00Z").is_empty());
    publisher
        .run(NOWHERE, "", &["report", DAY])
        .check(5, "no stamp of an authority");
    assert_eq!(verify(&vault, &[]).0, 0);
    // whoever writes that stamp into the certificate claims too much, and that is not published
    let own = fs::read_to_string(&statement).unwrap();
    let claims = own.replacen(&member_witness(&statement), &stamped, 1);
    assert_ne!(claims, own);
    fs::write(&statement, claims).unwrap();
    let osf = Osf::start("", &[]);
    publisher
        .publish(&osf, &[])
        .check(1, "it is not what the manifests of its day say");
    let is_statement = |path: &String| path.ends_with("_certificate.json");
    assert!(!osf.files().keys().any(is_statement));
    fs::write(&statement, own).unwrap();
    let real_time = |args: &[&str]| {
        let mut command = publisher.any_command(NOWHERE, &authority.config(), args);
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let clock = args.iter().position(|arg| arg == "--clock").unwrap();
        let mut with_real_clock = Command::new(command.get_program());
        with_real_clock
            .args(&args[..clock])
            .args(&args[clock + 2..]);
        command = with_real_clock;
        let said = command.output().unwrap();
        (
            said.status.code().unwrap(),
            String::from_utf8([said.stdout, said.stderr].concat()).unwrap(),
        )
    };
    let (code, said) = real_time(&["witness"]);
    assert!(
        code == 4 && said.contains("younger than witness.every"),
        "{said}"
    );
    let (code, said) = real_time(&["witness", "--now", "--json"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(stamps(&vault).len(), 2);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert!(usize::try_from(told["line"].as_u64().unwrap()).unwrap() > lines);
    publisher
        .run(NOWHERE, "", &["report", DAY])
        .check(5, "Any change to a manifest");
    let (code, said) = verify(&vault, &["--tsa-ca", authority.root().to_str().unwrap()]);
    assert!(code == 0 && said.contains("2 stamps hold"), "{said}");
    assert!(
        said.contains("by the root certificate that was given"),
        "{said}"
    );
}

fn publisher_hour(hour: i64) -> twinstream::period::UtcMs {
    crate::support::primary::at("2026-11-23T00:25:00Z").plus_ms(hour * 3_600_000)
}

#[test]
fn an_authority_beyond_the_network_is_asked_through_its_proxy() {
    let (publisher, authority) = (publisher(), Authority::start(P256));
    let proxy = Proxy::start(9, |_| "403 Forbidden");
    let config = authority
        .config()
        .replace(&authority.url, "https://tsa.example.org/tsr");
    let asked = |variables: &[(&str, String)]| {
        let mut command = publisher.any_command(NOWHERE, &config, &["witness"]);
        for name in ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Said::of(&command.output().unwrap())
    };
    let through = ("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    asked(std::slice::from_ref(&through)).check(6, "proxy (HTTPS_PROXY) refuses the connection");
    assert!(proxy.heads()[0].starts_with("CONNECT tsa.example.org:443 HTTP/1.1\r\n"));
    asked(&[through, ("NO_PROXY", "example.org".to_owned())]).check(6, "no whole answer");
    assert_eq!(proxy.heads().len(), 1, "it goes without");
    asked(&[("HTTPS_PROXY", "socks5://127.0.0.1:1080".to_owned())]).check(3, "cannot be used");
}

#[test]
fn authorities_sign_with_keys_of_many_kinds() {
    let all = [
        (&["rsa:2048"][..], "sha512", true),
        (&["rsa:3072"], "sha384", false),
        (
            &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
            "sha512",
            true,
        ),
        (
            &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
            "sha384",
            false,
        ),
    ];
    for (newkey, digest, between) in all {
        let keys = Keys {
            newkey,
            digest,
            between,
        };
        let authority = Authority::start(keys);
        let (hash, nonce) = ([7; 32], Nonce::new([9; 8]));
        let answer = authority.reply(&request(&hash, nonce));
        let trust = Trust::from_pem(&fs::read(authority.root()).unwrap()).unwrap();
        let token = Token::open(&answer, &trust).unwrap_or_else(|why| panic!("{keys:?}: {why}"));
        token.check_hash(&hash).unwrap();
        token.check_nonce(nonce).unwrap();
    }
}

#[test]
fn a_false_answer_is_a_warning_with_its_reason_and_leaves_nothing() {
    let (publisher, authority) = (publisher(), Authority::start(P256));
    let vault = publisher.site.vault();
    let all = [
        (
            Manner::OtherHash,
            1,
            "another hash than the one that was sent",
        ),
        (
            Manner::OtherNonce,
            1,
            "another nonce than the one that was sent",
        ),
        (Manner::Again, 1, "another nonce than the one that was sent"),
        (
            Manner::Rejection,
            1,
            "the authority has not stamped it: rejection",
        ),
        (
            Manner::Rejection,
            1,
            "unrecognized or unsupported algorithm",
        ),
        (Manner::Expired, 1, "it has expired"),
        (Manner::ForServers, 1, "not one for time-stamping only"),
        (Manner::Unnamed, 1, "an attribute is missing"),
        (Manner::Broken, 1, "its signature does not hold"),
        (
            Manner::Page,
            1,
            "not an answer of a time-stamping authority",
        ),
        (Manner::Cut, 6, "no whole answer"),
        (Manner::Status(503), 6, "status 503"),
        (Manner::Status(404), 1, "status 404"),
    ];
    for (manner, code, why) in all {
        authority.behave(manner);
        witness(&publisher, &authority, &[])
            .check(code, why)
            .check(code, "hint: ");
        assert!(stamps(&vault).is_empty(), "{manner:?}");
    }
    // the same authority by another's root certificate, and one that is not there
    authority.behave(Manner::Honest);
    let other = Authority::start(P256);
    let config = authority.config().replace(
        authority.root().to_str().unwrap(),
        other.root().to_str().unwrap(),
    );
    let said = publisher.run(NOWHERE, &config, &["witness"]);
    said.check(1, "its signer's certificate does not hold");
    let config = authority
        .config()
        .replace(&authority.url, "http://127.0.0.1:9/tsr");
    publisher
        .run(NOWHERE, &config, &["witness"])
        .check(6, "no whole answer");
    let config = authority.config().replace("ca.pem", "tsa.pem");
    publisher
        .run(NOWHERE, &config, &["witness"])
        .check(3, "no root certificate");
    assert!(!vault.join("witness").exists());
    assert_eq!(verify(&vault, &[]).0, 0);
    witness(&publisher, &authority, &[]).check(0, "was stamped at");
}

/// An answer, and the root certificate by which it holds.
pub(crate) static GOOD: LazyLock<(Vec<u8>, Trust)> = LazyLock::new(|| {
    let authority = Authority::start(P256);
    let answer = authority.reply(&request(&[7; 32], Nonce::new([9; 8])));
    let trust = Trust::from_pem(&fs::read(authority.root()).unwrap()).unwrap();
    (answer, trust)
});

#[test]
fn whatever_bit_of_an_answer_is_changed_it_never_says_something_else() {
    let (answer, trust) = &*GOOD;
    let good = Token::open(answer, trust).unwrap();
    let mut refused = 0;
    for bit in (0..answer.len() * 8).step_by(11) {
        let mut changed = answer.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match Token::open(&changed, trust) {
            Ok(token) => assert_eq!(token, good, "bit {bit}"),
            Err(_refused) => refused += 1,
        }
    }
    assert!(
        answer.len() * 8 / 11 * 9 / 10 < refused,
        "{refused} of {}",
        answer.len()
    );
    for length in (0..answer.len()).step_by(13) {
        assert!(Token::open(&answer[..length], trust).is_err(), "{length}");
    }
}

const DATASET: &str = "\n[dataset]\ntitle = \"Ids\"\ncreators = [{ name = \"Example, Ada\" }]\n";

/// The command that DATASET.md shows, in the folder as it was downloaded.
fn openssl_confirms_it_as_the_page_says(root: &Path, authority: &Authority) {
    let page = fs::read_to_string(root.join("DATASET.md")).unwrap();
    let (_, rest) = page.split_once("```\nopenssl ").unwrap();
    let (command, _) = rest.split_once("```").unwrap();
    fs::copy(authority.root(), root.join("CA.pem")).unwrap();
    let confirms = || {
        let said = Command::new("sh")
            .args(["-c", &format!("openssl {command}")])
            .current_dir(root)
            .output()
            .unwrap();
        String::from_utf8([said.stdout, said.stderr].concat()).unwrap()
    };
    let said = confirms();
    assert!(said.contains("Verification: OK"), "{said}");
    let path = ledger::path(root);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"revision\":1", "\"revision\":2")).unwrap();
    let said = confirms();
    assert!(said.contains("Verification: FAILED"), "{said}");
    fs::write(&path, text).unwrap();
    fs::remove_file(root.join("CA.pem")).unwrap();
}

/// What is done to a copy.
type Change<'a> = &'a dyn Fn(&Path);

/// README and DATASET.md name the stamp as it is.
fn changed_words_about_it_are_found(copy: &dyn Fn(Change<'_>) -> TempDir) {
    let folder = |root: &Path| root.join("2026/11/23");
    let readme = format!("{DAY}_README.md");
    let statement = format!("{DAY}_certificate.json");
    let tampered = |name: &str| {
        copy(&|root| {
            let path = folder(root).join(name);
            let text = fs::read_to_string(&path).unwrap();
            let other = text.replace("CN=Time stamps", "CN=Time signals");
            assert!(other != text, "{text}");
            fs::write(path, other).unwrap();
        })
    };
    for (name, told) in [
        (&readme, "it is not what the day's manifests say: line "),
        (&statement, "the stamp that it names says something else"),
        (&statement, "witness.authority is "),
    ] {
        let (code, said) = verify(tampered(name).path(), &[]);
        let is_told = said
            .lines()
            .any(|line| line.contains(name) && line.contains(told));
        assert!(code == 1 && is_told, "{said}");
        // and nothing is said of what was not changed
        let others = [&readme, &statement]
            .into_iter()
            .filter(|other| *other != name);
        assert!(
            !others
                .clone()
                .any(|other| said.contains(&format!("{other}: it is not"))),
            "{said}"
        );
    }
    let dir = copy(&|root| {
        let path = root.join("DATASET.md");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("CN=Time stamps", "CN=Time signals")).unwrap();
    });
    let (code, said) = verify(dir.path(), &[]);
    let told = "DATASET.md: the stamp that it names says something else";
    assert!(code == 1 && said.contains(told), "{said}");
    // without the statement nothing tells what stamp the README may name
    let dir = copy(&|root| fs::remove_file(folder(root).join(&statement)).unwrap());
    let (code, said) = verify(dir.path(), &[]);
    assert!(code == 5 && !said.contains("WRONG"), "{said}");
}

#[test]
fn strangers_check_the_stamps_that_are_published() {
    let (publisher, authority) = (publisher(), Authority::start(P256));
    publisher
        .run(NOWHERE, DATASET, &["report", DAY])
        .check(5, "no stamp of an authority");
    let page = publisher.site.vault().join("DATASET.md");
    let said = fs::read_to_string(&page).unwrap();
    assert!(said.contains("no time-stamping authority had"), "{said}");
    witness(&publisher, &authority, &[]).check(0, "");
    publisher
        .run(NOWHERE, DATASET, &["report", DAY])
        .check(5, "Any change to a manifest");
    let osf = Osf::start("", &[]);
    let publish = |args: &[&str]| publisher.publish_with(&osf, DATASET, args);
    publish(&[]).check(0, "witness/ledger_");
    assert_eq!(osf.files(), publisher.expected());
    publish(&["--audit"]).check(0, "0 should not be public");
    publish(&[]).check(4, "");
    let copy = |change: Change<'_>| {
        let dir = fast_folder();
        for (path, bytes) in osf.files() {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        change(dir.path());
        dir
    };
    let root = authority.root();
    let by_root = ["--tsa-ca", root.to_str().unwrap()];
    let good = copy(&|_| ());
    for args in [&[][..], &by_root] {
        let (code, said) = verify(good.path(), args);
        assert!(code == 0 && said.contains("1 stamp holds"), "{said}");
    }
    openssl_confirms_it_as_the_page_says(good.path(), &authority);
    changed_words_about_it_are_found(&copy);
    // in the place of the stamp one by somebody else, whose certificates are put beside it
    let forger = Authority::start(P256);
    let replaced = copy(&|root| {
        let path = &stamps(root)[0];
        let head = ledger::head(&RealDisk, root).unwrap();
        let answer = forger.reply(&request(&head.into(), Nonce::new([1; 8])));
        fs::write(path, answer).unwrap();
    });
    let (code, said) = verify(replaced.path(), &by_root);
    assert!(
        code == 1 && said.contains("nothing shows that it stamps the ledger"),
        "{said}"
    );
    let (code, said) = verify(replaced.path(), &[]);
    assert!(code == 1 && said.contains("does not hold"), "{said}");
    // a manifest that was changed, with a ledger that was chained anew
    let rewritten = copy(&|root| {
        let text = fs::read_to_string(ledger::path(root)).unwrap();
        let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
        let mut last: ledger::LedgerLine = serde_json::from_str(last).unwrap();
        last.manifest_sha256 = Sha256::ZEROS;
        let last = serde_json::to_string(&last).unwrap();
        fs::write(ledger::path(root), format!("{before}\n{last}\n")).unwrap();
    });
    let (code, said) = verify(rewritten.path(), &[]);
    assert!(
        code == 1 && said.contains("it stamps another hash"),
        "{said}"
    );
    // without the certificates, without the stamp, with an older ledger: that is incomplete
    let lacks = |change: &dyn Fn(&Path), words: &str| {
        let dir = copy(change);
        let (code, said) = verify(dir.path(), &[]);
        assert!(code == 5 && said.contains(words), "{said}");
    };
    lacks(
        &|root| {
            for path in files_below(&root.join("witness")) {
                if path.extension().is_some_and(|ending| ending == "pem") {
                    fs::remove_file(path).unwrap();
                }
            }
        },
        "give one with --tsa-ca",
    );
    lacks(
        &|root| fs::remove_dir_all(root.join("witness")).unwrap(),
        "it names a stamp that is not here",
    );
    lacks(
        &|root| {
            let text = fs::read_to_string(ledger::path(root)).unwrap();
            let (before, _) = text.trim_end().rsplit_once('\n').unwrap();
            fs::write(ledger::path(root), format!("{before}\n")).unwrap();
        },
        "the ledger here has no line",
    );
    // a certificate that claims to be older than its stamp
    let older = copy(&|root| {
        let path = root.join(format!("2026/11/23/{DAY}_certificate.json"));
        let text = fs::read_to_string(&path).unwrap();
        let (_, stamp) = text.split_once("\"witness\": ").unwrap();
        let (_, time) = stamp.split_once("\"time\": \"").unwrap();
        fs::write(
            &path,
            text.replace(&time[..24], &format!("2001{}", &time[4..24])),
        )
        .unwrap();
    });
    let (code, said) = verify(older.path(), &[]);
    assert!(
        code == 1 && said.contains("the stamp that it names says something else"),
        "{said}"
    );
}
