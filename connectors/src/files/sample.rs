//! Text files declare neither types nor row counts: both are taken from the beginning of each file, or from all of it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::reader::infer_json_schema;
use bytes::Bytes;
use datafusion_common::Statistics;
use datafusion_common::stats::Precision;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::config::{CsvFormat, Format};
use super::listing::ListedFile;
use super::root::fault;
use super::schema::FileSchema;
use super::text::{ByteStream, RecordDecoder, RecordShape, csv_format, decode_records, transcode, unreadable};
use crate::error::ConnectorError;

/// How much of a file is looked at, after transcoding. Smaller files are read whole.
pub(super) const SAMPLE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much of a file is read at once.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// Chunks that are being read while one is decoded, and kept in memory.
const CHUNKS_AHEAD: usize = 2;
/// Rows of a batch while rows are counted.
const BATCH_ROWS: usize = 8192;

/// The beginning of one file: whole records, as UTF-8.
#[derive(Debug)]
pub(super) struct Sample {
    shown: String,
    file_bytes: usize,
    text: Bytes,
    is_whole: bool,
}

impl Sample {
    /// Reads the beginning of `file`.
    pub(super) async fn take(
        store: &Arc<dyn ObjectStore>,
        file: &ListedFile,
        format: &Format,
    ) -> Result<Self, ConnectorError> {
        let mut input = open(store, file, format).await?;
        let mut text = Vec::new();
        while text.len() < SAMPLE_BYTES_MAX {
            match input.try_next().await? {
                Some(chunk) => text.extend_from_slice(&chunk),
                None => return Ok(Self::new(file, text, true)),
            }
        }
        let quote = match format {
            Format::Csv(csv) => Some(csv.quote),
            Format::Ndjson | Format::Parquet => None,
        };
        text.truncate(end_of_records(&text, quote));
        if text.is_empty() {
            return Err(ConnectorError::invalid_data(
                file.shown(),
                format!("has no end of a record in its first {SAMPLE_BYTES_MAX} bytes"),
                "correct the file, or the table's `format` and `quote`",
            ));
        }
        Ok(Self::new(file, text, false))
    }

    fn new(file: &ListedFile, text: Vec<u8>, is_whole: bool) -> Self {
        let file_bytes = usize::try_from(file.meta.size).unwrap_or(usize::MAX);
        Self { shown: file.shown().to_owned(), file_bytes, text: Bytes::from(text), is_whole }
    }

    /// How much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The columns that the sample shows; a column without a value is of type Null.
    pub(super) fn schema(&self, format: &Format) -> Result<FileSchema, ConnectorError> {
        let schema = match format {
            Format::Csv(csv) => self.csv_schema(csv)?,
            Format::Ndjson | Format::Parquet => self.ndjson_schema()?,
        };
        Ok(FileSchema { shown: self.shown.clone(), schema: Arc::new(schema) })
    }

    /// Rows, exactly if the file was read whole; every record of the sample is decoded by `schema`, so that what does
    /// not fit it is found now.
    pub(super) async fn statistics(&self, format: &Format, schema: &SchemaRef) -> Result<Statistics, ConnectorError> {
        let projection = (0..schema.fields().len()).collect();
        let shape = RecordShape { schema: Arc::clone(schema), projection, batch_rows: BATCH_ROWS };
        let decoder = RecordDecoder::new(format, &shape).map_err(|error| unreadable(&self.shown, error))?;
        let text = self.text.clone();
        let input = stream::once(async move { Ok(text) }).boxed();
        let rows = decode_records(input, decoder, self.shown.clone())
            .try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows()) })
            .await?;
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = self.whole_file(rows);
        statistics.total_byte_size = Precision::Inexact(self.file_bytes);
        Ok(statistics)
    }

    fn whole_file(&self, rows: usize) -> Precision<usize> {
        if self.is_whole {
            return Precision::Exact(rows);
        }
        // The file's bytes may be in another encoding than the sample's; an estimate bears that.
        let bytes_per_row = (self.text.len() / rows.max(1)).max(1);
        Precision::Inexact(self.file_bytes / bytes_per_row)
    }

    fn csv_schema(&self, csv: &CsvFormat) -> Result<Schema, ConnectorError> {
        let unreadable = |error| unreadable(&self.shown, error);
        if self.text.is_empty() {
            return Err(self.without_columns("is empty and has no line of column names"));
        }
        let format = csv_format(csv).map_err(unreadable)?;
        let (schema, _) = format.infer_schema(self.text.as_ref(), None).map_err(unreadable)?;
        match schema.fields().iter().position(|field| field.name().trim().is_empty()) {
            Some(position) => Err(self.without_columns(&format!("its column {} has no name", position + 1))),
            None => Ok(schema),
        }
    }

    fn ndjson_schema(&self) -> Result<Schema, ConnectorError> {
        let unreadable = |error| unreadable(&self.shown, error);
        let (schema, _) = infer_json_schema(self.text.as_ref(), None).map_err(unreadable)?;
        // The inference keeps names in a hash map: bring back the order in which the file has them.
        let names = names_in_order(&self.text).map_err(unreadable)?;
        let fields = names.iter().filter_map(|name| schema.field_with_name(name).ok());
        Ok(Schema::new(fields.map(with_sorted_members).collect::<Fields>()))
    }

    fn without_columns(&self, detail: &str) -> ConnectorError {
        ConnectorError::invalid_data(
            &self.shown,
            detail,
            "name every column in the first line, or write `header = false`",
        )
    }
}

/// The text of `file` from its beginning; `store` is pinned, so it is the version that was listed, or an error.
pub(super) async fn open(
    store: &Arc<dyn ObjectStore>,
    file: &ListedFile,
    format: &Format,
) -> Result<ByteStream, ConnectorError> {
    let encoding = match format {
        Format::Csv(csv) => csv.encoding,
        Format::Ndjson | Format::Parquet => encoding_rs::UTF_8,
    };
    if file.meta.size == 0 {
        // An empty file has no chunk that would notice that it is not empty any more.
        store.head(&file.meta.location).await.map_err(|error| fault::of_store(file.shown(), error))?;
    }
    Ok(transcode(chunks(store, file), encoding, file.shown()))
}

/// The bytes of `file`. Each chunk is read by a call of its own, which insists on the version again.
fn chunks(store: &Arc<dyn ObjectStore>, file: &ListedFile) -> ByteStream {
    let size = file.meta.size;
    let (store, location, shown) = (Arc::clone(store), file.meta.location.clone(), file.shown().to_owned());
    let read = move |start| {
        let (store, location, shown) = (Arc::clone(&store), location.clone(), shown.clone());
        async move {
            let range = start..size.min(start + CHUNK_BYTES);
            let chunk = store.get_range(&location, range).await;
            chunk.map_err(|error| fault::of_store(&shown, error))
        }
    };
    let mut next = 0;
    let starts = std::iter::from_fn(move || {
        let start = next;
        next += CHUNK_BYTES;
        (start < size).then_some(start)
    });
    stream::iter(starts).map(read).buffered(CHUNKS_AHEAD).boxed()
}

/// The length of `text` up to and with its last line end that is not inside quotes.
fn end_of_records(text: &[u8], quote: Option<u8>) -> usize {
    let mut is_quoted = false;
    let mut end = 0;
    for (position, byte) in text.iter().enumerate() {
        if Some(*byte) == quote {
            is_quoted = !is_quoted;
        } else if *byte == b'\n' && !is_quoted {
            end = position + 1;
        }
    }
    end
}

/// The names of all records, in the order in which they first stand there.
fn names_in_order(text: &[u8]) -> Result<Vec<String>, ArrowError> {
    let mut names = Names::default();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let mut record = serde_json::Deserializer::from_slice(line);
        record.deserialize_map(&mut names).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    }
    Ok(names.ordered)
}

#[derive(Default)]
struct Names {
    ordered: Vec<String>,
    seen: HashSet<String>,
}

impl<'de> Visitor<'de> for &mut Names {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("one JSON object per line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut record: A) -> Result<(), A::Error> {
        while let Some((name, _)) = record.next_entry::<String, IgnoredAny>()? {
            if self.seen.insert(name.clone()) {
                self.ordered.push(name);
            }
        }
        Ok(())
    }
}

fn with_sorted_members(field: &Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(members) => {
            let mut members: Vec<_> = members.iter().map(|member| with_sorted_members(member)).collect();
            members.sort_by(|left, right| left.name().cmp(right.name()));
            DataType::Struct(members.into())
        }
        DataType::List(item) => DataType::List(with_sorted_members(item)),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_ends_with_a_whole_record() {
        let check = |text: &str, expect: &str| {
            assert_eq!(end_of_records(text.as_bytes(), Some(b'"')), expect.len());
            assert!(text.starts_with(expect));
        };
        check("a\nb\nc", "a\nb\n");
        check("a\n\"b\nc", "a\n");
        check("a\n\"b\n\"\"c\"\nd", "a\n\"b\n\"\"c\"\n");
        check("abc", "");
    }

    #[test]
    fn names_keep_the_order_in_which_the_file_has_them() {
        let text = b"{\"z\": 1, \"a\": {\"q\": 2}}\n\n{\"m\": 1, \"a\": null}";
        assert_eq!(names_in_order(text).unwrap(), ["z", "a", "m"]);
        assert!(names_in_order(b"[1]").is_err());
    }
}
