//! A25: worlds that show the same values and hide different ones, of every type: what leaves must be the same, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryViewArray, BooleanArray, DictionaryArray, FixedSizeListArray,
    GenericByteArray, GenericListArray, GenericListViewArray, Int32Array, MapArray, NullArray, OffsetSizeTrait,
    RecordBatch, RunArray, StringViewArray, StructArray, UInt32Array, UnionArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{
    BinaryType, ByteArrayType, DataType, Field, FieldRef, Int32Type, IntervalUnit, LargeBinaryType, LargeUtf8Type,
    Schema, SchemaRef, TimeUnit, UnionFields, UnionMode, Utf8Type,
};
use arrow_flight::FlightData;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::rebuild;
use crate::config::limits::Limits;
use crate::flight::stream::{Egress, Ending, encode};
use crate::flight::wire_types::{Reader, wire_schema};
use crate::session::queries::{Admitted, Queries, QueryId};

/// What one slot is to show. Shown numbers are small and shown texts are letters, so that no canary is among them.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Hidden,
    Null,
    Number(i64),
    Text(String),
    List(Vec<Value>),
    OfType(i8, Box<Value>),
}

const ROUNDS: u64 = 400;
const COLUMNS: usize = 3;

#[test]
fn what_leaves_depends_on_nothing_hidden() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut with_canaries = 0;
    for seed in 0..ROUNDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let fields = (0..COLUMNS).map(|i| Field::new(format!("c{i}"), data_type(&mut rng, 2), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let rows = rng.random_range(1..40);
        let row = |rng: &mut StdRng| schema.fields().iter().map(|field| value(rng, field)).collect::<Vec<_>>();
        let shown: Vec<Vec<Value>> = (0..rows).map(|_| row(&mut rng)).collect();
        let worlds = [*b"#~@^", *b"&=+|"].map(|canary| {
            let mut world = World { canary, rng: StdRng::seed_from_u64(seed << 8 | u64::from(canary[0])) };
            world.batches(&schema, &shown)
        });
        let wire = wire_schema(&schema);
        let rebuilt = worlds.clone().map(|batches| rebuild(&batches, &wire).unwrap());
        for (number, row) in shown.iter().enumerate() {
            let read: Vec<Value> = rebuilt[0].columns().iter().map(|column| read(column, number)).collect();
            assert_eq!(&read, row, "seed {seed}: row {number} of {schema:?}");
        }
        assert_eq!(rebuilt[0], rebuilt[1], "seed {seed}");
        with_canaries += usize::from(worlds.iter().flatten().any(holds_canary));
        for batch in &rebuilt {
            assert!(!holds_canary(batch), "seed {seed}: hidden bytes after rebuilding {schema:?}");
        }
        let frames = worlds.map(|batches| runtime.block_on(frames(&schema, batches)));
        assert!(!frames[0].iter().any(|frame| has_canary(&frame.data_header) || has_canary(&frame.data_body)));
        assert_eq!(frames[0], frames[1], "seed {seed}: frames of {schema:?}");
    }
    assert!(with_canaries > usize::try_from(ROUNDS).unwrap() / 2, "the worlds hide too little: {with_canaries}");
}

/// Through the real way out, cut small.
async fn frames(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Vec<FlightData> {
    let limits = Limits {
        first_batch_rows: 4,
        batch_rows: 16,
        peer_data_bytes_target: 300,
        flight_data_bytes_target: 300,
        ..Limits::default()
    };
    let egress =
        Egress { ending: Ending::Trailer(1), reader: Reader::Arrow, compression: None, limits: Arc::new(limits) };
    let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
    let running = Queries::new(1, 1)
        .begin(
            QueryId::parse(&"0".repeat(32)).unwrap(),
            &Arc::new(crate::identity::Asker::peer("u1")),
            "SELECT",
            admitted,
        )
        .unwrap();
    let batches = stream::iter(batches.into_iter().map(Ok)).boxed();
    let batches = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), batches));
    let frames: Result<_, tonic::Status> = encode(batches, running, egress).unwrap().try_collect().await;
    frames.unwrap_or_else(|status| panic!("{status} for {schema:?}"))
}

fn holds_canary(batch: &RecordBatch) -> bool {
    fn held(data: &ArrayData) -> bool {
        data.buffers().iter().any(|buffer| has_canary(buffer)) || data.child_data().iter().any(held)
    }
    batch.columns().iter().any(|column| held(&column.to_data()))
}

fn has_canary(bytes: &[u8]) -> bool {
    let is_canary = |window: &[u8]| {
        [b"#~@^", b"&=+|"].iter().any(|canary| (0..4).all(|i| canary.contains(&window[i])) && window[0] != window[1])
    };
    bytes.windows(4).any(is_canary)
}

fn data_type(rng: &mut StdRng, depth: usize) -> DataType {
    if depth == 0 || rng.random_ratio(1, 4) {
        return leaf(rng);
    }
    let mut item = |name: &str, nullable: bool| match data_type(rng, depth - 1) {
        // These have no validity: a field of theirs that is never NULL says too much.
        any if !nullable && !has_validity(&any) => Arc::new(Field::new(name, DataType::Int64, false)),
        any => Arc::new(Field::new(name, any, nullable)),
    };
    let (first, second) = (item("a", true), item("b", false));
    match rng.random_range(0..14) {
        0 => DataType::List(first),
        1 => DataType::LargeList(first),
        2 => DataType::ListView(first),
        3 => DataType::LargeListView(first),
        4 => DataType::FixedSizeList(first, 2),
        5 => DataType::FixedSizeList(second, 2),
        6 => {
            let key = Arc::new(Field::new("keys", DataType::Utf8, false));
            DataType::Map(Arc::new(Field::new_struct("entries", vec![key, first], false)), false)
        }
        7 => DataType::Union(UnionFields::try_new([3, 7], [first, second]).unwrap(), UnionMode::Sparse),
        8 => DataType::Union(UnionFields::try_new([3, 7], [second, first]).unwrap(), UnionMode::Dense),
        9 | 10 => dictionary(with_parts(first)),
        11 | 12 => run_ended(with_parts(first)),
        _ => DataType::Struct(vec![first, second].into()),
    }
}

/// The type of these values, or of lists of them where they have no parts.
fn with_parts(values: FieldRef) -> DataType {
    if values.data_type().is_nested() { values.data_type().clone() } else { DataType::List(values) }
}

fn dictionary(values: DataType) -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(values))
}

fn run_ended(values: DataType) -> DataType {
    let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
    DataType::RunEndEncoded(ends, Arc::new(Field::new("values", values, true)))
}

/// Whether a NULL of this type can be told once it is plain.
fn has_validity(of: &DataType) -> bool {
    match of {
        DataType::Null | DataType::Union(_, _) => false,
        DataType::Dictionary(_, values) => has_validity(values),
        DataType::RunEndEncoded(_, values) => has_validity(values.data_type()),
        _ => true,
    }
}

fn leaf(rng: &mut StdRng) -> DataType {
    match rng.random_range(0..29) {
        0 => DataType::Boolean,
        1 => DataType::Int8,
        2 => DataType::Int16,
        3 => DataType::UInt32,
        4 | 5 => DataType::Int64,
        6 => DataType::Float32,
        7 => DataType::Float64,
        8 => DataType::Decimal32(9, 2),
        9 => DataType::Decimal64(18, 2),
        10 => DataType::Decimal128(38, 2),
        11 => DataType::Decimal256(76, 2),
        12 => DataType::Date32,
        13 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        14 => DataType::Interval(IntervalUnit::MonthDayNano),
        15 => DataType::FixedSizeBinary(5),
        16 | 17 => DataType::Utf8,
        18 => DataType::LargeUtf8,
        19 => DataType::Binary,
        20 => DataType::LargeBinary,
        21 | 22 => DataType::Utf8View,
        23 => DataType::BinaryView,
        24 => dictionary(DataType::Utf8),
        25 => dictionary(DataType::Utf8View),
        26 => run_ended(DataType::Utf8),
        27 => run_ended(dictionary(DataType::Int64)),
        _ => DataType::Null,
    }
}

fn value(rng: &mut StdRng, field: &Field) -> Value {
    if field.is_nullable() && has_validity(field.data_type()) && rng.random_ratio(1, 4) {
        return Value::Null;
    }
    let mut list = |item: &FieldRef, length| Value::List((0..length).map(|_| value(rng, item)).collect());
    match field.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Number(rng.random_range(0..2)),
        DataType::Dictionary(_, values) => value(rng, &Field::new("", values.as_ref().clone(), false)),
        DataType::RunEndEncoded(_, values) => value(rng, &values.as_ref().clone().with_nullable(false)),
        DataType::List(item) | DataType::ListView(item) => list(item, 3),
        DataType::LargeList(item) | DataType::LargeListView(item) | DataType::Map(item, _) => list(item, 1),
        DataType::FixedSizeList(item, _) => list(item, 2),
        DataType::Struct(fields) => Value::List(fields.iter().map(|field| value(rng, field)).collect()),
        DataType::Union(fields, _) => {
            let (id, field) = fields.iter().nth(rng.random_range(0..2)).unwrap();
            Value::OfType(id, Box::new(value(rng, field)))
        }
        text if is_text(text) => {
            let length = rng.random_range(0..20);
            Value::Text((0..length).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect())
        }
        _ => Value::Number(rng.random_range(0..30)),
    }
}

fn is_text(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(data_type, Utf8 | LargeUtf8 | Binary | LargeBinary | Utf8View | BinaryView)
}

/// Lays shown values out, and its own bytes wherever nothing is shown.
struct World {
    canary: [u8; 4],
    rng: StdRng,
}

impl World {
    /// The shown rows among hidden ones, the hidden ones left out in one of the ways in which engines do it.
    fn batches(&mut self, schema: &SchemaRef, shown: &[Vec<Value>]) -> Vec<RecordBatch> {
        let way = self.rng.random_range(0..3);
        let mut rows: Vec<Option<&Vec<Value>>> = shown.iter().map(Some).collect();
        for _ in 0..self.rng.random_range(0..20) {
            let ends = [0, rows.len()];
            let at = if way == 0 { ends[self.rng.random_range(0..2)] } else { self.rng.random_range(0..=rows.len()) };
            rows.insert(at, None);
        }
        let column = |(index, field): (usize, &FieldRef)| {
            let slot = |row: &Option<&Vec<Value>>| row.map_or(Value::Hidden, |row| row[index].clone());
            self.lay(field, &rows.iter().map(slot).collect::<Vec<_>>())
        };
        let columns = schema.fields().iter().enumerate().map(column).collect();
        let batch = RecordBatch::try_new(Arc::clone(schema), columns).unwrap();
        let is_shown: BooleanArray = rows.iter().map(|row| Some(row.is_some())).collect();
        let batch = match way {
            0 => batch.slice(rows.iter().position(Option::is_some).unwrap(), shown.len()),
            1 => filter_record_batch(&batch, &is_shown).unwrap(),
            _ => {
                let indices: UInt32Array = is_shown.values().set_indices_u32().collect::<Vec<_>>().into();
                take_record_batch(&batch, &indices).unwrap()
            }
        };
        let cut = self.rng.random_range(0..=batch.num_rows());
        vec![batch.slice(0, cut), batch.slice(cut, batch.num_rows() - cut)]
    }

    fn lay(&mut self, field: &Field, slots: &[Value]) -> ArrayRef {
        let nulls = if field.is_nullable() { self.validity(slots) } else { None };
        let all_valid: ArrayRef = match field.data_type() {
            DataType::Null => return Arc::new(NullArray::new(slots.len())),
            DataType::Boolean => Arc::new(BooleanArray::from_iter(slots.iter().map(|slot| match slot {
                Value::Number(number) => Some(*number == 1),
                _ => Some(self.rng.random()),
            }))),
            DataType::Utf8 => self.plain::<Utf8Type>(slots),
            DataType::LargeUtf8 => self.plain::<LargeUtf8Type>(slots),
            DataType::Binary => self.plain::<BinaryType>(slots),
            DataType::LargeBinary => self.plain::<LargeBinaryType>(slots),
            DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(slots.iter().map(|slot| self.text(slot)))),
            DataType::BinaryView => {
                Arc::new(BinaryViewArray::from_iter_values(slots.iter().map(|slot| self.text(slot))))
            }
            DataType::Dictionary(_, values) => self.dictionary(values, slots),
            DataType::RunEndEncoded(_, values) => {
                // Run-ends have the validity of their values.
                return self.run_ended(&values.as_ref().clone().with_nullable(field.is_nullable()), slots);
            }
            DataType::List(item) => self.list::<i32>(item, slots),
            DataType::LargeList(item) => self.list::<i64>(item, slots),
            DataType::ListView(item) => self.list_view::<i32>(item, slots),
            DataType::LargeListView(item) => self.list_view::<i64>(item, slots),
            DataType::Map(entries, _) => {
                let (offsets, children) = self.spread(slots);
                let values = self.lay(entries, &children).as_struct().clone();
                Arc::new(MapArray::new(Arc::clone(entries), OffsetBuffer::new(offsets.into()), values, None, false))
            }
            DataType::FixedSizeList(item, size) => {
                let children: Vec<Value> = slots.iter().flat_map(|slot| children_of(slot, 2)).collect();
                let values = self.lay(item, &children);
                Arc::new(FixedSizeListArray::new(Arc::clone(item), *size, values, None))
            }
            DataType::Struct(fields) => {
                let rows: Vec<Vec<Value>> = slots.iter().map(|slot| children_of(slot, fields.len())).collect();
                let column = |(i, field): (usize, &FieldRef)| {
                    self.lay(field, &rows.iter().map(|row| row[i].clone()).collect::<Vec<_>>())
                };
                let columns = fields.iter().enumerate().map(column).collect();
                // Under a parent's NULL a child may have one, whatever its field says.
                return Arc::new(StructArray::new(fields.clone(), columns, nulls));
            }
            DataType::Union(fields, mode) => return self.union(fields, *mode, slots),
            fixed => self.fixed(fixed, slots),
        };
        make_array(all_valid.into_data().into_builder().nulls(nulls).build().unwrap())
    }

    fn validity(&mut self, slots: &[Value]) -> Option<NullBuffer> {
        let valid = slots.iter().map(|slot| match slot {
            Value::Hidden => self.rng.random(),
            other => *other != Value::Null,
        });
        let nulls = NullBuffer::from(valid.collect::<Vec<bool>>());
        Some(nulls).filter(|nulls| nulls.null_count() > 0 || self.rng.random())
    }

    fn text(&mut self, slot: &Value) -> String {
        match slot {
            Value::Text(text) => text.clone(),
            _ => String::from_utf8(self.canary.repeat(self.rng.random_range(0..6))).unwrap(),
        }
    }

    fn plain<T: ByteArrayType>(&mut self, slots: &[Value]) -> ArrayRef {
        let texts: Vec<String> = slots.iter().map(|slot| self.text(slot)).collect();
        let offsets = OffsetBuffer::<T::Offset>::from_lengths(texts.iter().map(String::len));
        let values = Buffer::from(texts.concat().into_bytes());
        Arc::new(GenericByteArray::<T>::new(offsets, values, None))
    }

    fn fixed(&mut self, data_type: &DataType, slots: &[Value]) -> ArrayRef {
        let width = data_type.primitive_width().unwrap_or(5);
        let mut bytes = Vec::new();
        for slot in slots {
            let at = bytes.len();
            match slot {
                Value::Number(number) => bytes.push(u8::try_from(*number).unwrap()),
                _ => bytes.extend(self.canary.iter().cycle().take(width)),
            }
            bytes.resize(at + width, 0);
        }
        // Arrow wants values aligned, which a vector of bytes is not.
        let buffer = Buffer::from_slice_ref(&bytes);
        make_array(ArrayData::builder(data_type.clone()).len(slots.len()).add_buffer(buffer).build().unwrap())
    }

    fn dictionary(&mut self, values: &DataType, slots: &[Value]) -> ArrayRef {
        let mut entries: Vec<Value> = slots.iter().filter(|slot| **slot != Value::Null).cloned().collect();
        entries.extend([Value::Hidden, Value::Hidden]);
        entries.shuffle(&mut self.rng);
        let hidden = entries.iter().position(|entry| *entry == Value::Hidden).unwrap();
        let key = |slot: &Value| entries.iter().position(|entry| entry == slot).unwrap_or(hidden);
        let keys: Int32Array = slots.iter().map(|slot| i32::try_from(key(slot)).unwrap()).collect::<Vec<_>>().into();
        let values = self.lay(&Field::new("", values.clone(), false), &entries);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
    }

    fn run_ended(&mut self, values: &Field, slots: &[Value]) -> ArrayRef {
        let mut ends = Vec::new();
        let mut runs: Vec<Value> = Vec::new();
        for (slot, end) in slots.iter().zip(1..) {
            if runs.last() == Some(slot) && self.rng.random() {
                ends.pop();
            } else {
                runs.push(slot.clone());
            }
            ends.push(end);
        }
        let values = self.lay(values, &runs);
        Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(ends), &values).unwrap())
    }

    fn hidden(&mut self) -> Vec<Value> {
        vec![Value::Hidden; self.rng.random_range(0..3)]
    }

    /// Offsets and children, with hidden children before, after, and where slots show nothing.
    fn spread<O: OffsetSizeTrait>(&mut self, slots: &[Value]) -> (Vec<O>, Vec<Value>) {
        let mut children = self.hidden();
        let mut offsets = vec![O::usize_as(children.len())];
        for slot in slots {
            match slot {
                Value::List(items) => children.extend_from_slice(items),
                _ => children.extend(self.hidden()),
            }
            offsets.push(O::usize_as(children.len()));
        }
        children.extend(self.hidden());
        (offsets, children)
    }

    fn list<O: OffsetSizeTrait>(&mut self, item: &FieldRef, slots: &[Value]) -> ArrayRef {
        let (offsets, children) = self.spread::<O>(slots);
        let values = self.lay(item, &children);
        Arc::new(GenericListArray::new(Arc::clone(item), OffsetBuffer::new(offsets.into()), values, None))
    }

    fn list_view<O: OffsetSizeTrait>(&mut self, item: &FieldRef, slots: &[Value]) -> ArrayRef {
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.shuffle(&mut self.rng);
        let mut children = vec![];
        let (mut offsets, mut sizes) = (vec![O::zero(); slots.len()], vec![O::zero(); slots.len()]);
        for slot in order {
            children.extend(self.hidden());
            offsets[slot] = O::usize_as(children.len());
            match &slots[slot] {
                Value::List(items) => children.extend_from_slice(items),
                _ => children.extend(self.hidden()),
            }
            sizes[slot] = O::usize_as(children.len()) - offsets[slot];
        }
        let values = self.lay(item, &children);
        Arc::new(GenericListViewArray::<O>::new(Arc::clone(item), offsets.into(), sizes.into(), values, None))
    }

    fn union(&mut self, fields: &UnionFields, mode: UnionMode, slots: &[Value]) -> ArrayRef {
        let all: Vec<i8> = fields.iter().map(|(id, _)| id).collect();
        let mut ids = Vec::new();
        let mut offsets = Vec::new();
        let mut children: Vec<Vec<Value>> = vec![vec![]; all.len()];
        for slot in slots {
            let (id, value) = match slot {
                Value::OfType(id, value) => (*id, value.as_ref().clone()),
                _ => (all[self.rng.random_range(0..all.len())], Value::Hidden),
            };
            for (child, other) in children.iter_mut().zip(&all) {
                if *other == id {
                    child.extend(if mode == UnionMode::Dense { self.hidden() } else { vec![] });
                    offsets.push(i32::try_from(child.len()).unwrap());
                    child.push(value.clone());
                } else if mode == UnionMode::Sparse {
                    child.push(Value::Hidden);
                }
            }
            ids.push(id);
        }
        let children = fields.iter().zip(&children).map(|((_, field), child)| self.lay(field, child)).collect();
        let offsets = (mode == UnionMode::Dense).then(|| offsets.into());
        Arc::new(UnionArray::try_new(fields.clone(), ids.into(), offsets, children).unwrap())
    }
}

fn children_of(slot: &Value, count: usize) -> Vec<Value> {
    match slot {
        Value::List(items) => items.clone(),
        _ => vec![Value::Hidden; count],
    }
}

/// A slot of an array of plain types.
fn read(array: &ArrayRef, slot: usize) -> Value {
    let items = |values: ArrayRef| Value::List((0..values.len()).map(|i| read(&values, i)).collect());
    let text = |bytes: &[u8]| Value::Text(String::from_utf8(bytes.to_vec()).unwrap());
    if array.is_null(slot) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Number(i64::from(array.as_boolean().value(slot))),
        DataType::Utf8 => text(array.as_string::<i32>().value(slot).as_bytes()),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(slot).as_bytes()),
        DataType::Binary => text(array.as_binary::<i32>().value(slot)),
        DataType::LargeBinary => text(array.as_binary::<i64>().value(slot)),
        DataType::List(_) => items(array.as_list::<i32>().value(slot)),
        DataType::LargeList(_) => items(array.as_list::<i64>().value(slot)),
        DataType::FixedSizeList(_, _) => items(array.as_fixed_size_list().value(slot)),
        DataType::Map(_, _) => items(Arc::new(array.as_map().value(slot))),
        DataType::Struct(_) => {
            Value::List(array.as_struct().columns().iter().map(|column| read(column, slot)).collect())
        }
        DataType::Union(_, _) => {
            let union = array.as_union();
            let id = union.type_id(slot);
            Value::OfType(id, Box::new(read(union.child(id), union.value_offset(slot))))
        }
        fixed => {
            let data = array.to_data();
            let width = fixed.primitive_width().unwrap_or(5);
            let bytes = &data.buffers()[0][(data.offset() + slot) * width..][..width];
            assert!(bytes[1..].iter().all(|byte| *byte == 0));
            Value::Number(i64::from(bytes[0]))
        }
    }
}
