//! Many rows in one statement.
//!
//! A call to the connection's thread costs more than a row, and preparing a statement costs more than that. So
//! rows go in statements of few fixed sizes, which stay prepared; a statement that is too large for the rows at
//! hand gets NULL rows, which it skips.

use cse_core::ports::StoreError;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, SqliteConnection, Type};

use super::database;

/// Rows per statement. The largest stays well below the 32,766 parameters that SQLite takes.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// One statement in all sizes.
pub(super) struct Batch {
    statements: [String; SIZES.len()],
    columns: usize,
}

/// The values of the rows of one statement.
pub(super) struct Values(SqliteArguments);

impl Batch {
    /// A statement that is `before`, the rows as a table with columns `column1`, `column2`, ..., and `after`,
    /// which must skip rows whose `column1` is NULL.
    pub(super) fn new(columns: usize, before: &str, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let statements = SIZES.map(|size| format!("{before}(VALUES {}){after}", vec![row.as_str(); size].join(",")));
        Self { statements, columns }
    }

    /// A statement that inserts rows with these columns, the first of which is never NULL.
    pub(super) fn insert(into: &str, columns: &[&str]) -> Self {
        let before = format!("INSERT INTO {into} ({}) SELECT * FROM ", columns.join(", "));
        Self::new(columns.len(), &before, " WHERE column1 IS NOT NULL")
    }

    /// Carries it out for all rows; `bind` adds the values of one row, as many as there are columns.
    pub(super) async fn run<T>(
        &'static self,
        connection: &mut SqliteConnection,
        rows: &[T],
        mut bind: impl FnMut(&mut Values, &T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for chunk in rows.chunks(SIZES[SIZES.len() - 1]) {
            let size = SIZES.iter().position(|size| *size >= chunk.len()).unwrap_or(SIZES.len() - 1);
            let mut values = Values(SqliteArguments::default());
            values.0.reserve(chunk.len() * self.columns, 0);
            for row in chunk {
                bind(&mut values, row)?;
            }
            debug_assert_eq!(values.0.len(), chunk.len() * self.columns);
            sqlx::query_with(self.statements[size].as_str(), values.0)
                .execute(&mut *connection)
                .await
                .map_err(database)?;
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
