//! Short texts: instants, names, units, columns of a row.

use std::{fmt::Display, path::Path, str::FromStr};

use twinstream::{
    config::{dataset::Orcid, units},
    doi::Doi,
    period::{Day, Hour, Minute, UtcMs, Zone},
    place::id::PlaceId,
    segment::name::{RunId, SegmentName, ServerId},
    source::{key, x::id},
    vault::{
        csv, layout,
        public::Public,
        witness::{AuthorityName, StampName},
    },
};

use super::assert_inside;
use crate::support::fuzz::Fuzz;

/// What is read is written as it was read, if there is one way to write it.
fn same<T: FromStr + Display>(text: &str, name: &str) -> Option<String> {
    let read: T = text.parse().ok()?;
    assert_eq!(read.to_string(), text, "{name}");
    Some(name.to_owned())
}

#[test]
fn fuzz_names_and_times() {
    let seeds = [
        "1_sample_20261123T1405Z_3fa9c01b_000",
        "server-1",
        "3fa9c01b",
        "2026-11-23_14",
        "2026-11-23_+5",
        "2026-11-23_+5_IDs.txt.xz",
        "2026-11-23_14_r+1_manifest.json",
        "9999-12-31",
        "9999-12-30T22:00:00.000Z",
        "2026-11-23T14:05Z",
        "2026-11-23",
        "2026-11-23T14:05:09.123Z",
        "2026-11-23T14:05:09+01:00",
        "00112233445566778899aabbccddeeff",
        "ledger_000017_20261123T140509Z.tsr",
        "authority_0011223344556677.pem",
        "2026-11-23_14_IDs.txt.xz",
        "2026-11-23_14_r1_manifest.json",
        "2026-11-23_certificate.txt",
        "2026-11-23_14_tweets.csv.xz.r2.new",
        "Europe/Berlin",
        "10m",
        "1.5GiB",
        "-5d",
        "1856000000000000000",
        "0000-0002-1825-0097",
        "10.17605/OSF.IO/ABCDE",
        "https://doi.org/10.5281/zenodo.1234",
    ];
    let fuzz = Fuzz::new("names_and_times", 20_000);
    let fuzz = seeds.iter().copied().fold(fuzz, Fuzz::seed);
    fuzz.run(|input| {
        let Ok(text) = str::from_utf8(input) else {
            return "no text".to_owned();
        };
        if let Ok(name) = text.parse::<SegmentName>() {
            assert_inside(&name.folder());
        }
        if let Some(public) = Public::of_name(text) {
            assert_eq!(public.name(), text);
            assert_inside(Path::new(&public.published_path()));
            assert!(public.path(Path::new("/v")).starts_with("/v"));
        }
        if let Some((hour, revision)) = layout::of_archived(text) {
            assert_eq!(layout::archived_name(hour, revision), text);
        }
        if let Some(hour) = layout::hour_of_manifest(text) {
            let path = layout::manifest_path(Path::new("/v"), hour);
            assert!(path.ends_with(text));
        }
        if let Ok(at) = text.parse::<UtcMs>() {
            let again: UtcMs = at.to_string().parse().unwrap();
            assert_eq!(again, at, "{text}");
        }
        if let Ok(zone) = Zone::named(text) {
            let hour = zone.hour_of(UtcMs(1_795_442_709_123));
            assert!(!zone.intervals(hour).is_empty());
        }
        if let Some(number) = key::number(text) {
            assert_eq!(key::number(&number.to_string()), Some(number));
            let _ = id::time(number);
        }
        if let Ok(orcid) = Orcid::new(text) {
            assert_eq!(Orcid::of_url(&orcid.url()), Some(orcid));
        }
        if let Ok(doi) = text.parse::<Doi>() {
            let url = url::Url::parse(&doi.url()).unwrap();
            assert_eq!(url.host_str(), Some("doi.org"), "{text}");
        }
        let read = [
            same::<ServerId>(text, "server"),
            same::<RunId>(text, "run"),
            same::<SegmentName>(text, "segment"),
            same::<Hour>(text, "hour"),
            same::<Minute>(text, "minute"),
            same::<Day>(text, "day"),
            same::<PlaceId>(text, "place"),
            same::<StampName>(text, "stamp"),
            same::<AuthorityName>(text, "authority"),
            units::duration(text).ok().map(|_| "duration".to_owned()),
            units::size(text).ok().map(|_| "size".to_owned()),
        ];
        format!("{:?}", read.into_iter().flatten().collect::<Vec<_>>())
    });
}

#[test]
fn fuzz_rows_of_csv() {
    let fuzz = Fuzz::new("rows_of_csv", 1_500)
        .seed("1856000000000000000,a,,\"x, y\",\"he said \"\"no\"\"\"")
        .seed("2026-11-23T14:05:09Z,1,missing,12")
        .seed("\"\",\"\u{2028}\"");
    fuzz.run(|input| {
        let Some(fields) = csv::fields(input) else {
            return "no row".to_owned();
        };
        let mut row = Vec::new();
        csv::push_row(&mut row, fields.iter().map(String::as_str));
        let line = row.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(csv::fields(line).as_ref(), Some(&fields));
        format!("{} fields", "x".repeat(fields.len().min(9)))
    });
}
