//! Frames: events compressed with a dictionary, and what is no event.

use std::io;

use crate::{
    period::UtcMs,
    simulate::{chance::Chance, garbage::Garbage},
};

use super::{happened::Breadth, name, world::World};

/// A dictionary has about this many bytes.
const DICTIONARY_BYTES: usize = 16 << 10;

/// How many seconds of events a dictionary is made from.
const SECONDS: i64 = 40;

const LEVEL: i32 = 3;

/// A zstd frame of two bytes that names a dictionary that nobody has.
pub(super) const UNKNOWN_DICTIONARY: &[u8] =
    b"\x28\xb5\x2f\xfd\x23\xde\xad\xbe\x6f\x02\x11\x00\x00{}";

/// Compresses events, one frame each.
pub(super) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub(super) fn new(dictionary: &[u8]) -> io::Result<Self> {
        Ok(Self(zstd::bulk::Compressor::with_dictionary(
            LEVEL, dictionary,
        )?))
    }

    pub(super) fn frame(&mut self, json: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(json)
    }
}

/// A dictionary made of what happens in the world of that seed: the same in every process.
pub fn dictionary(seed: u64) -> io::Result<Vec<u8>> {
    let world = World {
        seed,
        posts_per_1000s: 12_000,
    };
    let samples: Vec<_> = (0..SECONDS)
        .flat_map(|second| world.second(1_795_000_000 + second, Breadth::All))
        .map(|event| event.rest)
        .collect();
    zstd::dict::from_samples(&samples, DICTIONARY_BYTES)
}

/// A text frame that is no good event, as it is sent at that moment. `long_bytes` is for `OverLong` only.
pub(super) fn garbage(kind: Garbage, long_bytes: usize, at: UtcMs, chance: &mut Chance) -> Vec<u8> {
    let (time_us, mut did, mut rev) = (at.0 * 1_000, "did:plc:".to_owned(), String::new());
    name::put_plc(&mut did, chance);
    name::put_tid(&mut rev, time_us, chance.below(1_024));
    let event = |rev: &str, text: &str| {
        format!(
            r#"{{"did":"{did}","time_us":{time_us},"kind":"commit","commit":{{{rev}"operation":"create","collection":"app.bsky.feed.post","rkey":"self","record":{{"$type":"app.bsky.feed.post","createdAt":"{at}","text":"{text}"}},"cid":"bafyrei"}}}}"#
        )
    };
    let good = format!(r#""rev":"{rev}","#);
    match kind {
        Garbage::NotJson => b"upstream connect error or disconnect/reset before headers".to_vec(),
        Garbage::Torn => {
            let mut whole = event(&good, "torn in the middle").into_bytes();
            whole.truncate(whole.len() / 2);
            whole
        }
        Garbage::OverLong => event(&good, &"x".repeat(long_bytes)).into_bytes(),
        Garbage::LoneSurrogate => event(&good, r"half a pair \ud83d and on").into_bytes(),
        Garbage::RawNul => event(&good, "a raw \0 byte").into_bytes(),
        Garbage::NotUtf8 => {
            let mut bytes = event(&good, "latin ? text").into_bytes();
            for byte in bytes.iter_mut().filter(|byte| **byte == b'?') {
                *byte = 0xe9;
            }
            bytes
        }
        Garbage::NoId => event("", "no rev").into_bytes(),
        Garbage::HugeId => event(r#""rev":"zzzzzzzzzzzzzz","#, "no TID").into_bytes(),
        Garbage::DuplicateKeys => {
            event(&format!(r#""rev":"2222222222222",{good}"#), "rev twice").into_bytes()
        }
        Garbage::UnknownObject => {
            format!(r#"{{"did":"{did}","time_us":{time_us},"kind":"sync","sync":{{"seq":1}}}}"#)
                .into_bytes()
        }
        Garbage::BeforeSnowflake => event(r#""rev":"2222222222222","#, "made in 1970").into_bytes(),
        Garbage::WhiteSpace => b" \t  ".to_vec(),
    }
}
