//! What the columns of a statement are: their types, and how a table stores what their types do not tell.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::tree_node::TreeNode;
use datafusion_common::{Column, DataFusionError, ExprSchema, TableReference, plan_err};
use datafusion_expr::{Expr, ExprSchemable, Operator};

/// How a table stores a column, where its Arrow type does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stored {
    /// As its Arrow type says.
    #[default]
    Plain,
    /// As another type (an enum, a UUID); what the Arrow column holds is its cast to the type of this name.
    Cast(String),
    /// Text or bytes that may be longer than what the far side looks at where it sorts; else as its Arrow type says, or cast
    /// to the type of this name.
    Long(Option<String>),
    /// With values of other types among them, or in another form; what the Arrow column holds is what a call makes of it.
    Call(Call),
    /// In a way that no expression can be trusted with: the column may be passed on, and nothing else.
    Opaque,
}

/// A call that makes of a stored value what the Arrow column holds, and fails where it would hold nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function's name.
    pub function: &'static str,
    /// Its arguments after the value, as the far side's literals.
    pub arguments: Vec<String>,
    /// What the stored values are.
    pub form: Form,
}

/// What stored values are, as far as they are values of the column's type at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The column's values: the call only checks them, and so does whoever reads what is passed on.
    Value,
    /// Text that is equal and ordered as the values are.
    OrderedText,
    /// What is equal where the values are, but not ordered as they are.
    EqualShown,
    /// Something that only the call knows.
    Other,
}

/// How a far side stores the tables of a statement. What is not told is stored as its Arrow type says, and of a table all
/// rows are meant.
#[derive(Debug, Clone, Default)]
pub struct StoredTables {
    columns: BTreeMap<(TableReference, String), Stored>,
    parts: BTreeMap<TableReference, String>,
    has_foreign_text: bool,
}

impl StoredTables {
    /// Tells how `column` of `table` is stored.
    pub fn tell(&mut self, table: TableReference, column: impl Into<String>, stored: Stored) {
        self.columns.insert((table, column.into()), stored);
    }

    /// Tells that of `table` only the rows are meant for which `condition` holds, which is in the far side's own words.
    pub fn tell_part(&mut self, table: TableReference, condition: impl Into<String>) {
        self.parts.insert(table, condition.into());
    }

    /// Tells that text has other bytes there than here. Columns of text must be told [`Stored::Opaque`]; of other text
    /// nothing is computed either.
    pub fn tell_foreign_text(&mut self) {
        self.has_foreign_text = true;
    }

    /// How `column` of `table` is stored.
    pub fn of(&self, table: &TableReference, column: &str) -> Stored {
        self.columns.get(&(table.clone(), column.to_owned())).cloned().unwrap_or_default()
    }

    /// The condition for the rows of `table` that are meant; `None` for all.
    pub fn part_of(&self, table: &TableReference) -> Option<&str> {
        self.parts.get(table).map(String::as_str)
    }

    /// Whether text has other bytes there than here.
    pub fn has_foreign_text(&self) -> bool {
        self.has_foreign_text
    }
}

/// Where a column of the statement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// In a table.
    Table(Stored),
    /// Among rows of literals.
    Values,
    /// In an earlier step, whose text compares by bytes, as it came there.
    Step(Stored),
}

/// The columns that a statement has so far, by the names it gives them.
#[derive(Debug, Default)]
pub(super) struct Types(BTreeMap<Column, (FieldRef, Origin)>);

impl Types {
    pub(super) fn tell(&mut self, column: Column, field: FieldRef, origin: Origin) {
        self.0.insert(column, (field, origin));
    }

    /// Tells of `column` of a step, which is `output` in the step and stored as [`Self::passed`] says.
    pub(super) fn tell_output(&mut self, column: Column, output: &Expr, stored: Stored) {
        // What has no type is refused where a type matters.
        if let Ok((_, field)) = output.to_field(self) {
            self.tell(column, field, Origin::Step(stored));
        }
    }

    /// How a column of a step is stored that `output` is passed on as: what is opaque or not yet checked stays so.
    pub(super) fn passed(&self, output: &Expr) -> Stored {
        let Expr::Column(column) = output else { return Stored::Plain };
        match self.origin(column) {
            Some(Origin::Table(stored) | Origin::Step(stored)) => match stored {
                Stored::Opaque => Stored::Opaque,
                Stored::Call(call) if call.form == Form::Value => Stored::Call(call.clone()),
                Stored::Long(_) => Stored::Long(None),
                Stored::Call(_) | Stored::Cast(_) | Stored::Plain => Stored::Plain,
            },
            Some(Origin::Values) | None => Stored::Plain,
        }
    }

    /// The type of an expression of the statement, if every part of it has one.
    pub(super) fn of(&self, expr: &Expr) -> Option<DataType> {
        expr.get_type(self).ok()
    }

    pub(super) fn origin(&self, column: &Column) -> Option<&Origin> {
        self.0.get(column).map(|(_, origin)| origin)
    }

    /// Whether `expr` may make text or bytes that are longer than what a far side looks at where it sorts: it is made of some
    /// that are, or puts several together.
    pub(super) fn is_long(&self, expr: &Expr) -> bool {
        let is_long = |part: &Expr| match part {
            Expr::Column(column) => {
                matches!(self.origin(column), Some(Origin::Table(Stored::Long(_)) | Origin::Step(Stored::Long(_))))
            }
            Expr::BinaryExpr(binary) => binary.op == Operator::StringConcat,
            Expr::ScalarFunction(function) => function.name() == "concat",
            _ => false,
        };
        matches!(self.of(expr), Some(DataType::Utf8 | DataType::Binary))
            && expr.exists(|part| Ok(is_long(part))).unwrap_or(true)
    }

    /// Whether `expr` is a column that no expression can be trusted with.
    pub(super) fn is_opaque(&self, expr: &Expr) -> bool {
        let Expr::Column(column) = expr else { return false };
        matches!(self.origin(column), Some(Origin::Table(Stored::Opaque) | Origin::Step(Stored::Opaque)))
    }
}

impl ExprSchema for Types {
    fn field_from_column(&self, column: &Column) -> Result<&FieldRef, DataFusionError> {
        match self.0.get(column) {
            Some((field, _)) => Ok(field),
            None => plan_err!("no column of the statement is called {}", column.quoted_flat_name()),
        }
    }
}
