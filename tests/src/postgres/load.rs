//! Rows into a table of a server, as text.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SendableRecordBatchStream;
use futures::{SinkExt, StreamExt};

use super::Admin;

impl Admin {
    /// Makes the table `[schema, name]` and fills it.
    pub async fn load(&self, [schema, name]: [&str; 2], mut rows: SendableRecordBatchStream) {
        let name = format!("{}.{}", quoted(schema), quoted(name));
        let column = |field: &FieldRef| format!("{} {}", quoted(field.name()), stored(field.data_type()));
        let columns: Vec<String> = rows.schema().fields().iter().map(column).collect();
        self.run(&format!("CREATE TABLE {name} ({})", columns.join(", "))).await;
        let copy = self.client.copy_in(&format!("COPY {name} FROM STDIN")).await.expect("a table");
        let mut copy = std::pin::pin!(copy);
        while let Some(batch) = rows.next().await {
            copy.send(bytes::Bytes::from(lines(&batch.expect("rows")))).await.expect("rows that fit");
        }
        copy.finish().await.expect("rows that fit");
    }
}

/// `name` as an identifier that is never folded.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn lines(batch: &RecordBatch) -> String {
    let options = FormatOptions::default().with_null("\\N");
    let columns = batch.columns().iter();
    let formats: Vec<_> = columns
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("values with a text form"))
        .collect();
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        let cell = |(column, format): (&ArrayRef, &ArrayFormatter<'_>)| match column.is_null(row) {
            true => "\\N".to_string(),
            false => format.value(row).to_string().replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n"),
        };
        let cells: Vec<String> = batch.columns().iter().zip(&formats).map(cell).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

fn stored(data_type: &DataType) -> String {
    match data_type {
        DataType::Int16 => "int2".into(),
        DataType::Int32 => "int4".into(),
        DataType::Int64 => "int8".into(),
        DataType::Float64 => "float8".into(),
        DataType::Boolean => "bool".into(),
        DataType::Date32 => "date".into(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision}, {scale})"),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Utf8 => "text".into(),
        other => panic!("no column of {other} is expected"),
    }
}
