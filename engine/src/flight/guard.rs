//! What is checked of an Arrow message before anything of it is decoded, whether a site sends it or a client: that it claims no
//! more memory than a message may have, and that the decoder knows what it says. A decoder allocates what it is told, and
//! trusts the types.

use arrow_flight::FlightData;
use arrow_ipc::{
    BodyCompressionMethod, CompressionType, DateUnit, DictionaryEncoding, Endianness, Field, Int, IntervalUnit,
    KeyValue, MessageHeader, Precision, RecordBatch, Schema, TimeUnit, Type, Union, UnionMode, root_as_message,
};

/// Bounds of the messages of one stream, which are checked in the order in which they come.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Columns that it has at most.
    columns: usize,
    /// What one batch may take once it is decompressed, and all dictionaries together.
    batch_bytes_max: usize,
    /// Whether values may come as keys of a dictionary.
    takes_dictionaries: bool,
    /// Whether values may come in runs.
    takes_runs: bool,
    /// What the stream has said of itself so far.
    seen: Seen,
}

/// What the schema and the dictionaries of a stream said.
#[derive(Debug, Clone, Default)]
struct Seen {
    schema_bytes: usize,
    /// Columns of views in a batch: the decoder panics at more of their counts.
    views: usize,
    /// Columns in runs.
    runs: usize,
    /// The dictionaries by id, each with the columns of views in its values.
    dictionaries: Vec<(i64, usize)>,
    dictionary_bytes: usize,
}

/// What a schema may become. A message may name one field, or one text, a million times, and the decoder makes a million of it.
const SCHEMA_BYTES_MAX: usize = 4 << 20;
/// About what a field or an entry of its metadata takes beside its texts.
const FIELD_BYTES: usize = 128;

/// Metadata of a message beside its batch: a trailer, which is short.
const METADATA_BYTES_MAX: usize = 4 << 10;
/// Before a compressed buffer stands its length without compression.
const LENGTH_BYTES: usize = 8;
/// That length says that the buffer is not compressed.
const NOT_COMPRESSED: i64 = -1;

/// What is wrong with a message, in words of ours.
type Checked = Result<(), &'static str>;

impl Guard {
    /// Of a stream that has said nothing yet. Sites resolve dictionaries and runs.
    pub fn new(columns: usize, batch_bytes_max: usize) -> Self {
        Self { columns, batch_bytes_max, takes_dictionaries: false, takes_runs: false, seen: Seen::default() }
    }

    /// The same, where values may come as keys of a dictionary.
    pub fn taking_dictionaries(self) -> Self {
        Self { takes_dictionaries: true, ..self }
    }

    /// The same, where values may come in runs: for a reader that makes them plain, and asks before how large they become.
    pub fn taking_runs(self) -> Self {
        Self { takes_runs: true, ..self }
    }

    /// Checks a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&mut self, data: &FlightData) -> Checked {
        if data.app_metadata.len() > METADATA_BYTES_MAX {
            return Err("metadata that is longer than any trailer");
        }
        self.check_message(&data.data_header, &data.data_body)
    }

    /// Checks the messages of an IPC stream, one behind the other.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn check_stream(&mut self, mut bytes: &[u8]) -> Checked {
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

    fn check_message(&mut self, header: &[u8], body: &[u8]) -> Checked {
        let message = root_as_message(header).map_err(|_| "a header that is none")?;
        match message.header_type() {
            MessageHeader::NONE => {}
            MessageHeader::Schema => self.check_schema(message.header_as_schema().ok_or("a schema that is none")?)?,
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or("a batch that is none")?;
                self.check_batch(batch, self.seen.views, body)?;
            }
            MessageHeader::DictionaryBatch if self.takes_dictionaries => {
                let dictionary = message.header_as_dictionary_batch().ok_or("a dictionary that is none")?;
                let known = self.seen.dictionaries.iter().find(|(id, _)| *id == dictionary.id());
                let (_, views) = known.ok_or("a dictionary of no column")?;
                let bytes = self.check_batch(dictionary.data().ok_or("a dictionary that is none")?, *views, body)?;
                // One that adds to another is kept with it.
                self.seen.dictionary_bytes = self.seen.dictionary_bytes.saturating_add(bytes);
                if self.seen.dictionary_bytes > self.batch_bytes_max {
                    return Err("dictionaries that are larger than a batch may be");
                }
            }
            MessageHeader::DictionaryBatch => return Err("a dictionary, which sites resolve"),
            _ => return Err("a message of another kind"),
        }
        Ok(())
    }

    fn check_schema(&mut self, schema: Schema<'_>) -> Checked {
        if schema.endianness() != Endianness::Little {
            return Err("numbers in another order of bytes");
        }
        let fields = schema.fields().ok_or("a schema without fields")?;
        // An answer without columns has a marker.
        if fields.len() > self.columns.max(1) {
            return Err("more columns than it was asked for");
        }
        let schema_bytes = metadata_bytes(schema.custom_metadata().into_iter().flatten());
        self.seen = Seen { schema_bytes, ..Seen::default() };
        for field in fields {
            self.seen.views += self.check_field(field)?;
        }
        Ok(())
    }

    /// How many bytes a batch, with so many columns of views, takes once it is decompressed.
    fn check_batch(&self, batch: RecordBatch<'_>, views: usize, body: &[u8]) -> Result<usize, &'static str> {
        let values_max = self.batch_bytes_max.saturating_mul(8);
        let is_count = |count: i64| usize::try_from(count).is_ok_and(|count| count <= values_max);
        if !is_count(batch.length()) {
            return Err("a batch of a length that none has");
        }
        let nodes = batch.nodes().ok_or("a batch without columns")?;
        if !nodes.iter().all(|node| is_count(node.length()) && (0..=node.length()).contains(&node.null_count())) {
            return Err("a column of a length that none has");
        }
        // A run has no bytes for each of its values, and the decoder may make a bit for each.
        let lengths = nodes.iter().map(|node| usize::try_from(node.length()).unwrap_or(usize::MAX));
        if self.seen.runs > 0 && lengths.fold(0, usize::saturating_add) > values_max {
            return Err("runs of more values than a batch has");
        }
        let buffers = batch.buffers().ok_or("a batch without buffers")?;
        let variadic = || batch.variadicBufferCounts().into_iter().flatten();
        if variadic().count() != views {
            return Err("a batch of other columns than its schema's");
        }
        let named = variadic().map(|count| usize::try_from(count).unwrap_or(usize::MAX));
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
        Ok(total)
    }

    /// Whether the decoder knows the type of a column, for it knows no way to refuse one; and how many columns of views it has.
    fn check_field(&mut self, field: Field<'_>) -> Result<usize, &'static str> {
        self.seen.schema_bytes = self.seen.schema_bytes.saturating_add(field_bytes(field));
        if self.seen.schema_bytes > SCHEMA_BYTES_MAX {
            return Err("a schema that is larger than one may be");
        }
        if let Some(dictionary) = field.dictionary() {
            return self.check_values(dictionary, field).map(|()| 0);
        }
        self.check_type(field)
    }

    /// The same of values that come with a dictionary, and its keys in the batch.
    fn check_values(&mut self, dictionary: DictionaryEncoding<'_>, values: Field<'_>) -> Checked {
        let keys = dictionary.indexType().map(|keys| keys.bitWidth());
        if !self.takes_dictionaries || !matches!(keys, Some(8 | 16 | 32 | 64)) {
            return Err("a dictionary, which sites resolve");
        }
        let (place, runs) = (self.seen.dictionaries.len(), self.seen.runs);
        self.seen.dictionaries.push((dictionary.id(), 0));
        let views = self.check_type(values)?;
        // The decoder counts the ends of runs that are added to others past what their type holds.
        if self.seen.runs > runs {
            return Err("a dictionary of runs");
        }
        if let Some((_, of_values)) = self.seen.dictionaries.get_mut(place) {
            *of_values = views;
        }
        Ok(())
    }

    fn check_type(&mut self, field: Field<'_>) -> Result<usize, &'static str> {
        if !self.knows(field) {
            return Err("a column of a type that is not known");
        }
        self.seen.runs += usize::from(field.type_type() == Type::RunEndEncoded);
        let mut views = usize::from(matches!(field.type_type(), Type::Utf8View | Type::BinaryView));
        for child in field.children().unwrap_or_default() {
            views += self.check_field(child)?;
        }
        Ok(views)
    }

    /// Whether the decoder knows the type of a column, its children aside.
    fn knows(&self, field: Field<'_>) -> bool {
        let children = field.children().unwrap_or_default();
        match field.type_type() {
            Type::Struct_ => true,
            Type::List | Type::LargeList | Type::ListView | Type::LargeListView => children.len() == 1,
            Type::FixedSizeList => {
                field.type_as_fixed_size_list().is_some_and(|list| list.listSize() >= 0) && children.len() == 1
            }
            Type::Map => field.type_as_map().is_some() && children.len() == 1,
            Type::RunEndEncoded => {
                self.takes_runs && children.len() == 2 && children.iter().next().is_some_and(is_of_run_ends)
            }
            Type::Union => field.type_as_union().is_some_and(|union| {
                matches!(union.mode(), UnionMode::Sparse | UnionMode::Dense) && has_ids(union, children.len())
            }),
            _ => knows_values(field),
        }
    }
}

/// Whether the decoder knows the type of a column without children.
fn knows_values(field: Field<'_>) -> bool {
    match field.type_type() {
        Type::Null | Type::Bool => true,
        Type::Utf8 | Type::LargeUtf8 | Type::Utf8View | Type::Binary | Type::LargeBinary | Type::BinaryView => true,
        Type::FixedSizeBinary => field.type_as_fixed_size_binary().is_some_and(|fixed| fixed.byteWidth() >= 0),
        Type::Int => field.type_as_int().is_some_and(|int| matches!(int.bitWidth(), 8 | 16 | 32 | 64)),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|float| matches!(float.precision(), Precision::HALF | Precision::SINGLE | Precision::DOUBLE)),
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
            matches!(interval.unit(), IntervalUnit::YEAR_MONTH | IntervalUnit::DAY_TIME | IntervalUnit::MONTH_DAY_NANO)
        }),
        _ => false,
    }
}

/// What the decoder makes of a field, without its children.
fn field_bytes(field: Field<'_>) -> usize {
    let name = field.name().map_or(0, str::len);
    let zone = field.type_as_timestamp().and_then(|timestamp| timestamp.timezone()).map_or(0, str::len);
    let metadata = metadata_bytes(field.custom_metadata().into_iter().flatten());
    FIELD_BYTES.saturating_add(name).saturating_add(zone).saturating_add(metadata)
}

fn metadata_bytes<'a>(entries: impl Iterator<Item = KeyValue<'a>>) -> usize {
    let text_bytes = |text: Option<&str>| text.map_or(0, str::len);
    let bytes = entries.map(|entry| FIELD_BYTES + text_bytes(entry.key()) + text_bytes(entry.value()));
    bytes.fold(0, usize::saturating_add)
}

/// Whether a field holds the ends of runs, whole numbers none of which is NULL.
fn is_of_run_ends(field: Field<'_>) -> bool {
    let is_known = |int: Int<'_>| int.is_signed() && matches!(int.bitWidth(), 16 | 32 | 64);
    field.dictionary().is_none() && !field.nullable() && field.type_as_int().is_some_and(is_known)
}

/// Whether there are children, of so many types, and each has an id of its own that the decoder can tell; it panics at others, and
/// where a NULL is to be of the first of none.
fn has_ids(union: Union<'_>, children: usize) -> bool {
    let Some(ids) = union.typeIds() else { return (1..=128).contains(&children) };
    let mut taken = 0_u128;
    let is_new = |id: i32| {
        let bit = u32::try_from(id).ok().and_then(|id| 1_u128.checked_shl(id));
        let is_new = bit.is_some_and(|bit| taken & bit == 0);
        taken |= bit.unwrap_or_default();
        is_new
    };
    children > 0 && ids.len() == children && ids.iter().all(is_new)
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

    use arrow::array::{DictionaryArray, Int32Array, Int64Array, RunArray, StringArray, StringViewArray};
    use arrow::datatypes::{DataType, Int32Type};
    use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

    use super::*;
    use crate::flight::messages::Messages;

    fn guard(columns: usize, batch_bytes_max: usize) -> Guard {
        Guard::new(columns, batch_bytes_max)
    }

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
                let mut guard = guard(2, 64 << 20);
                for message in sent(rows, compression) {
                    assert_eq!(guard.check(&message), Ok(()), "{rows} {compression:?}");
                }
            }
        }
    }

    #[test]
    fn a_batch_is_as_large_as_it_may_be_at_most() {
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let mut guard = guard(2, 1 << 20);
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
        let mut guard = guard(2, 64 << 20);
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
        assert_eq!(guard(1, 1).check(&schema), Err("more columns than it was asked for"));
    }

    #[test]
    fn all_dictionaries_together_are_as_large_as_a_batch_may_be() {
        let texts: DictionaryArray<Int32Type> = ["one", "another"].into_iter().collect();
        let batch = arrow::array::RecordBatch::try_from_iter([("t", Arc::new(texts) as _)]).unwrap();
        let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
        let mut tracker = DictionaryTracker::new(false);
        let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
        let mut context = IpcWriteContext::default();
        let (mut dictionaries, _) = generator.encode(&batch, &mut tracker, &options, &mut context).unwrap();
        let (schema, dictionary): (FlightData, FlightData) = (schema.into(), dictionaries.remove(0).into());
        let mut guard = guard(1, 4 << 10).taking_dictionaries();
        assert_eq!(guard.check(&dictionary), Err("a dictionary of no column"));
        assert_eq!(guard.check(&schema).and_then(|()| guard.check(&dictionary)), Ok(()));
        let refused = (0..1_000).find_map(|_| guard.check(&dictionary).err());
        assert_eq!(refused, Some("dictionaries that are larger than a batch may be"));
    }

    #[test]
    fn a_batch_has_the_views_of_its_schema() {
        let texts = StringViewArray::from(vec!["a text that is longer than what a view holds"]);
        let batch = arrow::array::RecordBatch::try_from_iter([("t", Arc::new(texts) as _)]).unwrap();
        let mut messages = Messages::new(IpcWriteOptions::default(), usize::MAX);
        let (schema, batch) = (messages.schema(&batch.schema()), messages.batch(&batch).unwrap().remove(0).1);
        let mut guard = guard(2, 1 << 20);
        assert_eq!(guard.check(&batch), Err("a batch of other columns than its schema's"));
        assert_eq!(guard.check(&schema).and_then(|()| guard.check(&batch)), Ok(()));
        let [plain, _] = sent(1, None);
        assert_eq!(guard.check(&plain), Ok(()));
        assert_eq!(guard.check(&batch), Err("a batch of other columns than its schema's"));
    }

    /// The schema of one column of runs, and its only batch.
    fn runs(ends: &[i32]) -> [FlightData; 2] {
        let texts: StringArray = ends.iter().map(|end| Some(end.to_string())).collect();
        let runs = RunArray::try_new(&Int32Array::from(ends.to_vec()), &texts).unwrap();
        let batch = arrow::array::RecordBatch::try_from_iter([("r", Arc::new(runs) as _)]).unwrap();
        let mut messages = Messages::new(IpcWriteOptions::default(), usize::MAX);
        [messages.schema(&batch.schema()), messages.batch(&batch).unwrap().remove(0).1]
    }

    #[test]
    fn runs_pass_where_somebody_makes_them_plain() {
        let [schema, batch] = runs(&[2, 3]);
        assert_eq!(guard(1, 1 << 20).check(&schema), Err("a column of a type that is not known"));
        let mut taking = guard(1, 1 << 20).taking_runs();
        assert_eq!(taking.check(&schema).and_then(|()| taking.check(&batch)), Ok(()));
    }

    #[test]
    fn runs_claim_no_more_values_than_a_batch_has() {
        let [schema, batch] = runs(&[70_000, 70_001]);
        let claiming = |values: i64| {
            let mut header = batch.data_header.to_vec();
            let said = 70_001_i64.to_le_bytes();
            while let Some(place) = header.windows(8).position(|window| window == said) {
                header[place..place + 8].copy_from_slice(&values.to_le_bytes());
            }
            FlightData { data_header: header.into(), ..batch.clone() }
        };
        let mut taking = guard(1, 1 << 20).taking_runs();
        assert_eq!(taking.check(&schema).and_then(|()| taking.check(&claiming(1 << 22))), Ok(()));
        assert_eq!(taking.check(&claiming((1 << 23) - 1)), Err("runs of more values than a batch has"));
        assert_eq!(taking.check(&claiming(1 << 40)), Err("a batch of a length that none has"));
    }

    #[test]
    fn runs_end_at_whole_numbers_and_are_no_dictionary() {
        use arrow::datatypes::{Field, Schema};
        let runs = |ends: DataType, nullable: bool| {
            let (ends, values) = (Field::new("run_ends", ends, nullable), Field::new("values", DataType::Utf8, true));
            DataType::RunEndEncoded(Arc::new(ends), Arc::new(values))
        };
        let check = |data_type: DataType| {
            let messages = Messages::new(IpcWriteOptions::default(), usize::MAX);
            let schema = messages.schema(&Schema::new(vec![Field::new("r", data_type, true)]));
            guard(1, 1 << 20).taking_dictionaries().taking_runs().check(&schema)
        };
        let dictionary = |values: DataType| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        let plain = Field::new("values", dictionary(DataType::Utf8), true);
        let ends = Field::new("run_ends", DataType::Int64, false);
        assert_eq!(check(runs(DataType::Int16, false)), Ok(()));
        assert_eq!(check(DataType::RunEndEncoded(Arc::new(ends), Arc::new(plain))), Ok(()));
        let unknown = Err("a column of a type that is not known");
        for ends in [DataType::UInt32, DataType::Int8, DataType::Utf8, dictionary(DataType::Int32)] {
            assert_eq!(check(runs(ends.clone(), false)), unknown, "{ends}");
        }
        assert_eq!(check(runs(DataType::Int32, true)), unknown);
        assert_eq!(check(dictionary(runs(DataType::Int32, false))), Err("a dictionary of runs"));
    }

    #[test]
    fn a_union_is_of_something() {
        use arrow::datatypes::{Field, Schema, UnionFields, UnionMode};
        let check = |fields: UnionFields, mode: UnionMode| {
            let messages = Messages::new(IpcWriteOptions::default(), usize::MAX);
            let schema = Schema::new(vec![Field::new("u", DataType::Union(fields, mode), true)]);
            guard(1, 1 << 20).check(&messages.schema(&schema))
        };
        for mode in [UnionMode::Sparse, UnionMode::Dense] {
            let one = UnionFields::try_new([5], [Field::new("a", DataType::Int64, true)]).unwrap();
            assert_eq!(check(one, mode), Ok(()));
            assert_eq!(check(UnionFields::empty(), mode), Err("a column of a type that is not known"));
        }
    }
}
