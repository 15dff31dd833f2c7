//! The values of a world: tame ones that most expressions survive, odd ones, and the wild ones of hidden rows, at which
//! casts, divisions and additions fail. And values that a mask shows alike.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits.
    Small,
    /// 64 bits.
    Integer,
    /// 12 digits, two of them after the point.
    Decimal,
    /// 64 bits.
    Float,
    /// A text.
    Text,
    /// A truth value.
    Boolean,
    /// A day.
    Date,
    /// A timestamp of microseconds, without zone.
    Timestamp,
    /// A list of integers.
    List,
    /// An integer `a` and a text `b`.
    Struct,
}

/// How a column or row behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Texts are numbers, numbers small and not zero, nothing is NULL.
    Tame,
    /// Anything.
    Odd,
    /// What nobody is to know: overflowing numbers, zeros, words where numbers are expected, far dates.
    Wild,
}

const WORDS: [&str; 10] = ["", "a", "b", "Ab", "ä", "北京", "O'B", "a%", " 7 ", "north"];
/// 1 February 2024.
const FIRST_DAY: i32 = 19_754;
const DAY_US: i64 = 86_400_000_000;

impl Kind {
    /// Every kind, those more often that more can be done with.
    pub const ALL: [Kind; 13] = [
        Kind::Small,
        Kind::Integer,
        Kind::Integer,
        Kind::Decimal,
        Kind::Float,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Boolean,
        Kind::Date,
        Kind::Timestamp,
        Kind::List,
        Kind::Struct,
    ];

    /// Its type in files.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Small => DataType::Int32,
            Kind::Integer => DataType::Int64,
            Kind::Decimal => DataType::Decimal128(12, 2),
            Kind::Float => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Boolean => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::List => DataType::List(Arc::new(Field::new("item", DataType::Int64, true))),
            Kind::Struct => DataType::Struct(struct_fields()),
        }
    }

    /// Whether it has parts, which delimited text cannot hold.
    pub fn is_nested(self) -> bool {
        matches!(self, Kind::List | Kind::Struct)
    }

    /// NULL.
    pub fn null(self) -> ScalarValue {
        ScalarValue::try_new_null(&self.data_type()).expect("every kind has NULL")
    }

    /// A value of it.
    pub fn value(self, rng: &mut StdRng, temper: Temper) -> ScalarValue {
        if temper != Temper::Tame && rng.random_range(0..8) == 0 {
            return self.null();
        }
        match self {
            Kind::Small => ScalarValue::Int32(Some(i32::try_from(integer(rng, temper)).unwrap_or(i32::MAX))),
            Kind::Integer => ScalarValue::Int64(Some(integer(rng, temper))),
            Kind::Decimal => {
                let hundredths = integer(rng, temper).clamp(-9_999_999_999, 9_999_999_999);
                ScalarValue::Decimal128(Some(i128::from(hundredths) * 100 + rng.random_range(0..4) * 25), 12, 2)
            }
            Kind::Float => ScalarValue::Float64(Some(float(rng, temper))),
            Kind::Text => ScalarValue::Utf8(Some(text(rng, temper))),
            Kind::Boolean => ScalarValue::Boolean(Some(rng.random())),
            Kind::Date => ScalarValue::Date32(Some(day(rng, temper))),
            Kind::Timestamp => {
                let of_day = rng.random_range(0..4) * DAY_US / 4;
                ScalarValue::TimestampMicrosecond(Some(i64::from(day(rng, temper)) * DAY_US + of_day), None)
            }
            Kind::List => {
                let items = (0..rng.random_range(0..4)).map(|_| Some(integer(rng, temper))).collect::<Vec<_>>();
                let lists = arrow::array::ListArray::from_iter_primitive::<Int64Type, _, _>([Some(items)]);
                ScalarValue::List(Arc::new(lists))
            }
            Kind::Struct => {
                let a: ArrayRef = Arc::new(Int64Array::from(vec![integer(rng, temper)]));
                let b: ArrayRef = Arc::new(StringArray::from(vec![text(rng, temper)]));
                ScalarValue::Struct(Arc::new(StructArray::new(struct_fields(), vec![a, b], None)))
            }
        }
    }
}

fn struct_fields() -> Fields {
    Fields::from(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)])
}

fn integer(rng: &mut StdRng, temper: Temper) -> i64 {
    match temper {
        Temper::Tame => rng.random_range(1..30),
        Temper::Odd => rng.random_range(-3..40),
        Temper::Wild => match rng.random_range(0..4) {
            0 => *[0, -1, i64::MAX, i64::MIN, 4_611_686_018_427_387_904].choose(rng).expect("not empty"),
            1 => 900_000_000 + rng.random_range(0..1_000_000),
            _ => rng.random_range(-3..40),
        },
    }
}

fn float(rng: &mut StdRng, temper: Temper) -> f64 {
    match temper {
        Temper::Tame => f64::from(rng.random_range(1..90)) / 7.0,
        _ if rng.random_range(0..6) == 0 => {
            *[f64::NAN, f64::INFINITY, -0.0, 0.0, 1e300].choose(rng).expect("not empty")
        }
        _ => f64::from(rng.random_range(-50..50)) / 3.0,
    }
}

fn text(rng: &mut StdRng, temper: Temper) -> String {
    match temper {
        Temper::Tame => rng.random_range(1..40).to_string(),
        Temper::Odd if rng.random_range(0..4) == 0 => format!("a longer text, number {}", rng.random_range(0..20)),
        Temper::Odd => (*WORDS.choose(rng).expect("not empty")).to_string(),
        Temper::Wild => match rng.random_range(0..3) {
            0 => rng.random_range(1..40).to_string(),
            1 => (*WORDS.choose(rng).expect("not empty")).to_string(),
            _ => format!("SECRET-{:06}-of-a-hidden-row", rng.random_range(0..1_000_000)),
        },
    }
}

fn day(rng: &mut StdRng, temper: Temper) -> i32 {
    match temper {
        Temper::Tame => FIRST_DAY + rng.random_range(0..20),
        Temper::Odd => FIRST_DAY + rng.random_range(-400..400),
        Temper::Wild => FIRST_DAY + 365 * 175 + rng.random_range(0..300),
    }
}

/// Values near another one, some of which a mask will show alike.
pub fn near(rng: &mut StdRng, kind: Kind, value: &ScalarValue) -> Vec<ScalarValue> {
    let mut near: Vec<ScalarValue> = (0..24).filter_map(|_| changed(rng, value)).collect();
    near.extend((0..16).map(|_| kind.value(rng, Temper::Wild)));
    near
}

/// The value with a small change.
fn changed(rng: &mut StdRng, value: &ScalarValue) -> Option<ScalarValue> {
    let step: i32 = rng.random_range(-20..=20);
    Some(match value {
        ScalarValue::Int32(Some(number)) => ScalarValue::Int32(number.checked_add(step)),
        ScalarValue::Int64(Some(number)) => ScalarValue::Int64(number.checked_add(step.into())),
        ScalarValue::Decimal128(Some(number), p, s) => {
            ScalarValue::Decimal128(Some(number + i128::from(step) * 25), *p, *s)
        }
        ScalarValue::Float64(Some(number)) => ScalarValue::Float64(Some(number + f64::from(step) / 9.0)),
        ScalarValue::Date32(Some(day)) => ScalarValue::Date32(Some(day + step)),
        ScalarValue::TimestampMicrosecond(Some(at), _) => {
            ScalarValue::TimestampMicrosecond(Some(at + i64::from(step) * DAY_US / 4), None)
        }
        ScalarValue::Utf8(Some(text)) => ScalarValue::Utf8(Some(changed_text(rng, text))),
        _ => return None,
    })
}

/// Another text with the same beginning, or end, or shape, or with white space around it.
fn changed_text(rng: &mut StdRng, text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let kept = rng.random_range(0..=characters.len());
    match rng.random_range(0..4) {
        0 => characters[..kept].iter().collect::<String>() + &rng.random_range(0..1_000).to_string(),
        1 => rng.random_range(0..1_000).to_string() + &characters[kept..].iter().collect::<String>(),
        2 => format!(" {text} "),
        _ => characters.iter().map(|character| of_same_shape(rng, *character)).collect(),
    }
}

fn of_same_shape(rng: &mut StdRng, character: char) -> char {
    match character {
        '0'..='9' => char::from(rng.random_range(b'0'..=b'9')),
        'a'..='z' | 'A'..='Z' => char::from(rng.random_range(b'a'..=b'z')),
        other => other,
    }
}
