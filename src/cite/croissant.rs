//! `croissant.json`: MLCommons Croissant 1.1, with its vocabulary for responsible AI (RAI).

use serde_json::{Value, json};

use super::{
    description::{Description, json_text, put_name_parts},
    words,
};
use crate::{config::dataset::Creator, doi::Doi, source::words::Cell};

/// The file.
pub(super) fn text(of: &Description<'_>) -> String {
    let dataset = of.dataset;
    let (begin, end) = words::instants(of);
    let mut all = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": dataset.title,
        "description": words::description(of),
        "citeAs": of.citation(),
        "creator": dataset.creators.iter().map(creator).collect::<Vec<_>>(),
        "publisher": {"@type": "sc:Organization", "name": of.publisher()},
        "datePublished": of.date(),
        "version": of.state.version(),
        "isLiveDataset": true,
        "license": dataset.licence.url(),
        "temporalCoverage": format!("{begin}/{end}"),
        "distribution": distribution(of),
        "recordSet": record_sets(of),
        "rai:dataCollection": words::collection(of),
        "rai:dataCollectionType": ["API", "Stream"],
        "rai:dataCollectionMissingData": words::missing(of),
        "rai:dataCollectionRawData": format!("{}, as each server received them. They are not published.", of.told().lines),
        "rai:dataCollectionTimeframe": [begin, end],
        "rai:dataPreprocessingProtocol": [format!("Copies of a post from several servers are counted once. Each post \
                                                   is put into the hour in which it was made, and the {} of an hour \
                                                   are in ascending order. Nothing else is filtered.", of.told().names)],
        "rai:dataBiases": [of.told().choice],
        "rai:dataLimitations": [of.told().limits],
        "rai:dataUseCases": [of.told().uses],
        "rai:personalSensitiveInformation": [of.told().persons],
        "rai:dataReleaseMaintenancePlan": words::maintenance(of),
    });
    if let Some(doi) = of.doi {
        for key in ["@id", "identifier", "url"] {
            all[key] = json!(doi.url());
        }
    }
    if let Value::Object(members) = &mut all {
        let mut list = |key: &str, list: &[String]| {
            if !list.is_empty() {
                members.insert(key.to_owned(), json!(list));
            }
        };
        list("keywords", &dataset.keywords);
        let related: Vec<String> = dataset.related.iter().map(Doi::url).collect();
        list("citation", &related);
        if !dataset.funding.is_empty() {
            let funders = dataset.funding.iter();
            let funders = funders.map(|name| json!({"@type": "sc:Organization", "name": name}));
            members.insert("funder".to_owned(), funders.collect());
        }
    }
    json_text(&all)
}

fn creator(of: &Creator) -> Value {
    let kind = if of.is_person() {
        "sc:Person"
    } else {
        "sc:Organization"
    };
    let mut all = json!({"@type": kind, "name": of.name});
    put_name_parts(&mut all, of);
    if let Some(orcid) = &of.orcid {
        all["sameAs"] = json!(orcid.url());
    }
    if let Some(affiliation) = &of.affiliation {
        all["affiliation"] = json!({"@type": "sc:Organization", "name": affiliation});
    }
    all
}

/// The files, by patterns: an archive of ten years has 88,000 hours.
fn distribution(of: &Description<'_>) -> Value {
    let set = |id: &str, what: &str, pattern: &str, formats: Value| {
        json!({"@type": "cr:FileSet", "@id": id, "name": id, "description": what,
            "includes": pattern, "encodingFormat": formats})
    };
    json!([
        set(
            "id-lists",
            &format!(
                "The {} of an hour, one a line, ascending, compressed with xz.",
                of.told().names
            ),
            "**/*_IDs.txt.xz",
            json!(["application/x-xz", "text/plain"]),
        ),
        set(
            "manifests",
            "What an hour has: counts, hashes, each second's coverage, gaps with causes.",
            "**/*_manifest.json",
            json!("application/json"),
        ),
        set(
            "gap-tables",
            "Every gap of each server and of all together (union), with its cause.",
            "**/*_gaps.csv",
            json!("text/csv"),
        ),
        set(
            "exposure-tables",
            "Covered seconds and posts of each minute: the offset for count models.",
            "**/*_exposure.csv",
            json!("text/csv"),
        ),
        set(
            "reports",
            "Posts of each hour and server of a day, tab-separated.",
            "**/*_report.txt",
            json!("text/tab-separated-values"),
        ),
        set(
            "certificates",
            "The statement of a day in words and numbers, with the hashes of its files.",
            "**/*_certificate.txt",
            json!("text/plain"),
        ),
        set(
            "certificate-values",
            "The same as values: sums, every gap with its cause, the estimate, and what the manifest of each hour says.",
            "**/*_certificate.json",
            json!("application/json"),
        ),
        set(
            "ledger",
            "Every revision of every hour, each line with the hash of the line before.",
            "ledger.jsonl",
            json!("application/jsonlines"),
        ),
    ])
}

/// What can be loaded of them, and how.
fn record_sets(of: &Description<'_>) -> Value {
    // an hour's ids carry its name in their file's name only
    let hour = json!({"@type": "cr:Field", "@id": "ids/hour", "name": "hour",
        "description": "The hour in the archive's time zone, YYYY-mm-dd_hh.",
        "dataType": "sc:Text",
        "source": {"fileSet": {"@id": "id-lists"}, "extract": {"fileProperty": "filename"},
            "transform": {"regex": "^([0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2})_IDs.txt.xz$"}}});
    let cell = |cell: &Cell| {
        let kind = if cell.is_number {
            "cr:UInt64"
        } else {
            "sc:Text"
        };
        let mut field = json!({"@type": "cr:Field", "@id": format!("ids/{}", cell.name), "name": cell.name,
            "description": cell.what,
            "dataType": kind,
            "source": {"fileSet": {"@id": "id-lists"}, "extract": {"fileProperty": "lines"}}});
        if let Some(pattern) = cell.pattern {
            field["source"]["transform"] = json!({"regex": pattern});
        }
        field
    };
    let ids: Vec<Value> = [hour]
        .into_iter()
        .chain(of.told().cells.iter().map(cell))
        .collect();
    let column = |set: &str, files: &str, name: &str, kind: &str, what: &str| {
        json!({"@type": "cr:Field", "@id": format!("{set}/{name}"), "name": name, "description": what,
            "dataType": kind,
            "source": {"fileSet": {"@id": files}, "extract": {"column": name}}})
    };
    let gap = |name, kind, what| column("gaps", "gap-tables", name, kind, what);
    let minute = |name, kind, what| column("exposure", "exposure-tables", name, kind, what);
    json!([
        {"@type": "cr:RecordSet", "@id": "ids", "name": "ids",
            "description": format!("The {}, each with its hour.", of.told().names), "field": ids},
        {"@type": "cr:RecordSet", "@id": "gaps", "name": "gaps",
            "description": "What is missing, and why.",
            "field": [
                gap("server", "sc:Text", "The server; union: all of them together."),
                gap("begin", "sc:DateTime", "The first second of it."),
                gap("end", "sc:DateTime", "The first second after it."),
                gap("seconds", "sc:Integer", "How many seconds."),
                gap("cause", "sc:Text", "Why: one of a closed list."),
                gap("detail", "sc:Text", "More on that, for a person."),
            ]},
        {"@type": "cr:RecordSet", "@id": "exposure", "name": "exposure",
            "description": "What was received of each minute.",
            "field": [
                minute("hour", "sc:Text", "The hour in the archive's time zone."),
                minute("minute", "sc:DateTime", "The minute (UTC)."),
                minute("seconds_covered", "sc:Integer", "Seconds that any server covered."),
                minute("posts", "sc:Integer", "Posts."),
            ]},
    ])
}

/// Croissant's own, as its readers expect it.
fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "arrayShape": "cr:arrayShape",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "containedIn": "cr:containedIn",
        "cr": "http://mlcommons.org/croissant/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "description": {"@container": "@language"},
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileObject": "cr:fileObject",
        "fileProperty": "cr:fileProperty",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isArray": "cr:isArray",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "name": {"@container": "@language"},
        "parentField": "cr:parentField",
        "path": "cr:path",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    })
}
