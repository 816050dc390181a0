//! A thousand AEs, each with a connection of its own: what they cost idle, and how long they wait when each creates
//! an instance now and then.

use std::time::{Duration, Instant};

use cse_tests::form::Form;
use futures_util::future::try_join_all;

use super::machine::resident_bytes;
use super::report::{Crowd, What, mebibytes};
use super::sample::{Stopwatch, Tally};
use super::scenarios::{Bench, SETTLING, check_instances, create_over_mqtt, fill_entities, merged, mqtt_clients};
use crate::Result;

const CLIENTS: usize = 1_000;
/// Each creates so often: 5,000 creates per second in all.
const INTERVAL: Duration = Duration::from_millis(200);

impl Bench<'_> {
    /// Memory of connected clients, then latencies under a steady load.
    pub(crate) async fn clients(&mut self) -> Result<()> {
        println!("\n{CLIENTS} AEs, each connected with a kept session and subscribed to its answers");
        let cse = self.start("clients").await?;
        tokio::time::sleep(SETTLING).await;
        let before = resident_bytes(cse.id())?;
        let clients = mqtt_clients(&cse.door(), 0..CLIENTS, Form::Json, true).await?;
        tokio::time::sleep(SETTLING).await;
        let connected = resident_bytes(cse.id())?;
        fill_entities(&cse, 0..CLIENTS).await?;
        tokio::time::sleep(SETTLING).await;
        let idle = resident_bytes(cse.id())?;
        let each = |bytes: u64| bytes.saturating_sub(before) as f64 / 1024.0 / CLIENTS as f64;
        println!("              idle: {:>6} MiB resident", mebibytes(before));
        println!("         connected: {:>6} MiB, {:.1} KiB for each", mebibytes(connected), each(connected));
        println!(
            "        registered: {:>6} MiB, {:.1} KiB for each, with an AE, a container and an instance",
            mebibytes(idle),
            each(idle)
        );
        self.report.crowd = Some(Crowd { clients: CLIENTS, before, idle });
        self.report.section(&format!("Each of the {CLIENTS} creates an instance every {} ms", INTERVAL.as_millis()));
        let mut requests = (0..CLIENTS).map(create_over_mqtt).collect::<Result<Vec<_>>>()?;
        let mut clients = clients;
        let mut tally = Tally::default();
        let mut created = 0;
        for (time, counts) in [(self.options.warm_up, false), (self.options.time, true)] {
            let stopwatch = Stopwatch::start(&[cse.id()])?;
            // A moment to give all of them their times.
            let begin = Instant::now() + Duration::from_millis(50);
            let running = clients.iter_mut().zip(&mut requests).enumerate().map(|(index, (client, request))| {
                let first = begin + INTERVAL.mul_f64(index as f64 / CLIENTS as f64);
                client.run_steadily(request, first, INTERVAL, begin + time)
            });
            let latencies = merged(try_join_all(running).await?);
            created += latencies.count();
            if counts {
                stopwatch.stop(latencies, &mut tally)?;
            }
        }
        let sample = tally.into_sample();
        println!(
            "p99.9 {:.2} ms, longest {:.2} ms",
            sample.p999.as_secs_f64() * 1e3,
            sample.longest.as_secs_f64() * 1e3
        );
        self.report.add(What::Steady, CLIENTS, sample);
        check_instances(&cse, 0..CLIENTS, created).await?;
        let after = resident_bytes(cse.id())?;
        println!("after it: {} MiB resident, {:.1} KiB for each client", mebibytes(after), each(after));
        cse.serving.stop("TERM")?;
        Ok(())
    }
}
