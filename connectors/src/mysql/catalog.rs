//! What the server's INFORMATION_SCHEMA says of a database's tables, as far as the account may read them.
//!
//! Its own comparisons fold case, so every name that comes back is compared again.

use std::collections::{BTreeMap, HashMap};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Params, Row, Value};

use crate::connector::{ForeignKey, ReferentialAction};

/// Tables and views; sequences and the server's own views are none of them.
const RELATIONS: &str = "\
    SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, TABLE_COMMENT, TABLE_ROWS, DATA_LENGTH, ENGINE FROM information_schema.TABLES \
    WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') AND TABLE_SCHEMA = ?";

/// Columns on which the account has any right, in their tables' order.
const COLUMNS: &str = "\
    SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, \
           CHARACTER_SET_NAME, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE, PRIVILEGES, EXTRA, COLUMN_COMMENT \
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ?";
const COLUMNS_ORDER: &str = " ORDER BY TABLE_NAME, ORDINAL_POSITION";

/// The first column of every index, which tells how many values it has, and all of a primary key, in whose order the rows lie.
const INDEXES: &str = "\
    SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, IF(SEQ_IN_INDEX = 1, CARDINALITY, NULL), \
           IF(INDEX_NAME = 'PRIMARY', SEQ_IN_INDEX, NULL) \
    FROM information_schema.STATISTICS WHERE (SEQ_IN_INDEX = 1 OR INDEX_NAME = 'PRIMARY') AND TABLE_SCHEMA = ?";

/// The columns of every foreign key.
const FOREIGN_KEYS: &str = "\
    SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, \
           REFERENCED_COLUMN_NAME \
    FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL AND TABLE_SCHEMA = ?";
const FOREIGN_KEYS_ORDER: &str = " ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION";

/// What becomes of foreign keys; MariaDB tells an account nothing of it that may only read.
const ACTIONS: &str = "\
    SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE \
    FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?";

/// Tables on which the account has rights by column, so that it may see a part of a key only.
const BY_COLUMN: &str =
    "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMN_PRIVILEGES WHERE TABLE_SCHEMA = ?";

/// One table.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) is_view: bool,
    pub(super) comment: Option<String>,
    /// Whether all that there is of it may be seen.
    pub(super) is_seen_whole: bool,
    /// Whether it is read as of a transaction's moment.
    pub(super) is_transactional: bool,
    /// An estimate, if the server has one.
    pub(super) rows: Option<u64>,
    /// Likewise.
    pub(super) bytes: Option<u64>,
    /// Those that may be read and that `*` stands for.
    pub(super) columns: Vec<Column>,
    /// Those that refer to tables of the same database.
    pub(super) foreign_keys: Vec<ForeignKey>,
}

/// One column, in its table's order.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type's name alone, in lower case, such as `int`.
    pub(super) data_type: String,
    /// The type as it was declared, such as `int(10) unsigned`.
    pub(super) declared: String,
    pub(super) precision: Option<u64>,
    pub(super) scale: Option<u64>,
    pub(super) character_set: Option<String>,
    /// How many characters, or bytes, a value may have.
    pub(super) length_max: Option<u64>,
    pub(super) is_nullable: bool,
    /// How many values there are by an index, an estimate.
    pub(super) distinct: Option<u64>,
    /// Its place in the primary key, from 1; the table's rows lie in the order of the first.
    pub(super) key_place: Option<i64>,
    pub(super) comment: Option<String>,
}

/// Which tables are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) database: &'a str,
    /// The tables that are served; `None` for all that the account may read.
    pub(super) served: Option<&'a [String]>,
    /// The one table that is asked for; `None` for all that are served.
    pub(super) name: Option<&'a str>,
}

impl Asked<'_> {
    fn holds(&self, database: &str, table: &str) -> bool {
        self.database == database
            && self.name.is_none_or(|name| name == table)
            && self.served.is_none_or(|served| served.iter().any(|name| name == table))
    }

    /// The answer to a question that ends with the database's name.
    async fn rows(&self, conn: &mut Conn, question: &str, order: &str) -> Result<Vec<Row>, Error> {
        let mut sql = question.to_owned();
        let mut names = vec![Value::from(self.database)];
        if let Some(name) = self.name {
            sql.push_str(" AND TABLE_NAME = ?");
            names.push(Value::from(name));
        }
        sql.push_str(order);
        conn.exec(sql, Params::Positional(names)).await
    }
}

/// Reads what is known of the tables that are asked for. One without columns is a view that cannot be used, or a table of
/// which the account may read nothing.
pub(super) async fn read(conn: &mut Conn, asked: &Asked<'_>) -> Result<Vec<Relation>, Error> {
    let mut relations = Vec::new();
    for row in asked.rows(conn, RELATIONS, "").await? {
        let (database, relation) = relation(&row)?;
        if asked.holds(&database, &relation.name) {
            relations.push(relation);
        }
    }
    for row in asked.rows(conn, BY_COLUMN, "").await? {
        let (database, table): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let of_it = relations.iter_mut().filter(|relation| asked.holds(&database, &table) && relation.name == table);
        of_it.for_each(|relation| relation.is_seen_whole = false);
    }
    let mut indexes = HashMap::new();
    for row in asked.rows(conn, INDEXES, "").await? {
        let key: (String, String, String) = (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
        let (distinct, place): (Option<u64>, Option<i64>) = (cell(&row, 3)?, cell(&row, 4)?);
        let known: &mut (Option<u64>, Option<i64>) = indexes.entry(key).or_default();
        *known = (known.0.max(distinct), known.1.or(place));
    }
    for row in asked.rows(conn, COLUMNS, COLUMNS_ORDER).await? {
        let (database, table): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let (privileges, extra): (String, String) = (cell(&row, 10)?, cell(&row, 11)?);
        if !asked.holds(&database, &table) {
            continue;
        }
        let mut column = column(&row)?;
        let index = indexes.get(&(database, table.clone(), column.name.clone()));
        (column.distinct, column.key_place) = index.copied().unwrap_or_default();
        let Some(relation) = relations.iter_mut().find(|relation| relation.name == table) else { continue };
        if has(&privileges, ',', "select") && !has(&extra, ' ', "invisible") {
            relation.columns.push(column);
        } else if column.key_place.is_some() {
            relation.is_seen_whole = false;
        }
    }
    for (table, key) in foreign_keys(conn, asked).await? {
        let relation = relations.iter_mut().find(|relation| relation.name == table);
        relation.into_iter().for_each(|relation| relation.foreign_keys.push(key.clone()));
    }
    Ok(relations)
}

/// The foreign keys that refer to tables of the same database, each after its table's name.
async fn foreign_keys(conn: &mut Conn, asked: &Asked<'_>) -> Result<Vec<(String, ForeignKey)>, Error> {
    let mut keys: BTreeMap<(String, String), ForeignKey> = BTreeMap::new();
    for row in asked.rows(conn, FOREIGN_KEYS, FOREIGN_KEYS_ORDER).await? {
        let (database, table): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let (referenced_database, referenced): (String, String) = (cell(&row, 4)?, cell(&row, 5)?);
        if !asked.holds(&database, &table) || referenced_database != database {
            continue;
        }
        let key = keys.entry((table, cell(&row, 2)?)).or_insert_with(|| ForeignKey {
            columns: Vec::new(),
            table: referenced,
            referenced: Vec::new(),
            on_update: None,
            on_delete: None,
        });
        key.columns.push(cell(&row, 3)?);
        key.referenced.push(cell(&row, 6)?);
    }
    for row in asked.rows(conn, ACTIONS, "").await? {
        let name: (String, String) = (cell(&row, 1)?, cell(&row, 2)?);
        if let Some(key) = keys.get_mut(&name) {
            key.on_update = ReferentialAction::of_sql(&cell::<String>(&row, 3)?);
            key.on_delete = ReferentialAction::of_sql(&cell::<String>(&row, 4)?);
        }
    }
    Ok(keys.into_iter().map(|((table, _), key)| (table, key)).collect())
}

fn relation(row: &Row) -> Result<(String, Relation), Error> {
    let is_view = cell::<String>(row, 2)? == "VIEW";
    let comment: String = cell(row, 3)?;
    let relation = Relation {
        name: cell(row, 1)?,
        is_view,
        is_seen_whole: true,
        // What stands there for a view is the server's own word.
        comment: Some(comment).filter(|comment| !is_view && !comment.is_empty()),
        is_transactional: cell::<Option<String>>(row, 6)?.as_deref() == Some("InnoDB"),
        rows: cell(row, 4)?,
        bytes: cell(row, 5)?,
        columns: Vec::new(),
        foreign_keys: Vec::new(),
    };
    Ok((cell(row, 0)?, relation))
}

fn column(row: &Row) -> Result<Column, Error> {
    Ok(Column {
        name: cell(row, 2)?,
        data_type: cell::<String>(row, 3)?.to_lowercase(),
        declared: cell::<String>(row, 4)?.to_lowercase(),
        precision: cell(row, 5)?,
        scale: cell(row, 6)?,
        character_set: cell(row, 7)?,
        length_max: cell(row, 8)?,
        is_nullable: cell::<String>(row, 9)? == "YES",
        distinct: None,
        key_place: None,
        comment: Some(cell(row, 12)?).filter(|comment: &String| !comment.is_empty()),
    })
}

fn has(words: &str, separator: char, word: &str) -> bool {
    words.split(separator).any(|known| known.eq_ignore_ascii_case(word))
}

/// A cell of an answer; one that is not of the type asked for is none of ours.
pub(super) fn cell<T: mysql_async::prelude::FromValue>(row: &Row, position: usize) -> Result<T, Error> {
    match row.get_opt(position) {
        Some(Ok(value)) => Ok(value),
        _ => Err(Error::Driver(DriverError::UnexpectedPacket { payload: Vec::new() })),
    }
}
