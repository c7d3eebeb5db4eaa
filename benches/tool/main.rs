//! What the benchmarks need beside the program itself: the reference hour, a merge whose files are
//! not compressed, and a collector that tells when its lines were durable. `scripts/bench` runs it.

#![expect(clippy::print_stdout, reason = "it talks to the script that runs it")]

use clap::Parser;
use twinstream::source::{BLUESKY, FIREHOSE, SAMPLE, Stream};

mod durable;
mod hour;
mod merge;
mod stored;

/// Whatever goes wrong ends the benchmark.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
enum Tool {
    /// Makes the reference hour
    Make(hour::Make),
    /// Collects, and tells when every line was durable
    Collect(durable::Collect),
    /// Merges it
    Merge(merge::MergeHour),
}

/// The stream of a source.
fn stream(word: &str) -> Result<Stream, String> {
    match word {
        "x" => Ok(SAMPLE),
        "firehose" => Ok(FIREHOSE),
        "bluesky" => Ok(BLUESKY),
        _ => Err("x, firehose or bluesky".to_owned()),
    }
}

fn main() -> Result<(), Failure> {
    match Tool::parse() {
        Tool::Make(make) => make.run(),
        Tool::Collect(collect) => collect.run(),
        Tool::Merge(merge) => merge.run(),
    }
}
