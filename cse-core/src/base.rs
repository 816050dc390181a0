//! The CSEBase while the CSE runs: nobody may update it, but some of what it shows is found out or changes only then.

use std::sync::Arc;

use crate::access::authorize::Permit;
use crate::behaviour::subscription::EventType;
use crate::cse::Cse;
use crate::error::Error;
use crate::notify::Happening;
use crate::overlay::Effects;
use crate::ports::Store;
use crate::resource::Resource;
use crate::schema::keys;
use crate::value::{Map, Name, Text, Value};
use crate::view::{View, WriteSource};
use crate::writer::Job;

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
