//! What is measured, in order.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cse_tests::form::Form;
use futures_util::future::try_join_all;

use super::http::{HttpClient, HttpRequest};
use super::mqtt::{MqttClient, MqttRequest, Until};
use super::options::{Options, Section};
use super::report::{OUTSTANDING, Report, What, mebibytes};
use super::sample::{Latencies, Stopwatch, Tally};
use super::server::{Cse, Serving};
use super::sqlite::{GroupCommits, Rows};
use super::wire::Door;
use crate::Result;

/// AEs with a container each, which the requests go to in turn.
pub(super) const ENTITIES: usize = 16;
/// Containers that are searched, and how many of them have the label.
const CONTAINERS: usize = 10_000;
const LABELLED_EVERY: usize = 100;
/// Requests outstanding while a tree is filled.
const FILLING: usize = 256;
/// Creates and their ceilings take turns, because disks and neighbours change their minds.
const SLICES: u32 = 8;
/// 50 bytes of content.
pub(super) const INSTANCE: &str = r#"{"m2m:cin":{"con":"21.5;48.25;1013.2;0.0.4.2;ok;battery=97;rssi=-61.."}}"#;
/// Instances that are created before the server is killed.
const KILLED_AFTER: u64 = 10_000;
/// How long a server is left alone before its idle memory is read.
pub(super) const SETTLING: Duration = Duration::from_secs(1);

/// A run.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) binary: &'a Path,
    /// An empty directory on the disk to be measured.
    pub(crate) data: &'a Path,
    pub(crate) report: &'a mut Report,
}

impl Bench<'_> {
    /// Creates and retrieves over MQTT, and what the broker and SQLite could do.
    pub(crate) async fn mqtt(&mut self) -> Result<()> {
        self.report.section("MQTT");
        let cse = self.start("mqtt").await?;
        fill_entities(&cse, 0..ENTITIES).await?;
        let echo = Serving::start(Command::new(std::env::current_exe()?).arg("echo-broker"), "mqtt://")?;
        let echo_door = Door::tcp(echo.address("mqtt://")?);
        let mut created = 0;
        for outstanding in OUTSTANDING {
            let mut creates = self.mqtt_load(&cse.serving, &cse.door(), outstanding, create_over_mqtt).await?;
            let mut echoes =
                self.mqtt_load(&echo, &echo_door, outstanding, |entity| Ok(create_over_mqtt(entity)?.echoed())).await?;
            created += creates.run(self.options.warm_up).await?;
            echoes.run(self.options.warm_up).await?;
            let mut commits = self.group_commits("mqtt", outstanding).await?;
            (creates.tally, echoes.tally) = <_>::default();
            let mut committed = Tally::default();
            for _ in 0..SLICES {
                let time = self.options.time / SLICES;
                created += creates.run(time).await?;
                commits.run(Instant::now() + time, &mut committed).await?;
                echoes.run(time).await?;
            }
            self.report.add(What::MqttCreate, outstanding, creates.tally.into_sample());
            self.report.add(What::SqliteOfMqtt, outstanding, committed.into_sample());
            self.report.add(What::MqttEcho, outstanding, echoes.tally.into_sample());
        }
        drop(echo);
        check_instances(&cse, 0..ENTITIES, created).await?;
        for outstanding in OUTSTANDING {
            self.mqtt_line(What::MqttLatest, outstanding, &cse, |entity| {
                MqttRequest::retrieve(&format!("cse-in/load{entity}/data/la"), &originator(entity), "")
            })
            .await?;
        }
        for outstanding in OUTSTANDING {
            self.mqtt_line(What::MqttEntity, outstanding, &cse, |entity| {
                MqttRequest::retrieve(&format!("cse-in/load{entity}"), &originator(entity), "")
            })
            .await?;
        }
        cse.serving.stop("TERM")?;
        Ok(())
    }

    /// Creates and retrieves over HTTP.
    pub(crate) async fn http(&mut self) -> Result<()> {
        self.report.section("HTTP");
        let cse = self.start("http").await?;
        fill_entities(&cse, 0..ENTITIES).await?;
        let mut created = 0;
        for outstanding in OUTSTANDING {
            let mut creates = self.http_load(&cse, outstanding, create_over_http).await?;
            created += creates.run(self.options.warm_up).await?;
            let mut commits = self.group_commits("http", outstanding).await?;
            creates.tally = Tally::default();
            let mut committed = Tally::default();
            for _ in 0..SLICES {
                let time = self.options.time / SLICES;
                created += creates.run(time).await?;
                commits.run(Instant::now() + time, &mut committed).await?;
            }
            self.report.add(What::HttpCreate, outstanding, creates.tally.into_sample());
            self.report.add(What::SqliteOfHttp, outstanding, committed.into_sample());
        }
        check_instances(&cse, 0..ENTITIES, created).await?;
        for outstanding in OUTSTANDING {
            self.http_line(What::HttpLatest, outstanding, &cse, |entity| {
                HttpRequest::retrieve(&format!("/cse-in/load{entity}/data/la"), &originator(entity))
            })
            .await?;
        }
        for outstanding in OUTSTANDING {
            self.http_line(What::HttpEntity, outstanding, &cse, |entity| {
                HttpRequest::retrieve(&format!("/cse-in/load{entity}"), &originator(entity))
            })
            .await?;
        }
        cse.serving.stop("TERM")?;
        Ok(())
    }

    /// Discovery by label among many containers, over both bindings.
    pub(crate) async fn discovery(&mut self) -> Result<()> {
        self.report.section(&format!("Discovery by label: {} of {CONTAINERS} containers", CONTAINERS / LABELLED_EVERY));
        let cse = self.start("discovery").await?;
        fill_entities(&cse, 0..ENTITIES).await?;
        fill_containers(&cse).await?;
        // One look at the answer: a wrong one would be fast, too.
        let mut client = HttpClient::connect(cse.http).await?;
        // By another AE than the owner, so the policy counts.
        let found = String::from_utf8_lossy(client.ask(&mut discovery_over_http(1)).await?).matches("wanted-").count();
        if found != CONTAINERS / LABELLED_EVERY {
            return Err(format!("discovery found {found} containers").into());
        }
        for outstanding in OUTSTANDING {
            self.http_line(What::HttpDiscovery, outstanding, &cse, discovery_over_http).await?;
        }
        for outstanding in OUTSTANDING {
            self.mqtt_line(What::MqttDiscovery, outstanding, &cse, |entity| {
                MqttRequest::retrieve("cse-in", &originator(entity), r#","fc":{"fu":1,"ty":[3],"lbl":["wanted"]}"#)
            })
            .await?;
        }
        cse.serving.stop("TERM")?;
        Ok(())
    }

    /// Memory while the tree grows, then start-up with that tree.
    pub(crate) async fn growth(&mut self) -> Result<()> {
        let instances = self.options.instances;
        println!("\nGrowth to {instances} instances in {ENTITIES} containers, over MQTT with {FILLING} outstanding");
        let cse = self.start("growth").await?;
        fill_entities(&cse, 0..ENTITIES).await?;
        let mut clients = mqtt_clients(&cse.door(), 0..ENTITIES, Form::Json, false).await?;
        let mut requests = (0..ENTITIES).map(create_over_mqtt).collect::<Result<Vec<_>>>()?;
        let mut early = None;
        for tenth in 1..=10 {
            let began = Instant::now();
            let each = instances / 10 / ENTITIES as u64;
            let filling = clients
                .iter_mut()
                .zip(&mut requests)
                .map(|(client, request)| client.run(request, FILLING / ENTITIES, Until::Count(each)));
            try_join_all(filling).await?;
            let rate = (each * ENTITIES as u64) as f64 / began.elapsed().as_secs_f64();
            let resident = super::machine::resident_bytes(cse.id())?;
            println!("{:>10} instances: {:>7} MiB, {rate:>7.0}/s", instances / 10 * tenth, mebibytes(resident));
            let first = *early.get_or_insert(resident);
            self.report.growth.instances = instances;
            self.report.growth.resident = Some((first, resident));
        }
        let database = self.data.join("growth/cse.db");
        println!("           database: {} MiB", mebibytes(std::fs::metadata(database)?.len()));
        if self.options.includes(Section::Startup) {
            println!("           polite end: {:.0} ms", cse.serving.stop("TERM")?.as_secs_f64() * 1e3);
            let (cse, polite) = self.time_start().await?;
            // Something in the write-ahead log, so that there is something to recover.
            let mut client =
                MqttClient::connect(&cse.door(), &originator(0), &originator(0), Form::Json, false).await?;
            client.run(&mut create_over_mqtt(0)?, 64, Until::Count(KILLED_AFTER)).await?;
            cse.serving.stop("KILL")?;
            let (cse, killed) = self.time_start().await?;
            // Every create that was answered before the kill is there.
            let each = instances / 10 / ENTITIES as u64 * 10;
            check_instances(&cse, 0..ENTITIES, (each * ENTITIES as u64 + KILLED_AFTER) as usize).await?;
            println!("           resident after start: {} MiB", mebibytes(super::machine::resident_bytes(cse.id())?));
            self.report.growth.start_up = Some((polite, killed));
            cse.serving.stop("TERM")?;
        }
        Ok(())
    }

    /// From exec to the answer to a retrieve of a latest instance.
    async fn time_start(&self) -> Result<(Cse, Duration)> {
        let cse = Cse::start(self.binary, &self.data.join("growth"))?;
        let mut client = HttpClient::connect(cse.http).await?;
        client.ask(&mut HttpRequest::retrieve("/cse-in/load0/data/la", &originator(0))).await?;
        let time = cse.serving.began.elapsed();
        Ok((cse, time))
    }

    /// A server on a new directory; the first one is asked for its idle memory.
    pub(super) async fn start(&mut self, name: &str) -> Result<Cse> {
        let cse = Cse::start(self.binary, &self.new_directory(name)?)?;
        if self.report.idle_bytes.is_none() {
            tokio::time::sleep(SETTLING).await;
            let idle = super::machine::resident_bytes(cse.id())?;
            println!("idle: {} MiB resident", mebibytes(idle));
            self.report.idle_bytes = Some(idle);
        }
        Ok(cse)
    }

    pub(super) fn new_directory(&self, name: &str) -> Result<PathBuf> {
        let directory = self.data.join(name);
        std::fs::create_dir(&directory)?;
        Ok(directory)
    }

    async fn mqtt_line(
        &mut self,
        what: What,
        outstanding: usize,
        cse: &Cse,
        request: impl Fn(usize) -> Result<MqttRequest>,
    ) -> Result<()> {
        let mut load = self.mqtt_load(&cse.serving, &cse.door(), outstanding, request).await?;
        load.run(self.options.warm_up).await?;
        load.tally = Tally::default();
        load.run(self.options.time).await?;
        self.report.add(what, outstanding, load.tally.into_sample());
        Ok(())
    }

    async fn http_line(
        &mut self,
        what: What,
        outstanding: usize,
        cse: &Cse,
        request: impl Fn(usize) -> HttpRequest,
    ) -> Result<()> {
        let mut load = self.http_load(cse, outstanding, request).await?;
        load.run(self.options.warm_up).await?;
        load.tally = Tally::default();
        load.run(self.options.time).await?;
        self.report.add(what, outstanding, load.tally.into_sample());
        Ok(())
    }

    async fn mqtt_load(
        &self,
        serving: &Serving,
        door: &Door,
        outstanding: usize,
        request: impl Fn(usize) -> Result<MqttRequest>,
    ) -> Result<MqttLoad> {
        let connections = outstanding.min(self.options.connections).min(ENTITIES);
        let clients = mqtt_clients(door, 0..connections, Form::Json, self.options.kept_sessions).await?;
        let requests = (0..connections).map(request).collect::<Result<Vec<_>>>()?;
        Ok(MqttLoad::new(clients, requests, outstanding, vec![serving.id()]))
    }

    async fn http_load(
        &self,
        cse: &Cse,
        outstanding: usize,
        request: impl Fn(usize) -> HttpRequest,
    ) -> Result<HttpLoad> {
        HttpLoad::new(cse, outstanding, request, vec![cse.id()]).await
    }

    /// The rows that a server has written so far, to be written once more and by themselves, `group` in a commit.
    async fn group_commits(&self, server: &str, group: usize) -> Result<GroupCommits> {
        let rows = Rows::read(&self.data.join(server).join("cse.db")).await?;
        GroupCommits::new(rows, &self.data.join(format!("{server}-rows-{group}.db")), group).await
    }
}

/// Requests outstanding over MQTT.
pub(super) struct MqttLoad {
    lanes: Vec<(MqttClient, MqttRequest)>,
    outstanding: usize,
    processes: Vec<u32>,
    pub(super) tally: Tally,
}

impl MqttLoad {
    pub(super) fn new(
        clients: Vec<MqttClient>,
        requests: Vec<MqttRequest>,
        outstanding: usize,
        processes: Vec<u32>,
    ) -> Self {
        let lanes = clients.into_iter().zip(requests).collect();
        Self { lanes, outstanding, processes, tally: Tally::default() }
    }

    pub(super) fn into_clients(self) -> Vec<MqttClient> {
        self.lanes.into_iter().map(|(client, _)| client).collect()
    }

    /// Runs for a time; gives the number of requests that were answered.
    pub(super) async fn run(&mut self, time: Duration) -> Result<usize> {
        let stopwatch = Stopwatch::start(&self.processes)?;
        let until = Until::Time(Instant::now() + time);
        let (outstanding, connections) = (self.outstanding, self.lanes.len());
        let running = self.lanes.iter_mut().enumerate().map(|(index, (client, request))| {
            // What does not divide evenly goes to the first connections.
            client.run(request, (outstanding + connections - 1 - index) / connections, until)
        });
        let latencies = merged(try_join_all(running).await?);
        let count = latencies.count();
        stopwatch.stop(latencies, &mut self.tally)?;
        Ok(count)
    }
}

/// Requests outstanding over HTTP, one on each connection.
pub(super) struct HttpLoad {
    lanes: Vec<(HttpClient, HttpRequest)>,
    processes: Vec<u32>,
    pub(super) tally: Tally,
}

impl HttpLoad {
    pub(super) async fn new(
        cse: &Cse,
        outstanding: usize,
        request: impl Fn(usize) -> HttpRequest,
        processes: Vec<u32>,
    ) -> Result<Self> {
        let mut lanes = Vec::with_capacity(outstanding);
        for index in 0..outstanding {
            lanes.push((HttpClient::connect(cse.http).await?, request(index % ENTITIES)));
        }
        Ok(Self { lanes, processes, tally: Tally::default() })
    }

    /// Runs for a time; gives the number of requests that were answered.
    pub(super) async fn run(&mut self, time: Duration) -> Result<usize> {
        let stopwatch = Stopwatch::start(&self.processes)?;
        let until = Instant::now() + time;
        let running = self.lanes.iter_mut().map(|(client, request)| client.run(request, until));
        let latencies = merged(try_join_all(running).await?);
        let count = latencies.count();
        stopwatch.stop(latencies, &mut self.tally)?;
        Ok(count)
    }
}

/// Connects as these entities.
pub(super) async fn mqtt_clients(
    door: &Door,
    entities: Range<usize>,
    form: Form,
    kept: bool,
) -> Result<Vec<MqttClient>> {
    let mut clients = Vec::with_capacity(entities.len());
    for entity in entities {
        let originator = originator(entity);
        clients.push(MqttClient::connect(door, &originator, &originator, form, kept).await?);
    }
    Ok(clients)
}

pub(super) fn merged(each: Vec<Latencies>) -> Latencies {
    each.into_iter().fold(Latencies::default(), |mut all, one| {
        all.merge(one);
        all
    })
}

pub(super) fn originator(entity: usize) -> String {
    format!("Cload{entity}")
}

pub(super) fn create_over_mqtt(entity: usize) -> Result<MqttRequest> {
    MqttRequest::create(&format!("cse-in/load{entity}/data"), &originator(entity), 4, INSTANCE)
}

fn create_over_http(entity: usize) -> HttpRequest {
    HttpRequest::create(&format!("/cse-in/load{entity}/data"), &originator(entity), 4, INSTANCE)
}

fn discovery_over_http(entity: usize) -> HttpRequest {
    HttpRequest::retrieve("/cse-in?fu=1&ty=3&lbl=wanted", &originator(entity))
}

/// Registers AEs and makes their containers, each with an instance.
pub(super) async fn fill_entities(cse: &Cse, entities: Range<usize>) -> Result<()> {
    let mut client = HttpClient::connect(cse.http).await?;
    for entity in entities {
        let originator = originator(entity);
        let body = format!(r#"{{"m2m:ae":{{"rn":"load{entity}","api":"Nload","rr":false,"srv":["3"]}}}}"#);
        client.ask(&mut HttpRequest::create("/cse-in", &originator, 2, &body)).await?;
        let container = HttpRequest::create;
        let path = format!("/cse-in/load{entity}");
        client.ask(&mut container(&path, &originator, 3, r#"{"m2m:cnt":{"rn":"data"}}"#)).await?;
        client.ask(&mut create_over_http(entity)).await?;
    }
    Ok(())
}

/// Whether the containers count as many instances as creates were answered, and those of [`fill_entities`].
pub(super) async fn check_instances(cse: &Cse, entities: Range<usize>, created: usize) -> Result<()> {
    let mut client = HttpClient::connect(cse.http).await?;
    let (mut found, filled) = (0, entities.len());
    for entity in entities {
        let mut request = HttpRequest::retrieve(&format!("/cse-in/load{entity}/data"), &originator(entity));
        let container: serde_json::Value = serde_json::from_slice(client.ask(&mut request).await?)?;
        found += container["m2m:cnt"]["cni"].as_u64().ok_or("a container without cni")? as usize;
    }
    if found != created + filled {
        return Err(format!("{created} creates were answered, but there are {found} instances").into());
    }
    Ok(())
}

/// Makes the containers that are searched, all under a policy that lets every AE read them.
async fn fill_containers(cse: &Cse) -> Result<()> {
    let owner = originator(0);
    let policy = r#"{"m2m:acp":{"rn":"open","pv":{"acr":[{"acor":["all"],"acop":34},{"acor":["Cload0"],"acop":63}]},
        "pvs":{"acr":[{"acor":["Cload0"],"acop":63}]}}}"#;
    let mut client = HttpClient::connect(cse.http).await?;
    client.ask(&mut HttpRequest::create("/cse-in/load0", &owner, 1, policy)).await?;
    let building = r#"{"m2m:cnt":{"rn":"building","acpi":["cse-in/load0/open"]}}"#;
    client.ask(&mut HttpRequest::create("/cse-in/load0", &owner, 3, building)).await?;
    let owner = owner.as_str();
    let filling = (0..ENTITIES).map(|worker| async move {
        let mut client = HttpClient::connect(cse.http).await?;
        for index in (worker..CONTAINERS).step_by(ENTITIES) {
            let kind = if index % LABELLED_EVERY == 0 { "wanted" } else { "other" };
            let body = format!(
                r#"{{"m2m:cnt":{{"rn":"{kind}-{index}","lbl":["{kind}","room:{index}"],"acpi":["cse-in/load0/open"]}}}}"#
            );
            client.ask(&mut HttpRequest::create("/cse-in/load0/building", owner, 3, &body)).await?;
        }
        Result::Ok(())
    });
    try_join_all(filling).await?;
    Ok(())
}
