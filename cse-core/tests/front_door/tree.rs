//! Several CSEs in one process, registered with one another and wired together.

use std::sync::Arc;
use std::time::Duration;

use cse_core::id::{CseIdentity, CseType, Originator, Seq};
use cse_core::memory::MemoryStore;
use cse_core::ports::{ChangeSet, Store as _, WriteTransaction as _};
use cse_core::primitive::{Binding, Context, Redelivery};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use cse_core::settings::{Registrar, Settings};
use cse_core::time::Timestamp;
use cse_core::value::{Map, Value};

use crate::harness::{TestClock, TestCse};

/// How a CSE is to be set up: `/id-NAME` with a CSEBase named `cse-NAME`.
pub struct Plan {
    pub name: &'static str,
    /// CSE-ID of the registrar, which is known already.
    pub registrar: Option<&'static str>,
    /// CSE-IDs of registrees, and the descendants of each.
    pub registrees: Vec<(&'static str, Vec<&'static str>)>,
    /// `srv` of all CSEs next to it.
    pub releases: Vec<&'static str>,
}

impl Plan {
    pub fn new(name: &'static str) -> Self {
        Self { name, registrar: None, registrees: Vec::new(), releases: vec!["3", "4"] }
    }

    pub fn under(mut self, registrar: &'static str) -> Self {
        self.registrar = Some(registrar);
        self
    }

    pub fn over(mut self, registree: &'static str, descendants: &[&'static str]) -> Self {
        self.registrees.push((registree, descendants.to_vec()));
        self
    }

    pub fn settings(&self) -> Settings {
        let cse_type = if self.registrar.is_some() { CseType::Mn } else { CseType::In };
        let id = format!("/id-{}", self.name);
        let identity = CseIdentity::new("//cse.example", &id, &format!("cse-{}", self.name), cse_type);
        let mut settings = Settings::new(identity.expect("valid"), "CAdmin");
        settings.registrar = self.registrar.map(|cse_id| Registrar::new(cse_id, Vec::new()));
        settings
    }

    /// A CSE that knows the CSEs next to it from before its start.
    pub async fn start(self, clock: &Arc<TestClock>) -> Arc<TestCse> {
        self.start_with(clock, |_| {}).await
    }

    /// As [`Plan::start`], with changed settings.
    pub async fn start_with(self, clock: &Arc<TestClock>, change: impl FnOnce(&mut Settings)) -> Arc<TestCse> {
        let store = MemoryStore::new();
        let neighbours = self.registrees.iter().map(|(id, below)| (*id, below.as_slice()));
        let neighbours: Vec<_> = neighbours.chain(self.registrar.map(|id| (id, [].as_slice()))).collect();
        let first = store.reserve_numbers(u32::try_from(neighbours.len()).unwrap()).await.unwrap();
        let numbered = (first.0..).zip(neighbours);
        let insert = numbered.map(|(seq, (id, below))| Arc::new(self.remote_cse(Seq(seq), id, below))).collect();
        let mut transaction = store.begin().await.unwrap();
        transaction.write(&ChangeSet { insert, ..ChangeSet::default() }).await.unwrap();
        transaction.commit().await.unwrap();
        let mut settings = self.settings();
        change(&mut settings);
        TestCse::on(store, settings, Arc::clone(clock)).await
    }

    fn remote_cse(&self, seq: Seq, cse_id: &str, descendants: &[&str]) -> Resource {
        let mut attributes = Map::new();
        attributes.insert("csi", cse_id);
        attributes.insert("cb", format!("{cse_id}/-"));
        attributes.insert("rr", true);
        attributes.insert("poa", Value::text_list([format!("mqtt://host{}", cse_id.replace("//", "/"))]));
        if self.registrar == Some(cse_id) && cse_id != "/id-in" {
            attributes.insert("cst", CseType::Mn as i64);
            attributes.insert("ici", "/id-in");
        }
        attributes.insert("dcse", Value::text_list(descendants.iter().copied()));
        attributes.insert("srv", Value::text_list(self.releases.iter().copied()));
        let name = cse_id.trim_start_matches('/').replace('/', ".");
        let then = Timestamp::parse("20260101T000000").unwrap();
        Resource {
            seq,
            parent: Some(Seq::CSE_BASE),
            ty: Ty::REMOTE_CSE,
            id: name.as_str().into(),
            name: name.as_str().into(),
            parent_id: format!("id-{}", self.name).into(),
            creation_time: then,
            last_modified_time: then,
            expiration_time: Some(then.plus(Duration::from_secs(10 * 365 * 86_400))),
            state_tag: None,
            content_size: None,
            creator: Originator::from_canonical(cse_id),
            attributes,
        }
    }
}

/// What a binding like MQTT knows of requests from that CSE.
pub fn from_cse(cse_id: &str) -> Context {
    let redelivery = Redelivery::New;
    Context { binding: Binding::Mqtt, sender: Some(cse_id.into()), redelivery, ..Context::default() }
}

/// What a binding like HTTP knows of requests: nothing.
pub fn from_anywhere() -> Context {
    Context { binding: Binding::Http, ..Context::default() }
}

/// Wires two CSEs in both directions.
pub fn wire(one: (&str, &TestCse), other: (&str, &TestCse)) {
    one.1.network.connect(other.0, other.1, from_cse(one.0));
    other.1.network.connect(one.0, one.1, from_cse(other.0));
}

/// An IN-CSE and an MN-CSE.
pub struct Pair {
    pub infrastructure: Arc<TestCse>,
    pub middle: Arc<TestCse>,
    pub clock: Arc<TestClock>,
}

impl Pair {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With changed settings of the IN-CSE.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = TestClock::new();
        let infrastructure = Plan::new("in").over("/id-mn", &[]).start_with(&clock, change).await;
        let middle = Plan::new("mn").under("/id-in").start(&clock).await;
        wire(("/id-in", &infrastructure), ("/id-mn", &middle));
        Self { infrastructure, middle, clock }
    }
}

/// Creates a container of the administrator that the originators may use as they like.
pub async fn shared_container(cse: &Arc<TestCse>, base: &str, name: &str, originators: &str) {
    let admin = cse.admin();
    let acp = format!(
        r#"{{"m2m:acp":{{"rn":"acp-{name}","pv":{{"acr":[{{"acor":{originators},"acop":63}}]}},
            "pvs":{{"acr":[{{"acor":["CAdmin"],"acop":63}}]}}}}}}"#
    );
    admin.create(base, Ty::ACCESS_CONTROL_POLICY, &acp).await.created();
    let container = format!(r#"{{"m2m:cnt":{{"rn":"{name}","acpi":["{base}/acp-{name}"]}}}}"#);
    admin.create(base, Ty::CONTAINER, &container).await.created();
}
