//! Which Arrow type a column of the server is served as, and what the server casts it to before it sends it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, IntervalUnit, TimeUnit};
use tokio_postgres::types::Type;

/// The scale of a `numeric` that declares none; the precision is all that there is.
const SCALE_UNDECLARED: i8 = 10;
/// What a type's modifier is where there is none.
const NO_MODIFIER: i32 = -1;
/// What the server adds to every modifier.
const MODIFIER_OFFSET: i32 = 4;

/// How a column is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) data_type: DataType,
    /// The type that the server casts it to; `None` if it is sent as it is.
    pub(super) cast: Option<String>,
    /// Whether the type holds every value of the column; a `numeric` may have digits that it does not.
    pub(super) is_exact: bool,
}

/// One type of the server, as far as it says what to look at in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypeEntry {
    /// The type under a domain.
    pub(super) base: Option<u32>,
    /// The modifier that a domain gives its base type.
    pub(super) modifier: i32,
    /// The type of the items of an array.
    pub(super) item: Option<u32>,
}

/// The types that some columns have, by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeCatalog(pub(super) HashMap<u32, TypeEntry>);

impl TypeCatalog {
    /// How a column of this type and modifier is served.
    pub(super) fn served(&self, oid: u32, modifier: i32) -> Served {
        let (oid, modifier) = self.under_domains(oid, modifier);
        match self.0.get(&oid).and_then(|entry| entry.item) {
            Some(item) => self.served_array(item, modifier),
            None => scalar(oid, modifier),
        }
    }

    fn served_array(&self, item: u32, modifier: i32) -> Served {
        let (oid, modifier) = self.under_domains(item, modifier);
        let Served { data_type, cast, is_exact } = scalar(oid, modifier);
        // Items that are of a domain are cast to the type under it, so that they are sent under its name.
        let cast = cast.or_else(|| (oid != item).then(|| super::decode::wire_name(&data_type)));
        let field = Arc::new(Field::new_list_field(data_type, true));
        Served { data_type: DataType::List(field), cast: cast.map(|cast| format!("{cast}[]")), is_exact }
    }

    fn under_domains(&self, mut oid: u32, mut modifier: i32) -> (u32, i32) {
        while let Some(TypeEntry { base: Some(base), modifier: given, .. }) = self.0.get(&oid) {
            if modifier == NO_MODIFIER {
                modifier = *given;
            }
            oid = *base;
        }
        (oid, modifier)
    }
}

fn scalar(oid: u32, modifier: i32) -> Served {
    let as_it_is = |data_type| Served { data_type, cast: None, is_exact: true };
    match Type::from_oid(oid) {
        Some(Type::BOOL) => as_it_is(DataType::Boolean),
        Some(Type::INT2) => as_it_is(DataType::Int16),
        Some(Type::INT4) => as_it_is(DataType::Int32),
        Some(Type::INT8) => as_it_is(DataType::Int64),
        Some(Type::FLOAT4) => as_it_is(DataType::Float32),
        Some(Type::FLOAT8) => as_it_is(DataType::Float64),
        Some(Type::NUMERIC) => Served { is_exact: holds_all(modifier), ..as_it_is(decimal(modifier)) },
        Some(Type::TEXT | Type::VARCHAR) => as_it_is(DataType::Utf8),
        Some(Type::BYTEA) => as_it_is(DataType::Binary),
        Some(Type::DATE) => as_it_is(DataType::Date32),
        Some(Type::TIME) => as_it_is(DataType::Time64(TimeUnit::Microsecond)),
        Some(Type::TIMESTAMP) => as_it_is(DataType::Timestamp(TimeUnit::Microsecond, None)),
        Some(Type::TIMESTAMPTZ) => as_it_is(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Some(Type::INTERVAL) => as_it_is(DataType::Interval(IntervalUnit::MonthDayNano)),
        Some(Type::OID) => Served { cast: Some("int8".to_owned()), ..as_it_is(DataType::Int64) },
        // Every type has a text form, its own output.
        _ => Served { cast: Some("text".to_owned()), ..as_it_is(DataType::Utf8) },
    }
}

/// A declared precision and scale, as far as a decimal of 38 digits has them. Since PostgreSQL 15 a scale may be negative, or
/// larger than the precision.
fn decimal(modifier: i32) -> DataType {
    if modifier < MODIFIER_OFFSET {
        return DataType::Decimal128(DECIMAL128_MAX_PRECISION, SCALE_UNDECLARED);
    }
    let packed = modifier - MODIFIER_OFFSET;
    let precision = (packed >> 16) & 0xFFFF;
    // Eleven bits, two's complement.
    let scale = ((packed & 0x7FF) ^ 1024) - 1024;
    let most = i32::from(DECIMAL128_MAX_PRECISION);
    let whole = precision - scale.min(0);
    let (scale, precision) = (scale.clamp(0, most), whole.max(scale).clamp(1, most));
    DataType::Decimal128(
        u8::try_from(precision).unwrap_or(DECIMAL128_MAX_PRECISION),
        i8::try_from(scale).unwrap_or(SCALE_UNDECLARED),
    )
}

/// Whether a decimal of 38 digits has all that the modifier of a `numeric` allows.
fn holds_all(modifier: i32) -> bool {
    let packed = modifier - MODIFIER_OFFSET;
    let (precision, scale) = ((packed >> 16) & 0xFFFF, packed & 0x7FF);
    modifier >= MODIFIER_OFFSET && precision <= i32::from(DECIMAL128_MAX_PRECISION) && scale <= precision
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: u32 = 90_001;
    const ENUM: u32 = 90_002;
    const ENUM_ARRAY: u32 = 90_003;
    const DOMAIN_ARRAY: u32 = 90_004;

    fn numeric(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7FF)) + MODIFIER_OFFSET
    }

    fn check(oid: u32, modifier: i32, expect: &str) {
        let entry = |base, modifier, item| TypeEntry { base, modifier, item };
        let types = [
            (DOMAIN, entry(Some(Type::NUMERIC.oid()), numeric(6, 3), None)),
            (ENUM, entry(None, NO_MODIFIER, None)),
            (ENUM_ARRAY, entry(None, NO_MODIFIER, Some(ENUM))),
            (DOMAIN_ARRAY, entry(None, NO_MODIFIER, Some(DOMAIN))),
            (Type::INT4_ARRAY.oid(), entry(None, NO_MODIFIER, Some(Type::INT4.oid()))),
        ];
        let served = TypeCatalog(types.into_iter().collect()).served(oid, modifier);
        let cast = served.cast.map(|cast| format!(" by {cast}")).unwrap_or_default();
        let data_type = match served.data_type {
            DataType::List(item) => format!("List {}", item.data_type()),
            other => other.to_string(),
        };
        assert_eq!(format!("{data_type}{cast}"), expect);
    }

    #[test]
    fn a_type_is_served_as_one_type() {
        check(Type::INT4.oid(), -1, "Int32");
        check(Type::OID.oid(), -1, "Int64 by int8");
        check(Type::BPCHAR.oid(), 14, "Utf8 by text");
        check(Type::UUID.oid(), -1, "Utf8 by text");
        check(ENUM, -1, "Utf8 by text");
        check(DOMAIN, -1, "Decimal128(6, 3)");
        check(Type::INT4_ARRAY.oid(), -1, "List Int32");
        check(ENUM_ARRAY, -1, "List Utf8 by text[]");
        check(DOMAIN_ARRAY, -1, "List Decimal128(6, 3) by numeric[]");
    }

    #[test]
    fn a_numeric_has_what_it_declares_up_to_38_digits() {
        check(Type::NUMERIC.oid(), -1, "Decimal128(38, 10)");
        check(Type::NUMERIC.oid(), numeric(12, 2), "Decimal128(12, 2)");
        check(Type::NUMERIC.oid(), numeric(38, 38), "Decimal128(38, 38)");
        check(Type::NUMERIC.oid(), numeric(50, 4), "Decimal128(38, 4)");
        check(Type::NUMERIC.oid(), numeric(5, -3), "Decimal128(8, 0)");
        check(Type::NUMERIC.oid(), numeric(3, 5), "Decimal128(5, 5)");
        check(Type::NUMERIC.oid(), numeric(1000, 1000), "Decimal128(38, 38)");
    }
}
