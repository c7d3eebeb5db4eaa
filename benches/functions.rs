//! Single functions, on lines as the simulator makes them: `scripts/bench functions`.
//!
//! What has no door to the outside (the framer, the gzip decoder) is measured within the whole
//! collector: `scripts/bench collector`.

use std::{hint::black_box, rc::Rc};

use divan::{Bencher, counter::BytesCount};
use twinstream::{
    merge::dedupe::{Copy, dedupe},
    period::UtcMs,
    post::{flatten, parse},
    segment::{line, seal::Digester},
    simulate::post::{Fields, Recipe, Vocabulary},
    vault::{
        csv,
        xz::{Effort, XzWriter},
    },
    world::disk::RealDisk,
};

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
    let mut rows = Vec::new();
    for stored in stored() {
        if let Ok(post) = parse::post(&stored) {
            csv::push_row(&mut rows, flatten::post_row(&post, "1"));
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
            black_box(parse::post(stored).is_ok());
        }
    });
}

#[divan::bench]
fn csv_rows(bencher: Bencher) {
    let lines = stored();
    let posts: Vec<_> = lines.iter().flat_map(|line| parse::post(line)).collect();
    bencher.counter(BytesCount::of_slice(&rows())).bench(|| {
        let mut out = Vec::with_capacity(8 << 20);
        for post in &posts {
            csv::push_row(&mut out, flatten::post_row(post, "1"));
        }
        out
    });
}

#[divan::bench]
fn dedupe_two_servers(bencher: Bencher) {
    let lines = stored();
    let posts: Vec<_> = lines
        .iter()
        .flat_map(|line| parse::post(line).map(|post| (line, Rc::new(post))))
        .collect();
    let copies = || {
        let of = |server: usize| {
            posts.iter().map(move |(line, post)| Copy {
                retrieved_at: UtcMs(0),
                lag_ms: 0,
                server,
                received: (line.as_slice(), &[][..]),
                post: Rc::clone(post),
                former: None,
            })
        };
        of(0).chain(of(1)).collect::<Vec<_>>()
    };
    bencher
        .with_inputs(copies)
        .bench_local_values(|copies| dedupe(copies, &[Vec::new(), Vec::new()], |_, _| ()));
}

#[divan::bench(args = ["stored", "fast", "balanced", "small"], sample_count = 3, sample_size = 1)]
fn xz(bencher: Bencher, effort: &str) {
    let effort = match effort {
        "stored" => Effort::Stored,
        "fast" => Effort::Fast,
        "balanced" => Effort::Balanced,
        _ => Effort::Small,
    };
    let rows = rows();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("rows.xz");
    bencher
        .counter(BytesCount::of_slice(&rows))
        .bench_local(|| {
            let mut file = XzWriter::create(&RealDisk, &path, effort, 1).expect("a new file");
            file.write_all(&rows).expect("room for it");
            file.finish("rows.xz".to_owned(), 0).expect("room for it")
        });
}
