//! The tables of one view as a coordinator keeps them: packed, since a federation has hundreds of thousands of them and a
//! statement names a few. A table that is named is unpacked, and so many of those last named stay so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connectors::connector::ForeignKey;
use datafusion::common::Statistics;
use parking_lot::Mutex;

use crate::catalog::notes::Notes;
use crate::catalog::treatment::TableTreatment;
use crate::catalog::view::ViewTable;
use crate::error::{EngineError, Result};

/// Tables that are packed together: what they have in common is packed once, and one that is named unpacks them all.
const TABLES_OF_BLOCK: usize = 32;
/// How well blocks are packed: more takes longer and saves little.
const LEVEL: i32 = 3;
/// Tables of a view that stay unpacked.
const UNPACKED_MAX: usize = 256;
/// So many foreign keys of one table are believed.
const FOREIGN_KEYS_MAX: usize = 1_000;
/// Columns of one foreign key.
const KEY_COLUMNS_MAX: usize = 64;

/// The tables of one view.
#[derive(Debug)]
pub struct KnownTables {
    /// Source and name, sorted. A table's number is its place.
    names: Vec<(Arc<str>, Box<str>)>,
    blocks: Vec<Block>,
    unpacked: Mutex<HashMap<usize, Arc<KnownTable>>>,
}

#[derive(Debug)]
struct Block {
    packed: Box<[u8]>,
    bytes: usize,
}

/// A table of a view.
#[derive(Debug)]
pub struct KnownTable {
    /// Whether it is a view.
    pub is_view: bool,
    /// The columns.
    pub schema: SchemaRef,
    /// What the owner says about it.
    pub comment: Option<String>,
    /// What else the owner says about it and its columns.
    pub notes: Notes,
    /// In which form this viewer sees it.
    pub treatment: Arc<TableTreatment>,
    /// The columns of its primary key, in the key's order; empty where none is known.
    pub primary_key: Vec<String>,
    /// The keys of other tables that it holds, as its site tells them.
    pub foreign_keys: Vec<ForeignKey>,
    /// What is known of its rows.
    pub statistics: Statistics,
    /// What its site calls this version of it.
    pub version: String,
    has_pinned_rows: bool,
}

impl KnownTable {
    /// What tells a row of this version from all its others.
    pub fn key(&self) -> Vec<String> {
        if self.has_pinned_rows { self.primary_key.clone() } else { Vec::new() }
    }

    fn decode(table: ViewTable) -> Result<Self> {
        let (schema, statistics) = table.decode()?;
        Ok(Self {
            is_view: table.is_view,
            schema,
            statistics,
            treatment: Arc::new(table.treatment),
            comment: table.comment,
            notes: table.notes,
            primary_key: table.primary_key,
            foreign_keys: table.foreign_keys.into_iter().filter(is_believed).take(FOREIGN_KEYS_MAX).collect(),
            has_pinned_rows: table.has_pinned_rows,
            version: table.version,
        })
    }
}

/// Whether a foreign key is one: as many columns at both ends, each of them once.
fn is_believed(key: &ForeignKey) -> bool {
    let has_each_once = |columns: &[String]| columns.iter().collect::<HashSet<_>>().len() == columns.len();
    (1..=KEY_COLUMNS_MAX).contains(&key.columns.len())
        && key.columns.len() == key.referenced.len()
        && has_each_once(&key.columns)
        && has_each_once(&key.referenced)
}

impl KnownTables {
    /// The tables as their site told of them.
    ///
    /// # Errors
    /// `SITE_PROTOCOL` for one that cannot be read.
    pub fn new(mut tables: Vec<ViewTable>) -> Result<Self> {
        tables.sort_by(|a, b| (&a.source, &a.name).cmp(&(&b.source, &b.name)));
        tables.dedup_by(|again, first| (&again.source, &again.name) == (&first.source, &first.name));
        let mut known =
            Self { names: Vec::with_capacity(tables.len()), blocks: Vec::new(), unpacked: Mutex::default() };
        let keeps_all = tables.len() <= UNPACKED_MAX;
        let mut block = Vec::new();
        for (number, table) in tables.into_iter().enumerate() {
            write(&mut block, &table)?;
            if (number + 1) % TABLES_OF_BLOCK == 0 {
                known.blocks.push(Block::pack(&block)?);
                block.clear();
            }
            known.add_name(&table);
            let decoded = KnownTable::decode(table)?;
            if keeps_all {
                known.unpacked.lock().insert(number, Arc::new(decoded));
            }
        }
        if !block.is_empty() {
            known.blocks.push(Block::pack(&block)?);
        }
        Ok(known)
    }

    fn add_name(&mut self, table: &ViewTable) {
        let source = match self.names.last() {
            Some((source, _)) if **source == *table.source => Arc::clone(source),
            _ => Arc::from(table.source.as_str()),
        };
        self.names.push((source, Box::from(table.name.as_str())));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Source and name of each.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(source, name)| (source.as_ref(), name.as_ref()))
    }

    /// The table of that name.
    ///
    /// # Errors
    /// When it cannot be unpacked: a defect.
    pub fn get(&self, source: &str, name: &str) -> Result<Option<Arc<KnownTable>>> {
        let place = self.names.binary_search_by(|(s, n)| (s.as_ref(), n.as_ref()).cmp(&(source, name)));
        let Ok(number) = place else { return Ok(None) };
        if let Some(known) = self.unpacked.lock().get(&number) {
            return Ok(Some(Arc::clone(known)));
        }
        let block = self.blocks.get(number / TABLES_OF_BLOCK).ok_or_else(lost)?.unpack()?;
        let table = tables_in(&block).nth(number % TABLES_OF_BLOCK).ok_or_else(lost)?;
        let known = Arc::new(KnownTable::decode(table?.view()?)?);
        let mut unpacked = self.unpacked.lock();
        if unpacked.len() >= UNPACKED_MAX {
            unpacked.clear();
        }
        unpacked.insert(number, Arc::clone(&known));
        Ok(Some(known))
    }

    /// Source, name and table of each; unpacks all that is not.
    ///
    /// # Errors
    /// When one cannot be unpacked: a defect.
    pub fn all(&self) -> Result<Vec<(&str, &str, Arc<KnownTable>)>> {
        let mut all = Vec::with_capacity(self.names.len());
        for (block, names) in self.blocks.iter().zip(self.names.chunks(TABLES_OF_BLOCK)) {
            let bytes = self.is_packed(all.len()).then(|| block.unpack()).transpose()?;
            let mut packed = bytes.as_deref().map(tables_in);
            for (source, name) in names {
                let packed = packed.as_mut().and_then(Iterator::next);
                let known = self.unpacked.lock().get(&all.len()).cloned();
                let known = match (known, packed) {
                    (Some(known), _) => known,
                    (None, Some(table)) => Arc::new(KnownTable::decode(table?.view()?)?),
                    (None, None) => self.get(source, name)?.ok_or_else(lost)?,
                };
                all.push((source.as_ref(), name.as_ref(), known));
            }
        }
        Ok(all)
    }

    /// Whether a table of the block that begins with that number may be packed.
    fn is_packed(&self, first: usize) -> bool {
        let unpacked = self.unpacked.lock();
        let last = (first + TABLES_OF_BLOCK).min(self.names.len());
        !(first..last).all(|number| unpacked.contains_key(&number))
    }
}

impl Block {
    fn pack(bytes: &[u8]) -> Result<Self> {
        let packed = zstd::bulk::compress(bytes, LEVEL).map_err(EngineError::internal)?;
        Ok(Self { packed: packed.into_boxed_slice(), bytes: bytes.len() })
    }

    fn unpack(&self) -> Result<Vec<u8>> {
        zstd::bulk::decompress(&self.packed, self.bytes).map_err(EngineError::internal)
    }
}

/// A table in an unpacked block: what a view says of it, but for the bounds, and these as they are, which pack better so.
struct Written<'a> {
    described: &'a [u8],
    bounds: &'a [u8],
}

impl Written<'_> {
    fn view(&self) -> Result<ViewTable> {
        let table: ViewTable = serde_json::from_slice(self.described).map_err(EngineError::internal)?;
        Ok(ViewTable { bounds: STANDARD.encode(self.bounds), ..table })
    }
}

fn write(block: &mut Vec<u8>, table: &ViewTable) -> Result<()> {
    // What is no base64 is told by the decoding of the whole.
    let bounds = STANDARD.decode(&table.bounds).unwrap_or_default();
    let described = ViewTable { bounds: String::new(), ..table.clone() };
    let described = serde_json::to_vec(&described).map_err(EngineError::internal)?;
    for part in [described, bounds] {
        block.extend_from_slice(&(part.len() as u64).to_le_bytes());
        block.extend(part);
    }
    Ok(())
}

/// The tables of an unpacked block, in order.
fn tables_in(block: &[u8]) -> impl Iterator<Item = Result<Written<'_>>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let both = part(&mut rest).and_then(|described| Some(Written { described, bounds: part(&mut rest)? }));
        Some(both.ok_or_else(lost))
    })
}

/// Takes a part from the front: its length, and so many bytes.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}

fn lost() -> EngineError {
    EngineError::defect("a packed table is not where it was put")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::datatypes::{DataType, Field, Schema};
    use connectors::connector::{ReferentialAction, TableDescription};

    use super::*;
    use crate::error::Code;

    fn key(number: usize) -> ForeignKey {
        let columns = vec!["id".to_string()];
        let on_update = Some(ReferentialAction::Cascade);
        ForeignKey { table: format!("t{number}"), referenced: columns.clone(), columns, on_update, on_delete: None }
    }

    fn table(number: usize) -> ViewTable {
        let columns =
            vec![Field::new("id", DataType::Int64, false), Field::new(format!("c{number}"), DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(columns));
        let described = TableDescription {
            name: format!("t{number}"),
            is_view: number % 2 == 1,
            statistics: Statistics::new_unknown(&schema),
            schema,
            primary_key: vec!["id".to_string()],
            foreign_keys: vec![key(number)],
            comment: None,
            column_comments: BTreeMap::new(),
            version: number.to_string(),
        };
        ViewTable::new(&format!("s{}", number % 3), &described, (TableTreatment::ungoverned(), Notes::default()), true)
            .unwrap()
    }

    /// Below what stays unpacked, and above, and twice as many as that.
    #[test]
    fn each_table_is_found_as_it_was_told() {
        for count in [0, 1, 31, 32, 33, 256, 257, 700] {
            let known = KnownTables::new((0..count).rev().map(table).collect()).unwrap();
            assert_eq!((known.names().count(), known.is_empty()), (count, count == 0));
            for _ in 0..2 {
                for number in 0..count {
                    let found = known.get(&format!("s{}", number % 3), &format!("t{number}")).unwrap().unwrap();
                    assert_eq!(
                        (found.schema.field(1).name(), &found.version),
                        (&format!("c{number}"), &number.to_string())
                    );
                    assert_eq!((found.is_view, found.key()), (number % 2 == 1, vec!["id".to_string()]));
                    assert_eq!(found.foreign_keys, [key(number)]);
                }
                for (source, name, found) in known.all().unwrap() {
                    assert_eq!(format!("t{}", found.version), name);
                    assert!(known.get(source, name).unwrap().is_some());
                }
                assert_eq!(known.all().unwrap().len(), count);
            }
            assert!(known.get("s0", "none").unwrap().is_none() && known.get("s", "t1").unwrap().is_none());
            assert!(known.unpacked.lock().len() <= UNPACKED_MAX);
        }
    }

    #[test]
    fn so_many_foreign_keys_are_believed() {
        let repeated = ForeignKey {
            columns: vec!["a".to_string(); KEY_COLUMNS_MAX],
            referenced: vec!["a".to_string(); KEY_COLUMNS_MAX],
            ..key(1)
        };
        let keys = [vec![repeated], vec![key(1); FOREIGN_KEYS_MAX + 1]].concat();
        let many = ViewTable { foreign_keys: keys, ..table(1) };
        let known = KnownTables::new(vec![many]).unwrap();
        assert_eq!(known.get("s1", "t1").unwrap().unwrap().foreign_keys.len(), FOREIGN_KEYS_MAX);
    }

    #[test]
    fn what_cannot_be_read_is_told_at_once() {
        let broken = ViewTable { bounds: "?".to_string(), ..table(1) };
        let error = KnownTables::new(vec![table(0), broken]).map(drop).unwrap_err();
        assert_eq!(error.code(), Code::SiteProtocol);
    }
}
