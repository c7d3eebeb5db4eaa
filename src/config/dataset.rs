//! `[dataset]`: who made the data set and how it is to be cited.

use crate::doi::Doi;

/// What a person has to say about the data set; all else follows from manifests and ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its title.
    pub title: String,
    /// Who made it; at least one.
    pub creators: Vec<Creator>,
    /// What it is, in the makers' words.
    pub description: Option<String>,
    /// The licence of the id lists.
    pub licence: Licence,
    /// Words by which it is found.
    pub keywords: Vec<String>,
    /// Who paid for it.
    pub funding: Vec<String>,
    /// What it belongs to: papers, other data sets.
    pub related: Vec<Doi>,
}

/// One who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// The name, as it is to be cited.
    pub name: String,
    /// The person's ORCID iD.
    pub orcid: Option<Orcid>,
    /// Where the person works.
    pub affiliation: Option<String>,
}

impl Creator {
    /// The name in its two parts, if it is written so: `Family, Given`.
    pub fn family_and_given(&self) -> Option<(&str, &str)> {
        let (family, given) = self.name.split_once(',')?;
        let (family, given) = (family.trim(), given.trim());
        (!family.is_empty() && !given.is_empty()).then_some((family, given))
    }

    /// Whether it is a person, as far as name and ORCID iD show it; else it is taken for a group.
    pub fn is_person(&self) -> bool {
        self.orcid.is_some() || self.family_and_given().is_some()
    }
}

/// An ORCID iD whose check digit is right: `0000-0002-1825-0097`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orcid(String);

impl Orcid {
    /// Reads one as it is written.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let groups: Vec<&str> = text.split('-').collect();
        let has_form = groups.len() == 4 && groups.iter().all(|group| group.len() == 4);
        let marks = text.bytes().filter(|byte| *byte != b'-');
        let marks: Vec<u32> = marks
            .enumerate()
            .filter_map(|(place, byte)| match byte {
                b'0'..=b'9' => Some(u32::from(byte - b'0')),
                b'X' if place == 15 => Some(10),
                _ => None,
            })
            .collect();
        let (Some((check, digits)), true) = (marks.split_last(), has_form && marks.len() == 16)
        else {
            return Err("it is not an ORCID iD: that has four groups of four digits");
        };
        // ISO 7064, MOD 11-2
        let sum = digits.iter().fold(0, |sum, digit| (sum + digit) * 2 % 11);
        if (12 - sum) % 11 == *check {
            Ok(Self(text.to_owned()))
        } else {
            Err("its check digit does not fit: a digit is wrong, or two have changed places")
        }
    }

    /// Its address, which is its full form.
    pub fn url(&self) -> String {
        format!("https://orcid.org/{}", self.0)
    }

    /// The one that an address names.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::new(url.strip_prefix("https://orcid.org/")?).ok()
    }
}

/// The licences that may be named, by their SPDX identifier and name: those made for data, or used for it,
/// that every one of the metadata formats knows. A licence for programs says nothing about a list of ids.
pub(super) const LICENCES: &[(&str, &str)] = &[
    ("CC0-1.0", "Creative Commons Zero v1.0 Universal"),
    (
        "CC-BY-4.0",
        "Creative Commons Attribution 4.0 International",
    ),
    (
        "CC-BY-SA-4.0",
        "Creative Commons Attribution Share Alike 4.0 International",
    ),
    (
        "CC-BY-NC-4.0",
        "Creative Commons Attribution Non Commercial 4.0 International",
    ),
    (
        "CC-BY-NC-SA-4.0",
        "Creative Commons Attribution Non Commercial Share Alike 4.0 International",
    ),
    (
        "CC-BY-ND-4.0",
        "Creative Commons Attribution No Derivatives 4.0 International",
    ),
    (
        "CC-BY-NC-ND-4.0",
        "Creative Commons Attribution Non Commercial No Derivatives 4.0 International",
    ),
    (
        "PDDL-1.0",
        "Open Data Commons Public Domain Dedication & License 1.0",
    ),
    ("ODC-By-1.0", "Open Data Commons Attribution License v1.0"),
    ("ODbL-1.0", "Open Data Commons Open Database License v1.0"),
    (
        "CDLA-Permissive-1.0",
        "Community Data License Agreement Permissive 1.0",
    ),
    (
        "CDLA-Sharing-1.0",
        "Community Data License Agreement Sharing 1.0",
    ),
    ("C-UDA-1.0", "Computational Use of Data Agreement v1.0"),
    ("O-UDA-1.0", "Open Use of Data Agreement v1.0"),
    ("etalab-2.0", "Etalab Open License 2.0"),
    ("OGL-UK-3.0", "Open Government Licence v3.0"),
];

/// A licence of that list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Licence {
    /// Its SPDX identifier.
    pub id: &'static str,
    /// Its full name.
    pub name: &'static str,
}

impl Licence {
    /// The one with that SPDX identifier.
    pub fn of_id(text: &str) -> Option<Self> {
        let (id, name) = LICENCES.iter().find(|(id, _)| *id == text)?;
        Some(Self { id, name })
    }

    /// Where its text is.
    pub fn url(self) -> String {
        format!("https://spdx.org/licenses/{}.html", self.id)
    }
}
