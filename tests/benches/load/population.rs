//! A gateway with many AEs, containers and instances, registered over MQTT: what it takes of a small machine.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cse_tests::form::Form;
use futures_util::future::try_join_all;

use super::gateway::{ADMIN, GATEWAY, Pair};
use super::http::{HttpClient, HttpRequest};
use super::machine::{peak_bytes, resident_bytes};
use super::mqtt::{MqttClient, MqttRequest, Until};
use super::report::{Over, Populated, mebibytes};
use super::scenarios::{Bench, INSTANCE, SETTLING, originator};
use crate::Result;

const ENTITIES: usize = 100;
const CONTAINERS_OF_EACH: usize = 10;
const INSTANCES_OF_EACH: u64 = 100;
/// Requests outstanding of each AE while all of them fill their containers.
const OUTSTANDING: usize = 3;
/// The same while they send to the CSE above.
const FORWARDED_AT_A_TIME: usize = 1;

impl Bench<'_> {
    /// Memory of a gateway as it fills, forwards, and starts again; and the size of the program.
    pub(crate) async fn population(&mut self) -> Result<()> {
        let containers = ENTITIES * CONTAINERS_OF_EACH;
        let instances = containers as u64 * INSTANCES_OF_EACH;
        println!("\nA gateway with {ENTITIES} AEs, {containers} containers and {instances} instances");
        let directory = self.new_directory("population")?;
        let pair = Pair::registered(self.binary, &directory, Over::Mqtt).await?;
        make_room_above(&pair).await?;
        tokio::time::sleep(SETTLING).await;
        tell("idle, registered over MQTT", &pair)?;

        let mut clients = Vec::with_capacity(ENTITIES);
        for entity in 0..ENTITIES {
            clients.push(connect(&pair, entity).await?);
        }
        try_join_all(clients.iter_mut().enumerate().map(|(entity, client)| populate(client, entity))).await?;
        tell("with AEs and containers", &pair)?;
        let began = Instant::now();
        try_join_all(clients.iter_mut().enumerate().map(|(entity, client)| fill(client, entity))).await?;
        println!("{:>36}   {:.0} instances/s", "", instances as f64 / began.elapsed().as_secs_f64());
        tell("with all instances", &pair)?;
        check(&pair).await?;

        let until = Until::Time(Instant::now() + self.options.time);
        let forwarded = try_join_all(clients.iter_mut().enumerate().map(|(entity, client)| async move {
            let mut request =
                MqttRequest::create_at(GATEWAY, "/id-in/cse-in/shared", &originator(entity), 4, INSTANCE)?;
            client.run(&mut request, FORWARDED_AT_A_TIME, until).await
        }))
        .await?;
        let count: usize = forwarded.iter().map(|latencies| latencies.count()).sum();
        println!("{:>36}   {:.0}/s", "forwarded by all AEs", count as f64 / self.options.time.as_secs_f64());
        tell("after forwarding", &pair)?;
        let before = peak_bytes(pair.gateway.id())?;
        drop(clients);

        let (pair, ended) = pair.restart_gateway(self.binary, &directory).await?;
        println!("{:>36}   {:.0} ms", "polite end", ended.as_secs_f64() * 1e3);
        tokio::time::sleep(SETTLING).await;
        tell("started again", &pair)?;
        let mut clients = Vec::with_capacity(ENTITIES);
        for entity in 0..ENTITIES {
            clients.push(connect(&pair, entity).await?);
        }
        try_join_all(clients.iter_mut().enumerate().map(|(entity, client)| look(client, entity))).await?;
        check(&pair).await?;
        tell("with everybody back", &pair)?;
        let resident_bytes = before.max(peak_bytes(pair.gateway.id())?);
        println!("{:>36}   {} MiB", "most at any time", mebibytes(resident_bytes));

        let program_bytes = stripped_bytes(self.binary, &self.data.join("stripped"))?;
        println!("{:>36}   {} MiB", "program, stripped", mebibytes(program_bytes));
        self.report.populated = Some(Populated { resident_bytes, program_bytes });
        pair.gateway.serving.stop("TERM")?;
        pair.above.serving.stop("TERM")?;
        Ok(())
    }
}

fn tell(when: &str, pair: &Pair) -> Result<()> {
    let (gateway, above) = (resident_bytes(pair.gateway.id())?, resident_bytes(pair.above.id())?);
    println!("{when:>36}   {} MiB; the CSE above {} MiB", mebibytes(gateway), mebibytes(above));
    Ok(())
}

/// The size of a program without what only debuggers read.
fn stripped_bytes(program: &Path, copy: &Path) -> Result<u64> {
    let ran = Command::new("strip").arg("-o").arg(copy).arg(program).status()?;
    if !ran.success() {
        return Err("the program could not be stripped".into());
    }
    Ok(std::fs::metadata(copy)?.len())
}

/// A container at the CSE above that everybody may use.
async fn make_room_above(pair: &Pair) -> Result<()> {
    let mut client = HttpClient::connect(pair.above.http).await?;
    let policy = r#"{"m2m:acp":{"rn":"open","pv":{"acr":[{"acor":["all"],"acop":63}]},
        "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    client.ask(&mut HttpRequest::create("/cse-in", ADMIN, 1, policy)).await?;
    let container = r#"{"m2m:cnt":{"rn":"shared","acpi":["cse-in/open"],"mni":1000}}"#;
    client.ask(&mut HttpRequest::create("/cse-in", ADMIN, 3, container)).await?;
    Ok(())
}

async fn connect(pair: &Pair, entity: usize) -> Result<MqttClient> {
    let originator = originator(entity);
    MqttClient::connect_to(GATEWAY, &pair.gateway.door(), &originator, &originator, Form::Json, true).await
}

fn container(entity: usize, number: usize) -> String {
    format!("cse-mn/load{entity}/data{number}")
}

/// Registers an AE and makes its containers.
async fn populate(client: &mut MqttClient, entity: usize) -> Result<()> {
    let originator = originator(entity);
    let ae = format!(r#"{{"m2m:ae":{{"rn":"load{entity}","api":"Nload","rr":true,"srv":["3"]}}}}"#);
    let mut request = MqttRequest::create_at(GATEWAY, "cse-mn", &originator, 2, &ae)?;
    client.run(&mut request, 1, Until::Count(1)).await?;
    for number in 0..CONTAINERS_OF_EACH {
        let container = format!(r#"{{"m2m:cnt":{{"rn":"data{number}","lbl":["load","number:{number}"]}}}}"#);
        let parent = format!("cse-mn/load{entity}");
        let mut request = MqttRequest::create_at(GATEWAY, &parent, &originator, 3, &container)?;
        client.run(&mut request, 1, Until::Count(1)).await?;
    }
    Ok(())
}

async fn fill(client: &mut MqttClient, entity: usize) -> Result<()> {
    for number in 0..CONTAINERS_OF_EACH {
        let to = container(entity, number);
        let mut request = MqttRequest::create_at(GATEWAY, &to, &originator(entity), 4, INSTANCE)?;
        client.run(&mut request, OUTSTANDING, Until::Count(INSTANCES_OF_EACH)).await?;
    }
    Ok(())
}

/// Reads the newest of each container, so that all are in memory that will be.
async fn look(client: &mut MqttClient, entity: usize) -> Result<()> {
    for number in 0..CONTAINERS_OF_EACH {
        let to = format!("{}/la", container(entity, number));
        let mut request = MqttRequest::retrieve_at(GATEWAY, &to, &originator(entity))?;
        client.run(&mut request, 1, Until::Count(1)).await?;
    }
    Ok(())
}

/// Whether everything is there.
async fn check(pair: &Pair) -> Result<()> {
    let mut client = HttpClient::connect(pair.gateway.http).await?;
    for entity in 0..ENTITIES {
        for number in 0..CONTAINERS_OF_EACH {
            let path = format!("/{}", container(entity, number));
            let mut request = HttpRequest::retrieve(&path, &originator(entity));
            let found: serde_json::Value = serde_json::from_slice(client.ask(&mut request).await?)?;
            if found["m2m:cnt"]["cni"] != INSTANCES_OF_EACH {
                return Err(format!("not {INSTANCES_OF_EACH} instances: {found}").into());
            }
        }
    }
    Ok(())
}
