//! The table, and what the bars are decided from.

use std::borrow::Cow;
use std::time::Duration;

use super::sample::Sample;
use super::subscriber::Manner;

/// Requests outstanding in turn.
pub(crate) const OUTSTANDING: [usize; 3] = [1, 16, 64];

/// What a line measures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    MqttCreate,
    MqttLatest,
    MqttEntity,
    MqttDiscovery,
    MqttEcho,
    HttpCreate,
    HttpLatest,
    HttpEntity,
    HttpDiscovery,
    /// Group commits of the rows of creates over MQTT, with remembered answers.
    SqliteOfMqtt,
    /// The same of creates over HTTP, without.
    SqliteOfHttp,
    VariantCreate(Variant),
    VariantLatest(Variant),
    /// At a gateway that is registered over the first binding, asked over the second: here, or at the CSE above it.
    Create(Over, Over, Hosted),
    Latest(Over, Over, Hosted),
    /// Creates of many AEs, each at its own slow pace.
    Steady,
    /// Notifications that arrived at so many subscribers.
    Notified(Manner, usize),
}

/// A binding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Mqtt,
    Http,
}

impl Over {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "MQTT",
            Self::Http => "HTTP",
        }
    }
}

/// Where the target of a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hosted {
    /// At the CSE that is asked.
    Here,
    /// At the one above it: the request is passed on.
    Above,
}

impl Hosted {
    fn name(self) -> &'static str {
        match self {
            Self::Here => "local",
            Self::Above => "forwarded",
        }
    }
}

/// How a client speaks to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Variant {
    /// JSON over TCP, with a session that ends with its connection: what the others are compared with.
    Plain,
    Xml,
    Cbor,
    Tls,
    /// With a session that the broker keeps.
    Kept,
}

impl Variant {
    pub(crate) const ALL: [Self; 5] = [Self::Plain, Self::Xml, Self::Cbor, Self::Tls, Self::Kept];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "JSON, TCP, clean session",
            Self::Xml => "XML",
            Self::Cbor => "CBOR",
            Self::Tls => "TLS",
            Self::Kept => "kept session",
        }
    }
}

impl What {
    fn name(self) -> Cow<'static, str> {
        let name = match self {
            Self::VariantCreate(variant) => return format!("create, {}", variant.name()).into(),
            Self::VariantLatest(variant) => return format!("latest, {}", variant.name()).into(),
            Self::Notified(manner, 1) => return format!("1 {}", manner.name()).into(),
            Self::Notified(manner, count) => return format!("{count} {}", manner.name()).into(),
            Self::Create(_, by, hosted) => return format!("create, AE over {}, {}", by.name(), hosted.name()).into(),
            Self::Latest(_, by, hosted) => return format!("latest, AE over {}, {}", by.name(), hosted.name()).into(),
            Self::Steady => "create, steadily",
            Self::MqttCreate => "create, MQTT QoS 1",
            Self::MqttLatest => "latest, MQTT QoS 1",
            Self::MqttEntity => "AE, MQTT QoS 1",
            Self::MqttDiscovery => "discovery by label, MQTT",
            Self::MqttEcho => "ceiling: echo, same broker",
            Self::HttpCreate => "create, HTTP",
            Self::HttpLatest => "latest, HTTP",
            Self::HttpEntity => "AE, HTTP",
            Self::HttpDiscovery => "discovery by label, HTTP",
            Self::SqliteOfMqtt => "ceiling: SQLite, MQTT's rows",
            Self::SqliteOfHttp => "ceiling: SQLite, HTTP's rows",
        };
        name.into()
    }
}

/// What the memory and start-up sections found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Growth {
    pub(crate) instances: u64,
    /// Resident bytes at a tenth of the instances, and at all of them.
    pub(crate) resident: Option<(u64, u64)>,
    /// From exec to the first answer, after a polite end and after a kill.
    pub(crate) start_up: Option<(Duration, Duration)>,
}

/// What the section about many clients found, in resident bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) clients: usize,
    pub(crate) before: u64,
    /// With all of them connected, subscribed and registered, doing nothing.
    pub(crate) idle: u64,
}

/// What became of the notifications of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notified {
    pub(crate) manner: Manner,
    pub(crate) subscribers: usize,
    /// Creates that cause them, at a time.
    pub(crate) outstanding: usize,
    /// Arrived per second.
    pub(crate) rate: f64,
    pub(crate) lost: u64,
    pub(crate) out_of_order: u64,
}

/// What a request costs that is passed on, beside the same one that is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarded {
    /// The forwarded line.
    pub(crate) what: What,
    pub(crate) outstanding: usize,
    /// The median latency divided by that of local ones, and what is between them.
    pub(crate) latency: f64,
    pub(crate) added: Duration,
    /// Throughput as a part of the local one's, the median of rounds.
    pub(crate) throughput: f64,
}

/// A gateway with many resources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Populated {
    /// The most that was resident at any time.
    pub(crate) resident_bytes: u64,
    /// The program without symbols.
    pub(crate) program_bytes: u64,
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<(What, usize, Sample)>,
    pub(crate) idle_bytes: Option<u64>,
    pub(crate) growth: Growth,
    /// Of creates and of retrieves: throughput of a variant as a part of the plain one's, the median of rounds.
    pub(crate) ratios: Vec<(What, f64)>,
    pub(crate) forwarded: Vec<Forwarded>,
    pub(crate) crowd: Option<Crowd>,
    pub(crate) notified: Vec<Notified>,
    pub(crate) populated: Option<Populated>,
}

impl Report {
    /// Begins a part of the table.
    pub(crate) fn section(&self, title: &str) {
        println!("\n{title}");
        println!(
            "{:<32} {:>11} {:>10} {:>9} {:>9} {:>12} {:>9}",
            "", "outstanding", "per s", "p50 ms", "p99 ms", "CPU µs each", "RSS MiB"
        );
    }

    /// Adds and prints a line.
    pub(crate) fn add(&mut self, what: What, outstanding: usize, sample: Sample) {
        let millis = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
        let cpu = sample.cpu_per_request.map_or("-".into(), |cpu| format!("{:.1}", cpu.as_secs_f64() * 1e6));
        let resident = sample.resident_bytes.map_or("-".into(), mebibytes);
        println!(
            "{:<32} {outstanding:>11} {:>10.0} {:>9} {:>9} {cpu:>12} {resident:>9}",
            what.name(),
            sample.per_second,
            millis(sample.p50),
            millis(sample.p99),
        );
        self.lines.push((what, outstanding, sample));
    }

    /// The rate of a line, if it was measured.
    pub(crate) fn rate(&self, what: What, outstanding: usize) -> Option<f64> {
        let found = self.lines.iter().find(|(line, count, _)| (*line, *count) == (what, outstanding));
        found.map(|(_, _, sample)| sample.per_second)
    }
}

/// Bytes as MiB with one decimal.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}
