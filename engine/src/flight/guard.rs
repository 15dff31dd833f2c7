//! What is checked of an Arrow message before anything of it is decoded, whether a site sends it or a client: that it claims no
//! more memory than a message may have, and that the decoder knows what it says. A decoder allocates what it is told, and
//! trusts the types.

use arrow_flight::FlightData;
use arrow_ipc::{
    BodyCompressionMethod, CompressionType, DateUnit, Field, IntervalUnit, MessageHeader, Precision, RecordBatch,
    Schema, TimeUnit, Type, UnionMode, root_as_message,
};

/// Bounds of the messages of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// Columns that it has at most.
    pub columns: usize,
    /// Whether values may come as keys of a dictionary; sites resolve them.
    pub dictionaries: bool,
    /// What one batch may take once it is decompressed.
    pub batch_bytes_max: usize,
}

/// Metadata of a message beside its batch: a trailer, which is short.
const METADATA_BYTES_MAX: usize = 4 << 10;
/// Before a compressed buffer stands its length without compression.
const LENGTH_BYTES: usize = 8;
/// That length says that the buffer is not compressed.
const NOT_COMPRESSED: i64 = -1;

/// What is wrong with a message, in words of ours.
type Checked = Result<(), &'static str>;

impl Guard {
    /// Checks a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, data: &FlightData) -> Checked {
        if data.app_metadata.len() > METADATA_BYTES_MAX {
            return Err("metadata that is longer than any trailer");
        }
        self.check_message(&data.data_header, &data.data_body)
    }

    /// Checks the messages of an IPC stream, one behind the other.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn check_stream(&self, mut bytes: &[u8]) -> Checked {
        const CONTINUES: [u8; 4] = [0xFF; 4];
        loop {
            let Some((marker, rest)) = bytes.split_first_chunk::<4>() else { return Ok(()) };
            let (length, rest) = match *marker == CONTINUES {
                true => rest.split_first_chunk::<4>().ok_or("a message without a length")?,
                false => (marker, rest),
            };
            let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| "a header of a negative length")?;
            if length == 0 {
                return Ok(());
            }
            let (header, rest) = rest.split_at_checked(length).ok_or("a header that ends after its stream")?;
            let body_bytes = body_bytes(header)?;
            let (body, after) = rest.split_at_checked(body_bytes).ok_or("a body that ends after its stream")?;
            self.check_message(header, body)?;
            bytes = after;
        }
    }

    fn check_message(&self, header: &[u8], body: &[u8]) -> Checked {
        let message = root_as_message(header).map_err(|_| "a header that is none")?;
        match message.header_type() {
            MessageHeader::NONE => {}
            MessageHeader::Schema => self.check_schema(message.header_as_schema().ok_or("a schema that is none")?)?,
            MessageHeader::RecordBatch => {
                self.check_batch(message.header_as_record_batch().ok_or("a batch that is none")?, body)?;
            }
            MessageHeader::DictionaryBatch if self.dictionaries => {
                let batch = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
                self.check_batch(batch.ok_or("a dictionary that is none")?, body)?;
            }
            MessageHeader::DictionaryBatch => return Err("a dictionary, which sites resolve"),
            _ => return Err("a message of another kind"),
        }
        Ok(())
    }

    fn check_schema(&self, schema: Schema<'_>) -> Checked {
        let fields = schema.fields().ok_or("a schema without fields")?;
        // An answer without columns has a marker.
        if fields.len() > self.columns.max(1) {
            return Err("more columns than it was asked for");
        }
        fields.iter().try_for_each(|field| self.check_field(field))
    }

    fn check_batch(&self, batch: RecordBatch<'_>, body: &[u8]) -> Checked {
        let values_max = self.batch_bytes_max.saturating_mul(8);
        let is_count = |count: i64| usize::try_from(count).is_ok_and(|count| count <= values_max);
        if !is_count(batch.length()) {
            return Err("a batch of a length that none has");
        }
        let nodes = batch.nodes().ok_or("a batch without columns")?;
        if !nodes.iter().all(|node| is_count(node.length()) && (0..=node.length()).contains(&node.null_count())) {
            return Err("a column of a length that none has");
        }
        let buffers = batch.buffers().ok_or("a batch without buffers")?;
        let variadic = batch.variadicBufferCounts().into_iter().flatten();
        let named = variadic.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if named.fold(0, usize::saturating_add) > buffers.len() {
            return Err("a column of more buffers than there are");
        }
        let codec = match batch.compression() {
            None => None,
            Some(compression) if compression.method() == BodyCompressionMethod::BUFFER => Some(compression.codec()),
            Some(_) => return Err("a compression that is not known"),
        };
        let mut total = 0_usize;
        for buffer in buffers {
            let start = usize::try_from(buffer.offset()).map_err(|_| "a buffer that begins before its batch")?;
            let length = usize::try_from(buffer.length()).map_err(|_| "a buffer of a negative length")?;
            let end = start.checked_add(length).ok_or("a buffer that ends after its batch")?;
            let bytes = body.get(start..end).ok_or("a buffer that ends after its batch")?;
            total = total.saturating_add(match codec {
                Some(codec) if !bytes.is_empty() => decompressed(codec, bytes, self.batch_bytes_max)?,
                _ => bytes.len(),
            });
            if total > self.batch_bytes_max {
                return Err("a batch that is larger than one may be");
            }
        }
        Ok(())
    }

    /// Whether the decoder knows the type of a column; it knows no way to refuse one.
    fn check_field(&self, field: Field<'_>) -> Checked {
        if let Some(dictionary) = field.dictionary() {
            let keys = dictionary.indexType().map(|keys| keys.bitWidth());
            if !self.dictionaries || !matches!(keys, Some(8 | 16 | 32 | 64)) {
                return Err("a dictionary, which sites resolve");
            }
        }
        let children = field.children().unwrap_or_default();
        let one_child = || children.len() == 1;
        let is_known = match field.type_type() {
            Type::Null
            | Type::Bool
            | Type::Utf8
            | Type::LargeUtf8
            | Type::Binary
            | Type::LargeBinary
            | Type::Struct_ => true,
            Type::Utf8View | Type::BinaryView => true,
            Type::Int => field.type_as_int().is_some_and(|int| matches!(int.bitWidth(), 8 | 16 | 32 | 64)),
            Type::FloatingPoint => field.type_as_floating_point().is_some_and(|float| {
                matches!(float.precision(), Precision::HALF | Precision::SINGLE | Precision::DOUBLE)
            }),
            Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
                matches!(decimal.bitWidth(), 32 | 64 | 128 | 256)
                    && u8::try_from(decimal.precision()).is_ok()
                    && i8::try_from(decimal.scale()).is_ok()
            }),
            Type::Date => {
                field.type_as_date().is_some_and(|date| matches!(date.unit(), DateUnit::DAY | DateUnit::MILLISECOND))
            }
            Type::Time => field.type_as_time().is_some_and(|time| {
                matches!(
                    (time.bitWidth(), time.unit()),
                    (32, TimeUnit::SECOND | TimeUnit::MILLISECOND) | (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
                )
            }),
            Type::Timestamp => field.type_as_timestamp().is_some_and(|timestamp| is_time_unit(timestamp.unit())),
            Type::Duration => field.type_as_duration().is_some_and(|duration| is_time_unit(duration.unit())),
            Type::Interval => field.type_as_interval().is_some_and(|interval| {
                matches!(
                    interval.unit(),
                    IntervalUnit::YEAR_MONTH | IntervalUnit::DAY_TIME | IntervalUnit::MONTH_DAY_NANO
                )
            }),
            Type::FixedSizeBinary => field.type_as_fixed_size_binary().is_some_and(|fixed| fixed.byteWidth() >= 0),
            Type::List | Type::LargeList | Type::ListView | Type::LargeListView => one_child(),
            Type::FixedSizeList => {
                field.type_as_fixed_size_list().is_some_and(|list| list.listSize() >= 0) && one_child()
            }
            Type::Map => field.type_as_map().is_some() && one_child(),
            Type::Union => field.type_as_union().is_some_and(|union| {
                let ids = union.typeIds().map_or(children.len(), |ids| ids.len());
                matches!(union.mode(), UnionMode::Sparse | UnionMode::Dense) && ids == children.len()
            }),
            _ => false,
        };
        if !is_known {
            return Err("a column of a type that is not known");
        }
        children.iter().try_for_each(|child| self.check_field(child))
    }
}

/// The length that a message says its body has.
fn body_bytes(header: &[u8]) -> Result<usize, &'static str> {
    let message = root_as_message(header).map_err(|_| "a header that is none")?;
    usize::try_from(message.bodyLength()).map_err(|_| "a body of a negative length")
}

/// How much a compressed buffer becomes, as it says and as it cannot exceed.
fn decompressed(codec: CompressionType, buffer: &[u8], bytes_max: usize) -> Result<usize, &'static str> {
    let (length, compressed) =
        buffer.split_first_chunk::<LENGTH_BYTES>().ok_or("a compressed buffer without a length")?;
    let length = i64::from_le_bytes(*length);
    if length == NOT_COMPRESSED {
        return Ok(compressed.len());
    }
    let length = usize::try_from(length).map_err(|_| "a compressed buffer of a negative length")?;
    if length > bytes_max {
        return Err("a batch that is larger than one may be");
    }
    match codec {
        // The decoder stops where the length says.
        CompressionType::ZSTD => Ok(length),
        CompressionType::LZ4_FRAME if length == 0 => Ok(0),
        CompressionType::LZ4_FRAME => {
            check_lz4(compressed, length).ok_or("an LZ4 frame that has more than it says")?;
            Ok(length)
        }
        _ => Err("a compression that is not known"),
    }
}

/// Whether an LZ4 frame has no more blocks than so many bytes need, and nothing behind its end: its decoder would go on for as
/// long as there are blocks (LZ4 Frame Format 1.6).
fn check_lz4(frame: &[u8], length: usize) -> Option<()> {
    const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
    const NOT_COMPRESSED: u32 = 1 << 31;
    let (magic, rest) = frame.split_first_chunk::<4>()?;
    let (&[flags, block], rest) = rest.split_first_chunk::<2>()?;
    if *magic != MAGIC || flags & 1 != 0 {
        return None;
    }
    let block_bytes = match (block >> 4) & 0b111 {
        size @ 4..=7 => 1_usize << (8 + 2 * size),
        _ => return None,
    };
    let checksum_of_block = if flags & 0b1_0000 != 0 { 4 } else { 0 };
    let checksum_of_all = if flags & 0b100 != 0 { 4 } else { 0 };
    let content_size = if flags & 0b1000 != 0 { 8 } else { 0 };
    let mut rest = rest.get(content_size + 1..)?;
    let mut blocks = length.div_ceil(block_bytes) + 1;
    loop {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            return (after.len() == checksum_of_all).then_some(());
        }
        blocks = blocks.checked_sub(1)?;
        let size = usize::try_from(size & !NOT_COMPRESSED).ok()?;
        rest = after.get(size.checked_add(checksum_of_block)?..)?;
    }
}

fn is_time_unit(unit: TimeUnit) -> bool {
    matches!(unit, TimeUnit::SECOND | TimeUnit::MILLISECOND | TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow_ipc::writer::IpcWriteOptions;

    use super::*;
    use crate::flight::messages::Messages;

    /// The schema and a batch of so many rows as a site sends them.
    fn sent(rows: usize, compression: Option<CompressionType>) -> [FlightData; 2] {
        let numbers: Int64Array = (0..rows as i64).map(|number| number % 7).collect();
        let texts: StringArray = (0..rows).map(|_| Some("the same text for every row")).collect();
        let columns: [(&str, arrow::array::ArrayRef); 2] = [("n", Arc::new(numbers)), ("t", Arc::new(texts))];
        let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut messages = Messages::new(options, usize::MAX);
        [messages.schema(&batch.schema()), messages.batch(&batch).unwrap().remove(0).1]
    }

    #[test]
    fn what_sites_send_passes() {
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            for rows in [0, 1, 10_000, 300_000] {
                let guard = Guard { columns: 2, dictionaries: false, batch_bytes_max: 64 << 20 };
                for message in sent(rows, compression) {
                    assert_eq!(guard.check(&message), Ok(()), "{rows} {compression:?}");
                }
            }
        }
    }

    #[test]
    fn a_batch_is_as_large_as_it_may_be_at_most() {
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let guard = Guard { columns: 2, dictionaries: false, batch_bytes_max: 1 << 20 };
            let [_, batch] = sent(300_000, compression);
            assert_eq!(guard.check(&batch), Err("a batch that is larger than one may be"), "{compression:?}");
        }
    }

    #[test]
    fn an_lz4_frame_has_no_more_than_it_says() {
        let frame = |bytes: usize| {
            let mut encoded = sent(bytes / 8, Some(CompressionType::LZ4_FRAME))[1].data_body.to_vec();
            let start = encoded.windows(4).position(|window| window == 0x184D_2204_u32.to_le_bytes()).unwrap();
            encoded.drain(..start);
            encoded
        };
        let whole = frame(8 << 20);
        assert_eq!(check_lz4(&whole, 1 << 20), None);
        assert_eq!(check_lz4(&whole[..100], 8 << 20), None);
        assert_eq!(check_lz4(&[], 0), None);
    }

    #[test]
    fn a_buffer_ends_within_its_own_body() {
        let [_, batch] = sent(1_000, None);
        let message = |header: &[u8]| {
            let length = i32::try_from(header.len()).unwrap().to_le_bytes();
            [&[0xFF; 4][..], &length[..], header, &batch.data_body[..]].concat()
        };
        let guard = Guard { columns: 2, dictionaries: false, batch_bytes_max: 64 << 20 };
        assert_eq!(guard.check_stream(&message(&batch.data_header)), Ok(()));
        // The same body, said to be shorter: what its buffers name is then behind it.
        let mut header = batch.data_header.to_vec();
        let length = i64::try_from(batch.data_body.len()).unwrap().to_le_bytes();
        let place = header.windows(8).position(|window| window == length).unwrap();
        header[place..place + 8].copy_from_slice(&8_i64.to_le_bytes());
        assert_eq!(guard.check_stream(&message(&header)), Err("a buffer that ends after its batch"));
    }

    #[test]
    fn more_columns_than_asked_for_are_not_read() {
        let [schema, _] = sent(1, None);
        assert_eq!(
            Guard { columns: 1, dictionaries: false, batch_bytes_max: 1 }.check(&schema),
            Err("more columns than it was asked for")
        );
    }
}
