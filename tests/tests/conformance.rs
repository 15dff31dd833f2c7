//! The connectors' own suite, run for `files` in every layout it offers; and what only files can get wrong.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Schema};
use arrow::json::LineDelimitedWriter;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use connectors::conformance::{FixtureTable, Place, run};
use connectors::{Connector, ConnectorError, Source};
use datafusion::prelude::SessionContext;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// What a NULL is written as in CSV, so that the empty text stays a text.
const NULL: &str = "\\N";
/// Files of a table that has several.
const PARTS: usize = 3;

/// How a table's rows are laid out in files.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    OneFile,
    ManyFiles,
}

/// A directory with tables in one format and layout.
#[derive(Debug)]
struct Directory {
    root: TempDir,
    format: &'static str,
    layout: Layout,
    /// The encoding of text, where it is not UTF-8 anyway.
    encoding: Option<&'static str>,
}

impl Directory {
    fn new(format: &'static str, layout: Layout) -> Self {
        Self {
            root: TempDir::new().unwrap(),
            format,
            layout,
            encoding: None,
        }
    }

    async fn open(&self, tables: Vec<toml::Table>) -> Result<Arc<dyn Source>, ConnectorError> {
        let options = options(tables);
        connectors::registry::open("files", "fixture", options, self.root.path()).await
    }

    fn write(&self, table: &FixtureTable, encoding: Option<&str>) {
        let path = self.root.path().join(&table.name);
        match self.layout {
            Layout::OneFile => {
                self.write_file(&path.with_extension(self.format), &table.rows, encoding)
            }
            Layout::ManyFiles => {
                let rows = table.rows.num_rows();
                let part_rows = rows.div_ceil(PARTS);
                for part in 0..PARTS {
                    let start = (part * part_rows).min(rows);
                    let slice = table.rows.slice(start, part_rows.min(rows - start));
                    self.write_file(
                        &path.join(format!("第{part}.{}", self.format)),
                        &slice,
                        encoding,
                    );
                }
            }
        }
    }

    /// Written aside and renamed, as careful writers do; a new file even where the content is the same.
    fn write_file(&self, path: &Path, rows: &RecordBatch, encoding: Option<&str>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let aside = self.root.path().join(".aside");
        match self.format {
            "parquet" => {
                let mut writer =
                    ArrowWriter::try_new(File::create(&aside).unwrap(), rows.schema(), None)
                        .unwrap();
                writer.write(rows).unwrap();
                writer.close().unwrap();
            }
            "csv" => fs::write(&aside, encoded(csv(rows), encoding)).unwrap(),
            "ndjson" => fs::write(&aside, ndjson(rows)).unwrap(),
            other => panic!("no such format: {other}"),
        }
        fs::rename(&aside, path).unwrap();
    }

    fn table_options(&self, table: &FixtureTable, encoding: Option<&str>) -> toml::Table {
        let path = match self.layout {
            Layout::OneFile => format!("{}.{}", table.name, self.format),
            Layout::ManyFiles => table.name.clone(),
        };
        let mut options = toml::Table::new();
        options.insert("name".into(), table.name.clone().into());
        options.insert("path".into(), path.into());
        if self.format != "parquet" {
            let types = types(&table.rows.schema());
            let schema = match self.format {
                "csv" => types.into_iter().collect::<toml::Table>().into(),
                _ => ordered(types).into(),
            };
            options.insert("schema".into(), schema);
        }
        if self.format == "csv" {
            options.insert("null_text".into(), vec![NULL].into());
        }
        if let Some(encoding) = encoding {
            options.insert("encoding".into(), encoding.into());
        }
        options
    }

    async fn load_in(
        &self,
        tables: &[FixtureTable],
        encoding: Option<&str>,
    ) -> Result<Arc<dyn Source>, ConnectorError> {
        empty(self.root.path());
        tables.iter().for_each(|table| self.write(table, encoding));
        self.open(
            tables
                .iter()
                .map(|table| self.table_options(table, encoding))
                .collect(),
        )
        .await
    }
}

#[async_trait]
impl Place for Directory {
    fn connector(&self) -> &'static dyn Connector {
        connectors::registry::connectors()
            .into_iter()
            .find(|connector| connector.kind() == "files")
            .unwrap()
    }

    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError> {
        self.load_in(tables, self.encoding).await
    }

    async fn load_encoded(
        &self,
        tables: &[FixtureTable],
        label: &str,
    ) -> Result<Arc<dyn Source>, ConnectorError> {
        self.load_in(tables, Some(label)).await
    }

    async fn load_partitioned(
        &self,
        table: &FixtureTable,
        column: &str,
    ) -> Result<Arc<dyn Source>, ConnectorError> {
        empty(self.root.path());
        let schema = table.rows.schema();
        let position = schema.index_of(column).unwrap();
        let others: Vec<_> = (0..schema.fields().len())
            .filter(|other| *other != position)
            .collect();
        for row in 0..table.rows.num_rows() {
            let value = array_value_to_string(table.rows.column(position), row).unwrap();
            let rest = table.rows.slice(row, 1).project(&others).unwrap();
            let path = self
                .root
                .path()
                .join(&table.name)
                .join(format!("{column}={value}"));
            self.write_file(
                &path.join(format!("{row}.{}", self.format)),
                &rest,
                self.encoding,
            );
        }
        let whole = FixtureTable {
            name: table.name.clone(),
            rows: table.rows.project(&others).unwrap(),
        };
        let mut options = self.table_options(&whole, self.encoding);
        options.insert("path".into(), table.name.clone().into());
        self.open(vec![options]).await
    }

    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError> {
        self.write(table, self.encoding);
        Ok(())
    }
}

fn options(tables: Vec<toml::Table>) -> toml::Table {
    let mut options = toml::Table::new();
    options.insert("root".into(), ".".into());
    if !tables.is_empty() {
        options.insert("table".into(), tables.into());
    }
    options
}

/// Types by column, in order.
fn types(schema: &Schema) -> Vec<(String, toml::Value)> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let written = match field.data_type() {
                DataType::Timestamp(_, None) => "Timestamp(µs)".to_owned(),
                other => other.to_string(),
            };
            (field.name().clone(), written.into())
        })
        .collect()
}

/// The list form of a declaration.
fn ordered(types: Vec<(String, toml::Value)>) -> Vec<String> {
    let written = |(name, data_type): (String, toml::Value)| {
        format!("{name}:{}", data_type.as_str().unwrap())
    };
    types.into_iter().map(written).collect()
}

fn csv(rows: &RecordBatch) -> String {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_null(NULL.to_owned())
        .build(&mut text);
    writer.write(rows).unwrap();
    drop(writer);
    String::from_utf8(text).unwrap()
}

fn ndjson(rows: &RecordBatch) -> Vec<u8> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(rows).unwrap();
    writer.finish().unwrap();
    drop(writer);
    text
}

fn encoded(text: String, label: Option<&str>) -> Vec<u8> {
    match label {
        None => text.into_bytes(),
        Some(label) => {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, _, had_errors) = encoding.encode(&text);
            assert!(!had_errors);
            bytes.into_owned()
        }
    }
}

fn empty(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }
}

/// Checks of the suite; a check that is dropped from it must be dropped here, too.
const CHECKS: usize = 16;

async fn check(place: Directory) {
    let state = SessionContext::new().state();
    match run(&place, &state).await {
        Ok(held) => assert_eq!(held.len(), CHECKS, "{held:?}"),
        Err(failures) => {
            let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
            panic!("{place:?}\n{}", failures.join("\n"));
        }
    }
}

#[tokio::test]
async fn files_parquet() {
    check(Directory::new("parquet", Layout::OneFile)).await;
}

#[tokio::test]
async fn files_parquet_many() {
    check(Directory::new("parquet", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn files_csv() {
    check(Directory::new("csv", Layout::OneFile)).await;
}

#[tokio::test]
async fn files_csv_many() {
    check(Directory::new("csv", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn files_csv_gb18030() {
    check(Directory {
        encoding: Some("gb18030"),
        ..Directory::new("csv", Layout::OneFile)
    })
    .await;
}

#[tokio::test]
async fn files_ndjson() {
    check(Directory::new("ndjson", Layout::OneFile)).await;
}

#[tokio::test]
async fn files_ndjson_many() {
    check(Directory::new("ndjson", Layout::ManyFiles)).await;
}

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
            lines.push(
                batch
                    .columns()
                    .iter()
                    .map(cell)
                    .collect::<Vec<_>>()
                    .join("|"),
            );
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
    let names: Vec<_> = source
        .tables()
        .await
        .unwrap()
        .iter()
        .map(|table| table.name.clone())
        .collect();
    assert_eq!(names, ["t", "航班"]);
    fs::write(root.path().join("later.csv"), "a\n1\n").unwrap();
    assert_eq!(source.tables().await.unwrap().len(), 3);
}

#[tokio::test]
async fn partitions_are_columns_with_declared_types_and_nulls() {
    let root = root(&[
        ("t/year=2023/region=a%2Fb/1.csv", "x\n1\n"),
        (
            "t/year=2024/region=__HIVE_DEFAULT_PARTITION__/1.csv",
            "x\n2\n3\n",
        ),
    ]);
    let declared = "[[table]]\nname='t'\npath='t'\npartitions=['year:Int32','region']";
    let rows = answer(
        &root,
        declared,
        "SELECT x, year + 1, region FROM t ORDER BY x",
    )
    .await
    .unwrap();
    assert_eq!(rows, "1|2024|a/b\n2|2025|NULL\n3|2025|NULL");
    let nulls = answer(
        &root,
        declared,
        "SELECT count(*), count(region), max(year) FROM t WHERE region IS NULL",
    )
    .await;
    assert_eq!(nulls.unwrap(), "2|0|2024");
    let inferred = "[[table]]\nname='t'\npath='t'";
    assert_eq!(
        answer(
            &root,
            inferred,
            "SELECT min(year), count(*) FROM t WHERE year = '2024'"
        )
        .await
        .unwrap(),
        "2024|2"
    );
    let wrong = "[[table]]\nname='t'\npath='t'\npartitions=['year:Int32','area']";
    assert!(
        refusal(&root, wrong)
            .await
            .contains("its directories should be `year=…/area=…/`")
    );
}

#[tokio::test]
async fn files_of_one_table_agree_or_are_named() {
    let root = root(&[("t/1.csv", "a,b\n1,2\n"), ("t/2.csv", "b,a\n1,2\n")]);
    let error = refusal(&root, "").await;
    assert!(
        error.starts_with("t/2.csv: column 1 is `b` where t/1.csv has `a`"),
        "{error}"
    );
    fs::write(root.path().join("t/2.csv"), "a\n1\n").unwrap();
    let error = refusal(&root, "").await;
    assert!(
        error.starts_with("t/2.csv: has no column `b`, which t/1.csv has"),
        "{error}"
    );
    fs::write(root.path().join("t/2.csv"), "a,b\n1.5,x\n").unwrap();
    assert_eq!(
        answer(&root, "", "SELECT sum(a), max(b) FROM t")
            .await
            .unwrap(),
        "2.5|x"
    );
    fs::write(root.path().join("t/notes.txt"), "hello").unwrap();
    assert!(
        refusal(&root, "")
            .await
            .starts_with("t/notes.txt: is not a csv file by its name")
    );
    let glob = "[[table]]\nname='t'\npath='t/*.csv'";
    assert_eq!(
        answer(&root, glob, "SELECT count(*) FROM t").await.unwrap(),
        "2"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn no_path_leads_out_of_the_root() {
    let outside = root(&[("secret.csv", "a\n1\n")]);
    let root = root(&[("inside.csv", "a\n1\n")]);
    std::os::unix::fs::symlink(outside.path().join("secret.csv"), root.path().join("t.csv"))
        .unwrap();
    assert!(
        refusal(&root, "")
            .await
            .starts_with("t.csv: leads out of the source's root")
    );
    std::os::unix::fs::symlink(outside.path(), root.path().join("d")).unwrap();
    let through = "[[table]]\nname='t'\npath='d/secret.csv'";
    assert!(
        refusal(&root, through)
            .await
            .starts_with("d/secret.csv: leads out of the source's root")
    );
    let glob = "[[table]]\nname='t'\npath='d/*.csv'";
    assert!(
        refusal(&root, glob)
            .await
            .contains("leads out of the source's root")
    );
    for path in ["../x.csv", "/etc/passwd", "a/../../x.csv", ""] {
        let error = refusal(&root, &format!("[[table]]\nname='t'\npath='{path}'")).await;
        assert!(error.contains("`table[0].path`"), "{path}: {error}");
    }
    std::os::unix::fs::symlink(
        root.path().join("inside.csv"),
        root.path().join("alias.csv"),
    )
    .unwrap();
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
    let table =
        "[[table]]\nname='t'\npath='t.csv'\ndelimiter=';'\nnull_text=['NA']\nschema={code='Utf8'}";
    assert_eq!(
        answer(&root, table, "SELECT code, n FROM t").await.unwrap(),
        "00123|1\nNULL|NULL"
    );
    let absent = "[[table]]\nname='t'\npath='t.csv'\ndelimiter=';'\nschema={cod='Utf8'}";
    assert!(
        refusal(&root, absent)
            .await
            .starts_with("column `cod`: is declared under `schema` and stands in no file")
    );
    fs::write(root.path().join("t.csv"), b"a\n\xB1\xB1\n").unwrap();
    assert!(
        refusal(&root, "")
            .await
            .starts_with("t.csv: has a record that does not fit")
    );
    let gbk = "[[table]]\nname='t'\npath='t.csv'\nencoding='gbk'";
    assert_eq!(answer(&root, gbk, "SELECT a FROM t").await.unwrap(), "北");
    fs::write(root.path().join("t.csv"), b"a\n\xFF\xFF\n").unwrap();
    assert!(
        refusal(&root, gbk)
            .await
            .starts_with("t.csv: is not GBK at byte")
    );
}
