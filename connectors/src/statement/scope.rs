//! Strict names: what a column of a plan stands for. The generator and its check both resolve names here.

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, TableReference};
use datafusion_expr::Expr;

use super::refusal::Refusal;

/// The columns that an expression may name, each with the expression it stands for.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    columns: Vec<(Option<&'a TableReference>, &'a str, Expr)>,
}

impl<'a> Scope<'a> {
    /// A scope over one input: column `i` of `schema` stands for `outputs[i]`.
    pub(super) fn over(schema: &'a DFSchema, outputs: &[Expr]) -> Self {
        Self::default().and(schema, outputs)
    }

    /// This scope and the columns of one more input.
    pub(super) fn and(mut self, schema: &'a DFSchema, outputs: &[Expr]) -> Self {
        let named = schema.iter().zip(outputs);
        self.columns
            .extend(named.map(|((qualifier, field), output)| (qualifier, field.name().as_str(), output.clone())));
        self
    }

    /// What `column` stands for.
    ///
    /// # Errors
    /// A name that no column has, or that columns of different meaning share: the library takes the first of them,
    /// and two plans that print alike could mean different columns.
    pub(super) fn resolve(&self, column: &Column) -> Result<Expr, Refusal> {
        let mut matches = self
            .columns
            .iter()
            .filter(|(qualifier, name, _)| *name == column.name && same_relation(column, *qualifier))
            .map(|(_, _, output)| output);
        let refuse = |reason: &str| Refusal::new("column", format!("{} {reason}", column.quoted_flat_name()));
        let first = matches.next().ok_or_else(|| refuse("is not in the input"))?;
        if matches.any(|other| other != first) {
            return Err(refuse("is ambiguous"));
        }
        Ok(first.clone())
    }
}

/// The library's own rule: an unqualified name matches any relation, a qualified one its own.
fn same_relation(column: &Column, qualifier: Option<&TableReference>) -> bool {
    match (&column.relation, qualifier) {
        (Some(asked), Some(found)) => asked.resolved_eq(found),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// Rewrites `expr` from its leaves up; the first refusal ends the walk.
pub(super) fn transform(expr: &Expr, rewrite: &mut dyn FnMut(Expr) -> Result<Expr, Refusal>) -> Result<Expr, Refusal> {
    let mut refused = None;
    let rewritten = expr.clone().transform_up(|part| {
        if refused.is_some() {
            return Ok(Transformed::no(part));
        }
        let new = rewrite(part).unwrap_or_else(|refusal| {
            refused = Some(refusal);
            Expr::default()
        });
        Ok(Transformed::yes(new))
    });
    match (refused, rewritten) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(rewritten)) => Ok(rewritten.data),
        (None, Err(error)) => Err(Refusal::new("expression", error.strip_backtrace())),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion_expr::{col, lit};

    use super::*;

    #[test]
    fn a_name_is_one_columns_or_refused() {
        let table = |name: &str| {
            let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
            DFSchema::try_from_qualified_schema(name, &schema).unwrap()
        };
        let (left, right) = (table("l"), table("r"));
        let scope = Scope::over(&left, &[lit(1)]).and(&right, &[lit(2)]);
        let check = |expr: Expr, expect: Result<Expr, &str>| {
            let Expr::Column(column) = &expr else { panic!("{expr} is no column") };
            let found = scope.resolve(column).map_err(|refusal| refusal.reason);
            assert_eq!(found, expect.map_err(str::to_owned));
        };
        check(col("l.a"), Ok(lit(1)));
        check(col("r.a"), Ok(lit(2)));
        check(col("a"), Err("a is ambiguous"));
        check(col("l.b"), Err("l.b is not in the input"));
        let same = Scope::over(&left, &[lit(1)]).and(&right, &[lit(1)]);
        assert_eq!(same.resolve(&Column::from_name("a")), Ok(lit(1)));
    }
}
