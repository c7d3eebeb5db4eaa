//! A real sshd on loopback with one key, and a link to it that can be cut at a byte.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{port::free_port, site::until, skipped::skipped};

/// An sshd, killed at the end of the test.
pub(crate) struct Sshd {
    dir: PathBuf,
    port: u16,
    key: String,
    child: Option<Child>,
}

/// Whether this machine has what delivering over ssh needs; otherwise it is said.
pub(crate) fn can_ssh() -> bool {
    let lacks: Vec<&str> = [
        "/usr/sbin/sshd",
        "/usr/bin/ssh",
        "/usr/bin/rsync",
        "/usr/bin/rrsync",
    ]
    .into_iter()
    .filter(|program| !Path::new(program).exists())
    .collect();
    if !lacks.is_empty() {
        skipped(&format!(
            "delivery over ssh: {} missing (scripts/prepare test)",
            lacks.join(", ")
        ));
    }
    lacks.is_empty()
}

fn keygen(path: &Path) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
    fs::read_to_string(path.with_extension("pub"))
        .unwrap()
        .trim()
        .to_owned()
}

/// This user's name, under which the tests log in to themselves.
pub(crate) fn user() -> String {
    let said = Command::new("id").arg("-un").output().unwrap().stdout;
    String::from_utf8(said).unwrap().trim().to_owned()
}

impl Sshd {
    /// Starts one; `restriction` stands before the key in authorized_keys.
    pub(crate) fn start(dir: &Path, restriction: &str) -> Self {
        fs::create_dir_all(dir).unwrap();
        // sshd as root wants the folder that its service would make
        fs::create_dir_all("/run/sshd").unwrap_or_default();
        let (host_key, key) = (keygen(&dir.join("host")), keygen(&dir.join("id")));
        let port = free_port();
        let host_key: Vec<&str> = host_key.split(' ').take(2).collect();
        let known = format!("twinstream-test {}\n", host_key.join(" "));
        fs::write(dir.join("known"), known).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/keys\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nMaxStartups 100\n",
            dir.display()
        );
        fs::write(dir.join("sshd_config"), config).unwrap();
        let mut sshd = Self {
            dir: dir.to_owned(),
            port,
            key,
            child: None,
        };
        sshd.restrict(restriction);
        sshd.up();
        sshd
    }

    /// Puts something else before the key.
    pub(crate) fn restrict(&self, restriction: &str) {
        let line = format!("{restriction} {}\n", self.key);
        fs::write(self.dir.join("keys"), line).unwrap();
    }

    /// Has it say something before it lets anybody in.
    pub(crate) fn greet(&mut self, banner: &str) {
        let path = self.dir.join("banner");
        fs::write(&path, banner).unwrap();
        let config = self.dir.join("sshd_config");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}Banner {}\n", path.display())).unwrap();
        self.kill();
        self.up();
    }

    /// Has it come up as another host.
    pub(crate) fn change_host_key(&mut self) {
        self.kill();
        fs::remove_file(self.dir.join("host")).unwrap();
        keygen(&self.dir.join("host"));
        self.up();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What ssh must be told to get in.
    pub(crate) fn options(&self) -> Vec<String> {
        let dir = self.dir.display();
        [
            "-i".to_owned(),
            format!("{dir}/id"),
            format!("UserKnownHostsFile={dir}/known"),
            "HostKeyAlias=twinstream-test".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
        ]
        .to_vec()
    }

    pub(crate) fn up(&mut self) {
        let log = fs::File::create(self.dir.join("sshd.log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(self.dir.join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let port = self.port;
        until("sshd listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// Kills it and everything that it has started.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        for pid in descendants(child.id()).into_iter().rev() {
            drop(
                Command::new("kill")
                    .args(["-9", &pid.to_string()])
                    .stderr(Stdio::null())
                    .status(),
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All processes below one.
fn descendants(of: u32) -> Vec<u32> {
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let tasks = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(tasks).unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        next += 1;
    }
    found.remove(0);
    found
}

/// A link to a port on loopback.
pub(crate) struct Link {
    pub(crate) port: u16,
    /// Bytes that a connection may carry towards the server before `at_limit` happens.
    limit: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl Link {
    /// A link without a limit; `at_limit` is called when a connection reaches one, and then the
    /// connection is cut.
    pub(crate) fn new(to: u16, at_limit: impl Fn() + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (limit, cuts) = (
            Arc::new(AtomicU64::new(u64::MAX)),
            Arc::new(AtomicU64::new(0)),
        );
        let link = Self {
            port,
            limit: limit.clone(),
            cuts: cuts.clone(),
        };
        let at_limit = Arc::new(at_limit);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, Ok(server)) = (client.unwrap(), TcpStream::connect(("127.0.0.1", to)))
                else {
                    continue;
                };
                let (back_from, mut back_to) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || {
                    let mut back_from = back_from;
                    drop(std::io::copy(&mut back_from, &mut back_to));
                    drop(back_to.shutdown(Shutdown::Both));
                });
                let (limit, cuts, at_limit) = (limit.clone(), cuts.clone(), at_limit.clone());
                thread::spawn(move || carry(client, server, &limit, &cuts, &*at_limit));
            }
        });
        link
    }

    pub(crate) fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    limit: &AtomicU64,
    cuts: &AtomicU64,
    at_limit: &dyn Fn(),
) {
    let mut carried = 0;
    let mut chunk = [0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        carried += read as u64;
        if limit.load(Ordering::SeqCst) < carried {
            cuts.fetch_add(1, Ordering::SeqCst);
            at_limit();
            break;
        }
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
