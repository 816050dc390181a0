//! What Prometheus sees: counters that the parts keep anyway, read when asked.
//!
//! Each part lists its samples in one table; a new counter is one line there.

mod broker;
mod process;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub(crate) use broker::broker_samples;
pub(crate) use process::ProcessSamples;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Name without the prefix `cse_` and, for counters, without the suffix `_total`.
    pub(crate) name: &'static str,
    /// What it counts, as a sentence without full stop.
    pub(crate) help: &'static str,
    /// The value.
    pub(crate) value: Measure,
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

/// The samples of one part, read when they are asked for.
struct Part<F>(F);

impl<F> fmt::Debug for Part<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Part")
    }
}

impl<F: Fn() -> Vec<Sample> + Send + Sync + 'static> Collector for Part<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Sample { name, help, value } in (self.0)() {
            let metric: Box<dyn EncodeMetric> = match value {
                Measure::Counter(value) => Box::new(ConstCounter::new(value)),
                Measure::CounterSeconds(value) => Box::new(ConstCounter::new(value)),
                Measure::Gauge(value) => Box::new(ConstGauge::new(value)),
                Measure::GaugeSeconds(value) => Box::new(ConstGauge::new(value)),
            };
            let descriptor = encoder.encode_descriptor(name, &format!("{help}."), None, metric.metric_type())?;
            metric.encode(descriptor)?;
        }
        Ok(())
    }
}

/// A registry whose names begin with `cse_`.
pub(crate) fn registry() -> Registry {
    Registry::with_prefix("cse")
}

/// Adds a part.
pub(crate) fn register(registry: &mut Registry, samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
    registry.register_collector(Box::new(Part(samples)));
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn samples_are_read_when_asked_for() {
        let mut registry = registry();
        register(&mut registry, || {
            vec![
                Sample { name: "seen", help: "What was seen", value: Measure::Counter(3) },
                Sample { name: "waiting", help: "What waits", value: Measure::Gauge(-1) },
                Sample { name: "busy_seconds", help: "Time", value: Measure::CounterSeconds(0.5) },
            ]
        });
        let mut body = String::new();
        text::encode(&mut body, &registry).expect("text");
        assert_eq!(
            body,
            "# HELP cse_seen What was seen.\n# TYPE cse_seen counter\ncse_seen_total 3\n\
             # HELP cse_waiting What waits.\n# TYPE cse_waiting gauge\ncse_waiting -1\n\
             # HELP cse_busy_seconds Time.\n# TYPE cse_busy_seconds counter\ncse_busy_seconds_total 0.5\n# EOF\n"
        );
    }
}
