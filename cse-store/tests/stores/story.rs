//! One story, told to every store: what the port promises, method by method.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{at, commit, inserting, instance, labelled, named, resource};
use cse_core::id::Seq;
use cse_core::memory::MemoryStore;
use cse_core::ports::{
    ChangeSet, Clause, Deadline, DeadlineKind, Held, OutboxEntry, Reply, ReplyKey, Search, Snapshot, Store, StoreError,
    WriteTransaction,
};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

/// Tells each story to each store.
macro_rules! told_to_every_store {
    ($($story:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $story() -> Result<(), super::StoreError> {
                super::$story(super::MemoryStore::new()).await
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $story() -> Result<(), super::StoreError> {
                let directory = tempfile::tempdir().expect("a directory");
                let store = crate::support::open(directory.path()).await;
                super::$story(store.clone()).await?;
                store.close().await
            })*
        }
    };
}

told_to_every_store! {
    a_tree_is_kept_as_it_was_written
    a_resource_is_found_by_every_name_it_has
    children_come_in_order_by_type_and_in_pages
    the_ends_of_a_container
    updates_replace_and_deletions_leave_nothing_behind
    a_name_is_free_again_in_the_changes_that_delete_it
    searches_find_descendants_for_which_all_clauses_hold
    searches_stay_within_root_and_levels
    what_lost_its_container_is_found_by_no_search
    searches_come_in_pages
    what_expires_first_comes_first
    replies_are_found_counted_and_forgotten
    replies_that_last_are_found_before_they_are_forgotten
    the_outbox_keeps_the_order_of_events
    held_events_belong_to_their_subscription
    there_is_one_deadline_per_kind_and_resource
    a_transaction_that_is_dropped_leaves_nothing
    a_transaction_sees_what_it_wrote_and_others_do_not
    a_snapshot_stays_as_it_is
    transactions_run_one_after_another
    numbers_are_never_reserved_twice
    many_changes_fit_into_one_commit
}

type Told = Result<(), StoreError>;

fn ids(resources: &[Resource]) -> Vec<i64> {
    resources.iter().map(|resource| resource.seq.0).collect()
}

fn numbers(seqs: &[Seq]) -> Vec<i64> {
    seqs.iter().map(|seq| seq.0).collect()
}

/// The base (1), an AE (2) with a container (3), in which there are another (4) and two instances (5, 6).
fn small_tree() -> Vec<Resource> {
    let mut base = named(resource(1, None, Ty::CSE_BASE), "cse-in");
    base.id = "id-in".into();
    let mut ae = named(resource(2, Some(1), Ty::AE), "meter");
    ae.id = "Cmeter".into();
    let container = named(resource(3, Some(2), Ty::CONTAINER), "log");
    vec![base, ae, container, resource(4, Some(3), Ty::CONTAINER), instance(5, 3, 10), instance(6, 3, 20)]
}

async fn a_tree_is_kept_as_it_was_written(store: impl Store) -> Told {
    let mut rich = resource(7, Some(3), Ty(28));
    rich.expiration_time = Some(at(i64::MAX));
    rich.state_tag = Some(3);
    rich.attributes = [
        ("lbl".into(), Value::text_list(["a", "ü\u{0}'\"\\"])),
        ("n".into(), Value::UInt(u64::MAX)),
        ("f".into(), Value::Float(0.1)),
        ("o".into(), Value::Map(Map::single("empty", Value::List(Vec::new())))),
        ("null".into(), Value::Null),
        ("b".into(), Value::Bool(true)),
    ]
    .into_iter()
    .collect();
    let tree: Vec<Resource> = small_tree().into_iter().chain([rich]).collect();
    commit(&store, &inserting(tree.clone())).await?;
    let mut view = store.snapshot().await?;
    for written in &tree {
        assert_eq!(view.resource(written.seq).await?.as_ref(), Some(written));
    }
    assert_eq!(view.resource(Seq(99)).await?, None);
    assert_eq!(ids(&view.resources(&[Seq(6), Seq(99), Seq(2), Seq(6)]).await?), [2, 6]);
    assert_eq!(view.resources(&[]).await?, []);
    Ok(())
}

async fn a_resource_is_found_by_every_name_it_has(store: impl Store) -> Told {
    let mut misleading = named(resource(7, Some(2), Ty::CONTAINER), "r5");
    misleading.id = "C17".into();
    let mut same = resource(17, Some(2), Ty::CONTAINER);
    (same.id, same.name) = ("Cplain".into(), "Cplain".into());
    commit(&store, &inserting(small_tree().into_iter().chain([misleading, same]))).await?;
    let mut view = store.snapshot().await?;
    for (id, seq) in [
        ("id-in", Some(1)),
        ("Cmeter", Some(2)),
        ("r3", Some(3)),
        ("r6", Some(6)),
        ("C17", Some(7)),
        ("Cplain", Some(17)),
        ("x6", None),
        ("r06", None),
        ("r2", None),
        ("meter", None),
        ("", None),
    ] {
        assert_eq!(view.by_id(id).await?.map(|found| found.seq.0), seq, "{id}");
    }
    for (parent, name, seq) in [
        (1, "meter", Some(2)),
        (2, "log", Some(3)),
        (3, "r4", Some(4)),
        (3, "r5", Some(5)),
        (2, "r5", Some(7)),
        (2, "Cplain", Some(17)),
        (1, "Cplain", None),
        (2, "r3", None),
        (2, "r4", None),
        (1, "Cmeter", None),
        (2, "C17", None),
        (1, "cse-in", None),
    ] {
        assert_eq!(view.child(Seq(parent), name).await?.map(|found| found.seq.0), seq, "{parent}/{name}");
    }
    Ok(())
}

async fn children_come_in_order_by_type_and_in_pages(store: impl Store) -> Told {
    let more = [resource(7, Some(3), Ty::SUBSCRIPTION), instance(8, 3, 1), resource(9, Some(3), Ty::CONTAINER)];
    commit(&store, &inserting(small_tree().into_iter().chain(more))).await?;
    let mut view = store.snapshot().await?;
    let parent = Seq(3);
    assert_eq!(ids(&view.children(parent, &[], Seq::START, 100).await?), [4, 5, 6, 7, 8, 9]);
    assert_eq!(ids(&view.children(parent, &[], Seq::START, 3).await?), [4, 5, 6]);
    assert_eq!(ids(&view.children(parent, &[], Seq(6), 2).await?), [7, 8]);
    assert_eq!(ids(&view.children(parent, &[Ty::CONTAINER], Seq::START, 100).await?), [4, 9]);
    assert_eq!(ids(&view.children(parent, &[Ty::CONTENT_INSTANCE], Seq(5), 1).await?), [6]);
    let two = [Ty::SUBSCRIPTION, Ty::CONTAINER, Ty::AE];
    assert_eq!(ids(&view.children(parent, &two, Seq::START, 2).await?), [4, 7]);
    assert_eq!(ids(&view.children(parent, &two, Seq(7), 2).await?), [9]);
    assert_eq!(view.children(Seq(4), &[], Seq::START, 100).await?, []);
    assert_eq!(view.children(parent, &[], Seq::START, 0).await?, []);
    Ok(())
}

async fn the_ends_of_a_container(store: impl Store) -> Told {
    commit(&store, &inserting(small_tree())).await?;
    let mut view = store.snapshot().await?;
    let (parent, ty) = (Seq(3), Ty::CONTENT_INSTANCE);
    assert_eq!(view.newest(parent, ty).await?.map(|found| found.seq), Some(Seq(6)));
    assert_eq!(view.oldest(parent, ty).await?.map(|found| found.seq), Some(Seq(5)));
    assert_eq!(view.oldest_sizes(parent, ty, 10).await?, [(Seq(5), 10), (Seq(6), 20)]);
    assert_eq!(view.oldest_sizes(parent, ty, 1).await?, [(Seq(5), 10)]);
    assert_eq!(view.oldest_sizes(parent, Ty::CONTAINER, 9).await?, [(Seq(4), 0)]);
    assert_eq!(view.count(parent, ty).await?, (2, 30));
    assert_eq!(view.count(parent, Ty::CONTAINER).await?, (1, 0));
    assert_eq!(view.count(parent, Ty::SUBSCRIPTION).await?, (0, 0));
    assert_eq!(view.newest(parent, Ty::SUBSCRIPTION).await?, None);
    assert_eq!(view.oldest(Seq(4), ty).await?, None);
    Ok(())
}

fn by_labels(labels: &[&str]) -> Search {
    Search {
        root: Seq::CSE_BASE,
        levels: None,
        clauses: vec![Clause::Labels(labels.iter().map(|label| (*label).into()).collect())],
        after: Seq::START,
        limit: 100,
    }
}

async fn updates_replace_and_deletions_leave_nothing_behind(store: impl Store) -> Told {
    let subscription = labelled(resource(7, Some(3), Ty::SUBSCRIPTION), &["keep", "old"]);
    let mut all = inserting(small_tree().into_iter().chain([subscription.clone()]));
    all.held_insert = vec![held(20, 7)];
    all.deadlines_set = vec![Deadline { kind: DeadlineKind::Batch, resource: Seq(7), at: at(5) }];
    commit(&store, &all).await?;

    let mut changed = labelled(subscription, &["keep", "new"]);
    changed.last_modified_time = at(70);
    changed.expiration_time = Some(at(700));
    changed.state_tag = Some(4);
    changed.content_size = Some(5);
    let absent = resource(98, Some(3), Ty::CONTAINER);
    let update = [changed.clone(), absent].map(Arc::new).to_vec();
    commit(&store, &ChangeSet { update, ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.resource(Seq(7)).await?, Some(changed.clone()));
    assert_eq!(view.resource(Seq(98)).await?, None);
    assert_eq!(numbers(&view.search(&by_labels(&["new"])).await?), [7]);
    assert_eq!(numbers(&view.search(&by_labels(&["keep"])).await?), [7]);
    assert_eq!(view.search(&by_labels(&["old"])).await?, []);
    drop(view);

    changed.attributes.remove("lbl");
    commit(&store, &ChangeSet { update: vec![Arc::new(changed)], ..ChangeSet::default() }).await?;
    assert_eq!(store.snapshot().await?.search(&by_labels(&["new", "keep"])).await?, []);

    commit(&store, &ChangeSet { delete: vec![Seq(7), Seq(5), Seq(97)], ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(ids(&view.children(Seq(3), &[], Seq::START, 100).await?), [4, 6]);
    assert_eq!(view.by_id("r7").await?, None);
    assert_eq!(view.held_count(Seq(7)).await?, 0);
    assert_eq!(view.next_deadline().await?, None);
    Ok(())
}

async fn a_name_is_free_again_in_the_changes_that_delete_it(store: impl Store) -> Told {
    commit(&store, &inserting(small_tree())).await?;
    let mut again = named(resource(9, Some(2), Ty::CONTAINER), "log");
    again.id = "other".into();
    let mut changes = inserting([again, resource(10, Some(9), Ty::SUBSCRIPTION)]);
    changes.delete = [3, 4, 5, 6, 10].map(Seq).to_vec();
    changes.held_insert = vec![held(20, 10)];
    changes.deadlines_set = vec![Deadline { kind: DeadlineKind::Batch, resource: Seq(10), at: at(5) }];
    commit(&store, &changes).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.child(Seq(2), "log").await?.map(|found| found.seq), Some(Seq(9)));
    assert_eq!(view.children(Seq(9), &[], Seq::START, 9).await?, [], "deletion wins over insertion");
    assert_eq!((view.held_count(Seq(10)).await?, view.next_deadline().await?), (0, None));
    Ok(())
}

fn search(root: i64, levels: Option<u32>, clauses: Vec<Clause>) -> Search {
    Search { root: Seq(root), levels, clauses, after: Seq::START, limit: 100 }
}

async fn searches_find_descendants_for_which_all_clauses_hold(store: impl Store) -> Told {
    let more = [
        labelled(resource(7, Some(4), Ty::CONTAINER), &["a", "b"]),
        labelled(resource(8, Some(1), Ty::AE), &["a"]),
        labelled(instance(9, 4, 30), &["b", "c"]),
    ];
    commit(&store, &inserting(small_tree().into_iter().chain(more))).await?;
    let mut view = store.snapshot().await?;
    let labels = |labels: &[&str]| Clause::Labels(labels.iter().map(|label| (*label).into()).collect());
    let instances = Clause::Types(vec![Ty::CONTENT_INSTANCE]);
    for (clauses, found) in [
        (vec![], vec![2, 3, 4, 5, 6, 7, 8, 9]),
        (vec![Clause::Types(vec![Ty::AE])], vec![2, 8]),
        (vec![Clause::Types(vec![])], vec![]),
        (vec![instances.clone(), Clause::Types(vec![Ty::AE])], vec![]),
        (vec![instances.clone()], vec![5, 6, 9]),
        (vec![labels(&["a"])], vec![7, 8]),
        (vec![labels(&["a", "c"])], vec![7, 8, 9]),
        (vec![labels(&["a"]), labels(&["b", "c"])], vec![7]),
        (vec![labels(&[])], vec![]),
        (vec![labels(&["a"]), Clause::Types(vec![Ty::AE])], vec![8]),
        (vec![Clause::Created(Some(at(3)), Some(at(5)))], vec![3, 4]),
        (vec![Clause::Created(Some(at(3)), None), Clause::Created(Some(at(8)), None)], vec![8, 9]),
        (vec![Clause::Modified(None, Some(at(4)))], vec![2, 3]),
        (vec![Clause::Expires(Some(at(1_006)), None)], vec![6, 9]),
        (vec![Clause::Expires(None, Some(at(1_006)))], vec![5]),
        (vec![Clause::StateTag(Some(0), None)], vec![5, 6, 9]),
        (vec![Clause::StateTag(Some(1), None)], vec![]),
        (vec![Clause::ContentSize(Some(10), Some(30))], vec![5, 6]),
        (vec![Clause::ContentSize(Some(u64::MAX), None)], vec![]),
    ] {
        assert_eq!(numbers(&view.search(&search(1, None, clauses.clone())).await?), found, "{clauses:?}");
        let below: Vec<i64> = found.into_iter().filter(|seq| ![2, 3, 8].contains(seq)).collect();
        assert_eq!(numbers(&view.search(&search(3, None, clauses.clone())).await?), below, "{clauses:?} below 3");
    }
    Ok(())
}

async fn searches_stay_within_root_and_levels(store: impl Store) -> Told {
    let more = [labelled(resource(7, Some(4), Ty::CONTAINER), &["a"]), labelled(instance(8, 7, 1), &["a"])];
    commit(&store, &inserting(small_tree().into_iter().chain(more))).await?;
    let mut view = store.snapshot().await?;
    let containers = || vec![Clause::Types(vec![Ty::CONTAINER])];
    let label = || vec![Clause::Labels(vec!["a".into()])];
    for (root, levels, clauses, found) in [
        (1, Some(1), vec![], vec![2]),
        (1, Some(2), vec![], vec![2, 3]),
        (1, Some(3), vec![], vec![2, 3, 4, 5, 6]),
        (3, Some(1), vec![], vec![4, 5, 6]),
        (3, Some(1), containers(), vec![4]),
        (3, Some(2), containers(), vec![4, 7]),
        (2, None, containers(), vec![3, 4, 7]),
        (2, Some(2), label(), vec![]),
        (2, Some(3), label(), vec![7]),
        (2, Some(4), label(), vec![7, 8]),
        (7, None, label(), vec![8]),
        (8, None, label(), vec![]),
        (5, None, vec![], vec![]),
        (99, None, vec![], vec![]),
        (99, None, label(), vec![]),
    ] {
        let asked = search(root, levels, clauses);
        assert_eq!(numbers(&view.search(&asked).await?), found, "{asked:?}");
    }
    Ok(())
}

async fn what_lost_its_container_is_found_by_no_search(store: impl Store) -> Told {
    let below = labelled(resource(8, Some(7), Ty::SEMANTIC_DESCRIPTOR), &["a"]);
    let more = [resource(9, Some(1), Ty::CONTAINER), labelled(instance(7, 3, 1), &["a"]), below];
    commit(&store, &inserting(small_tree().into_iter().chain(more))).await?;
    commit(&store, &ChangeSet { delete: vec![Seq(3)], ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    for root in [1, 2, 3] {
        for clauses in [vec![], vec![Clause::Types(vec![Ty::SEMANTIC_DESCRIPTOR])], by_labels(&["a"]).clauses] {
            let found = numbers(&view.search(&search(root, None, clauses.clone())).await?);
            let reachable = found.iter().all(|seq| [2, 9].contains(seq));
            assert!(reachable || root == 3, "{clauses:?} below {root}: {found:?}");
        }
    }
    // They are still children of what is gone, so that they can be cleared away.
    assert_eq!(view.count(Seq(3), Ty::CONTENT_INSTANCE).await?.0, 3);
    Ok(())
}

async fn searches_come_in_pages(store: impl Store) -> Told {
    let labelled = (10..40).map(|seq| labelled(resource(seq, Some(3), Ty::CONTAINER), &["a"]));
    commit(&store, &inserting(small_tree().into_iter().chain(labelled))).await?;
    let mut view = store.snapshot().await?;
    for clause in [Clause::Labels(vec!["a".into()]), Clause::Types(vec![Ty::CONTAINER])] {
        for root in [1, 2] {
            let mut asked = Search { limit: 7, after: Seq(9), ..search(root, None, vec![clause.clone()]) };
            let mut found = Vec::new();
            loop {
                let page = numbers(&view.search(&asked).await?);
                let Some(last) = page.last() else { break };
                asked.after = Seq(*last);
                found.extend(page);
            }
            assert_eq!(found, (10..40).collect::<Vec<_>>(), "{clause:?} below {root}");
        }
    }
    Ok(())
}

async fn what_expires_first_comes_first(store: impl Store) -> Told {
    assert_eq!(store.snapshot().await?.next_expiration().await?, None);
    let expiring = [(10, 50), (11, 30), (12, 40), (13, 30)].map(|(seq, time)| {
        let mut container = resource(seq, Some(1), Ty::CONTAINER);
        container.expiration_time = Some(at(time));
        container
    });
    commit(&store, &inserting(expiring)).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.next_expiration().await?, Some(at(30)));
    assert_eq!(view.expired(at(29), 10).await?, []);
    assert_eq!(numbers(&view.expired(at(40), 10).await?), [11, 13, 12]);
    assert_eq!(numbers(&view.expired(at(99), 2).await?), [11, 13]);
    Ok(())
}

fn reply(key: u128, time: i64) -> Reply {
    Reply { key: ReplyKey(key), at: at(time), response: Map::single("rsc", 2001_i64) }
}

async fn replies_are_found_counted_and_forgotten(store: impl Store) -> Told {
    let remember = |replies: Vec<Reply>| ChangeSet { replies, ..ChangeSet::default() };
    commit(&store, &remember(vec![reply(1, 10), reply(u128::MAX, 20), reply(3, 30)])).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.reply(ReplyKey(u128::MAX)).await?, Some(reply(u128::MAX, 20)));
    assert_eq!(view.reply(ReplyKey(4)).await?, None);
    assert_eq!(view.reply_count().await?, 3);
    drop(view);

    let mut transaction = store.begin().await?;
    transaction.write(&remember(vec![reply(1, 40), reply(4, 40)])).await?;
    assert_eq!(transaction.reply(ReplyKey(1)).await?, Some(reply(1, 40)), "the later one counts");
    assert_eq!(transaction.reply(ReplyKey(3)).await?, Some(reply(3, 30)));
    assert_eq!(transaction.reply_count().await?, 4);
    let forget = ChangeSet { forget_replies_before: Some(at(30)), ..ChangeSet::default() };
    transaction.write(&forget).await?;
    assert_eq!(transaction.reply(ReplyKey(u128::MAX)).await?, None);
    assert_eq!(transaction.reply(ReplyKey(1)).await?, Some(reply(1, 40)));
    assert_eq!(transaction.reply_count().await?, 3);
    assert_eq!(store.snapshot().await?.reply_count().await?, 3, "nothing is committed yet");
    transaction.commit().await?;

    let mut view = store.snapshot().await?;
    assert_eq!(view.reply_count().await?, 3);
    assert_eq!(view.reply(ReplyKey(1)).await?, Some(reply(1, 40)));
    assert_eq!(view.reply(ReplyKey(u128::MAX)).await?, None);
    Ok(())
}

async fn replies_that_last_are_found_before_they_are_forgotten(store: impl Store) -> Told {
    let lasting =
        |key: u128, time: i64| Reply { response: Map::single("@once", Map::single("by", "id-mn")), ..reply(key, time) };
    let mut content = reply(4, 12);
    content.response.push("con", "what looks like \"@once\" is none");
    let replies = vec![lasting(1, 10), reply(2, 11), content, lasting(3, 20), lasting(1, 25), lasting(5, 30)];
    commit(&store, &ChangeSet { replies, ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.fading_replies(0, at(10)).await?.0, []);
    let (fading, through) = view.fading_replies(0, at(25)).await?;
    assert_eq!(fading, [lasting(3, 20)], "there is a later one of the first");
    let later = view.fading_replies(0, at(30)).await?.0;
    assert_eq!(later, [lasting(3, 20), lasting(1, 25)]);
    // A store may look at all of them each time.
    let (behind, _) = view.fading_replies(through, at(30)).await?;
    assert!(later.ends_with(&behind) && behind.contains(&lasting(1, 25)), "{behind:?}");
    Ok(())
}

fn waiting(seq: i64) -> OutboxEntry {
    OutboxEntry {
        seq: Seq(seq),
        subscription: Seq(7),
        target: "mqtt://broker/Cmeter".into(),
        content: Arc::new(Map::single("m2m:sgn", Map::single("sur", "/id-in/sub7"))),
        event_category: (seq % 2 == 0).then_some(3),
        created: at(seq),
        next_try: at(seq + 1),
        attempts: 0,
    }
}

async fn the_outbox_keeps_the_order_of_events(store: impl Store) -> Told {
    let outbox_insert = [22, 20, 21].map(waiting).to_vec();
    commit(&store, &ChangeSet { outbox_insert, ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.outbox(Seq::START, 10).await?, [waiting(20), waiting(21), waiting(22)]);
    assert_eq!(view.outbox(Seq(20), 1).await?, [waiting(21)]);
    drop(view);
    let changes = ChangeSet {
        outbox_retry: vec![(Seq(21), at(500), 2), (Seq(99), at(1), 1)],
        outbox_delete: vec![Seq(20), Seq(98)],
        // The subscription is gone; its notifications are not.
        delete: vec![Seq(7)],
        ..ChangeSet::default()
    };
    commit(&store, &changes).await?;
    let again = OutboxEntry { next_try: at(500), attempts: 2, ..waiting(21) };
    assert_eq!(store.snapshot().await?.outbox(Seq::START, 10).await?, [again, waiting(22)]);
    Ok(())
}

fn held(seq: i64, subscription: i64) -> Held {
    let notification = Arc::new(Map::single("nev", Map::single("net", seq)));
    Held { seq: Seq(seq), subscription: Seq(subscription), notification, at: at(seq) }
}

async fn held_events_belong_to_their_subscription(store: impl Store) -> Told {
    let held_insert = vec![held(22, 7), held(21, 8), held(20, 7), held(23, 7)];
    commit(&store, &ChangeSet { held_insert, ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.held(Seq(7), 2).await?, [held(20, 7), held(22, 7)]);
    assert_eq!(view.held_count(Seq(7)).await?, 3);
    drop(view);
    commit(&store, &ChangeSet { held_delete: vec![Seq(20), Seq(22)], ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.held(Seq(7), 10).await?, [held(23, 7)]);
    assert_eq!((view.held_count(Seq(7)).await?, view.held_count(Seq(8)).await?), (1, 1));
    Ok(())
}

async fn there_is_one_deadline_per_kind_and_resource(store: impl Store) -> Told {
    let due = |kind, resource, time| Deadline { kind, resource: Seq(resource), at: at(time) };
    let (batch, window) = (DeadlineKind::Batch, DeadlineKind::RateWindow);
    assert_eq!(store.snapshot().await?.next_deadline().await?, None);
    let deadlines_set = vec![due(batch, 7, 50), due(window, 7, 40), due(batch, 8, 40)];
    commit(&store, &ChangeSet { deadlines_set, ..ChangeSet::default() }).await?;
    commit(&store, &ChangeSet { deadlines_set: vec![due(batch, 7, 30)], ..ChangeSet::default() }).await?;
    let mut view = store.snapshot().await?;
    assert_eq!(view.next_deadline().await?, Some(at(30)));
    assert_eq!(view.deadlines(at(29), 10).await?, []);
    assert_eq!(view.deadlines(at(40), 10).await?, [due(batch, 7, 30), due(window, 7, 40), due(batch, 8, 40)]);
    assert_eq!(view.deadlines(at(40), 1).await?, [due(batch, 7, 30)]);
    drop(view);
    let deadlines_clear = vec![(batch, Seq(7)), (window, Seq(8))];
    commit(&store, &ChangeSet { deadlines_clear, ..ChangeSet::default() }).await?;
    assert_eq!(store.snapshot().await?.deadlines(at(99), 9).await?, [due(window, 7, 40), due(batch, 8, 40)]);
    Ok(())
}

async fn a_transaction_that_is_dropped_leaves_nothing(store: impl Store) -> Told {
    let mut changes = inserting(small_tree());
    changes.replies = vec![reply(1, 10)];
    changes.outbox_insert = vec![waiting(20)];
    let mut transaction = store.begin().await?;
    transaction.write(&changes).await?;
    drop(transaction);
    let mut view = store.snapshot().await?;
    assert_eq!(view.resource(Seq(1)).await?, None);
    assert_eq!((view.reply(ReplyKey(1)).await?, view.reply_count().await?), (None, 0));
    assert_eq!(view.outbox(Seq::START, 10).await?, []);
    drop(view);
    commit(&store, &changes).await?;
    assert_eq!(store.snapshot().await?.reply(ReplyKey(1)).await?, Some(reply(1, 10)));
    Ok(())
}

async fn a_transaction_sees_what_it_wrote_and_others_do_not(store: impl Store) -> Told {
    commit(&store, &inserting(small_tree())).await?;
    let mut transaction = store.begin().await?;
    transaction.write(&inserting([instance(7, 3, 5)])).await?;
    transaction.write(&ChangeSet { delete: vec![Seq(5)], ..ChangeSet::default() }).await?;
    let ty = Ty::CONTENT_INSTANCE;
    assert_eq!(transaction.newest(Seq(3), ty).await?.map(|found| found.seq), Some(Seq(7)));
    assert_eq!(transaction.count(Seq(3), ty).await?, (2, 25));
    let mut view = store.snapshot().await?;
    assert_eq!(view.count(Seq(3), ty).await?, (2, 30));
    drop(view);
    transaction.commit().await?;
    assert_eq!(store.snapshot().await?.count(Seq(3), ty).await?, (2, 25));
    Ok(())
}

async fn a_snapshot_stays_as_it_is(store: impl Store) -> Told {
    commit(&store, &inserting(small_tree())).await?;
    let mut before = store.snapshot().await?;
    assert_eq!(before.count(Seq(3), Ty::CONTENT_INSTANCE).await?, (2, 30));
    commit(&store, &ChangeSet { delete: vec![Seq(5), Seq(6)], ..ChangeSet::default() }).await?;
    assert_eq!(before.count(Seq(3), Ty::CONTENT_INSTANCE).await?, (2, 30));
    assert!(before.resource(Seq(5)).await?.is_some());
    assert_eq!(store.snapshot().await?.count(Seq(3), Ty::CONTENT_INSTANCE).await?, (0, 0));
    Ok(())
}

async fn transactions_run_one_after_another(store: impl Store) -> Told {
    let mut first = store.begin().await?;
    first.write(&inserting(small_tree())).await?;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            let mut second = store.begin().await?;
            second.count(Seq(3), Ty::CONTENT_INSTANCE).await
        }
    });
    // The second cannot have begun, however long it is given.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    first.commit().await?;
    let seen = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert_eq!(seen.expect("in time").expect("no panic")?, (2, 30));
    Ok(())
}

async fn numbers_are_never_reserved_twice(store: impl Store) -> Told {
    assert_eq!(store.reserve_numbers(3).await?, Seq(2));
    assert_eq!(store.reserve_numbers(1).await?, Seq(5));
    drop(store.begin().await?);
    let (one, other) = tokio::join!(store.reserve_numbers(10), store.reserve_numbers(10));
    let mut first = [one?.0, other?.0];
    first.sort_unstable();
    assert_eq!(first, [6, 16]);
    store.check().await
}

async fn many_changes_fit_into_one_commit(store: impl Store) -> Told {
    commit(&store, &inserting(small_tree())).await?;
    // Around every size in which rows are put together.
    let mut next = 10;
    for count in [1, 2, 4, 5, 17, 64, 65, 256, 257, 600] {
        let seqs = next..next + count;
        next += count;
        let mut changes = inserting(seqs.clone().map(|seq| labelled(instance(seq, 4, 1), &["all"])));
        changes.replies = seqs.clone().map(|seq| reply(seq as u128, seq)).collect();
        changes.outbox_insert = seqs.clone().map(waiting).collect();
        changes.held_insert = seqs.clone().map(|seq| held(seq, seq)).collect();
        commit(&store, &changes).await?;
        let updated = seqs.clone().map(|seq| Arc::new(labelled(instance(seq, 4, 2), &["all", "more"]))).collect();
        let changes = ChangeSet {
            update: updated,
            outbox_retry: seqs.clone().map(|seq| (Seq(seq), at(1), 1)).collect(),
            ..ChangeSet::default()
        };
        commit(&store, &changes).await?;
        let mut view = store.snapshot().await?;
        let total = (next - 10) as u64;
        assert_eq!(view.count(Seq(4), Ty::CONTENT_INSTANCE).await?, (total, 2 * total));
        assert_eq!(view.reply_count().await?, total);
        let all = view.outbox(Seq::START, 10_000).await?;
        assert_eq!((all.len() as u64, all.iter().all(|entry| entry.attempts == 1)), (total, true));
        for label in ["all", "more"] {
            let found = view.search(&Search { limit: 10_000, ..by_labels(&[label]) }).await?;
            assert_eq!(found.len() as u64, total, "{label}");
        }
    }
    Ok(())
}
