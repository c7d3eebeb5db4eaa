//! What lies in the store and a machine was never told of, or has lost, or has begun to fetch: no hour is held back for that.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use twinstream::{
    config::settings::{Merge, Role, Server, Xz},
    merge::outcome::MergeOutcome,
    period::Zone,
    segment::raw,
    source::SAMPLE,
    world::disk::{self, Disk as _, read_bounded},
};

use super::{
    books,
    machine::{Archive, Collector, Merger, ROOT, Task, spool_of},
    stage::{Act, Fate, Stage, Ways},
};
use crate::support::{
    disk::SimulatedDisk,
    posts::{Segment, segments, stream},
    primary::{Site, at},
};

/// Two servers, and a store in which nothing goes wrong.
struct Calm {
    stage: Arc<Stage>,
    archive: Archive,
    collectors: [Collector; 2],
}

impl Calm {
    fn new() -> Self {
        let server = |id: &str| Server {
            id: id.parse().unwrap(),
            role: Role::Secondary,
            host: id.to_owned(),
            endpoint: None,
            partitions: Vec::new(),
            deliver_to: None,
            until: None,
        };
        let settings = Merge {
            timezone: Zone::named("UTC").unwrap(),
            settle: Duration::from_mins(10),
            // no rows stand for what is not here
            parquet: false,
            xz: Xz::Fast,
            keep_raw: None,
            orphans: Duration::from_secs(books::ORPHANS_S),
            keep_superseded: Duration::from_secs(books::SUPERSEDED_S),
            keep_free: 0,
        };
        let now = at("2026-11-23T14:00:00Z");
        Self {
            stage: Stage::new(1, now.second().cast_unsigned(), false),
            archive: Archive {
                stream: SAMPLE,
                settings,
                servers: ["1", "2"].map(server).into(),
                honours: false,
            },
            collectors: ["1", "2"].map(Collector::new),
        }
    }

    fn acts(&self, machine: String, disk: &SimulatedDisk, does: impl FnOnce(&Ways) + Send) {
        let act = Act {
            machine,
            disk: disk.clone(),
            fate: Fate::default(),
            does: Box::new(does),
        };
        self.stage.act(0, vec![act]);
        assert_eq!(self.stage.wrongs(), [""; 0]);
    }

    /// The server died before it could announce what it delivered last.
    fn never_announced(&self, arrivals: &str) {
        let mut objects = self.stage.store.objects();
        objects
            .remove(&format!("x/spool/arrivals/{arrivals}.txt"))
            .unwrap();
        self.stage.store.replace(objects);
        // and it does not know that it has
        let told = Path::new(ROOT).join("mirror").join("told.json");
        self.collectors[0].disk.remove(&told).unwrap();
    }

    fn deliver(&self, collector: usize, segments: &[Segment], now: &str) {
        let one = &self.collectors[collector];
        for segment in segments {
            segment.put(&one.disk, &spool_of(Path::new(ROOT)), true);
        }
        self.acts(format!("server {}", one.id), &one.disk, |ways| {
            let sent = one.deliver(ways, self.archive.stream, at(now)).unwrap();
            assert_eq!(sent, segments.len() as u64);
        });
    }

    fn merge(&self, merger: &Merger, task: &Task, now: &str) -> MergeOutcome {
        let done = Mutex::new(None);
        self.acts(merger.machine(), &merger.disk, |ways| {
            let outcome = merger.act(ways, &self.archive, (task, at(now), false));
            *done.lock().unwrap() = Some(outcome.unwrap());
        });
        done.into_inner().unwrap().unwrap()
    }
}

/// Which revisions were committed; none may be held back.
#[track_caller]
fn revisions(outcome: &MergeOutcome) -> Vec<u64> {
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    assert!(outcome.unusable.is_empty(), "{:?}", outcome.unusable);
    outcome.committed.iter().map(|one| one.revision).collect()
}

#[test]
fn what_another_machine_has_merged_and_is_not_here_is_fetched_by_its_name() {
    let calm = Calm::new();
    let all = Task::Merge([].into(), None);
    let received = stream(2, at("2026-11-23T14:00:00Z"), 6, 4);
    let [of_1, of_2] = [("1", 0), ("2", 1)].map(|(id, nth)| segments(id, &received[nth]));
    let [here, other] = [1, 2].map(|nth| Merger::new(&format!("m{nth}"), nth, 0));
    let (early, late) = of_1.split_at(3);
    calm.deliver(0, early, "2026-11-23T14:10:00Z");
    let outcome = calm.merge(&here, &all, "2026-11-23T14:10:00Z");
    assert_eq!(revisions(&outcome), [0; 0]);

    // the server dies for good before it can announce the others; a machine that has never fetched lists everything
    calm.deliver(0, late, "2026-11-23T14:15:00Z");
    calm.never_announced("1/2");
    let outcome = calm.merge(&other, &all, "2026-11-23T15:10:00Z");
    assert_eq!(revisions(&outcome), [1]);

    let (some, last) = of_2.split_at(3);
    calm.deliver(1, some, "2026-11-23T15:20:00Z");
    let outcome = calm.merge(&here, &all, "2026-11-23T15:20:00Z");
    assert_eq!(revisions(&outcome), [0; 0], "more may come");
    let outcome = calm.merge(&here, &all, "2026-11-23T15:30:00Z");
    assert_eq!(revisions(&outcome), [2]);

    // a segment that was merged is lost here
    let paths = of_1[1].name.paths(&spool_of(Path::new(ROOT)));
    for path in [raw::compressed(&paths.segment), paths.events, paths.seal] {
        here.disk.remove(&path).unwrap();
    }
    calm.deliver(1, last, "2026-11-23T15:40:00Z");
    calm.merge(&here, &all, "2026-11-23T15:40:00Z");
    let outcome = calm.merge(&here, &all, "2026-11-23T15:50:00Z");
    assert_eq!(revisions(&outcome), [3]);

    let mut alone = Site::in_memory();
    alone.settings.parquet = false;
    alone.servers.clone_from(&calm.archive.servers);
    alone.put(&[of_1, of_2].concat());
    alone.merge("2026-11-23T15:50:00Z");
    let copy = Site::on(Box::new(here.disk.clone()), Path::new(ROOT), "UTC");
    let hour = "2026-11-23_14";
    assert_eq!(copy.manifest(hour).inputs, alone.manifest(hour).inputs);
    assert_eq!(copy.manifest(hour).outputs, alone.manifest(hour).outputs);
    assert_eq!(copy.verify().worst(), None);
}

#[test]
fn what_a_server_that_died_for_good_has_not_announced_is_found_after_a_day() {
    let calm = Calm::new();
    let all = Task::Merge([].into(), None);
    let received = stream(1, at("2026-11-23T14:00:00Z"), 6, 4);
    let of_1 = segments("1", &received[0]);
    let (early, late) = of_1.split_at(3);
    let here = Merger::new("m1", 1, 0);
    calm.deliver(0, early, "2026-11-23T14:10:00Z");
    calm.merge(&here, &all, "2026-11-23T14:10:00Z");
    calm.deliver(0, late, "2026-11-23T14:15:00Z");
    calm.never_announced("1/2");
    let merged = || {
        let copy = Site::on(Box::new(here.disk.clone()), Path::new(ROOT), "UTC");
        copy.manifest("2026-11-23_14").inputs.segments.len()
    };
    let listings = || {
        let told = calm.stage.told(usize::MAX);
        told.matches("GET /archive/x/spool/1/:").count()
    };
    let few = listings();
    for (now, found) in [
        ("2026-11-24T14:09:00Z", 3),
        ("2026-11-24T14:11:00Z", 3),
        ("2026-11-24T14:22:00Z", 6),
    ] {
        revisions(&calm.merge(&here, &all, now));
        assert_eq!(merged(), found, "{now}");
        assert_eq!(few < listings(), now != "2026-11-24T14:09:00Z", "{now}");
    }
    // once for each silence
    let many = listings();
    calm.merge(&here, &all, "2026-11-26T14:22:00Z");
    assert_eq!(listings(), many);
    let second = stream(1, at("2026-11-26T14:00:00Z"), 2, 4);
    calm.deliver(0, &segments("1", &second[0]), "2026-11-26T14:30:00Z");
    calm.merge(&here, &all, "2026-11-26T14:30:00Z");
    assert_eq!(listings(), many);
    calm.merge(&here, &all, "2026-11-27T14:31:00Z");
    assert!(many < listings());
}

#[test]
fn what_is_left_of_a_fetch_that_was_cut_off_gives_way_to_what_is_there_now() {
    let calm = Calm::new();
    let all = Task::Merge([].into(), None);
    let received = stream(1, at("2026-11-23T14:00:00Z"), 3, 4);
    let of_1 = segments("1", &received[0]);
    let [here, other] = [1, 2].map(|nth| Merger::new(&format!("m{nth}"), nth, 0));
    let (known, new) = of_1.split_at(1);
    calm.deliver(0, known, "2026-11-23T14:05:00Z");
    calm.merge(&here, &all, "2026-11-23T14:05:00Z");
    calm.deliver(0, new, "2026-11-23T14:10:00Z");
    calm.merge(&other, &all, "2026-11-23T14:10:00Z");

    // this machine dies before it has the seals
    let spool = spool_of(Path::new(ROOT));
    let paths = |segment: &Segment| {
        let paths = segment.name.paths(&spool);
        [raw::compressed(&paths.segment), paths.events, paths.seal]
    };
    for segment in new {
        let [packed, events, _] = paths(segment);
        here.disk.make_folder(packed.parent().unwrap()).unwrap();
        for path in [packed, events] {
            let bytes = read_bounded(&other.disk, &path, 1 << 20).unwrap();
            disk::put(&here.disk, &path, &bytes).unwrap();
        }
    }
    // of one of them a line is taken out meanwhile, and the other one goes
    let id = new[0].lines.iter().find_map(|one| super::id_of(&one.line));
    let key = SAMPLE.source.key(&id.unwrap()).unwrap();
    calm.merge(&other, &Task::Redact([key].into()), "2026-11-23T14:20:00Z");
    let mut objects = calm.stage.store.objects();
    let gone = new[1].name.to_string();
    objects.retain(|object, _| !object.contains(&gone));
    calm.stage.store.replace(objects);

    calm.merge(&here, &all, "2026-11-23T14:30:00Z");
    for path in paths(&new[0]) {
        let [here, other] =
            [&here, &other].map(|of| read_bounded(&of.disk, &path, 1 << 20).unwrap());
        assert_eq!(here, other, "{}", path.display());
    }
    for path in paths(&new[1]) {
        assert_eq!(here.disk.len(&path).unwrap(), None, "{}", path.display());
    }
}
