//! Requests of AEs at a gateway for the CSE above it, beside the same ones for the gateway itself. They take turns.

use std::time::{Duration, Instant};

use cse_tests::form::Form;

use super::gateway::{GATEWAY, Pair, container, entities};
use super::http::HttpRequest;
use super::mqtt::{MqttClient, MqttRequest};
use super::report::{Forwarded, Hosted, OUTSTANDING, Over, What};
use super::sample::Tally;
use super::scenarios::{Bench, HttpLoad, INSTANCE, MqttLoad, originator};
use crate::Result;

/// Turns of each; odd, so that there is a middle.
const ROUNDS: usize = 9;

/// What is asked: makes the line of it.
type Line = fn(Over, Over, Hosted) -> What;

impl Bench<'_> {
    /// Creates and retrieves through a gateway, for each binding between it and the CSE above.
    pub(crate) async fn forwarding(&mut self) -> Result<()> {
        for hop in [Over::Mqtt, Over::Http] {
            self.report.section(&format!("Gateway registered over {}: one hop beside none", hop.name()));
            let directory = self.new_directory(&format!("forwarding-{}", hop.name()))?;
            let pair = Pair::start(self.binary, &directory, hop).await?;
            let mut created = [0, 0];
            for (by, line) in
                [(Over::Mqtt, What::Create as Line), (Over::Http, What::Create), (Over::Mqtt, What::Latest)]
            {
                for outstanding in OUTSTANDING {
                    let here = Load::new(self, &pair, line(hop, by, Hosted::Here), outstanding).await?;
                    let above = Load::new(self, &pair, line(hop, by, Hosted::Above), outstanding).await?;
                    let answered = self.alternate([here, above], outstanding).await?;
                    if matches!(line(hop, by, Hosted::Here), What::Create(..)) {
                        created = [created[0] + answered[0], created[1] + answered[1]];
                    }
                }
            }
            pair.check(Hosted::Here, created[0]).await?;
            pair.check(Hosted::Above, created[1]).await?;
            pair.gateway.serving.stop("TERM")?;
            pair.above.serving.stop("TERM")?;
        }
        Ok(())
    }

    /// Lets the local and the forwarded load have their turns; gives how many requests of each were answered.
    async fn alternate(&mut self, mut loads: [Load; 2], outstanding: usize) -> Result<[usize; 2]> {
        let mut answered = [0, 0];
        for (load, answered) in loads.iter_mut().zip(&mut answered) {
            *answered += load.run(self.options.warm_up).await?;
            drop(load.take_tally());
        }
        let turn = self.options.time / ROUNDS as u32;
        let mut ratios = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let mut rates = [0.0, 0.0];
            for ((load, answered), rate) in loads.iter_mut().zip(&mut answered).zip(&mut rates) {
                let began = Instant::now();
                let count = load.run(turn).await?;
                *rate = count as f64 / began.elapsed().as_secs_f64();
                *answered += count;
            }
            ratios.push(rates[1] / rates[0]);
        }
        ratios.sort_unstable_by(f64::total_cmp);
        let [here, above] = loads.each_mut().map(|load| (load.what, load.take_tally().into_sample()));
        for (what, sample) in [here, above] {
            self.report.add(what, outstanding, sample);
        }
        let (here, (what, above)) = (here.1.p50, (above.0, above.1.p50));
        self.report.forwarded.push(Forwarded {
            what,
            outstanding,
            latency: above.as_secs_f64() / here.as_secs_f64().max(1e-6),
            added: above.saturating_sub(here),
            throughput: ratios[ROUNDS / 2],
        });
        Ok(answered)
    }
}

/// Requests for one line.
struct Load {
    what: What,
    way: Way,
}

enum Way {
    Mqtt(MqttLoad),
    Http(HttpLoad),
}

impl Load {
    /// Connects AEs to the gateway.
    async fn new(bench: &Bench<'_>, pair: &Pair, what: What, outstanding: usize) -> Result<Self> {
        let (What::Create(_, by, hosted) | What::Latest(_, by, hosted)) = what else {
            return Err("a line that has nothing to do with gateways".into());
        };
        let (gateway, processes, entities) = (&pair.gateway, pair.processes(), entities(hosted));
        let creates = matches!(what, What::Create(..));
        if by == Over::Http {
            let request = |index| {
                let (to, who) = (container(by, hosted, entities.start + index), originator(entities.start + index));
                match creates {
                    true => HttpRequest::create(&to, &who, 4, INSTANCE),
                    false => HttpRequest::retrieve(&format!("{to}/la"), &who),
                }
            };
            let load = HttpLoad::new(gateway, outstanding, request, processes).await?;
            return Ok(Self { what, way: Way::Http(load) });
        }
        let connections = outstanding.min(bench.options.connections).min(entities.len());
        let (mut clients, mut requests) = (Vec::new(), Vec::new());
        for entity in entities.take(connections) {
            let (to, who) = (container(by, hosted, entity), originator(entity));
            let (door, kept) = (gateway.door(), bench.options.kept_sessions);
            clients.push(MqttClient::connect_to(GATEWAY, &door, &who, &who, Form::Json, kept).await?);
            requests.push(match creates {
                true => MqttRequest::create_at(GATEWAY, &to, &who, 4, INSTANCE)?,
                false => MqttRequest::retrieve_at(GATEWAY, &format!("{to}/la"), &who)?,
            });
        }
        Ok(Self { what, way: Way::Mqtt(MqttLoad::new(clients, requests, outstanding, processes)) })
    }

    /// Runs for a time; gives the number of requests that were answered.
    async fn run(&mut self, time: Duration) -> Result<usize> {
        match &mut self.way {
            Way::Mqtt(load) => load.run(time).await,
            Way::Http(load) => load.run(time).await,
        }
    }

    fn take_tally(&mut self) -> Tally {
        std::mem::take(match &mut self.way {
            Way::Mqtt(load) => &mut load.tally,
            Way::Http(load) => &mut load.tally,
        })
    }
}
