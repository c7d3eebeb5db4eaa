//! A copy of days with keyed hashes in the place of ids: nothing of what it must not have is in any byte of it,
//! and what belongs together still does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use serde_json::json;
use twinstream::{
    period::UtcMs,
    pseudonym::key::{HashKey, IdKind},
    source::{BLUESKY, x::id},
    world::disk::RealDisk,
};

use crate::support::{
    events::{self, commit},
    folder::files_below,
    osf::{Publisher, Said, fast_folder},
    posts::{Received, segments, segments_of},
    primary::{Site, at, unxz},
};

const NOW: &str = "2026-11-24T02:00:00Z";
const DAYS: [&str; 2] = ["2026-11-23", "2026-11-24"];
const USERS: u64 = 12;

fn user_id(n: u64) -> u64 {
    1_400_000_000_000_000_000 + n * 7_919_031
}

fn handle(n: u64) -> String {
    format!("Handle_of_{n:03}")
}

fn name(n: u64) -> String {
    format!("Näme {n:03} Familyname")
}

/// A user with everything that tells who it is.
fn user(n: u64) -> serde_json::Value {
    json!({"id": user_id(n).to_string(), "username": handle(n), "name": name(n),
        "created_at": "2013-05-17T09:41:07.000Z", "description": format!("Biography{n:03} of a person"),
        "location": format!("Hometown{n:03}"), "url": "https://t.co/Profile0001",
        "profile_image_url": format!("https://pbs.twimg.com/profile_images/{}/x.jpg", user_id(n) + 1),
        "pinned_tweet_id": (user_id(n) + 2).to_string(), "verified": n.is_multiple_of(2), "protected": false,
        "public_metrics": {"followers_count": 12_345 + n, "following_count": 678, "tweet_count": 90_123, "listed_count": 4_567}})
}

/// A post that names its author, another person, the post before it, and many ways to find them.
fn post(n: u64, at: UtcMs, before: u64) -> (u64, Vec<u8>) {
    let id = id::first_of(at) + n;
    let (author, other) = (n % USERS, (n + 5) % USERS);
    let kind = ["retweeted", "quoted", "replied_to"][usize::try_from(n % 3).unwrap()];
    let (by, to) = (handle(author), handle(other));
    let text = format!(
        "RT @{to}: thanks {} and #team{by}! https://t.co/Short{n:05} x.com/{to}/status/{before} \
         https://news.example.org/{by} {} mail {to}@example.org",
        name(other),
        user_id(other)
    );
    let long = format!("{text} … and more of it");
    let mentions =
        json!([{"start": 3, "end": 9, "username": to, "id": user_id(other).to_string()}]);
    let mut data = json!({"id": id.to_string(), "author_id": user_id(author).to_string(),
        "created_at": at.to_string(), "lang": "en", "text": text,
        "conversation_id": before.to_string(), "in_reply_to_user_id": user_id(other).to_string(),
        "referenced_tweets": [{"type": kind, "id": before.to_string()}],
        "edit_history_tweet_ids": [id.to_string()], "source": "Secretapp",
        "geo": {"place_id": "Placeid01"}, "attachments": {"media_keys": ["3_1999999999999999999"]},
        "entities": {"mentions": mentions, "urls": [{"start": 1, "end": 2, "url": format!("https://t.co/Short{n:05}"),
            "expanded_url": format!("https://x.com/{to}/status/{before}/photo/1")}]}});
    if n.is_multiple_of(4) {
        data["note_tweet"] = json!({"text": long, "entities": {"mentions": mentions}});
    }
    let line = json!({"data": data, "includes": {"users": [user(author), user(other)],
        "tweets": [{"id": before.to_string(), "text": format!("Secretquote of {to}"), "author_id": user_id(other).to_string()}],
        "places": [{"id": "Placeid01", "full_name": "Secretplace"}]}});
    (id, line.to_string().into_bytes())
}

struct Archive {
    publisher: Publisher,
    /// The posts' ids with the post that each refers to.
    posts: BTreeMap<u64, u64>,
}

fn archive() -> Archive {
    let dir = fast_folder();
    let root = dir.path().to_owned();
    let mut site = Site {
        dir: Some(dir),
        ..Site::on(Box::new(RealDisk), &root, "UTC")
    };
    site.settings.parquet = true;
    let begin = at("2026-11-23T22:58:30.123Z");
    let (mut posts, mut received) = (BTreeMap::new(), Vec::new());
    let mut before = 1_541_815_603_606_036_480;
    for n in 0..90 {
        let at = begin.plus_ms(i64::try_from(n * 45_007).unwrap());
        let (id, line) = post(n, at, before);
        posts.insert(id, before);
        received.push(Received { at, line });
        before = id;
    }
    for server in ["1", "2"] {
        site.put(&segments(server, &received));
    }
    site.merge(NOW);
    let now = NOW.to_owned();
    Archive {
        publisher: Publisher { site, now },
        posts,
    }
}

impl Archive {
    fn run(&self, out: &Path, key: &Path, more: &[&str]) -> Said {
        let (out, key) = (out.to_str().unwrap(), key.to_str().unwrap());
        let args = [&["pseudonymise", out, "--key", key], more].concat();
        self.publisher.run("http://127.0.0.1:9", "", &args)
    }

    /// Both days.
    fn copy(&self, out: &Path, key: &Path) -> Said {
        self.run(out, key, &["--day", DAYS[0], "--day", DAYS[1]])
    }
}

/// Every file of a copy, decompressed.
fn contents(out: &Path) -> BTreeMap<String, String> {
    let each = files_below(out).into_iter().map(|path| {
        let name = path.strip_prefix(out).unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let is_xz = path.extension().is_some_and(|ending| ending == "xz");
        let text = if is_xz {
            unxz(&bytes)
        } else {
            String::from_utf8(bytes).unwrap()
        };
        (name, text)
    });
    each.collect()
}

/// The rows of all files of a kind, by column.
fn rows(of: &BTreeMap<String, String>, kind: &str) -> Vec<BTreeMap<String, String>> {
    let of_kind = of.iter().filter(|(name, _)| name.ends_with(kind));
    let read = |(_, text): (&String, &String)| {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<BTreeMap<String, String>> =
            reader.deserialize().map(Result::unwrap).collect();
        rows
    };
    of_kind.flat_map(read).collect()
}

#[test]
fn nothing_of_ids_and_names_is_left_and_what_belongs_together_does() {
    let archive = archive();
    let dir = fast_folder();
    let (out, key_file) = (dir.path().join("team"), dir.path().join("november.key"));
    archive
        .run(&out, &key_file, &["--day", DAYS[0], "--dry-run"])
        .check(0, "posts of 2 hours would be copied, by the key");
    assert!(!out.exists() && !key_file.exists());
    archive
        .copy(&out, &key_file)
        .check(0, "90 posts of 3 hours copied to");
    let mode = fs::metadata(&key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let found = contents(&out);
    has_nothing_of(&found, &archive);
    let key = HashKey::of_text(&fs::read_to_string(&key_file).unwrap()).unwrap();
    let posts = rows(&found, "_posts.csv.xz");
    let by_id: BTreeMap<&str, &BTreeMap<String, String>> =
        posts.iter().map(|row| (row["id"].as_str(), row)).collect();
    assert_eq!(by_id.len(), archive.posts.len());
    let users = rows(&found, "_users.csv.xz");
    let authors: BTreeSet<&str> = users.iter().map(|row| row["author_id"].as_str()).collect();
    assert_eq!(authors.len(), usize::try_from(USERS).unwrap());
    for (n, (id, before)) in (0..).zip(&archive.posts) {
        let row = by_id[key.hash(IdKind::Post, *id).as_str()];
        let kinds = ["reposted_id", "quoted_id", "replied_to_id"];
        for (kind, column) in (0..).zip(kinds) {
            let expected = if n % 3 == kind {
                key.hash(IdKind::Post, *before)
            } else {
                String::new()
            };
            assert_eq!(row[column], expected, "{column} of {n}");
        }
        assert_eq!(row["conversation_id"], key.hash(IdKind::Post, *before));
        assert_eq!(row["author_id"], key.hash(IdKind::User, user_id(n % USERS)));
        let other = key.hash(IdKind::User, user_id((n + 5) % USERS));
        assert_eq!(
            (&row["in_reply_to_user_id"], &row["mentioned_user_ids"]),
            (&other, &other)
        );
        assert!(authors.contains(other.as_str()));
        let rest = if n % 4 == 0 {
            " … and more of it"
        } else {
            ""
        };
        assert_eq!(
            row["text"],
            format!(
                "RT [@]: thanks [name] and #team[name]! [url] [url] [news.example.org] [number] mail [mail]{rest}"
            )
        );
        assert!(row["created_at"].ends_with('Z') && row["created_at"].len() == 17);
    }
    let ada = &users[0];
    let told = [
        "created_year",
        "followers_count",
        "following_count",
        "post_count",
    ]
    .map(|c| ada[c].as_str());
    assert_eq!(told, ["2013", "10000", "600", "90000"]);
    // the order of rows tells nothing
    for name in found.keys().filter(|name| name.ends_with("_posts.csv.xz")) {
        let ids = rows(&BTreeMap::from([(name.clone(), found[name].clone())]), name);
        assert!(ids.is_sorted_by_key(|row| row["id"].clone()), "{name}");
    }
}

/// No id, no name, and nothing else by which a person or a post is found.
fn has_nothing_of(found: &BTreeMap<String, String>, archive: &Archive) {
    let mut secrets: Vec<String> = [
        "Secretapp",
        "Secretplace",
        "Secretquote",
        "Placeid01",
        "Profile0001",
        "t.co/",
        "x.com",
        "1999999999999999999",
    ]
    .map(str::to_owned)
    .into();
    for n in 0..USERS {
        secrets.extend([
            handle(n),
            name(n),
            format!("Biography{n:03}"),
            format!("Hometown{n:03}"),
        ]);
        secrets.extend((0..3).map(|more| (user_id(n) + more).to_string()));
    }
    secrets.extend(
        archive
            .posts
            .iter()
            .flat_map(|(id, before)| [id.to_string(), before.to_string()]),
    );
    for (name, text) in found {
        let text = text.to_lowercase();
        // what the README says of X's addresses in general
        let text = if name == "README.md" {
            text.replace("(`[url]`)", "")
        } else {
            text
        };
        for secret in &secrets {
            assert!(
                !text.contains(&secret.to_lowercase()),
                "{secret} is in {name}"
            );
        }
    }
    let times = found
        .iter()
        .filter(|(name, _)| name.ends_with("_posts.csv.xz"));
    for (name, text) in times {
        assert!(
            !text.contains(".123Z") && !text.contains("2026-11-24T00:00:3"),
            "{name}"
        );
    }
}

#[test]
fn a_key_makes_the_same_hashes_again_and_lies_where_only_its_owner_reads_it() {
    let archive = archive();
    let dir = fast_folder();
    let path = |name: &str| dir.path().join(name);
    archive
        .copy(&path("a"), &path("one.key"))
        .check(0, "copied");
    archive
        .copy(&path("b"), &path("one.key"))
        .check(0, "copied");
    archive
        .copy(&path("c"), &path("other.key"))
        .check(0, "copied");
    let [a, b, c] = ["a", "b", "c"].map(|name| contents(&path(name)));
    assert!(a == b, "the same key, the same bytes");
    let hashes = |of: &BTreeMap<String, String>| -> BTreeSet<String> {
        let rows = rows(of, "_posts.csv.xz");
        rows.iter()
            .flat_map(|row| [row["id"].clone(), row["author_id"].clone()])
            .collect()
    };
    assert!(hashes(&a).is_disjoint(&hashes(&c)));
    assert_ne!(a["README.md"], c["README.md"], "the mark of the key");

    // nothing is overwritten; the key is never in the copy, and for its owner only
    archive
        .copy(&path("a"), &path("one.key"))
        .check(2, "exists already");
    archive
        .copy(&path("d"), &path("d/one.key"))
        .check(2, "would lie in the copy");
    let vault = archive.publisher.site.vault();
    archive
        .copy(&vault.join("d"), &path("one.key"))
        .check(2, "lies in the vault");
    fs::set_permissions(path("one.key"), fs::Permissions::from_mode(0o644)).unwrap();
    archive
        .copy(&path("d"), &path("one.key"))
        .check(3, "hint: chmod 600");
    fs::write(path("bad.key"), "no key").unwrap();
    fs::set_permissions(path("bad.key"), fs::Permissions::from_mode(0o600)).unwrap();
    archive
        .copy(&path("d"), &path("bad.key"))
        .check(3, "64 hexadecimal digits");
    archive
        .run(&path("d"), &path("new.key"), &["--day", "2026-11-20"])
        .check(4, "no hour of these days");
    assert!(!path("d").exists() && !path("new.key").exists());

    // what is not as its manifest says is not copied
    let hour = vault.join("2026-11-23/2026-11-23_23_posts.parquet");
    let other = fs::read(vault.join("2026-11-23/2026-11-23_22_posts.parquet")).unwrap();
    fs::write(hour, other).unwrap();
    archive
        .copy(&path("d"), &path("other.key"))
        .check(1, "is not what its manifest says");
    assert!(!path("d/README.md").exists());
}

/// A post of Bluesky that names its author, another account, and many ways to find them.
fn bluesky_post(n: u64, other: &str, before: &str) -> String {
    let text = format!(
        "hi @ann-lee{n}.bsky.social and bob{n}.example. see https://ann-lee{n}.bsky.social/x at://{other}/app.bsky.feed.post/3ksecret{n} \
         ann-lee{n}@mail.example {other} ann-lee{n} 12345678"
    );
    let end = 4 + format!("ann-lee{n}.bsky.social").len();
    json!({"$type": "app.bsky.feed.post", "createdAt": "2026-11-23T22:58:00.777Z", "langs": ["en", "did:plc:secretlang"],
        "text": text, "tags": ["secrettag"], "labels": {"$type": "x", "values": [{"val": "secretlabel"}]},
        "facets": [{"index": {"byteStart": 3, "byteEnd": end}, "features": [{"$type": "app.bsky.richtext.facet#mention", "did": other}]}],
        "reply": {"root": {"uri": before, "cid": "bafysecret"}, "parent": {"uri": before, "cid": "bafysecret"}},
        "embed": {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": {"uri": before, "cid": "bafysecret"}},
            "media": {"external": {"uri": format!("https://bob{n}.example/secret"), "title": "secrettitle"}}}}).to_string()
}

#[test]
fn nothing_of_accounts_handles_and_addresses_of_bluesky_is_left() {
    let dir = fast_folder();
    let root = dir.path().to_owned();
    let mut site = Site {
        dir: Some(dir),
        stream: BLUESKY,
        ..Site::on(Box::new(RealDisk), &root, "UTC")
    };
    site.settings.parquet = true;
    let begin = at("2026-11-23T22:10:30.123Z");
    let mut all = Vec::new();
    let uri = |n: u64| format!("at://{}/app.bsky.feed.post/3kpost{n}", events::did(n));
    for n in 0..40 {
        let at = begin.plus_ms(i64::try_from(n * 11_007).unwrap());
        let did = events::did(n);
        let record = bluesky_post(n, &events::did(n + 1), &uri(n + 1));
        let (rkey, operation) = (
            format!("3kpost{n}"),
            ["create", "update"][usize::from(n % 5 == 4)],
        );
        all.push(commit(
            (at, n),
            &did,
            operation,
            ("app.bsky.feed.post", &rkey),
            Some(&record),
        ));
        let like =
            r#"{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:secretlike/a.b.c/x"}}"#;
        all.push(commit(
            (at, n + 100),
            &did,
            "create",
            ("app.bsky.feed.like", "3klike"),
            Some(like),
        ));
        let told = |kind, says| events::Event {
            at,
            did: did.clone(),
            kind,
            says,
        };
        let time = at.to_string();
        all.push(told(
            "identity",
            json!({"did": did, "handle": format!("bob{n}.example"), "seq": n, "time": time})
                .to_string(),
        ));
        if n % 10 == 3 {
            // held back until it comes back
            let away = json!({"did": did, "active": false, "status": "deactivated", "seq": n + 1_000, "time": time});
            all.push(told("account", away.to_string()));
        }
    }
    for server in 1..=2 {
        let received = events::received_by(server, &all);
        site.put(&segments_of("bluesky", &server.to_string(), &received));
    }
    site.merge(NOW);
    let publisher = Publisher {
        site,
        now: NOW.to_owned(),
    };
    let nowhere = "http://127.0.0.1:9";
    publisher
        .run(nowhere, "", &["redact", "--deleted"])
        .check(0, "");
    let team = fast_folder();
    let (out, key_file) = (team.path().join("team"), team.path().join("november.key"));
    let (to, key) = (out.to_str().unwrap(), key_file.to_str().unwrap());
    let args = ["pseudonymise", to, "--key", key, "--day", DAYS[0]];
    publisher.run(nowhere, "", &args).check(0, "copied to");

    let found = contents(&out);
    for (name, text) in found.iter().filter(|(name, _)| *name != "README.md") {
        let text = text.to_lowercase();
        for secret in [
            "did:", "at://", "://", "bsky", "bob", "ann-lee", "secret", "3kpost", "bafy",
            ".example", ".777z", "12345678",
        ] {
            assert!(!text.contains(secret), "{secret} is in {name}: {text:.600}");
        }
    }
    let key = HashKey::of_text(&fs::read_to_string(&key_file).unwrap()).unwrap();
    let posts = rows(&found, "_posts.csv.xz");
    let list = |what: &str| {
        let path = publisher
            .site
            .vault()
            .join(format!("2026-11-23/2026-11-23_22_{what}.txt.xz"));
        unxz(&fs::read(path).unwrap())
    };
    let (ids, held) = (list("IDs"), list("held"));
    let is_in = |list: &str, n: u64| list.contains(&format!("{}\t", uri(n)));
    let copied: Vec<u64> = (0..40).filter(|n| is_in(&ids, *n)).collect();
    let away = (0..40).filter(|n| is_in(&held, *n)).count();
    // neither server gets all
    assert!(0 < away && 20 < copied.len());
    assert_eq!(posts.len(), copied.len());
    let by_id: BTreeMap<&str, &BTreeMap<String, String>> =
        posts.iter().map(|row| (row["id"].as_str(), row)).collect();
    for n in copied {
        let row = by_id[key.hash(IdKind::Post, uri(n)).as_str()];
        let before = key.hash(IdKind::Post, uri(n + 1));
        let other = key.hash(IdKind::User, events::did(n + 1));
        for (column, expected) in [
            ("conversation_id", before.as_str()),
            ("quoted_id", &before),
            ("replied_to_id", &before),
            ("author_id", &key.hash(IdKind::User, events::did(n))),
            ("in_reply_to_user_id", &other),
            ("mentioned_user_ids", &other),
            ("operation", if n % 5 == 4 { "update" } else { "create" }),
            ("lang", "en"),
            (
                "text",
                "hi [@] and [url]. see [url] [url] [mail] [did] [name] [number]",
            ),
        ] {
            assert_eq!(row[column], expected, "{column} of {n}");
        }
    }
    assert!(found["README.md"].contains("handles are domains"));
    assert!(!found.keys().any(|name| name.contains("_users")));
}
