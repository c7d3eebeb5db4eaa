//! Turns messages into lines: each is stored as it came, with a stamp that names the endpoint.

use std::borrow::Cow;

use memchr::memchr2;
use zstd::{bulk::Decompressor, zstd_safe};

use super::live::Live;
use crate::{
    period::UtcMs,
    segment::line,
    source::{
        bluesky::event::seen_us,
        wire::{Intake, IntakeError, Portion},
    },
};

/// A longer message is stored cut. The relays take no larger frame than 5 MB.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What begins a frame of zstd.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The first event is younger than what was asked for by less than this, or what lies between is no more to be had.
/// Events come by the dozen a second, those of identities and accounts whatever is asked for; and the clocks of two
/// endpoints differ by less.
const CLAMPED_MS: i64 = 15_000;

/// Takes messages in.
pub(super) struct Messages {
    endpoint: String,
    unpacker: Option<Unpacker>,
    /// From where on it was asked for, until the first event has come.
    asked_us: Option<i64>,
    last_us: Option<i64>,
    live: Live,
}

impl Messages {
    pub(super) fn new(endpoint: &str, unpacker: Option<Unpacker>, asked_us: Option<i64>) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            unpacker,
            asked_us,
            last_us: None,
            live: Live::default(),
        }
    }

    fn store(&mut self, message: &[u8], at: UtcMs, portion: &mut Portion) {
        let cut = message.get(..MESSAGE_BYTES_MAX).unwrap_or(message);
        portion.oversize += u64::from(cut.len() < message.len());
        let line = one_line(cut);
        line::store_from(&line, at, &self.endpoint, &mut portion.stored);
        portion.lines += 1;
        let Some(seen_us) = seen_us(&line) else {
            return;
        };
        let seen = UtcMs(seen_us / 1_000);
        if let Some(asked_us) = self.asked_us.take() {
            let asked = UtcMs(asked_us / 1_000);
            portion.clamped =
                (CLAMPED_MS < seen.0.saturating_sub(asked.0)).then_some((asked, seen));
        }
        // they are nearly in order
        self.last_us = self.last_us.max(Some(seen_us));
        portion.cursor = self.last_us;
        portion.offset_ms = self.live.event(at, seen).or(portion.offset_ms);
    }
}

/// A stored line is one line; in JSON, a line end between two parts may be replaced by a space.
fn one_line(message: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\n', b'\r', message).is_none() {
        return message.into();
    }
    let space = |byte: &u8| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    };
    message.iter().map(space).collect::<Vec<u8>>().into()
}

impl Intake for Messages {
    fn take(&mut self, input: &mut &[u8], at: UtcMs) -> Result<Option<Portion>, IntakeError> {
        let message = std::mem::take(input);
        if message.is_empty() {
            return Ok(None);
        }
        let mut portion = Portion::default();
        match self.unpacker.take() {
            Some(mut unpacker) if message.starts_with(&ZSTD) => {
                let plain = unpacker.unpack(message).map_err(IntakeError::Misfit)?;
                self.store(plain, at, &mut portion);
                self.unpacker = Some(unpacker);
            }
            unpacker => {
                self.store(message, at, &mut portion);
                self.unpacker = unpacker;
            }
        }
        Ok(Some(portion))
    }

    fn finish(self: Box<Self>, _at: UtcMs) -> Result<(Portion, Option<String>), IntakeError> {
        Ok((Portion::default(), None))
    }
}

/// Reads compressed messages.
pub(super) struct Unpacker {
    /// The number of the dictionary.
    number: u32,
    with_dictionary: Decompressor<'static>,
    /// The last message. It has room for the longest, of which only what is written costs memory.
    plain: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new(dictionary: &[u8]) -> Result<Self, String> {
        let number = zstd_safe::get_dict_id(dictionary);
        let number = number.ok_or("it is not a zstd dictionary, which has a number")?;
        let mut with_dictionary = Decompressor::new().map_err(|why| why.to_string())?;
        let loaded = with_dictionary.set_dictionary(dictionary);
        loaded.map_err(|why| format!("it is torn, or not a zstd dictionary: {why}"))?;
        Ok(Self {
            number: number.get(),
            with_dictionary,
            plain: Vec::with_capacity(MESSAGE_BYTES_MAX),
        })
    }

    fn unpack(&mut self, message: &[u8]) -> Result<&[u8], String> {
        self.plain.clear();
        let done = self
            .with_dictionary
            .decompress_to_buffer(message, &mut self.plain);
        done.map_err(|why| match zstd_safe::get_dict_id_from_frame(message) {
            Some(needed) if needed.get() != self.number => format!(
                "its messages need the dictionary {needed}, dictionary_file is the one of number {}",
                self.number
            ),
            _ => format!("a message cannot be decompressed: {why}"),
        })?;
        Ok(&self.plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Fuzz;

    const AT: UtcMs = UtcMs(1_795_442_709_123);

    fn event(us: i64) -> String {
        format!(r#"{{"did":"did:plc:a","time_us":{us},"kind":"identity"}}"#)
    }

    #[test]
    fn a_message_is_a_line_that_names_its_endpoint() {
        let mut messages = Box::new(Messages::new("wss://a.example", None, None));
        let mut rest = "{\"did\":\"did:plc:a\",\n\"time_us\":5}".as_bytes();
        let portion = messages.take(&mut rest, AT).unwrap().unwrap();
        assert!(rest.is_empty());
        let stored = String::from_utf8(portion.stored).unwrap();
        assert!(
            stored.starts_with("{\"did\":\"did:plc:a\", \"time_us\":5,\"__twinstream\":{"),
            "{stored}"
        );
        assert!(
            stored.ends_with("\"endpoint\":\"wss://a.example\"}}\n"),
            "{stored}"
        );
        assert_eq!((portion.lines, portion.cursor), (1, Some(5)));
        // what is no JSON is kept, too, and says nothing
        let mut rest = &b"\xff\xfe"[..];
        let portion = messages.take(&mut rest, AT).unwrap().unwrap();
        assert_eq!((portion.lines, portion.stored), (1, b"\xff\xfe\n".to_vec()));
    }

    #[test]
    fn what_is_not_to_be_had_any_more_is_told_once() {
        let asked = AT.0 * 1_000;
        let first = |later_ms: i64| {
            let mut messages = Messages::new("e", None, Some(asked));
            let mut clamped = Vec::new();
            for us in [asked + later_ms * 1_000, asked + 9_000_000_000] {
                let text = event(us);
                let mut rest = text.as_bytes();
                clamped.push(messages.take(&mut rest, AT).unwrap().unwrap().clamped);
            }
            clamped
        };
        assert_eq!(first(-3_000), [None, None]);
        assert_eq!(first(CLAMPED_MS), [None, None]);
        let late = AT.plus_ms(CLAMPED_MS + 1);
        assert_eq!(first(CLAMPED_MS + 1), [Some((AT, late)), None]);
    }

    fn dictionary(n: i64) -> Vec<u8> {
        let samples: Vec<String> = (0..900).map(|us| event(n * us * us)).collect();
        zstd::dict::from_samples(&samples, 4 << 10).unwrap()
    }

    #[test]
    fn compressed_messages_need_their_dictionary() {
        let (dictionary, other) = (dictionary(7), dictionary(11));
        let text = event(1_795_442_709_000_000);
        let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &dictionary).unwrap();
        let packed = compressor.compress(text.as_bytes()).unwrap();
        let take = |dictionary: Option<&Vec<u8>>| {
            let unpacker = dictionary.map(|dictionary| Unpacker::new(dictionary).unwrap());
            let mut messages = Messages::new("e", unpacker, None);
            let mut taken = |mut rest: &[u8]| messages.take(&mut rest, AT);
            // one after the other, and plain ones between them
            taken(&packed)
                .and_then(|_| taken(b"{}"))
                .and_then(|_| taken(&packed))
        };
        let portion = take(Some(&dictionary)).unwrap().unwrap();
        let stored = String::from_utf8(portion.stored).unwrap();
        assert!(
            stored.starts_with(text.strip_suffix('}').unwrap()),
            "{stored}"
        );
        let Err(IntakeError::Misfit(why)) = take(Some(&other)) else {
            panic!("another dictionary was as good");
        };
        assert!(why.contains("need the dictionary"), "{why}");
        // a file that is not a dictionary is found out before anything is requested
        for none in [&event(1).into_bytes()[..], &dictionary[..40], b""] {
            assert!(Unpacker::new(none).is_err(), "{none:?}");
        }
    }

    /// However a message is changed, it is one line: as it came, or as what it was packed from.
    #[test]
    fn fuzz_messages() {
        let dictionary = dictionary(7);
        let pack = |bytes: &[u8]| {
            let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &dictionary).unwrap();
            compressor.compress(bytes).unwrap()
        };
        let text = event(AT.0 * 1_000);
        let fuzz = Fuzz::new("messages", 800)
            .seed(text.clone())
            .seed(pack(text.as_bytes()))
            .seed(pack(&b"{\"a\":0}\n".repeat(100_000)))
            .seed(zstd::bulk::compress(text.as_bytes(), 1).unwrap());
        let taken = |mut input: &[u8]| {
            let unpacker = Unpacker::new(&dictionary).unwrap();
            let mut messages = Messages::new("wss://a.example", Some(unpacker), Some(AT.0));
            let taken = messages.take(&mut input, AT);
            assert!(input.is_empty());
            taken
        };
        fuzz.run(|input| match taken(input) {
            Ok(None) => {
                assert!(input.is_empty());
                "nothing".to_owned()
            }
            Ok(Some(portion)) => {
                assert_eq!((portion.lines, portion.oversize), (1, 0));
                let stored = portion.stored.strip_suffix(b"\n").unwrap();
                assert!(memchr2(b'\n', b'\r', stored).is_none());
                assert!(portion.stored.capacity() <= 2 * MESSAGE_BYTES_MAX);
                let received = line::cut(stored).received();
                if input.starts_with(&ZSTD) {
                    let again = taken(&pack(&received)).unwrap();
                    let again = again.map_or(Vec::new(), |again| again.stored);
                    assert!(received.is_empty() || again == portion.stored);
                } else {
                    assert_eq!(received, *one_line(input));
                }
                format!("{} {}", portion.cursor.is_some(), portion.clamped.is_some())
            }
            Err(IntakeError::Decode(why) | IntakeError::Misfit(why)) => {
                assert!(input.starts_with(&ZSTD), "{why}");
                assert!(!why.chars().any(char::is_control), "{why:?}");
                why
            }
            Err(other) => panic!("{other:?}"),
        });
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_and_counted() {
        for (len, oversize) in [(MESSAGE_BYTES_MAX, 0), (MESSAGE_BYTES_MAX + 1, 1)] {
            let mut messages = Messages::new("e", None, None);
            let message = vec![b'x'; len];
            let mut rest = &message[..];
            let portion = messages.take(&mut rest, AT).unwrap().unwrap();
            assert_eq!((portion.lines, portion.oversize), (1, oversize));
            assert_eq!(portion.stored.len(), MESSAGE_BYTES_MAX + 1);
        }
    }
}
