//! A time-stamping authority made with openssl, behind a small server that can also answer falsely.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;

use super::osf::fast_folder;

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Stamps it.
    Honest,
    /// Stamps another hash.
    OtherHash,
    /// Answers with another nonce.
    OtherNonce,
    /// Says what it said the last time.
    Again,
    /// Says that it will not.
    Rejection,
    /// Stamps with a certificate that has expired.
    Expired,
    /// Stamps with a certificate that is not for time-stamping.
    ForServers,
    /// Does not name the certificate that it signs with.
    Unnamed,
    /// An answer whose signature is broken.
    Broken,
    /// No answer at all, but a page.
    Page,
    /// An answer that ends in the middle.
    Cut,
    /// A status.
    Status(u16),
}

/// The kinds of keys that authorities sign with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) newkey: &'static [&'static str],
    pub(crate) digest: &'static str,
    /// Whether the signer's certificate is signed by one between it and the root.
    pub(crate) between: bool,
}

pub(crate) const P256: Keys = Keys {
    newkey: &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    digest: "sha256",
    between: false,
};

/// An authority.
pub(crate) struct Authority {
    dir: TempDir,
    keys: Keys,
    pub(crate) url: String,
    manner: Arc<Mutex<Manner>>,
}

fn openssl(dir: &Path, args: &[&str]) {
    let said = Command::new("openssl").args(args).current_dir(dir).output();
    let said = said.expect("openssl is there: scripts/prepare test");
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "openssl {args:?}: {words}");
}

impl Authority {
    /// One with such keys, at work.
    pub(crate) fn start(keys: Keys) -> Self {
        let dir = fast_folder();
        certificates(dir.path(), keys);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/tsr", listener.local_addr().unwrap());
        let manner = Arc::new(Mutex::new(Manner::Honest));
        let authority = Self {
            dir,
            keys,
            url,
            manner: Arc::clone(&manner),
        };
        let folder = authority.dir.path().to_owned();
        // it ends with the test's process
        thread::spawn(move || {
            for stream in listener.incoming() {
                let how = *manner.lock().unwrap();
                answer(stream.unwrap(), &folder, keys, how);
            }
        });
        authority
    }

    /// From now on.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Its root certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// What the configuration needs.
    pub(crate) fn config(&self) -> String {
        let root = self.root();
        format!(
            "[witness]\ntsa = \"{}\"\ntsa_ca_file = \"{}\"\n",
            self.url,
            root.display()
        )
    }

    /// What it says to a request.
    pub(crate) fn reply(&self, request: &[u8]) -> Vec<u8> {
        reply(self.dir.path(), self.keys, request, "tsa")
    }

    /// Whether openssl, with the root certificate, confirms a stamp of a hash.
    pub(crate) fn confirms(&self, stamp: &Path, sha256: &str) -> bool {
        let said = Command::new("openssl")
            .args(["ts", "-verify", "-digest", sha256, "-in"])
            .arg(stamp)
            .arg("-CAfile")
            .arg(self.root())
            .output()
            .unwrap();
        said.status.success() && String::from_utf8_lossy(&said.stdout).contains("Verification: OK")
            || String::from_utf8_lossy(&said.stderr).contains("Verification: OK")
    }
}

/// A root, perhaps one below it, and three signers: a good one, one of long ago, one for servers.
fn certificates(dir: &Path, keys: Keys) {
    let ca = "[ca]\ndefault_ca = c\n[c]\ndir = .\ndatabase = ./index\nserial = ./serial\nnew_certs_dir = .\n\
              default_md = sha256\npolicy = p\nunique_subject = no\n[p]\ncommonName = supplied\n\
              organizationName = optional\n\
              [root]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
              [stamps]\nextendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n\
              [servers]\nextendedKeyUsage = serverAuth\nkeyUsage = critical,digitalSignature\n\
              [tsa]\ndefault_tsa = t\n[t]\nserial = ./tsserial\ndefault_policy = 1.2.3.4.1\n\
              digests = sha256, sha512\naccuracy = secs:1\nordering = yes\ntsa_name = yes\n\
              clock_precision_digits = 3\ness_cert_id_chain = no\n[picky]\nserial = ./tsserial\n\
              default_policy = 1.2.3.4.1\ndigests = sha512\n";
    fs::write(dir.join("ca.cnf"), ca).unwrap();
    for (name, text) in [("index", ""), ("serial", "01\n"), ("tsserial", "01\n")] {
        fs::write(dir.join(name), text).unwrap();
    }
    let request = |name: &str, subject: &str| {
        let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
        let newkey = [&["req", "-new", "-nodes", "-newkey"], keys.newkey].concat();
        let more = ["-keyout", &key, "-out", &csr, "-subj", subject];
        openssl(dir, &[&newkey[..], &more].concat());
    };
    let sign = |name: &str, by: &str, extensions: &str, from: &str, until: &str| {
        let names = [".csr", ".pem"].map(|ending| format!("{name}{ending}"));
        let by = [".pem", ".key"].map(|ending| format!("{by}{ending}"));
        let args = [
            &[
                "ca", "-batch", "-config", "ca.cnf", "-notext", "-in", &names[0], "-out", &names[1],
            ],
            &[
                "-cert",
                &by[0],
                "-keyfile",
                &by[1],
                "-extensions",
                extensions,
            ][..],
            &["-startdate", from, "-enddate", until],
        ];
        openssl(dir, &args.concat());
    };
    let newkey = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let root = [
        &[
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "36500", "-config", "ca.cnf",
        ],
        &[
            "-extensions",
            "root",
            "-subj",
            "/O=Example/CN=Root of the authority",
        ][..],
    ];
    // `req` wants a section of its own
    let text = fs::read_to_string(dir.join("ca.cnf")).unwrap();
    fs::write(
        dir.join("ca.cnf"),
        text + "[req]\ndistinguished_name = d\n[d]\n",
    )
    .unwrap();
    openssl(dir, &[&newkey[..], &root.concat()].concat());
    let by = if keys.between {
        request("between", "/O=Example/CN=Between");
        sign(
            "between",
            "ca",
            "root",
            "20200101000000Z",
            "20990101000000Z",
        );
        "between"
    } else {
        "ca"
    };
    request("tsa", "/O=Example/CN=Time stamps");
    sign("tsa", by, "stamps", "20200101000000Z", "20990101000000Z");
    for (name, extensions, until) in [
        ("old", "stamps", "20210101000000Z"),
        ("server", "servers", "20990101000000Z"),
    ] {
        request(name, "/O=Example/CN=Time stamps");
        sign(name, by, extensions, "20200101000000Z", until);
    }
}

/// An answer by the signer of that name.
fn reply(dir: &Path, keys: Keys, request: &[u8], signer: &str) -> Vec<u8> {
    fs::write(dir.join("request.tsq"), request).unwrap();
    let (pem, key) = (format!("{signer}.pem"), format!("{signer}.key"));
    let digest = format!("-{}", keys.digest);
    let mut args = vec![
        "ts",
        "-reply",
        "-config",
        "ca.cnf",
        "-section",
        "t",
        "-queryfile",
        "request.tsq",
        "-signer",
        &pem,
        "-inkey",
        &key,
        &digest,
        "-out",
        "answer.tsr",
    ];
    if keys.between {
        args.extend(["-chain", "between.pem"]);
    }
    openssl(dir, &args);
    fs::read(dir.join("answer.tsr")).unwrap()
}

/// The same time stamp as a CMS message that somebody else has signed.
fn signed_by((dir, keys): (&Path, Keys), request: &[u8], signer: &str, named: bool) -> Vec<u8> {
    reply(dir, keys, request, "tsa");
    openssl(
        dir,
        &[
            "ts",
            "-reply",
            "-config",
            "ca.cnf",
            "-section",
            "t",
            "-in",
            "answer.tsr",
            "-token_out",
            "-out",
            "token.der",
        ],
    );
    openssl(
        dir,
        &[
            "cms",
            "-verify",
            "-noverify",
            "-inform",
            "DER",
            "-in",
            "token.der",
            "-out",
            "info.der",
        ],
    );
    let (pem, key) = (format!("{signer}.pem"), format!("{signer}.key"));
    let mut args = vec![
        "cms",
        "-sign",
        "-binary",
        "-nodetach",
        "-md",
        "sha256",
        "-outform",
        "DER",
        "-econtent_type",
        "1.2.840.113549.1.9.16.1.4",
        "-in",
        "info.der",
        "-signer",
        &pem,
        "-inkey",
        &key,
        "-out",
        "token.der",
    ];
    args.extend(named.then_some("-cades"));
    openssl(dir, &args);
    let token = fs::read(dir.join("token.der")).unwrap();
    let status = [0x30, 0x03, 0x02, 0x01, 0x00];
    let length = u16::try_from(status.len() + token.len())
        .unwrap()
        .to_be_bytes();
    [&[0x30, 0x82][..], &length, &status, &token].concat()
}

fn answer(mut stream: TcpStream, dir: &Path, keys: Keys, how: Manner) {
    let request = body(&mut stream);
    let mut other = request.clone();
    let answer = match how {
        Manner::Honest | Manner::Cut | Manner::Status(_) => reply(dir, keys, &request, "tsa"),
        Manner::OtherHash => {
            other[30] ^= 1;
            reply(dir, keys, &other, "tsa")
        }
        Manner::OtherNonce => {
            let last = other.len() - 4;
            other[last] ^= 1;
            reply(dir, keys, &other, "tsa")
        }
        Manner::Again => fs::read(dir.join("answer.tsr")).unwrap(),
        Manner::Rejection => {
            // it takes SHA-512 only
            fs::write(dir.join("request.tsq"), &request).unwrap();
            openssl(
                dir,
                &[
                    "ts",
                    "-reply",
                    "-config",
                    "ca.cnf",
                    "-section",
                    "picky",
                    "-queryfile",
                    "request.tsq",
                    "-signer",
                    "tsa.pem",
                    "-inkey",
                    "tsa.key",
                    "-sha256",
                    "-out",
                    "answer.tsr",
                ],
            );
            fs::read(dir.join("answer.tsr")).unwrap()
        }
        Manner::Expired => reply(dir, keys, &request, "old"),
        Manner::ForServers => signed_by((dir, keys), &request, "server", true),
        Manner::Unnamed => signed_by((dir, keys), &request, "tsa", false),
        Manner::Broken => {
            let mut answer = reply(dir, keys, &request, "tsa");
            *answer.last_mut().unwrap() ^= 1;
            answer
        }
        Manner::Page => b"<!doctype html><p>Welcome".to_vec(),
    };
    let status = match how {
        Manner::Status(status) => status,
        _ => 200,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        answer.len()
    );
    let sent = match how {
        Manner::Cut => &answer[..answer.len() / 2],
        _ => &answer,
    };
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(sent).unwrap();
}

/// The request's body; it must be what RFC 3161 wants over HTTP.
fn body(stream: &mut TcpStream) -> Vec<u8> {
    let mut text = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let read = stream.read(&mut piece).unwrap();
        text.extend_from_slice(&piece[..read]);
        let Some(end) = memchr::memmem::find(&text, b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
        assert!(head.starts_with("post /tsr http/1.1"), "{head}");
        assert!(
            head.contains("content-type: application/timestamp-query"),
            "{head}"
        );
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().trim().parse().unwrap();
        if end + 4 + length <= text.len() {
            return text.split_off(end + 4);
        }
    }
}
