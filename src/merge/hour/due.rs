//! An hour that is due, with everything that is to be merged.

use std::collections::BTreeMap;

use crate::{
    merge::plan::KnownInput,
    period::{Hour, UtcMs},
    segment::name::{Leg, SegmentName, ServerId},
    vault::manifest::{History, Inputs, Manifest},
};

/// An hour that is due.
pub struct DueHour {
    /// The hour.
    pub hour: Hour,
    /// Everything that is to be merged.
    pub inputs: Inputs,
    /// The former revision, if its raw data is gone: its rows stand for its inputs.
    pub former: Option<Manifest>,
    /// The configured legs whose servers have not ended before it.
    pub servers: Vec<Leg>,
    /// The primary: nothing of it can be on its way.
    pub primary: Option<ServerId>,
    /// What the plan knows of the inputs that are here.
    pub known: BTreeMap<SegmentName, KnownInput>,
    /// Whether it is in the vault's span. Outside it, nothing ran.
    pub is_in_span: bool,
    /// When the vault began: its first connection.
    pub began: Option<UtcMs>,
    /// What comes in with this revision; its number and its predecessor are put in here.
    pub history: History,
}

impl DueHour {
    /// Whether nothing of a leg that stopped in order can be on its way: it is the primary's, or not collected any more.
    pub(super) fn has_all_of(&self, leg: &Leg) -> bool {
        self.primary.as_ref() == Some(&leg.server) || !self.servers.contains(leg)
    }

    /// The inputs whose files are read: those that the former revision's rows do not stand for.
    pub(super) fn fresh<'d, T: PartialEq + 'd>(
        &'d self,
        of: impl Fn(&'d Inputs) -> &'d [T],
    ) -> impl Iterator<Item = &'d T> {
        let former = self.former.as_ref().map(|former| of(&former.inputs));
        let is_fresh = move |input: &&T| former.is_none_or(|former| !former.contains(input));
        of(&self.inputs).iter().filter(is_fresh)
    }
}
