//! Which stream the configuration names, and the words for X's streams on the command line.

use std::ffi::OsStr;

use clap::{
    Arg, Command,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
    error::{ContextKind, ContextValue},
};

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

/// X's streams.
pub(crate) fn words() -> [&'static str; 4] {
    XStream::ALL.map(XStream::word)
}

/// Takes one of them. What X's pages call the decahose is not like any of them, and clap would propose another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamWord;

impl TypedValueParser for StreamWord {
    type Value = String;

    fn parse_ref(
        &self,
        cmd: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let known = PossibleValuesParser::new(words());
        known.parse_ref(cmd, arg, value).map_err(|mut error| {
            if value == "decahose" {
                let meant = ContextValue::String("sample10".to_owned());
                error.insert(ContextKind::SuggestedValue, meant);
            }
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(words().into_iter().map(PossibleValue::new)))
    }
}
