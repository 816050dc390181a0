//! What Prometheus sees: counters that the parts keep anyway, read when asked.
//!
//! Each part lists its samples in one table; a new counter is one line there.

mod broker;
mod core;
mod mqtt;
mod process;
mod registrar;
mod security;
mod store;

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub(crate) use broker::broker_samples;
pub(crate) use core::core_samples;
pub(crate) use mqtt::mqtt_samples;
pub(crate) use registrar::{RegistrarLink, registrar_samples};
pub(crate) use security::security_samples;
pub(crate) use store::store_samples;

use process::ProcessSamples;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Name without prefix and, for counters, without the suffix `_total`.
    pub(crate) name: &'static str,
    /// What it counts, as a sentence without full stop.
    pub(crate) help: &'static str,
    /// The value.
    pub(crate) value: Measure,
    /// Name and value of what tells samples of one name apart; these follow each other.
    pub(crate) label: Option<(&'static str, Cow<'static, str>)>,
}

impl Sample {
    /// A sample that only grows.
    pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: Measure::Counter(value), label: None }
    }

    /// A sample that grows and shrinks.
    pub(crate) fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        Self { name, help, value: Measure::Gauge(value), label: None }
    }
}

/// A value and how it behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measure {
    /// Only grows.
    Counter(u64),
    /// Only grows, in fractions.
    CounterSeconds(f64),
    /// Grows and shrinks.
    Gauge(i64),
    /// Grows and shrinks, in fractions.
    GaugeSeconds(f64),
}

impl Measure {
    fn metric(self) -> Box<dyn EncodeMetric> {
        match self {
            Self::Counter(value) => Box::new(ConstCounter::new(value)),
            Self::CounterSeconds(value) => Box::new(ConstCounter::new(value)),
            Self::Gauge(value) => Box::new(ConstGauge::new(value)),
            Self::GaugeSeconds(value) => Box::new(ConstGauge::new(value)),
        }
    }
}

/// The samples of one part, read when they are asked for.
struct Part<F>(F);

impl<F> fmt::Debug for Part<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Part")
    }
}

impl<F: Fn() -> Vec<Sample> + Send + Sync + 'static> Collector for Part<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in (self.0)().chunk_by(|one, next| one.name == next.name) {
            let Some(first) = family.first() else {
                continue;
            };
            let (help, kind) = (format!("{}.", first.help), first.value.metric().metric_type());
            let mut descriptor = encoder.encode_descriptor(first.name, &help, None, kind)?;
            let labelled = family.iter().filter_map(|sample| Some((sample.value, sample.label.as_ref()?)));
            for (value, (name, label)) in labelled {
                value.metric().encode(descriptor.encode_family(&[(*name, label.as_ref())])?)?;
            }
            if first.label.is_none() {
                first.value.metric().encode(descriptor)?;
            }
        }
        Ok(())
    }
}

/// Adds a part of the server; its names get the prefix `cse_`.
pub(crate) fn register(registry: &mut Registry, samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
    registry.sub_registry_with_prefix("cse").register_collector(Box::new(Part(samples)));
}

/// Adds what every process has, under the names that every program uses.
pub(crate) fn register_process(registry: &mut Registry) {
    let process = ProcessSamples::starting();
    registry.register_collector(Box::new(Part(move || process.samples())));
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn samples_are_read_when_asked_for() {
        let mut registry = Registry::default();
        register(&mut registry, || {
            let labelled = |value, operation| Sample {
                label: Some(("operation", Cow::Borrowed(operation))),
                ..Sample::counter("requests", "What came", value)
            };
            vec![
                Sample::counter("seen", "What was seen", 3),
                labelled(1, "create"),
                labelled(2, "delete"),
                Sample::gauge("waiting", "What waits", 7),
                Sample { value: Measure::CounterSeconds(0.5), ..Sample::counter("busy_seconds", "Time", 0) },
            ]
        });
        let mut body = String::new();
        text::encode(&mut body, &registry).expect("text");
        assert_eq!(
            body,
            "# HELP cse_seen What was seen.\n# TYPE cse_seen counter\ncse_seen_total 3\n\
             # HELP cse_requests What came.\n# TYPE cse_requests counter\n\
             cse_requests_total{operation=\"create\"} 1\ncse_requests_total{operation=\"delete\"} 2\n\
             # HELP cse_waiting What waits.\n# TYPE cse_waiting gauge\ncse_waiting 7\n\
             # HELP cse_busy_seconds Time.\n# TYPE cse_busy_seconds counter\ncse_busy_seconds_total 0.5\n# EOF\n"
        );
    }
}
