//! How an answer's record batches become text on standard output: one file for each format, the last step of a query.

mod cell;
mod csv;
mod json;
mod markdown;
mod table;

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
    /// Comma-separated values with a header
    Csv,
    /// One JSON array of objects, a row a line
    Json,
    /// A Markdown table
    Markdown,
}

/// Writes one answer, batch by batch, as it arrives. Between two calls everything that can be written has been.
pub(super) trait ResultWriter {
    /// Writes the rows of `batch`, which has the schema that the writer was made for; it may have no rows.
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError>;

    /// Ends the answer; also one that had no batch is then a whole answer in its format.
    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError>;
}

impl Format {
    pub(super) fn writer(self, schema: SchemaRef) -> Box<dyn ResultWriter + Send> {
        match self {
            Self::Table => Box::new(table::TableWriter::new(&schema)),
            Self::Csv => Box::new(csv::CsvWriter::new(schema)),
            Self::Json => Box::new(json::JsonWriter::new(&schema)),
            Self::Markdown => Box::new(markdown::MarkdownWriter::new(schema)),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Markdown => "markdown",
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
        let mut writer = format.writer(schema);
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
