//! The `<remoteCSE>` of the registrar in our own tree: what the way to it is found by. Made of its CSEBase, by requests
//! of this CSE to itself, so that subscribers and policies see them like any other.

use super::forms::{ROOT, serializations};
use super::{Problem, Uplink, attributes};
use crate::behaviour::remote_cse;
use crate::error::Rsc;
use crate::id::CseType;
use crate::ports::{Dispatch, Store};
use crate::primitive::{Operation, Request, Response};
use crate::schema::{Ty, keys};
use crate::value::{Map, Name, Text, Value};

/// What is taken over from the registrar's CSEBase.
const TAKEN_OVER: [&str; 2] = [keys::CSE_TYPE, keys::SUPPORTED_RELEASE_VERSIONS];

impl<S: Store> Uplink<'_, S> {
    /// Makes that resource, or brings it up to date.
    pub(super) async fn keep_registrar_here(&mut self) -> Result<(), Problem> {
        let base = self.send(self.request(Operation::Retrieve, self.registrar.base())).await?;
        let nothing = Map::new();
        let base = match attributes(&base) {
            Some(base) if base_is(base) => base,
            _ => {
                // The way to it is known all the same, by the configuration.
                tracing::info!(status = %base.status, reason = base.debug_text(), "the registrar does not show its CSEBase");
                &nothing
            }
        };
        self.learn_in_cse(base).await;
        let about = self.about_registrar(base);
        let address = self.address_here();
        if self.kept_here.as_ref() == Some(&about) && self.here(Operation::Retrieve, &address, None).await.is_success()
        {
            return Ok(());
        }
        let mut changes = about.clone();
        for fixed in [keys::CSE_ID, keys::CSE_BASE, keys::CSE_TYPE] {
            changes.remove(fixed);
        }
        let mut response = self.here(Operation::Update, &address, Some(changes)).await;
        if response.status == Rsc::NotFound {
            let mut content = about.clone();
            if let Some(name) = remote_cse::default_name(&self.registrar.cse_id) {
                content.push(Name::new_static(keys::RESOURCE_NAME), name);
            }
            let own_base = self.cse.0.settings.identity.cse_name.clone();
            response = self.here(Operation::Create, &own_base, Some(content)).await;
        }
        if !response.is_success() {
            let text = response.debug_text().unwrap_or_default();
            return Err(Problem::Here(format!("{} {text}", response.status)));
        }
        self.kept_here = Some(about);
        Ok(())
    }

    /// Takes note of which IN-CSE is at the top: this CSE itself, the registrar, or whichever that names.
    async fn learn_in_cse(&mut self, base: &Map) {
        let identity = &self.cse.0.settings.identity;
        let named = base.text(keys::IN_CSE_ID).and_then(|id| identity.canonical_cse_id(id));
        let found = match identity.cse_type {
            CseType::In => Some(identity.cse_id.clone()),
            _ if base.int(keys::CSE_TYPE) == Some(CseType::In as i64) => Some(self.registrar.cse_id.clone()),
            _ => named.filter(|id| !id.starts_with("//") && *id != identity.cse_id),
        };
        if found.is_some() && found != self.in_cse_id {
            self.in_cse_id.clone_from(&found);
            let shown = Map::single(Name::new_static(keys::IN_CSE_ID), Value::from(found.unwrap_or_default()));
            self.cse.change_base(shown).await;
        }
    }

    /// Removes it.
    pub(super) async fn forget_registrar_here(&mut self) {
        let address = self.address_here();
        let response = self.here(Operation::Delete, &address, None).await;
        if !response.is_success() && response.status != Rsc::NotFound {
            tracing::warn!(status = %response.status, reason = response.debug_text(), "the registrar is still in the tree");
        }
        self.kept_here = None;
    }

    /// Where it is: found by the CSE-ID, whatever its name.
    fn address_here(&self) -> Text {
        remote_cse::resource_id(&self.registrar.cse_id, &self.cse.0.settings.identity)
    }

    fn about_registrar(&self, base: &Map) -> Map {
        let registrar = self.registrar;
        let mut about = Map::new();
        about.push(Name::new_static(keys::CSE_ID), registrar.cse_id.clone());
        let name = base.text(keys::RESOURCE_NAME).or(registrar.cse_name.as_deref());
        let address = name.map_or_else(|| registrar.base(), |name| format!("{}/{name}", registrar.cse_id).into());
        about.push(Name::new_static(keys::CSE_BASE), address);
        about.push(Name::new_static(keys::REQUEST_REACHABILITY), true);
        // Where we reach it, which may be nowhere that it knows of.
        let points = registrar.points_of_access.iter().cloned();
        about.push(Name::new_static(keys::POINT_OF_ACCESS), Value::text_list(points));
        about.push(Name::new_static(keys::CONTENT_SERIALIZATION), serializations(registrar.serialization));
        for name in TAKEN_OVER {
            if let Some(value) = base.get(name) {
                about.push(Name::new_static(name), value.clone());
            }
        }
        if let Some(in_cse_id) = self.in_cse_id.as_ref().filter(|_| !registrar.is_foreign()) {
            about.push(Name::new_static(keys::IN_CSE_ID), in_cse_id.clone());
        }
        if !about.contains(keys::SUPPORTED_RELEASE_VERSIONS) {
            let release = Value::text_list([registrar.release.as_str()]);
            about.push(Name::new_static(keys::SUPPORTED_RELEASE_VERSIONS), release);
        }
        about
    }

    /// A request of this CSE to itself.
    async fn here(&self, operation: Operation, to: &str, content: Option<Map>) -> Response {
        let shared = &self.cse.0;
        let from = shared.settings.identity.cse_id.clone();
        let mut request = Request::new(operation, to, from, shared.new_request_identifier());
        request.resource_type = (operation == Operation::Create).then_some(Ty::REMOTE_CSE);
        request.content = content.map(|attributes| Map::single(ROOT, attributes));
        self.cse.dispatch(request).await
    }
}

/// Whether these are the attributes of a CSEBase.
fn base_is(attributes: &Map) -> bool {
    attributes.contains(keys::CSE_ID)
}
