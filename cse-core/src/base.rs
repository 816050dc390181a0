//! The CSEBase: made or brought up to date at the start from the settings. Nobody may update it, but some of what it shows
//! is found out or changes while the CSE runs.

use std::sync::Arc;

use crate::access::authorize::Permit;
use crate::announce;
use crate::behaviour::subscription::EventType;
use crate::codec::Serialization;
use crate::cse::{Cse, StartError};
use crate::error::Error;
use crate::id::{Originator, Seq};
use crate::notify::Happening;
use crate::overlay::Effects;
use crate::ports::{ChangeSet, Snapshot as _, Store, WriteTransaction as _};
use crate::primitive::ReleaseVersion;
use crate::resource::Resource;
use crate::schema::{self, Ty, keys};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::value::{Map, Name, Text, Value};
use crate::view::{View, WriteSource};
use crate::writer::Job;

/// Makes the CSEBase, or brings the one that is there up to date with the settings.
pub(crate) async fn put<S: Store>(settings: &Settings, store: &S, now: Timestamp) -> Result<(), StartError> {
    let mut transaction = store.begin().await?;
    let existing = transaction.resource(Seq::CSE_BASE).await?;
    let identity = &settings.identity;
    if let Some(base) = &existing
        && base.name != identity.cse_name
    {
        return Err(StartError::Renamed { found: base.name.clone(), wanted: identity.cse_name.clone() });
    }
    let mut attributes = existing.as_ref().map(|base| base.attributes.clone()).unwrap_or_default();
    let supported = schema::types().filter(|def| def.implemented).map(|def| Value::from(def.ty.0));
    attributes.insert(keys::CSE_TYPE, identity.cse_type as i64);
    attributes.insert(keys::CSE_ID, identity.cse_id.clone());
    attributes.insert(keys::SUPPORTED_RESOURCE_TYPE, Value::List(supported.collect()));
    attributes.insert(keys::POINT_OF_ACCESS, Value::text_list(settings.points_of_access.iter().cloned()));
    attributes.insert(keys::SUPPORTED_RELEASE_VERSIONS, Value::text_list(ReleaseVersion::SUPPORTED));
    let serializations = [Serialization::Json, Serialization::Xml, Serialization::Cbor].map(Serialization::name);
    attributes.insert(keys::CONTENT_SERIALIZATION, Value::text_list(serializations));
    attributes.insert(keys::SP_ID, identity.sp_id.clone());
    if existing.as_ref().is_some_and(|base| base.attributes == attributes) {
        return Ok(());
    }
    let follows = existing.as_ref().and_then(|base| announce::renewal::of_base(&mut attributes, base, now));
    let base = Resource {
        seq: Seq::CSE_BASE,
        parent: None,
        ty: Ty::CSE_BASE,
        id: identity.base_id().into(),
        name: identity.cse_name.clone(),
        parent_id: Text::default(),
        creation_time: existing.as_ref().map_or(now, |base| base.creation_time),
        last_modified_time: now,
        expiration_time: None,
        state_tag: None,
        content_size: None,
        creator: Originator::from_canonical(identity.cse_id.clone()),
        attributes,
    };
    let base = Arc::new(base);
    let changes = match existing {
        Some(_) => {
            let deadlines_set = follows.into_iter().collect();
            ChangeSet { update: vec![base], deadlines_set, ..ChangeSet::default() }
        }
        None => ChangeSet { insert: vec![base], ..ChangeSet::default() },
    };
    transaction.write(&changes).await?;
    transaction.commit().await?;
    Ok(())
}

impl<S: Store> Cse<S> {
    /// Says where this CSE is reached now: what the CSEBase shows, and what the registrar is told, the preferred ones
    /// first. The registrar hears of it at once, subscribers to the CSEBase as well.
    pub async fn set_points_of_access(&self, shown: Vec<Text>, for_registrar: Vec<Text>) {
        let points = Map::single(Name::new_static(keys::POINT_OF_ACCESS), Value::text_list(shown));
        self.change_base(points).await;
        self.0.uplink.set_own_points(for_registrar);
    }

    /// Has the CSEBase show these attributes. Without effect while the CSE stops.
    pub(crate) async fn change_base(&self, attributes: Map) {
        drop(self.0.jobs.send(Job::Base(attributes)).await);
    }
}

/// Changes the CSEBase, if that changes anything.
pub(crate) async fn change<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, attributes: Map) -> Result<(), Error> {
    let base = view.base().await?;
    let mut resource = Resource::clone(&base.resource);
    for (name, value) in attributes.iter() {
        resource.attributes.insert(name.clone(), value.clone());
    }
    if resource.attributes == base.attributes {
        return Ok(());
    }
    resource.last_modified_time = view.now;
    let mut effects = Effects::new(Permit::internal("the CSE itself has changed"));
    let updated = Arc::new(base.changed(resource, view.identity()));
    effects.update(Arc::clone(&updated));
    let happening = Happening { event: EventType::UpdateOfResource, subject: &updated, modified: Some(&attributes) };
    view.notify(&updated, &happening, &mut effects).await?;
    view.source.apply(effects);
    Ok(())
}
