//! Access control policies that other CSEs host (`acpi` may name them, TS-0001 §9.6.1.3.2): read by this CSE when a
//! decision needs them, compiled, and kept for a while.
//!
//! A decision never waits for another CSE: it takes what is known, and notes what it lacks ([`View::take_lacking`]).
//! Whoever asked for it has that read ([`Cse::read_policies`]) and asks again. What cannot be read allows nothing; a policy
//! that could be read before holds for some time longer while its CSE cannot be reached.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use crate::cse::Cse;
use crate::elsewhere::{BYTES_MAX, Known, Reading};
use crate::id::CseIdentity;
use crate::node::Policies;
use crate::ports::{BoxFuture, Store};
use crate::resource::approximate_bytes;
use crate::schema::keys;
use crate::time::Timestamp;
use crate::value::{Map, Name, Text, Value};
use crate::view::{ReadSource, Source, View};

/// How often one request may have policies read: what one policy lets it see may have another one.
pub(crate) const ROUNDS_MAX: u8 = 3;
/// Policies that one decision notes that it lacks.
const LACKING_MAX: usize = 32;
/// Policies that are read at the same time for one request.
const READ_AT_ONCE: usize = 8;

impl<Q: Source> View<'_, Q> {
    /// The rules of a policy at another CSE, as far as they are known; that they are not is noted.
    pub(super) fn policies_elsewhere(&mut self, address: &str) -> Option<Arc<Policies>> {
        match self.elsewhere.known(address, self.now) {
            Known::Found(policies) => Some(policies),
            Known::Nothing => None,
            Known::Unknown => {
                if self.lacking.len() < LACKING_MAX && !self.lacking.iter().any(|lacking| lacking == address) {
                    self.lacking.push(address.into());
                }
                None
            }
        }
    }

    /// The policies that decisions over this view lacked.
    pub(crate) fn take_lacking(&mut self) -> Vec<Text> {
        std::mem::take(&mut self.lacking)
    }
}

impl<S: Store> Cse<S> {
    /// Reads policies that decisions lacked, each once for all who wait for it, before a deadline.
    pub(crate) fn read_policies<'a>(&'a self, lacking: Vec<Text>, deadline: Timestamp) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let reading = |address| Box::pin(self.read_policy(address, deadline)) as BoxFuture<'a, ()>;
            stream::iter(lacking).map(reading).buffer_unordered(READ_AT_ONCE).collect::<()>().await;
        })
    }

    /// Reads what a decision over a view lacked, so that it is to be made anew; no more than so many times. Gives the view
    /// back once the decision stands.
    pub(crate) async fn learn<'v>(
        &self,
        mut view: View<'v, ReadSource<'v, S>>,
        read: &mut u8,
        deadline: Timestamp,
    ) -> Option<View<'v, ReadSource<'v, S>>> {
        let lacking = view.take_lacking();
        if lacking.is_empty() || *read == ROUNDS_MAX {
            return Some(view);
        }
        // No snapshot stays open while another CSE is asked.
        drop(view);
        self.read_policies(lacking, deadline).await;
        *read += 1;
        None
    }

    async fn read_policy(&self, address: Text, deadline: Timestamp) {
        let shared = &self.0;
        let reading = shared.elsewhere.reading(&address, shared.clock.now());
        let _turn = reading.lock().await;
        let begun = shared.clock.now();
        if !matches!(shared.elsewhere.known(&address, begun), Known::Unknown) {
            return;
        }
        let identity = &shared.settings.identity;
        let answer = self.read_elsewhere(&address, None, deadline).await;
        let reading = Reading::of(answer, &address, |response| compile(response.content.as_ref()?, &address, identity));
        match reading {
            Reading::Found(_) => shared.metrics.policies_read.increment(),
            Reading::None | Reading::Unreachable => shared.metrics.policies_unreadable.increment(),
        }
        shared.elsewhere.note(&address, reading, shared.clock.now(), &shared.settings);
    }
}

/// The rules of a representation of a policy. What these name relative to the policy's CSE is that CSE's.
fn compile(representation: &Map, address: &str, identity: &CseIdentity) -> Option<Policies> {
    let host = identity.cse_id_of(address)?;
    let (root, policy) = representation.only()?;
    let policy = policy.as_map().filter(|_| root == "m2m:acp")?;
    if approximate_bytes(policy) > BYTES_MAX {
        return None;
    }
    let mut policy = policy.clone();
    for key in [keys::PRIVILEGES, keys::SELF_PRIVILEGES] {
        if let Some(Value::Map(rules)) = policy.get_mut(key) {
            bring_here(&host, rules);
        }
    }
    Some(Policies::compile(&policy, identity))
}

/// Has originators mean here what they mean at their CSE.
fn bring_here(host: &str, rules: &mut Map) {
    let rules: &mut [Value] = match rules.get_mut("acr") {
        Some(Value::List(rules)) => rules,
        Some(rule) => std::slice::from_mut(rule),
        None => return,
    };
    for rule in rules {
        let Value::Map(rule) = rule else { continue };
        let Some(Value::List(originators)) = rule.get("acor") else { continue };
        let originators = originators.iter().map(|entry| match entry {
            Value::Text(entry) if is_relative(entry) => Value::from(format!("{host}/{entry}")),
            other => other.clone(),
        });
        let originators = Value::List(originators.collect());
        rule.insert(Name::new_static("acor"), originators);
    }
}

/// Whether an entry of `acor` means something of the CSE that hosts the policy.
fn is_relative(entry: &str) -> bool {
    let is_of_provider = entry.starts_with('S') && !entry.contains('/');
    !matches!(entry, "all" | "*") && !entry.starts_with('/') && !is_of_provider
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::policy::{Access, Decision, Question};
    use crate::id::{CseType, Originator};
    use crate::schema::Ty;

    fn allows(policies: &Policies, originator: &str) -> bool {
        let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).expect("valid");
        let originator: Originator = identity.canonical_originator(originator);
        let decision = policies.privileges.decide(&Question {
            originator: &originator,
            operation: Access::RETRIEVE,
            peer_address: None,
            authenticated: false,
            now: Timestamp::parse("20260101T000000").expect("valid"),
            location: None,
            creates: None,
            target_type: Ty::CONTAINER,
        });
        decision == Decision::Allow
    }

    fn policy_at(address: &str, representation: &str) -> Option<Policies> {
        let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).expect("valid");
        compile(&serde_json::from_str(representation).expect("JSON"), address, &identity)
    }

    #[test]
    fn originators_mean_what_they_mean_at_the_host() {
        let rules =
            r#"{"m2m:acp":{"pv":{"acr":[{"acor":["Cthere","/id-mn/Chere","Ssp","Cx*"],"acop":2}]},"pvs":{"acr":[]}}}"#;
        let policies = policy_at("/id-in/acp1", rules).expect("a policy");
        for (originator, allowed) in [
            ("/id-in/Cthere", true),
            ("Cthere", false),
            ("Chere", true),
            ("/id-mn/Chere", true),
            ("/id-in/Chere", false),
            ("Ssp", true),
            ("/id-in/Cx1", true),
            ("Cx1", false),
        ] {
            assert_eq!(allows(&policies, originator), allowed, "{originator}");
        }
        let elsewhere = policy_at("//other.example/id-up/acp1", rules).expect("a policy");
        assert!(allows(&elsewhere, "//other.example/id-up/Cthere") && !allows(&elsewhere, "/id-up/Cthere"));
    }

    #[test]
    fn only_policies_of_some_size_are_taken() {
        assert!(policy_at("/id-in/cnt1", r#"{"m2m:cnt":{"pv":{"acr":[{"acor":["all"],"acop":2}]}}}"#).is_none());
        let long = "C".repeat(BYTES_MAX);
        let large = format!(r#"{{"m2m:acp":{{"pv":{{"acr":[{{"acor":["{long}"],"acop":2}}]}}}}}}"#);
        assert!(policy_at("/id-in/acp1", &large).is_none());
    }
}
