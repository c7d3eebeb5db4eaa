//! X's filtered stream from end to end: rules are pushed, another hand changes them, and what was in force in which seconds stands
//! in events, manifest and certificate.

use super::*;

/// What the configuration has, and what another hand makes of it.
const RULES: &str =
    r##"rules = [{ value = "coffee OR weather OR nobody", tag = "talk" }, { value = "#cats" }]"##;
const OTHERS: &str = r#"rules = [{ value = "coffee OR weather OR nobody", tag = "talk" }, { value = "morning lang:en", tag = "early" }]"#;

fn configure(site: &Site, urls: &[String]) {
    site.configure(urls);
    for (server, name, rules) in [
        (1, "server1", RULES),
        (2, "server2", RULES),
        (1, "other", OTHERS),
    ] {
        let text = fs::read_to_string(site.path(&format!("server{server}.toml"))).unwrap();
        let text = if text.contains("stream =") {
            text.replace(RULES, rules)
        } else {
            let x = format!("[x]\nbackfill = false\nstream = \"filtered\"\n{rules}\n");
            let text = text.replace("[x]\n", &x);
            text.replace("formats = [\"csv\"]", "formats = [\"csv\", \"parquet\"]")
        };
        fs::write(site.path(&format!("{name}.toml")), text).unwrap();
    }
}

/// `rules` with the configuration of that name.
fn rules(site: &Site, name: &str, args: &[&str]) -> (i32, String) {
    let output = site
        .program(None)
        .arg("--config")
        .arg(site.path(&format!("{name}.toml")))
        .args(["--server", "1", "rules"])
        .args(args)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    (output.status.code().unwrap(), said)
}

fn show(site: &Site) -> serde_json::Value {
    let (code, said) = rules(site, "server1", &["show", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    let expected = if shown["as_configured"] == true { 0 } else { 5 };
    assert_eq!(code, expected, "{said}");
    shown
}

#[track_caller]
fn check_push(site: &Site) {
    assert_eq!(show(site)["in_force"], serde_json::json!([]));
    let (code, said) = rules(site, "server1", &["push", "--dry-run"]);
    assert_eq!((code, said.contains("would be added")), (0, true), "{said}");
    assert_eq!(show(site)["in_force"], serde_json::json!([]), "dry");
    let (code, said) = rules(site, "server1", &["push"]);
    assert_eq!((code, said.contains("added  ")), (0, true), "{said}");
    assert_eq!(show(site)["as_configured"], true);
    let (code, said) = rules(site, "server1", &["push"]);
    assert_eq!(code, 4, "{said}");
    let (code, said) = rules(site, "server1", &["push", "--json"]);
    assert_eq!(code, 4, "{said}");
    let told = serde_json::Deserializer::from_str(&said).into_iter().next();
    let told: serde_json::Value = told.and_then(Result::ok).unwrap_or_default();
    assert!(
        told["added"] == serde_json::json!([]) && told["kept"].is_array(),
        "{said}"
    );
    // one that X refuses is told, and nothing that is in force goes for it
    let wrong = fs::read_to_string(site.path("server1.toml")).unwrap();
    let wrong = wrong.replace("#cats", "(cats");
    fs::write(site.path("wrong.toml"), wrong).unwrap();
    let (code, said) = rules(site, "wrong", &["push"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("no viable alternative") && said.contains("(cats"),
        "{said}"
    );
    assert!(!said.contains("added "), "{said}");
    let long = fs::read_to_string(site.path("server1.toml")).unwrap();
    let words = (0..120).map(|number| format!("cat{number:04}"));
    let words: Vec<String> = words.collect();
    let long = long.replace("#cats", &words.join(" OR "));
    fs::write(site.path("long.toml"), long).unwrap();
    let (code, said) = rules(site, "long", &["push"]);
    assert_eq!((code, said.matches("cat0110").count()), (1, 1), "{said}");
    assert!(
        !said.contains("added ") && said.contains("Rule '…' has"),
        "{said}"
    );
    assert_eq!(show(site)["as_configured"], true, "{said}");
    let (code, said) = rules(site, "server1", &["show"]);
    assert!(
        code == 0 && said.contains("talk") && said.contains("those of the configuration"),
        "{said}"
    );
}

/// The stretches of a server's or of the union's rules: begin and end in seconds after the begin, and the state.
fn stretches(of: &serde_json::Value) -> Vec<(i64, i64, String)> {
    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let second = |at: &serde_json::Value| {
        let at: twinstream::period::UtcMs = at.as_str().unwrap().parse().unwrap();
        (at.0 - begin.0) / 1_000
    };
    let stretches = of.as_array().unwrap().iter();
    stretches
        .map(|one| {
            let state = one["state"].as_str().unwrap().to_owned();
            (second(&one["begin"]), second(&one["end"]), state)
        })
        .collect()
}

/// The rules that a server was told, as the tags of each answer.
fn told(site: &Site, server: u8) -> Vec<BTreeSet<String>> {
    let events = site.events_so_far(server);
    let told = events.iter().filter(|event| event["kind"] == "rules");
    let tags = |event: &serde_json::Value| {
        let rules = event["rules"].as_array().unwrap().iter();
        let tag = |rule: &serde_json::Value| rule["tag"].as_str().unwrap_or("").to_owned();
        rules.map(tag).collect()
    };
    told.map(tags).collect()
}

/// Ends both collectors and starts them again, after which each asks anew; notes when that was.
fn restart(site: &Site, collectors: Vec<Guarded>, pauses: &mut Vec<(i64, i64)>) -> Vec<Guarded> {
    let begin = site.elapsed() as i64;
    let known = [1, 2].map(|server| told(site, server).len());
    collectors.into_iter().for_each(stop);
    let again = [1, 2].map(|server| site.collect(server));
    until("the rules at both", || {
        let asked = |server: u8| known[usize::from(server) - 1] < told(site, server).len();
        asked(1) && asked(2)
    });
    pauses.push((begin, site.elapsed() as i64));
    again.into()
}

#[test]
fn a_post_of_an_unknown_rule_is_a_reason_to_ask_at_once() {
    at_pace(RATE, an_unknown_rule);
}

fn an_unknown_rule(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&["--rate", "20"], "");
    configure(&site, &urls);
    check_push(&site);
    let collectors = restart(&site, Vec::new(), &mut Vec::new());
    until("posts", || {
        1 <= site.lines(1).len().min(site.lines(2).len())
    });
    // what is asked before the next quarter of an hour is asked because of a post
    let second = site.elapsed() as i64;
    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let of_quarter = (begin.0 / 1_000 + second).rem_euclid(900);
    let pushed = std::time::Instant::now();
    let (code, said) = rules(&site, "other", &["push"]);
    assert_eq!(code, 0, "{said}");
    let has_early = |server| {
        told(&site, server)
            .iter()
            .any(|tags| tags.contains("early"))
    };
    until("the others' rules at both", || has_early(1) && has_early(2));
    let waited = pushed.elapsed().as_secs_f64() * f64::from(rate);
    let until_quarter = f64::from(i32::try_from(900 - of_quarter).unwrap());
    assert!(
        waited < until_quarter,
        "asked {waited} s later, at the quarter of an hour ({until_quarter} s)"
    );
    collectors.into_iter().for_each(stop);
}

#[test]
fn the_rules_in_force_are_told_for_every_second_and_another_hand_is_an_alarm() {
    at_pace(RATE, rules_are_told);
}

fn rules_are_told(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&["--rate", "3"], "");
    configure(&site, &urls);
    check_push(&site);
    let mut pauses = Vec::new();
    let collectors = restart(&site, Vec::new(), &mut pauses);
    until("posts", || {
        1 <= site.lines(1).len().min(site.lines(2).len())
    });
    let collectors = restart(&site, collectors, &mut pauses);
    let (code, said) = rules(&site, "other", &["push"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(show(&site)["as_configured"], false);
    let collectors = restart(&site, collectors, &mut pauses);
    let has = |server: u8, tag: &str, times: usize| {
        let told = told(&site, server);
        times <= told.iter().filter(|tags| tags.contains(tag)).count()
    };
    until("two answers of the others", || {
        has(1, "early", 2) && has(2, "early", 2)
    });
    for server in [1, 2] {
        let log = fs::read_to_string(site.path(&format!("server{server}.log"))).unwrap();
        assert!(log.contains("alarm=\"rules\""), "{log}");
    }
    let status = site.check_stage(1, None, &["status"], &[0]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.contains("rules differ from the configuration"),
        "{status}"
    );
    let (code, said) = rules(&site, "server1", &["push"]);
    assert_eq!(code, 0, "{said}");
    until("its end at both", || {
        let logs =
            [1, 2].map(|server| fs::read_to_string(site.path(&format!("server{server}.log"))));
        logs.iter().all(|log| {
            log.as_ref()
                .unwrap()
                .contains("those of the configuration again")
        })
    });
    let ended = site.elapsed() as i64;
    collectors.into_iter().for_each(stop);
    let gaps = site.archived();
    let manifest = fs::read(&site.vault_files("14_manifest.json")[0]).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    check_seconds(&manifest, (&pauses, ended), &gaps);
    check_posts(&site);
    check_certificate(&site, &manifest);
}

/// Between the two starts before the change they were those of the configuration; across it nobody knows; then they were others,
/// and in the end those again.
#[track_caller]
fn check_seconds(manifest: &serde_json::Value, (pauses, ended): (&[(i64, i64)], i64), gaps: &str) {
    let [first, second, third] = <[(i64, i64); 3]>::try_from(pauses).unwrap();
    let told = &manifest["rules"];
    assert_eq!(told["lists"].as_object().unwrap().len(), 2, "{told}");
    for server in ["1", "2"] {
        let found = stretches(&told["servers"][server]);
        let state = |second: i64| {
            let here = found.iter().find(|one| one.0 <= second && second < one.1);
            here.map(|one| one.2.as_str())
        };
        let between = i64::midpoint(first.1, second.0);
        assert_eq!(state(between), Some("as_configured"), "{server}: {found:?}");
        // the change lies between an answer of the second start and one of the third
        assert!(
            found
                .iter()
                .any(|one| one.2 == "unknown" && one.0 <= third.0 && third.0 <= one.1)
        );
        let others = found.iter().find(|one| one.2 == "not_configured").unwrap();
        assert!(
            third.0 - 2 <= others.0 && others.1 <= ended + 1,
            "{found:?}"
        );
        let again = found.iter().rfind(|one| one.2 == "as_configured").unwrap();
        assert!(others.1 <= again.0 && again.0 <= ended + 1, "{found:?}");
        assert_eq!((found[0].0, found.last().unwrap().1), (0, 3_600));
    }
    // of the union only seconds that somebody has
    let union = stretches(&told["union"]);
    assert!(union.last().unwrap().1 < ended + 60, "{union:?}");
    // many seconds have no post, and none of them is a gap while both are connected
    let quiet = manifest["coverage"]["union"]["quiet"].as_u64().unwrap();
    assert!(10 < quiet, "{quiet}");
    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let mut rows = csv::Reader::from_reader(gaps.as_bytes());
    for row in rows.records().map(Result::unwrap) {
        let at = |place: usize| {
            let at: twinstream::period::UtcMs = row[place].parse().unwrap();
            (at.0 - begin.0) / 1_000
        };
        let is_of = |pause: &(i64, i64)| pause.0 - 25 <= at(1) && at(2) <= pause.1 + 5;
        assert!(
            pauses.iter().any(is_of) || ended - 25 <= at(1),
            "{row:?} {pauses:?} {ended}"
        );
    }
}

/// Each post has the rules that it matched, typed.
#[track_caller]
fn check_posts(site: &Site) {
    let path = &site.vault_files("14_posts.parquet")[0];
    let bytes = bytes::Bytes::from(fs::read(path).unwrap());
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let mut posts = 0;
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        let column = batch.column_by_name("matching_rules").unwrap();
        let lists = arrow_array::cast::AsArray::as_list::<i32>(column);
        for row in 0..batch.num_rows() {
            let rules = lists.value(row);
            let rules = arrow_array::cast::AsArray::as_struct(&rules).clone();
            let ids = rules.column_by_name("id").unwrap();
            let ids =
                arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(ids);
            assert!(!ids.is_empty() && 1_700_000_000_000_000_000 <= ids.value(0));
            posts += 1;
        }
    }
    assert!(0 < posts);
}

/// What stands in the certificate; and `verify` finds a list that was changed.
#[track_caller]
fn check_certificate(site: &Site, manifest: &serde_json::Value) {
    site.check_stage(1, Some(SETTLED), &["report", "2026-11-23"], &[0, 5]);
    let text = fs::read_to_string(&site.vault_files("certificate.txt")[0]).unwrap();
    let section = text.split("Rules in force").nth(1).unwrap();
    let section = section.split("The books").next().unwrap();
    for words in [
        "as configured",
        "not as configured",
        "not known",
        "[talk]",
        "[early]",
        "#cats",
    ] {
        assert!(section.contains(words), "{words}: {section}");
    }
    for hash in manifest["rules"]["lists"].as_object().unwrap().keys() {
        assert!(
            section.contains(&format!("List {}", &hash[..12])),
            "{section}"
        );
    }
    assert!(text.contains("stream filtered"), "{text}");
    let path = &site.vault_files("14_manifest.json")[0];
    let changed = fs::read_to_string(path).unwrap().replace("#cats", "#dogs");
    fs::write(path, changed).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(["verify", site.path("server1/vault").to_str().unwrap()])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert!(
        found.contains("a list of rules does not have its hash"),
        "{found}"
    );
}
