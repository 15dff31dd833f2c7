//! The formats that programs read whole: an Arrow IPC file, and Parquet. Both keep every type as it came.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::writer::FileWriter;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::ResultWriter;
use crate::shell::error::ShellError;

/// What an encoder has written and standard output has not taken yet. Filled first, so that a closed pipe stays an I/O error.
#[derive(Clone, Default)]
struct Encoded(Arc<Mutex<Vec<u8>>>);

impl Encoded {
    fn drain_to(&self, out: &mut dyn Write) -> Result<(), ShellError> {
        Ok(out.write_all(&std::mem::take(&mut *self.0.lock()))?)
    }
}

impl Write for Encoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes an Arrow IPC file.
pub(super) struct ArrowFileWriter {
    writer: FileWriter<Encoded>,
    encoded: Encoded,
}

impl ArrowFileWriter {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, ShellError> {
        let encoded = Encoded::default();
        Ok(Self { writer: FileWriter::try_new(encoded.clone(), schema)?, encoded })
    }
}

impl ResultWriter for ArrowFileWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        self.writer.write(batch)?;
        self.encoded.drain_to(out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        self.writer.finish()?;
        self.encoded.drain_to(out)
    }
}

/// Writes a Parquet file.
pub(super) struct ParquetWriter {
    /// `None` once it is finished.
    writer: Option<ArrowWriter<Encoded>>,
    encoded: Encoded,
}

impl ParquetWriter {
    pub(super) fn new(schema: SchemaRef) -> Result<Self, ShellError> {
        let encoded = Encoded::default();
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(encoded.clone(), schema, Some(properties)).map_err(unwritable)?;
        Ok(Self { writer: Some(writer), encoded })
    }
}

impl ResultWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch).map_err(unwritable)?;
        }
        self.encoded.drain_to(out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(unwritable)?;
        }
        self.encoded.drain_to(out)
    }
}

fn unwritable(error: ParquetError) -> ShellError {
    ShellError::Answer(error.to_string())
}
