//! An AE that speaks MQTT or HTTP, and what two of them do with each other, at one CSE or with CSEs between them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::http::Http;
use crate::mqtt::Entity;
use crate::receiver::Receiver;
use crate::way::Way;

/// A registered AE, with a container `log` that others may be let into.
#[derive(Debug)]
pub struct Party {
    speaks: Speaks,
    stem: String,
    /// The CSE-ID without slash.
    cse: String,
    /// The name of its CSEBase.
    base: String,
    /// Its own resource name.
    name: String,
}

#[derive(Debug)]
enum Speaks {
    Mqtt(Box<Entity>),
    Http(Http, Box<Receiver>),
}

#[derive(Clone, Copy, Debug)]
enum Method {
    /// Of a resource of that type.
    Create(u16),
    Retrieve,
    Update,
    Delete,
}

impl Party {
    /// Registers over MQTT at that CSE (its CSE-ID without slash, and the name of its CSEBase).
    pub async fn over_mqtt(way: &Way, cse: &str, base: &str, stem: &str) -> Self {
        let name = name_of(stem);
        let entity = Entity::registered_over(way, cse, stem, &name).await;
        Self { speaks: Speaks::Mqtt(Box::new(entity)), stem: stem.into(), cse: cse.into(), base: base.into(), name }
    }

    /// Registers over HTTP, where it also listens.
    pub async fn over_http(address: SocketAddr, cse: &str, base: &str, stem: &str) -> Self {
        let name = name_of(stem);
        let (http, receiver) = (Http::new(address, stem), Receiver::start().await);
        let ae = json!({"rn": name, "api": "N.test", "rr": true, "srv": ["3"], "poa": [receiver.url()]});
        http.create(&format!("/{base}"), 2, &json!({"m2m:ae": ae})).await.expect(2001);
        let speaks = Speaks::Http(http, Box::new(receiver));
        Self { speaks, stem: stem.into(), cse: cse.into(), base: base.into(), name }
    }

    /// Its SP-relative AE-ID.
    pub fn id(&self) -> String {
        format!("/{}/{}", self.cse, self.stem)
    }

    /// Where its container is, for everybody.
    fn log(&self) -> String {
        format!("/{}/{}/{}/log", self.cse, self.base, self.name)
    }

    /// Sends a request for an SP-relative target, with a content: response status code and content.
    async fn ask(&mut self, method: Method, to: &str, content: Value) -> (u64, Value) {
        match &mut self.speaks {
            Speaks::Mqtt(entity) => {
                let answer = match method {
                    Method::Create(ty) => entity.create(to, ty, content).await,
                    Method::Retrieve => entity.retrieve(to).await,
                    Method::Update => entity.update(to, content).await,
                    Method::Delete => entity.delete(to).await,
                };
                (answer.rsc(), answer.0["pc"].clone())
            }
            Speaks::Http(http, _) => {
                let path = format!("/~{to}");
                let answer = match method {
                    Method::Create(ty) => http.create(&path, ty, &content).await,
                    Method::Retrieve => http.get(&path).await,
                    Method::Update => http.update(&path, &content).await,
                    Method::Delete => http.delete(&path).await,
                };
                let content = if answer.body.is_empty() { Value::Null } else { answer.json() };
                (u64::from(answer.rsc()), content)
            }
        }
    }

    /// CREATE.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn create(&mut self, to: &str, ty: u16, content: Value) {
        let (status, answer) = self.ask(Method::Create(ty), to, content).await;
        assert_eq!(status, 2001, "{} creates in {to}: {answer}", self.id());
    }

    /// The content of the latest instance of a container.
    ///
    /// # Panics
    /// If it cannot be read.
    pub async fn latest(&mut self, container: &str) -> String {
        let (status, answer) = self.ask(Method::Retrieve, &format!("{container}/la"), Value::Null).await;
        assert_eq!(status, 2000, "{} reads {container}: {answer}", self.id());
        text(&answer["m2m:cin"]["con"])
    }

    async fn store(&mut self, container: &str, content: &str) {
        self.create(container, 4, json!({"m2m:cin": {"con": content}})).await;
    }

    /// The next notification for it, answered.
    async fn told(&mut self) -> Value {
        match &mut self.speaks {
            Speaks::Mqtt(entity) => {
                let request = entity.next_request().await;
                entity.respond(&request, 2000).await;
                request.primitive["pc"]["m2m:sgn"].clone()
            }
            Speaks::Http(_, receiver) => receiver.next().await.1["m2m:sgn"].clone(),
        }
    }

    /// The content of the instance that the next notification is about.
    async fn told_of(&mut self) -> String {
        let notification = self.told().await;
        let content = &notification["nev"]["rep"]["m2m:cin"]["con"];
        assert!(content.is_string(), "not about an instance: {notification}");
        text(content)
    }

    /// Makes its container and lets another into it, and agrees to notifications from the other's CSE.
    async fn opens_up_to(&mut self, other: &Party) {
        let ae = format!("/{}/{}/{}", self.cse, self.base, self.name);
        let own = json!({"acor": [self.id()], "acop": 63});
        for (policy, of_the_other) in [
            ("shared", json!({"acor": [other.id()], "acop": 63})),
            ("notified", json!({"acor": [format!("/{}", other.cse)], "acop": 16})),
        ] {
            let policy = json!({"rn": policy, "pv": {"acr": [own, of_the_other]}, "pvs": {"acr": [own]}});
            self.create(&ae, 1, json!({"m2m:acp": policy})).await;
        }
        let policies = format!("{}/{}", self.base, self.name);
        let log = json!({"rn": "log", "acpi": [format!("{policies}/shared")]});
        self.create(&ae, 3, json!({"m2m:cnt": log})).await;
        let (status, answer) =
            self.ask(Method::Update, &ae, json!({"m2m:ae": {"acpi": [format!("{policies}/notified")]}})).await;
        assert_eq!(status, 2004, "{answer}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `Csensor` is registered as `sensor`.
fn name_of(stem: &str) -> String {
    stem.trim_start_matches(['C', 'S']).to_owned()
}

/// A subscription to new instances.
fn subscription(name: &str, target: &str) -> Value {
    json!({"m2m:sub": {"rn": name, "nu": [target], "enc": {"net": [3], "chty": [4]}, "nct": 1}})
}

/// Each stores at the other's and reads back, has the other notified with its consent, and is notified of what it has
/// subscribed to there.
///
/// # Panics
/// If anything of it does not work.
pub async fn work_with_each_other(one: &mut Party, other: &mut Party) {
    one.opens_up_to(other).await;
    other.opens_up_to(one).await;
    works_at_the_others(one, other).await;
    works_at_the_others(other, one).await;
}

async fn works_at_the_others(guest: &mut Party, host: &mut Party) {
    let log = host.log();
    guest.store(&log, "from the guest").await;
    assert_eq!(host.latest(&log).await, "from the guest");
    host.store(&log, "from the host").await;
    assert_eq!(guest.latest(&log).await, "from the host");

    // The guest is asked whether it agrees.
    let guest_id = guest.id();
    let (_, asked) = tokio::join!(host.create(&log, 23, subscription("invited", &guest_id)), guest.told());
    assert_eq!(asked["vrq"], true, "{asked}");
    host.store(&log, "for the invited").await;
    assert_eq!(guest.told_of().await, "for the invited");
    let (status, answer) = host.ask(Method::Delete, &format!("{log}/invited"), Value::Null).await;
    assert_eq!(status, 2002, "{answer}");

    guest.create(&log, 23, subscription("curious", &guest_id)).await;
    host.store(&log, "for the curious").await;
    assert_eq!(guest.told_of().await, "for the curious");
    guest.store(&log, "of its own").await;
    assert_eq!(guest.told_of().await, "of its own");
    let (status, answer) = guest.ask(Method::Delete, &format!("{log}/curious"), Value::Null).await;
    assert_eq!(status, 2002, "{answer}");
}
