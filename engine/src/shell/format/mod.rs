//! How an answer's record batches become text on standard output: one file for each format, the last step of a query.

mod binary;
mod cell;
mod csv;
mod json;
mod markdown;
mod table;
mod tsv;
mod vertical;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;

use super::error::ShellError;

pub(super) use self::cell::printable;

/// The formats of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns, for people
    Table,
    /// A line for each value, for wide rows
    Vertical,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header; NULL is \N
    Tsv,
    /// One JSON array of objects, a row a line
    Json,
    /// A Markdown table
    Markdown,
    /// An Arrow IPC file
    Arrow,
    /// A Parquet file
    Parquet,
}

/// Writes one answer, batch by batch, as it arrives. Between two calls everything that can be written has been.
pub(super) trait ResultWriter {
    /// Writes the rows of `batch`, which has the schema that the writer was made for; it may have no rows.
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError>;

    /// Ends the answer; also one that had no batch is then a whole answer in its format.
    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError>;
}

impl Format {
    /// # Errors
    /// When the format has no place for a type of the schema.
    pub(super) fn writer(self, schema: SchemaRef) -> Result<Box<dyn ResultWriter + Send>, ShellError> {
        Ok(match self {
            Self::Table => Box::new(table::TableWriter::new(&schema)),
            Self::Vertical => Box::new(vertical::VerticalWriter::new(&schema)),
            Self::Csv => Box::new(csv::CsvWriter::new(schema)),
            Self::Tsv => Box::new(tsv::TsvWriter::new(schema)),
            Self::Json => Box::new(json::JsonWriter::new(&schema)),
            Self::Markdown => Box::new(markdown::MarkdownWriter::new(schema)),
            Self::Arrow => Box::new(binary::ArrowFileWriter::new(&schema)?),
            Self::Parquet => Box::new(binary::ParquetWriter::new(schema)?),
        })
    }

    /// Whether an answer is a file of its own: no text, and nothing follows it.
    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }

    /// The names of all, as a sentence lists them.
    pub(super) fn names() -> String {
        let names: Vec<&str> = Self::value_variants().iter().map(|format| format.name()).collect();
        match names.split_last() {
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Vertical => "vertical",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Int32Type, Schema};

    use super::*;

    fn written(format: Format, schema: SchemaRef, batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let mut writer = format.writer(schema).unwrap();
        for batch in batches {
            writer.write(batch, &mut out).unwrap();
        }
        writer.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn check(format: Format, columns: Vec<(&str, ArrayRef)>, expect: &str) {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
                .unwrap();
        // However the rows are cut into batches, empty ones among them, the text is the same.
        let halves = [
            batch.slice(0, batch.num_rows() / 2),
            batch.slice(0, 0),
            batch.slice(batch.num_rows() / 2, batch.num_rows() - batch.num_rows() / 2),
        ];
        assert_eq!(written(format, batch.schema(), &[batch]), expect);
        assert_eq!(written(format, halves[0].schema(), &halves), expect);
    }

    fn trouble() -> Vec<(&'static str, ArrayRef)> {
        vec![
            (
                "名称",
                Arc::new(StringArray::from(vec![Some("华东"), Some(""), None, Some("a|b\n\"c\",\\<d>\u{1b}[31m")])),
            ),
            ("n", Arc::new(Int64Array::from(vec![Some(1), Some(-20), None, Some(300)]))),
        ]
    }

    fn types() -> Vec<(&'static str, ArrayRef)> {
        vec![
            ("x", Arc::new(Float64Array::from(vec![1.5, f64::NAN]))),
            ("x", Arc::new(Decimal128Array::from(vec![1234, -5]).with_precision_and_scale(10, 2).unwrap())),
            ("b", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("l", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]))),
        ]
    }

    fn nothing() -> Vec<(&'static str, ArrayRef)> {
        vec![
            ("a", Arc::new(Int64Array::from(Vec::<i64>::new()))),
            ("b,c", Arc::new(StringArray::from(Vec::<&str>::new()))),
        ]
    }

    #[test]
    fn vertical() {
        check(
            Format::Vertical,
            trouble(),
            concat!(
                "-[ 1 ]-\n名称 | 华东\nn    | 1\n",
                "-[ 2 ]-\n名称 |\nn    | -20\n",
                "-[ 3 ]-\n名称 | NULL\nn    | NULL\n",
                "-[ 4 ]-\n名称 | a|b\n     | \"c\",\\<d>\\u{1b}[31m\nn    | 300\n",
                "(4 rows)\n\n",
            ),
        );
        check(Format::Vertical, nothing(), "(0 rows)\n\n");
    }

    #[test]
    fn tsv() {
        check(Format::Tsv, trouble(), "名称\tn\n华东\t1\n\t-20\n\\N\t\\N\na|b\\n\"c\",\\\\<d>\u{1b}[31m\t300\n");
        check(Format::Tsv, nothing(), "a\tb,c\n");
    }

    /// What a reader of the format reads back.
    fn read_back(format: Format, bytes: Vec<u8>) -> Vec<RecordBatch> {
        match format {
            Format::Arrow => arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None)
                .unwrap()
                .map(Result::unwrap)
                .collect(),
            _ => parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
                .unwrap()
                .build()
                .unwrap()
                .map(Result::unwrap)
                .collect(),
        }
    }

    #[test]
    fn binary_formats_keep_every_type_and_value() {
        for format in [Format::Arrow, Format::Parquet] {
            for mut columns in [trouble(), types(), nothing()] {
                columns.dedup_by_key(|(name, _)| *name);
                let named = columns.into_iter().map(|(name, column)| (name, column, true));
                let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
                let mut out = Vec::new();
                let mut writer = format.writer(batch.schema()).unwrap();
                for half in [
                    batch.slice(0, batch.num_rows() / 2),
                    batch.slice(batch.num_rows() / 2, batch.num_rows() - batch.num_rows() / 2),
                ] {
                    writer.write(&half, &mut out).unwrap();
                }
                writer.finish(&mut out).unwrap();
                let read = arrow::compute::concat_batches(&batch.schema(), &read_back(format, out)).unwrap();
                assert_eq!(read, batch, "{format:?}");
            }
        }
    }

    #[test]
    fn table() {
        check(
            Format::Table,
            trouble(),
            concat!(
                " 名称               |    n\n",
                "--------------------+------\n",
                " 华东               |    1\n",
                "                    |  -20\n",
                " NULL               | NULL\n",
                " a|b                |  300\n",
                " \"c\",\\<d>\\u{1b}[31m |\n",
                "(4 rows)\n\n",
            ),
        );
        check(
            Format::Table,
            types(),
            concat!(
                "   x |     x | b    | l\n",
                "-----+-------+------+-----------\n",
                " 1.5 | 12.34 | true | [1, NULL]\n",
                " NaN | -0.05 | NULL | NULL\n",
                "(2 rows)\n\n",
            ),
        );
        check(Format::Table, nothing(), " a | b,c\n---+-----\n(0 rows)\n\n");
    }

    #[test]
    fn csv() {
        check(Format::Csv, trouble(), "名称,n\n华东,1\n,-20\n,\n\"a|b\n\"\"c\"\",\\<d>\u{1b}[31m\",300\n");
        check(Format::Csv, types(), "x,x,b,l\n1.5,12.34,true,\"[1, NULL]\"\nNaN,-0.05,,\n");
        check(Format::Csv, nothing(), "a,\"b,c\"\n");
    }

    #[test]
    fn json() {
        check(
            Format::Json,
            trouble(),
            concat!(
                "[{\"名称\":\"华东\",\"n\":1},\n",
                "{\"名称\":\"\",\"n\":-20},\n",
                "{\"名称\":null,\"n\":null},\n",
                "{\"名称\":\"a|b\\n\\\"c\\\",\\\\<d>\\u001b[31m\",\"n\":300}]\n",
            ),
        );
        check(
            Format::Json,
            types(),
            concat!(
                "[{\"x\":1.5,\"x_1\":12.34,\"b\":true,\"l\":[1,null]},\n",
                "{\"x\":null,\"x_1\":-0.05,\"b\":null,\"l\":null}]\n",
            ),
        );
        check(Format::Json, nothing(), "[]\n");
    }

    #[test]
    fn markdown() {
        check(
            Format::Markdown,
            trouble(),
            concat!(
                "| 名称 | n |\n",
                "| --- | ---: |\n",
                "| 华东 | 1 |\n",
                "|  | -20 |\n",
                "| NULL | NULL |\n",
                "| a\\|b<br>\"c\",\\\\&lt;d>\\u{1b}[31m | 300 |\n\n",
            ),
        );
        check(Format::Markdown, nothing(), "| a | b,c |\n| ---: | --- |\n\n");
    }

    #[test]
    fn json_of_every_answer_parses() {
        for columns in [trouble(), types(), nothing()] {
            let batch = RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, column)| (name, column, true)),
            )
            .unwrap();
            let rows = batch.num_rows();
            let text = written(Format::Json, batch.schema(), &[batch]);
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed.as_array().unwrap().len(), rows);
        }
        assert_eq!(written(Format::Json, Arc::new(Schema::empty()), &[]), "[]\n");
    }

    #[test]
    fn a_table_longer_than_its_measure_loses_nothing() {
        let rows = table::ROWS_MEASURED_MAX + 10;
        let values = (0..rows).map(|row| "x".repeat(1 + row / table::ROWS_MEASURED_MAX * 30));
        let batch =
            RecordBatch::try_from_iter([("v", Arc::new(StringArray::from_iter_values(values.clone())) as ArrayRef)])
                .unwrap();
        let text = written(Format::Table, batch.schema(), &[batch]);
        let body: Vec<&str> = text.lines().skip(2).take(rows).map(str::trim).collect();
        assert_eq!(body, values.collect::<Vec<_>>());
        assert!(text.ends_with(&format!("({rows} rows)\n\n")));
    }
}
