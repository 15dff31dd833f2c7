//! What is left of hidden values in the bytes that leave: A25–A27. One table has every type with every mask that fits it, and
//! as much of each as the asker may see: 1 %, 10 %, 50 %, 90 %, 99 % of the rows.
//!
//! A PostgreSQL server has no type for structs, maps and words of a dictionary: it holds them as text, so that there nobody
//! asks for their parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Int64Array, LargeStringArray,
    ListArray, MapArray, RecordBatch, StringArray, StringViewArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use harness::cluster::client::channel;
use harness::cluster::{Cluster, Governance, Kept, Options, Person};
use harness::dataset::Dataset;
use harness::policy::canary::{Canary, Sweep};
use harness::policy::capture::{Capture, RawClient};
use policy::mask::ColumnMask;
use policy::value::Value;
use tonic::metadata::MetadataMap;

use super::server::kept_by_server;
use super::{COORDINATOR, LIMITS, beginning};
use crate::KEPT;

const ROWS: i64 = 400;
/// Users, and the classes of rows that each may see.
const ASKERS: [(&str, &[&str], i64); 5] = [
    ("one", &["a"], 1),
    ("ten", &["a", "b"], 10),
    ("half", &["a", "b", "c"], 50),
    ("most", &["a", "b", "c", "d"], 90),
    ("nearly", &["a", "b", "c", "d", "e"], 99),
];
const TYPES: [&str; 12] =
    ["view", "text", "large", "bytes", "word", "number", "money", "day", "list", "pair", "map", "json"];
/// Days are too few to be unlike all other numbers: all hidden ones are this one, in the year 2981.
const HIDDEN_DAY: i32 = 369_607;

/// What is done to a column, by the end of its name.
fn treatments() -> Vec<(&'static str, Option<ColumnMask>)> {
    vec![
        ("clear", None),
        ("part", Some(ColumnMask::ShowFirst(3))),
        ("name", Some(ColumnMask::Pseudonym("sample".to_string()))),
        ("coarse", Some(ColumnMask::Bucket(Value::Integer(1_000_000)))),
        ("year", Some(ColumnMask::TruncateToYear)),
        ("none", Some(ColumnMask::ReplaceWithNull)),
        ("gone", Some(ColumnMask::Hide)),
    ]
}

/// Type, treatment, and the mask, of every column whose type the mask fits.
fn columns() -> Vec<(&'static str, &'static str, Option<ColumnMask>)> {
    let fits = |of: &str, mask: &Option<ColumnMask>| {
        // Bytes have no pseudonym here: canaries are looked for in them all the same.
        mask.as_ref().is_none_or(|mask| mask.check(plain(array(of, "", &[]).data_type())).is_ok())
    };
    let all = TYPES.iter().flat_map(|of| treatments().into_iter().map(move |(name, mask)| (*of, name, mask)));
    all.filter(|(of, _, mask)| fits(of, mask)).collect()
}

/// The type by which a policy sees a column.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => &DataType::Utf8,
        DataType::Dictionary(_, values) => values,
        DataType::Struct(_) | DataType::Map(..) if KEPT == Kept::InPostgres => &DataType::Utf8,
        other => other,
    }
}

fn class(row: i64) -> &'static str {
    match row * 61 % 100 {
        0 => "a",
        1..10 => "b",
        10..50 => "c",
        50..90 => "d",
        90..99 => "e",
        _ => "f",
    }
}

/// A text that is in one cell only.
fn text(column: &str, row: i64) -> String {
    format!("RAW-{column}-of-row-{row:04}-end")
}

/// A number that is in one cell only, and no bound of a bucket.
fn number(column: usize, row: i64) -> i64 {
    7_310_000_000_000 + i64::try_from(column).unwrap() * 100_000_000 + row * 10 + 7
}

/// The raw values of one column. Texts and numbers by themselves or inside of something.
fn array(of: &str, column: &str, rows: &[i64]) -> ArrayRef {
    let position = columns_before(column);
    let texts: Vec<String> = rows.iter().map(|row| text(column, *row)).collect();
    let numbers: Vec<i64> = rows.iter().map(|row| number(position, *row)).collect();
    let lengths = |each: usize| OffsetBuffer::from_lengths(rows.iter().map(|_| each));
    let items = Arc::new(Field::new("item", DataType::Utf8, true));
    let word = Arc::new(Field::new("word", DataType::Utf8, true));
    let count = Arc::new(Field::new("count", DataType::Int64, true));
    match of {
        "view" => Arc::new(StringViewArray::from_iter_values(texts)),
        "text" => Arc::new(StringArray::from_iter_values(texts)),
        "large" => Arc::new(LargeStringArray::from_iter_values(texts)),
        "bytes" => Arc::new(BinaryArray::from_iter_values(texts)),
        "word" => Arc::new(texts.iter().map(String::as_str).collect::<DictionaryArray<Int32Type>>()),
        "number" => Arc::new(Int64Array::from(numbers)),
        "money" => {
            let money = Decimal128Array::from_iter_values(numbers.into_iter().map(i128::from));
            Arc::new(money.with_precision_and_scale(24, 2).unwrap())
        }
        "day" => {
            let day = |row: &i64| if class(*row) == "f" || column != "day_clear" { HIDDEN_DAY } else { 10_000 };
            Arc::new(Date32Array::from_iter_values(rows.iter().map(day)))
        }
        "list" => Arc::new(ListArray::new(items, lengths(1), Arc::new(StringArray::from_iter_values(texts)), None)),
        "pair" => {
            let parts: Vec<ArrayRef> =
                vec![Arc::new(StringArray::from_iter_values(texts)), Arc::new(Int64Array::from(numbers))];
            Arc::new(StructArray::new(vec![word, count].into(), parts, None))
        }
        "map" => {
            let (key, value) = (Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true));
            let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "k")));
            let values: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
            let entries = StructArray::new(vec![key, value].into(), vec![keys, values], None);
            let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
            Arc::new(MapArray::new(field, lengths(1), entries, None, false))
        }
        _ => Arc::new(StringArray::from_iter_values(texts.iter().map(|text| format!("{{\"k\": \"{text}\"}}")))),
    }
}

/// A number for each column's name.
fn columns_before(column: &str) -> usize {
    let names = TYPES.iter().flat_map(|of| treatments().into_iter().map(move |(name, _)| format!("{of}_{name}")));
    names.take_while(|name| name != column).count()
}

/// `health.registry.sample`: the row's number, its class, and all columns.
fn sample() -> Dataset {
    let rows: Vec<i64> = (0..ROWS).collect();
    let mut fields = vec![Field::new("id", DataType::Int64, true), Field::new("class", DataType::Utf8, true)];
    let classes = StringArray::from_iter_values(rows.iter().map(|row| class(*row)));
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(rows.clone())), Arc::new(classes)];
    for (of, treatment, _) in columns() {
        let name = format!("{of}_{treatment}");
        let column = array(of, &name, &rows);
        fields.push(Field::new(name, column.data_type().clone(), true));
        arrays.push(column);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let mut data = Dataset::temporary().unwrap();
    data.add(["health", "registry", "sample"], &batch.schema(), &[batch]).unwrap();
    data
}

/// One policy for each mask, over all columns that have it.
fn policies() -> String {
    let mut masked: BTreeMap<&str, (ColumnMask, Vec<String>)> = BTreeMap::new();
    for (of, treatment, mask) in columns() {
        if let Some(mask) = mask {
            masked.entry(treatment).or_insert((mask, vec![])).1.push(format!("{of}_{treatment}"));
        }
    }
    let mut text = "CREATE PURPOSE care;\nGRANT SELECT ON TABLE registry.sample TO ROLE reader FOR PURPOSE care;\n\
                    CREATE POLICY own ON TABLE registry.sample ROW FILTER (class IN attribute('classes')) TO ALL;\n"
        .to_string();
    for (treatment, (mask, columns)) in masked {
        let columns = columns.join(", ");
        text += &format!(
            "CREATE POLICY {treatment} ON TABLE registry.sample COLUMN MASK {mask} COLUMNS ({columns}) TO ALL;\n"
        );
    }
    text
}

/// What nobody with these classes may be sent: all raw values of masked columns, and all values of rows of other classes.
fn canaries(classes: &[&str]) -> Vec<Canary> {
    let mut all = vec![];
    for (of, treatment, mask) in columns() {
        let name = format!("{of}_{treatment}");
        let hidden = (0..ROWS).filter(|row| mask.is_some() || !classes.contains(&class(*row)));
        for row in hidden {
            match of {
                "number" | "money" => all.push(Canary::Number(number(columns_before(&name), row))),
                "pair" => {
                    all.extend([Canary::Number(number(columns_before(&name), row)), Canary::Text(text(&name, row))])
                }
                "day" => {}
                _ => all.push(Canary::Text(text(&name, row))),
            }
        }
    }
    all
}

/// Whole tables, single columns, few rows, one row, and parts of what is nested, masked and clear.
fn statements() -> Vec<String> {
    let mut all: Vec<String> = [
        "SELECT * FROM SAMPLE",
        "SELECT * FROM SAMPLE LIMIT 3",
        "SELECT * FROM SAMPLE LIMIT 1",
        "SELECT * FROM SAMPLE WHERE id = 0",
        "SELECT * FROM SAMPLE WHERE id >= 200 ORDER BY id DESC LIMIT 2 OFFSET 1",
        "SELECT class, max(text_clear), max(view_clear), min(word_clear), max(number_clear) FROM SAMPLE GROUP BY class",
        "SELECT first_value(view_clear ORDER BY id), last_value(bytes_clear ORDER BY id) FROM SAMPLE",
        "SELECT a.view_clear, b.json_clear FROM SAMPLE a JOIN SAMPLE b ON a.id = b.id WHERE a.id = 0",
        "SELECT substr(view_clear, 5, 3), left(json_clear, 4), upper(word_clear) FROM SAMPLE LIMIT 5",
        "SELECT NULLIF(view_clear, view_clear), CASE WHEN id < 0 THEN text_clear END FROM SAMPLE LIMIT 5",
    ]
    .map(str::to_string)
    .into();
    for treatment in ["clear", "none"] {
        all.extend(parts().map(|part| format!("SELECT {} FROM SAMPLE WHERE id < 100", part.replace("{}", treatment))));
    }
    all.push("SELECT json_part, substr(json_none, 1, 40), strpos(json_part, 'RAW') FROM SAMPLE".to_string());
    all
}

/// Parts of what is nested, by the end of the columns' names.
fn parts() -> impl Iterator<Item = &'static str> {
    const OF_STRUCTURES: [&str; 5] =
        ["pair_{}['word']", "get_field(pair_{}, 'count')", "map_values(map_{})", "map_keys(map_{})", "map_{}['k']"];
    const OF_LISTS: [&str; 3] = ["unnest(list_{})", "list_{}[1]", "array_to_string(list_{}, ',')"];
    let of_structures = OF_STRUCTURES.into_iter().filter(|_| KEPT == Kept::AsFiles);
    of_structures.chain(OF_LISTS)
}

/// The masks of nested columns reach into all of their parts.
fn count_parts_of_masked() -> &'static str {
    match KEPT {
        Kept::AsFiles => {
            "SELECT count(pair_none['word']) + count(pair_none['count']) + count(map_none['k']) \
             + count(list_none[1]) + count(json_none) FROM SAMPLE"
        }
        Kept::InPostgres => {
            "SELECT count(pair_none) + count(map_none) + count(list_none[1]) + count(json_none) FROM SAMPLE"
        }
    }
}

async fn asked(cluster: &Cluster, user: &str, door: &str) -> RawClient {
    let (address, authority) = match door {
        COORDINATOR => (cluster.address().to_string(), None),
        site => (cluster.site(site).address().to_string(), Some(cluster.authority())),
    };
    let client = if door == COORDINATOR { cluster.user(user).await } else { cluster.user_of_site(user, door).await };
    let mut headers = MetadataMap::new();
    headers.insert("authorization", format!("Bearer {}", client.flight().token().unwrap()).parse().unwrap());
    RawClient::new(channel(&address, authority.as_deref()).await, headers)
}

fn holds_a_hidden_day(capture: &Capture) -> bool {
    let bodies = capture.parts.iter().filter(|part| part.name.ends_with(" body"));
    bodies.into_iter().any(|body| body.bytes.windows(4).any(|window| window == HIDDEN_DAY.to_le_bytes()))
}

/// A25, A26, A27.
#[tokio::test(flavor = "multi_thread")]
async fn a25_a26_a27_nothing_of_a_hidden_value_is_left_in_the_bytes() {
    let data = sample();
    let reader =
        |(name, classes, _): (&str, &[&str], i64)| Person::new(name, "reader").holding("care").with("classes", classes);
    let governance = Governance {
        users: ASKERS.map(reader).into(),
        policies: [("health".to_string(), policies())].into(),
        ..Governance::default()
    };
    let options = Options {
        governance: Some(governance),
        site_limits: LIMITS.to_string(),
        coordinator_limits: LIMITS.to_string(),
        kept: KEPT,
        ..Options::default()
    };
    let cluster = Cluster::start_with(&data, options).await;
    let mut failures = vec![];
    for (user, classes, percent) in ASKERS {
        let sweep = Sweep::new(&canaries(classes));
        for door in ["health", COORDINATOR] {
            let at_door =
                if door == COORDINATOR { cluster.user(user).await } else { cluster.user_of_site(user, door).await };
            let table = |sql: &str| sql.replace("SAMPLE", "health.registry.sample");
            let shown = at_door.value(&table("SELECT count(*) FROM SAMPLE")).await;
            assert_eq!(shown, (percent * ROWS / 100).to_string(), "{user} at {door}");
            assert_eq!(at_door.value(&table(count_parts_of_masked())).await, "0", "A27 {user} at {door}");
            let raw = asked(&cluster, user, door).await;
            for sql in statements() {
                let capture = raw.capture(&table(&sql)).await;
                let what = format!("A25 {user} ({percent} %) at {door}: {sql}");
                if let Some(error) = capture.error() {
                    failures.push(format!("{what}\n  {error}"));
                }
                if let Some(found) = sweep.over(&capture.bytes()).first() {
                    failures.push(format!("{what}\n  CANARY: {found}"));
                }
                if holds_a_hidden_day(&capture) {
                    failures.push(format!("{what}\n  CANARY: a hidden day"));
                }
            }
        }
    }
    failures.extend(kept_by_server(&cluster, &Sweep::new(&canaries(&[]))));
    assert!(failures.is_empty(), "{} attacks had success:\n\n{}", failures.len(), beginning(&failures.join("\n\n")));
}

/// What is swept for above is in the table, in every column that holds text or numbers.
#[test]
fn the_sample_has_every_type_under_every_mask_and_its_canaries() {
    let names: Vec<String> = columns().iter().map(|(of, treatment, _)| format!("{of}_{treatment}")).collect();
    for expected in
        ["view_part", "word_name", "bytes_none", "money_coarse", "day_year", "pair_none", "map_gone", "json_part"]
    {
        assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
    }
    for (of, treatment, _) in columns() {
        let name = format!("{of}_{treatment}");
        let column = array(of, &name, &[5]);
        let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
        let mut bytes = vec![];
        let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        let found = Sweep::new(&canaries(&[])).over(&bytes);
        assert!(of == "day" || !found.is_empty(), "{name}");
    }
}
