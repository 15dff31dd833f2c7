//! From a text file's bytes to record batches, streaming: transcode, split into records, decode. Memory is one batch.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::reader as csv;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::reader as json;
use bytes::{Buf, Bytes};
use encoding_rs::{DecoderResult, Encoding, UTF_8};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use regex::Regex;

use super::config::{CsvFormat, Format};
use crate::error::ConnectorError;

/// Bytes of a file in order, chunk by chunk.
pub(super) type ByteStream = BoxStream<'static, Result<Bytes, ConnectorError>>;

/// The bytes of a text file as UTF-8 without a byte order mark.
///
/// # Errors
/// Bytes that the encoding does not know: text is never replaced by a guess.
pub(super) fn transcode(input: ByteStream, encoding: &'static Encoding, location: &str) -> ByteStream {
    if encoding == UTF_8 {
        // The record decoders check UTF-8 themselves.
        return input.enumerate().map(|(position, chunk)| Ok(without_mark(chunk?, position))).boxed();
    }
    let state = Transcoder {
        input,
        decoder: encoding.new_decoder_with_bom_removal(),
        read: 0,
        ended: false,
        location: location.to_owned(),
    };
    stream::try_unfold(state, Transcoder::next_chunk).boxed()
}

fn without_mark(chunk: Bytes, position: usize) -> Bytes {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    if position == 0 && chunk.starts_with(MARK) { chunk.slice(MARK.len()..) } else { chunk }
}

struct Transcoder {
    input: ByteStream,
    decoder: encoding_rs::Decoder,
    /// Bytes taken from the input so far, to say where a fault is.
    read: usize,
    ended: bool,
    location: String,
}

impl Transcoder {
    async fn next_chunk(mut self) -> Result<Option<(Bytes, Self)>, ConnectorError> {
        while !self.ended {
            let chunk = self.input.try_next().await?;
            self.ended = chunk.is_none();
            let text = self.decode(&chunk.unwrap_or_default())?;
            if !text.is_empty() {
                return Ok(Some((text, self)));
            }
        }
        Ok(None)
    }

    fn decode(&mut self, chunk: &[u8]) -> Result<Bytes, ConnectorError> {
        let needed = self.decoder.max_utf8_buffer_length_without_replacement(chunk.len());
        let mut text = String::with_capacity(needed.unwrap_or(chunk.len().saturating_mul(4)));
        let (result, read) = self.decoder.decode_to_string_without_replacement(chunk, &mut text, self.ended);
        self.read += read;
        if result == DecoderResult::InputEmpty {
            return Ok(Bytes::from(text));
        }
        Err(ConnectorError::invalid_data(
            &self.location,
            format!("is not {} at byte {}", self.decoder.encoding().name(), self.read),
            "correct the file, or declare its `encoding`",
        ))
    }
}

/// Splits UTF-8 into records and decodes them by a schema.
#[derive(Debug)]
pub(super) enum RecordDecoder {
    Csv(Box<csv::Decoder>),
    Ndjson(Box<json::Decoder>),
}

/// What a decoder is to make of each record.
#[derive(Debug, Clone)]
pub(super) struct RecordShape {
    /// All columns of the file.
    pub(super) schema: SchemaRef,
    /// Positions in `schema` of the columns to produce, in order.
    pub(super) projection: Vec<usize>,
    pub(super) batch_rows: usize,
}

impl RecordDecoder {
    pub(super) fn new(format: &Format, shape: &RecordShape) -> Result<Self, ArrowError> {
        match format {
            Format::Csv(format) => {
                let decoder = csv::ReaderBuilder::new(Arc::clone(&shape.schema))
                    .with_format(csv_format(format)?)
                    .with_projection(shape.projection.clone())
                    .with_batch_size(shape.batch_rows)
                    .build_decoder();
                Ok(Self::Csv(Box::new(decoder)))
            }
            // Strict and over all columns: a key that the schema lacks is an error, never a column that is not there.
            Format::Ndjson => json::ReaderBuilder::new(Arc::clone(&shape.schema))
                .with_coerce_primitive(true)
                .with_strict_mode(true)
                .with_batch_size(shape.batch_rows)
                .build_decoder()
                .map(|decoder| Self::Ndjson(Box::new(decoder))),
            Format::Parquet => Err(ArrowError::NotYetImplemented("parquet is not text".to_owned())),
        }
    }

    fn decode(&mut self, text: &[u8]) -> Result<usize, ArrowError> {
        match self {
            Self::Csv(decoder) => decoder.decode(text),
            Self::Ndjson(decoder) => decoder.decode(text),
        }
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self {
            Self::Csv(decoder) => decoder.flush(),
            Self::Ndjson(decoder) => decoder.flush(),
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Csv(decoder) => decoder.capacity() == 0,
            // It takes no byte more when it is full.
            Self::Ndjson(_) => false,
        }
    }
}

/// How arrow is to split delimited text; the same for inferring a schema and for reading.
pub(super) fn csv_format(format: &CsvFormat) -> Result<csv::Format, ArrowError> {
    let nulls: Vec<_> = format.null_texts.iter().map(|text| regex::escape(text)).collect();
    // No declared text: a class that matches nothing.
    let pattern = if nulls.is_empty() { "[^\\s\\S]".to_owned() } else { format!("^(?:{})$", nulls.join("|")) };
    let null_regex = Regex::new(&pattern).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    Ok(csv::Format::default()
        .with_header(format.has_header)
        .with_delimiter(format.delimiter)
        .with_quote(format.quote)
        .with_null_regex(null_regex))
}

/// Decodes `input` batch by batch; errors name `location`.
pub(super) fn decode_records(
    input: ByteStream,
    decoder: RecordDecoder,
    location: String,
) -> BoxStream<'static, Result<RecordBatch, ConnectorError>> {
    let state = Reading { input, buffered: Bytes::new(), ended: false, decoder, location };
    stream::try_unfold(state, Reading::next_batch).boxed()
}

struct Reading {
    input: ByteStream,
    buffered: Bytes,
    ended: bool,
    decoder: RecordDecoder,
    location: String,
}

impl Reading {
    async fn next_batch(mut self) -> Result<Option<(RecordBatch, Self)>, ConnectorError> {
        loop {
            self.fill().await?;
            // At the end the empty buffer tells the decoder that the last record is complete.
            let taken = self.decoder.decode(&self.buffered).map_err(|error| unreadable(&self.location, error))?;
            self.buffered.advance(taken);
            if taken > 0 && !self.decoder.is_full() {
                continue;
            }
            let batch = self.decoder.flush().map_err(|error| unreadable(&self.location, error))?;
            if let Some(batch) = batch {
                return Ok(Some((batch, self)));
            }
            if self.ended && self.buffered.is_empty() {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> Result<(), ConnectorError> {
        while self.buffered.is_empty() && !self.ended {
            match self.input.try_next().await? {
                Some(chunk) => self.buffered = chunk,
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

/// A reader's message may quote a value, so it stays below ours, for the log.
pub(super) fn unreadable(location: &str, error: ArrowError) -> ConnectorError {
    ConnectorError::InvalidData {
        location: location.to_owned(),
        detail: "has a record that does not fit the table's columns".to_owned(),
        advice: "correct the file, or declare the column's type under `schema`".to_owned(),
        cause: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn chunks(bytes: &[u8], size: usize) -> ByteStream {
        let chunks: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        stream::iter(chunks).boxed()
    }

    async fn transcoded(bytes: &[u8], size: usize, encoding: &'static Encoding) -> Result<String, ConnectorError> {
        let parts: Vec<Bytes> = transcode(chunks(bytes, size), encoding, "a.csv").try_collect().await?;
        Ok(String::from_utf8(parts.concat()).unwrap())
    }

    #[tokio::test]
    async fn characters_survive_being_cut_by_a_chunk() {
        let text = "编号,名称\n1,北京𠮷\n";
        let encoding = encoding_rs::GB18030;
        let (bytes, _, _) = encoding.encode(text);
        for size in 1..bytes.len() {
            assert_eq!(transcoded(&bytes, size, encoding).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn bytes_that_the_encoding_does_not_know_are_an_error_with_their_place() {
        let error = transcoded(b"ab\xFF\xFFcd", 3, encoding_rs::GB18030).await.unwrap_err();
        assert!(error.to_string().starts_with("a.csv: is not gb18030 at byte "), "{error}");
        let error = transcoded(b"ab\x81", 3, encoding_rs::GB18030).await.unwrap_err();
        assert!(error.to_string().starts_with("a.csv: is not gb18030 at byte 3"), "{error}");
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_not_text() {
        assert_eq!(transcoded("\u{feff}a".as_bytes(), 9, UTF_8).await.unwrap(), "a");
        assert_eq!(transcoded(b"\xFF\xFEa\0", 2, encoding_rs::UTF_16LE).await.unwrap(), "a");
    }

    #[tokio::test]
    async fn records_are_cut_into_batches_wherever_chunks_end() {
        let schema =
            Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]));
        let csv = "a,b\n1,x\n2,\"y\ny\"\n,NA\n4,";
        let format = CsvFormat { null_texts: vec![String::new(), "NA".into()], ..CsvFormat::default() };
        for size in 1..csv.len() {
            let shape = RecordShape { schema: Arc::clone(&schema), projection: vec![1], batch_rows: 3 };
            let decoder = RecordDecoder::new(&Format::Csv(format.clone()), &shape).unwrap();
            let stream = decode_records(chunks(csv.as_bytes(), size), decoder, "a.csv".into());
            let batches: Vec<_> = stream.try_collect().await.unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 1]);
            let values: Vec<_> = batches[0].column(0).as_string::<i32>().iter().collect();
            assert_eq!(values, [Some("x"), Some("y\ny"), None]);
        }
    }
}
