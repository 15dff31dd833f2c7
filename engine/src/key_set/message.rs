//! A key set on the wire: one opaque message beside the statement, in the ticket by which a coordinator asks a site.
//!
//! ```text
//! Any { type_url: "type.chancery/fragment", value: FragmentTicket { query, first: KeySetMessage, second: …, third: … } }
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::sql::Any;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use prost::Message;

use super::{KeySet, can_be_key, is_set, rice, schema};
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::flight::guard::Guard;

/// The type of a ticket with key sets.
const TYPE_URL: &str = "type.chancery/fragment";
/// The longest name of a column, and of a type: its parser recurses.
const COLUMN_BYTES_MAX: usize = 1 << 10;
const TYPE_BYTES_MAX: usize = 64;

/// A statement and the key sets that it names: [`super::KEY_SETS_MAX`] places, so that no message makes more of them.
#[derive(Clone, PartialEq, Message)]
pub struct FragmentTicket {
    /// The statement.
    #[prost(string, tag = "1")]
    pub query: String,
    #[prost(message, optional, tag = "2")]
    first: Option<KeySetMessage>,
    #[prost(message, optional, tag = "3")]
    second: Option<KeySetMessage>,
    #[prost(message, optional, tag = "4")]
    third: Option<KeySetMessage>,
}

/// One key set. Further fields are kept free for the signature of the site that the keys come from (6) and for
/// encryption to the one that they go to (7).
#[derive(Clone, PartialEq, Message)]
pub struct KeySetMessage {
    /// The number by which the statement names it.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Where the keys come from, `site.source.table.column`, as the coordinator tells it.
    #[prost(string, tag = "2")]
    pub column: String,
    /// The Arrow type of the keys, as Arrow writes it.
    #[prost(string, tag = "3")]
    pub data_type: String,
    /// How many keys.
    #[prost(uint64, tag = "4")]
    pub count: u64,
    /// How the payload is written.
    #[prost(oneof = "Payload", tags = "8, 9")]
    pub payload: Option<Payload>,
}

/// The keys.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Payload {
    /// An Arrow IPC stream of one batch of one column, not compressed.
    #[prost(bytes, tag = "8")]
    Arrow(Vec<u8>),
    /// Whole numbers as Rice codes of the gaps between them: see `rice.rs`.
    #[prost(bytes, tag = "9")]
    Rice(Vec<u8>),
}

impl Payload {
    fn len(&self) -> usize {
        match self {
            Self::Arrow(bytes) | Self::Rice(bytes) => bytes.len(),
        }
    }
}

impl FragmentTicket {
    /// Of a statement and the sets bound beside it.
    ///
    /// # Errors
    /// For more sets than there are places: a defect.
    pub fn new(query: String, key_sets: Vec<KeySetMessage>) -> Result<Self> {
        let mut sets = key_sets.into_iter();
        let ticket = Self { query, first: sets.next(), second: sets.next(), third: sets.next() };
        match sets.next() {
            None => Ok(ticket),
            Some(set) => Err(EngineError::defect(format!("no place in a ticket for key set {}", set.id))),
        }
    }

    /// The statement and the sets.
    pub fn into_parts(self) -> (String, Vec<KeySetMessage>) {
        (self.query, [self.first, self.second, self.third].into_iter().flatten().collect())
    }

    /// The bytes of a ticket.
    pub fn encode_ticket(&self) -> Vec<u8> {
        Any { type_url: TYPE_URL.to_string(), value: self.encode_to_vec().into() }.encode_to_vec()
    }

    /// The ticket in `any`; `None` for another type.
    ///
    /// # Errors
    /// `UNSUPPORTED` for one that cannot be read.
    pub fn decode_ticket(any: &Any) -> Result<Option<Self>> {
        if any.type_url != TYPE_URL {
            return Ok(None);
        }
        Self::decode(any.value.as_ref())
            .map(Some)
            .map_err(|error| EngineError::new(Code::Unsupported, "a ticket that cannot be read").caused_by(error))
    }
}

impl KeySetMessage {
    /// The message of a set: whole numbers as Rice codes, others as they are.
    ///
    /// # Errors
    /// When Arrow cannot write the column: a defect.
    pub fn of(set: &KeySet) -> Result<Self> {
        let payload = match whole_numbers(set.values())? {
            Some(numbers) => Payload::Rice(rice::encode(numbers.values())),
            None => Payload::Arrow(list(set.values())?),
        };
        Ok(Self {
            id: set.id,
            column: set.column.clone(),
            data_type: set.values().data_type().to_string(),
            count: set.len() as u64,
            payload: Some(payload),
        })
    }

    /// Bytes of the keys.
    pub fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Payload::len)
    }

    /// Whether a node of such limits takes it.
    pub fn is_within(&self, limits: &Limits) -> bool {
        self.count <= limits.key_set_keys_max as u64
            && self.payload_bytes() <= limits.key_set_bytes_max
            && self.column.len() <= COLUMN_BYTES_MAX
            && self.data_type.len() <= TYPE_BYTES_MAX
    }

    /// The set of a message. Whoever sent it, it is a set afterwards: as many keys as it says, each once, no NULL.
    ///
    /// # Errors
    /// `UNSUPPORTED` for a message that is no set, `COMPLEXITY` for one beyond a limit.
    pub fn read(self, limits: &Limits) -> Result<KeySet> {
        let id = self.id;
        if !self.is_within(limits) {
            return Err(EngineError::new(
                Code::Complexity,
                format!(
                    "key set {id} is larger than this site takes ({} keys, {} bytes)",
                    limits.key_set_keys_max, limits.key_set_bytes_max
                ),
            ));
        }
        let values = self.values().ok_or_else(|| {
            EngineError::new(Code::Unsupported, format!("key set {id} is not a set of keys that can be read"))
        })?;
        Ok(KeySet::new(id, self.column, values))
    }

    fn values(&self) -> Option<ArrayRef> {
        let data_type: DataType = self.data_type.parse().ok()?;
        let count = usize::try_from(self.count).ok()?;
        if !can_be_key(&data_type) {
            return None;
        }
        let values = match self.payload.as_ref()? {
            Payload::Rice(bytes) => {
                let numbers: ArrayRef = Arc::new(Int64Array::from(rice::decode(bytes, count)?));
                exactly(&numbers, &data_type).filter(|_| is_whole_number(&data_type))?
            }
            Payload::Arrow(bytes) => read_list(bytes)?,
        };
        let fits = values.len() == count && *values.data_type() == data_type && is_set(&values).ok()?;
        fits.then_some(values)
    }
}

/// Types whose values are their order: each is an `i64` and back.
fn is_whole_number(data_type: &DataType) -> bool {
    data_type.is_integer() && *data_type != DataType::UInt64 || *data_type == DataType::Date32
}

fn whole_numbers(values: &ArrayRef) -> Result<Option<Int64Array>> {
    if !is_whole_number(values.data_type()) {
        return Ok(None);
    }
    let numbers = exactly(values, &DataType::Int64).ok_or_else(|| EngineError::defect("whole numbers are none"))?;
    Ok(Some(numbers.as_primitive::<Int64Type>().clone()))
}

/// Dates are days, whichever way.
fn exactly(values: &ArrayRef, data_type: &DataType) -> Option<ArrayRef> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let through = |values: &ArrayRef, data_type: &DataType| cast_with_options(values, data_type, &exact).ok();
    match (values.data_type(), data_type) {
        (DataType::Date32, _) | (_, DataType::Date32) => through(&through(values, &DataType::Int32)?, data_type),
        _ => through(values, data_type),
    }
}

fn list(values: &ArrayRef) -> Result<Vec<u8>> {
    let schema = schema(values.data_type());
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(EngineError::internal)?;
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(values)]).map_err(EngineError::internal)?;
    writer.write(&batch).map_err(EngineError::internal)?;
    writer.into_inner().map_err(EngineError::internal)
}

fn read_list(bytes: &[u8]) -> Option<ArrayRef> {
    // A compressed buffer could say that it is much longer than the limit of bytes.
    let mut guard = Guard::new(1, bytes.len());
    guard.check_stream(bytes).ok()?;
    let mut reader = StreamReader::try_new(std::io::Cursor::new(bytes), None).ok()?;
    let batch = reader.next()?.ok()?;
    let [column] = batch.columns() else { return None };
    reader.next().is_none().then(|| Arc::clone(column))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Decimal128Array, Int32Array, StringArray, TimestampMicrosecondArray, UInt64Array};
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::IpcWriteOptions;

    use super::*;

    fn back(values: ArrayRef) -> Result<KeySet> {
        KeySetMessage::of(&KeySet::new(1, "s.t.u.c", values)).unwrap().read(&Limits::default())
    }

    #[test]
    fn sets_of_every_type_are_read_back() {
        let sets: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![i64::MIN, -3, 0, 8])),
            Arc::new(Int64Array::from(Vec::<i64>::new())),
            Arc::new(Int32Array::from(vec![1, 2, 3])),
            Arc::new(UInt64Array::from(vec![1, u64::MAX])),
            Arc::new(Date32Array::from(vec![-4, 9_000])),
            Arc::new(Decimal128Array::from(vec![150, 275]).with_precision_and_scale(15, 2).unwrap()),
            Arc::new(TimestampMicrosecondArray::from(vec![-5, 1 << 50])),
            Arc::new(
                TimestampMicrosecondArray::from(vec![-5, 1 << 50]).with_timezone("America/Argentina/Buenos_Aires"),
            ),
            Arc::new(StringArray::from(vec!["", "a", "é"])),
            Arc::new((0..10_000).map(|n| Some(format!("key {n:05}"))).collect::<StringArray>()),
        ];
        for values in sets {
            let data_type = values.data_type().clone();
            let read = back(Arc::clone(&values)).unwrap_or_else(|error| panic!("{data_type}: {error}"));
            assert_eq!(read.values(), &values);
        }
    }

    fn compressed(values: &ArrayRef) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let schema = schema(values.data_type());
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        writer.write(&RecordBatch::try_new(schema, vec![Arc::clone(values)]).unwrap()).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn a_ticket_has_places_for_the_sets_and_no_more() {
        let set = |id| KeySetMessage::of(&KeySet::new(id, "c", Arc::new(Int64Array::from(vec![1, 5])))).unwrap();
        let ticket = FragmentTicket::new("SELECT 1".to_string(), vec![set(1), set(2), set(3)]).unwrap();
        let any = Any::decode(ticket.encode_ticket().as_slice()).unwrap();
        let (query, sets) = FragmentTicket::decode_ticket(&any).unwrap().unwrap().into_parts();
        assert_eq!((query.as_str(), sets), ("SELECT 1", vec![set(1), set(2), set(3)]));
        assert!(FragmentTicket::new(String::new(), (1..=4).map(set).collect()).is_err());
        let many = Any { type_url: TYPE_URL.to_string(), value: [0x12_u8, 0].repeat(1 << 20).into() };
        assert_eq!(FragmentTicket::decode_ticket(&many).unwrap().unwrap().into_parts().1.len(), 1);
    }

    fn refused(change: impl FnOnce(&mut KeySetMessage)) -> Code {
        let mut message = KeySetMessage::of(&KeySet::new(1, "c", Arc::new(Int64Array::from(vec![1, 5, 9])))).unwrap();
        change(&mut message);
        message.read(&Limits::default()).unwrap_err().code()
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let arrow = |values: ArrayRef| Some(Payload::Arrow(list(&values).unwrap()));
        assert_eq!(refused(|message| message.count = 4), Code::Unsupported);
        assert_eq!(refused(|message| message.count = u64::MAX), Code::Complexity);
        assert_eq!(refused(|message| message.payload = None), Code::Unsupported);
        assert_eq!(refused(|message| message.payload = Some(Payload::Rice(vec![255; 40]))), Code::Unsupported);
        assert_eq!(refused(|message| message.payload = Some(Payload::Arrow(vec![255; 40]))), Code::Unsupported);
        assert_eq!(refused(|message| message.payload = Some(Payload::Rice(vec![0; 17 << 20]))), Code::Complexity);
        let nested = format!("{}Int64{}", "List(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(refused(|message| message.data_type = nested), Code::Complexity);
        assert_eq!(refused(|message| message.column = "c".repeat(1025)), Code::Complexity);
        for data_type in ["Utf8", "Float64", "List(Int64)", "Dictionary(Int32, Utf8)", "nonsense", ""] {
            assert_eq!(refused(|message| message.data_type = data_type.into()), Code::Unsupported, "{data_type}");
        }
        let compressed =
            Some(Payload::Arrow(compressed(&(Arc::new(Int64Array::from_iter_values(0..10_000)) as ArrayRef))));
        assert_eq!(refused(|message| (message.count, message.payload) = (10_000, compressed)), Code::Unsupported);
        let unordered = arrow(Arc::new(Int64Array::from(vec![5, 1, 9])));
        assert_eq!(refused(|message| message.payload = unordered), Code::Unsupported);
        let twice = arrow(Arc::new(Int64Array::from(vec![1, 1, 9])));
        assert_eq!(refused(|message| message.payload = twice), Code::Unsupported);
        let other_type = arrow(Arc::new(StringArray::from(vec!["1", "5", "9"])));
        assert_eq!(refused(|message| message.payload = other_type), Code::Unsupported);
    }
}
