//! What the core needs from a store. No SQL, no protocol: resources by number, and a few side tables.
//!
//! Reads run on snapshots, as many as there are; changes run in one write transaction at a time per process.
//! A store keeps what it is given; every rule of the protocol is the core's.

use std::future::Future;
use std::sync::Arc;

use crate::id::Seq;
use crate::resource::Resource;
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::{Map, Text};

/// Why the store failed. The request is answered 5000, the text goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or broke.
    #[error("{0}")]
    Database(String),
    /// A row that makes no sense.
    #[error("inconsistent {table} row {row}: {problem}")]
    Inconsistent {
        /// Table name.
        table: &'static str,
        /// Key of the row.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Digest of originator, request identifier and the whole primitive of a remembered request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ReplyKey(pub u128);

/// What is remembered of a request: the answer to it. Of one that was passed on to another CSE and has no answer yet,
/// the identifier under which it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Of which request.
    pub key: ReplyKey,
    /// When it was carried out, or came first.
    pub at: Timestamp,
    /// The response primitive, or one member with the identifier; the core reads it.
    pub response: Map,
}

/// A notification that waits to be delivered to one target.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// Its number, from the same sequence as resources: the order of events.
    pub seq: Seq,
    /// The subscription that caused it.
    pub subscription: Seq,
    /// Where to: an entry of `nu`, or `su`.
    pub target: Text,
    /// The notification content (`m2m:sgn` or `m2m:agn`).
    pub content: Arc<Map>,
    /// `ec` of the notification.
    pub event_category: Option<u32>,
    /// When the event was.
    pub created: Timestamp,
    /// Not to be tried before.
    pub next_try: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// An event that a subscription's policy holds back (batch, rate limit, pending).
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its number, from the same sequence as resources.
    pub seq: Seq,
    /// The subscription.
    pub subscription: Seq,
    /// The single notification (the value of `m2m:sgn`).
    pub notification: Arc<Map>,
    /// When the event was.
    pub at: Timestamp,
}

/// What is due at a deadline that must survive a restart. Expiration of resources is not among them: that
/// follows from the resources.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DeadlineKind {
    /// A batch of held notifications is to be sent.
    Batch = 1,
    /// A rate window ends.
    RateWindow = 2,
    /// The resource is gone and its instances are to be cleared away. Not cleared by the deletion of the resource.
    Purge = 3,
    /// The schedule of a subscription lets notifications out again, or has changed.
    Schedule = 4,
    /// The members of a group at other CSEs are to be looked at.
    Validation = 5,
    /// Copies of the resource at other CSEs expire, and have to be renewed before.
    Renewal = 6,
}

impl DeadlineKind {
    /// The kind of that number, as stores keep it.
    pub fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Batch),
            2 => Some(Self::RateWindow),
            3 => Some(Self::Purge),
            4 => Some(Self::Schedule),
            5 => Some(Self::Validation),
            6 => Some(Self::Renewal),
            _ => None,
        }
    }
}

/// A point in time at which something is due for a resource. One per kind and resource.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Deadline {
    /// What is due.
    pub kind: DeadlineKind,
    /// For which resource.
    pub resource: Seq,
    /// When.
    pub at: Timestamp,
}

/// A condition of a search that stores can evaluate.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// Type is one of these.
    Types(Vec<Ty>),
    /// Has one of these labels.
    Labels(Vec<Text>),
    /// Created at or after the first and before the second.
    Created(Option<Timestamp>, Option<Timestamp>),
    /// Modified at or after the first and before the second.
    Modified(Option<Timestamp>, Option<Timestamp>),
    /// Expires at or after the first and before the second.
    Expires(Option<Timestamp>, Option<Timestamp>),
    /// State tag at least the first and below the second.
    StateTag(Option<u64>, Option<u64>),
    /// Content size at least the first and below the second.
    ContentSize(Option<u64>, Option<u64>),
}

/// A search below a resource: all clauses must hold.
///
/// A store must find every descendant for which all clauses hold, and only descendants within the levels; it
/// need not evaluate all clauses, because the core checks each result again.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Below this resource, itself not included.
    pub root: Seq,
    /// At most so many levels below, 1 being the children; `None` for all.
    pub levels: Option<u32>,
    /// The conditions.
    pub clauses: Vec<Clause>,
    /// Only resources with a higher number: where the page before ended.
    pub after: Seq,
    /// Most results.
    pub limit: usize,
}

/// All that one commit changes.
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    /// New resources, parents before children.
    pub insert: Vec<Arc<Resource>>,
    /// Changed resources, whole. Number, parent, type, identifier and name never change.
    pub update: Vec<Arc<Resource>>,
    /// Resources that are gone, with whatever hangs on them in side tables (labels, held notifications, deadlines)
    /// but the outbox and deadlines to purge. Children are listed too; nothing cascades.
    pub delete: Vec<Seq>,
    /// Answers to remember.
    pub replies: Vec<Reply>,
    /// Forget answers older than this.
    pub forget_replies_before: Option<Timestamp>,
    /// New notifications to deliver.
    pub outbox_insert: Vec<OutboxEntry>,
    /// Notifications to try again: number, next try, attempts so far.
    pub outbox_retry: Vec<(Seq, Timestamp, u32)>,
    /// Notifications that are delivered or given up.
    pub outbox_delete: Vec<Seq>,
    /// Events to hold back.
    pub held_insert: Vec<Held>,
    /// Held events that went out.
    pub held_delete: Vec<Seq>,
    /// Deadlines to set; an earlier one of the same kind and resource is replaced.
    pub deadlines_set: Vec<Deadline>,
    /// Deadlines that are done with.
    pub deadlines_clear: Vec<(DeadlineKind, Seq)>,
}

impl ChangeSet {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.insert.is_empty()
            && self.update.is_empty()
            && self.delete.is_empty()
            && self.replies.is_empty()
            && self.forget_replies_before.is_none()
            && self.outbox_insert.is_empty()
            && self.outbox_retry.is_empty()
            && self.outbox_delete.is_empty()
            && self.held_insert.is_empty()
            && self.held_delete.is_empty()
            && self.deadlines_set.is_empty()
            && self.deadlines_clear.is_empty()
    }
}

/// A store of the resource tree.
pub trait Store: Clone + Send + Sync + 'static {
    /// A consistent view for reading.
    type Snapshot: Snapshot;
    /// The one transaction that changes.
    type Write: WriteTransaction;

    /// A view of what is committed now. Waits while all readers are in use.
    fn snapshot(&self) -> impl Future<Output = Result<Self::Snapshot, StoreError>> + Send;

    /// Begins the write transaction. One at a time per process; waits for the one before.
    fn begin(&self) -> impl Future<Output = Result<Self::Write, StoreError>> + Send;

    /// Writes changes and commits them, in a transaction in which nothing else happens. Waits for the one before.
    fn commit(&self, changes: &ChangeSet) -> impl Future<Output = Result<(), StoreError>> + Send {
        async {
            let mut transaction = self.begin().await?;
            transaction.write(changes).await?;
            transaction.commit().await
        }
    }

    /// Reserves `count` numbers for resources and events; returns the first. Never returns one again, also
    /// after a crash; durable when it returns.
    fn reserve_numbers(&self, count: u32) -> impl Future<Output = Result<Seq, StoreError>> + Send;

    /// Whether the store can be used now, for readiness.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Reading. A write transaction reads, too, and sees its own writes.
///
/// Lists are in the order of numbers, which is the order of creation.
pub trait Snapshot: Send {
    /// The resource of that number.
    fn resource(&mut self, seq: Seq) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// The resources of those numbers that exist, in the order of numbers.
    fn resources(&mut self, seqs: &[Seq]) -> impl Future<Output = Result<Vec<Resource>, StoreError>> + Send;

    /// The resource of that resource identifier.
    fn by_id(&mut self, id: &str) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// The child of that name.
    fn child(&mut self, parent: Seq, name: &str) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// Children of one of the types (all, if none is named), with higher numbers than `after`, at most `limit`.
    fn children(
        &mut self,
        parent: Seq,
        types: &[Ty],
        after: Seq,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Resource>, StoreError>> + Send;

    /// The newest child of that type.
    fn newest(&mut self, parent: Seq, ty: Ty) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// The oldest child of that type.
    fn oldest(&mut self, parent: Seq, ty: Ty) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// Number and content size of the oldest children of that type.
    fn oldest_sizes(
        &mut self,
        parent: Seq,
        ty: Ty,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Seq, u64)>, StoreError>> + Send;

    /// How many children of that type there are, and their content sizes added up.
    fn count(&mut self, parent: Seq, ty: Ty) -> impl Future<Output = Result<(u64, u64), StoreError>> + Send;

    /// The numbers of what the search finds.
    fn search(&mut self, search: &Search) -> impl Future<Output = Result<Vec<Seq>, StoreError>> + Send;

    /// Resources that have expired at `now`, those that expired first first.
    fn expired(&mut self, now: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<Seq>, StoreError>> + Send;

    /// The earliest expiration time of all resources.
    fn next_expiration(&mut self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// The remembered answer to a request.
    fn reply(&mut self, key: ReplyKey) -> impl Future<Output = Result<Option<Reply>, StoreError>> + Send;

    /// Committed answers that are older than `before` or soon have to make room for new ones, as far as they are marked
    /// to last: their maps have the member `@once`. Those up to the place `after` are left out, where 0 is before all;
    /// what is returned besides is the place of the last one that was looked at.
    fn fading_replies(
        &mut self,
        after: u64,
        before: Timestamp,
    ) -> impl Future<Output = Result<(Vec<Reply>, u64), StoreError>> + Send;

    /// How many answers are remembered.
    fn reply_count(&mut self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Notifications that wait, with higher numbers than `after`.
    fn outbox(&mut self, after: Seq, limit: usize)
    -> impl Future<Output = Result<Vec<OutboxEntry>, StoreError>> + Send;

    /// Held events of a subscription.
    fn held(&mut self, subscription: Seq, limit: usize) -> impl Future<Output = Result<Vec<Held>, StoreError>> + Send;

    /// How many events of a subscription are held.
    fn held_count(&mut self, subscription: Seq) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Deadlines at or before `now`, earliest first.
    fn deadlines(
        &mut self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Deadline>, StoreError>> + Send;

    /// The earliest deadline.
    fn next_deadline(&mut self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
}

/// The transaction that changes. Dropped without commit, it leaves nothing behind.
pub trait WriteTransaction: Snapshot {
    /// Writes changes; reads of this transaction see them from now on.
    fn write(&mut self, changes: &ChangeSet) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes everything written durable and visible.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Implements [`Snapshot`] for a type that asks another one, which the expression gives.
#[doc(hidden)]
#[macro_export]
macro_rules! read_through {
    (impl [$($generics:tt)*] $reader:ty, |$own:ident| $inner:expr) => {
        $crate::read_through! { @impl [$($generics)*] $reader, $own, $inner;
            resource(seq: $crate::id::Seq) -> Option<$crate::resource::Resource>;
            resources(seqs: &[$crate::id::Seq]) -> Vec<$crate::resource::Resource>;
            by_id(id: &str) -> Option<$crate::resource::Resource>;
            child(parent: $crate::id::Seq, name: &str) -> Option<$crate::resource::Resource>;
            children(parent: $crate::id::Seq, types: &[$crate::schema::Ty], after: $crate::id::Seq, limit: usize) -> Vec<$crate::resource::Resource>;
            newest(parent: $crate::id::Seq, ty: $crate::schema::Ty) -> Option<$crate::resource::Resource>;
            oldest(parent: $crate::id::Seq, ty: $crate::schema::Ty) -> Option<$crate::resource::Resource>;
            oldest_sizes(parent: $crate::id::Seq, ty: $crate::schema::Ty, limit: usize) -> Vec<($crate::id::Seq, u64)>;
            count(parent: $crate::id::Seq, ty: $crate::schema::Ty) -> (u64, u64);
            search(search: &$crate::ports::Search) -> Vec<$crate::id::Seq>;
            expired(now: $crate::time::Timestamp, limit: usize) -> Vec<$crate::id::Seq>;
            next_expiration() -> Option<$crate::time::Timestamp>;
            reply(key: $crate::ports::ReplyKey) -> Option<$crate::ports::Reply>;
            fading_replies(after: u64, before: $crate::time::Timestamp) -> (Vec<$crate::ports::Reply>, u64);
            reply_count() -> u64;
            outbox(after: $crate::id::Seq, limit: usize) -> Vec<$crate::ports::OutboxEntry>;
            held(subscription: $crate::id::Seq, limit: usize) -> Vec<$crate::ports::Held>;
            held_count(subscription: $crate::id::Seq) -> u64;
            deadlines(now: $crate::time::Timestamp, limit: usize) -> Vec<$crate::ports::Deadline>;
            next_deadline() -> Option<$crate::time::Timestamp>;
        }
    };
    (
        @impl [$($generics:tt)*] $reader:ty, $own:ident, $inner:expr;
        $($name:ident($($argument:ident: $ty:ty),*) -> $result:ty;)*
    ) => {
        impl<$($generics)*> $crate::ports::Snapshot for $reader {
            $(async fn $name(&mut self, $($argument: $ty),*) -> Result<$result, $crate::ports::StoreError> {
                let $own = self;
                $inner.$name($($argument),*).await
            })*
        }
    };
}
