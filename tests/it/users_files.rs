//! What a user names is opened as every tool opens it: through links and pipes, from the home folder, with or
//! without a byte order mark. Secrets that others can read are refused all the same.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::osf::{Osf, Publisher};

const NOW: &str = "2026-11-23T18:00:00Z";
const TWINSTREAM: &str = env!("CARGO_BIN_EXE_twinstream");

/// Exit code, and all that was said.
fn outcome(command: &mut Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code().unwrap_or(-1), said)
}

/// Puts a link in the place of a file, to where the file is then; as Kubernetes does, over a folder.
fn behind_links(path: &Path, bytes: &[u8], mode: u32) {
    let folder = path.parent().unwrap().join("..2026_11_23");
    fs::create_dir_all(&folder).unwrap();
    let real = folder.join(path.file_name().unwrap());
    fs::write(&real, bytes).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
    let data = path.parent().unwrap().join("..data");
    drop(fs::remove_file(&data));
    symlink("..2026_11_23", &data).unwrap();
    fs::remove_file(path).unwrap();
    symlink(Path::new("..data").join(path.file_name().unwrap()), path).unwrap();
}

#[test]
fn what_a_user_names_may_be_a_link_or_a_pipe() {
    let osf = Osf::start("", &[]);
    let publisher = Publisher::with_hours("2026-11-23T13:10:00Z", 2, NOW);
    let root = &publisher.site.root;
    let config = root.join("twinstream.toml");
    publisher.publish(&osf, &["--dry-run"]).check(0, "upload");

    let token = root.join("osf-token");
    let marked = [b"\xef\xbb\xbf".to_vec(), fs::read(&token).unwrap()].concat();
    behind_links(&token, &marked, 0o644);
    let said = publisher.publish(&osf, &["--dry-run"]);
    said.check(3, "others can read").check(3, "chmod 600");
    behind_links(&token, &marked, 0o600);
    publisher.publish(&osf, &[]).check(0, "published");

    // the configuration and a list of ids from pipes; `~` behind an equals sign
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace(&format!("\"{}", root.display()), "\"~");
    assert!(text.contains("data_dir = \"~\"") && text.contains("\"~/osf-token\""));
    fs::write(&config, format!("\u{feff}{text}")).unwrap();
    let script = "\"$0\" redact --server 1 --config <(cat ~/twinstream.toml) \
                  --ids <(printf '\\xef\\xbb\\xbf123\\r\\n') --reason asked --dry-run";
    let mut redact = Command::new("bash");
    redact.args(["-c", script, TWINSTREAM]).env("HOME", root);
    let (code, said) = outcome(&mut redact);
    assert!(
        code == 0 && said.contains("the archive never had it"),
        "{code}: {said}"
    );
    let mut show = Command::new(TWINSTREAM);
    show.args(["config", "show", "--config=~/twinstream.toml", "--server=1"]);
    let (code, said) = outcome(show.env("HOME", root));
    assert!(code == 0, "{code}: {said}");
    let (code, said) = outcome(show.env_remove("HOME"));
    assert!(
        code == 2 && said.contains("$HOME is not set"),
        "{code}: {said}"
    );
    let mut run = Command::new("bash");
    run.args([
        "-c",
        "\"$0\" run --server 1 --config <(cat ~/twinstream.toml)",
        TWINSTREAM,
    ]);
    let (code, said) = outcome(run.env("HOME", root));
    assert!(
        code == 3 && said.contains("hint: put it into a file"),
        "{code}: {said}"
    );
    fs::write(&config, b"\xff\xfed\0a\0").unwrap();
    let (code, said) = outcome(show.env("HOME", root));
    assert!(
        code == 3 && said.contains("save it as UTF-8"),
        "{code}: {said}"
    );

    // a copy of which every file is a link, as `git annex` and `stow` make them
    let (vault, copy) = (publisher.site.vault(), root.join("copy"));
    for (path, _) in publisher.site.files() {
        let link = copy.join(&path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(vault.join(&path), link).unwrap();
    }
    symlink(&copy, root.join("link")).unwrap();
    let (code, said) = outcome(
        Command::new(TWINSTREAM)
            .arg("verify")
            .arg(root.join("link")),
    );
    assert!(
        code == 0 && said.contains("4 hours checked: all holds"),
        "{code}: {said}"
    );
    let manifest = copy.join("2026-11-23/2026-11-23_14_manifest.json");
    let (code, said) = outcome(Command::new(TWINSTREAM).arg("inspect").arg(manifest));
    assert!(code == 0, "{code}: {said}");
}
