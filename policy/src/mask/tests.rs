//! Every mask over every type that it accepts: what it gives, and that nothing of the input is in the bytes of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, make_array,
    new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, Schema, TimeUnit};
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::array_value_to_string;
use datafusion_common::ScalarValue;
use datafusion_expr::ScalarUDF;
use datafusion_expr::type_coercion::functions::fields_with_udf;

use super::*;
use crate::pseudonym::{PseudonymHash, PseudonymKeys};
use crate::value::Decimal;

const ROWS: usize = 8;

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn decimal(digits: &str) -> Value {
    Value::Decimal(Decimal { digits: digits.into() })
}

fn key() -> Pseudonyms {
    let secret = Vec::from_iter(0..32);
    PseudonymKeys::new(&secret, PseudonymHash::Sha256, 1).unwrap().pseudonyms("research", "resident").unwrap()
}

/// Arrays of all plain types, of canaries that no mask leaves as they are, also under their NULLs.
fn inputs() -> Vec<ArrayRef> {
    use DataType as T;
    let texts = StringArray::from_iter_values((0..ROWS).map(|row| format!("CANARY-{row}-raw-hidden-identifier")));
    let numbers = |first: i64| Int64Array::from_iter_values((0..8).map(|row| first + 2 * row));
    let dictionary = |of: DataType| T::Dictionary(Box::new(T::Int32), Box::new(of));
    let bytes = cast(&texts, &T::Binary).unwrap();
    let days = cast(&numbers(83_948), &T::Int32).unwrap();
    let millis = numbers(7_252_999_123_457);
    let zone = |zone: &str| Some(Arc::from(zone));
    let of = |array: &dyn Array, types: &[DataType]| -> Vec<ArrayRef> {
        types.iter().map(|to| with_nulls(&cast(array, to).unwrap())).collect()
    };
    let mut all = of(&texts, &[T::Utf8, T::LargeUtf8, T::Utf8View, dictionary(T::Utf8)]);
    all.extend(of(&bytes, &[T::Binary, T::LargeBinary, T::BinaryView]));
    all.extend(of(&numbers(101), &[T::Int8, T::UInt8, T::Int16, T::UInt16]));
    all.extend(of(&days, &[T::Int32, T::UInt32, T::Decimal32(9, 2), T::Float32, T::Date32]));
    all.extend(of(&numbers(7_310_868_735_422_111_001), &[T::Int64, T::UInt64, dictionary(T::Int64)]));
    all.extend(of(&millis, &[T::Decimal64(18, 1), T::Decimal128(38, 4), T::Decimal256(76, 4), T::Float64]));
    all.extend(of(
        &millis,
        &[
            T::Date64,
            T::Timestamp(TimeUnit::Second, None),
            T::Timestamp(TimeUnit::Millisecond, zone("+08:00")),
            T::Timestamp(TimeUnit::Microsecond, zone("UTC")),
            T::Timestamp(TimeUnit::Nanosecond, None),
        ],
    ));
    all.extend(of(&BooleanArray::from(vec![true; ROWS]), &[T::Boolean]));
    all
}

/// The array with every third row NULL, and its value still in the slot.
fn with_nulls(array: &ArrayRef) -> ArrayRef {
    let nulls: NullBuffer = (0..array.len()).map(|row| row % 3 != 2).collect();
    make_array(array.to_data().into_builder().nulls(Some(nulls)).build().unwrap())
}

fn generalise(pairs: Vec<(Value, Value)>, otherwise: Option<Value>) -> ColumnMask {
    ColumnMask::Generalise(Generalisation { pairs, otherwise })
}

fn masks() -> Vec<ColumnMask> {
    vec![
        ColumnMask::ReplaceWithNull,
        ColumnMask::Fixed(text("withheld")),
        ColumnMask::Fixed(Value::Integer(0)),
        ColumnMask::MaskAlphanum,
        ColumnMask::ShowFirst(3),
        ColumnMask::ShowLast(3),
        ColumnMask::TruncateToYear,
        ColumnMask::TruncateToMonth,
        ColumnMask::Bucket(Value::Integer(100)),
        generalise(vec![(text("CANARY-0-raw-hidden-identifier"), text("coarse"))], Some(text("other"))),
        generalise(vec![(Value::Integer(101), Value::Integer(100))], None),
        ColumnMask::Pseudonym("resident".into()),
    ]
}

fn accepted(mask: &ColumnMask) -> usize {
    inputs().iter().filter(|array| mask.check(array.data_type()).is_ok()).count()
}

#[test]
fn which_types_a_mask_is_for() {
    let all = inputs().len();
    let texts = 4;
    let counts: Vec<usize> = masks().iter().map(accepted).collect();
    assert_eq!(counts, [all, all, all, texts, texts, texts, 6, 6, 15, texts, 13, 23]);
}

#[test]
fn masks_keep_shape_and_leave_nothing_behind() {
    for mask in masks() {
        for array in inputs().iter().filter(|array| mask.check(array.data_type()).is_ok()) {
            let masked = mask.apply(array, Some(&key())).unwrap();
            let case = format!("{mask:?} over {}", array.data_type());
            assert_eq!(masked.data_type(), &mask.output_type(array.data_type()), "{case}");
            assert_eq!(masked.len(), ROWS, "{case}");
            assert_nulls_stay(&mask, array, &masked, &case);
            assert_nothing_is_left(array, &masked, &case);
            assert_eq!(&mask.apply(array, Some(&key())).unwrap(), &masked, "{case}");
            assert_eq!(mask.apply(&array.slice(3, 4), Some(&key())).unwrap().as_ref(), masked.slice(3, 4).as_ref());
        }
    }
}

fn assert_nulls_stay(mask: &ColumnMask, before: &ArrayRef, after: &ArrayRef, case: &str) {
    let not_null = Field::new("c", before.data_type().clone(), false);
    let zeros = |data: &ArrayData, row: usize| match data.data_type().primitive_width() {
        Some(width) => data.buffers()[0].as_slice()[row * width..][..width].iter().all(|byte| *byte == 0),
        None => true,
    };
    for row in 0..before.len() {
        let (was, is) = (before.is_null(row), after.is_null(row));
        assert!(is || !was, "{case}: row {row} is NULL no more");
        assert!(was || !is || mask.nullable(&not_null), "{case}: row {row} became NULL");
        assert!(!is || zeros(&after.to_data(), row), "{case}: something is under the NULL of row {row}");
        let shown = |array: &ArrayRef| array_value_to_string(array, row).unwrap();
        // A truth value has only two forms, and `fixed` may give the same number: neither says anything of the row.
        if !was && *before.data_type() != DataType::Boolean {
            assert_ne!(shown(before), shown(after), "{case}: row {row} is as it was");
        }
    }
}

/// No buffer is shared; no raw value is in the buffers, nor in a frame of them.
fn assert_nothing_is_left(before: &ArrayRef, after: &ArrayRef, case: &str) {
    let (mut raw, mut masked) = (vec![], vec![]);
    buffers(&before.to_data(), &mut raw);
    buffers(&after.to_data(), &mut masked);
    let pointers: BTreeSet<_> = raw.iter().map(|buffer| buffer.as_ptr()).collect();
    assert!(masked.iter().all(|buffer| !pointers.contains(&buffer.as_ptr())), "{case}: shares a buffer");
    let mut bytes = masked.iter().map(|buffer| buffer.as_slice()).collect::<Vec<_>>().concat();
    bytes.extend(frame(after));
    for canary in canaries(before) {
        assert!(!bytes.windows(canary.len()).any(|window| window == canary), "{case}: {canary:?} is left");
    }
}

fn buffers(data: &ArrayData, found: &mut Vec<Buffer>) {
    let own = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer()));
    found.extend(own.filter(|buffer| !buffer.is_empty()).cloned());
    data.child_data().iter().for_each(|child| buffers(child, found));
}

fn frame(array: &ArrayRef) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(array)]).unwrap();
    let mut writer = StreamWriter::try_new(vec![], &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// The raw values as they lie in memory, NULL slots included; those of fewer than four bytes could be there by chance.
fn canaries(array: &ArrayRef) -> Vec<Vec<u8>> {
    let plain = rebuild::hydrated(array).unwrap().to_data();
    match plain.data_type().primitive_width() {
        Some(width) if width >= 4 => {
            plain.buffers()[0].as_slice().chunks(width).map(|raw| raw[..width.min(8)].to_vec()).collect()
        }
        Some(_) => vec![],
        None if *array.data_type() == DataType::Boolean => vec![],
        None => vec![b"CANARY".to_vec(), b"hidden".to_vec(), b"identifier".to_vec()],
    }
}

#[test]
#[should_panic(expected = "is left")]
fn a_value_under_a_null_is_found() {
    let before: ArrayRef = Arc::new(Int64Array::from(vec![7_310_868_735_422_111_001; 3]));
    let after: ArrayRef =
        Arc::new(Int64Array::new(vec![7_310_868_735_422_111_001; 3].into(), Some(vec![false; 3].into())));
    assert_nothing_is_left(&before, &after, "copied");
}

#[test]
#[should_panic(expected = "shares a buffer")]
fn a_shared_buffer_is_found() {
    let before: ArrayRef = Arc::new(StringArray::from(vec!["a longer text", "another text"]));
    assert_nothing_is_left(&before, &before.slice(0, 1), "slice");
}

/// `mask` turns these values into those, NULL after them stays NULL.
fn check(mask: ColumnMask, input: Vec<ScalarValue>, expect: Vec<ScalarValue>) {
    let null = |values: &[ScalarValue]| ScalarValue::try_new_null(&values[0].data_type()).unwrap();
    let array =
        |values: &[ScalarValue]| ScalarValue::iter_to_array(values.iter().cloned().chain([null(values)])).unwrap();
    let masked = mask.apply(&array(&input), Some(&key())).unwrap();
    assert_eq!(masked.as_ref(), array(&expect).as_ref(), "{mask:?}");
}

fn texts(texts: &[&str]) -> Vec<ScalarValue> {
    texts.iter().map(|text| ScalarValue::Utf8(Some(text.to_string()))).collect()
}

#[test]
fn parts_of_texts_are_counted_in_characters() {
    check(ColumnMask::ShowFirst(1), texts(&["李雷", "", "é", "Wang"]), texts(&["李", "", "é", "W"]));
    check(ColumnMask::ShowLast(1), texts(&["李雷", "", "Wang"]), texts(&["雷", "", "g"]));
    check(ColumnMask::ShowLast(3), texts(&["李雷", "abcd"]), texts(&["李雷", "bcd"]));
    check(ColumnMask::ShowFirst(0), texts(&["abc"]), texts(&[""]));
    check(ColumnMask::ShowLast(0), texts(&["abc"]), texts(&[""]));
    check(ColumnMask::ShowFirst(u32::MAX), texts(&["abc"]), texts(&["abc"]));
    check(ColumnMask::MaskAlphanum, texts(&["Ab-12 李, ٣½!"]), texts(&["xx-nn x, nn!"]));
}

#[test]
fn buckets_begin_below_and_what_does_not_fit_is_null() {
    use ScalarValue as S;
    let bucket = |width: &str| ColumnMask::Bucket(decimal(width));
    let int8 = |values: &[Option<i8>]| values.iter().map(|value| S::Int8(*value)).collect::<Vec<_>>();
    let input = int8(&[Some(0), Some(127), Some(-1), Some(-100), Some(-101), Some(i8::MIN)]);
    check(bucket("100"), input, int8(&[Some(0), Some(100), Some(-100), Some(-100), None, None]));
    let uint = |value: u64| S::UInt64(Some(value));
    check(bucket("10"), vec![uint(u64::MAX), uint(9)], vec![uint(u64::MAX - 5), uint(0)]);
    let cents = |value: Option<i128>| S::Decimal128(value, 3, 2);
    check(
        bucket("0.5"),
        vec![cents(Some(149)), cents(Some(-1)), cents(Some(-999))],
        vec![cents(Some(100)), cents(Some(-50)), cents(None)],
    );
    let floats = |values: &[Option<f64>]| values.iter().map(|value| S::Float64(*value)).collect::<Vec<_>>();
    let input = floats(&[Some(0.31), Some(0.39), Some(-0.0), Some(f64::NAN), Some(f64::INFINITY), Some(f64::MAX)]);
    let third = Some(3.0 * 0.1);
    check(bucket("0.1"), input, floats(&[third, third, Some(0.0), None, None, None]));
}

#[test]
fn dates_begin_their_year_or_month_in_utc() {
    use ScalarValue as S;
    let date = |text: &str| Value::Text(text.into()).to_scalar(&DataType::Date32).unwrap();
    let leap = || vec![date("2024-02-29"), date("1969-12-31"), date("2000-01-01")];
    check(ColumnMask::TruncateToYear, leap(), vec![date("2024-01-01"), date("1969-01-01"), date("2000-01-01")]);
    check(ColumnMask::TruncateToMonth, leap(), vec![date("2024-02-01"), date("1969-12-01"), date("2000-01-01")]);
    let edges = vec![S::Date32(Some(i32::MIN)), S::Date32(Some(i32::MAX))];
    let masked = ColumnMask::TruncateToYear.apply(&ScalarValue::iter_to_array(edges).unwrap(), None).unwrap();
    assert!(masked.is_null(0) && masked.is_valid(1));
    let zone = Some(Arc::from("+08:00"));
    let at = |value| S::TimestampNanosecond(value, zone.clone());
    check(
        ColumnMask::TruncateToYear,
        vec![at(Some(-1)), at(Some(5)), at(Some(i64::MIN))],
        vec![at(Some(-365 * 86_400_000_000_000)), at(Some(0)), at(None)],
    );
}

#[test]
fn fixed_keeps_the_type_where_it_can() {
    let fixed = |value: Value, input: DataType| ColumnMask::Fixed(value).output_type(&input);
    assert_eq!(fixed(Value::Integer(5), DataType::Int8), DataType::Int8);
    assert_eq!(fixed(Value::Integer(500), DataType::Int8), DataType::Int64);
    assert_eq!(fixed(text("x"), DataType::Utf8View), DataType::Utf8);
    assert_eq!(fixed(text("x"), DataType::Date32), DataType::Utf8);
    assert_eq!(fixed(decimal("12.50"), DataType::Utf8), DataType::Decimal128(3, 1));
    let int = |value| ScalarValue::Int64(Some(value));
    check(ColumnMask::Fixed(text("*")), vec![int(1), int(2)], texts(&["*", "*"]));
    let list = DataType::new_list(DataType::Utf8, true);
    let masked = ColumnMask::Fixed(text("*")).apply(&new_null_array(&list, 2), None).unwrap();
    assert_eq!(masked.null_count(), 2);
    assert_eq!(ColumnMask::ReplaceWithNull.apply(&new_null_array(&list, 2), None).unwrap().data_type(), &list);
}

#[test]
fn generalise_maps_each_value() {
    use ScalarValue as S;
    let cities = vec![(text("JFK"), text("New York")), (text("EWR"), text("New Jersey"))];
    check(
        generalise(cities.clone(), Some(text("elsewhere"))),
        texts(&["JFK", "EWR", "LAX", ""]),
        texts(&["New York", "New Jersey", "elsewhere", "elsewhere"]),
    );
    check(generalise(cities, None), texts(&["JFK", "LAX"]), vec![S::Utf8(Some("New York".into())), S::Utf8(None)]);
    let int = |value| S::Int64(Some(value));
    let ages = vec![(Value::Integer(1), Value::Integer(0)), (Value::Integer(2), text("two"))];
    check(generalise(ages.clone(), None), vec![int(1), int(2)], texts(&["0", "two"]));
    check(generalise(ages[..1].to_vec(), Some(Value::Integer(9))), vec![int(1), int(2)], vec![int(0), int(9)]);
    let refused = |pairs, input: DataType| generalise(pairs, None).check(&input).unwrap_err();
    let twice = vec![(Value::Integer(1), text("a")), (decimal("1.0"), text("b"))];
    assert_eq!(refused(twice, DataType::Int64), "value 2 is the same as an earlier one");
    assert_eq!(
        refused(vec![(text("SECRET"), text("a"))], DataType::Int64),
        "value 1 is not exactly one of the type Int64"
    );
    assert!(generalise(ages, None).check(&DataType::Float64).is_err());
}

fn pseudonym_of(value: ScalarValue) -> String {
    let mask = ColumnMask::Pseudonym("resident".into());
    let masked = mask.apply(&value.to_array().unwrap(), Some(&key())).unwrap();
    masked.as_string::<i32>().value(0).to_string()
}

#[test]
fn one_identifier_has_one_pseudonym_in_every_type() {
    use ScalarValue as S;
    let same = |name: &str, values: Vec<ScalarValue>| {
        let expect = pseudonym_of(S::Utf8(Some(name.into())));
        for value in values {
            assert_eq!(pseudonym_of(value.clone()), expect, "{value:?} as {name}");
        }
    };
    assert_eq!(pseudonym_of(S::Int64(Some(42))), "7a4uhicl2pkwj5yzcqru4dwsrl");
    same(
        "42",
        vec![
            S::Utf8View(Some(" 42\t".into())),
            S::UInt8(Some(42)),
            S::Decimal128(Some(4200), 6, 2),
            S::Decimal256(Some(42.into()), 6, 0),
            S::Dictionary(Box::new(DataType::Int8), Box::new(S::LargeUtf8(Some("42".into())))),
        ],
    );
    same("-0.05", vec![S::Decimal128(Some(-50), 6, 3), S::Decimal64(Some(-5), 6, 2)]);
    same("0", vec![S::Decimal128(Some(0), 6, 3), S::Decimal128(Some(0), 6, -3), S::Int8(Some(0))]);
    same("-4200", vec![S::Decimal128(Some(-42), 6, -2)]);
    same("12.5", vec![S::Decimal32(Some(1250), 6, 2)]);
    same("\u{e9}", vec![S::Utf8(Some("e\u{301}".into()))]);
    same("2026-01-31", vec![S::Date32(Some(20_484)), S::Date64(Some(20_484 * 86_400_000 + 5))]);
    same("0000-12-31", vec![S::Date32(Some(-719_163))]);
    same("00ff", vec![S::Binary(Some(vec![0, 255])), S::FixedSizeBinary(2, Some(vec![0, 255]))]);
    same("true", vec![S::Boolean(Some(true))]);
}

#[test]
fn a_mask_that_does_not_fit_is_refused() {
    let refused = |mask: ColumnMask, input: DataType| mask.check(&input).unwrap_err();
    let pseudonym = || ColumnMask::Pseudonym("d".into());
    assert_eq!(refused(pseudonym(), DataType::Float64), "values of the type Float64 are no identifiers");
    assert!(!refused(ColumnMask::ShowFirst(1), DataType::Int64).is_empty());
    assert_eq!(refused(ColumnMask::Bucket(Value::Integer(0)), DataType::Int8), "the width is not above zero");
    assert!(!refused(ColumnMask::Bucket(Value::Integer(-5)), DataType::Float64).is_empty());
    assert!(!refused(ColumnMask::Bucket(decimal("0.5")), DataType::Int64).is_empty());
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert!(pseudonym().apply(&array, None).unwrap_err().to_string().contains("no secret"));
}

#[test]
fn functions_are_equal_when_they_do_the_same() {
    let keys = |epoch| PseudonymKeys::new(&[7; 32], PseudonymHash::Sm3, epoch).unwrap().pseudonyms("p", "d").unwrap();
    let function = |mask: ColumnMask, input: DataType, key: &Pseudonyms| MaskFunction::mask(&mask, &input, Some(key));
    let first = |count| function(ColumnMask::ShowFirst(count), DataType::Utf8, &keys(1)).unwrap();
    let pseudonym = |epoch| function(ColumnMask::Pseudonym("d".into()), DataType::Utf8, &keys(epoch)).unwrap();
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
    assert_ne!(first(1), function(ColumnMask::ShowFirst(1), DataType::Utf8View, &keys(1)).unwrap());
    assert_eq!(pseudonym(1), pseudonym(1));
    assert_ne!(pseudonym(1), pseudonym(2));
    assert_eq!(format!("{:?}", pseudonym(1)), "MaskFunction(\"chancery_mask_pseudonym\")");
    assert!(pseudonym(1).apply(&(Arc::new(Int64Array::from(vec![1])) as ArrayRef)).is_err());
}

#[test]
fn a_mask_meets_the_raw_column_without_a_cast() {
    for array in inputs() {
        let mask = MaskFunction::mask(&ColumnMask::Fixed(text("x")), array.data_type(), None).unwrap();
        let field: FieldRef = Arc::new(Field::new("c", array.data_type().clone(), true));
        let fields = fields_with_udf(&[Arc::clone(&field)], &ScalarUDF::new_from_impl(mask)).unwrap();
        assert_eq!(fields, [field]);
    }
}

#[test]
fn clamping_holds_at_the_extremes() {
    let float = |value: f64| ScalarValue::Float64(Some(value));
    let clamp = MaskFunction::clamp(&DataType::Float64, &float(0.0), &float(10.0)).unwrap();
    let values: ArrayRef =
        Arc::new(Float64Array::from(vec![f64::NEG_INFINITY, -1.0, 5.5, 11.0, f64::INFINITY, f64::NAN]));
    let clamped = clamp.apply(&values).unwrap();
    let clamped: Vec<_> = clamped.as_primitive::<Float64Type>().iter().collect();
    assert_eq!(clamped, [Some(0.0), Some(0.0), Some(5.5), Some(10.0), Some(10.0), None]);
    let int = |value| ScalarValue::Int64(Some(value));
    let clamp = MaskFunction::clamp(&DataType::Int64, &int(0), &int(500)).unwrap();
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(7), Some(i64::MAX)]));
    let clamped = clamp.apply(&values).unwrap();
    let clamped: Vec<_> = clamped.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(clamped, [Some(0), None, Some(7), Some(500)]);
    assert!(MaskFunction::clamp(&DataType::Int64, &int(5), &int(4)).is_err());
    assert!(MaskFunction::clamp(&DataType::Int64, &float(0.0), &int(4)).is_err());
    assert!(MaskFunction::clamp(&DataType::Float64, &float(f64::NAN), &float(1.0)).is_err());
}
