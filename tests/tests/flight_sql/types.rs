//! Every type that the server stores comes back as the plain type of the same values.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationMicrosecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray, ListArray, RecordBatch, StringArray,
    StringViewArray, StructArray, Time32MillisecondArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, i256};
use connectors::conformance::FixtureTable;
use datafusion::prelude::SessionContext;
use harness::roapi::{Roapi, Served};

use super::{open, rows, session};

/// Each column, and the type as which it is served where that is another one.
fn columns() -> Vec<(&'static str, ArrayRef, Option<DataType>)> {
    let list = || vec![Some(vec![Some(1), None]), None, Some(vec![])];
    let texts = [Some("𠮷"), None, Some("")];
    let plain = |array: ArrayRef| (array, None);
    let as_text = |array: ArrayRef| (array, Some(DataType::Utf8));
    let numbers: Vec<(&str, (ArrayRef, Option<DataType>))> = vec![
        ("truth", plain(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])))),
        ("i8", plain(Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)])))),
        ("i16", plain(Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX)])))),
        ("i32", plain(Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])))),
        ("i64", plain(Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])))),
        ("u8", plain(Arc::new(UInt8Array::from(vec![Some(0), None, Some(u8::MAX)])))),
        ("u16", plain(Arc::new(UInt16Array::from(vec![Some(0), None, Some(u16::MAX)])))),
        ("u32", plain(Arc::new(UInt32Array::from(vec![Some(0), None, Some(u32::MAX)])))),
        ("u64", plain(Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)])))),
        ("f32", plain(Arc::new(Float32Array::from(vec![Some(-0.0), None, Some(f32::NAN)])))),
        ("f64", plain(Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None, Some(5e-324)])))),
        (
            "exact",
            plain(Arc::new(
                Decimal128Array::from(vec![Some(-(10_i128.pow(38) - 1)), None, Some(1)])
                    .with_precision_and_scale(38, 10)
                    .unwrap(),
            )),
        ),
        (
            "wide",
            plain(Arc::new(
                Decimal256Array::from(vec![Some(i256::from_i128(-7)), None, Some(i256::from_i128(i128::MAX))])
                    .with_precision_and_scale(50, 2)
                    .unwrap(),
            )),
        ),
        ("text", plain(Arc::new(StringArray::from_iter(texts)))),
        ("view", as_text(Arc::new(StringViewArray::from_iter(texts)))),
        ("large", as_text(Arc::new(LargeStringArray::from_iter(texts)))),
        ("known", as_text(Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()))),
        ("bytes", plain(Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\0\xff"), None, Some(b"")])))),
        (
            "bytes_view",
            (Arc::new(BinaryViewArray::from_iter([Some(&b"\0\xff"[..]), None, Some(b"")])), Some(DataType::Binary)),
        ),
        (
            "large_bytes",
            (Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(b"\0\xff"), None, Some(b"")])), Some(DataType::Binary)),
        ),
        (
            "fixed",
            plain(Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([1, 2]), None, Some([0, 0])].into_iter(), 2)
                    .unwrap(),
            )),
        ),
        ("day", plain(Arc::new(Date32Array::from(vec![Some(-800_000), None, Some(2_932_896)])))),
        ("at_ms", plain(Arc::new(TimestampMillisecondArray::from(vec![Some(-1), None, Some(1)])))),
        ("at_us", plain(Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)])))),
        ("at_ns", plain(Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None, Some(1)])))),
        (
            "moment",
            plain(Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("UTC"))),
        ),
        (
            "shanghai",
            plain(Arc::new(
                TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("Asia/Shanghai"),
            )),
        ),
        ("clock_ms", plain(Arc::new(Time32MillisecondArray::from(vec![Some(0), None, Some(86_399_999)])))),
        ("clock", plain(Arc::new(Time64MicrosecondArray::from(vec![Some(0), None, Some(86_399_999_999)])))),
        ("span", plain(Arc::new(DurationMicrosecondArray::from(vec![Some(-1), None, Some(1)])))),
        ("list", plain(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(list())))),
        (
            "large_list",
            (
                Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(list())),
                Some(DataType::new_list(DataType::Int64, true)),
            ),
        ),
        (
            "record",
            (
                Arc::new(StructArray::from(vec![(
                    Arc::new(Field::new("of", DataType::Utf8View, true)),
                    Arc::new(StringViewArray::from_iter(texts)) as ArrayRef,
                )])),
                Some(DataType::Struct(vec![Field::new("of", DataType::Utf8, true)].into())),
            ),
        ),
    ];
    numbers.into_iter().map(|(name, (array, served))| (name, array, served)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_back_as_the_plain_type_of_the_same_values() {
    let columns = columns();
    let stored = RecordBatch::try_from_iter_with_nullable(
        columns.iter().map(|(name, array, _)| (*name, Arc::clone(array), true)),
    );
    let server = Roapi::start(&[Served::new("t", &stored.unwrap())]);
    let source = open(server.options()).await;
    let table = source.table("t").await.unwrap();
    let ctx = SessionContext::new();
    let all = ctx.read_table(Arc::clone(&table.provider)).unwrap().collect().await.unwrap();
    let all = arrow::compute::concat_batches(&table.description.schema, &all).unwrap();
    let mut wrong = vec![];
    for (position, (name, array, served)) in columns.iter().enumerate() {
        let expected = match served {
            None => Arc::clone(array),
            Some(served) => cast(array, served).unwrap(),
        };
        let (field, came) = (all.schema().field(position).clone(), all.column(position));
        let same_type = field.data_type().equals_datatype(expected.data_type());
        if !same_type || field.name() != name || values(came) != values(&expected) {
            wrong.push(format!("{name}: {:?} {came:?}, expected {expected:?}", field.data_type()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The values as text: names of items within lists are a matter of who wrote them.
fn values(array: &ArrayRef) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::default().with_null("NULL");
    let text = arrow::util::display::ArrayFormatter::try_new(array.as_ref(), &options).unwrap();
    (0..array.len()).map(|row| text.value(row).to_string()).collect()
}

/// Over a column that is stored in another way than it is served as, the server computes as we would.
#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_over_what_is_served() {
    let columns = columns();
    let stored = RecordBatch::try_from_iter_with_nullable(
        columns.iter().map(|(name, array, _)| (*name, Arc::clone(array), true)),
    );
    let table = FixtureTable { name: "t".into(), rows: stored.unwrap() };
    let server = Roapi::start(&[Served::new(&table.name, &table.rows)]);
    let source = open(server.options()).await;
    let ctx = session(&source, &["t"]).await;
    let before = server.log().len();
    for (condition, count) in [
        ("view = '𠮷'", 1),
        ("large > ''", 1),
        ("known IN ('𠮷', 'x')", 1),
        ("known = view", 2),
        ("concat(view, large) = '𠮷𠮷'", 1),
        ("bytes_view = X'00FF'", 1),
        ("u64 > 5", 1),
        ("u64 = 18446744073709551615", 1),
        ("i8 < 0", 1),
        ("exact < 0", 1),
        ("moment > '1970-01-01T00:00:00Z'", 1),
        ("at_ns <= arrow_cast(-1, 'Timestamp(Nanosecond, None)')", 1),
        ("day = DATE '9999-12-31'", 1),
        ("clock = arrow_cast('00:00:00', 'Time64(Microsecond)')", 1),
        ("f64 < -1.5", 1),
        ("list IS NULL", 1),
        ("truth AND i16 > 0", 0),
        ("NOT truth", 1),
    ] {
        assert_eq!(
            rows(&ctx, &format!("SELECT count(*) FROM t WHERE {condition}")).await.unwrap(),
            count.to_string(),
            "{condition}"
        );
    }
    let asked = server.asked_since(before).join("\n");
    for words in ["\"u64\" > ", "\"moment\" > ", "arrow_cast(\"t0\".\"large\", 'Utf8') > ''", "\"clock\" = "] {
        assert!(asked.contains(words), "{words} did not reach the server: {asked}");
    }
}
