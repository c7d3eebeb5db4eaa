//! Single functions, on lines as the simulator makes them: `scripts/bench functions`.
//!
//! What has no door to the outside (the framer, the gzip decoder) is measured within the whole
//! collector: `scripts/bench collector`.

#[path = "tool/stored.rs"]
mod stored;

use std::hint::black_box;

use divan::{Bencher, counter::BytesCount};
use twinstream::{
    merge::hour::{
        dedupe::{Copy, dedupe},
        made::Made,
    },
    period::UtcMs,
    segment::{line, seal::Digester},
    simulate::recipe::{Fields, Recipe, Vocabulary},
    source::{
        Source as _,
        x::{X, parse},
    },
    vault::{
        csv,
        deleted::Deleted,
        xz::{Compress, Effort, Filling, XzWriter},
    },
    world::disk::RealDisk,
};

use stored::Stored;

fn main() {
    divan::main();
}

/// Two minutes of posts, as they were received.
fn received() -> Vec<Vec<u8>> {
    let recipe = Recipe {
        seed: 42,
        posts_per_1000s: 50_000,
        residues: (0..=9).collect(),
        fields: Fields::Core,
        vocabulary: Vocabulary::Tweet,
    };
    let begin = 1_795_456_800;
    let seconds = (begin..begin + 120).map(|second| recipe.second(second));
    let lines = seconds.flat_map(|made| {
        let line = |post: &twinstream::simulate::post::Made| {
            made.bytes[post.line.clone()].trim_ascii_end().to_vec()
        };
        made.posts.iter().map(line).collect::<Vec<_>>()
    });
    lines.collect()
}

fn stored() -> Vec<Vec<u8>> {
    let store = |received: Vec<u8>| {
        let mut stored = Vec::new();
        line::store(&received, UtcMs(1_795_456_801_234), &mut stored);
        stored.pop();
        stored
    };
    received().into_iter().map(store).collect()
}

fn bytes(lines: &[Vec<u8>]) -> BytesCount {
    BytesCount::new(lines.iter().map(Vec::len).sum::<usize>())
}

/// `tweets.csv` of the two minutes.
fn rows() -> Vec<u8> {
    let (lines, mut rows) = (stored(), Vec::new());
    let mut records = X.records(false);
    for stored in &lines {
        if let Ok(record) = records.read(stored, None) {
            csv::push_row(&mut rows, records.row(record).unwrap_or_default());
        }
    }
    rows
}

#[divan::bench]
fn line_store(bencher: Bencher) {
    let lines = received();
    bencher.counter(bytes(&lines)).bench(|| {
        let mut out = Vec::with_capacity(8 << 20);
        for line in &lines {
            line::store(line, UtcMs(1_795_456_801_234), &mut out);
        }
        out
    });
}

#[divan::bench]
fn line_cut(bencher: Bencher) {
    let lines = stored();
    bencher.counter(bytes(&lines)).bench(|| {
        for stored in &lines {
            black_box(line::cut(stored));
        }
    });
}

#[divan::bench]
fn digest(bencher: Bencher) {
    let lines = stored().concat();
    bencher.counter(BytesCount::of_slice(&lines)).bench(|| {
        let mut digester = Digester::default();
        digester.update(&lines);
        digester.finish()
    });
}

#[divan::bench]
fn parse_place(bencher: Bencher) {
    let lines = stored();
    bencher.counter(bytes(&lines)).bench(|| {
        for stored in &lines {
            black_box(parse::place(stored).is_ok());
        }
    });
}

#[divan::bench]
fn parse_post(bencher: Bencher) {
    let lines = stored();
    bencher.counter(bytes(&lines)).bench(|| {
        for stored in &lines {
            black_box(parse::post(stored, true).is_ok());
        }
    });
}

#[divan::bench]
fn csv_rows(bencher: Bencher) {
    let lines = stored();
    let mut records = X.records(false);
    let read = lines.iter().flat_map(|line| records.read(line, None));
    let posts: Vec<usize> = read.collect();
    bencher
        .counter(BytesCount::of_slice(&rows()))
        .bench_local(|| {
            let mut out = Vec::with_capacity(8 << 20);
            for post in &posts {
                csv::push_row(&mut out, records.row(*post).unwrap_or_default());
            }
            out
        });
}

#[divan::bench]
fn dedupe_two_servers(bencher: Bencher) {
    let lines = stored();
    let mut records = X.records(false);
    let read = lines
        .iter()
        .flat_map(|line| records.read(line, None).map(|record| (line, record)));
    let posts: Vec<(&Vec<u8>, usize)> = read.collect();
    let connections = [Vec::new(), Vec::new()];
    let made = Made {
        source: &X,
        names: &[],
        part_of: &[0, 0],
        connections: &connections,
        columns: None,
        deleted: &Deleted::none(&RealDisk),
    };
    let copies = || {
        let of = |server: usize| {
            posts.iter().map(move |(line, record)| Copy {
                retrieved_at: UtcMs(0),
                lag_ms: 0,
                server,
                received: (line.as_slice(), &[][..]),
                record: *record,
                former: None,
            })
        };
        of(0).chain(of(1)).collect::<Vec<_>>()
    };
    bencher
        .with_inputs(copies)
        .bench_local_values(|copies| dedupe(copies, &made, &mut *records, |_, _, _, _| ()));
}

#[divan::bench(args = ["stored", "fast", "balanced", "small"], sample_count = 3, sample_size = 1)]
fn xz(bencher: Bencher, effort: &str) {
    let effort: &dyn Compress = match effort {
        "stored" => &Stored,
        "fast" => &Effort::Fast,
        "balanced" => &Effort::Balanced,
        _ => &Effort::Small,
    };
    let rows = rows();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("rows.xz");
    bencher
        .counter(BytesCount::of_slice(&rows))
        .bench_local(|| {
            let mut file = XzWriter::create(&RealDisk, &path, effort, (1, Filling::Gradual))
                .expect("a new file");
            file.write_all(&rows).expect("room for it");
            file.finish("rows.xz".to_owned(), 0).expect("room for it")
        });
}
