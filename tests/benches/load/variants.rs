//! One way to speak to the server beside another: serializations, TLS, kept sessions. On one server, in turns.

use std::process::Command;
use std::time::Instant;

use cse_tests::form::Form;

use super::mqtt::MqttRequest;
use super::report::{OUTSTANDING, Variant, What};
use super::sample::Tally;
use super::scenarios::{Bench, ENTITIES, INSTANCE, MqttLoad, check_instances, fill_entities, mqtt_clients, originator};
use super::server::Cse;
use super::wire::Door;
use crate::Result;

/// Turns of each variant; odd, so that there is a middle.
const ROUNDS: usize = 9;

impl Variant {
    fn form(self) -> Form {
        match self {
            Self::Xml => Form::Xml,
            Self::Cbor => Form::Cbor,
            Self::Plain | Self::Tls | Self::Kept => Form::Json,
        }
    }
}

impl Bench<'_> {
    /// Creates and retrieves in each variant.
    pub(crate) async fn variants(&mut self) -> Result<()> {
        self.report.section("MQTT, one variant beside another");
        let certificates = self.data.join("certificates");
        let made = Command::new(self.binary).env_clear().args(["certs", "dev", "--out"]).arg(&certificates).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        let path = |name: &str| certificates.join(name).display().to_string();
        let arguments = ["--mqtt-tls", "127.0.0.1:0", "--mqtt-tls-certificate", &path("server.pem"), "--mqtt-tls-key"];
        let arguments: Vec<String> = arguments.map(str::to_owned).into_iter().chain([path("server.key")]).collect();
        let cse = Cse::start_with(self.binary, &self.new_directory("variants")?, &arguments, "mqtts://")?;
        // Each variant has AEs of its own, or it would get the answers of others, too.
        fill_entities(&cse, 0..ENTITIES * Variant::ALL.len()).await?;
        let outstanding = OUTSTANDING[OUTSTANDING.len() - 1];
        let (mut creates, mut retrieves) = (Vec::new(), Vec::new());
        for (index, variant) in Variant::ALL.into_iter().enumerate() {
            let entities = index * ENTITIES..(index + 1) * ENTITIES;
            let door = match variant {
                Variant::Tls => Door::tls(cse.serving.address("mqtts://")?, &certificates.join("ca.pem"))?,
                _ => cse.door(),
            };
            let form = variant.form();
            let create = |entity| {
                let to = format!("cse-in/load{entity}/data");
                MqttRequest::create_in(form, &to, &originator(entity), 4, INSTANCE)
            };
            let retrieve =
                |entity| MqttRequest::retrieve_in(form, &format!("cse-in/load{entity}/data/la"), &originator(entity));
            let clients = mqtt_clients(&door, entities.clone(), form, variant == Variant::Kept).await?;
            let requests = entities.clone().map(create).collect::<Result<Vec<_>>>()?;
            creates.push(MqttLoad::new(clients, requests, outstanding, vec![cse.id()]));
            retrieves.push((entities.map(retrieve).collect::<Result<Vec<_>>>()?, outstanding));
        }
        let created = self.take_turns(What::VariantCreate, &mut creates).await?;
        check_instances(&cse, 0..ENTITIES * Variant::ALL.len(), created).await?;
        let mut loads: Vec<MqttLoad> = creates
            .into_iter()
            .zip(retrieves)
            .map(|(load, (requests, outstanding))| {
                MqttLoad::new(load.into_clients(), requests, outstanding, vec![cse.id()])
            })
            .collect();
        self.take_turns(What::VariantLatest, &mut loads).await?;
        cse.serving.stop("TERM")?;
        Ok(())
    }

    /// Lets each have its turn, again and again; gives the number of requests that were answered.
    async fn take_turns(&mut self, what: fn(Variant) -> What, loads: &mut [MqttLoad]) -> Result<usize> {
        let mut answered = 0;
        for load in &mut *loads {
            answered += load.run(self.options.warm_up).await?;
            load.tally = Tally::default();
        }
        let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); loads.len()];
        let turn = self.options.time / ROUNDS as u32;
        for _ in 0..ROUNDS {
            let mut plain = None;
            for (load, ratios) in loads.iter_mut().zip(&mut ratios) {
                let began = Instant::now();
                let count = load.run(turn).await?;
                let rate = count as f64 / began.elapsed().as_secs_f64();
                ratios.push(rate / *plain.get_or_insert(rate));
                answered += count;
            }
        }
        for ((variant, load), mut ratios) in Variant::ALL.into_iter().zip(loads).zip(ratios) {
            let what = what(variant);
            self.report.add(what, OUTSTANDING[OUTSTANDING.len() - 1], std::mem::take(&mut load.tally).into_sample());
            ratios.sort_unstable_by(f64::total_cmp);
            self.report.ratios.push((what, ratios[ROUNDS / 2]));
        }
        Ok(answered)
    }
}
