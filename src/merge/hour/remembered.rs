//! What the events files of an hour told, and the posts of their runs about the clocks: kept in the hour's `posts.parquet`. Raw
//! data goes, and what comes late may change what the files that are gone mean: which file was a server's first, what ran between
//! two of them. So a later revision reads all of it again, and says what it would say if all had come at once.
//!
//! JSON, compressed with zstd, in base 64.

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    cover::{clock::Lag, evidence::EventsFile},
    segment::name::SegmentName,
    vault::manifest::Inputs,
};

/// An hour of one leg has some 30 KB, one of 40 legs some megabytes.
const BYTES_MAX: u64 = 256 << 20;

const ZSTD_LEVEL: i32 = 9;

/// What is kept.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The events files, ascending by name.
    pub files: Vec<EventsFile>,
    /// How far the stamps of segments lie after their posts, ascending by name.
    pub lags: Vec<(SegmentName, Lag)>,
}

impl Remembered {
    /// Adds what has come in since.
    pub fn add(&mut self, later: Self) {
        self.files.extend(later.files);
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
        self.lags.extend(later.lags);
        self.lags.sort();
        self.lags.dedup();
    }

    /// Drops what is of no input.
    pub fn keep_inputs(&mut self, inputs: &Inputs) {
        let events = inputs.events.iter().map(|input| &input.name);
        let events: BTreeSet<&SegmentName> = events.collect();
        let segments = inputs.segments.iter().map(|input| &input.name);
        let segments: BTreeSet<&SegmentName> = segments.collect();
        self.files.retain(|file| events.contains(&file.name));
        self.lags
            .retain(|(name, _)| events.contains(name) || segments.contains(name));
    }

    /// As it is kept.
    pub fn to_text(&self) -> io::Result<String> {
        let json = serde_json::to_vec(self)?;
        let packed = zstd::bulk::compress(&json, ZSTD_LEVEL)?;
        Ok(BASE64_STANDARD.encode(packed))
    }

    /// From what was kept.
    pub fn from_text(text: &str) -> io::Result<Self> {
        let damaged = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let packed = BASE64_STANDARD
            .decode(text)
            .map_err(|why| damaged(why.to_string()))?;
        let mut json = Vec::new();
        let mut from = zstd::stream::read::Decoder::new(&*packed)?.take(BYTES_MAX);
        from.read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}
