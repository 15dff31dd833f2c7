//! What the server's own catalogs say of a schema's tables: asked for in one transaction, so that it all fits together.

use std::collections::HashMap;

use futures::try_join;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::types::{TypeCatalog, TypeEntry};
use crate::connector::{ForeignKey, ReferentialAction};

/// Tables, partitioned tables, views, materialised views and foreign tables that the account may read: those of a list, or
/// all but partitions, since their rows are their parent's; and of these one alone, if it is named. The pages are those of
/// one heap, where a row's place is its own.
const RELATIONS: &str = "\
    SELECT c.oid, c.relname::text, c.relkind::text, d.description, c.reltuples, c.relpages, \
           coalesce(a.amname = 'heap', false) AND c.relkind IN ('r', 'm') AND NOT c.relhassubclass, \
           current_setting('server_version_num')::int4, current_setting('server_encoding') = 'UTF8' \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam \
         LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0 \
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
      AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
      AND CASE WHEN $2::text[] IS NULL THEN NOT c.relispartition ELSE c.relname::text = ANY ($2) END \
      AND ($3::text IS NULL OR c.relname::text = $3)";

/// NOT NULL, like a key, is a promise only where every row is checked by the table itself.
const COLUMNS: &str = "\
    SELECT a.attrelid, a.attname::text, a.atttypid, a.atttypmod, \
           a.attnotnull AND (c.relkind = 'p' OR c.relkind = 'r' AND NOT c.relhassubclass), \
           coalesce(l.collisdeterministic, true), \
           (SELECT k.place FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (number, place) \
            WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indisvalid AND k.place <= i.indnkeyatts \
                  AND k.number = a.attnum AND (c.relkind = 'p' OR NOT c.relhassubclass)), \
           col_description(a.attrelid, a.attnum) \
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_collation l ON l.oid = a.attcollation \
    WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

/// Likewise at both ends, and within a schema. What the server keeps of a key for each partition is the key again.
const FOREIGN_KEYS: &str = "\
    SELECT k.conrelid, r.relname::text, k.confupdtype::text, k.confdeltype::text, \
           (SELECT array_agg(a.attname::text ORDER BY n.place) \
            FROM unnest(k.conkey) WITH ORDINALITY n (number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number), \
           (SELECT array_agg(a.attname::text ORDER BY n.place) \
            FROM unnest(k.confkey) WITH ORDINALITY n (number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number) \
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid \
    WHERE k.conrelid = ANY ($1) AND k.contype = 'f' AND k.convalidated AND r.relnamespace = c.relnamespace \
      AND (c.relkind = 'p' OR NOT c.relhassubclass) AND (r.relkind = 'p' OR NOT r.relhassubclass) \
      AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid) \
    ORDER BY k.oid";

/// The types of the columns, and those that these are made of.
const TYPES: &str = "\
    WITH RECURSIVE used (oid) AS ( \
        SELECT DISTINCT atttypid FROM pg_attribute WHERE attrelid = ANY ($1) AND attnum > 0 AND NOT attisdropped \
        UNION SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END \
              FROM pg_type t JOIN used u ON u.oid = t.oid WHERE t.typtype = 'd' OR t.typelem <> 0) \
    SELECT t.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype END, t.typtypmod, \
           (SELECT i.oid FROM pg_type i WHERE i.oid = t.typelem AND i.typarray = t.oid) \
    FROM pg_type t JOIN used u ON u.oid = t.oid";

/// Bounds are asked for where their text is read back exactly. Of a table with descendants the row of all comes last.
const STATISTICS: &str = "\
    SELECT a.attrelid, a.attname::text, s.null_frac, s.n_distinct, s.avg_width, b.known \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
         JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname, \
         LATERAL (SELECT CASE WHEN a.atttypid IN (20, 21, 23, 1082, 1114, 1184) THEN \
             coalesce(s.histogram_bounds::text::text[], '{}') || coalesce(s.most_common_vals::text::text[], '{}') \
         END) AS b (known) \
    WHERE c.oid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY s.inherited";

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) comment: Option<String>,
    /// An estimate; below zero or zero where none was made yet.
    pub(super) rows: f32,
    /// An estimate of the same time.
    pub(super) pages: i32,
    /// Whether rows can be asked for by their places.
    pub(super) is_one_heap: bool,
    /// 150004 is 15.4.
    pub(super) server_version: i32,
    /// Whether the database stores UTF-8, so that text has there the bytes that it has here.
    pub(super) is_utf8: bool,
    pub(super) columns: Vec<Column>,
    /// Those that refer to tables of the same schema.
    pub(super) foreign_keys: Vec<ForeignKey>,
}

/// One column, in its table's order.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) modifier: i32,
    pub(super) is_not_null: bool,
    /// Whether equal text is text of the same bytes, as under every deterministic collation.
    pub(super) compares_by_bytes: bool,
    /// Its place in the primary key, from 1.
    pub(super) key_place: Option<i64>,
    pub(super) comment: Option<String>,
    pub(super) statistics: Option<ColumnNumbers>,
}

/// What the server's last look at a column has found.
#[derive(Debug, Clone)]
pub(super) struct ColumnNumbers {
    pub(super) null_fraction: f32,
    /// How many distinct values; below zero, the fraction of the rows.
    pub(super) distinct: f32,
    pub(super) width_bytes: i32,
    /// Some values, the extremes of the sample among them.
    pub(super) known: Option<Vec<String>>,
}

/// Which tables are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) schema: &'a str,
    /// The tables that are served; `None` for all that the account may read.
    pub(super) served: Option<&'a [String]>,
    /// The one table that is asked for; `None` for all that are served.
    pub(super) name: Option<&'a str>,
}

/// The tables of a schema, and the types of their columns.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    pub(super) relations: Vec<Relation>,
    pub(super) types: TypeCatalog,
}

impl Catalog {
    /// Reads what is known of the tables that are asked for.
    pub(super) async fn read(client: &Client, asked: &Asked<'_>) -> Result<Self, Error> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&asked.schema, Type::TEXT), (&asked.served, Type::TEXT_ARRAY), (&asked.name, Type::TEXT)];
        let rows = client.query_typed(RELATIONS, &parameters).await?;
        let mut relations = rows.iter().map(relation).collect::<Result<Vec<_>, _>>()?;
        let oids: Vec<u32> = relations.iter().map(|relation| relation.oid).collect();
        let of_these: [(&(dyn ToSql + Sync), Type); 1] = [(&oids, Type::OID_ARRAY)];
        let (columns, foreign_keys, types, statistics) = try_join!(
            client.query_typed(COLUMNS, &of_these),
            client.query_typed(FOREIGN_KEYS, &of_these),
            client.query_typed(TYPES, &of_these),
            client.query_typed(STATISTICS, &of_these),
        )?;
        let mut statistics = statistics.iter().map(numbers).collect::<Result<HashMap<_, _>, _>>()?;
        for row in &columns {
            let (oid, mut column) = column(row)?;
            column.statistics = statistics.remove(&(oid, column.name.clone()));
            let relation = relations.iter_mut().find(|relation| relation.oid == oid);
            relation.into_iter().for_each(|relation| relation.columns.push(column.clone()));
        }
        for row in &foreign_keys {
            let (oid, key) = foreign_key(row)?;
            let relation = relations.iter_mut().find(|relation| relation.oid == oid);
            relation.into_iter().for_each(|relation| relation.foreign_keys.push(key.clone()));
        }
        let types = types.iter().map(type_entry).collect::<Result<_, _>>()?;
        Ok(Self { relations, types: TypeCatalog(types) })
    }
}

fn relation(row: &Row) -> Result<Relation, Error> {
    Ok(Relation {
        oid: row.try_get(0)?,
        name: row.try_get(1)?,
        kind: row.try_get(2)?,
        comment: row.try_get(3)?,
        rows: row.try_get(4)?,
        pages: row.try_get(5)?,
        is_one_heap: row.try_get(6)?,
        server_version: row.try_get(7)?,
        is_utf8: row.try_get(8)?,
        columns: Vec::new(),
        foreign_keys: Vec::new(),
    })
}

fn column(row: &Row) -> Result<(u32, Column), Error> {
    let column = Column {
        name: row.try_get(1)?,
        type_oid: row.try_get(2)?,
        modifier: row.try_get(3)?,
        is_not_null: row.try_get(4)?,
        compares_by_bytes: row.try_get(5)?,
        key_place: row.try_get(6)?,
        comment: row.try_get(7)?,
        statistics: None,
    };
    Ok((row.try_get(0)?, column))
}

fn foreign_key(row: &Row) -> Result<(u32, ForeignKey), Error> {
    let key = ForeignKey {
        table: row.try_get(1)?,
        on_update: action(row.try_get(2)?),
        on_delete: action(row.try_get(3)?),
        columns: row.try_get(4)?,
        referenced: row.try_get(5)?,
    };
    Ok((row.try_get(0)?, key))
}

/// An action by the letter that `pg_constraint` has for it.
fn action(letter: &str) -> Option<ReferentialAction> {
    Some(match letter {
        "a" => ReferentialAction::NoAction,
        "r" => ReferentialAction::Restrict,
        "c" => ReferentialAction::Cascade,
        "n" => ReferentialAction::SetNull,
        "d" => ReferentialAction::SetDefault,
        _ => return None,
    })
}

fn type_entry(row: &Row) -> Result<(u32, TypeEntry), Error> {
    let entry = TypeEntry { base: row.try_get(1)?, modifier: row.try_get(2)?, item: row.try_get(3)? };
    Ok((row.try_get(0)?, entry))
}

fn numbers(row: &Row) -> Result<((u32, String), ColumnNumbers), Error> {
    let numbers = ColumnNumbers {
        null_fraction: row.try_get(2)?,
        distinct: row.try_get(3)?,
        width_bytes: row.try_get(4)?,
        known: row.try_get(5)?,
    };
    Ok(((row.try_get(0)?, row.try_get(1)?), numbers))
}
