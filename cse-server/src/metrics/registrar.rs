//! Samples of the links to the broker of the registrar, told apart by the point of access that each leads to.

use std::sync::Arc;

use cse_core::value::Text;
use cse_mqtt::{LinkStatus, MqttStats};
use tokio::sync::watch;

use super::Sample;

/// What is known of one link.
pub(crate) struct RegistrarLink {
    /// The point of access of the registrar, which has no credentials in it.
    pub(crate) point: Text,
    /// Whether it is there.
    pub(crate) status: watch::Receiver<LinkStatus>,
    /// Its counters.
    pub(crate) stats: Arc<MqttStats>,
}

type Row = (&'static str, &'static str, fn(&MqttStats) -> u64);

const COUNTERS: &[Row] = &[
    ("registrar_link_connections", "Connections to the broker of the registrar that came about", |s| {
        s.connections.get()
    }),
    ("registrar_link_connection_failures", "Connections to the broker of the registrar lost or refused", |s| {
        s.connection_failures.get()
    }),
    ("registrar_link_subscriptions_refused", "Times that the broker of the registrar refused our subscriptions", |s| {
        s.subscriptions_refused.get()
    }),
    ("registrar_link_sent", "Requests published there", |s| s.sent.get()),
    ("registrar_link_responses_matched", "Answers to them", |s| s.responses_matched.get()),
    ("registrar_link_responses_unmatched", "Answers that nobody waits for", |s| s.responses_unmatched.get()),
    ("registrar_link_received", "Messages received there", |s| s.received.get()),
    ("registrar_link_dispatched", "Requests of the registrar handed to the CSE", |s| s.dispatched.get()),
    ("registrar_link_answered", "Answers published to them, refusals included", |s| s.answered.get()),
    ("registrar_link_originator_mismatches", "Requests for originators that the registrar may not speak for", |s| {
        s.originator_mismatches.get()
    }),
    ("registrar_link_unknown_topics", "Messages of others than the registrar", |s| s.unknown_topics.get()),
    ("registrar_link_republished", "Messages published again because the broker lost them", |s| s.republished.get()),
    ("registrar_link_given_up", "Messages given up because connections kept ending with them", |s| s.given_up.get()),
    ("registrar_link_refused_by_broker", "Messages that the broker refused to take", |s| s.refused_by_broker.get()),
];

/// The samples now.
pub(crate) fn registrar_samples(links: &[RegistrarLink]) -> Vec<Sample> {
    let labelled = |link: &RegistrarLink, sample: Sample| Sample {
        label: Some(("point_of_access", link.point.to_string().into())),
        ..sample
    };
    let up = links.iter().map(|link| {
        let is_up = *link.status.borrow() == LinkStatus::Up;
        let help = "1 while connected to the broker of the registrar";
        labelled(link, Sample::gauge("registrar_link_up", help, u64::from(is_up)))
    });
    let counted = COUNTERS.iter().flat_map(|(name, help, counter)| {
        links.iter().map(move |link| labelled(link, Sample::counter(name, help, counter(&link.stats))))
    });
    up.chain(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_apart_within_each_family() {
        let link = |point: &str, status| RegistrarLink {
            point: point.into(),
            status: watch::Sender::new(status).subscribe(),
            stats: Arc::default(),
        };
        let links = [link("mqtt://a", LinkStatus::Up), link("mqtts://b:8883", LinkStatus::Down)];
        let samples = registrar_samples(&links);
        assert_eq!(samples.len(), (COUNTERS.len() + 1) * 2);
        for pair in samples.chunks(2) {
            assert_eq!(pair[0].name, pair[1].name, "one family after the other");
            let points: Vec<_> =
                pair.iter().filter_map(|sample| sample.label.as_ref()).map(|(_, at)| at.as_ref()).collect();
            assert_eq!(points, ["mqtt://a", "mqtts://b:8883"]);
        }
        assert_eq!(
            (samples[0].value, samples[1].value),
            (super::super::Measure::Gauge(1), super::super::Measure::Gauge(0))
        );
    }
}
