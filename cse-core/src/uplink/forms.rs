//! What this CSE says of itself to its registrar (TS-0001 §9.6.4), and where.

use super::{Uplink, attributes};
use crate::behaviour::remote_cse::default_name;
use crate::codec::Serialization;
use crate::id::is_resource_name;
use crate::ports::Store;
use crate::primitive::{ReleaseVersion, Response};
use crate::schema::{keys, syntax};
use crate::value::{Map, Name, Text, Value};

/// Root of the representation of a `<remoteCSE>`.
pub(super) const ROOT: &str = "m2m:csr";

impl<S: Store> Uplink<'_, S> {
    /// This CSE, as the registrar knows it.
    pub(super) fn own_id(&self) -> Text {
        let identity = &self.cse.0.settings.identity;
        match self.registrar.is_foreign() {
            true => smol_str::format_smolstr!("{}{}", identity.sp_id, identity.cse_id),
            false => identity.cse_id.clone(),
        }
    }

    /// What this CSE says of itself; without name and expiration time.
    pub(super) fn about_us(&self) -> Map {
        let shared = &self.cse.0;
        let identity = &shared.settings.identity;
        let own_id = self.own_id();
        let points = self.own_points.borrow().clone();
        let mut about = Map::new();
        about.push(Name::new_static(keys::CSE_TYPE), identity.cse_type as i64);
        about.push(Name::new_static(keys::CSE_BASE), format!("{own_id}/{}", identity.cse_name));
        about.push(Name::new_static(keys::REQUEST_REACHABILITY), !points.is_empty());
        about.push(Name::new_static(keys::POINT_OF_ACCESS), Value::text_list(points.iter().cloned()));
        let releases = ReleaseVersion::SUPPORTED;
        about.push(Name::new_static(keys::SUPPORTED_RELEASE_VERSIONS), Value::text_list(releases));
        about.push(Name::new_static(keys::CONTENT_SERIALIZATION), serializations(self.registrar.serialization));
        about.push(Name::new_static(keys::DESCENDANT_CSES), Value::text_list(self.cses_below()));
        if self.registrar.release >= ReleaseVersion::R4 {
            about.push(Name::new_static(keys::SP_ID), identity.sp_id.clone());
            if let Some(in_cse_id) = &self.in_cse_id {
                about.push(Name::new_static(keys::IN_CSE_ID), self.as_registrar_knows(in_cse_id.clone()));
            }
        }
        about
    }

    /// Whether what is registered has the address of a CSEBase that this CSE had in an earlier life. It cannot be
    /// updated.
    pub(super) fn is_of_another_base(&self, response: &Response) -> bool {
        let identity = &self.cse.0.settings.identity;
        let base = attributes(response).and_then(|found| found.text(keys::CSE_BASE));
        // However it is written: of a registrar with ways of its own one is not to be replaced at each start.
        let name = base.and_then(|base| identity.local_part(base));
        name.is_some_and(|name| name != identity.cse_name && is_resource_name(name))
    }

    /// The CSEs below this one, as the registrar knows them.
    fn cses_below(&self) -> Vec<Text> {
        let below = self.cse.0.registrations.cses().into_iter().take(syntax::MAX_LIST_ITEMS);
        below.map(|cse_id| self.as_registrar_knows(cse_id)).collect()
    }

    /// A canonical CSE-ID as the registrar knows it.
    fn as_registrar_knows(&self, cse_id: Text) -> Text {
        match self.registrar.is_foreign() && !cse_id.starts_with("//") {
            true => smol_str::format_smolstr!("{}{cse_id}", self.cse.0.settings.identity.sp_id),
            false => cse_id,
        }
    }

    /// The representation to register with.
    pub(super) fn creation(&self, about_us: &Map) -> Map {
        let mut content = about_us.clone();
        if let Some(name) = default_name(&self.own_id()) {
            content.push(Name::new_static(keys::RESOURCE_NAME), name);
        }
        content.push(Name::new_static(keys::CSE_ID), self.own_id());
        for list in LISTS {
            if content.texts(list).next().is_none() {
                content.remove(list);
            }
        }
        self.with_expiration(content)
    }

    /// The representation to update with: what cannot change is left out, what is empty removed.
    pub(super) fn update_of(&self, about_us: &Map) -> Map {
        let mut content = about_us.clone();
        for fixed in [keys::CSE_TYPE, keys::CSE_BASE] {
            content.remove(fixed);
        }
        for list in LISTS {
            if content.texts(list).next().is_none() {
                content.insert(list, Value::Null);
            }
        }
        self.with_expiration(content)
    }

    fn with_expiration(&self, mut content: Map) -> Map {
        content.push(Name::new_static(keys::EXPIRATION_TIME), self.now().plus(self.registrar.lifetime));
        Map::single(ROOT, content)
    }

    /// Where our resource at the registrar may be, the likeliest first; never empty.
    pub(super) fn addresses(&self) -> Vec<Text> {
        let own = self.cse.0.settings.identity.base_id();
        let mut addresses: Vec<Text> = self.address.iter().cloned().collect();
        let registrar = self.registrar;
        // `-` stands for the name of any CSEBase (TS-0001 §9.3.1).
        let base = registrar.cse_name.as_deref().unwrap_or("-");
        let by_name = smol_str::format_smolstr!("{}/{base}/{own}", registrar.cse_id);
        let by_id = smol_str::format_smolstr!("{}/{own}", registrar.cse_id);
        for address in [by_name, by_id] {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
}

/// Attributes that may be empty here, and must not be there then.
const LISTS: [&str; 2] = [keys::POINT_OF_ACCESS, keys::DESCENDANT_CSES];

/// All serializations that this CSE reads, that one first.
pub(super) fn serializations(first: Serialization) -> Value {
    let mut all = vec![first];
    all.extend([Serialization::Json, Serialization::Xml, Serialization::Cbor].into_iter().filter(|one| *one != first));
    Value::text_list(all.into_iter().map(Serialization::name))
}
