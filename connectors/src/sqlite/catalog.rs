//! What a file's schema says of its tables, asked within a transaction, so that it all fits together.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::connector::{ForeignKey, ReferentialAction};

/// Tables and views; what SQLite keeps for itself, virtual tables and their shadows are none.
const TABLES: &str = "\
    SELECT name, type = 'view', wr, strict FROM pragma_table_list \
    WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

/// SQLite finds a name in any case.
const TABLE: &str = "\
    SELECT name, type = 'view', wr, strict FROM pragma_table_list(?1) \
    WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name = ?1";

/// Generated columns are among them; those that virtual tables hide are not.
const COLUMNS: &str =
    "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1";

/// A primary key that is a column of its own has an index; one that is another name of the row's number has none.
const KEY_INDEXES: &str = "SELECT count(*) FROM pragma_index_list(?1, 'main') WHERE origin = 'pk'";

/// What a key refers to has its own spelling, whatever the key's; it is the primary key where the key names no column,
/// and NULL where it is not there.
const FOREIGN_KEYS: &str = "\
    SELECT k.id, k.\"from\", t.name, c.name, k.on_update, k.on_delete \
    FROM pragma_foreign_key_list(?1, 'main') k \
         LEFT JOIN pragma_table_list(k.\"table\") t ON t.schema = 'main' AND t.type = 'table' \
         LEFT JOIN pragma_table_xinfo(t.name, 'main') c \
             ON CASE WHEN k.\"to\" IS NULL THEN c.pk = k.seq + 1 ELSE c.name = k.\"to\" COLLATE NOCASE END \
    ORDER BY k.id DESC, k.seq";

/// The names of a row's number, of which a column may have taken any.
const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A table or a view.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) is_view: bool,
    /// Without numbers of rows.
    pub(super) is_keyed: bool,
    /// Its columns hold values of their types alone.
    pub(super) is_strict: bool,
}

/// A column, in its table's order.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// The words it was declared with; of a view's, what SQLite makes of them.
    pub(super) declared: String,
    pub(super) is_not_null: bool,
    /// Its place in the primary key, from 1.
    pub(super) key_place: Option<i64>,
    /// It is the row's number.
    pub(super) is_row_number: bool,
    /// Whether it is computed, and whether that is stored.
    pub(super) hidden: i64,
}

/// The numbers that rows have, the least and the greatest, under a name that no column has taken.
#[derive(Debug, Clone)]
pub(super) struct RowNumbers {
    pub(super) name: String,
    pub(super) least: i64,
    pub(super) greatest: i64,
}

/// The table or view of exactly this name.
pub(super) fn relation(connection: &Connection, name: &str) -> Result<Option<Relation>> {
    connection.query_row(TABLE, [name], of_row).optional()
}

/// All tables and views, in the order of their names.
pub(super) fn relations(connection: &Connection) -> Result<Vec<Relation>> {
    let mut statement = connection.prepare(TABLES)?;
    statement.query_map([], of_row)?.collect::<Result<Vec<_>>>()
}

fn of_row(row: &Row<'_>) -> Result<Relation> {
    Ok(Relation { name: row.get(0)?, is_view: row.get(1)?, is_keyed: row.get(2)?, is_strict: row.get(3)? })
}

/// The columns of a table.
pub(super) fn columns(connection: &Connection, relation: &Relation) -> Result<Vec<Column>> {
    let mut statement = connection.prepare(COLUMNS)?;
    let rows = statement.query_map([&relation.name], |row| {
        let key: i64 = row.get(3)?;
        Ok((
            key,
            Column {
                name: row.get(0)?,
                declared: row.get(1)?,
                is_not_null: row.get::<_, bool>(2)? || relation.is_keyed && key > 0,
                key_place: (key > 0).then_some(key),
                is_row_number: false,
                hidden: row.get(4)?,
            },
        ))
    })?;
    let mut columns = rows.collect::<Result<Vec<_>>>()?;
    let keys = columns.iter().filter(|(key, _)| *key > 0).count();
    if keys == 1 && !relation.is_keyed && !relation.is_view {
        let indexes: i64 = connection.query_row(KEY_INDEXES, [&relation.name], |row| row.get(0))?;
        let key = columns.iter_mut().find(|(key, _)| *key > 0).map(|(_, column)| column);
        if let (0, Some(key)) = (indexes, key) {
            (key.is_row_number, key.is_not_null) = (true, true);
        }
    }
    Ok(columns.into_iter().map(|(_, column)| column).collect())
}

/// The foreign keys of a table that refer to columns that are there, in the order in which they were declared.
pub(super) fn foreign_keys(connection: &Connection, relation: &Relation) -> Result<Vec<ForeignKey>> {
    let mut statement = connection.prepare(FOREIGN_KEYS)?;
    let columns = statement.query_map([&relation.name], |row| {
        Ok(KeyColumn {
            key: row.get(0)?,
            column: row.get(1)?,
            table: row.get(2)?,
            referenced: row.get(3)?,
            on_update: ReferentialAction::of_sql(&row.get::<_, String>(4)?),
            on_delete: ReferentialAction::of_sql(&row.get::<_, String>(5)?),
        })
    })?;
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(columns.chunk_by(|one, next| one.key == next.key).filter_map(foreign_key).collect())
}

/// A column of a foreign key.
struct KeyColumn {
    key: i64,
    column: String,
    table: Option<String>,
    referenced: Option<String>,
    on_update: Option<ReferentialAction>,
    on_delete: Option<ReferentialAction>,
}

fn foreign_key(columns: &[KeyColumn]) -> Option<ForeignKey> {
    let first = columns.first()?;
    Some(ForeignKey {
        columns: columns.iter().map(|column| column.column.clone()).collect(),
        table: first.table.clone()?,
        referenced: columns.iter().map(|column| column.referenced.clone()).collect::<Option<_>>()?,
        on_update: first.on_update,
        on_delete: first.on_delete,
    })
}

/// The numbers of a table's rows; none of a view, of a table without them or without rows, or if columns have all their names.
pub(super) fn row_numbers(
    connection: &Connection,
    relation: &Relation,
    columns: &[Column],
) -> Result<Option<RowNumbers>> {
    let is_free = |name: &&str| !columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let own = columns.iter().find(|column| column.is_row_number).map(|column| quoted(&column.name));
    let free = ROW_NUMBERS.iter().copied().find(is_free).map(str::to_owned);
    let Some(name) = own.or(free).filter(|_| !relation.is_view && !relation.is_keyed) else { return Ok(None) };
    // One statement for both would read all rows.
    let table = quoted(&relation.name);
    let text = format!("SELECT (SELECT min({name}) FROM {table}), (SELECT max({name}) FROM {table})");
    let (least, greatest) = connection.query_row(&text, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match (least, greatest) {
        (Some(least), Some(greatest)) => Some(RowNumbers { name, least, greatest }),
        _ => None,
    })
}

/// How many rows a table had when its owner last ran ANALYZE, if ever.
pub(super) fn analyzed_rows(connection: &Connection, relation: &Relation) -> Result<Option<i64>> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    if connection.query_row(exists, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let text = "SELECT stat FROM sqlite_stat1 WHERE tbl = ?1 LIMIT 1";
    let stat: Option<Option<String>> =
        connection.query_row(text, params![relation.name], |row| row.get(0)).optional()?;
    Ok(stat.flatten().and_then(|stat| stat.split(' ').next().and_then(|rows| rows.parse().ok())))
}

/// How many bytes the file's pages have.
pub(super) fn file_bytes(connection: &Connection) -> Result<i64> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok(pragma("page_count")?.saturating_mul(pragma("page_size")?))
}

/// Whether the file stores text as UTF-8.
pub(super) fn is_utf8(connection: &Connection) -> Result<bool> {
    connection.query_row("PRAGMA encoding", [], |row| Ok(row.get::<_, String>(0)? == "UTF-8"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
