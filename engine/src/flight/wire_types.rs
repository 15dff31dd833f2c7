//! What leaves a door: plain types that every client reads, under the schema that was declared.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};

use crate::sabotage::{Control, thrown};

/// The schema on the wire of a result: plain types, names and nullability as given, no metadata.
pub fn wire_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(wire_field).collect::<Fields>()))
}

/// How the types of an answer are told, by who reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reader {
    /// Whoever reads Arrow's plain types. Of the intervals that is the one of months, days and nanoseconds: Python has no value for
    /// the others.
    #[default]
    Arrow,
    /// A coordinator, which takes every plain type as it is.
    Peer,
    /// The Flight SQL JDBC driver: it shows an unsigned number of more than half its range as a negative one, gives no object for
    /// a time with a zone, and decodes no compression.
    Jdbc,
}

impl Reader {
    /// The reader that a `user-agent` names. The driver does not name itself up to 18.3.0: it comes as gRPC for Java, and so
    /// whatever else comes as that is told what the driver can show.
    pub fn of(user_agent: &str) -> Self {
        let is_jdbc = ["JDBC Flight SQL Driver", "grpc-java"].iter().any(|name| user_agent.starts_with(name));
        if is_jdbc { Self::Jdbc } else { Self::Arrow }
    }

    /// The schema on the wire of a result for this reader.
    pub fn schema(self, schema: &Schema) -> SchemaRef {
        let plain = wire_schema(schema);
        match self {
            Self::Peer => plain,
            Self::Arrow => Arc::new(Schema::new(retyped(plain.fields(), arrow_type))),
            Self::Jdbc => Arc::new(Schema::new(retyped(plain.fields(), jdbc_type))),
        }
    }

    /// The parameters of a statement, as this reader is told them. What it binds says of which type it is.
    pub fn parameters(self, parameters: &Schema) -> SchemaRef {
        let plain = wire_schema(parameters);
        match self {
            Self::Arrow | Self::Peer => plain,
            Self::Jdbc => Arc::new(Schema::new(plain.fields().iter().map(jdbc_parameter).collect::<Fields>())),
        }
    }
}

/// Plain fields with another type for each that has no fields of its own, at every depth.
fn retyped(fields: &Fields, leaf: fn(&DataType) -> DataType) -> Fields {
    fields.iter().map(|field| retyped_field(field, leaf)).collect()
}

fn retyped_field(field: &FieldRef, leaf: fn(&DataType) -> DataType) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::List(item) => DataType::List(retyped_field(item, leaf)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(retyped_field(item, leaf), *size),
        DataType::Struct(fields) => DataType::Struct(retyped(fields, leaf)),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, retyped_field(field, leaf))).collect(), *mode)
        }
        DataType::Map(entries, sorted) => DataType::Map(retyped_field(entries, leaf), *sorted),
        plain => leaf(plain),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn arrow_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        known => known.clone(),
    }
}

/// Unsigned numbers widened until they fit, and moments without their zone, as UTC.
fn jdbc_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, None),
        known => known.clone(),
    }
}

/// The driver writes milliseconds into a moment and a time of any unit, days into a date of any kind, and cuts whole numbers
/// to the width that it is told, without a word.
fn jdbc_parameter(field: &FieldRef) -> FieldRef {
    let told = match field.data_type() {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Date64 => DataType::Date32,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(told))
}

/// The type on the wire: views, large lists, dictionaries and run-ends made plain, small decimals and half floats widened, nested
/// types likewise.
pub fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => wire_type(values),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::List(item) | DataType::ListView(item) | DataType::LargeList(item) | DataType::LargeListView(item) => {
            DataType::List(wire_field(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(wire_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect::<Fields>()),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, wire_field(field))).collect(), *mode)
        }
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        plain => plain.clone(),
    }
}

fn wire_field(field: &FieldRef) -> FieldRef {
    let plain = Field::new(field.name(), wire_type(field.data_type()), field.is_nullable());
    Arc::new(if thrown(Control::Metadata) { plain.with_metadata(field.metadata().clone()) } else { plain })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{UnionFields, UnionMode};

    use super::*;

    #[test]
    fn views_and_dictionaries_become_plain_at_every_depth() {
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        assert_eq!(wire_type(&dictionary), DataType::Utf8);
        let plain = Arc::new(Field::new("item", DataType::Utf8, true));
        assert_eq!(wire_type(&DataType::ListView(item)), DataType::List(plain));
        assert_eq!(wire_type(&DataType::Decimal64(10, 2)), DataType::Decimal128(10, 2));
    }

    #[test]
    fn the_jdbc_driver_gets_types_that_it_shows_right() {
        let of = |data_type| Schema::new(vec![Field::new("a", data_type, true)]);
        let jdbc = Reader::of("grpc-java-netty/1.71.0");
        assert_eq!(jdbc, Reader::of("JDBC Flight SQL Driver 19.0.0 grpc-java-netty/1.75.0"));
        let told = |reader: Reader, data_type| reader.schema(&of(data_type)).field(0).data_type().clone();
        let moment = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        assert_eq!(told(jdbc, DataType::UInt64), DataType::Decimal128(20, 0));
        assert_eq!(told(jdbc, DataType::UInt8), DataType::Int16);
        assert_eq!(told(jdbc, moment(Some("Asia/Shanghai"))), moment(None));
        let adbc = Reader::of("ADBC Flight SQL Driver (unknown or development build) grpc-go/1.84.0");
        assert_eq!(told(adbc, DataType::UInt64), DataType::UInt64);
        assert_eq!(told(adbc, moment(Some("UTC"))), moment(Some("UTC")));
        let (months, all) =
            (DataType::Interval(IntervalUnit::YearMonth), DataType::Interval(IntervalUnit::MonthDayNano));
        assert_eq!([told(jdbc, months.clone()), told(adbc, months.clone())], [months.clone(), all]);
        assert_eq!(told(Reader::Peer, months.clone()), months);
    }

    #[test]
    fn the_jdbc_driver_gets_nested_types_that_it_shows_right() {
        let of = |number: DataType| {
            let item = Arc::new(Field::new("item", number, true));
            let key = Arc::new(Field::new("key", DataType::Utf8, false));
            let entries = Arc::new(Field::new("entries", DataType::Struct(vec![key, Arc::clone(&item)].into()), false));
            let union = UnionFields::try_new([1], [Arc::clone(&item)]).unwrap();
            let types = [
                DataType::List(Arc::clone(&item)),
                DataType::FixedSizeList(Arc::clone(&item), 2),
                DataType::Struct(vec![item].into()),
                DataType::Map(entries, false),
                DataType::Union(union, UnionMode::Sparse),
            ];
            Schema::new(types.map(|data_type| Field::new("a", data_type, true)).to_vec())
        };
        assert_eq!(*Reader::Jdbc.schema(&of(DataType::UInt64)), of(DataType::Decimal128(20, 0)));
        assert_eq!(*Reader::Arrow.schema(&of(DataType::UInt64)), of(DataType::UInt64));
    }

    #[test]
    fn the_jdbc_driver_is_told_parameters_that_it_writes_right() {
        let told = |reader: Reader, data_type| {
            reader.parameters(&Schema::new(vec![Field::new("$1", data_type, true)])).field(0).data_type().clone()
        };
        let moment = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
        for (stands, expected) in [
            (moment(TimeUnit::Nanosecond, None), moment(TimeUnit::Millisecond, None)),
            (moment(TimeUnit::Second, Some("UTC")), moment(TimeUnit::Millisecond, Some("UTC"))),
            (DataType::Time64(TimeUnit::Microsecond), DataType::Time32(TimeUnit::Millisecond)),
            (DataType::Date64, DataType::Date32),
            (DataType::Int8, DataType::Int64),
            (DataType::UInt32, DataType::Int64),
            (DataType::Float32, DataType::Float64),
            (DataType::Utf8View, DataType::Utf8),
        ] {
            assert_eq!(told(Reader::Jdbc, stands), expected);
        }
        let micros = moment(TimeUnit::Microsecond, None);
        assert_eq!(told(Reader::Arrow, micros.clone()), micros);
    }

    #[test]
    fn no_metadata_leaves_at_any_depth() {
        let noted =
            |name: &str, of| Field::new(name, of, true).with_metadata([("note".into(), "SECRET".into())].into());
        let inner = Arc::new(noted("inner", DataType::Utf8View));
        let union = UnionFields::try_new([1], [Arc::clone(&inner)]).unwrap();
        let fields = [
            noted("struct", DataType::Struct(vec![Arc::clone(&inner)].into())),
            noted("list", DataType::FixedSizeList(inner, 2)),
            noted("union", DataType::Union(union, UnionMode::Sparse)),
        ];
        let schema = Schema::new(fields.to_vec()).with_metadata([("pandas".into(), "SECRET".into())].into());
        let wire = format!("{:?}", wire_schema(&schema));
        assert!(!wire.contains("SECRET") && !wire.contains("Utf8View"), "{wire}");
    }
}
