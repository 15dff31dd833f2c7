//! Expressions in SQL: every kind that is not named here is refused, and every composite stands in parentheses.

mod call;

use arrow::datatypes::FieldRef;
use datafusion_common::{Column, TableReference};
use datafusion_expr::expr::{Between, BinaryExpr, Case, GroupingSet, InList, Like, Placeholder, Sort};
use datafusion_expr::{Expr, Operator};

use super::allow::Accepts;
use super::dialect::{Dialect, Place};
use super::refusal::Refusal;
use super::types::Types;

/// Prints expressions whose columns are already named as they are called in the statement.
pub(super) struct Printer<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) accepts: &'a Accepts,
    /// Subqueries already in SQL; an expression names one by a [`token`].
    pub(super) subqueries: &'a [String],
    /// What the columns of the statement are.
    pub(super) types: &'a Types,
}

/// What a subquery is for the expression that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A value, or a condition of a WHERE clause.
    Value,
    /// The mark of a mark join: a test that may stand in a WHERE clause and nowhere else.
    Mark,
}

/// Stands for subquery number `index` in an expression. A placeholder of the user's is refused before, and none
/// begins with these signs. `field` tells its type, where one is asked for.
pub(super) fn token(kind: Token, index: usize, field: Option<FieldRef>) -> Expr {
    let sign = match kind {
        Token::Value => '#',
        Token::Mark => '?',
    };
    Expr::Placeholder(Placeholder::new_with_field(format!("{sign}{index}"), field))
}

/// The number of the subquery that a placeholder stands for.
fn token_index(placeholder: &Placeholder) -> Option<usize> {
    placeholder.id.strip_prefix(['#', '?'])?.parse().ok()
}

/// Whether `expr` is the mark of a mark join.
pub(super) fn is_mark(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(placeholder) if placeholder.id.starts_with('?'))
}

impl Printer<'_> {
    /// `expr` in SQL.
    ///
    /// # Errors
    /// An expression that this list does not hold, or a function that the far side does not accept.
    pub(super) fn expression(&self, expr: &Expr) -> Result<String, Refusal> {
        self.dialect.admit(expr, self.types)?;
        let printed = self.plainly(expr)?;
        self.dialect.computed(printed, expr, self.types)
    }

    fn plainly(&self, expr: &Expr) -> Result<String, Refusal> {
        match expr {
            Expr::Alias(alias) => self.expression(&alias.expr),
            Expr::Column(column) => Ok(self.column(column, Place::Anywhere)),
            Expr::Literal(value, metadata) => match metadata {
                Some(metadata) if !metadata.is_empty() => Err(Refusal::new("literal", "carries metadata")),
                _ => self.dialect.literal(value),
            },
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Not(inner) => Ok(format!("(NOT {})", self.expression(inner)?)),
            Expr::IsNull(inner) => self.suffix(inner, "IS NULL"),
            Expr::IsNotNull(inner) => self.suffix(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => self.suffix(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.suffix(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.suffix(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.suffix(inner, "IS NOT FALSE"),
            Expr::IsUnknown(inner) => self.suffix(inner, "IS UNKNOWN"),
            Expr::IsNotUnknown(inner) => self.suffix(inner, "IS NOT UNKNOWN"),
            // The inner parentheses keep a number from becoming a negative literal, and `--` from being a comment.
            Expr::Negative(inner) => Ok(format!("(-({}))", self.expression(inner)?)),
            Expr::Like(like) => self.like(like),
            Expr::Between(between) => self.between(between),
            Expr::Case(case) => self.case(case),
            Expr::Cast(cast) => self.dialect.cast(&self.expression(&cast.expr)?, cast.field.data_type()),
            Expr::TryCast(cast) => self.dialect.try_cast(&self.expression(&cast.expr)?, cast.field.data_type()),
            Expr::InList(list) => self.in_list(list),
            Expr::ScalarFunction(function) => self.scalar_function(function),
            Expr::AggregateFunction(function) => self.aggregate_function(function),
            Expr::WindowFunction(function) => self.window_function(function),
            Expr::Placeholder(placeholder) => token_index(placeholder)
                .and_then(|index| self.subqueries.get(index).cloned())
                .ok_or_else(|| Refusal::new("placeholder", "has no value")),
            other => Err(Refusal::new(other.variant_name(), "is an expression that a statement does not hold")),
        }
    }

    /// `expr` as a grouping or ordering key, where a bare number would be the position of a column and a window's
    /// bare literal is dropped by the parser.
    pub(super) fn key(&self, expr: &Expr) -> Result<String, Refusal> {
        self.dialect.admit_key(expr, self.types)?;
        match expr {
            Expr::Alias(alias) => self.key(&alias.expr),
            Expr::Literal(value, _) => self.dialect.cast(&self.expression(expr)?, &value.data_type()),
            other => self.expression(other),
        }
    }

    /// A GROUP BY clause's keys.
    pub(super) fn grouping(&self, group: &[Expr]) -> Result<String, Refusal> {
        if let [set @ Expr::GroupingSet(_)] = group {
            self.dialect.admit_key(set, self.types)?;
        }
        match group {
            [Expr::GroupingSet(GroupingSet::Rollup(keys))] => Ok(format!("ROLLUP ({})", self.keys(keys)?)),
            [Expr::GroupingSet(GroupingSet::Cube(keys))] => Ok(format!("CUBE ({})", self.keys(keys)?)),
            [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => {
                let sets = join(sets, |set| Ok(format!("({})", self.keys(set)?)))?;
                Ok(format!("GROUPING SETS ({sets})"))
            }
            keys => self.keys(keys),
        }
    }

    /// Conjuncts, in one flat AND.
    pub(super) fn conjunction(&self, conjuncts: &[Expr]) -> Result<String, Refusal> {
        let condition = |expr| self.dialect.condition(self.expression(expr)?, expr, self.types);
        let printed = conjuncts.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        Ok(printed.join(" AND "))
    }

    /// A column by its name in the statement.
    pub(super) fn column(&self, column: &Column, place: Place) -> String {
        let name = self.dialect.identifier(&column.name);
        let printed = match &column.relation {
            Some(relation) => format!("{}.{name}", self.table(relation)),
            None => name,
        };
        self.dialect.column(printed, column, place, self.types)
    }

    /// A table's name, part by part.
    pub(super) fn table(&self, table: &TableReference) -> String {
        let parts: Vec<String> = table.to_vec().iter().map(|part| self.dialect.identifier(part)).collect();
        parts.join(".")
    }

    fn keys(&self, keys: &[Expr]) -> Result<String, Refusal> {
        join(keys, |key| self.key(key))
    }

    fn order(&self, order: &[Sort]) -> Result<String, Refusal> {
        join(order, |sort| Ok(self.dialect.ordering(&self.ordering_key(&sort.expr)?, sort)))
    }

    /// `expr` as a key of an order.
    pub(super) fn ordering_key(&self, expr: &Expr) -> Result<String, Refusal> {
        Ok(self.dialect.ordered(self.key(expr)?, expr, self.types))
    }

    /// `expr` as one side of a comparison by order.
    fn ordered(&self, expr: &Expr) -> Result<String, Refusal> {
        Ok(self.dialect.ordered(self.expression(expr)?, expr, self.types))
    }

    /// `expr` as one side of a test for equality with `others`.
    fn equated(&self, expr: &Expr, others: &[&Expr]) -> Result<String, Refusal> {
        match expr {
            Expr::Column(column) if others.iter().all(|other| matches!(other, Expr::Literal(..))) => {
                self.dialect.admit(expr, self.types)?;
                Ok(self.column(column, Place::EqualsLiterals))
            }
            expr => self.expression(expr),
        }
    }

    fn list(&self, exprs: &[Expr]) -> Result<String, Refusal> {
        join(exprs, |expr| self.expression(expr))
    }

    fn suffix(&self, inner: &Expr, words: &str) -> Result<String, Refusal> {
        Ok(format!("({} {words})", self.expression(inner)?))
    }

    /// Left spines of one associative operator are printed flat: they parse back to the same tree, and a chain of
    /// hundreds does not nest.
    fn binary(&self, binary: &BinaryExpr) -> Result<String, Refusal> {
        if is_comparison(binary.op) {
            return self.comparison(binary);
        }
        let mut operands = vec![binary.right.as_ref()];
        let mut left = binary.left.as_ref();
        while let Expr::BinaryExpr(inner) = left {
            if inner.op != binary.op || !is_associative(inner.op) {
                break;
            }
            self.dialect.admit(left, self.types)?;
            operands.push(inner.right.as_ref());
            left = inner.left.as_ref();
        }
        operands.push(left);
        let printed = operands.iter().rev().map(|operand| self.expression(operand)).collect::<Result<Vec<_>, _>>()?;
        let operator = self.dialect.operator(binary.op)?;
        Ok(format!("({})", printed.join(&format!(" {operator} "))))
    }

    fn comparison(&self, binary: &BinaryExpr) -> Result<String, Refusal> {
        let (left, right) = (binary.left.as_ref(), binary.right.as_ref());
        let (left, right) = if matches!(binary.op, Operator::Eq | Operator::NotEq) {
            (self.equated(left, &[right])?, self.equated(right, &[left])?)
        } else {
            (self.ordered(left)?, self.expression(right)?)
        };
        Ok(format!("({left} {} {right})", self.dialect.operator(binary.op)?))
    }

    fn like(&self, like: &Like) -> Result<String, Refusal> {
        if let Some(call) = self.dialect.like_function() {
            let not = if like.negated { "NOT " } else { "" };
            return Ok(format!("({not}{call}({}, {}))", self.expression(&like.expr)?, self.expression(&like.pattern)?));
        }
        let not = if like.negated { "NOT " } else { "" };
        let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
        let escape = match like.escape_char {
            None => String::new(),
            Some(escape) if escape.is_ascii() => {
                format!(" ESCAPE {}", self.dialect.text(&escape.to_string()))
            }
            Some(_) => {
                return Err(Refusal::new("like", "has an escape character of several bytes"));
            }
        };
        let (expr, pattern) = (self.expression(&like.expr)?, self.expression(&like.pattern)?);
        Ok(format!("({expr} {not}{word} {pattern}{escape})"))
    }

    fn between(&self, between: &Between) -> Result<String, Refusal> {
        let not = if between.negated { "NOT " } else { "" };
        let expr = self.ordered(&between.expr)?;
        let (low, high) = (self.expression(&between.low)?, self.expression(&between.high)?);
        Ok(format!("({expr} {not}BETWEEN {low} AND {high})"))
    }

    fn case(&self, case: &Case) -> Result<String, Refusal> {
        let mut words = vec!["(CASE".to_owned()];
        if let Some(operand) = &case.expr {
            words.push(self.expression(operand)?);
        }
        for (when, then) in &case.when_then_expr {
            words.push(format!("WHEN {} THEN {}", self.expression(when)?, self.expression(then)?));
        }
        if let Some(otherwise) = &case.else_expr {
            words.push(format!("ELSE {}", self.expression(otherwise)?));
        }
        words.push("END)".to_owned());
        Ok(words.join(" "))
    }

    fn in_list(&self, list: &InList) -> Result<String, Refusal> {
        if list.list.is_empty() {
            return Err(Refusal::new("in list", "is empty"));
        }
        let not = if list.negated { "NOT " } else { "" };
        let members: Vec<&Expr> = list.list.iter().collect();
        Ok(format!("({} {not}IN ({}))", self.equated(&list.expr, &members)?, self.list(&list.list)?))
    }
}

fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn is_associative(operator: Operator) -> bool {
    matches!(operator, Operator::And | Operator::Or | Operator::Plus | Operator::Multiply | Operator::StringConcat)
}

fn join<T>(items: &[T], print: impl Fn(&T) -> Result<String, Refusal>) -> Result<String, Refusal> {
    let printed = items.iter().map(print).collect::<Result<Vec<_>, _>>()?;
    Ok(printed.join(", "))
}
