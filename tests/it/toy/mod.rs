//! A source that nobody has: another wire, keys that are texts, times that are not in the keys. It goes from the
//! socket to the certificate, and nothing outside this folder knows of it. That is what the seam is for.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use twinstream::{
    collect::Collector,
    config::proxy::Proxies,
    cover::cause::Cause,
    period::{Hour, UtcMs, Zone},
    place::{decide::Asks, id::PlaceId, open::Opener},
    report::{files, read, statement::Statement},
    source::{Sources, Stream},
    vault::public::Public,
    verify::{hour, problem::Severity, survey, together},
    world::{
        clock::Clock,
        disk::{RealDisk, put},
    },
};

use crate::support::{primary::Site, site::until};
use lines::{TIDES, Tides};
use wire::{Gauge, Sender};

mod lines;
mod wire;

const SERVER: &str = "TWINSTREAM_TOY_SERVER";
const URL: &str = "TWINSTREAM_TOY_URL";
const FOLDER: &str = "TWINSTREAM_TOY_FOLDER";

#[test]
#[ignore = "a process of the test below, which signals can end"]
fn a_collector() {
    let of = |name| env::var(name).unwrap();
    let folder = of(FOLDER);
    let collector = Collector {
        data_dir: of(FOLDER).into(),
        spool: Box::new(move || {
            let root = Path::new(&folder);
            let opener = Opener {
                draw: &|| Ok(PlaceId::of(7)),
                ..Opener::of(&RealDisk, root)
            };
            opener.spool(&root.join("spool").into(), Asks::Make)
        }),
        server: of(SERVER).parse().unwrap(),
        wires: vec![Box::new(Gauge)],
        endpoints: vec![of(URL)],
        proxies: Proxies::default(),
        clock: Clock::system(),
        disk: Arc::new(RealDisk),
        progress: Arc::default(),
    };
    collector.run().unwrap();
}

/// Ends with the test.
struct Running(Child);

impl Running {
    fn of(server: &str, url: &str, folder: &Path) -> Self {
        let program = env::current_exe().unwrap();
        let child = Command::new(program)
            .args(["toy::a_collector", "--exact", "--ignored", "--nocapture"])
            .envs([(SERVER, server), (URL, url)])
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

fn now() -> UtcMs {
    Clock::system().now()
}

/// Names and times of all lines of a server that are in its spool.
fn received(site: &Site, server: &str) -> BTreeMap<String, UtcMs> {
    let mut all = BTreeMap::new();
    for path in crate::support::folder::files_below(&site.spool().join(server)) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.contains(".jsonl") && !name.contains(".events") && name != "acks.jsonl" {
            let text = fs::read_to_string(&path).unwrap();
            // of an open segment the last line may still be without its end
            for line in text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
            {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                let text = |member: &str| value[member].as_str().unwrap().to_owned();
                all.insert(text("name"), text("time").parse().unwrap());
            }
        }
    }
    all
}

#[test]
fn a_source_that_nobody_has_goes_from_the_socket_to_the_certificate() {
    let stream = Stream {
        word: TIDES,
        source: &Tides,
    };
    let mut site = Site {
        stream,
        ..Site::new("UTC")
    };
    site.settings.parquet = true;
    site.opened().unwrap();
    // each server has an instance of its own
    let senders = [(); 2].map(|()| Sender::new(now));
    let servers = ["1", "2"];
    let running = [0, 1].map(|n| Running::of(servers[n], &senders[n].url, &site.root));
    let lines = |server: &str| received(&site, server).len();
    until("lines of both", || {
        servers.iter().all(|server| 50 < lines(server))
    });
    // both are away for a while: nobody has those seconds
    for sender in &senders {
        sender.is_closed.store(true, Ordering::SeqCst);
    }
    let closed = now();
    until("some seconds", || closed.0 + 4_000 < now().0);
    for sender in &senders {
        sender.is_closed.store(false, Ordering::SeqCst);
    }
    let before = servers.map(lines);
    until("lines of both again", || {
        (0..2).all(|n| before[n] + 50 < lines(servers[n]))
    });
    running.into_iter().for_each(Running::stop);

    let of_each = servers.map(|server| received(&site, server));
    let truth: BTreeMap<String, UtcMs> = of_each
        .iter()
        .flatten()
        .map(|(name, at)| (name.clone(), *at))
        .collect();
    let zone = Zone::named("UTC").unwrap();
    let hours: BTreeSet<Hour> = truth.values().map(|at| zone.hour_of(*at)).collect();
    let late = now().plus_ms(7_200_000).to_string();
    site.merge(&late);
    let committed: Vec<String> = hours.iter().map(Hour::to_string).collect();
    for hour in &committed {
        assert!(site.hours().contains(hour), "{hour}");
    }
    // every reading once, by its name and with its time
    let listed: Vec<String> = committed
        .iter()
        .flat_map(|hour| {
            let text = site.text(hour, "IDs.txt.xz");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut expected: Vec<String> = truth
        .iter()
        .map(|(name, at)| format!("{name}\t{at}"))
        .collect();
    let mut sorted = listed.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    // each saw what it has received, and the hole is one gap of the union, with its cause
    let manifests: Vec<_> = committed.iter().map(|hour| site.manifest(hour)).collect();
    let both: u64 = manifests.iter().map(|m| m.counts.total.seen_by_all).sum();
    let [one, other] = &of_each;
    let in_both = one.keys().filter(|name| other.contains_key(*name)).count();
    assert_ne!(in_both, 0);
    assert_eq!(both, in_both as u64);
    let gaps = manifests.iter().flat_map(|m| &m.gaps);
    let holes: Vec<_> = gaps
        .filter(|gap| {
            gap.server == "union" && gap.begin.0 <= closed.0 + 2_000 && closed.0 + 2_000 < gap.end.0
        })
        .collect();
    assert_eq!(holes.len(), 1, "{holes:?}");
    assert!(
        [Cause::Network, Cause::Refused].contains(&holes[0].cause),
        "{holes:?}"
    );

    // what is told of each day, and a stranger checks it
    let folders: BTreeSet<_> = hours.iter().map(|hour| hour.day()).collect();
    for day in folders {
        let folder = site.vault().join(day.to_string());
        let said = read::day(&RealDisk, &folder, day).unwrap();
        let statement = Statement::of(day, said).unwrap();
        for file in files::REPORTED {
            let path = folder.join(Public::Day(day, file).name());
            put(&RealDisk, &path, files::text(&statement, file).as_bytes()).unwrap();
        }
    }
    assert_eq!(verified(&site), Vec::<String>::new());
    // and finds what was changed: another time of one reading
    let hour = &committed[0];
    let mut text = site.text(hour, "IDs.txt.xz");
    let place = text.find('\t').unwrap() + "\t2026-11-29T14:05:".len();
    let other = if &text[place..=place] == "0" {
        "1"
    } else {
        "0"
    };
    text.replace_range(place..=place, other);
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
    packed.write_all(text.as_bytes()).unwrap();
    let path = site
        .vault()
        .join(&hour[..10])
        .join(format!("{hour}_IDs.txt.xz"));
    fs::write(path, packed.finish().unwrap()).unwrap();
    let wrong = verified(&site);
    assert!(
        wrong.iter().any(|what| what.contains("minute")),
        "{wrong:?}"
    );
}

/// What does not hold.
fn verified(site: &Site) -> Vec<String> {
    let survey = survey::survey(&RealDisk, &[site.vault()], None).unwrap();
    let sources = Sources::new(&[&Tides]);
    let hours = survey.hours.iter().map(|(place, root)| {
        hour::hour(
            &RealDisk,
            &sources,
            place,
            root.and_then(|root| survey.roots.get(root)),
        )
    });
    let found = together(&RealDisk, &survey, hours.collect());
    let problems = found.problems.iter();
    let worse = problems.filter(|problem| Severity::Note < problem.severity);
    worse.map(|problem| problem.what.clone()).collect()
}
