//! Tells when the sampling window of a committed hour is not that of the hours before.

use crate::{
    alarm::AlarmKind,
    cover::window::{window, words},
    period::Hour,
    vault::{commit::HourOfVault, manifest::Manifest},
};

/// How many earlier hours are searched for one with enough posts.
const HOURS_BACK: i64 = 24;

/// Compares a revision that was just committed in `place` with the nearest hour before it.
pub fn heed(place: &HourOfVault<'_>, manifest: &Manifest) {
    // later revisions have nothing new to say of it
    if manifest.history.revision != 1 {
        return;
    }
    let Some(now) = window(&manifest.residues) else {
        return;
    };
    let before = (1..=HOURS_BACK).find_map(|back| {
        let earlier = HourOfVault {
            hour: Hour(place.hour.0 - back),
            ..*place
        };
        match earlier.current() {
            Ok(Some((manifest, _))) => window(&manifest.residues).map(|w| (earlier.hour, w)),
            // the merge of that hour reports an unreadable manifest
            Ok(None) | Err(_) => None,
        }
    });
    if let Some((hour, before)) = before
        && before != now
    {
        alarm!(
            AlarmKind::SamplingWindow,
            place.hour,
            "the posts of hour {} come from the milliseconds {}, those of hour {hour} from {}\n  \
             hint: the platform has changed its sample from here on; say so wherever you use it",
            place.hour,
            words(&now),
            words(&before)
        );
    }
}
