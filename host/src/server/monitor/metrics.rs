//! The state of a server for Prometheus: in its text format, or in `OpenMetrics` for a client that accepts that.
//!
//! Labels are the configuration's: nothing that a client sends becomes one. A listener has the labels
//! `listener`, `service` and `model`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, exemplar::Exemplar};
use prometheus_client::registry::{Registry, Unit};

use super::document::{Overview, Told};
use crate::status::State;
use crate::totals::{BOUNDS_US, Count, ENDS, Histogram, Totals};

/// The document, and its media type.
pub(in crate::server) fn of(overview: Overview, accept: &[u8]) -> (&'static str, Vec<u8>) {
    let is_open = accepts_open(accept);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(overview)));
    let mut document = String::new();
    // Writing to a string does not fail.
    let _ = if is_open {
        text::encode(&mut document, &registry)
    } else {
        prometheus_text::encode(&mut document, &registry)
    };
    let kind = if is_open {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4"
    };
    (kind, document.into_bytes())
}

/// Whether `OpenMetrics` is among the media types that are accepted.
fn accepts_open(accept: &[u8]) -> bool {
    let is_open = |item: &[u8]| {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_named = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/openmetrics-text"));
        is_named && !parts.any(|part| matches!(part, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
    };
    accept.split(|&byte| byte == b',').any(is_open)
}

#[derive(Debug)]
struct Scrape(Overview);

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// One sum in a family of counters: the label that tells it apart, and what it counts.
type Part = (&'static str, Count);

/// A family of counters: its name, its help, its unit, the label that tells its counters apart, and these.
struct Counters(&'static str, &'static str, Option<Unit>, &'static str, &'static [Part]);

const COUNTERS: [Counters; 14] = [
    Counters(
        "clients_accepted",
        "Clients that were accepted: connections, and requests for a transfer",
        None,
        "",
        &[("", Count::Accepted)],
    ),
    Counters(
        "clients_unserved",
        "Clients that were accepted and closed unserved",
        None,
        "reason",
        &[("resources", Count::Unserved), ("no_worker", Count::Shed)],
    ),
    Counters(
        "clients_redispatched",
        "Clients that were passed to another worker, because the first one died before it touched them",
        None,
        "",
        &[("", Count::Redispatched)],
    ),
    Counters("received", "Received from clients", Some(Unit::Bytes), "", &[("", Count::BytesIn)]),
    Counters("sent", "Sent to clients", Some(Unit::Bytes), "", &[("", Count::BytesOut)]),
    Counters(
        "files",
        "Files, by how their transfer ended",
        None,
        "outcome",
        &[
            ("sent", Count::FilesSent),
            ("received", Count::FilesReceived),
            ("refused", Count::FilesRefused),
            ("failed", Count::FilesFailed),
        ],
    ),
    Counters("datagrams_received", "Datagrams received", None, "", &[("", Count::DatagramsIn)]),
    Counters("datagrams_sent", "Datagrams sent", None, "", &[("", Count::DatagramsOut)]),
    Counters(
        "datagrams_retransmitted",
        "Datagrams with data that were sent again",
        None,
        "",
        &[("", Count::Retransmitted)],
    ),
    Counters(
        "datagrams_dropped",
        "Datagrams that were dropped on their way in or out",
        None,
        "reason",
        &[
            ("malformed", Count::DatagramsMalformed),
            ("too_long", Count::DatagramsTooLong),
            ("refused", Count::DatagramsRefused),
            ("unsent", Count::DatagramsUnsent),
            ("overflow", Count::DatagramsOverflowed),
        ],
    ),
    Counters("workers_started", "Workers that were started", None, "", &[("", Count::Spawned)]),
    Counters(
        "workers_not_started",
        "Workers that could not be started",
        None,
        "",
        &[("", Count::FailedSpawns)],
    ),
    Counters(
        "workers_died",
        "Workers that ended without an order, or were killed because they were out of time",
        None,
        "reason",
        &[("crashed", Count::Crashed), ("killed", Count::Killed)],
    ),
    Counters("reloads", "Reloads of a pool that are done", None, "", &[("", Count::Reloads)]),
];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let Self(overview) = self;
        let build = vec![("version", overview.version)];
        gauge(encoder, ("build_info", "The version of the program"), None, [(build, 1.0)])?;
        let started = [(Vec::new(), seconds(overview.started_us))];
        gauge(
            encoder,
            ("start_time", "When the supervisor started"),
            Some(&Unit::Seconds),
            started,
        )?;
        let ready = [(Vec::new(), f64::from(u8::from(overview.ready)))];
        gauge(encoder, ("ready", "Whether every listener serves"), None, ready)?;
        self.listeners(encoder)?;
        for Counters(name, help, unit, label, parts) in &COUNTERS {
            self.counters(encoder, (*name, *help), unit.as_ref(), label, parts)?;
        }
        let ends = ENDS.map(|end| (end.name(), end));
        let ended = ("clients_ended", "Clients that are no longer served, by how that ended");
        self.counters(encoder, ended, None, "outcome", &ends)?;
        let served = ("client_duration", "How long a client was served");
        self.histogram(encoder, served, |totals| &totals.duration)?;
        let first =
            ("client_first_byte", "How long it took until the first byte was sent to a client");
        self.histogram(encoder, first, |totals| &totals.first_byte)
    }
}

impl Scrape {
    fn listeners(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let of = |value: fn(&Told) -> Option<f64>| {
            let all = self.0.listeners.iter();
            all.filter_map(move |it| Some((labels(it), value(it)?)))
        };
        let text = ("listener_ready", "Whether the listener serves");
        gauge(encoder, text, None, of(|it| Some(f64::from(u8::from(it.ready)))))?;
        let text = ("listener_start_time", "When the counters of the listener were 0");
        gauge(encoder, text, Some(&Unit::Seconds), of(|it| Some(seconds(it.status.started_us))))?;
        let text = ("clients", "Clients that are served now");
        gauge(encoder, text, None, of(|it| Some(it.status.totals.now() as f64)))?;
        let text = ("accept_queue", "Connections that wait to be accepted");
        gauge(encoder, text, None, of(|it| Some(f64::from(it.status.queue?.waiting))))?;
        let text = ("accept_queue_limit", "Connections that may wait to be accepted");
        gauge(encoder, text, None, of(|it| Some(f64::from(it.status.queue?.limit))))?;
        let name = "tls_certificate_expiry_timestamp";
        let text =
            (name, "When the certificate expires that the clients of the listener are shown");
        let expires = of(|it| it.status.certificate_expires_us.map(seconds));
        gauge(encoder, text, Some(&Unit::Seconds), expires)?;
        let states = [
            ("starting", State::Starting),
            ("idle", State::Idle),
            ("busy", State::Busy),
            ("draining", State::Draining),
        ];
        let workers = self.0.listeners.iter().flat_map(|it| {
            states.iter().map(move |&(name, state)| {
                let count = it.status.workers.iter().filter(|worker| worker.state == state).count();
                (with(it, "state", name), count as f64)
            })
        });
        gauge(encoder, ("workers", "Processes and threads that serve"), None, workers)
    }

    fn counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        unit: Option<&Unit>,
        label: &'static str,
        parts: &[Part],
    ) -> fmt::Result {
        let name = format!("windlass_{name}");
        let mut family = encoder.encode_descriptor(&name, help, unit, MetricType::Counter)?;
        for it in &self.0.listeners {
            for &(part, count) in parts {
                let counter = ConstCounter::new(it.status.totals.get(count));
                counter.encode(family.encode_family(&with(it, label, part))?)?;
            }
        }
        Ok(())
    }

    fn histogram(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        of: fn(&Totals) -> &Histogram,
    ) -> fmt::Result {
        let name = format!("windlass_{name}");
        let seconds_of = Some(&Unit::Seconds);
        let kind = MetricType::Histogram;
        let mut family = encoder.encode_descriptor(&name, help, seconds_of, kind)?;
        let bounds = BOUNDS_US.iter().map(|&us| seconds(us)).chain([f64::INFINITY]);
        for it in &self.0.listeners {
            let histogram = of(&it.status.totals);
            let buckets: Vec<_> = bounds.clone().zip(histogram.counts).collect();
            let (sum, count) = (seconds(histogram.sum_us), histogram.count());
            let labels = labels(it);
            let mut one = family.encode_family(&labels)?;
            let exemplars = None::<&std::collections::HashMap<usize, Exemplar<Labels<'_>, f64>>>;
            one.encode_histogram(sum, count, &buckets, exemplars)?;
        }
        Ok(())
    }
}

fn gauge<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> fmt::Result {
    let name = format!("windlass_{name}");
    let mut family = encoder.encode_descriptor(&name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn labels(it: &Told) -> Labels<'_> {
    let status = &it.status;
    vec![("listener", &status.address), ("service", &status.service), ("model", &status.model)]
}

/// With one more label, if it has a name.
fn with<'a>(it: &'a Told, name: &'static str, value: &'a str) -> Labels<'a> {
    let mut labels = labels(it);
    if !name.is_empty() {
        labels.push((name, value));
    }
    labels
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests;
