//! A DOI: `10.5281/zenodo.1234567`.

use std::{fmt, str::FromStr};

/// A DOI as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doi(String);

/// A text that is not a DOI.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("it is not a DOI: a DOI begins with 10., has a / and no spaces")]
pub struct NotADoi;

/// Where DOIs lead on from.
const RESOLVER: &str = "https://doi.org/";

impl Doi {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address that leads to what it names.
    pub fn url(&self) -> String {
        format!("{RESOLVER}{}", self.0)
    }
}

impl FromStr for Doi {
    type Err = NotADoi;

    fn from_str(text: &str) -> Result<Self, NotADoi> {
        let parts = text
            .strip_prefix("10.")
            .and_then(|rest| rest.split_once('/'));
        let is_doi = parts.is_some_and(|(registrant, suffix)| {
            let digits = registrant.bytes().filter(u8::is_ascii_digit).count();
            let is_number =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            4 <= digits
                && registrant.split('.').all(is_number)
                && !suffix.is_empty()
                && suffix
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
        });
        if is_doi {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotADoi)
        }
    }
}

impl fmt::Display for Doi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Doi);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doi_has_a_registrant_and_a_suffix() {
        for good in [
            "10.5281/zenodo.1234567",
            "10.1000/182",
            "10.17605/OSF.IO/ABCDE",
            "10.1234.5/(x)/y",
        ] {
            assert!(good.parse::<Doi>().is_ok(), "{good}");
        }
        for bad in [
            "10.12/x",
            "11.1234/x",
            "10.1234",
            "10.1234/",
            "10.1234/a b",
            "doi:10.1234/x",
            "10..1234/x",
            "10.1234/ä",
        ] {
            assert_eq!(bad.parse::<Doi>(), Err(NotADoi), "{bad}");
        }
    }
}
