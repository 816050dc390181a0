//! Notifications per second, as they arrive at subscribers over MQTT: none lost, in order.
//!
//! One AE creates instances in one container as fast as it gets answers; each subscriber has a subscription there.

use std::time::{Duration, Instant};

use cse_tests::form::Form;
use futures_util::future::{try_join, try_join_all};
use tokio::sync::watch;
use tokio::time::timeout;

use super::http::{HttpClient, HttpRequest};
use super::mqtt::{MqttClient, MqttRequest, Until};
use super::report::{Notified, What};
use super::sample::{Latencies, Stopwatch, Tally};
use super::scenarios::Bench;
use super::server::Cse;
use super::stamp;
use super::subscriber::{Manner, Subscriber};
use crate::Result;

/// Subscribers, and creates outstanding at a time.
const LINES: [(usize, usize); 3] = [(1, 64), (100, 4), (100, 64)];
/// How long the last notifications may take.
const PATIENCE: Duration = Duration::from_secs(60);
const OWNER: &str = "Cowner";

impl Bench<'_> {
    /// Subscribers of all manners.
    pub(crate) async fn notify(&mut self) -> Result<()> {
        self.report.section("Notifications over MQTT, by arrival; outstanding: the creates that cause them");
        for manner in Manner::ALL {
            for (subscribers, outstanding) in LINES {
                self.notify_line(manner, subscribers, outstanding).await?;
            }
        }
        Ok(())
    }

    async fn notify_line(&mut self, manner: Manner, count: usize, outstanding: usize) -> Result<()> {
        let cse = self.start(&format!("notify-{manner:?}-{count}-{outstanding}")).await?;
        let mut subscribers = subscribe(&cse, manner, count).await?;
        let (door, form) = (cse.door(), Form::Json);
        let mut client = MqttClient::connect(&door, OWNER, OWNER, form, false).await?;
        let mut request = MqttRequest::create("cse-in/owner/data", OWNER, 4, stamp::INSTANCE)?;

        let stopwatch = Stopwatch::start(&[cse.id()])?;
        let began = Instant::now();
        let (total, _) = watch::channel(u64::MAX);
        let listening: Vec<_> = subscribers.iter_mut().map(|each| each.run(total.subscribe())).collect();
        let mut creating_took = Duration::ZERO;
        let driving = async {
            client.run(&mut request, outstanding, Until::Time(began + self.options.time)).await?;
            creating_took = began.elapsed();
            total.send_replace(client.sent());
            Result::Ok(())
        };
        let is_complete = match timeout(self.options.time + PATIENCE, try_join(driving, try_join_all(listening))).await
        {
            Ok(ended) => ended.map(|_| true)?,
            Err(_) => false,
        };
        let created = client.sent();
        let mut all = Latencies::default();
        let (mut arrived, mut out_of_order) = (0, 0);
        for subscriber in &mut subscribers {
            arrived += subscriber.seen.distinct;
            out_of_order += subscriber.seen.out_of_order;
            all.merge(std::mem::take(&mut subscriber.seen.latencies));
        }
        let lost = created * count as u64 - arrived;
        let mut tally = Tally::default();
        stopwatch.stop(all, &mut tally)?;
        let sample = tally.into_sample();
        let arrived_per_second = sample.per_second;
        self.report.add(What::Notified(manner, count), outstanding, sample);
        let rate = created as f64 / creating_took.as_secs_f64();
        println!("    {created} creates, {rate:.0}/s; {lost} notifications lost, {out_of_order} out of order or twice");
        if !is_complete {
            println!("    the rate above has {} s in it in which the missing ones were waited for", PATIENCE.as_secs());
        }
        self.report.notified.push(Notified {
            manner,
            subscribers: count,
            outstanding,
            rate: arrived_per_second,
            lost,
            out_of_order,
        });
        cse.serving.stop("TERM")?;
        Ok(())
    }
}

/// Makes the container, and connects and subscribes all.
async fn subscribe(cse: &Cse, manner: Manner, count: usize) -> Result<Vec<Subscriber>> {
    let mut http = HttpClient::connect(cse.http).await?;
    let owner = r#"{"m2m:ae":{"rn":"owner","api":"Nload","rr":false,"srv":["3"]}}"#;
    http.ask(&mut HttpRequest::create("/cse-in", OWNER, 2, owner)).await?;
    let policy = r#"{"m2m:acp":{"rn":"open","pv":{"acr":[{"acor":["all"],"acop":63}]},
        "pvs":{"acr":[{"acor":["Cowner"],"acop":63}]}}}"#;
    http.ask(&mut HttpRequest::create("/cse-in/owner", OWNER, 1, policy)).await?;
    let container = r#"{"m2m:cnt":{"rn":"data","mni":1000,"acpi":["cse-in/owner/open"]}}"#;
    http.ask(&mut HttpRequest::create("/cse-in/owner", OWNER, 3, container)).await?;
    let mut subscribers = Vec::with_capacity(count);
    for index in 0..count {
        let originator = format!("Csubscriber{index}");
        let (topic, target) = match manner {
            Manner::FreeTopic => (format!("news/{index}"), format!("mqtt://{}/news/{index}", cse.mqtt)),
            _ => (format!("/oneM2M/req/id-in/{originator}/json"), originator.clone()),
        };
        subscribers.push(Subscriber::connect(&cse.door(), &originator, topic, manner).await?);
        let entity = format!(r#"{{"m2m:ae":{{"rn":"subscriber{index}","api":"Nload","rr":true,"srv":["3"]}}}}"#);
        http.ask(&mut HttpRequest::create("/cse-in", &originator, 2, &entity)).await?;
        // Its own subscription needs no confirmation; a free topic cannot give one.
        let subscription =
            format!(r#"{{"m2m:sub":{{"rn":"of{index}","nu":["{target}"],"nct":1,"enc":{{"net":[3],"chty":[4]}}}}}}"#);
        http.ask(&mut HttpRequest::create("/cse-in/owner/data", &originator, 23, &subscription)).await?;
    }
    Ok(subscribers)
}
