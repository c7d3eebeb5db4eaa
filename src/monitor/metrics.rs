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
