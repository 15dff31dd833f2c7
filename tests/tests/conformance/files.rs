//! What only files can get wrong: links, disagreement, text that lies, bounds and layouts of Parquet.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray, RecordBatch,
    StringViewArray,
};
use arrow::datatypes::{DataType, Int32Type};
use arrow::util::display::array_value_to_string;
use connectors::{ConnectorError, Source};
use datafusion::prelude::SessionContext;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// A root with some files, for the tests below.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, content) in files {
        let path: PathBuf = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

async fn open(root: &TempDir, table: &str) -> Result<Arc<dyn Source>, ConnectorError> {
    let text = format!("root = '.'\n{table}");
    connectors::registry::open("files", "s", toml::from_str(&text).unwrap(), root.path()).await
}

/// The answer to `sql` over the table `t`, cell by cell, or the error of the table.
async fn answer(root: &TempDir, table: &str, sql: &str) -> Result<String, ConnectorError> {
    let ctx = SessionContext::new();
    let table = open(root, table).await?.table("t").await?;
    ctx.register_table("t", table.provider).unwrap();
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &Arc<dyn Array>| match column.is_null(row) {
                true => "NULL".to_owned(),
                false => array_value_to_string(column, row).unwrap(),
            };
            lines.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines.join("\n"))
}

async fn refusal(root: &TempDir, table: &str) -> String {
    match answer(root, table, "SELECT * FROM t").await {
        Ok(rows) => panic!("expected an error, came\n{rows}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_table_needs_no_declaration() {
    let root = root(&[
        ("航班.csv", "a,b\n1,x\n"),
        ("t/part.ndjson", "{\"z\":1}\n"),
        ("README.md", "not data"),
        (".t.csv", ""),
    ]);
    let source = open(&root, "").await.unwrap();
    let names: Vec<_> = source.tables().await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["t", "航班"]);
    fs::write(root.path().join("later.csv"), "a\n1\n").unwrap();
    assert_eq!(source.tables().await.unwrap().len(), 3);
}

#[tokio::test]
async fn partitions_are_columns_with_declared_types_and_nulls() {
    let root = root(&[
        ("t/year=2023/region=a%2Fb/1.csv", "x\n1\n"),
        ("t/year=2024/region=__HIVE_DEFAULT_PARTITION__/1.csv", "x\n2\n3\n"),
    ]);
    let declared = "[[table]]\nname='t'\npath='t'\npartitions=['year:Int32','region']";
    let rows = answer(&root, declared, "SELECT x, year + 1, region FROM t ORDER BY x").await.unwrap();
    assert_eq!(rows, "1|2024|a/b\n2|2025|NULL\n3|2025|NULL");
    let nulls = answer(&root, declared, "SELECT count(*), count(region), max(year) FROM t WHERE region IS NULL").await;
    assert_eq!(nulls.unwrap(), "2|0|2024");
    let inferred = "[[table]]\nname='t'\npath='t'";
    assert_eq!(
        answer(&root, inferred, "SELECT min(year), count(*) FROM t WHERE year = '2024'").await.unwrap(),
        "2024|2"
    );
    let wrong = "[[table]]\nname='t'\npath='t'\npartitions=['year:Int32','area']";
    assert!(refusal(&root, wrong).await.contains("its directories should be `year=…/area=…/`"));
}

#[tokio::test]
async fn files_of_one_table_agree_or_are_named() {
    let root = root(&[("t/1.csv", "a,b\n1,2\n"), ("t/2.csv", "b,a\n1,2\n")]);
    let error = refusal(&root, "").await;
    assert!(error.starts_with("t/2.csv: column 1 is `b` where t/1.csv has `a`"), "{error}");
    fs::write(root.path().join("t/2.csv"), "a\n1\n").unwrap();
    let error = refusal(&root, "").await;
    assert!(error.starts_with("t/2.csv: has no column `b`, which t/1.csv has"), "{error}");
    fs::write(root.path().join("t/2.csv"), "a,b\n1.5,x\n").unwrap();
    assert_eq!(answer(&root, "", "SELECT sum(a), max(b) FROM t").await.unwrap(), "2.5|x");
    fs::write(root.path().join("t/notes.txt"), "hello").unwrap();
    assert!(refusal(&root, "").await.starts_with("t/notes.txt: is not a csv file by its name"));
    let glob = "[[table]]\nname='t'\npath='t/*.csv'";
    assert_eq!(answer(&root, glob, "SELECT count(*) FROM t").await.unwrap(), "2");
}

#[cfg(unix)]
#[tokio::test]
async fn no_path_leads_out_of_the_root() {
    let outside = root(&[("secret.csv", "a\n1\n")]);
    let root = root(&[("inside.csv", "a\n1\n")]);
    std::os::unix::fs::symlink(outside.path().join("secret.csv"), root.path().join("t.csv")).unwrap();
    assert!(refusal(&root, "").await.starts_with("t.csv: leads out of the source's root"));
    std::os::unix::fs::symlink(outside.path(), root.path().join("d")).unwrap();
    let through = "[[table]]\nname='t'\npath='d/secret.csv'";
    assert!(refusal(&root, through).await.starts_with("d/secret.csv: leads out of the source's root"));
    let glob = "[[table]]\nname='t'\npath='d/*.csv'";
    assert!(refusal(&root, glob).await.contains("leads out of the source's root"));
    for path in ["../x.csv", "/etc/passwd", "a/../../x.csv", ""] {
        let error = refusal(&root, &format!("[[table]]\nname='t'\npath='{path}'")).await;
        assert!(error.contains("`table[0].path`"), "{path}: {error}");
    }
    std::os::unix::fs::symlink(root.path().join("inside.csv"), root.path().join("alias.csv")).unwrap();
    let within = "[[table]]\nname='t'\npath='alias.csv'";
    assert_eq!(answer(&root, within, "SELECT a FROM t").await.unwrap(), "1");
}

#[tokio::test]
async fn every_fault_of_the_options_is_named() {
    let root = root(&[("a.csv", "a\n1\n"), ("b.parquet", "")]);
    let text = "root = '.'\nroots = 1\n[[table]]\nname = 'a'\npath = 'a.csv'\ndelimiter = ',,'\nencoding = 'gb'\n\
                schema = { a = 'Int' }\n[[table]]\nname = 'a'\npath = 'b.parquet'\nquote = \"'\"\nschema = { a = 'Utf8' }\n\
                [[table]]\npath = 'c.csv'\nformat = 'xml'";
    let faults = connectors::registry::check("files", &toml::from_str(text).unwrap(), root.path());
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "table[0].delimiter",
            "table[0].encoding",
            "table[0].schema",
            "table[1].quote",
            "table[1].schema",
            "table[2].name",
            "table[2].path",
            "table[2].format",
            "table",
            "roots",
        ],
        "{faults:?}"
    );
}

#[tokio::test]
async fn text_is_read_as_declared_or_not_at_all() {
    let root = root(&[("t.csv", "\u{feff}code;n\n00123;1\nNA;NA\n")]);
    let table = "[[table]]\nname='t'\npath='t.csv'\ndelimiter=';'\nnull_text=['NA']\nschema={code='Utf8'}";
    assert_eq!(answer(&root, table, "SELECT code, n FROM t").await.unwrap(), "00123|1\nNULL|NULL");
    let absent = "[[table]]\nname='t'\npath='t.csv'\ndelimiter=';'\nschema={cod='Utf8'}";
    assert!(refusal(&root, absent).await.starts_with("column `cod`: is declared under `schema` and stands in no file"));
    fs::write(root.path().join("t.csv"), b"a\n\xB1\xB1\n").unwrap();
    assert!(refusal(&root, "").await.starts_with("t.csv: has a record that does not fit"));
    let gbk = "[[table]]\nname='t'\npath='t.csv'\nencoding='gbk'";
    assert_eq!(answer(&root, gbk, "SELECT a FROM t").await.unwrap(), "北");
    fs::write(root.path().join("t.csv"), b"a\n\xFF\xFF\n").unwrap();
    assert!(refusal(&root, gbk).await.starts_with("t.csv: is not GBK at byte"));
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)));
    let rows = rows.unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn parquet_layouts_become_plain_types() {
    let root = root(&[]);
    let views: ArrayRef =
        Arc::new(StringViewArray::from(vec![Some("北京"), None, Some("a long enough text to be a view")]));
    let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("x"), Some("y"), None]));
    let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["1", "2", "3"]));
    write_parquet(&root.path().join("t.parquet"), vec![("v", views), ("d", words), ("l", large)]);
    let table = open(&root, "").await.unwrap().table("t").await.unwrap();
    let types: Vec<_> = table.description.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Utf8, DataType::Utf8]);
    let bound = &table.description.statistics.column_statistics[1].max_value;
    assert_eq!(bound.get_value().unwrap().data_type(), DataType::Utf8);
    let rows = answer(&root, "", "SELECT l, v FROM t WHERE d = 'x' OR v LIKE 'a long%' ORDER BY l").await.unwrap();
    assert_eq!(rows, "1|北京\n3|a long enough text to be a view");
    assert_eq!(answer(&root, "", "SELECT max(d), min(l), count(v) FROM t").await.unwrap(), "y|1|2");
}

#[tokio::test]
async fn parquet_files_of_one_table_agree_or_are_named() {
    let root = root(&[]);
    let whole = || Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
    let narrow = || Arc::new(Int32Array::from(vec![3, 4])) as ArrayRef;
    write_parquet(&root.path().join("t/1.parquet"), vec![("a", whole()), ("b", narrow())]);
    write_parquet(&root.path().join("t/2.parquet"), vec![("b", narrow()), ("a", whole())]);
    assert_eq!(answer(&root, "", "SELECT sum(a), sum(b) FROM t").await.unwrap(), "6|14");
    write_parquet(&root.path().join("t/2.parquet"), vec![("a", narrow()), ("b", narrow())]);
    assert!(refusal(&root, "").await.starts_with("t/2.parquet: column `a` is Int32 where t/1.parquet has Int64"));
    write_parquet(&root.path().join("t/2.parquet"), vec![("a", whole())]);
    assert!(refusal(&root, "").await.starts_with("t/2.parquet: has no column `b`, which t/1.parquet has"));
    fs::write(root.path().join("t/2.parquet"), "not parquet").unwrap();
    assert!(refusal(&root, "").await.starts_with("t/2.parquet: cannot be read as parquet"));
}

/// Bounds that a file without values borrows for the table as a whole must not answer for that file alone.
#[tokio::test]
async fn bounds_are_of_the_files_that_are_read() {
    let root = root(&[]);
    let some: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(9)]));
    let none: ArrayRef = Arc::new(Int64Array::from(vec![None, None]));
    write_parquet(&root.path().join("t/y=1/a.parquet"), vec![("x", some)]);
    write_parquet(&root.path().join("t/y=2/a.parquet"), vec![("x", none)]);
    let sql = "SELECT min(x), max(x), count(x), count(*) FROM t";
    assert_eq!(answer(&root, "", sql).await.unwrap(), "5|9|2|4");
    assert_eq!(answer(&root, "", &format!("{sql} WHERE y = '2'")).await.unwrap(), "NULL|NULL|0|2");
    assert_eq!(answer(&root, "", &format!("{sql} WHERE x IS NULL")).await.unwrap(), "NULL|NULL|0|2");
}

#[tokio::test]
async fn a_bound_never_hides_nan() {
    let root = root(&[]);
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.0]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    write_parquet(&root.path().join("t.parquet"), vec![("x", values), ("n", numbers)]);
    for sql in [
        "SELECT max(x) FROM t",
        "SELECT x FROM t WHERE x > 5",
        "SELECT x FROM t WHERE x = 'NaN'",
        "SELECT x FROM t ORDER BY x DESC LIMIT 1",
        "SELECT x FROM t WHERE x > 5 AND n < 3",
    ] {
        assert_eq!(answer(&root, "", sql).await.unwrap(), "NaN", "{sql}");
    }
    // Other columns of the same table prune.
    let plan = answer(&root, "", "EXPLAIN SELECT x FROM t WHERE n > 5 AND x > 5").await.unwrap();
    assert!(plan.contains("pruning_predicate=n_null_count"), "{plan}");
    assert!(!plan.contains("x_null_count"), "{plan}");
}

/// Longer than the sample, so rows are an estimate, and a line end in quotes may stand where the sample ends.
#[tokio::test]
async fn a_long_text_is_sampled_and_read_whole() {
    let lines = 250_000;
    let text: String = (0..lines).map(|line| format!("{line},\"two\nlines of row {line}, 北京 and more\"\n")).collect();
    let root = root(&[("t.csv", &format!("n,text\n{text}"))]);
    let table = open(&root, "").await.unwrap().table("t").await.unwrap();
    let rows = table.description.statistics.num_rows;
    assert_eq!(rows.is_exact(), Some(false));
    assert!(rows.get_value().unwrap().abs_diff(lines) < lines / 10, "{rows:?}");
    let sql = "SELECT count(*), sum(n), count(DISTINCT text) FROM t";
    assert_eq!(answer(&root, "", sql).await.unwrap(), format!("{lines}|{}|{lines}", lines * (lines - 1) / 2));
}

#[tokio::test]
async fn a_name_that_the_sample_lacks_is_an_error_not_a_gap() {
    let mut text: String = (0..400_000).map(|line| format!("{{\"n\":{line},\"text\":\"some text\"}}\n")).collect();
    text.push_str("{\"n\":1,\"late\":2}\n");
    let root = root(&[("t.ndjson", &text)]);
    let table = open(&root, "").await.unwrap().table("t").await.unwrap();
    let ctx = SessionContext::new();
    ctx.register_table("t", table.provider).unwrap();
    let error = ctx.sql("SELECT sum(n) FROM t").await.unwrap().collect().await.unwrap_err();
    let ours = ConnectorError::find(&error).unwrap();
    assert!(matches!(ours, ConnectorError::InvalidData { .. }), "{ours:?}");
    let declared = "[[table]]\nname='t'\npath='t.ndjson'\nschema={late='Int64'}";
    assert_eq!(answer(&root, declared, "SELECT count(*), sum(late) FROM t").await.unwrap(), "400001|2");
}
