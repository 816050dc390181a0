//! Many rows in one statement.
//!
//! A call to the connection's thread costs more than a row, and preparing a statement costs more than that. So
//! rows go in statements of few fixed sizes, which stay prepared; a statement that is too large for the rows at
//! hand gets NULL rows, which it skips. The rows as one JSON text, which needs no sizes, took twice as long.

use cse_core::ports::StoreError;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, SqliteConnection, Type};

use super::database;

/// Rows per statement. The largest stays well below the 32,766 parameters that SQLite takes.
const SIZES: [usize; 5] = [1, 4, 16, 64, ROWS_MAX];
/// Rows that fit into one statement.
pub(super) const ROWS_MAX: usize = 256;

/// A statement over rows, or several that are carried out in one call, in all sizes.
pub(super) struct Batch {
    statements: [String; SIZES.len()],
    /// Columns of the rows of each part.
    columns: Vec<usize>,
}

/// One statement over rows: `before`, the rows as a table with columns `column1`, `column2`, ..., and `after`. It
/// must skip rows whose `column1` is NULL.
pub(super) struct Part {
    pub(super) before: String,
    pub(super) columns: usize,
    pub(super) after: &'static str,
}

/// The values of the rows of a statement.
pub(super) struct Values(SqliteArguments);

impl Batch {
    /// Several statements in one call, in this order.
    ///
    /// Each has its own values, so that parameters need no names: those are looked up one by one, which takes a
    /// time that grows with the square of the rows.
    pub(super) fn of_parts(parts: &[Part]) -> Self {
        let statements = SIZES.map(|size| {
            let texts = parts.iter().map(|part| {
                let row = format!("({})", vec!["?"; part.columns].join(","));
                format!("{}(VALUES {}){}", part.before, vec![row; size].join(","), part.after)
            });
            texts.collect::<Vec<_>>().join(";")
        });
        Self { statements, columns: parts.iter().map(|part| part.columns).collect() }
    }

    /// One statement.
    pub(super) fn new(before: &str, columns: usize, after: &'static str) -> Self {
        Self::of_parts(&[Part { before: before.into(), columns, after }])
    }

    /// A statement that inserts rows with these columns, the first of which is never NULL.
    pub(super) fn insert(into: &str, columns: &[&str]) -> Self {
        let before = format!("INSERT INTO {into} ({}) SELECT * FROM ", columns.join(", "));
        Self::new(&before, columns.len(), " WHERE column1 IS NOT NULL")
    }

    /// Carries out the only statement for all rows; `bind` adds the values of one row.
    pub(super) async fn run<T>(
        &'static self,
        connection: &mut SqliteConnection,
        rows: &[T],
        mut bind: impl FnMut(&mut Values, &T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.run_parts(connection, rows, |values, row, _| bind(values, row)).await
    }

    /// Carries out all statements for all rows; `bind` adds the values of one row for the part of that index.
    pub(super) async fn run_parts<T>(
        &'static self,
        connection: &mut SqliteConnection,
        rows: &[T],
        mut bind: impl FnMut(&mut Values, &T, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for chunk in rows.chunks(ROWS_MAX) {
            let fitting = SIZES.iter().position(|size| *size >= chunk.len()).unwrap_or(SIZES.len() - 1);
            let mut values = Values(SqliteArguments::default());
            values.0.reserve(SIZES[fitting] * self.columns.iter().sum::<usize>(), 0);
            let mut expected = 0;
            for (part, columns) in self.columns.iter().enumerate() {
                for row in chunk {
                    bind(&mut values, row, part)?;
                }
                expected += SIZES[fitting] * columns;
                while values.0.len() < expected {
                    values.add(None::<i64>)?;
                }
                debug_assert_eq!(values.0.len(), expected, "each row has a value for each column");
            }
            let query = sqlx::query_with(self.statements[fitting].as_str(), values.0);
            query.execute(&mut *connection).await.map_err(database)?;
        }
        Ok(())
    }
}

impl Values {
    /// Adds the value of the next column.
    pub(super) fn add<'v, V: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: V) -> Result<(), StoreError> {
        self.0.add(value).map_err(|error| StoreError::Database(error.to_string()))
    }
}
