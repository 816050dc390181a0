//! What is asked of the server, and whether it holds.

use std::time::Duration;

use super::report::{Forwarded, Notified, OUTSTANDING, Over, Report, Variant, What, mebibytes};

/// Creates per second of the fastest other CSE known (C, SQLite) on this kind of machine.
const OTHER_CREATES_MQTT: f64 = 600.0;
const OTHER_CREATES_HTTP: f64 = 435.0;
/// What counts as growing: more than allocator noise between a tenth of the instances and all.
const GROWTH_BYTES_MAX: u64 = 2 << 20;
/// Instances for which the bars of growth are meant.
const GROWN: u64 = 1_000_000;
const IDLE_BYTES_MAX: u64 = 40_000_000;
/// A gateway with 100 AEs, 1,000 containers and 100,000 instances, at any time.
const GATEWAY_BYTES_MAX: u64 = 80_000_000;
/// The release binary without symbols.
const PROGRAM_BYTES_MAX: u64 = 25_000_000;
const START_UP_MAX: Duration = Duration::from_secs(1);

/// What 1,000 clients that do nothing may add.
const CROWD_BYTES_MAX: u64 = 30_000_000;
const NOTIFIED_MIN: f64 = 5_000.0;
/// Part of the throughput with JSON over TCP. That of CBOR is to be no less; this much is noise.
const CBOR_MIN: f64 = 0.97;
const XML_MIN: f64 = 0.5;

/// How much longer a create may take that goes one hop over MQTT, one at a time, by the median.
const FORWARDED_LATENCY_MAX: f64 = 3.0;
/// Part of the throughput of local creates that is left when each goes one hop.
const FORWARDED_MIN: f64 = 0.4;

/// Requests outstanding that the bars are about.
const AT: usize = OUTSTANDING[OUTSTANDING.len() - 1];

/// Prints the bars that were measured; `true` if all of them hold.
pub(crate) fn print(report: &Report) -> bool {
    println!("\nBARS (at {AT} outstanding)");
    let mut judge = Judge { failed: 0 };
    let rate = |what| report.rate(what, AT);
    if let Some(creates) = rate(What::MqttCreate) {
        if let (Some(echo), Some(sqlite)) = (rate(What::MqttEcho), rate(What::SqliteOfMqtt)) {
            let lower = echo.min(sqlite);
            let name = if echo < sqlite { "echo" } else { "SQLite" };
            judge.at_least(&format!("creates over MQTT / lower ceiling ({name})"), creates / lower, 0.30);
        }
        judge.at_least("creates over MQTT / fastest other CSE (600/s)", creates / OTHER_CREATES_MQTT, 25.0);
    }
    if let Some(creates) = rate(What::HttpCreate) {
        judge.at_least("creates over HTTP / fastest other CSE (435/s)", creates / OTHER_CREATES_HTTP, 20.0);
    }
    for (name, what, bar) in [
        ("latest over MQTT, per s", What::MqttLatest, 25_000.0),
        ("AE over MQTT, per s", What::MqttEntity, 25_000.0),
        ("latest over HTTP, per s", What::HttpLatest, 15_000.0),
        ("AE over HTTP, per s", What::HttpEntity, 15_000.0),
        ("discovery, 100 of 10,000, over MQTT, per s", What::MqttDiscovery, 1_000.0),
        ("discovery, 100 of 10,000, over HTTP, per s", What::HttpDiscovery, 1_000.0),
    ] {
        if let Some(found) = rate(what) {
            judge.at_least(name, found, bar);
        }
    }
    for (what, ratio) in &report.ratios {
        let (operation, variant) = match what {
            What::VariantCreate(variant) => ("creates", variant),
            What::VariantLatest(variant) => ("latest", variant),
            _ => continue,
        };
        let name = format!("{operation}, {} / {}", variant.name(), Variant::Plain.name());
        match variant {
            Variant::Plain => {}
            Variant::Cbor => judge.at_least(&name, *ratio, CBOR_MIN),
            Variant::Xml => judge.at_least(&name, *ratio, XML_MIN),
            Variant::Tls | Variant::Kept => println!("  --  {name:<52} {ratio:.2}"),
        }
    }
    for forwarded in &report.forwarded {
        judge.forwarded(forwarded);
    }
    for notified in &report.notified {
        let found = notified.rate;
        let passed = found >= NOTIFIED_MIN && notified.lost == 0 && notified.out_of_order == 0;
        let Notified { subscribers, outstanding, manner, .. } = notified;
        let what = format!("notified per s: {subscribers} {}, {outstanding} creates at a time", manner.name());
        let wrong = format!("{} lost, {} out of order", notified.lost, notified.out_of_order);
        judge.say(&what, passed, &format!("{found:.0} (>= {NOTIFIED_MIN:.0}), {wrong} (none)"));
    }
    if let Some(crowd) = report.crowd {
        let added = crowd.idle.saturating_sub(crowd.before);
        let what = format!("memory that {} idle clients add", crowd.clients);
        judge.say(&what, added < CROWD_BYTES_MAX, &format!("{} MiB (< 30 MB)", mebibytes(added)));
    }
    if let Some(bytes) = report.idle_bytes {
        judge.say("resident memory idle", bytes < IDLE_BYTES_MAX, &format!("{} MiB (< 40 MB)", mebibytes(bytes)));
    }
    let growth = report.growth;
    if let Some((early, late)) = growth.resident {
        let found = format!("{} -> {} MiB (at most 2 MiB more)", mebibytes(early), mebibytes(late));
        let what = format!("resident memory, {} -> {} instances", growth.instances / 10, growth.instances);
        if growth.instances >= GROWN {
            judge.say(&what, late <= early + GROWTH_BYTES_MAX, &found);
        } else {
            // Caches with a bound are still filling up.
            println!("  --  {what:<52} {found}");
        }
    }
    if let Some((polite, killed)) = growth.start_up {
        let found = format!("{:.0} ms, after a kill {:.0} ms (< 1 s)", millis(polite), millis(killed));
        judge.say(&format!("start-up with {} instances", growth.instances), polite.max(killed) < START_UP_MAX, &found);
    }
    if let Some(populated) = report.populated {
        let resident = populated.resident_bytes;
        let found = format!("{} MiB (< 80 MB)", mebibytes(resident));
        judge.say("gateway, 100 AEs, 1000 containers, 100000 instances", resident < GATEWAY_BYTES_MAX, &found);
        let program = populated.program_bytes;
        judge.say("program, stripped", program < PROGRAM_BYTES_MAX, &format!("{} MiB (< 25 MB)", mebibytes(program)));
    }
    if judge.failed > 0 {
        println!("{} missed", judge.failed);
    }
    judge.failed == 0
}

struct Judge {
    failed: usize,
}

impl Judge {
    fn at_least(&mut self, what: &str, found: f64, bar: f64) {
        let digits = if bar < 1.0 { 2 } else { usize::from(bar < 100.0) };
        self.say(what, found >= bar, &format!("{found:.digits$} (>= {bar:.digits$})"));
    }

    /// One at a time, the latency counts; else the throughput.
    fn forwarded(&mut self, forwarded: &Forwarded) {
        let Forwarded { what, outstanding, latency, added, throughput } = *forwarded;
        let (operation, hop, by) = match what {
            What::Create(hop, by, _) => ("creates", hop, by),
            What::Latest(hop, by, _) => ("latest", hop, by),
            _ => return,
        };
        let ways = format!("{operation} over {}, hop over {}", by.name(), hop.name());
        let is_create = operation == "creates";
        let (name, passed, found) = if outstanding == 1 {
            let found = format!("{latency:.2} (<= {FORWARDED_LATENCY_MAX:.2}), {:.2} ms more", millis(added));
            let passed = (is_create && hop == Over::Mqtt).then_some(latency <= FORWARDED_LATENCY_MAX);
            (format!("{ways}: latency / local"), passed, found)
        } else {
            let found = format!("{throughput:.2} (>= {FORWARDED_MIN:.2})");
            let passed = is_create.then_some(throughput >= FORWARDED_MIN);
            (format!("{ways}, {outstanding} at a time / local"), passed, found)
        };
        match passed {
            Some(passed) => self.say(&name, passed, &found),
            None => println!("  --  {name:<52} {}", found.split(" (").next().unwrap_or_default()),
        }
    }

    fn say(&mut self, what: &str, passed: bool, found: &str) {
        self.failed += usize::from(!passed);
        println!("{}  {what:<52} {found}", if passed { "PASS" } else { "FAIL" });
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
