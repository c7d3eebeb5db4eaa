//! A thousand merges with late data, power cuts, full disks and kills end with the bytes of one
//! clean merge. Takes minutes: `scripts/soak` runs it.

use std::{io::Write as _, os::unix::process::ExitStatusExt as _, path::Path};

use crate::support::{
    disk::SimulatedDisk,
    posts::{Segment, mix, segments, stream},
    primary::{Site, at, command},
};
use twinstream::world::crash::{Point, VARIABLE};

const NOW: &str = "2026-11-23T17:30:00Z";

/// Three hours of two servers, in an order of their own.
fn shuffled(seed: u64) -> Vec<Segment> {
    let received = stream(2, at("2026-11-23T13:30:00Z"), 150, 4);
    let mut all: Vec<Segment> = [("1", 0), ("2", 1)]
        .into_iter()
        .flat_map(|(server, n)| segments(server, &received[n]))
        .collect();
    all.sort_by_key(|segment| {
        mix(
            seed,
            mix(
                segment.name.minute.0.unsigned_abs(),
                segment.lines.len() as u64,
            ),
        )
    });
    all
}

/// How often what happened.
#[derive(Debug, Default)]
struct Counts {
    merges: u64,
    power_cuts: u64,
    full_disks: u64,
    kills: u64,
    revisions: u64,
}

fn report(what: &str, counts: &Counts) {
    let line = format!("soak, {what}: {counts:?}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn revisions(site: &Site) -> u64 {
    let hours = site.hours();
    hours
        .iter()
        .map(|hour| site.manifest(hour).history.revision)
        .sum()
}

/// How many merges, from `TWINSTREAM_SOAK_MERGES`.
fn merges() -> u64 {
    let text = std::env::var("TWINSTREAM_SOAK_MERGES").ok();
    text.map_or(1_000, |text| text.parse().unwrap())
}

#[test]
#[ignore = "takes minutes: scripts/soak"]
fn a_thousand_merges_with_late_data_power_cuts_and_full_disks_end_as_one_clean_merge() {
    let merges = merges() * 9 / 10;
    let disk = SimulatedDisk::default();
    let site = Site {
        threads: 1,
        ..Site::on(Box::new(disk.clone()), Path::new("/primary"), "UTC")
    };
    site.disk.make_folder(&site.spool()).unwrap();
    let mut waiting = shuffled(1);
    let clean = Site::in_memory();
    clean.put(&waiting);
    clean.merge(NOW);
    let mut counts = Counts::default();
    let pieces = waiting.len() as u64;
    for nth in 0..merges {
        let luck = |salt: u64, of: u64| mix(nth, salt) % of;
        // one by one, so that nothing is left when the merges are; some come twice
        if nth * pieces / merges < (nth + 1) * pieces / merges
            && let Some(segment) = waiting.pop()
        {
            site.put(std::slice::from_ref(&segment));
            if luck(1, 10) == 0 {
                waiting.insert(0, segment);
            }
        }
        match luck(2, 4) {
            0 => {
                disk.fail_in(1 + luck(3, 900));
                let cut_off = site.try_merge(&[], NOW);
                let is_hurt = cut_off.map_or(true, |outcome| !outcome.failed.is_empty());
                counts.power_cuts += u64::from(is_hurt);
                disk.power_cut(nth);
            }
            1 => {
                let used: usize = disk.files().values().map(Vec::len).sum();
                disk.set_capacity(Some(used as u64 + luck(4, 60_000)));
                let full = site.try_merge(&[], NOW);
                let is_hurt = full.map_or(true, |outcome| !outcome.failed.is_empty());
                counts.full_disks += u64::from(is_hurt);
                disk.set_capacity(None);
            }
            _ => {
                site.merge(NOW);
            }
        }
        counts.merges += 1;
    }
    site.put(&waiting);
    site.merge(NOW);
    counts.revisions = revisions(&site);
    report("simulated disk", &counts);
    assert!(site.essence() == clean.essence());
    assert_eq!(site.verify().worst(), None);
    assert!(
        merges / 40 < counts.power_cuts && merges / 40 < counts.full_disks,
        "{counts:?}"
    );
}

#[test]
#[ignore = "takes minutes: scripts/soak"]
fn a_hundred_real_merges_killed_anywhere_end_as_one_clean_merge() {
    let merges = merges() / 10;
    let site = Site::new("UTC");
    let mut waiting = shuffled(2);
    let clean = Site::new("UTC");
    clean.put(&waiting);
    assert!(command(&clean, "merge", NOW).status().unwrap().success());
    let mut counts = Counts::default();
    let pieces = waiting.len() as u64;
    for nth in 0..merges {
        let come = (nth + 1) * pieces / merges - nth * pieces / merges;
        let rest = waiting.len() - usize::try_from(come).unwrap().min(waiting.len());
        site.put(&waiting.split_off(rest));
        let point =
            Point::OF_MERGE[usize::try_from(mix(nth, 5) % Point::OF_MERGE.len() as u64).unwrap()];
        let mut merge = command(&site, "merge", NOW);
        merge.env(VARIABLE, format!("{point:?}:{}", 1 + mix(nth, 6) % 3));
        let done = merge.output().unwrap();
        counts.kills += u64::from(done.status.signal() == Some(9));
        counts.merges += 1;
    }
    let done = command(&site, "merge", NOW).output().unwrap();
    assert!([0, 4].contains(&done.status.code().unwrap()));
    counts.revisions = revisions(&site);
    report("real processes", &counts);
    assert!(site.essence() == clean.essence());
    assert_eq!(site.verify().worst(), None);
    assert!(merges / 4 < counts.kills, "{counts:?}");
}
