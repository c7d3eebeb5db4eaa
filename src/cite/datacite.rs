//! `datacite.json`: the DataCite metadata schema 4.5, with which a DOI is registered; and what a person has
//! said, out of it again.

use serde_json::{Value, json};

use super::{
    description::{Description, json_text, put_name_parts},
    words,
};
use crate::{
    config::dataset::{Creator, Dataset, Licence, Orcid},
    doi::Doi,
};

/// The file.
pub(super) fn text(of: &Description<'_>) -> String {
    let dataset = of.dataset;
    let (begin, end) = words::instants(of);
    let mut descriptions = Vec::new();
    if let Some(own) = &dataset.description {
        descriptions.push(json!({"description": own, "descriptionType": "Abstract"}));
    }
    descriptions.extend([
        json!({"description": words::what(of), "descriptionType": "Other"}),
        json!({"description": words::collection(of), "descriptionType": "Methods"}),
        json!({"description": words::missing(of), "descriptionType": "TechnicalInfo"}),
    ]);
    let each = |list: &[String], key: &str| -> Vec<Value> {
        list.iter().map(|word| json!({ key: word })).collect()
    };
    let related = dataset.related.iter().map(|doi| {
        json!({"relatedIdentifier": doi.as_str(), "relatedIdentifierType": "DOI", "relationType": "References"})
    });
    let mut all = json!({
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "creators": dataset.creators.iter().map(creator).collect::<Vec<_>>(),
        "titles": [{"title": dataset.title}],
        "publisher": {"name": of.publisher()},
        "publicationYear": of.year(),
        "types": {"resourceType": of.told().titled, "resourceTypeGeneral": "Dataset"},
        "subjects": each(&dataset.keywords, "subject"),
        "dates": [
            {"date": format!("{begin}/{end}"), "dateType": "Collected"},
            {"date": of.date(), "dateType": "Issued"},
        ],
        "language": "en",
        "relatedIdentifiers": related.collect::<Vec<_>>(),
        "sizes": sizes(of),
        "formats": ["application/x-xz", "application/json", "text/csv", "text/plain"],
        "version": of.state.version(),
        "rightsList": [{
            "rights": dataset.licence.name,
            "rightsUri": dataset.licence.url(),
            "rightsIdentifier": dataset.licence.id,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
        }],
        "descriptions": descriptions,
        "fundingReferences": each(&dataset.funding, "funderName"),
    });
    if let Some(doi) = of.doi {
        all["doi"] = json!(doi);
    }
    json_text(&all)
}

fn creator(of: &Creator) -> Value {
    let kind = if of.is_person() {
        "Personal"
    } else {
        "Organizational"
    };
    let mut all = json!({"name": of.name, "nameType": kind});
    put_name_parts(&mut all, of);
    if let Some(orcid) = &of.orcid {
        all["nameIdentifiers"] = json!([{"nameIdentifier": orcid.url(), "nameIdentifierScheme": "ORCID",
            "schemeUri": "https://orcid.org"}]);
    }
    if let Some(affiliation) = &of.affiliation {
        all["affiliation"] = json!([{ "name": affiliation }]);
    }
    all
}

/// The sums, in this order: posts, hours, seconds, seconds covered.
fn sizes(of: &Description<'_>) -> Value {
    let sum = &of.sum;
    json!([
        format!("{} posts", sum.posts),
        format!("{} hours", sum.hours),
        format!("{} seconds", sum.seconds),
        format!("{} seconds covered", sum.covered),
    ])
}

/// What a file of this form says.
pub struct ReadBack {
    /// Who made it, and what a person has said of it.
    pub dataset: Dataset,
    /// The DOI by which it is cited.
    pub doi: Option<Doi>,
    /// The version.
    pub version: String,
    /// Posts, hours, seconds, seconds covered.
    pub sizes: [u64; 4],
    /// What is missing.
    pub missing: String,
}

/// Reads a file of this form back; `None` if it is another file.
pub fn read_back(text: &str) -> Option<ReadBack> {
    let all: Value = serde_json::from_str(text).ok()?;
    let text = |of: &Value, at: &str| of.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| all.get(key).and_then(Value::as_array);
    let words = |key: &str, of: &str| -> Option<Vec<String>> {
        list(key)?.iter().map(|one| text(one, of)).collect()
    };
    let creators = list("creators")?.iter().map(|one| {
        let orcid = match text(one, "/nameIdentifiers/0/nameIdentifier") {
            Some(url) => Some(Orcid::of_url(&url)?),
            None => None,
        };
        Some(Creator {
            name: text(one, "/name")?,
            orcid,
            affiliation: text(one, "/affiliation/0/name"),
        })
    });
    let described = |kind: &str| {
        let mut all = list("descriptions")?.iter();
        let one = all.find(|one| text(one, "/descriptionType").as_deref() == Some(kind))?;
        text(one, "/description")
    };
    let sizes = list("sizes")?
        .iter()
        .map(|size| size.as_str()?.split(' ').next()?.parse().ok());
    let related = words("relatedIdentifiers", "/relatedIdentifier")?;
    let related = related.iter().map(|doi| doi.parse().ok());
    let doi = match text(&all, "/doi") {
        Some(doi) => Some(doi.parse().ok()?),
        None => None,
    };
    Some(ReadBack {
        dataset: Dataset {
            title: text(&all, "/titles/0/title")?,
            creators: creators.collect::<Option<Vec<_>>>()?,
            description: described("Abstract"),
            licence: Licence::of_id(&text(&all, "/rightsList/0/rightsIdentifier")?)?,
            keywords: words("subjects", "/subject")?,
            funding: words("fundingReferences", "/funderName")?,
            related: related.collect::<Option<Vec<_>>>()?,
        },
        doi,
        version: text(&all, "/version")?,
        sizes: sizes.collect::<Option<Vec<u64>>>()?.try_into().ok()?,
        missing: described("TechnicalInfo")?,
    })
}
