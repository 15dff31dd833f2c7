//! The types of SQL as XDBC numbers them: what a client may declare a value to be here.

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

use crate::error::{EngineError, Result};

/// A name of SQL, its number, its size in digits or characters, and between what its literals stand.
type Named = (&'static str, XdbcDataType, Option<i32>, Option<&'static str>);

const NUMBERS: [Named; 11] = [
    ("TINYINT", XdbcDataType::XdbcTinyint, Some(3), None),
    ("TINYINT UNSIGNED", XdbcDataType::XdbcTinyint, Some(3), None),
    ("SMALLINT", XdbcDataType::XdbcSmallint, Some(5), None),
    ("SMALLINT UNSIGNED", XdbcDataType::XdbcSmallint, Some(5), None),
    ("INTEGER", XdbcDataType::XdbcInteger, Some(10), None),
    ("INTEGER UNSIGNED", XdbcDataType::XdbcInteger, Some(10), None),
    ("BIGINT", XdbcDataType::XdbcBigint, Some(19), None),
    ("BIGINT UNSIGNED", XdbcDataType::XdbcBigint, Some(20), None),
    ("REAL", XdbcDataType::XdbcReal, Some(7), None),
    ("DOUBLE", XdbcDataType::XdbcDouble, Some(15), None),
    ("DECIMAL", XdbcDataType::XdbcDecimal, Some(76), None),
];

const OTHERS: [Named; 7] = [
    ("BOOLEAN", XdbcDataType::XdbcBit, Some(1), None),
    ("VARCHAR", XdbcDataType::XdbcVarchar, None, Some("'")),
    ("VARBINARY", XdbcDataType::XdbcVarbinary, None, Some("X'")),
    ("DATE", XdbcDataType::XdbcDate, Some(10), Some("DATE '")),
    ("TIME", XdbcDataType::XdbcTime, Some(18), Some("TIME '")),
    ("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(29), Some("TIMESTAMP '")),
    ("INTERVAL", XdbcDataType::XdbcInterval, None, Some("INTERVAL '")),
];

/// The types.
///
/// # Errors
/// When the builder is broken.
pub(super) fn all() -> Result<XdbcTypeInfoData> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for named in NUMBERS {
        types.append(number(named));
    }
    for named in OTHERS {
        types.append(described(named));
    }
    types.build().map_err(EngineError::internal)
}

fn number(named: Named) -> XdbcTypeInfo {
    let (name, data_type, ..) = named;
    let is_decimal = data_type == XdbcDataType::XdbcDecimal;
    XdbcTypeInfo {
        create_params: is_decimal.then(|| vec!["precision".to_string(), "scale".to_string()]),
        unsigned_attribute: Some(name.ends_with("UNSIGNED")),
        auto_increment: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(if is_decimal { 76 } else { 0 }),
        num_prec_radix: Some(10),
        searchable: Searchable::Basic,
        ..described(named)
    }
}

fn described((name, data_type, size, prefix): Named) -> XdbcTypeInfo {
    let subcode = match data_type {
        XdbcDataType::XdbcDate => Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        XdbcDataType::XdbcTime => Some(XdbcDatetimeSubcode::XdbcSubcodeTime),
        XdbcDataType::XdbcTimestamp => Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        _ => None,
    };
    let is_text = data_type == XdbcDataType::XdbcVarchar;
    XdbcTypeInfo {
        type_name: name.to_string(),
        data_type,
        column_size: size,
        literal_prefix: prefix.map(str::to_string),
        literal_suffix: prefix.map(|_| "'".to_string()),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: is_text,
        searchable: if is_text { Searchable::Full } else { Searchable::Basic },
        local_type_name: Some(name.to_string()),
        sql_data_type: if subcode.is_some() { XdbcDataType::XdbcDatetime } else { data_type },
        datetime_subcode: subcode,
        ..XdbcTypeInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    #[test]
    fn a_type_is_found_by_its_number() {
        let types = all().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), NUMBERS.len() + OTHERS.len());
        let varchar = types.record_batch(XdbcDataType::XdbcVarchar as i32).unwrap();
        assert_eq!(varchar.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("VARCHAR")]);
    }
}
