//! F0: three sites with policies, and a twin of theirs in which nobody can see a difference, though all that is hidden differs.
//!
//! | table | shown to u1 and u2 | hidden |
//! | --- | --- | --- |
//! | `health.registry.patient` | 5,500 rows of regions north and east | 4,500 rows (the twin: 5,000) of south, west and NULL; names but for their first letter |
//! | `revenue.registry.taxpayer` | rows of the same regions; incomes as aggregates of at least five | rows of the others |
//! | `police.registry.watch` | 37 rows | the pid itself |
//!
//! `u2` sees costs, `u1` sees NULL. `u3` may query `police` only. A shown note is a number written as text, and a hidden one
//! is not: a cast that reads a hidden row fails. The files say more of themselves than their rows, as pandas does.
//!
//! What the twin hides it has in another order too: by the rest of a name, rows come the other way round. A cost can be moved
//! only where `u2` does not look, and a pid nowhere, for its pseudonym would be another one: [`World::Permuted`] has other costs,
//! and another watch list, and is like F0 to `u1` at `health`.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::error::Result;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::canary::Canary;
use crate::dataset::Dataset;

/// The source of every table of the fixture.
pub const SOURCE: &str = "registry";
/// The attribute `regions` of u1 and u2.
pub const REGIONS: [&str; 2] = ["north", "east"];
/// Rows of `patient` that u1 and u2 see, in both worlds.
pub const PATIENTS_SHOWN: i64 = 5_500;
/// The least number of taxpayers in a group that is told.
pub const GROUP_MIN: i64 = 5;
/// Rows of `watch`.
pub const WATCHED: i64 = 37;
/// Rows of `watch` in [`World::Permuted`].
pub const WATCHED_IF_PERMUTED: i64 = 53;

/// Which of the two worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// The fixture.
    F0,
    /// The same to those who ask, and another in all that they may not see.
    Twin,
    /// F0 with its shown costs in reverse, and with others whom police watch, more of them: the same to `u1` at `health`.
    Permuted,
}

/// Writes the sites' tables below `root` as `<site>/registry/<table>.parquet`; the same bytes each time.
pub fn write(root: &Path, world: World) -> Result<Dataset> {
    for (site, name, table) in [
        ("health", "patient", patients(world)?),
        ("revenue", "taxpayer", taxpayers(world)?),
        ("police", "watch", watch(world)?),
    ] {
        let table = noted(&table, world)?;
        let directory = root.join(site).join(SOURCE);
        std::fs::create_dir_all(&directory)?;
        let file = std::fs::File::create(directory.join(format!("{name}.parquet")))?;
        let pandas = KeyValue::new("pandas".to_string(), format!("{{\"creator\": \"{}\"}}", file_note(world)));
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(world.row_group_rows()))
            .set_key_value_metadata(Some(vec![pandas]))
            .build();
        let mut writer = ArrowWriter::try_new(file, table.schema(), Some(properties))?;
        writer.write(&table)?;
        writer.close()?;
    }
    let tables = [("health", SOURCE, "patient"), ("revenue", SOURCE, "taxpayer"), ("police", SOURCE, "watch")];
    Ok(Dataset::existing(root, &tables))
}

/// The table with what a writer may note of a schema and of a column; it goes into the file as `ARROW:schema`.
fn noted(table: &RecordBatch, world: World) -> Result<RecordBatch> {
    let note = |key: &str| [(key.to_string(), file_note(world))].into();
    let field = |field: &FieldRef| field.as_ref().clone().with_metadata(note("comment"));
    let fields: Vec<Field> = table.schema().fields().iter().map(field).collect();
    let schema = Arc::new(Schema::new(fields).with_metadata(note("comment")));
    Ok(RecordBatch::try_new(schema, table.columns().to_vec())?)
}

/// Stands in the metadata of every file, of its schema and of each column; nobody who asks may be told. A comment of a column in a
/// server is another thing: its owner says it to whoever may see the column.
fn file_note(world: World) -> String {
    format!("FILE-NOTE-OF-{world:?}-WORLD")
}

/// What an administrator of the site writes; the users have the purpose `care`, u1 and u2 the attribute `regions`.
///
/// # Panics
/// When the fixture has no such site.
pub fn policies(site: &str) -> &'static str {
    match site {
        "health" => HEALTH,
        "revenue" => REVENUE,
        "police" => POLICE,
        other => panic!("the fixture has no site {other}"),
    }
}

const HEALTH: &str = "\
CREATE PURPOSE care COMMENT 'treating patients';
CREATE PURPOSE audit COMMENT 'checking the accounts';
GRANT SELECT ON TABLE registry.patient TO USER u1, USER u2 FOR PURPOSE care WITH (id = 'health-care');
GRANT SELECT ON TABLE registry.patient TO USER u2 FOR PURPOSE audit WITH (id = 'health-audit');
CREATE POLICY own_regions ON TABLE registry.patient ROW FILTER (region IN attribute('regions')) TO USER u1, USER u2;
CREATE POLICY initials ON TABLE registry.patient COLUMN MASK show_first(1) COLUMNS (name) TO ALL;
CREATE POLICY persons ON TABLE registry.patient COLUMN MASK pseudonym('person') COLUMNS (pid) TO ALL;
CREATE POLICY costs ON TABLE registry.patient COLUMN MASK replace_with_null COLUMNS (cost) TO ALL EXCEPT USER u2;
";

const REVENUE: &str = "\
CREATE PURPOSE care COMMENT 'treating patients';
GRANT SELECT ON TABLE registry.taxpayer TO USER u1, USER u2 FOR PURPOSE care WITH (id = 'revenue-care');
CREATE POLICY own_regions ON TABLE registry.taxpayer ROW FILTER (region IN attribute('regions')) TO USER u1, USER u2;
CREATE POLICY persons ON TABLE registry.taxpayer COLUMN MASK pseudonym('person') COLUMNS (pid) TO ALL;
CREATE POLICY incomes ON TABLE registry.taxpayer
  AGGREGATE ONLY (MIN GROUP 5 ENTITY pid BOUNDS income 0 TO 1000000 GROUP BY (region, bracket)) COLUMNS (income) TO ALL;
";

const POLICE: &str = "\
CREATE PURPOSE care COMMENT 'treating patients';
GRANT SELECT ON TABLE registry.watch TO USER u1, USER u2, USER u3 FOR PURPOSE care WITH (id = 'police-care');
CREATE POLICY persons ON TABLE registry.watch COLUMN MASK pseudonym('person') COLUMNS (pid) TO ALL;
";

/// Every value of the world that no byte outside its site may hold, whoever of u1, u2 and u3 asked.
pub fn canaries(world: World) -> Vec<Canary> {
    let hidden = world.hidden_patients().flat_map(|n| {
        let texts = [note(n), hidden_name(n), person(HIDDEN_PERSONS + n)].map(Canary::Text);
        texts.into_iter().chain([Canary::Number(HIDDEN_COST + n)])
    });
    // Of those who are shown, the names but for the first letter, and what pseudonyms stand for.
    let masked = (0..PATIENTS_SHOWN).flat_map(|n| [name(world, n)[1..].to_string(), person(n)].map(Canary::Text));
    let watched = (0..world.watched()).map(|n| Canary::Text(watched_person(world, n)));
    let incomes = hidden_incomes(world).map(Canary::Number);
    let note = [Canary::Text(file_note(world))];
    let mut all: Vec<Canary> = hidden.chain(masked).chain(watched).chain(incomes).chain(note).collect();
    all.sort_by_key(|canary| format!("{canary:?}"));
    all.dedup();
    all
}

const HIDDEN_COST: i64 = 900_000_000;
/// Hidden incomes are out of the bounds, so that eight bytes of digits and of an integer tell them from all sums.
const HIDDEN_INCOME: i64 = 7_310_000_000;
const HIDDEN_PERSONS: i64 = 5_000_000;

impl World {
    fn row_group_rows(self) -> usize {
        match self {
            World::F0 | World::Permuted => 1_024,
            World::Twin => 777,
        }
    }

    /// Numbers of hidden patients: none is in both worlds; 500 more in the twin.
    fn hidden_patients(self) -> std::ops::Range<i64> {
        match self {
            World::F0 | World::Permuted => 1..4_501,
            World::Twin => 500_001..505_001,
        }
    }

    /// How many hidden rows stand before the shown row of this number: the worlds mix them differently.
    fn hidden_before(self, shown: i64) -> i64 {
        match self {
            World::F0 | World::Permuted => i64::from(shown % 11 < 9),
            World::Twin if shown % 5 == 3 => 4,
            World::Twin => 0,
        }
    }

    /// How many are watched.
    fn watched(self) -> i64 {
        match self {
            World::F0 | World::Twin => WATCHED,
            World::Permuted => WATCHED_IF_PERMUTED,
        }
    }
}

/// A row by its number: `Ok` of those that are shown, `Err` of those that are hidden.
type Row = std::result::Result<i64, i64>;

/// Rows in the order of the file.
fn mixed(world: World, shown: i64, mut hidden: impl Iterator<Item = i64>) -> Vec<Row> {
    let mut rows = vec![];
    for number in 0..shown {
        rows.extend((0..world.hidden_before(number)).filter_map(|_| hidden.next()).map(Err));
        rows.push(Ok(number));
    }
    rows.extend(hidden.map(Err));
    rows
}

fn mixed_patients(world: World) -> Vec<Row> {
    mixed(world, PATIENTS_SHOWN, world.hidden_patients())
}

fn patients(world: World) -> Result<RecordBatch> {
    let rows = mixed_patients(world);
    let texts = |shown: &dyn Fn(i64) -> String, hidden: &dyn Fn(i64) -> Option<String>| -> ArrayRef {
        let text = |row: &Row| row.as_ref().map_or_else(|n| hidden(*n), |n| Some(shown(*n)));
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let numbers = |shown: &dyn Fn(i64) -> i64, hidden: &dyn Fn(i64) -> i64| -> ArrayRef {
        let number = |row: &Row| row.as_ref().map_or_else(|n| hidden(*n), |n| shown(*n));
        Arc::new(rows.iter().map(number).collect::<Int64Array>())
    };
    let days = |row: &Row| match row {
        Ok(n) => i32::try_from(n % 20_000).expect("a day"),
        Err(n) => FIRST_DAY_OF_2199 + i32::try_from(n % 365).expect("a day"),
    };
    let columns: [(&str, ArrayRef); 8] = [
        ("pid", texts(&person, &|n| Some(person(HIDDEN_PERSONS + n)))),
        ("name", texts(&|n| name(world, n), &|n| Some(hidden_name(n)))),
        ("dob", Arc::new(rows.iter().map(|row| Some(days(row))).collect::<Date32Array>())),
        ("ward", texts(&|n| format!("ward-{}", n % 12), &|n| Some(format!("ward-{}", n % 7 + 20)))),
        ("region", texts(&shown_region, &hidden_region)),
        ("diag", texts(&|n| format!("D{:02}", n % 40), &|n| Some(format!("H{:02}", n % 40)))),
        ("cost", numbers(&|n| cost(world, n), &|n| HIDDEN_COST + n)),
        ("note", texts(&|n| (n % 1_000).to_string(), &|n| Some(note(n)))),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}

/// Days from 1970 to the year 2199.
const FIRST_DAY_OF_2199: i32 = 83_641;

/// The identifier of a person: eighteen digits.
fn person(n: i64) -> String {
    format!("1101051949{n:08}")
}

/// `u2` sees it; `u1` does not, so that its order may be another one.
fn cost(world: World, n: i64) -> i64 {
    match world {
        World::F0 | World::Twin => 100 + n % 4_000,
        World::Permuted => 100 + (PATIENTS_SHOWN - 1 - n) % 4_000,
    }
}

/// Shown to nobody but for its first letter, so the rest is another one in the twin, and in the other order.
fn name(world: World, n: i64) -> String {
    let first = ["W", "L", "Z", "C", "Y"][usize::try_from(n % 5).expect("a small number")];
    match world {
        World::F0 | World::Permuted => format!("{first}ang-before-{n:05}"),
        World::Twin => format!("{first}iu-after-{:05}", PATIENTS_SHOWN - 1 - n),
    }
}

fn hidden_name(n: i64) -> String {
    format!("HIDDEN-NAME-{n}")
}

fn note(n: i64) -> String {
    format!("CANARY-{n}-not to be seen")
}

fn shown_region(n: i64) -> String {
    REGIONS[usize::from(n % 3 == 0)].to_string()
}

/// A row without region is one for which the filter is not true.
fn hidden_region(n: i64) -> Option<String> {
    ["south", "west"].get(usize::try_from(n % 3).expect("a small number")).map(ToString::to_string)
}

/// Who is watched: patients that are shown, then such as are hidden in F0. Nobody is watched in both watch lists.
fn watched_person(world: World, n: i64) -> String {
    let shown = match world {
        World::F0 | World::Twin => n * 100,
        World::Permuted => n * 200 + 50,
    };
    let hidden = match world {
        World::F0 | World::Twin => n,
        World::Permuted => n + 1_000,
    };
    if n < 20 { person(shown) } else { person(HIDDEN_PERSONS + hidden) }
}

fn watch(world: World) -> Result<RecordBatch> {
    let all = 0..world.watched();
    let pids: ArrayRef = Arc::new(all.clone().map(|n| Some(watched_person(world, n))).collect::<StringArray>());
    let flags = all.map(|n| Some(["fraud", "theft", "arson"][usize::try_from(n % 3).expect("a small number")]));
    let flags: ArrayRef = Arc::new(flags.collect::<StringArray>());
    Ok(RecordBatch::try_from_iter_with_nullable([("pid", pids, true), ("flag", flags, true)])?)
}

/// One declaration of income. Who declares twice is one entity.
struct Declaration {
    person: i64,
    region: Option<&'static str>,
    bracket: Option<String>,
    income: i64,
}

/// In each shown region groups of one to ten taxpayers, and at the edges of what is told: three who declare thrice each, one
/// who has nearly all, and three without a bracket.
fn shown_declarations() -> Vec<Declaration> {
    let mut all = vec![];
    let mut next = 0;
    for region in REGIONS {
        let mut group = |bracket: Option<&str>, persons: i64, times: i64, income: &dyn Fn(i64) -> i64| {
            for (person, _) in (0..persons).flat_map(|person| (0..times).map(move |time| (person, time))) {
                let bracket = bracket.map(str::to_string);
                all.push(Declaration { person: next + person, region: Some(region), bracket, income: income(person) });
            }
            next += persons;
        };
        for size in 1..=10 {
            group(Some(&format!("of {size:02}")), size, 1, &|n| 20_000 + 100 * n);
        }
        group(Some("repeated"), 3, 3, &|n| 30_000 + 100 * n);
        group(Some("dominated"), 6, 1, &|n| if n == 0 { 990_000 } else { 100 });
        group(None, 3, 1, &|_| 40_000);
    }
    all
}

fn hidden_declarations(world: World) -> impl Iterator<Item = Declaration> {
    hidden_incomes(world).zip(world.hidden_patients()).map(|(income, n)| Declaration {
        person: HIDDEN_PERSONS + n,
        region: [Some("south"), Some("west"), None][usize::try_from(n % 3).expect("a small number")],
        bracket: Some(format!("of {:02}", n % 13)),
        income,
    })
}

/// Fewer in F0 than in the twin.
fn hidden_incomes(world: World) -> impl Iterator<Item = i64> {
    let count = if world == World::Twin { 170 } else { 120 };
    world.hidden_patients().take(count).map(|n| HIDDEN_INCOME + n)
}

fn taxpayers(world: World) -> Result<RecordBatch> {
    let (shown, hidden) = (shown_declarations(), hidden_declarations(world).collect::<Vec<_>>());
    let number = |length: usize| i64::try_from(length).expect("a small number");
    let of = |n: i64| usize::try_from(n).expect("a small number");
    let rows = mixed(world, number(shown.len()), 0..number(hidden.len()));
    let rows: Vec<&Declaration> =
        rows.into_iter().map(|row| row.map_or_else(|n| &hidden[of(n)], |n| &shown[of(n)])).collect();
    let pids: ArrayRef = Arc::new(rows.iter().map(|row| Some(person(row.person))).collect::<StringArray>());
    let regions: ArrayRef = Arc::new(rows.iter().map(|row| row.region).collect::<StringArray>());
    let brackets: ArrayRef = Arc::new(rows.iter().map(|row| row.bracket.as_deref()).collect::<StringArray>());
    let incomes: ArrayRef = Arc::new(rows.iter().map(|row| row.income).collect::<Int64Array>());
    let columns = [("pid", pids), ("region", regions), ("bracket", brackets), ("income", incomes)];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use tempfile::TempDir;

    use super::super::canary::Sweep;
    use super::*;
    use crate::dataset::local_context;

    /// What u1 and u2 may see, written as the query that the policies stand for.
    const VIEWS: [&str; 3] = [
        "SELECT pid, substr(name, 1, 1), dob, ward, region, diag, cost, note FROM health.registry.patient \
         WHERE region IN ('north', 'east')",
        "SELECT pid, region, bracket, income FROM revenue.registry.taxpayer WHERE region IN ('north', 'east')",
        "SELECT * FROM police.registry.watch",
    ];

    async fn rows(data: &Dataset, sql: &str) -> RecordBatch {
        let ctx = local_context(data).await.unwrap();
        ctx.sql("SET datafusion.execution.target_partitions = 1").await.unwrap().collect().await.unwrap();
        let frame = ctx.sql(sql).await.unwrap();
        let schema = Arc::new(frame.schema().as_arrow().clone());
        concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
    }

    fn worlds() -> [(TempDir, Dataset, World); 2] {
        [World::F0, World::Twin].map(|world| {
            let root = TempDir::with_prefix("chancery-fixture-").unwrap();
            let data = write(root.path(), world).unwrap();
            (root, data, world)
        })
    }

    async fn count(data: &Dataset, sql: &str) -> i64 {
        let batch = rows(data, &format!("SELECT count(*) {sql}")).await;
        arrow::array::cast::as_primitive_array::<arrow::datatypes::Int64Type>(batch.column(0)).value(0)
    }

    #[tokio::test]
    async fn the_twin_shows_the_same_rows_in_the_same_order_and_hides_others() {
        let [(_f0, f0, _), (_twin, twin, _)] = worlds();
        for view in VIEWS {
            assert_eq!(rows(&f0, view).await, rows(&twin, view).await, "{view}");
        }
        let patient = "FROM health.registry.patient";
        assert_eq!([count(&f0, patient).await, count(&twin, patient).await], [10_000, 10_500]);
        for data in [&f0, &twin] {
            assert_eq!(count(data, &format!("{patient} WHERE region IN ('north', 'east')")).await, PATIENTS_SHOWN);
            let of_2199 = format!("{patient} WHERE date_part('year', dob) = 2199 AND note LIKE 'CANARY-%-%'");
            assert_eq!(count(data, &of_2199).await, count(data, patient).await - PATIENTS_SHOWN);
        }
        for (_root, data, world) in worlds() {
            let again = if world == World::F0 { &f0 } else { &twin };
            for (table, other) in data.tables.iter().zip(&again.tables) {
                assert_eq!(std::fs::read(&table.path).unwrap(), std::fs::read(&other.path).unwrap(), "{}", table.name);
            }
        }
    }

    /// A18: what is masked is in another order, or its order could not be told from the mask's.
    #[tokio::test]
    async fn what_is_masked_is_in_another_order() {
        let [(_f0, f0, _), (_twin, twin, _)] = worlds();
        let root = TempDir::with_prefix("chancery-fixture-").unwrap();
        let permuted = write(root.path(), World::Permuted).unwrap();
        let by = |column: &str| {
            format!("SELECT dob FROM health.registry.patient WHERE region IN ('north', 'east') ORDER BY {column}, dob")
        };
        let initial = by("substr(name, 1, 1)");
        assert_eq!(rows(&f0, &initial).await, rows(&twin, &initial).await);
        assert_ne!(rows(&f0, &by("name")).await, rows(&twin, &by("name")).await);
        assert_ne!(rows(&f0, &by("cost")).await, rows(&permuted, &by("cost")).await);
        let shown = VIEWS[0].replace(" cost,", "");
        assert_eq!(rows(&f0, &shown).await, rows(&permuted, &shown).await);
        let both = "SELECT pid FROM police.registry.watch";
        let [one, other] = [rows(&f0, both).await, rows(&permuted, both).await];
        assert_eq!([one.num_rows(), other.num_rows()], [37, 53]);
        let texts = |batch: &RecordBatch| {
            let pids = arrow::array::AsArray::as_string::<i32>(batch.column(0)).clone();
            pids.iter().flatten().map(str::to_string).collect::<std::collections::BTreeSet<_>>()
        };
        assert!(texts(&one).is_disjoint(&texts(&other)));
    }

    /// A68: files tell more than rows, at every place where a writer may note something.
    #[test]
    fn files_hold_notes_that_nobody_may_be_told() {
        for (_root, data, world) in worlds() {
            for table in &data.tables {
                let file = std::fs::File::open(&table.path).unwrap();
                let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
                let (schema, footer) = (reader.schema(), reader.metadata().file_metadata());
                assert_eq!(schema.metadata()["comment"], file_note(world));
                assert!(schema.fields().iter().all(|field| field.metadata()["comment"] == file_note(world)));
                let noted = footer.key_value_metadata().unwrap();
                assert!(noted.iter().any(|pair| pair.key == "pandas" && pair.value.as_ref().unwrap().contains("NOTE")));
            }
        }
    }

    #[tokio::test]
    async fn canaries_are_in_what_is_hidden_and_in_nothing_that_is_shown() {
        for (_root, data, world) in worlds() {
            let sweep = Sweep::new(&canaries(world));
            // As u1 sees it: without the identifiers, which pseudonyms stand for.
            for view in VIEWS {
                let shown =
                    rows(&data, &view.replace("SELECT pid, ", "SELECT ").replace("SELECT *", "SELECT flag")).await;
                assert_eq!(sweep.over(&written(&shown)), [], "{view}");
            }
            for hidden in ["name", "cost", "note", "pid"] {
                let hidden = format!("SELECT {hidden} FROM health.registry.patient WHERE region IS NULL");
                assert!(!sweep.over(&written(&rows(&data, &hidden).await)).is_empty(), "{hidden}");
            }
            let incomes = "SELECT income FROM revenue.registry.taxpayer WHERE region = 'south'";
            assert!(!sweep.over(&written(&rows(&data, incomes).await)).is_empty());
        }
    }

    fn written(batch: &RecordBatch) -> Vec<u8> {
        let mut bytes = vec![];
        let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        bytes
    }
}
