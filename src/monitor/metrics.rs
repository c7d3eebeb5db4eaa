//! `/metrics`: the picture in the text form of Prometheus. Names are stable, units are base units,
//! what grows ends in `_total`.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::{
    alarm::not_storing,
    link::LinkState,
    snapshot::{Published, ServerState, Snapshot},
};
use crate::{alarm::AlarmKind, config::settings::Role, schedule::record::StageRun};

/// Reads the picture anew each time it is asked.
#[derive(Debug)]
struct Collector(Snapshot);

/// The text.
pub fn of(picture: &Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collector(picture.clone())));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// One metric with its values.
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    /// A label's name, and values by what it says; one value without a label.
    values: Values,
}

enum Values {
    One(Option<f64>),
    Total(u64),
    By(&'static str, Vec<(String, f64)>),
}

impl Family {
    const fn new(name: &'static str, help: &'static str, values: Values) -> Self {
        Self {
            name,
            help,
            unit: None,
            values,
        }
    }

    fn in_unit(self, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help, unit) = (self.name, self.help, self.unit.as_ref());
        match &self.values {
            Values::One(None) => Ok(()),
            Values::One(Some(value)) => {
                let gauge = ConstGauge::new(*value);
                gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
            }
            Values::Total(count) => {
                let counter = ConstCounter::new(*count);
                counter.encode(encoder.encode_descriptor(
                    name,
                    help,
                    unit,
                    counter.metric_type(),
                )?)
            }
            Values::By(_, values) if values.is_empty() => Ok(()),
            Values::By(label, values) => {
                let kind = ConstGauge::new(0.0).metric_type();
                let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
                for (of, value) in values {
                    let labels = [(*label, of.as_str())];
                    ConstGauge::new(*value).encode(family.encode_family(&labels)?)?;
                }
                Ok(())
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are numbers of 52 bits")]
fn number(count: u64) -> f64 {
    count as f64
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 have 41 bits"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let picture = &self.0;
        let families = [
            streams(picture),
            servers(picture),
            archive(picture),
            stages(picture),
        ];
        let mut families = families.iter().flatten();
        families.try_for_each(|family| family.encode(&mut encoder))
    }
}

/// Whether the stream of each leg is up, where the stream comes in partitions.
fn legs(picture: &Snapshot) -> Values {
    let legs = picture.servers.iter().flat_map(|server| &server.legs);
    let up = legs.map(|leg| {
        let is_up = leg.link.state == LinkState::Connected;
        (leg.leg.to_string(), flag(is_up))
    });
    Values::By("leg", up.collect())
}

/// A value of each server that has it.
fn each(picture: &Snapshot, of: &dyn Fn(&ServerState) -> Option<f64>) -> Values {
    let servers = picture.servers.iter();
    let values = servers.filter_map(|server| Some((server.server.to_string(), of(server)?)));
    Values::By("server", values.collect())
}

/// Whether the streams are up, and what is known of them.
fn streams(picture: &Snapshot) -> Vec<Family> {
    let each = |of: &dyn Fn(&ServerState) -> Option<f64>| each(picture, of);
    vec![
        Family::new(
            "twinstream_storing",
            "1 while this server stores posts, else 0; a merger has none to store",
            Values::One(
                (picture.role != Some(Role::Merger)).then(|| flag(not_storing(picture).is_none())),
            ),
        ),
        Family::new(
            "twinstream_connected",
            "1 while a stream is up, as last known here",
            each(&|server| Some(flag(server.link.state == LinkState::Connected))),
        ),
        Family::new(
            "twinstream_leg_connected",
            "1 while the stream of a server's partition is up, as last known here",
            legs(picture),
        ),
        Family::new(
            "twinstream_rules_as_configured",
            "1 while the rules of the filtered stream are known to be those of the server's configuration, else 0",
            each(&|server| {
                let is_known = server.link.rules_unknown.is_none();
                let told = server.link.rules.as_ref()?;
                Some(flag(is_known && told.is_as_configured()))
            }),
        ),
    ]
}

fn servers(picture: &Snapshot) -> Vec<Family> {
    let each = |of: &dyn Fn(&ServerState) -> Option<f64>| each(picture, of);
    vec![
        Family::new(
            "twinstream_connection_changed_timestamp",
            "Since when the connection has been as it is",
            each(&|server| server.link.since.map(|at| seconds(at.0))),
        )
        .in_unit(Unit::Seconds),
        Family::new(
            "twinstream_last_line_timestamp",
            "When the last line came, as far as it is known here",
            each(&|server| server.last_line.map(|at| seconds(at.0))),
        )
        .in_unit(Unit::Seconds),
        Family::new(
            "twinstream_lines_per_second",
            "Lines per second in the last minute known here",
            each(&|server| Some(server.posts_per_second)),
        ),
        Family::new(
            "twinstream_lines_last_hour",
            "Lines of the last 60 whole minutes",
            each(&|server| Some(number(server.lines_last_hour))),
        ),
        Family::new(
            "twinstream_spool",
            "Bytes in the spool here",
            each(&|server| Some(number(server.spool_bytes))),
        )
        .in_unit(Unit::Bytes),
        Family::new(
            "twinstream_segments_aside",
            "Segments that fail their check and lie aside",
            each(&|server| Some(number(server.aside))),
        ),
        Family::new(
            "twinstream_delivered_until_timestamp",
            "Until when the server's data is with the primary, as far as it is known here",
            each(&|server| server.delivered_until.map(|at| seconds(at.0))),
        )
        .in_unit(Unit::Seconds),
        Family::new(
            "twinstream_clock_offset",
            "The platform's clock minus the server's, as last told",
            each(&|server| server.link.clock_offset_ms.map(seconds)),
        )
        .in_unit(Unit::Seconds),
    ]
}

fn archive(picture: &Snapshot) -> Vec<Family> {
    let vault = &picture.vault;
    let public =
        |of: fn(&Published) -> u64| Values::One(picture.published.as_ref().map(of).map(number));
    let days = picture.runway.as_ref().and_then(|runway| runway.days);
    vec![
        Family::new(
            "twinstream_vault_revisions",
            "Committed revisions of vault hours",
            Values::Total(vault.revisions),
        ),
        Family::new(
            "twinstream_vault_hours",
            "Committed vault hours",
            Values::One(Some(number(vault.hours))),
        ),
        Family::new(
            "twinstream_vault_last_hour_posts",
            "Posts of the latest committed hour",
            Values::One(vault.last_posts.map(number)),
        ),
        Family::new(
            "twinstream_publish_behind_hours",
            "Committed hours whose latest revision is not public",
            public(|public| public.behind),
        ),
        Family::new(
            "twinstream_published_ids",
            "Ids published in the last 30 days",
            public(|public| public.ids_30_days),
        ),
        Family::new(
            "twinstream_published_ids_limit",
            "Ids that may be published in 30 days",
            public(|public| public.ids_max),
        ),
        Family::new(
            "twinstream_disk_free",
            "Bytes that may still be written where the data lies",
            Values::One(Some(number(picture.free_bytes))),
        )
        .in_unit(Unit::Bytes),
        Family::new(
            "twinstream_disk_runway",
            "Time until the disk is full, by the growth of the last days",
            Values::One(days.map(|days| days * 86_400.0)),
        )
        .in_unit(Unit::Seconds),
        Family::new(
            "twinstream_mails_waiting",
            "Mails that wait to be sent",
            Values::One(Some(number(picture.mails_waiting))),
        ),
    ]
}

fn stages(picture: &Snapshot) -> Vec<Family> {
    let each = |of: &dyn Fn(&StageRun) -> f64| {
        let stages = picture.stages.iter();
        let values = stages.map(|(stage, run)| (stage.name().to_owned(), of(run)));
        Values::By("stage", values.collect())
    };
    let open = |kind: &AlarmKind| {
        let alarms = picture.alarms.iter();
        alarms.filter(|alarm| alarm.kind == *kind).count() as u64
    };
    let kinds = AlarmKind::ALL.iter();
    let alarms = kinds.map(|kind| (kind.word().to_owned(), number(open(kind))));
    vec![
        Family::new(
            "twinstream_stage_failures",
            "How many runs of the stage in a row have failed",
            each(&|run| f64::from(run.failures)),
        ),
        Family::new(
            "twinstream_stage_started_timestamp",
            "When the stage was last started",
            each(&|run| seconds(run.started.0)),
        )
        .in_unit(Unit::Seconds),
        Family::new(
            "twinstream_alarms",
            "Open alarms",
            Values::By("kind", alarms.collect()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        monitor::{
            facts::{Facts, LegFacts, MailFacts, PublishedFacts, ServerFacts},
            link::Link,
            snapshot::{self, Settled},
        },
        period::UtcMs,
        schedule::stage::Stage,
        segment::{rules::KnownRules, sha256::Sha256},
    };

    const NOW: UtcMs = UtcMs(1_795_442_700_000);

    fn told(configured: &[u8]) -> KnownRules {
        KnownRules {
            at: NOW,
            sha256: Sha256::of(b"a"),
            configured: Sha256::of(configured),
        }
    }

    fn facts() -> Facts {
        let link = |state| Link {
            state,
            since: Some(NOW.plus_ms(-90_500)),
            told: Some(NOW),
            clock_offset_ms: Some(-1_500),
            rules: Some(told(b"a")),
            ..Link::default()
        };
        let of = |state| ServerFacts {
            bytes: 4_096,
            aside: 2,
            last_line: Some(NOW.plus_ms(-2_250)),
            sealed_until: Some(NOW),
            link: link(state),
            minutes: [
                (NOW.minute(), 5),
                (crate::period::Minute(NOW.minute().0 - 1), 120),
            ]
            .into(),
            ..ServerFacts::default()
        };
        let mut second = of(LinkState::Disconnected);
        second.link.rules_unknown = Some((NOW, "503".to_owned()));
        second.legs = [
            ("2.01", LinkState::Connected),
            ("2.02", LinkState::Disconnected),
            ("2.03", LinkState::Stopped),
        ]
        .map(|(leg, state)| {
            let of_leg = LegFacts {
                link: link(state),
                ..LegFacts::default()
            };
            (leg.parse().unwrap(), of_leg)
        })
        .into();
        let mut third = of(LinkState::Connected);
        third.link.rules = Some(told(b"b"));
        let hours = ["2026-11-23_12", "2026-11-23_13"].map(|hour| hour.parse().unwrap());
        let mut facts = Facts {
            servers: [("1", of(LinkState::Connected)), ("2", second), ("3", third)]
                .map(|(id, facts)| (id.parse().unwrap(), facts))
                .into(),
            is_collecting: Some(true),
            free_bytes: 48_000_000,
            free_then: (1..=48)
                .rev()
                .map(|hours| {
                    let at = NOW.plus_ms(-3_600_000 * hours);
                    (at, 48_000_000 + 1_000_000 * u64::try_from(hours).unwrap())
                })
                .collect(),
            mails: MailFacts {
                waiting: 3,
                ..MailFacts::default()
            },
            published: Some(PublishedFacts {
                revisions: [(hours[0], 1)].into(),
                ids: vec![(NOW, 70)],
            }),
            ..Facts::default()
        };
        facts.vault.revisions = [(hours[0], 1), (hours[1], 3)].into();
        facts.vault.lines = 4;
        let mut run = StageRun::begun(NOW.plus_ms(-30_000));
        run.failures = 2;
        facts.record.stages.insert(Stage::Merge, run);
        facts
    }

    /// All that has a value, without its help.
    fn lines(role: Role) -> Vec<String> {
        let settled = Settled {
            role: Some(role),
            partitions: 3,
            ids_max: Some(100),
            ..snapshot::tests::settled()
        };
        let picture = snapshot::of(&facts(), &settled, NOW);
        let text = of(&picture).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn each_number_is_what_its_name_says_in_base_units() {
        let lines = lines(Role::Primary);
        for expected in [
            "twinstream_storing 1.0",
            "twinstream_connected{server=\"1\"} 1.0",
            "twinstream_connected{server=\"2\"} 0.0",
            "twinstream_leg_connected{leg=\"2.01\"} 1.0",
            "twinstream_leg_connected{leg=\"2.02\"} 0.0",
            "twinstream_leg_connected{leg=\"2.03\"} 0.0",
            "twinstream_rules_as_configured{server=\"1\"} 1.0",
            "twinstream_rules_as_configured{server=\"2\"} 0.0",
            "twinstream_rules_as_configured{server=\"3\"} 0.0",
            "twinstream_connection_changed_timestamp_seconds{server=\"1\"} 1795442609.5",
            "twinstream_last_line_timestamp_seconds{server=\"1\"} 1795442697.75",
            "twinstream_lines_per_second{server=\"2\"} 2.0",
            "twinstream_lines_last_hour{server=\"1\"} 120.0",
            "twinstream_spool_bytes{server=\"1\"} 4096.0",
            "twinstream_segments_aside{server=\"3\"} 2.0",
            "twinstream_delivered_until_timestamp_seconds{server=\"2\"} 1795442700.0",
            "twinstream_clock_offset_seconds{server=\"1\"} -1.5",
            "twinstream_vault_revisions_total 4",
            "twinstream_vault_hours 2.0",
            "twinstream_publish_behind_hours 1.0",
            "twinstream_published_ids 70.0",
            "twinstream_published_ids_limit 100.0",
            "twinstream_disk_free_bytes 48000000.0",
            "twinstream_mails_waiting 3.0",
            "twinstream_stage_failures{stage=\"merge\"} 2.0",
            "twinstream_stage_started_timestamp_seconds{stage=\"merge\"} 1795442670.0",
        ] {
            assert!(
                lines.iter().any(|line| line == expected),
                "{expected}: {lines:#?}"
            );
        }
        let runway = lines
            .iter()
            .find_map(|line| line.strip_prefix("twinstream_disk_runway_seconds "));
        let days = runway.unwrap().parse::<f64>().unwrap() / 86_400.0;
        assert!((days - 2.0).abs() < 0.01, "{days}");
        // who has nothing to store says nothing of storing
        let of_merger = self::lines(Role::Merger);
        assert!(
            !of_merger
                .iter()
                .any(|line| line.starts_with("twinstream_storing"))
        );
    }
}
