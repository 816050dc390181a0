//! Resources and stores to test with.

use std::path::Path;
use std::sync::Arc;

use cse_core::id::{CseIdentity, CseType, Originator, Seq};
use cse_core::ports::{ChangeSet, Store, StoreError};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
use cse_core::value::{Map, Value};
use cse_store::sqlite::{SqliteOptions, SqliteStore};

pub(crate) fn identity() -> CseIdentity {
    CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid identifiers")
}

pub(crate) async fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::new(directory.join("cse.db")), &identity()).await.expect("opens")
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A resource that was created at the time of its number, with a generated identifier and no other name.
pub(crate) fn resource(seq: i64, parent: Option<i64>, ty: Ty) -> Resource {
    let id = format!("r{seq}");
    Resource {
        seq: Seq(seq),
        parent: parent.map(Seq),
        ty,
        id: id.as_str().into(),
        name: id.into(),
        parent_id: parent.map(|parent| format!("r{parent}")).unwrap_or_default().into(),
        creation_time: at(seq),
        last_modified_time: at(seq),
        expiration_time: None,
        state_tag: None,
        content_size: None,
        creator: Originator::from_canonical("Ctest"),
        attributes: Map::new(),
    }
}

pub(crate) fn named(mut resource: Resource, name: &str) -> Resource {
    resource.name = name.into();
    resource
}

pub(crate) fn labelled(mut resource: Resource, labels: &[&str]) -> Resource {
    resource.attributes.insert("lbl", Value::text_list(labels.iter().copied()));
    resource
}

pub(crate) fn instance(seq: i64, parent: i64, size: u64) -> Resource {
    let mut resource = resource(seq, Some(parent), Ty::CONTENT_INSTANCE);
    resource.content_size = Some(size);
    resource.state_tag = Some(0);
    resource.expiration_time = Some(at(1_000 + seq));
    resource.attributes.insert("con", "x".repeat(size as usize));
    resource
}

pub(crate) fn inserting(resources: impl IntoIterator<Item = Resource>) -> ChangeSet {
    ChangeSet { insert: resources.into_iter().map(Arc::new).collect(), ..ChangeSet::default() }
}

pub(crate) async fn commit<S: Store>(store: &S, changes: &ChangeSet) -> Result<(), StoreError> {
    store.commit(changes).await
}
