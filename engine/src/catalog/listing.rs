//! `SHOW CATALOGS`, `SHOW SCHEMAS`, `SHOW TABLES`, `SHOW COLUMNS` and `DESCRIBE`: each is the query of `information_schema`
//! that answers it, and tells no more than that.

use datafusion::common::{ResolvedTableReference, TableReference};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, ObjectName, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions,
    Statement as SqlStatement,
};

use crate::catalog::binder::Names;
use crate::error::{Code, EngineError, Result};

/// Whether a statement lists tables or columns.
pub fn is_listing(statement: &SqlStatement) -> bool {
    match statement {
        SqlStatement::ShowCatalogs { .. }
        | SqlStatement::ShowDatabases { .. }
        | SqlStatement::ShowSchemas { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. } => true,
        SqlStatement::ExplainTable { describe_alias, .. } => *describe_alias != DescribeAlias::Explain,
        _ => false,
    }
}

/// The query that answers a listing; `None` for any other statement.
///
/// # Errors
/// `NOT_FOUND` for a table that is not there, `STATEMENT` for a form of SHOW that is not answered.
pub async fn query(names: &dyn Names, statement: &Statement) -> Result<Option<Statement>> {
    let Statement::Statement(inner) = statement else { return Ok(None) };
    let sql = match inner.as_ref() {
        SqlStatement::ShowCatalogs { show_options, .. } | SqlStatement::ShowDatabases { show_options, .. } => {
            let conditions = conditions([], "catalog_name", show_options)?;
            format!("SELECT DISTINCT catalog_name FROM system.information_schema.schemata{conditions} ORDER BY 1")
        }
        SqlStatement::ShowSchemas { show_options, .. } => {
            let of = parts(show_options)?;
            let [catalog] = take(&of, "SHOW SCHEMAS FROM")?;
            let conditions = conditions([("catalog_name", catalog)], "schema_name", show_options)?;
            format!(
                "SELECT catalog_name, schema_name FROM system.information_schema.schemata{conditions} ORDER BY 1, 2"
            )
        }
        SqlStatement::ShowTables { show_options, .. } => {
            let of = parts(show_options)?;
            let [catalog, schema] = take(&of, "SHOW TABLES FROM")?;
            let within = [("table_catalog", catalog), ("table_schema", schema)];
            let conditions = conditions(within, "table_name", show_options)?;
            format!(
                "SELECT table_catalog, table_schema, table_name, table_type, table_comment \
                 FROM system.information_schema.tables{conditions} ORDER BY 1, 2, 3"
            )
        }
        SqlStatement::ShowColumns { show_options, .. } => {
            let of = parts(show_options)?;
            columns(&found(names, &of).await?, Some(show_options))?
        }
        SqlStatement::ExplainTable { table_name, describe_alias, .. } if *describe_alias != DescribeAlias::Explain => {
            columns(&found(names, &identifiers(table_name)?).await?, None)?
        }
        _ => return Ok(None),
    };
    Ok(DFParser::parse_sql(&sql)?.pop_front())
}

/// The table, which the asker can see.
async fn found(names: &dyn Names, of: &[String]) -> Result<ResolvedTableReference> {
    let reference = match of {
        [table] => TableReference::bare(table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
        _ => return Err(refused("a table is named site.source.table")),
    };
    let (catalog, schema) = names.defaults();
    let name = reference.resolve(&catalog, &schema);
    names.known(&name).await?;
    Ok(name)
}

fn columns(name: &ResolvedTableReference, options: Option<&ShowStatementOptions>) -> Result<String> {
    let within = [
        ("table_catalog", Some(&name.catalog)),
        ("table_schema", Some(&name.schema)),
        ("table_name", Some(&name.table)),
    ]
    .map(|(column, value)| (column, value.map(ToString::to_string)));
    let within = within.each_ref().map(|(column, value)| (*column, value.as_deref()));
    let conditions = conditions(within, "column_name", options.unwrap_or(&NO_OPTIONS))?;
    Ok(format!(
        "SELECT column_name, data_type, is_nullable, form \
         FROM system.information_schema.columns{conditions} ORDER BY ordinal_position"
    ))
}

const NO_OPTIONS: ShowStatementOptions =
    ShowStatementOptions { show_in: None, starts_with: None, limit: None, limit_from: None, filter_position: None };

/// `WHERE`, and what it asks for; nothing where there is nothing to ask.
fn conditions<const N: usize>(
    within: [(&str, Option<&str>); N],
    name: &str,
    options: &ShowStatementOptions,
) -> Result<String> {
    if options.starts_with.is_some() || options.limit.is_some() || options.limit_from.is_some() {
        return Err(refused("SHOW takes FROM and LIKE, and nothing else"));
    }
    let mut all: Vec<String> =
        within.into_iter().filter_map(|(column, value)| Some(format!("{column} = {}", literal(value?)))).collect();
    match &options.filter_position {
        None => {}
        Some(ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter)) => {
            match filter {
                ShowStatementFilter::Like(pattern) | ShowStatementFilter::NoKeyword(pattern) => {
                    all.push(format!("{name} LIKE {}", literal(pattern)));
                }
                ShowStatementFilter::ILike(pattern) => all.push(format!("{name} ILIKE {}", literal(pattern))),
                ShowStatementFilter::Where(_) => {
                    return Err(refused("SHOW … WHERE is a query of information_schema: ask it as one"));
                }
            }
        }
    }
    Ok(if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) })
}

/// The name after FROM or IN, outermost first.
fn parts(options: &ShowStatementOptions) -> Result<Vec<String>> {
    let name = options.show_in.as_ref().and_then(|show_in| show_in.parent_name.as_ref());
    name.map_or(Ok(Vec::new()), identifiers)
}

/// Up to `N` parts, each of them or none.
fn take<'a, const N: usize>(parts: &'a [String], what: &str) -> Result<[Option<&'a str>; N]> {
    if parts.len() > N {
        return Err(refused(&format!("{what} is followed by a name of {N} parts at most")));
    }
    Ok(std::array::from_fn(|index| parts.get(index).map(String::as_str)))
}

/// The parts of a name: as written in quotes, in lower case without.
fn identifiers(name: &ObjectName) -> Result<Vec<String>> {
    let part = |ident: &datafusion::sql::sqlparser::ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    let parts = name.0.iter().map(|one| one.as_ident().map(part));
    parts.collect::<Option<_>>().ok_or_else(|| refused("a name is made of identifiers"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn refused(sentence: &str) -> EngineError {
    EngineError::new(Code::Statement, sentence)
}
