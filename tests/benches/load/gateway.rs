//! An IN-CSE and a gateway that is registered with it, both as processes, with AEs at the gateway and containers of one
//! kind at both.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use super::http::{HttpClient, HttpRequest};
use super::report::{Hosted, Over};
use super::scenarios::{ENTITIES, INSTANCE, originator};
use super::server::Cse;
use crate::Result;

/// The CSE-ID of the gateway, without slash.
pub(super) const GATEWAY: &str = "id-mn";
/// How long the gateway may take to register.
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const ADMIN: &str = "CAdmin";
/// The gateway's, in the directory of both.
const CONFIGURATION: &str = "mn.toml";

/// The two processes.
pub(super) struct Pair {
    pub(super) above: Cse,
    pub(super) gateway: Cse,
}

impl Pair {
    /// Starts both in a directory, the gateway registered over a binding, and makes what the load needs.
    pub(super) async fn start(binary: &Path, directory: &Path, over: Over) -> Result<Self> {
        let pair = Self::registered(binary, directory, over).await?;
        pair.fill().await?;
        Ok(pair)
    }

    /// Starts both in a directory, with the gateway registered over a binding.
    pub(super) async fn registered(binary: &Path, directory: &Path, over: Over) -> Result<Self> {
        let above = Cse::start(binary, &directory.join("in"))?;
        let point = match over {
            Over::Mqtt => format!("mqtt://{}", above.mqtt),
            Over::Http => format!("http://{}", above.http),
        };
        std::fs::write(
            directory.join(CONFIGURATION),
            format!(
                "[cse]\ntype = \"mn\"\nid = \"/{GATEWAY}\"\nname = \"cse-mn\"\n\
                 [registrar]\ncse-id = \"/id-in\"\ncse-name = \"cse-in\"\npoa = [\"{point}\"]\n"
            ),
        )?;
        let pair = Self { above, gateway: start_gateway(binary, directory)? };
        pair.wait_until_registered().await?;
        Ok(pair)
    }

    /// Ends the gateway politely and starts it again; how long the end took.
    pub(super) async fn restart_gateway(self, binary: &Path, directory: &Path) -> Result<(Self, Duration)> {
        let Self { above, gateway } = self;
        let ended = gateway.serving.stop("TERM")?;
        let pair = Self { above, gateway: start_gateway(binary, directory)? };
        pair.wait_until_registered().await?;
        Ok((pair, ended))
    }

    pub(super) fn processes(&self) -> Vec<u32> {
        vec![self.above.id(), self.gateway.id()]
    }

    async fn wait_until_registered(&self) -> Result<()> {
        let mut client = HttpClient::connect(self.gateway.http).await?;
        let began = Instant::now();
        loop {
            let report = client.ask(&mut HttpRequest::retrieve("/readyz", ADMIN)).await?;
            let report: serde_json::Value = serde_json::from_slice(report)?;
            if report["parts"]["uplink"]["state"] == "up" {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the gateway does not register: {report}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// AEs at the gateway, and for each a container with an instance, under a policy that lets it in.
    async fn fill(&self) -> Result<()> {
        for hosted in [Hosted::Here, Hosted::Above] {
            let (cse, base) = self.host(hosted);
            let (mut near, mut host) =
                (HttpClient::connect(self.gateway.http).await?, HttpClient::connect(cse.http).await?);
            for entity in entities(hosted) {
                let originator = originator(entity);
                let body = format!(r#"{{"m2m:ae":{{"rn":"load{entity}","api":"Nload","rr":false,"srv":["3"]}}}}"#);
                near.ask(&mut HttpRequest::create("/cse-mn", &originator, 2, &body)).await?;
                let known_as = match hosted {
                    Hosted::Here => originator,
                    Hosted::Above => format!("/{GATEWAY}/{originator}"),
                };
                let policy = format!(
                    r#"{{"m2m:acp":{{"rn":"open{entity}","pv":{{"acr":[{{"acor":["{known_as}","{ADMIN}"],"acop":63}}]}},
                    "pvs":{{"acr":[{{"acor":["{ADMIN}"],"acop":63}}]}}}}}}"#
                );
                let path = format!("/{base}");
                host.ask(&mut HttpRequest::create(&path, ADMIN, 1, &policy)).await?;
                let container = format!(r#"{{"m2m:cnt":{{"rn":"data{entity}","acpi":["{base}/open{entity}"]}}}}"#);
                host.ask(&mut HttpRequest::create(&path, ADMIN, 3, &container)).await?;
                host.ask(&mut HttpRequest::create(&format!("/{base}/data{entity}"), ADMIN, 4, INSTANCE)).await?;
            }
        }
        Ok(())
    }

    /// The CSE where the targets are, and the name of its CSEBase.
    fn host(&self, hosted: Hosted) -> (&Cse, &'static str) {
        match hosted {
            Hosted::Here => (&self.gateway, "cse-mn"),
            Hosted::Above => (&self.above, "cse-in"),
        }
    }

    /// Whether the containers at a CSE count as many instances as creates were answered.
    pub(super) async fn check(&self, hosted: Hosted, created: usize) -> Result<()> {
        let (cse, base) = self.host(hosted);
        let mut client = HttpClient::connect(cse.http).await?;
        let mut found = 0;
        for entity in entities(hosted) {
            let mut request = HttpRequest::retrieve(&format!("/{base}/data{entity}"), ADMIN);
            let container: serde_json::Value = serde_json::from_slice(client.ask(&mut request).await?)?;
            found += container["m2m:cnt"]["cni"].as_u64().ok_or("a container without cni")? as usize;
        }
        if found != created + ENTITIES {
            return Err(format!("{created} creates in {base} were answered, but there are {found} instances").into());
        }
        Ok(())
    }
}

fn start_gateway(binary: &Path, directory: &Path) -> Result<Cse> {
    let arguments = ["--config".to_owned(), directory.join(CONFIGURATION).display().to_string()];
    Cse::start_with(binary, &directory.join("mn"), &arguments, "mosquitto_rr")
}

/// The AEs whose containers are there. Each has its own, or it would get the answers of others, too.
pub(super) fn entities(hosted: Hosted) -> Range<usize> {
    match hosted {
        Hosted::Here => 0..ENTITIES,
        Hosted::Above => ENTITIES..2 * ENTITIES,
    }
}

/// The container of an AE, as it is addressed at the gateway over a binding.
pub(super) fn container(by: Over, hosted: Hosted, entity: usize) -> String {
    match (by, hosted) {
        (Over::Mqtt, Hosted::Here) => format!("cse-mn/data{entity}"),
        (Over::Mqtt, Hosted::Above) => format!("/id-in/cse-in/data{entity}"),
        (Over::Http, Hosted::Here) => format!("/cse-mn/data{entity}"),
        (Over::Http, Hosted::Above) => format!("/~/id-in/cse-in/data{entity}"),
    }
}
