//! One run: looks whether a stamp is due, asks for it, keeps it only if it holds.

use std::{io, path::Path};

use super::{
    ask::{self, NoAnswer},
    plan::{self, StampDecision},
};
use crate::{
    config::{proxy::Proxies, settings::Witness as Settings},
    period::UtcMs,
    segment::sha256::Sha256,
    stamp::{
        request::{Hash, Nonce, request},
        token::{NoToken, Token},
        trust::Trust,
    },
    vault::{
        ledger::{self, LedgerError},
        witness::{self, StampName, Witness, WitnessStamp},
    },
    world::{
        clock::Clock,
        disk::Disk,
        error_at::{At as _, ErrorAt},
    },
};

/// The order for a run.
pub struct WitnessJob<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Whose ledger.
    pub vault: &'a Path,
    /// The authority, and how often it is asked.
    pub settings: &'a Settings,
    /// Whose answers hold.
    pub trust: &'a Trust,
    /// The network's proxies.
    pub proxies: &'a Proxies,
    /// The time.
    pub clock: &'a Clock,
    /// Bytes that must stay free.
    pub keep_free: u64,
}

/// Why there is no stamp.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The vault.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// Its ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Too little room.
    #[error("{0} has less free space than merge.keep_free")]
    Room(String),
    /// The authority did not answer.
    #[error("{url}: {source}")]
    NoAnswer {
        /// Who.
        url: String,
        /// Why.
        source: NoAnswer,
    },
    /// It answered, and that does not hold.
    #[error("{url}: its answer is refused: {source}")]
    Refused {
        /// Who.
        url: String,
        /// Why.
        source: NoToken,
    },
}

impl WitnessJob<'_> {
    /// What is due.
    pub fn due(&self, at_once: bool) -> Result<StampDecision, WitnessError> {
        let lines = ledger::each_whole_line(self.disk, self.vault, |_| ())?;
        let stamps = Witness::names(self.disk, self.vault).at(self.vault)?;
        let newest = stamps.last().copied();
        let (every, now) = (self.settings.every, self.clock.now());
        Ok(plan::due(lines.len() as u64, newest, every, now, at_once))
    }

    /// Has the ledger's line of that number stamped. `chance` is the nonce.
    pub fn stamp(&self, line: u64, chance: [u8; 8]) -> Result<WitnessStamp, WitnessError> {
        let free = self.disk.free(self.vault).at(self.vault)?;
        if free < self.keep_free {
            return Err(WitnessError::Room(self.vault.display().to_string()));
        }
        let hash = |line: &[u8]| Hash::from(Sha256::of(line));
        let hashes = ledger::each_whole_line(self.disk, self.vault, hash)?;
        let index = usize::try_from(line)
            .ok()
            .and_then(|line| line.checked_sub(1));
        let hash = index.and_then(|index| hashes.get(index));
        let hash = hash
            .ok_or_else(|| io::Error::other("the ledger is shorter now"))
            .at(self.vault)?;
        let (token, answer) = self.ask(hash, chance)?;
        let name = StampName {
            second: token.time.second(),
            line,
        };
        witness::keep(self.disk, self.vault, self.trust, (name, &answer)).at(self.vault)?;
        Ok(WitnessStamp {
            name: name.to_string(),
            line,
            time: token.time,
            authority: token.authority,
        })
    }

    /// Has the authority stamp a hash. `chance` is the nonce. The answer holds.
    pub fn ask(&self, hash: &Hash, chance: [u8; 8]) -> Result<(Token, Vec<u8>), WitnessError> {
        let nonce = Nonce::new(chance);
        let url = self.settings.tsa.clone();
        let answer = match ask::ask(&url, &request(hash, nonce), self.proxies, self.clock) {
            Ok(answer) => answer,
            Err(source) => return Err(WitnessError::NoAnswer { url, source }),
        };
        match checked(&answer, self.trust, hash, nonce) {
            Ok(token) => Ok((token, answer)),
            Err(source) => Err(WitnessError::Refused { url, source }),
        }
    }

    /// How far the authority's time is from this machine's, in seconds.
    pub fn off_by(&self, time: UtcMs) -> i64 {
        time.second() - self.clock.now().second()
    }
}

/// An answer that holds and is one to this request.
fn checked(answer: &[u8], trust: &Trust, hash: &Hash, nonce: Nonce) -> Result<Token, NoToken> {
    let token = Token::open(answer, trust)?;
    token.check_hash(hash)?;
    token.check_nonce(nonce)?;
    Ok(token)
}
