//! Searches below a resource: which index leads, and the conditions that the rest is filtered by.
//!
//! All texts are constants; a condition that is not asked for is NULL and holds for every row. Four plans:
//! - labels: the rows of the label index, each followed up to the root;
//! - structure below a resource: the tree is descended without ever touching instances;
//! - structure of the whole tree: the index by type;
//! - with instances: below a resource by descent, in the whole tree in the order of numbers until the page is full.

use cse_core::id::Seq;
use cse_core::ports::{Clause, Search, StoreError};
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
use cse_core::value::Text;
use sqlx::SqliteConnection;

use super::database;
use super::queries::{limit, list};
use super::row::{column, inconsistent, json};

/// Types of which there are most, and which hardly ever have children, never of these types: the only knowledge of
/// the protocol here. The indexes on structure leave out the same.
const INSTANCES: [u16; 6] = [4, 30, 58, 10_004, 10_030, 10_058];

/// Whether resources of that type are instances, which searches of the structure never touch.
pub(super) fn is_instance(ty: Ty) -> bool {
    INSTANCES.contains(&ty.0)
}

macro_rules! structure {
    ($row:literal) => {
        concat!($row, ".ty NOT IN (4, 30, 58, 10004, 10030, 10058)")
    };
}

/// The conditions on a row `r`, with parameters ?4 to ?15; ?1 to ?3 are root, after and limit.
macro_rules! conditions {
    () => {
        "r.seq > ?2
        AND (?4 IS NULL OR r.ty IN (SELECT value FROM json_each(?4)))
        AND (?5 IS NULL OR r.ct >= ?5) AND (?6 IS NULL OR r.ct < ?6)
        AND (?7 IS NULL OR r.lt >= ?7) AND (?8 IS NULL OR r.lt < ?8)
        AND (?9 IS NULL OR r.et >= ?9) AND (?10 IS NULL OR r.et < ?10)
        AND (?11 IS NULL OR r.st >= ?11) AND (?12 IS NULL OR r.st < ?12)
        AND (?13 IS NULL OR r.cs >= ?13) AND (?14 IS NULL OR r.cs < ?14)
        AND (?15 IS NULL OR NOT EXISTS (
            SELECT 1 FROM json_each(?15) one WHERE NOT EXISTS (
                SELECT 1 FROM label l WHERE l.seq = r.seq AND l.label IN (SELECT value FROM json_each(one.value)))))"
    };
}

/// The structure below the root, ?17 levels deep at most, and the root itself at level 0. Descent begins at the root
/// and at the few resources that it cannot reach because an instance is between.
macro_rules! tree {
    () => {
        concat!(
            "WITH RECURSIVE tree(seq, level) AS (
                VALUES (?1, 0)
                UNION
                SELECT seq, level FROM (
                    SELECT b.seq AS seq, (
                        WITH RECURSIVE up(seq, level) AS (
                            SELECT r.parent, 1 FROM resource r WHERE r.seq = b.seq
                            UNION ALL
                            SELECT p.parent, up.level + 1 FROM up CROSS JOIN resource p
                            WHERE p.seq = up.seq AND up.seq <> ?1)
                        SELECT up.level FROM up WHERE up.seq = ?1) AS level
                    FROM below_instance b)
                WHERE level <= ?17
                UNION
                SELECT c.seq, tree.level + 1 FROM tree CROSS JOIN resource c INDEXED BY resource_structure_child
                WHERE c.parent = tree.seq AND ",
            structure!("c"),
            " AND tree.level < ?17) "
        )
    };
}

/// Whether the row `r` is at most ?17 levels below the root, found by going up. In the whole tree, too: instances
/// may outlive a large container for a while, and are nowhere then.
macro_rules! is_below {
    () => {
        " AND EXISTS (
            WITH RECURSIVE up(seq, level) AS (
                SELECT r.parent, 1
                UNION ALL
                SELECT p.parent, up.level + 1 FROM up CROSS JOIN resource p
                WHERE p.seq = up.seq AND up.seq <> ?1 AND up.level < ?17)
            SELECT 1 FROM up WHERE up.seq = ?1)"
    };
}

/// A statement that gives the numbers as one text: a row costs more than what is in it.
macro_rules! numbers {
    ($($part:expr),+ $(,)?) => {
        concat!("SELECT group_concat(seq) FROM (", $($part),+, " LIMIT ?3)")
    };
}

/// Everything with the label ?16, which the index has in the order of numbers.
const BY_ONE_LABEL: &str = numbers!(
    "SELECT r.seq FROM label hit CROSS JOIN resource r ON r.seq = hit.seq
    WHERE hit.label = ?16 AND hit.seq > ?2 AND ",
    conditions!(),
    is_below!(),
    " ORDER BY hit.seq"
);

/// Everything with one of the labels ?16.
const BY_LABEL: &str = numbers!(
    "SELECT r.seq FROM (SELECT DISTINCT seq FROM label
        WHERE label IN (SELECT value FROM json_each(?16)) AND seq > ?2) hit
    CROSS JOIN resource r ON r.seq = hit.seq
    WHERE ",
    conditions!(),
    is_below!(),
    " ORDER BY r.seq"
);

/// Everything but instances in the whole tree.
const STRUCTURE: &str = numbers!(
    "SELECT r.seq FROM resource r INDEXED BY resource_structure_type WHERE ",
    structure!("r"),
    " AND r.ty IN (SELECT value FROM json_each(?4)) AND ",
    conditions!(),
    is_below!(),
    " ORDER BY r.seq"
);

/// Everything in the whole tree, in order.
const ALL: &str =
    numbers!("SELECT r.seq FROM resource r NOT INDEXED WHERE ", conditions!(), is_below!(), " ORDER BY r.seq");

/// Everything but instances below the root.
const STRUCTURE_BELOW: &str = numbers!(
    tree!(),
    "SELECT r.seq FROM tree CROSS JOIN resource r ON r.seq = tree.seq WHERE tree.level > 0 AND ",
    conditions!(),
    " ORDER BY r.seq"
);

/// Everything below the root.
const ALL_BELOW: &str = numbers!(
    tree!(),
    "SELECT r.seq FROM tree CROSS JOIN resource r ON r.seq = tree.seq WHERE tree.level > 0 AND ",
    conditions!(),
    " UNION ALL
    SELECT r.seq FROM tree CROSS JOIN resource r INDEXED BY resource_child
    WHERE r.parent = tree.seq AND r.ty IN (4, 30, 58, 10004, 10030, 10058) AND tree.level < ?17 AND ",
    conditions!(),
    " ORDER BY 1"
);

/// A range: at least the first, below the second.
#[derive(Default)]
struct Range(Option<i64>, Option<i64>);

impl Range {
    fn narrow(&mut self, from: Option<i64>, below: Option<i64>) {
        self.0 = self.0.max(from);
        self.1 = match (self.1, below) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    fn narrow_time(&mut self, from: Option<Timestamp>, before: Option<Timestamp>) {
        self.narrow(from.map(Timestamp::micros), before.map(Timestamp::micros));
    }

    fn narrow_number(&mut self, from: Option<u64>, below: Option<u64>) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.narrow(from.map(number), below.map(number));
    }
}

/// All clauses of a search, brought together.
#[derive(Default)]
struct Conditions<'c> {
    types: Option<Vec<Ty>>,
    labels: Vec<&'c [Text]>,
    created: Range,
    modified: Range,
    expires: Range,
    state_tag: Range,
    content_size: Range,
}

impl<'c> Conditions<'c> {
    fn of(clauses: &'c [Clause]) -> Self {
        let mut all = Self::default();
        for clause in clauses {
            match clause {
                Clause::Types(types) => match &mut all.types {
                    Some(known) => known.retain(|ty| types.contains(ty)),
                    none => *none = Some(types.clone()),
                },
                Clause::Labels(labels) => all.labels.push(labels),
                Clause::Created(from, before) => all.created.narrow_time(*from, *before),
                Clause::Modified(from, before) => all.modified.narrow_time(*from, *before),
                Clause::Expires(from, before) => all.expires.narrow_time(*from, *before),
                Clause::StateTag(from, below) => all.state_tag.narrow_number(*from, *below),
                Clause::ContentSize(from, below) => all.content_size.narrow_number(*from, *below),
            }
        }
        all
    }

    fn excludes_instances(&self) -> bool {
        self.types.as_ref().is_some_and(|types| !types.iter().copied().any(is_instance))
    }
}

pub(super) async fn search(connection: &mut SqliteConnection, search: &Search) -> Result<Vec<Seq>, StoreError> {
    let mut conditions = Conditions::of(&search.clauses);
    let whole_tree = search.root == Seq::CSE_BASE && search.levels.is_none();
    // One clause of labels leads, the others are conditions.
    let leading = conditions.labels.pop();
    let text = match (leading, whole_tree, conditions.excludes_instances()) {
        (Some([_]), _, _) => BY_ONE_LABEL,
        (Some(_), _, _) => BY_LABEL,
        (None, true, true) => STRUCTURE,
        (None, true, false) => ALL,
        (None, false, true) => STRUCTURE_BELOW,
        (None, false, false) => ALL_BELOW,
    };
    let leading = match leading {
        Some([label]) => Some(label.to_string()),
        Some(labels) => Some(json(labels)?),
        None => None,
    };
    let others = (!conditions.labels.is_empty()).then(|| json(&conditions.labels)).transpose()?;
    let row = sqlx::query(text)
        .bind(search.root.0)
        .bind(search.after.0)
        .bind(limit(search.limit))
        .bind(conditions.types.map(|types| list(&types, |ty| i64::from(ty.0))))
        .bind(conditions.created.0)
        .bind(conditions.created.1)
        .bind(conditions.modified.0)
        .bind(conditions.modified.1)
        .bind(conditions.expires.0)
        .bind(conditions.expires.1)
        .bind(conditions.state_tag.0)
        .bind(conditions.state_tag.1)
        .bind(conditions.content_size.0)
        .bind(conditions.content_size.1)
        .bind(others)
        .bind(leading)
        .bind(search.levels.map_or(i64::MAX, i64::from))
        .fetch_one(connection)
        .await
        .map_err(database)?;
    let Some(text) = column::<Option<&str>>(&row, 0)? else {
        return Ok(Vec::new());
    };
    let number = |text: &str| text.parse().map(Seq).map_err(|error| inconsistent("search", text, error));
    let mut seqs = text.split(',').map(number).collect::<Result<Vec<Seq>, _>>()?;
    // What comes together from a sorted list is sorted in fact, though SQL does not promise it.
    seqs.sort_unstable();
    Ok(seqs)
}
