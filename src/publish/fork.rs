//! Whether our ledger begins with the public one. If not, two vaults, or two states of one, claim
//! the same place, and whatever is replaced there may be the better one.

use super::answer::RemoteEntry;
use crate::segment::sha256::Sha256;

/// How the public ledger and ours part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fork {
    /// The public one begins with ours.
    #[error(
        "this vault is older than what is public: the public ledger continues after its own end \
         ({public} lines, {ours} here)"
    )]
    RolledBack {
        /// Lines of the public ledger.
        public: usize,
        /// Lines of ours.
        ours: usize,
    },
    /// They differ.
    #[error(
        "the public ledger is another vault's: of its {public} lines the first {common} are this vault's, \
         the next one is not"
    )]
    Parted {
        /// Lines of the public ledger.
        public: usize,
        /// Lines in which they agree.
        common: usize,
    },
}

/// Whether a public file has the bytes with which ours begins.
pub fn is_beginning(ours: &[u8], public: &RemoteEntry) -> bool {
    let len = public.size.and_then(|size| usize::try_from(size).ok());
    let begin = len.and_then(|len| ours.get(..len));
    begin.is_some_and(|begin| public.sha256 == Some(Sha256::of(begin)))
}

/// How they part; `None` if ours begins with the public one, or is the same.
pub fn between(ours: &[u8], public: &[u8]) -> Option<Fork> {
    if ours.starts_with(public) {
        return None;
    }
    let lines = |text: &[u8]| text.split_inclusive(|byte| *byte == b'\n').count();
    let pairs = ours.split_inclusive(|byte| *byte == b'\n');
    let pairs = pairs.zip(public.split_inclusive(|byte| *byte == b'\n'));
    let common = pairs.take_while(|(ours, public)| ours == public).count();
    Some(if public.starts_with(ours) {
        Fork::RolledBack {
            public: lines(public),
            ours: common,
        }
    } else {
        Fork::Parted {
            public: lines(public),
            common,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_beginning_may_be_replaced() {
        let (rolled_back, parted) = (
            |public, ours| Some(Fork::RolledBack { public, ours }),
            |public, common| Some(Fork::Parted { public, common }),
        );
        for (ours, public, fork) in [
            ("a\nb\n", "", None),
            ("a\nb\n", "a\n", None),
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\n", "a\nb\nc\n", rolled_back(3, 2)),
            ("", "a\n", rolled_back(1, 0)),
            ("a\nb\n", "a\nc\n", parted(2, 1)),
            ("a\nb\nc\n", "x\n", parted(1, 0)),
            ("a\nb\n", "a\nb\r\n", parted(2, 1)),
        ] {
            assert_eq!(
                between(ours.as_bytes(), public.as_bytes()),
                fork,
                "{ours:?} {public:?}"
            );
        }
    }
}
