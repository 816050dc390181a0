//! Looking at the tree: overlay first, then cache, then database.
//!
//! Decisions are written once over a [`View`], whether they read a snapshot or prepare a change.

use std::future::Future;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::access::authorize::PolicyAt;
use crate::announce::AnnounceHandle;
use crate::cache::{Cache, Epoch, newest_type};
use crate::elsewhere::Elsewhere;
use crate::error::Error;
use crate::id::{CseIdentity, Seq};
use crate::metrics::Metrics;
use crate::node::{Node, Policies, is_instance};
use crate::notify::Pacing;
use crate::outbox::OutboxHandle;
use crate::overlay::{Effects, Overlay, WINDOW_LENGTH, Windows};
use crate::ports::{Search, Snapshot, Store, StoreError, WriteTransaction};
use crate::resource::{Resource, seq_of_generated_id};
use crate::schema::Ty;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::value::Text;
use crate::writer::Numbers;

/// Where a view's answers come from when the cache has none.
pub(crate) trait Source: Send {
    /// How it asks.
    type Query: Snapshot;

    /// What the current group has changed, if this is the writer.
    fn overlay(&self) -> Option<&Overlay>;

    /// The epoch of what it sees.
    fn epoch(&mut self) -> Epoch;

    /// The database, perhaps without what only the overlay knows.
    fn query(&mut self) -> impl Future<Output = Result<&mut Self::Query, StoreError>> + Send;

    /// The database with everything that the overlay knows.
    fn settled(&mut self) -> impl Future<Output = Result<&mut Self::Query, StoreError>> + Send;

    /// The next number for a resource or an event.
    fn next_number(&mut self) -> Result<Seq, Error>;

    /// What the writer remembers of rate windows and held events.
    fn pacing(&mut self) -> Option<&mut Pacing>;

    /// Whether one more notification may be left, besides so many of the same request; counts it as dropped if not.
    fn admits_notification(&mut self, of_request: usize) -> bool;

    /// Counts notifications that were dropped.
    fn notifications_dropped(&mut self, count: usize);

    /// The known oldest instances of a container, at least `count` or all.
    fn window(&mut self, parent: Seq, count: usize) -> Option<Vec<(Seq, u64)>>;

    /// Notes the oldest instances of a container.
    fn set_window(&mut self, parent: Seq, oldest: &[(Seq, u64)], complete: bool);
}

/// Reads a snapshot, begun when it is first needed.
pub(crate) struct ReadSource<'a, S: Store> {
    store: &'a S,
    cache: &'a Cache,
    snapshot: Option<S::Snapshot>,
    epoch: Option<Epoch>,
}

impl<'a, S: Store> ReadSource<'a, S> {
    pub(crate) fn new(store: &'a S, cache: &'a Cache) -> Self {
        Self { store, cache, snapshot: None, epoch: None }
    }
}

impl<S: Store> Source for ReadSource<'_, S> {
    type Query = S::Snapshot;

    fn overlay(&self) -> Option<&Overlay> {
        None
    }

    fn epoch(&mut self) -> Epoch {
        *self.epoch.get_or_insert_with(|| self.cache.epoch())
    }

    async fn query(&mut self) -> Result<&mut S::Snapshot, StoreError> {
        if self.snapshot.is_none() {
            // The epoch must not be younger than the snapshot.
            self.epoch = Some(self.cache.epoch());
            self.snapshot = Some(self.store.snapshot().await?);
        }
        self.snapshot.as_mut().ok_or_else(|| StoreError::Database("no snapshot".into()))
    }

    async fn settled(&mut self) -> Result<&mut S::Snapshot, StoreError> {
        self.query().await
    }

    fn next_number(&mut self) -> Result<Seq, Error> {
        // Only the writer makes anything.
        Err(Error::Internal)
    }

    fn pacing(&mut self) -> Option<&mut Pacing> {
        None
    }

    fn admits_notification(&mut self, _of_request: usize) -> bool {
        false
    }

    fn notifications_dropped(&mut self, _count: usize) {}

    fn window(&mut self, _parent: Seq, _count: usize) -> Option<Vec<(Seq, u64)>> {
        None
    }

    fn set_window(&mut self, _parent: Seq, _oldest: &[(Seq, u64)], _complete: bool) {}
}

/// Reads through the write transaction, begun when it is first needed.
pub(crate) struct WriteSource<'a, S: Store> {
    pub(crate) store: &'a S,
    pub(crate) cache: &'a Cache,
    pub(crate) transaction: &'a mut Option<S::Write>,
    pub(crate) overlay: &'a mut Overlay,
    pub(crate) windows: &'a mut Windows,
    pub(crate) pacing: &'a mut Pacing,
    pub(crate) outbox: &'a OutboxHandle,
    pub(crate) announce: &'a AnnounceHandle,
    pub(crate) metrics: &'a Metrics,
    pub(crate) numbers: &'a mut Numbers,
    /// Set when the database failed, so that nothing of the group can be kept.
    pub(crate) broken: &'a mut bool,
}

impl<S: Store> WriteSource<'_, S> {
    /// Takes over what a decision comes to.
    pub(crate) fn apply(&mut self, effects: Effects) {
        // Half of a change must not be committed, should this panic.
        let was_broken = std::mem::replace(self.broken, true);
        self.overlay.apply(effects, self.windows);
        *self.broken = was_broken;
    }
}

impl<S: Store> Source for WriteSource<'_, S> {
    type Query = S::Write;

    fn overlay(&self) -> Option<&Overlay> {
        Some(self.overlay)
    }

    fn epoch(&mut self) -> Epoch {
        // Nobody else commits, so what the writer reads is current.
        self.cache.epoch()
    }

    async fn query(&mut self) -> Result<&mut S::Write, StoreError> {
        if self.transaction.is_none() {
            *self.transaction = Some(self.store.begin().await?);
        }
        self.transaction.as_mut().ok_or_else(|| StoreError::Database("no transaction".into()))
    }

    async fn settled(&mut self) -> Result<&mut S::Write, StoreError> {
        if self.overlay.has_unwritten_resources() || self.overlay.has_unwritten_rest() {
            let changes = self.overlay.take_changes();
            // Until these are written they are nowhere, whatever happens in between.
            *self.broken = true;
            self.query().await?.write(&changes).await?;
            *self.broken = false;
        }
        self.query().await
    }

    fn next_number(&mut self) -> Result<Seq, Error> {
        self.numbers.take()
    }

    fn pacing(&mut self) -> Option<&mut Pacing> {
        Some(self.pacing)
    }

    fn admits_notification(&mut self, of_request: usize) -> bool {
        let admits = self.outbox.admits(self.overlay.outbox.len() + of_request);
        if !admits {
            self.notifications_dropped(1);
        }
        admits
    }

    fn notifications_dropped(&mut self, count: usize) {
        self.metrics.notifications_dropped.add(count as u64);
    }

    fn window(&mut self, parent: Seq, count: usize) -> Option<Vec<(Seq, u64)>> {
        self.windows.oldest(parent, count)
    }

    fn set_window(&mut self, parent: Seq, oldest: &[(Seq, u64)], complete: bool) {
        self.windows.set(parent, oldest, complete);
    }
}

/// The tree as one request sees it.
pub(crate) struct View<'a, Q: Source> {
    pub(crate) settings: &'a Settings,
    pub(crate) cache: &'a Cache,
    pub(crate) source: Q,
    /// The time of the request.
    pub(crate) now: Timestamp,
    /// Answers of policies to the same question, for requests that touch many resources.
    pub(crate) verdicts: FxHashMap<(Seq, bool, u8), bool>,
    /// Policies by the address in `acpi`, for the same reason.
    pub(crate) policies: FxHashMap<Text, PolicyAt>,
    /// What is known of policies at other CSEs.
    pub(crate) elsewhere: &'a Elsewhere<Policies>,
    /// Those of them that decisions lacked.
    pub(crate) lacking: Vec<Text>,
}

/// The database failed: the text goes to the log, the originator learns that it failed.
pub(crate) fn failed(error: StoreError) -> Error {
    tracing::error!(%error, "the store failed");
    Error::Internal
}

impl<'a, Q: Source> View<'a, Q> {
    pub(crate) fn new(
        settings: &'a Settings,
        cache: &'a Cache,
        elsewhere: &'a Elsewhere<Policies>,
        source: Q,
        now: Timestamp,
    ) -> Self {
        let (verdicts, policies) = (FxHashMap::default(), FxHashMap::default());
        Self { settings, cache, source, now, verdicts, policies, elsewhere, lacking: Vec::new() }
    }

    pub(crate) fn identity(&self) -> &'a CseIdentity {
        &self.settings.identity
    }

    /// The CSEBase.
    pub(crate) async fn base(&mut self) -> Result<Arc<Node>, Error> {
        self.node(Seq::CSE_BASE).await?.ok_or(Error::Internal)
    }

    /// The resource of that number.
    pub(crate) async fn node(&mut self, seq: Seq) -> Result<Option<Arc<Node>>, Error> {
        if let Some(known) = self.known(seq) {
            return Ok(known);
        }
        let found = self.source.query().await.map_err(failed)?.resource(seq).await.map_err(failed)?;
        self.adopt_found(found).await
    }

    /// What overlay and cache know: `Some(None)` when it is gone.
    fn known(&self, seq: Seq) -> Option<Option<Arc<Node>>> {
        if let Some(node) = self.source.overlay().and_then(|overlay| overlay.node(seq)) {
            return Some(node);
        }
        self.cache.get(seq).map(Some)
    }

    /// What the group made of a node that the cache or the database gave.
    fn current(&self, node: Arc<Node>) -> Option<Arc<Node>> {
        match self.source.overlay().and_then(|overlay| overlay.node(node.seq)) {
            Some(changed) => changed,
            None => Some(node),
        }
    }

    /// Makes a node of what the database found, if it found anything.
    async fn adopt_found(&mut self, found: Option<Resource>) -> Result<Option<Arc<Node>>, Error> {
        match found {
            Some(resource) => self.adopt(resource).await,
            None => Ok(None),
        }
    }

    /// Makes a node of a loaded resource; `None` when it or an ancestor is gone.
    pub(crate) async fn adopt(&mut self, resource: Resource) -> Result<Option<Arc<Node>>, Error> {
        // What the group has changed is not committed yet, so it must not reach the cache.
        if let Some(changed) = self.source.overlay().and_then(|overlay| overlay.node(resource.seq)) {
            return Ok(changed);
        }
        // Up to the first ancestor that is known, then down again.
        let mut chain = vec![resource];
        let mut ancestor: Option<Arc<Node>> = None;
        while let Some(parent) = chain.last().and_then(|resource| resource.parent) {
            match self.known(parent) {
                Some(Some(node)) => {
                    ancestor = Some(node);
                    break;
                }
                Some(None) => return Ok(None),
                None => match self.source.query().await.map_err(failed)?.resource(parent).await.map_err(failed)? {
                    Some(resource) => chain.push(resource),
                    None => return Ok(None),
                },
            }
        }
        let epoch = self.source.epoch();
        while let Some(resource) = chain.pop() {
            let path = match &ancestor {
                Some(parent) => smol_str::format_smolstr!("{}/{}", parent.path, resource.name),
                None => resource.name.clone(),
            };
            let node = Arc::new(Node::new(resource, path, self.identity()));
            self.cache.add(&node, epoch);
            ancestor = Some(node);
        }
        Ok(ancestor)
    }

    /// The resource of that resource identifier.
    pub(crate) async fn by_id(&mut self, id: &str) -> Result<Option<Arc<Node>>, Error> {
        if let Some(seq) = self.source.overlay().and_then(|overlay| overlay.by_id(id))
            && let Some(Some(node)) = self.known(seq)
        {
            return Ok(Some(node));
        }
        if let Some(node) = self.cache.by_id(id) {
            return Ok(self.current(node));
        }
        if let Some(seq) = seq_of_generated_id(id)
            && let Some(node) = self.node(seq).await?
            && node.id == id
        {
            return Ok(Some(node));
        }
        let found = self.source.query().await.map_err(failed)?.by_id(id).await.map_err(failed)?;
        self.adopt_found(found).await
    }

    /// The resource of that structured CSE-relative address.
    pub(crate) async fn by_path(&mut self, path: &str) -> Result<Option<Arc<Node>>, Error> {
        if let Some(node) = self.known_path(path) {
            return Ok(Some(node));
        }
        // Down from the longest part of the path that is known.
        let mut start = path.len();
        let mut node = loop {
            match path[..start].rfind('/') {
                None if path.split('/').next() == Some(self.identity().cse_name.as_str()) => {
                    start = self.identity().cse_name.len();
                    break self.base().await?;
                }
                None => return Ok(None),
                Some(slash) => {
                    start = slash;
                    if let Some(node) = self.known_path(&path[..slash]) {
                        break node;
                    }
                }
            }
        };
        for name in path[start..].split('/').skip(1) {
            match self.child(&node, name).await? {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    fn known_path(&self, path: &str) -> Option<Arc<Node>> {
        if let Some(seq) = self.source.overlay().and_then(|overlay| overlay.by_path(path))
            && let Some(Some(node)) = self.known(seq)
        {
            return Some(node);
        }
        self.cache.by_path(path).and_then(|node| self.current(node))
    }

    /// The child of that name.
    pub(crate) async fn child(&mut self, parent: &Node, name: &str) -> Result<Option<Arc<Node>>, Error> {
        let path = format!("{}/{name}", parent.path);
        if let Some(node) = self.known_path(&path) {
            return Ok(Some(node));
        }
        let found = self.source.query().await.map_err(failed)?.child(parent.seq, name).await.map_err(failed)?;
        self.adopt_found(found).await
    }

    /// The parent; `None` for the CSEBase.
    pub(crate) async fn parent(&mut self, node: &Node) -> Result<Option<Arc<Node>>, Error> {
        match node.parent {
            Some(parent) => self.node(parent).await,
            None => Ok(None),
        }
    }

    /// The subscriptions of a resource.
    pub(crate) async fn subscriptions(&mut self, parent: &Node) -> Result<Arc<[Arc<Node>]>, Error> {
        if is_instance(parent.ty) {
            // They cannot have any, and there are many of them.
            return Ok(Arc::default());
        }
        let base = match self.cache.subscriptions(parent.seq) {
            Some(list) => list,
            None => {
                let epoch = self.source.epoch();
                let query = self.source.query().await.map_err(failed)?;
                let resources = query
                    .children(parent.seq, &[Ty::SUBSCRIPTION], Seq::START, SUBSCRIPTIONS_MAX)
                    .await
                    .map_err(failed)?;
                let identity = self.identity();
                let node = |resource: Resource| {
                    let path = smol_str::format_smolstr!("{}/{}", parent.path, resource.name);
                    Arc::new(Node::new(resource, path, identity))
                };
                let list: Arc<[Arc<Node>]> = resources.into_iter().map(node).collect();
                if self.source.overlay().is_none_or(|overlay| !overlay.changes_subscriptions(parent.seq)) {
                    self.cache.add_subscriptions(parent.seq, &list, epoch);
                }
                list
            }
        };
        let Some(overlay) = self.source.overlay() else {
            return Ok(base);
        };
        let new = overlay.new_subscriptions(parent.seq);
        if new.is_empty() && base.iter().all(|node| overlay.node(node.seq).is_none()) {
            return Ok(base);
        }
        let mut merged: Vec<Arc<Node>> = base.iter().filter_map(|node| self.current(Arc::clone(node))).collect();
        for seq in new {
            if let Some(Some(node)) = overlay.node(*seq)
                && merged.iter().all(|other| other.seq != *seq)
            {
                merged.push(node);
            }
        }
        Ok(merged.into())
    }

    /// The newest instance below a container.
    pub(crate) async fn newest(&mut self, parent: &Node) -> Result<Option<Arc<Node>>, Error> {
        let Some(ty) = newest_type(parent.ty) else {
            return Ok(None);
        };
        match self.source.overlay().and_then(|overlay| overlay.newest(parent.seq)) {
            Some(Some(node)) => return Ok(Some(node)),
            Some(None) => {}
            None => {
                if let Some(node) = self.cache.newest(parent.seq) {
                    return Ok(Some(node));
                }
            }
        }
        let found = self.source.settled().await.map_err(failed)?.newest(parent.seq, ty).await.map_err(failed)?;
        let node = self.adopt_found(found).await?;
        if let Some(node) = &node
            && self.source.overlay().is_none()
        {
            let epoch = self.source.epoch();
            self.cache.add_newest(parent.seq, node, epoch);
        }
        Ok(node)
    }

    /// The oldest instance below a container; it may have expired.
    pub(crate) async fn oldest(&mut self, parent: &Node) -> Result<Option<Arc<Node>>, Error> {
        let Some(ty) = newest_type(parent.ty) else {
            return Ok(None);
        };
        let found = self.source.settled().await.map_err(failed)?.oldest(parent.seq, ty).await.map_err(failed)?;
        self.adopt_found(found).await
    }

    /// Number and size of the oldest instances: `count` of them, or all.
    pub(crate) async fn oldest_sizes(&mut self, parent: &Node, ty: Ty, count: usize) -> Result<Vec<(Seq, u64)>, Error> {
        if let Some(known) = self.source.window(parent.seq, count) {
            return Ok(known);
        }
        let limit = count.max(WINDOW_LENGTH);
        let query = self.source.settled().await.map_err(failed)?;
        let mut oldest = query.oldest_sizes(parent.seq, ty, limit).await.map_err(failed)?;
        let complete = oldest.len() < limit;
        self.source.set_window(parent.seq, &oldest, complete);
        oldest.truncate(count);
        Ok(oldest)
    }

    /// Children of the types (all, if none is named) after a number.
    pub(crate) async fn children(
        &mut self,
        parent: &Node,
        types: &[Ty],
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<Node>>, Error> {
        let query = self.source.settled().await.map_err(failed)?;
        let resources = query.children(parent.seq, types, after, limit).await.map_err(failed)?;
        let mut nodes = Vec::with_capacity(resources.len());
        for resource in resources {
            if let Some(node) = self.adopt(resource).await? {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    /// One page of a search; the last number is where the next page begins.
    pub(crate) async fn search(&mut self, search: &Search) -> Result<Vec<Seq>, Error> {
        self.source.settled().await.map_err(failed)?.search(search).await.map_err(failed)
    }

    /// The resources of those numbers that exist, in the order of numbers.
    pub(crate) async fn nodes(&mut self, seqs: &[Seq]) -> Result<Vec<Arc<Node>>, Error> {
        let mut nodes: Vec<Arc<Node>> = Vec::with_capacity(seqs.len());
        let mut missing = Vec::new();
        let cached = self.cache.get_all(seqs);
        for (seq, cached) in seqs.iter().zip(cached) {
            match self.source.overlay().and_then(|overlay| overlay.node(*seq)).or(cached.map(Some)) {
                Some(node) => nodes.extend(node),
                None => missing.push(*seq),
            }
        }
        if !missing.is_empty() {
            let resources = self.source.query().await.map_err(failed)?.resources(&missing).await.map_err(failed)?;
            for resource in resources {
                nodes.extend(self.adopt(resource).await?);
            }
            nodes.sort_unstable_by_key(|node| node.seq);
        }
        Ok(nodes)
    }
}

/// Most subscriptions of one resource.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 1_000;
