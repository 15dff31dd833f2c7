//! What the server says of itself to clients that ask for SqlInfo: every code of the protocol, each as the type that
//! clients cast it to. A driver fails on a code that is missing and on one that the protocol does not have.

use std::collections::BTreeMap;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedResultSetConcurrency, SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction,
    SqlSupportedUnions, SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

use crate::config::limits::Limits;
use crate::error::{EngineError, Result};
use crate::session::functions::{Subject, functions_about};

/// The facts of a read-only server that speaks SQL.
///
/// # Errors
/// When the builder is broken.
pub fn facts(limits: &Limits) -> Result<SqlInfoData> {
    let mut facts = SqlInfoDataBuilder::new();
    server(&mut facts, limits);
    names(&mut facts);
    lists(&mut facts);
    language(&mut facts);
    absent(&mut facts);
    sizes(&mut facts, limits);
    facts.build().map_err(EngineError::internal)
}

fn server(facts: &mut SqlInfoDataBuilder, limits: &Limits) {
    facts.append(SqlInfo::FlightSqlServerName, "Chancery");
    facts.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    facts.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    facts.append(SqlInfo::FlightSqlServerReadOnly, true);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    facts.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    facts.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    // A client that insists on a transaction gets one, in which nothing can be written and nothing is held.
    facts.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::Transaction as i32);
    facts.append(SqlInfo::FlightSqlServerCancel, true);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    facts.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    let timeout = i32::try_from(limits.statement_timeout_ms).unwrap_or(i32::MAX);
    facts.append(SqlInfo::FlightSqlServerStatementTimeout, timeout);
    facts.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

fn names(facts: &mut SqlInfoDataBuilder) {
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    facts.append(SqlInfo::SqlIdentifierCase, lower);
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // A quoted name is what it is: the protocol has no word for that but this one.
    let exact = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    facts.append(SqlInfo::SqlQuotedIdentifierCase, exact);
    facts.append(SqlInfo::SqlAllTablesAreSelectable, true);
    facts.append(SqlInfo::SqlSearchStringEscape, "\\");
    facts.append(SqlInfo::SqlExtraNameCharacters, "");
    facts.append(SqlInfo::SqlSchemaTerm, "schema");
    facts.append(SqlInfo::SqlProcedureTerm, "procedure");
    facts.append(SqlInfo::SqlCatalogTerm, "catalog");
    facts.append(SqlInfo::SqlCatalogAtStart, true);
}

/// Words beyond those of SQL-92 that a name must not be without quotes.
const KEYWORDS: &[&str] = &["ANALYZE", "ANTI", "EXPLAIN", "ILIKE", "LATERAL", "LIMIT", "OFFSET", "QUALIFY", "SEMI"];

fn lists(facts: &mut SqlInfoDataBuilder) {
    facts.append(SqlInfo::SqlKeywords, KEYWORDS);
    facts.append(SqlInfo::SqlNumericFunctions, functions_about(Subject::Numbers));
    facts.append(SqlInfo::SqlStringFunctions, functions_about(Subject::Texts));
    facts.append(SqlInfo::SqlSystemFunctions, functions_about(Subject::Anything));
    facts.append(SqlInfo::SqlDatetimeFunctions, functions_about(Subject::Time));
    facts.append(SqlInfo::SqlSupportsConvert, conversions());
}

/// From each type to those that it is cast to.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as To;
    let numbers = [
        To::SqlConvertTinyint,
        To::SqlConvertSmallint,
        To::SqlConvertInteger,
        To::SqlConvertBigint,
        To::SqlConvertReal,
        To::SqlConvertFloat,
        To::SqlConvertDecimal,
        To::SqlConvertNumeric,
    ];
    let times = [To::SqlConvertDate, To::SqlConvertTime, To::SqlConvertTimestamp];
    let codes = |of: &[To]| of.iter().map(|one| *one as i32).collect::<Vec<_>>();
    let (texts, bits) = ([To::SqlConvertChar, To::SqlConvertVarchar], [To::SqlConvertBit]);
    let from_numbers = [codes(&numbers), codes(&texts), codes(&bits)].concat();
    let from_texts = [from_numbers.clone(), codes(&times), codes(&[To::SqlConvertVarbinary])].concat();
    let from_times = [codes(&times), codes(&texts)].concat();
    let rows = [
        (codes(&numbers), from_numbers.clone()),
        (codes(&bits), from_numbers),
        (codes(&texts), from_texts),
        (codes(&times), from_times),
        (codes(&[To::SqlConvertVarbinary]), codes(&texts)),
    ];
    rows.into_iter().flat_map(|(from, to)| from.into_iter().map(move |one| (one, to.clone()))).collect()
}

fn language(facts: &mut SqlInfoDataBuilder) {
    facts.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    for yes in [
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
    ] {
        facts.append(yes, true);
    }
    facts.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    let group_by =
        [SqlSupportedGroupBy::SqlGroupByUnrelated as i32, SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32];
    facts.append(SqlInfo::SqlSupportedGroupBy, bits(&group_by));
    let grammar = [SupportedSqlGrammar::SqlMinimumGrammar as i32, SupportedSqlGrammar::SqlCoreGrammar as i32];
    facts.append(SqlInfo::SqlSupportedGrammar, bits(&grammar));
    // Entry level of SQL-92.
    facts.append(SqlInfo::SqlAnsi92SupportedLevel, bits(&[0]));
    // An ordinal by the protocol's text, and bits to the driver that reads it.
    let joins =
        [SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32, SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32];
    facts.append(SqlInfo::SqlOuterJoinsSupportLevel, bits(&joins));
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
        SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
        SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
    ];
    facts.append(SqlInfo::SqlSupportedSubqueries, bits(&subqueries));
    let unions = [SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32];
    facts.append(SqlInfo::SqlSupportedUnions, bits(&unions));
    let forward = SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32;
    facts.append(SqlInfo::SqlSupportedResultSetTypes, bits(&[forward]));
    let read_only = SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32;
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, bits(&[read_only]));
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, bits(&[read_only]));
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0_i32);
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0_i32);
}

/// What a server that reads and nothing else does not offer.
fn absent(facts: &mut SqlInfoDataBuilder) {
    for no in [
        SqlInfo::SqlDdlCatalog,
        SqlInfo::SqlDdlSchema,
        SqlInfo::SqlDdlTable,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlMaxRowSizeIncludesBlobs,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDataDefinitionCausesTransactionCommit,
        SqlInfo::SqlDataDefinitionsInTransactionsIgnored,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        facts.append(no, false);
    }
    facts.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    facts.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
    facts.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    let none = SqlTransactionIsolationLevel::SqlTransactionNone as i32;
    facts.append(SqlInfo::SqlDefaultTransactionIsolation, i64::from(none));
    facts.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits(&[none]));
}

/// Sizes; 0 is "no limit, or unknown".
fn sizes(facts: &mut SqlInfoDataBuilder, limits: &Limits) {
    for unlimited in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        facts.append(unlimited, 0_i64);
    }
    facts.append(SqlInfo::SqlMaxStatementLength, i64::try_from(limits.statement_bytes_max).unwrap_or(i64::MAX));
}

/// The bitmask of these positions.
fn bits(positions: &[i32]) -> i32 {
    positions.iter().fold(0, |mask, position| mask | 1 << position)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::RangeInclusive;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::UInt32Type;

    use super::*;

    const STRINGS: &[RangeInclusive<u32>] = &[0..=2, 6..=7, 504..=504, 513..=514, 529..=531];
    const INT64: &[RangeInclusive<u32>] = &[541..=555, 557..=562];
    const INT32: &[RangeInclusive<u32>] = &[
        8..=8,
        100..=101,
        503..=503,
        505..=505,
        507..=507,
        522..=522,
        525..=526,
        528..=528,
        533..=535,
        538..=538,
        540..=540,
        564..=564,
        567..=571,
    ];
    const LISTS: &[RangeInclusive<u32>] = &[508..=512];
    const MAP: &[RangeInclusive<u32>] = &[517..=517];

    /// The child of the union that drivers cast the value of a code to.
    fn child(code: u32) -> i8 {
        let kinds = [(0, STRINGS), (2, INT64), (3, INT32), (4, LISTS), (5, MAP)];
        let is_in = |ranges: &[RangeInclusive<u32>]| ranges.iter().any(|range| range.contains(&code));
        kinds.into_iter().find(|(_, ranges)| is_in(ranges)).map_or(1, |(child, _)| child)
    }

    #[test]
    fn every_code_of_the_protocol_is_told_and_no_other_each_as_its_type() {
        let batch = facts(&Limits::default()).unwrap().record_batch([]).unwrap();
        let codes = batch.column(0).as_primitive::<UInt32Type>();
        let values = batch.column(1).as_union();
        let told: BTreeSet<u32> = codes.values().iter().copied().collect();
        let all: BTreeSet<u32> = (0..=11).chain(100..=101).chain(500..=576).collect();
        assert_eq!(told, all);
        assert_eq!(told.len(), batch.num_rows());
        for row in 0..batch.num_rows() {
            assert_eq!(values.type_id(row), child(codes.value(row)), "SqlInfo {}", codes.value(row));
        }
        assert!(values.child(4).as_list::<i32>().iter().all(|list| list.is_some_and(|list| !list.is_empty())));
    }
}
