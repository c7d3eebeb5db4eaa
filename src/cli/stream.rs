//! Which stream the configuration names.

use crate::{
    config::{
        platform::Platform,
        settings::{Settings, XStream},
    },
    source::{BLUESKY, FILTERED, FIREHOSE, SAMPLE, SAMPLE10, Stream},
};

/// What is collected.
pub(crate) const fn of(settings: &Settings) -> Stream {
    match (settings.source, settings.x.stream) {
        (Platform::X, XStream::Sample) => SAMPLE,
        (Platform::X, XStream::Sample10) => SAMPLE10,
        (Platform::X, XStream::Firehose) => FIREHOSE,
        (Platform::X, XStream::Filtered) => FILTERED,
        (Platform::Bluesky, _) => BLUESKY,
    }
}
