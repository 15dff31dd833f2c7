//! A pair of worlds: the same tables under one policy, with rows and files that differ only in what the asker may not see.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use policy::predicate::Filter;
use policy::subject::Subject;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::policies::{self, TablePolicy, Treatment};
use super::statements::{self, Asked};
use super::values::{Kind, Temper, near};

/// How hidden rows are written in delimited text where they are NULL.
pub const NULL_TEXT: &str = "\\N";
/// So many rows are tried for one that the row filter keeps, or keeps out.
const TRIES: usize = 40;

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// How its visible values behave.
    pub temper: Temper,
}

/// A table as both worlds have it.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Kept as delimited text; else as Parquet.
    pub is_text: bool,
    /// Whether Parquet files tell of each column what is in it: where no row is hidden, a coordinator is told so.
    pub has_statistics: bool,
    /// Who may see what of it.
    pub policy: TablePolicy,
}

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The same in both worlds for a visible row; a hidden row has its own.
    pub id: usize,
    /// A value for each column.
    pub cells: Vec<ScalarValue>,
}

/// What a table holds in one world.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The rows in the order of the files.
    pub rows: Vec<Row>,
    /// How the files are cut and written.
    pub layout: Layout,
}

/// How a table's files are cut and written.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Where a file ends and the next begins, as percentages of the rows.
    pub cuts: Vec<usize>,
    /// Rows of a row group.
    pub row_group_rows: usize,
    /// Whether values stand as they are, not in dictionaries and not compressed.
    pub is_plain: bool,
    /// What the writer noted in the file.
    pub note: String,
}

/// Two worlds that one asker cannot tell apart, and what the asker asks.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What it was made of.
    pub seed: u64,
    /// The asker.
    pub subject: Subject,
    /// The tables.
    pub tables: Vec<Table>,
    /// For each world, what each table holds.
    pub worlds: [Vec<Contents>; 2],
    /// What is asked of both.
    pub asked: Vec<Asked>,
}

impl Pair {
    /// The pair of this number, with so many statements.
    pub fn new(seed: u64, statements: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let subject = policies::asker(&mut rng);
        let count = rng.random_range(2..=3);
        let mut pair = Self { seed, subject, tables: vec![], worlds: [vec![], vec![]], asked: vec![] };
        for index in 0..count {
            let (mut table, worlds) = table(&mut rng, &format!("t{index}"), &pair.subject);
            table.policy.bytes_per_day = policies::bytes_per_day(seed, index);
            pair.tables.push(table);
            for (world, contents) in pair.worlds.iter_mut().zip(worlds) {
                world.push(contents);
            }
        }
        // The last of three may be one that the asker was granted nothing of.
        if count == 3 && rng.random_range(0..3) == 0 {
            pair.tables[2].policy.is_granted = false;
            let other = &mut pair.worlds[1][2].rows;
            other.reverse();
            other.truncate(other.len() / 2);
        }
        pair.asked = statements::statements(&mut rng, &pair.tables, statements);
        assert!(pair.is_twin(), "seed {seed}: the worlds can be told apart; the generator is wrong\n{pair:?}");
        pair
    }

    /// Whether what the asker may see is the same in both worlds.
    pub fn is_twin(&self) -> bool {
        (0..self.tables.len()).all(|index| {
            let [one, other] = &self.worlds;
            !self.tables[index].policy.is_granted || self.view(index, &one[index]) == self.view(index, &other[index])
        })
    }

    /// What the asker may see of a table, by the meaning of its policy in plain Rust.
    fn view(&self, index: usize, contents: &Contents) -> Vec<Option<ArrayRef>> {
        let table = &self.tables[index];
        let filter = table.filter(&self.subject);
        let kept: Vec<&Row> = contents.rows.iter().filter(|row| table.keeps(&filter, &row.cells)).collect();
        let columns = table.columns.iter().enumerate();
        let shown = columns.map(|(position, column)| {
            let values = array(column.kind, kept.iter().map(|row| row.cells[position].clone()));
            table.policy.treatment(&column.name).shows(&values)
        });
        shown.collect()
    }

    /// The rows of all tables of both worlds.
    pub fn row_count(&self) -> usize {
        self.worlds.iter().flatten().map(|contents| contents.rows.len()).sum()
    }

    /// How many rows a world hides of the tables that have a row filter, and how many these have.
    pub fn hidden(&self, world: usize) -> (usize, usize) {
        let tables = self.tables.iter().zip(&self.worlds[world]);
        let filtered = tables.filter(|(table, _)| !table.policy.filters.is_empty());
        filtered.fold((0, 0), |(hidden, all), (table, contents)| {
            let filter = table.filter(&self.subject);
            let kept = contents.rows.iter().filter(|row| table.keeps(&filter, &row.cells)).count();
            (hidden + contents.rows.len() - kept, all + contents.rows.len())
        })
    }
}

impl Table {
    /// Its schema in files.
    pub fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| Field::new(&column.name, column.kind.data_type(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn filter(&self, subject: &Subject) -> Filter {
        self.policy.filter(&self.schema(), subject)
    }

    fn keeps(&self, filter: &Filter, cells: &[ScalarValue]) -> bool {
        filter.keeps(&|name| {
            let position = self.columns.iter().position(|column| column.name == name);
            cells[position.expect("a column of the table")].clone()
        })
    }

    /// A row that the filter keeps, or one that it does not; `None` if none was found.
    fn row(&self, rng: &mut StdRng, filter: &Filter, is_kept: bool) -> Option<Vec<ScalarValue>> {
        (0..TRIES).find_map(|_| {
            let temper = |column: &Column| if is_kept { column.temper } else { Temper::Wild };
            let cells: Vec<_> = self.columns.iter().map(|column| column.kind.value(rng, temper(column))).collect();
            (self.keeps(filter, &cells) == is_kept).then_some(cells)
        })
    }

    /// The row with other values where the policy shows them alike.
    fn twin(&self, rng: &mut StdRng, filter: &Filter, cells: &[ScalarValue]) -> Vec<ScalarValue> {
        let mut twin = cells.to_vec();
        for (position, column) in self.columns.iter().enumerate() {
            let treatment = self.policy.treatment(&column.name);
            if *treatment == Treatment::Clear {
                continue;
            }
            let before = std::mem::replace(&mut twin[position], other(rng, column.kind, &cells[position], treatment));
            if !self.keeps(filter, &twin) {
                twin[position] = before;
            }
        }
        twin
    }
}

/// Another value that the treatment shows as it shows this one; this one if none was found.
fn other(rng: &mut StdRng, kind: Kind, value: &ScalarValue, treatment: &Treatment) -> ScalarValue {
    let candidates = near(rng, kind, value);
    let values = array(kind, std::iter::once(value.clone()).chain(candidates.iter().cloned()));
    let alike = |index: usize| match treatment.shows(&values) {
        None => true,
        Some(shown) => shown.slice(0, 1) == shown.slice(index + 1, 1),
    };
    let shown: Vec<&ScalarValue> = candidates
        .iter()
        .enumerate()
        .filter(|(index, other)| *other != value && alike(*index))
        .map(|(_, other)| other)
        .collect();
    shown.choose(rng).map_or_else(|| value.clone(), |other| (*other).clone())
}

/// Values as an array.
pub fn array(kind: Kind, values: impl IntoIterator<Item = ScalarValue>) -> ArrayRef {
    // The first is there for its type only.
    let typed = std::iter::once(kind.null()).chain(values);
    let array = ScalarValue::iter_to_array(typed).expect("values of one type");
    array.slice(1, array.len() - 1)
}

/// A table with its policy, and what it holds in both worlds.
fn table(rng: &mut StdRng, name: &str, subject: &Subject) -> (Table, [Contents; 2]) {
    let mut table = Table {
        name: name.to_string(),
        columns: columns(rng),
        is_text: false,
        has_statistics: rng.random(),
        policy: no_policy(),
    };
    table.is_text = rng.random_range(0..4) == 0 && !table.columns.iter().any(|column| column.kind.is_nested());
    for _ in 0..8 {
        table.policy = policies::policy(rng, name, &table.columns);
        let filter = table.filter(subject);
        let has_hidden = table.policy.filters.is_empty() || table.row(rng, &filter, false).is_some();
        if has_hidden && table.row(rng, &filter, true).is_some() {
            let worlds = worlds(rng, &table, &filter);
            return (table, worlds);
        }
    }
    table.policy = no_policy();
    let worlds = worlds(rng, &table, &Filter::And(vec![]));
    (table, worlds)
}

fn no_policy() -> TablePolicy {
    TablePolicy {
        is_granted: true,
        filters: vec![],
        treatments: std::collections::BTreeMap::new(),
        release: None,
        written: vec![],
        tagged: std::collections::BTreeSet::new(),
        bytes_per_day: None,
    }
}

fn columns(rng: &mut StdRng) -> Vec<Column> {
    let mut names = vec!["k", "v", "note", "cost", "born", "a b", "数量", "region", "Flag", "l"];
    names.shuffle(rng);
    let count = rng.random_range(4..=7);
    let mut columns: Vec<Column> = names
        .into_iter()
        .take(count)
        .map(|name| {
            let kind = *Kind::ALL.choose(rng).expect("there are kinds");
            let temper = if rng.random_range(0..3) == 0 { Temper::Odd } else { Temper::Tame };
            Column { name: name.to_string(), kind, temper }
        })
        .collect();
    // What most statements need.
    columns[0].kind = Kind::Integer;
    columns[1].kind = Kind::Text;
    columns
}

/// Both worlds of a table: the same visible rows in the same order, and everything else made anew.
fn worlds(rng: &mut StdRng, table: &Table, filter: &Filter) -> [Contents; 2] {
    let count = if rng.random_range(0..12) == 0 { rng.random_range(150..400) } else { rng.random_range(10..50) };
    let visible: Vec<Vec<ScalarValue>> = (0..count).filter_map(|_| table.row(rng, filter, true)).collect();
    let twins: Vec<Vec<ScalarValue>> = visible.iter().map(|cells| table.twin(rng, filter, cells)).collect();
    [visible, twins].map(|visible| {
        // 45 % on average: 9 hidden ones for 11 visible.
        let hidden = if table.policy.filters.is_empty() { 0 } else { count * rng.random_range(4..=14) / 11 };
        let hidden: Vec<_> = (0..hidden).filter_map(|_| table.row(rng, filter, false)).collect();
        Contents { rows: mixed(rng, visible, hidden), layout: layout(rng) }
    })
}

/// Hidden rows anywhere between visible ones, which keep their order.
fn mixed(rng: &mut StdRng, visible: Vec<Vec<ScalarValue>>, hidden: Vec<Vec<ScalarValue>>) -> Vec<Row> {
    const FIRST_HIDDEN: usize = 1_000_000;
    let mut places: Vec<bool> = vec![true; visible.len()];
    places.resize(visible.len() + hidden.len(), false);
    places.shuffle(rng);
    let mut visible = visible.into_iter().enumerate();
    let mut hidden = hidden.into_iter().enumerate();
    let rows = places.into_iter().map(|is_visible| match is_visible {
        true => visible.next().map(|(id, cells)| Row { id, cells }),
        false => hidden.next().map(|(id, cells)| Row { id: FIRST_HIDDEN + id, cells }),
    });
    rows.map(|row| row.expect("a row for each place")).collect()
}

fn layout(rng: &mut StdRng) -> Layout {
    let mut cuts: Vec<usize> = (0..rng.random_range(0..3)).map(|_| rng.random_range(1..100)).collect();
    cuts.sort_unstable();
    let row_group_rows = *[3, 10, 40, 1_000].choose(rng).expect("not empty");
    Layout { cuts, row_group_rows, is_plain: rng.random(), note: format!("written by job {}", rng.random_range(0..99)) }
}

impl Contents {
    /// Writes the files of a table into a directory of its own.
    pub fn write(&self, table: &Table, directory: &Path) {
        fs::create_dir_all(directory).expect("a writable directory");
        let mut start = 0;
        let ends = self.layout.cuts.iter().map(|cut| self.rows.len() * cut / 100).chain([self.rows.len()]);
        for (number, end) in ends.enumerate() {
            // A cut that leaves nothing before it makes no file.
            if end > start || number == self.layout.cuts.len() {
                self.write_file(table, &directory.join(format!("part-{number:02}")), &self.rows[start..end]);
            }
            start = end;
        }
    }

    fn write_file(&self, table: &Table, path: &Path, rows: &[Row]) {
        if table.is_text {
            return fs::write(path.with_extension("csv"), delimited(table, rows)).expect("a writable directory");
        }
        let columns = table.columns.iter().enumerate();
        let arrays =
            columns.map(|(position, column)| array(column.kind, rows.iter().map(|row| row.cells[position].clone())));
        let batch = RecordBatch::try_new(table.schema(), arrays.collect()).expect("columns of one length");
        let file = fs::File::create(path.with_extension("parquet")).expect("a writable directory");
        let mut writer =
            ArrowWriter::try_new(file, table.schema(), Some(self.layout.properties(table))).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("a whole file");
    }
}

impl Layout {
    fn properties(&self, table: &Table) -> WriterProperties {
        let mut properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .set_dictionary_enabled(!self.is_plain)
            .set_compression(if self.is_plain { Compression::UNCOMPRESSED } else { Compression::SNAPPY })
            .set_key_value_metadata(Some(vec![KeyValue::new("writer".to_string(), self.note.clone())]));
        for column in table.columns.iter().filter(|column| !table.has_statistics || column.kind == Kind::Float) {
            let path = parquet::schema::types::ColumnPath::from(column.name.as_str());
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        properties.build()
    }
}

/// Delimited text; every value quoted, so that an empty text is not NULL.
fn delimited(table: &Table, rows: &[Row]) -> String {
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = line(table.columns.iter().map(|column| quoted(&column.name)).collect());
    for row in rows {
        let cells = row.cells.iter().map(|cell| match cell.cast_to(&DataType::Utf8) {
            Ok(ScalarValue::Utf8(Some(text))) => quoted(&text),
            _ => NULL_TEXT.to_string(),
        });
        text += &line(cells.collect());
    }
    text
}
