//! Random changes leave the database and the model in the same state, whatever is asked of them.

use std::sync::Arc;

use crate::support::{at, resource};
use cse_core::id::Seq;
use cse_core::memory::MemoryStore;
use cse_core::ports::{
    ChangeSet, Clause, Deadline, DeadlineKind, Held, OutboxEntry, Reply, ReplyKey, Search, Snapshot, Store, StoreError,
    WriteTransaction,
};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use cse_core::value::{Map, Text};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

const LABELS: [&str; 4] = ["a", "b", "ü", ""];
const NAMES: [&str; 5] = ["x", "y", "r3", "C7", "r12"];
const TYPES: [u16; 7] = [2, 3, 4, 23, 28, 58, 10_004];

/// One change; what it is about is picked from what there is when it is applied.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        parent: Index,
        ty: u16,
        name: Option<&'static str>,
        id: Option<&'static str>,
        varying: Varying,
    },
    Update {
        which: Index,
        varying: Varying,
    },
    /// With all descendants.
    Delete(Index),
    /// Alone: what is below stays, out of reach.
    DeleteAlone(Index),
    Reply(u128),
    Forget(i64),
    Outbox,
    Retry(Index, i64),
    Sent(Index),
    Hold(Index),
    Release(Index),
    Due(DeadlineKind, Index, i64),
    Done(DeadlineKind, Index),
}

/// What an update may change.
#[derive(Clone, Debug)]
struct Varying {
    labels: Vec<&'static str>,
    expires: Option<i64>,
    state_tag: Option<u64>,
    content_size: Option<u64>,
}

/// Changes that are written at once, several times per transaction.
#[derive(Clone, Debug)]
struct Transaction {
    writes: Vec<Vec<Step>>,
    commit: bool,
}

fn varying() -> impl Strategy<Value = Varying> {
    let time = proptest::option::of(0_i64..40);
    let number = || proptest::option::of(0_u64..6);
    (subsequence(&LABELS[..], 0..3), time, number(), number())
        .prop_map(|(labels, expires, state_tag, content_size)| Varying { labels, expires, state_tag, content_size })
}

fn step() -> impl Strategy<Value = Step> {
    let name = || proptest::option::of(select(&NAMES[..]));
    let kind = || select(&[DeadlineKind::Batch, DeadlineKind::RateWindow][..]);
    prop_oneof![
        8 => (any::<Index>(), select(&TYPES[..]), name(), name(), varying())
            .prop_map(|(parent, ty, name, id, varying)| Step::Insert { parent, ty, name, id, varying }),
        4 => (any::<Index>(), varying()).prop_map(|(which, varying)| Step::Update { which, varying }),
        1 => any::<Index>().prop_map(Step::Delete),
        1 => any::<Index>().prop_map(Step::DeleteAlone),
        3 => (0_u128..12).prop_map(Step::Reply),
        1 => (0_i64..20).prop_map(Step::Forget),
        2 => Just(Step::Outbox),
        1 => (any::<Index>(), 0_i64..40).prop_map(|(which, time)| Step::Retry(which, time)),
        1 => any::<Index>().prop_map(Step::Sent),
        2 => any::<Index>().prop_map(Step::Hold),
        1 => any::<Index>().prop_map(Step::Release),
        2 => (kind(), any::<Index>(), 0_i64..40).prop_map(|(kind, which, time)| Step::Due(kind, which, time)),
        1 => (kind(), any::<Index>()).prop_map(|(kind, which)| Step::Done(kind, which)),
    ]
}

fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    let writes = prop::collection::vec(prop::collection::vec(step(), 1..12), 1..3);
    let transaction = (writes, prop::bool::weighted(0.8));
    prop::collection::vec(transaction.prop_map(|(writes, commit)| Transaction { writes, commit }), 1..6)
}

/// What a generator of valid changes has to know.
#[derive(Clone)]
struct World {
    resources: Vec<Resource>,
    /// Identifiers of what is in the store and not in the tree.
    out_of_reach: Vec<Text>,
    next: i64,
    clock: i64,
    outbox: Vec<i64>,
    held: Vec<i64>,
}

impl World {
    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    fn pick(&self, index: &Index) -> Seq {
        self.resources[index.index(self.resources.len())].seq
    }

    fn subtree(&self, root: Seq) -> Vec<Seq> {
        let mut found = vec![root];
        // Parents come before children.
        for resource in &self.resources {
            if resource.parent.is_some_and(|parent| found.contains(&parent)) {
                found.push(resource.seq);
            }
        }
        found
    }

    /// The changes that the steps make. What was touched in them already is left alone, so that each is valid.
    fn changes(&mut self, steps: &[Step]) -> ChangeSet {
        let mut changes = ChangeSet::default();
        let mut touched: Vec<Seq> = Vec::new();
        for step in steps {
            match step {
                Step::Insert { parent, ty, name, id, varying } => {
                    let parent = self.pick(parent);
                    let is_instance = |ty: u16| [4, 58, 10_004].contains(&ty);
                    let parent_is_instance =
                        self.resources.iter().any(|other| other.seq == parent && is_instance(other.ty.0));
                    if parent_is_instance && is_instance(*ty) {
                        continue;
                    }
                    let mut new = resource(self.number(), Some(parent.0), Ty(*ty));
                    if let Some(id) = id
                        && self.resources.iter().all(|other| other.id != *id)
                        && !self.out_of_reach.contains(&Text::from(*id))
                    {
                        new.id = (*id).into();
                        new.name = (*id).into();
                    }
                    if let Some(name) = name {
                        new.name = (*name).into();
                    }
                    let is_sibling = |other: &&Resource| other.parent == new.parent && other.name == new.name;
                    if self.out_of_reach.contains(&new.id)
                        || self.resources.iter().any(|other| is_sibling(&other) || other.id == new.id)
                    {
                        continue;
                    }
                    varying.apply(&mut new);
                    touched.push(new.seq);
                    self.resources.push(new.clone());
                    changes.insert.push(Arc::new(new));
                }
                Step::Update { which, varying } => {
                    let seq = self.pick(which);
                    if touched.contains(&seq) {
                        continue;
                    }
                    touched.push(seq);
                    self.clock += 1;
                    let clock = at(self.clock);
                    for resource in self.resources.iter_mut().filter(|resource| resource.seq == seq) {
                        varying.apply(resource);
                        resource.last_modified_time = clock;
                        changes.update.push(Arc::new(resource.clone()));
                    }
                }
                Step::Delete(which) => {
                    let gone = self.subtree(self.pick(which));
                    if gone.contains(&Seq::CSE_BASE) {
                        continue;
                    }
                    self.resources.retain(|resource| !gone.contains(&resource.seq));
                    changes.delete.extend(gone);
                }
                Step::DeleteAlone(which) => {
                    let seq = self.pick(which);
                    if seq == Seq::CSE_BASE {
                        continue;
                    }
                    let lost = self.subtree(seq);
                    let below = self.resources.iter().filter(|other| lost.contains(&other.seq) && other.seq != seq);
                    self.out_of_reach.extend(below.map(|other| other.id.clone()));
                    self.resources.retain(|resource| !lost.contains(&resource.seq));
                    changes.delete.push(seq);
                }
                Step::Reply(key) => {
                    self.clock += 1;
                    let response = Map::single("rsc", self.clock);
                    changes.replies.push(Reply { key: ReplyKey(*key), at: at(self.clock), response });
                }
                Step::Forget(ago) => changes.forget_replies_before = Some(at(self.clock - ago)),
                Step::Outbox => {
                    let seq = self.number();
                    self.outbox.push(seq);
                    changes.outbox_insert.push(OutboxEntry {
                        seq: Seq(seq),
                        subscription: Seq(3),
                        target: "t".into(),
                        content: Arc::new(Map::single("seq", seq)),
                        event_category: (seq % 2 == 0).then_some(2),
                        created: at(seq),
                        next_try: at(seq),
                        attempts: 0,
                    });
                }
                Step::Retry(which, time) if !self.outbox.is_empty() => {
                    let seq = Seq(*which.get(&self.outbox));
                    changes.outbox_retry.retain(|(other, _, _)| *other != seq);
                    changes.outbox_retry.push((seq, at(*time), 3));
                }
                Step::Sent(which) if !self.outbox.is_empty() => {
                    changes.outbox_delete.push(Seq(self.outbox.swap_remove(which.index(self.outbox.len()))));
                }
                Step::Hold(which) => {
                    let (seq, subscription) = (self.number(), self.pick(which));
                    self.held.push(seq);
                    let notification = Arc::new(Map::single("seq", seq));
                    changes.held_insert.push(Held { seq: Seq(seq), subscription, notification, at: at(seq) });
                }
                Step::Release(which) if !self.held.is_empty() => {
                    changes.held_delete.push(Seq(self.held.swap_remove(which.index(self.held.len()))));
                }
                Step::Due(kind, which, time) => {
                    let deadline = Deadline { kind: *kind, resource: self.pick(which), at: at(*time) };
                    changes.deadlines_set.push(deadline);
                }
                Step::Done(kind, which) => changes.deadlines_clear.push((*kind, self.pick(which))),
                Step::Retry(..) | Step::Sent(_) | Step::Release(_) => {}
            }
        }
        changes
    }
}

impl Varying {
    fn apply(&self, resource: &mut Resource) {
        resource.attributes.remove("lbl");
        if !self.labels.is_empty() {
            resource.attributes.insert("lbl", self.labels.clone());
        }
        resource.expiration_time = self.expires.map(at);
        resource.state_tag = self.state_tag;
        resource.content_size = self.content_size;
    }
}

/// Clauses and their combinations.
fn clauses() -> Vec<Vec<Clause>> {
    let labels = |labels: &[&str]| Clause::Labels(labels.iter().map(|label| (*label).into()).collect());
    let types = |types: &[u16]| Clause::Types(types.iter().copied().map(Ty).collect());
    let single = [
        types(&[3]),
        types(&[4, 58]),
        types(&[2, 3, 23, 28]),
        types(&[3, 4]),
        labels(&["a"]),
        labels(&["b", "ü", "absent"]),
        Clause::Created(Some(at(5)), Some(at(15))),
        Clause::Modified(Some(at(8)), None),
        Clause::Modified(None, Some(at(12))),
        Clause::Expires(Some(at(10)), Some(at(30))),
        Clause::Expires(None, None),
        Clause::StateTag(Some(1), Some(4)),
        Clause::ContentSize(None, Some(3)),
    ];
    let mut all: Vec<Vec<Clause>> = vec![vec![]];
    for (index, first) in single.iter().enumerate() {
        all.push(vec![first.clone()]);
        all.extend(single[index + 1..].iter().map(|second| vec![first.clone(), second.clone()]));
    }
    all.push(vec![labels(&["a", "b"]), labels(&["b", "ü"]), types(&[3, 4]), labels(&["a", "b", ""])]);
    all
}

/// Everything that can be asked, and the answers, as text that shows where two differ.
async fn everything(view: &mut impl Snapshot, world: &World) -> Result<Vec<String>, StoreError> {
    let mut told = Vec::new();
    macro_rules! ask {
        ($($method:ident($($argument:expr),*))*) => {$(
            told.push(format!("{} {:?}: {:?}", stringify!($method), ($($argument,)*), view.$method($($argument),*).await?));
        )*};
    }
    let all: Vec<Seq> = (0..=world.next).map(Seq).collect();
    ask! { resources(&all) next_expiration() reply_count() next_deadline() outbox(Seq::START, 1_000) outbox(Seq(9), 2) }
    for time in [0, 10, 20, 50] {
        ask! { expired(at(time), 1_000) expired(at(time), 2) deadlines(at(time), 1_000) deadlines(at(time), 2) }
    }
    for key in 0..12 {
        ask! { reply(ReplyKey(key)) }
    }
    for seq in &all {
        let generated = format!("r{seq}");
        ask! { resource(*seq) by_id(&generated) held(*seq, 1_000) held(*seq, 1) held_count(*seq) }
        for name in NAMES.iter().copied().chain([generated.as_str()]) {
            ask! { by_id(name) child(*seq, name) child(Seq::CSE_BASE, name) }
        }
        for ty in [3, 4, 58].map(Ty) {
            ask! { newest(*seq, ty) oldest(*seq, ty) count(*seq, ty) oldest_sizes(*seq, ty, 2) }
            ask! { children(*seq, &[ty], Seq(6), 2) }
        }
        for types in [&[][..], &[Ty(4), Ty(3)], &[Ty(99), Ty(23), Ty(2)]] {
            ask! { children(*seq, types, Seq::START, 1_000) children(*seq, types, Seq(4), 2) }
        }
    }
    let some = world.resources.iter().step_by(1 + world.resources.len() / 4).map(|resource| resource.seq);
    for root in some.chain([Seq(world.next)]) {
        // A different few each time; over the cases all of them come up.
        let turn = (world.next + world.clock) as usize % 6;
        for clauses in clauses().into_iter().skip(turn).step_by(6) {
            for (levels, after, limit) in [(None, 0, 1_000), (Some(1), 0, 1_000), (Some(2), 3, 1_000), (None, 5, 2)] {
                let asked = Search { root, levels, clauses: clauses.clone(), after: Seq(after), limit };
                ask! { search(&asked) }
            }
        }
    }
    Ok(told)
}

async fn compare(model: &mut impl Snapshot, database: &mut impl Snapshot, world: &World) -> Result<(), StoreError> {
    let expected = everything(model, world).await?;
    let found = everything(database, world).await?;
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found);
    }
    assert_eq!(expected.len(), found.len());
    Ok(())
}

async fn run(transactions: Vec<Transaction>) -> Result<(), StoreError> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut database = crate::support::open(directory.path()).await;
    let model = MemoryStore::new();
    let base = resource(1, None, Ty::CSE_BASE);
    let mut world = World {
        resources: vec![base.clone()],
        out_of_reach: Vec::new(),
        next: 2,
        clock: 0,
        outbox: Vec::new(),
        held: Vec::new(),
    };
    crate::support::commit(&model, &crate::support::inserting([base.clone()])).await?;
    crate::support::commit(&database, &crate::support::inserting([base])).await?;
    for (turn, transaction) in transactions.into_iter().enumerate() {
        let before = world.clone();
        let mut in_model = model.begin().await?;
        let mut in_database = database.begin().await?;
        for steps in &transaction.writes {
            let changes = world.changes(steps);
            in_model.write(&changes).await?;
            in_database.write(&changes).await?;
        }
        compare(&mut in_model, &mut in_database, &world).await?;
        if transaction.commit {
            in_model.commit().await?;
            in_database.commit().await?;
        } else {
            drop((in_model, in_database));
            // Numbers are not used again, as the store would not give them out again.
            world = World { next: world.next, clock: world.clock, ..before };
        }
        if turn % 2 == 1 {
            database.close().await?;
            drop(database);
            database = crate::support::open(directory.path()).await;
        }
        compare(&mut model.snapshot().await?, &mut database.snapshot().await?, &world).await?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_database_does_what_the_model_does(transactions in transactions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(transactions)).expect("no store fails");
    }
}
