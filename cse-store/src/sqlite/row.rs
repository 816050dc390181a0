//! Rows of the resource table, read and written.

use cse_core::id::{Originator, Seq};
use cse_core::ports::StoreError;
use cse_core::resource::{Resource, generated_id, seq_of_generated_id};
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
use cse_core::value::{Map, Text};
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::batch::Values;
use super::database;

/// The columns of a resource, in the order in which [`resource`] reads and [`add_resource`] writes them.
pub(super) const COLUMNS: [&str; 14] = [
    "seq",
    "parent",
    "ty",
    "id_prefix",
    "id",
    "name",
    "parent_id",
    "ct",
    "lt",
    "et",
    "st",
    "cs",
    "creator",
    "attributes",
];

/// A row that makes no sense.
pub(super) fn inconsistent(table: &'static str, row: impl ToString, problem: impl ToString) -> StoreError {
    StoreError::Inconsistent { table, row: row.to_string(), problem: problem.to_string() }
}

/// The value of a column.
pub(super) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(database)
}

/// The resource in a row that has [`COLUMNS`].
pub(super) fn resource(row: &SqliteRow) -> Result<Resource, StoreError> {
    let seq = Seq(column(row, 0)?);
    let bad = |problem: String| inconsistent("resource", seq, problem);
    let unsigned = |index| {
        column::<Option<i64>>(row, index)?
            .map(|value| u64::try_from(value).map_err(|_| bad(format!("column {index} is negative"))))
            .transpose()
    };
    let id: Text = match (column::<Option<&str>>(row, 3)?, column::<Option<&str>>(row, 4)?) {
        (Some(prefix), _) => generated_id(prefix, seq),
        (None, Some(id)) => id.into(),
        (None, None) => return Err(bad("no identifier".into())),
    };
    Ok(Resource {
        seq,
        parent: column::<Option<i64>>(row, 1)?.map(Seq),
        ty: Ty(column::<i64>(row, 2)?.try_into().map_err(|_| bad("no such type".into()))?),
        name: column::<Option<&str>>(row, 5)?.map_or_else(|| id.clone(), Text::from),
        id,
        parent_id: column::<&str>(row, 6)?.into(),
        creation_time: Timestamp::from_micros(column(row, 7)?),
        last_modified_time: Timestamp::from_micros(column(row, 8)?),
        expiration_time: column::<Option<i64>>(row, 9)?.map(Timestamp::from_micros),
        state_tag: unsigned(10)?,
        content_size: unsigned(11)?,
        creator: Originator::from_canonical(column::<&str>(row, 12)?),
        attributes: map(row, 13, "resource")?,
    })
}

/// The object in a column of JSON text.
pub(super) fn map(row: &SqliteRow, index: usize, table: &'static str) -> Result<Map, StoreError> {
    serde_json::from_str(column(row, index)?)
        .map_err(|error| inconsistent(table, column::<i64>(row, 0).unwrap_or_default(), error))
}

/// JSON text of a value.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(error.to_string()))
}

/// A number that SQL can hold.
pub(super) fn signed(value: Option<u64>, seq: Seq) -> Result<Option<i64>, StoreError> {
    value.map(|value| i64::try_from(value).map_err(|_| inconsistent("resource", seq, "number too large"))).transpose()
}

/// The letters of an identifier that is letters and the resource's own number.
pub(super) fn generated_prefix(id: &str, seq: Seq) -> Option<&str> {
    (seq_of_generated_id(id) == Some(seq)).then(|| id.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// Adds the values of all [`COLUMNS`].
pub(super) fn add_resource(values: &mut Values, resource: &Resource) -> Result<(), StoreError> {
    values.add(resource.seq.0)?;
    values.add(resource.parent.map(|parent| parent.0))?;
    values.add(resource.ty.0)?;
    let prefix = generated_prefix(&resource.id, resource.seq);
    values.add(prefix)?;
    values.add(if prefix.is_none() { Some(resource.id.as_str()) } else { None })?;
    values.add(if resource.name == resource.id { None } else { Some(resource.name.as_str()) })?;
    values.add(resource.parent_id.as_str())?;
    values.add(resource.creation_time.micros())?;
    values.add(resource.last_modified_time.micros())?;
    values.add(resource.expiration_time.map(Timestamp::micros))?;
    values.add(signed(resource.state_tag, resource.seq)?)?;
    values.add(signed(resource.content_size, resource.seq)?)?;
    values.add(resource.creator.as_str())?;
    values.add(json(&resource.attributes)?)
}
