//! Fuzzing: a target is given seeds, then what becomes of them when they are changed a little, again and again.
//!
//! Inputs that come to another outcome than all before are changed further, so it finds its way behind the first
//! check. The everyday suite gives each target a fixed number of inputs from a fixed seed; `scripts/fuzz` gives it
//! seconds, and another seed each time. What breaks a target is kept in `tests/corpus/<target>/`, and is the first
//! thing that the target is given from then on.

#![expect(
    clippy::disallowed_methods,
    reason = "it keeps what breaks a target with plain file operations, and has a limit in time"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

/// The seed of the everyday suite.
const EVERYDAY_SEED: u64 = 0x7477_696e;

/// No input is longer.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Inputs that are kept to be changed further.
const POOL_MAX: usize = 2_000;

/// Processor time for one input, in a build without optimization.
const CPU_PER_INPUT_MAX: Duration = Duration::from_secs(3);

/// Memory of the process, when `scripts/fuzz` runs one target in it.
const MEMORY_KIB_MAX: u64 = 1 << 20;

/// What is good at breaking parsers.
const NASTY: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u{2028}".as_bytes(),
    "\u{1f30d}".as_bytes(),
    b"\\ud800",
    b"\\u0000",
    b"../",
    b"/",
    b"..",
    b"/etc/passwd",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"null",
    b"true",
    b"{}",
    b"[[[[[[[[[[[[[[[[",
    b"-",
    b"-1",
    b"+1",
    b"0",
    b"1e999",
    b"65536",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"-9223372036854775808",
    b"9999-12-31T23:59:59.999Z",
    b"-0001-01-01T00:00:00.000Z",
    b"2026-02-30_24",
    b"\x1b[2J",
];

/// A target: a name, the inputs it begins with, and how many it is given on an ordinary day.
pub(crate) struct Fuzz {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    inputs: usize,
}

impl Fuzz {
    pub(crate) fn new(name: &'static str, inputs: usize) -> Self {
        let mut seeds = Vec::new();
        if let Ok(list) = fs::read_dir(folder(name)) {
            let mut files: Vec<PathBuf> = list.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            seeds.extend(files.iter().map(|path| fs::read(path).unwrap()));
        }
        Self {
            name,
            seeds,
            inputs,
        }
    }

    /// An input to begin with, beside those that lie in `tests/corpus/<target>/`.
    pub(crate) fn seed(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.seeds.push(input.into());
        self
    }

    /// Runs. The target asserts what must hold, and says in a word or two what became of the input.
    #[track_caller]
    pub(crate) fn run(self, target: impl Fn(&[u8]) -> String) {
        assert!(!self.seeds.is_empty(), "{}: no seed", self.name);
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let seconds: Option<u64> = number("TWINSTREAM_FUZZ_SECONDS");
        let drawn = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap()
        };
        let today = || seconds.map_or(EVERYDAY_SEED, |_| drawn());
        let seed = number("TWINSTREAM_FUZZ_SEED").unwrap_or_else(today);
        let mut running = Running {
            name: self.name,
            seed,
            chance: Chance(seed),
            outcomes: BTreeSet::new(),
            pool: Vec::new(),
            is_long: seconds.is_some(),
        };
        for input in self.seeds {
            running.give(&target, input);
        }
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut given = 0_u64;
        loop {
            let is_over = end.map_or(self.inputs as u64 <= given, |end| end <= Instant::now());
            if is_over {
                break;
            }
            let input = running.next();
            running.give(&target, input);
            given += 1;
            if running.is_long && given.is_multiple_of(1_024) {
                check_memory(self.name);
            }
        }
        if running.is_long {
            let outcomes = running.outcomes.len();
            let (name, seed) = (self.name, running.seed);
            say(&format!(
                "fuzz {name}: {given} inputs, {outcomes} outcomes, seed {seed}"
            ));
        }
    }
}

/// What has to be known on the way.
struct Running {
    name: &'static str,
    seed: u64,
    chance: Chance,
    outcomes: BTreeSet<String>,
    pool: Vec<Vec<u8>>,
    is_long: bool,
}

impl Running {
    fn give(&mut self, target: &impl Fn(&[u8]) -> String, input: Vec<u8>) {
        let running = folder_of_build().join(format!("fuzz-{}", self.name));
        if self.is_long {
            // if the process is ended by it, or never ends, this is where it is
            fs::write(&running, &input).unwrap();
        }
        let begin = cpu_time();
        match catch_unwind(AssertUnwindSafe(|| target(&input))) {
            Ok(outcome) => {
                let spent = cpu_time().saturating_sub(begin);
                let is_quick = spent <= CPU_PER_INPUT_MAX;
                let name = self.name;
                assert!(
                    is_quick,
                    "{name}: {spent:?} of processor time for {}",
                    self.keep(&input)
                );
                // a number in an error makes no other outcome
                let outcome = outcome.chars().filter(|c| !c.is_ascii_digit());
                let outcome = outcome.take(100).collect();
                if self.pool.len() < POOL_MAX && self.outcomes.insert(outcome) {
                    self.pool.push(input);
                }
            }
            Err(why) => {
                let kept = self.keep(&input);
                say(&format!(
                    "fuzz {}: seed {}, kept as {kept}",
                    self.name, self.seed
                ));
                resume_unwind(why);
            }
        }
        if self.is_long {
            fs::remove_file(&running).unwrap();
        }
    }

    /// Keeps what broke the target. Where.
    fn keep(&self, input: &[u8]) -> String {
        let folder = folder(self.name);
        fs::create_dir_all(&folder).unwrap();
        let hash: [u8; 32] = Sha256::digest(input).into();
        let begin = u64::from_be_bytes(hash[..8].try_into().unwrap());
        let name = format!("found-{begin:016x}");
        fs::write(folder.join(&name), input).unwrap();
        format!("tests/corpus/{}/{name}", self.name)
    }

    /// One of the pool with one to six changes.
    fn next(&mut self) -> Vec<u8> {
        let chance = &mut self.chance;
        let mut input = chance.one_of(&self.pool).clone();
        for _ in 0..=chance.below(6) {
            change(&mut input, chance, &self.pool);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }
}

fn change(input: &mut Vec<u8>, chance: &mut Chance, pool: &[Vec<u8>]) {
    let (from, to) = chance.part_of(input.len());
    match chance.below(12) {
        0 => drop(input.drain(from..to)),
        1 => input.truncate(to),
        2 => {
            let part = input[from..to].to_vec();
            let times = 1 + chance.below(4);
            let at = chance.below(input.len() + 1);
            input.splice(at..at, part.repeat(times));
        }
        3 if !input.is_empty() => {
            let at = chance.below(input.len());
            input[at] ^= 1 << chance.below(8);
        }
        4 if !input.is_empty() => {
            let at = chance.below(input.len());
            input[at] = chance.below(256).to_le_bytes()[0];
        }
        5 => drop(input.splice(from..from, chance.one_of(NASTY).iter().copied())),
        6 => drop(input.splice(from..to, chance.one_of(NASTY).iter().copied())),
        7 => {
            let other = chance.one_of(pool);
            let (begin, end) = chance.part_of(other.len());
            input.splice(from..to, other[begin..end].iter().copied());
        }
        8 | 9 => {
            // a number or a word that stands there gives way to a nasty one
            let token = token_at(input, from);
            input.splice(token, chance.one_of(NASTY).iter().copied());
        }
        10 => {
            let mut lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
            if !lines.is_empty() {
                let (a, b) = (chance.below(lines.len()), chance.below(lines.len()));
                lines.swap(a, b);
                *input = lines.concat();
            }
        }
        _ => {
            // something very long, or very deep
            let unit = *chance.one_of(&[&b"["[..], b"{\"a\":", b"9", b"a", b" ", b"\"", b"\0"]);
            let times = chance.below(5_000);
            input.splice(from..from, unit.repeat(times));
        }
    }
}

/// The word or number around a place.
fn token_at(input: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let before = input[..at].iter().rev().take_while(|b| is_of_it(b)).count();
    let after = input[at..].iter().take_while(|b| is_of_it(b)).count();
    at - before..at + after
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end.max(1) as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Most parts are short.
    fn part_of(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len + 1);
        let most = if self.below(4) == 0 { len } else { 16 };
        (from, from + self.below((len - from).min(most) + 1))
    }
}

/// To standard error past the test runner, which keeps back what a passing test prints.
fn say(line: &str) {
    io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name)
}

/// The folder that the test's program lies in.
fn folder_of_build() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().unwrap().to_owned()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

fn check_memory(name: &str) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.unwrap().trim().parse().unwrap();
    assert!(kib <= MEMORY_KIB_MAX, "{name}: {kib} KiB of memory");
}
