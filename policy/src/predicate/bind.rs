//! From a row filter as written to one that is typed: each column is there, each value has the type of what it is
//! compared with. Nothing is cast: a value that is not exactly of that type is a fault, and a fault denies.

use arrow::datatypes::{DataType, Schema};
use datafusion_common::ScalarValue;

use super::{Comparison, Filter, List, Operand, Predicate, Side};
use crate::subject::{Attribute, Subject};
use crate::value::Value;

/// The longest list that an attribute may hold.
const ATTRIBUTE_VALUES_MAX: usize = 10_000;
/// The longest text that an attribute may hold.
const ATTRIBUTE_TEXT_BYTES_MAX: usize = 1024;

impl Predicate {
    /// Whether the filter fits a table: its columns are there, and both sides of each comparison can be of one type.
    /// Attributes are unknown until somebody asks.
    ///
    /// # Errors
    /// What does not fit, for the filter's author.
    pub fn check(&self, schema: &Schema) -> Result<(), String> {
        Binding { schema, subject: None }.predicate(self).map(drop)
    }

    /// The filter for one table and one subject.
    ///
    /// # Errors
    /// What does not fit; an attribute is named, its value is not. The table is denied then.
    pub fn bind(&self, schema: &Schema, subject: &Subject) -> Result<Filter, String> {
        Binding { schema, subject: Some(subject) }.predicate(self)
    }
}

/// What names stand for. Without a subject attributes are unknown, and parts with one are TRUE in the filter, which then
/// is thrown away.
struct Binding<'a> {
    schema: &'a Schema,
    subject: Option<&'a Subject>,
}

/// An operand after its name was looked up.
enum Bound {
    Column(String, DataType),
    /// A value without type yet, and what to call it.
    Value(Value, String),
    Unknown,
}

impl Binding<'_> {
    fn predicate(&self, predicate: &Predicate) -> Result<Filter, String> {
        match predicate {
            Predicate::Compare { left, comparison, right } => self.compare(left, *comparison, right),
            Predicate::In { operand, list, negated } => self.contains(operand, list, *negated),
            Predicate::IsNull { operand, negated } => self.is_null(operand, *negated),
            Predicate::And(parts) => Ok(Filter::And(self.all(parts)?)),
            Predicate::Or(parts) => Ok(Filter::Or(self.all(parts)?)),
            Predicate::Not(part) => Ok(Filter::Not(Box::new(self.predicate(part)?))),
        }
    }

    fn all(&self, parts: &[Predicate]) -> Result<Vec<Filter>, String> {
        parts.iter().map(|part| self.predicate(part)).collect()
    }

    fn compare(&self, left: &Operand, comparison: Comparison, right: &Operand) -> Result<Filter, String> {
        let (left, right) = match (self.operand(left)?, self.operand(right)?) {
            (Bound::Column(left, left_type), Bound::Column(right, right_type)) => {
                if left_type != right_type {
                    return Err(format!(
                        "the columns `{left}` ({left_type}) and `{right}` ({right_type}) are not of one type; only \
                         columns of one type can be compared"
                    ));
                }
                (Side::Column(left), Side::Column(right))
            }
            (Bound::Column(column, data_type), Bound::Value(value, name)) => {
                (Side::Column(column), Side::Value(typed(&value, &data_type, &name)?))
            }
            (Bound::Value(value, name), Bound::Column(column, data_type)) => {
                (Side::Value(typed(&value, &data_type, &name)?), Side::Column(column))
            }
            (Bound::Value(left, left_name), Bound::Value(right, right_name)) => {
                let data_type = natural(&left, &left_name)?;
                let left = typed(&left, &data_type, &left_name)?;
                (Side::Value(left), Side::Value(typed(&right, &data_type, &right_name)?))
            }
            (Bound::Unknown, _) | (_, Bound::Unknown) => return Ok(Filter::And(vec![])),
        };
        Ok(Filter::Compare(left, comparison, right))
    }

    fn contains(&self, operand: &Operand, list: &List, negated: bool) -> Result<Filter, String> {
        let (side, data_type) = match self.operand(operand)? {
            Bound::Column(name, data_type) => (Side::Column(name), data_type),
            Bound::Value(value, name) => {
                let data_type = natural(&value, &name)?;
                (Side::Value(typed(&value, &data_type, &name)?), data_type)
            }
            Bound::Unknown => return Ok(Filter::And(vec![])),
        };
        let (values, name) = match (list, self.subject) {
            (List::Values(values), _) => (values.as_slice(), String::from("a value of the list")),
            (List::Attribute(name), Some(subject)) => (many(attribute(subject, name)?), described(name)),
            (List::Attribute(_), None) => return Ok(Filter::And(vec![])),
        };
        let values = values.iter().map(|value| typed(value, &data_type, &name)).collect::<Result<_, _>>()?;
        Ok(Filter::In(side, values, negated))
    }

    fn is_null(&self, operand: &Operand, negated: bool) -> Result<Filter, String> {
        match operand {
            Operand::Column(name) => {
                self.data_type(name)?;
                Ok(Filter::IsNull(Side::Column(name.clone()), negated))
            }
            Operand::Value(_) | Operand::Attribute(_) => Err(String::from("IS NULL looks at a column only")),
        }
    }

    fn operand(&self, operand: &Operand) -> Result<Bound, String> {
        match (operand, self.subject) {
            (Operand::Column(name), _) => {
                let data_type = self.data_type(name)?;
                match is_comparable(data_type) {
                    true => Ok(Bound::Column(name.clone(), data_type.clone())),
                    false => Err(format!("the column `{name}` is of the type {data_type}, which cannot be compared")),
                }
            }
            (Operand::Value(value), _) => Ok(Bound::Value(value.clone(), String::from("the value"))),
            (Operand::Attribute(name), Some(subject)) => {
                Ok(Bound::Value(one(attribute(subject, name)?, name)?.clone(), described(name)))
            }
            (Operand::Attribute(_), None) => Ok(Bound::Unknown),
        }
    }

    fn data_type(&self, column: &str) -> Result<&DataType, String> {
        let field = self.schema.fields().iter().find(|field| field.name() == column);
        field.map(|field| field.data_type()).ok_or_else(|| format!("the table has no column `{column}`"))
    }
}

fn described(attribute: &str) -> String {
    format!("the attribute `{attribute}`")
}

fn typed(value: &Value, data_type: &DataType, name: &str) -> Result<ScalarValue, String> {
    value.to_scalar(data_type).ok_or_else(|| format!("{name} is not exactly a value of the type {data_type}"))
}

fn natural(value: &Value, name: &str) -> Result<DataType, String> {
    value.natural_type().ok_or_else(|| format!("{name} has a fraction and can only be compared with a column"))
}

/// The attribute, if the subject has it and it is of a reasonable size.
fn attribute<'a>(subject: &'a Subject, name: &str) -> Result<&'a Attribute, String> {
    let attribute = subject.attributes.get(name).ok_or_else(|| format!("the subject has no attribute `{name}`"))?;
    let values = many(attribute);
    if values.len() > ATTRIBUTE_VALUES_MAX {
        return Err(format!("the attribute `{name}` has more than {ATTRIBUTE_VALUES_MAX} values"));
    }
    if values.iter().any(is_too_long) {
        return Err(format!("the attribute `{name}` has a text of more than {ATTRIBUTE_TEXT_BYTES_MAX} bytes"));
    }
    Ok(attribute)
}

fn is_too_long(value: &Value) -> bool {
    let bytes = match value {
        Value::Text(text) => text.len(),
        Value::Decimal(decimal) => decimal.digits.len(),
        Value::Boolean(_) | Value::Integer(_) => 0,
    };
    bytes > ATTRIBUTE_TEXT_BYTES_MAX
}

fn many(attribute: &Attribute) -> &[Value] {
    match attribute {
        Attribute::One(value) => std::slice::from_ref(value),
        Attribute::Many(values) => values,
    }
}

fn one<'a>(attribute: &'a Attribute, name: &str) -> Result<&'a Value, String> {
    match attribute {
        Attribute::One(value) => Ok(value),
        Attribute::Many(_) => Err(format!("the attribute `{name}` is a list; a comparison needs one value")),
    }
}

/// Types with one order that never fails: numbers, texts, truth values, dates and times, and dictionaries of them.
fn is_comparable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => true,
        DataType::Time32(_) | DataType::Time64(_) => true,
        DataType::Dictionary(_, value) => is_comparable(value),
        other => other.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("region", DataType::Utf8View, true),
            Field::new("home", DataType::Utf8View, true),
            Field::new("note", DataType::Utf8, true),
            Field::new("age", DataType::Int16, true),
            Field::new("parts", DataType::new_list(DataType::Int8, true), true),
        ])
    }

    fn column(name: &str) -> Operand {
        Operand::Column(name.into())
    }

    fn equal(left: Operand, right: Operand) -> Predicate {
        Predicate::Compare { left, comparison: Comparison::Equal, right }
    }

    fn among(name: &str, attribute: &str) -> Predicate {
        Predicate::In { operand: column(name), list: List::Attribute(attribute.into()), negated: false }
    }

    fn subject(attribute: Attribute) -> Subject {
        Subject { attributes: [(String::from("a"), attribute)].into(), ..Subject::default() }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn refuses(predicate: &Predicate, expect: &str) {
        assert_eq!(predicate.check(&schema()), Err(String::from(expect)));
        assert_eq!(predicate.bind(&schema(), &subject(Attribute::One(text("x")))), Err(String::from(expect)));
    }

    #[test]
    fn what_does_not_fit_the_table_is_refused() {
        refuses(&equal(column("nowhere"), Operand::Value(text("x"))), "the table has no column `nowhere`");
        refuses(
            &equal(column("age"), Operand::Value(text("SECRET"))),
            "the value is not exactly a value of the type Int16",
        );
        refuses(
            &equal(column("region"), column("note")),
            "the columns `region` (Utf8View) and `note` (Utf8) are not of one type; only columns of one type can be \
             compared",
        );
        refuses(
            &equal(Operand::Value(Value::Integer(1)), column("parts")),
            "the column `parts` is of the type List(Int8), which cannot be compared",
        );
        let nested = Predicate::Not(Box::new(Predicate::Or(vec![equal(column("age"), Operand::Value(text("x")))])));
        refuses(&nested, "the value is not exactly a value of the type Int16");
        refuses(
            &Predicate::IsNull { operand: Operand::Attribute("a".into()), negated: false },
            "IS NULL looks at a column only",
        );
    }

    #[test]
    fn attributes_are_data_of_the_columns_type() {
        let injection = "x' OR 1=1 --%_\0";
        let filter = among("region", "a").bind(&schema(), &subject(Attribute::One(text(injection)))).unwrap();
        let value = ScalarValue::Utf8View(Some(injection.into()));
        assert_eq!(filter, Filter::In(Side::Column("region".into()), vec![value], false));
        let list = Attribute::Many(vec![Value::Integer(1), Value::Integer(2)]);
        let filter = among("age", "a").bind(&schema(), &subject(list)).unwrap();
        let values = vec![ScalarValue::Int16(Some(1)), ScalarValue::Int16(Some(2))];
        assert_eq!(filter, Filter::In(Side::Column("age".into()), values, false));
        assert_eq!(among("age", "a").check(&schema()), Ok(()));
        let gate = equal(Operand::Attribute("a".into()), Operand::Value(text("yes")));
        let side = |text: &str| Side::Value(ScalarValue::Utf8(Some(text.into())));
        let filter = gate.bind(&schema(), &subject(Attribute::One(text("no")))).unwrap();
        assert_eq!(filter, Filter::Compare(side("no"), Comparison::Equal, side("yes")));
    }

    #[test]
    fn an_attribute_that_does_not_fit_denies_and_is_not_told() {
        let denies = |predicate: Predicate, attribute: Attribute, expect: &str| {
            assert_eq!(predicate.bind(&schema(), &subject(attribute)), Err(String::from(expect)));
        };
        let one = || equal(column("region"), Operand::Attribute("a".into()));
        denies(among("age", "b"), Attribute::One(Value::Integer(1)), "the subject has no attribute `b`");
        denies(
            among("age", "a"),
            Attribute::Many(vec![Value::Integer(1), Value::Integer(70_000)]),
            "the attribute `a` is not exactly a value of the type Int16",
        );
        denies(one(), Attribute::Many(vec![]), "the attribute `a` is a list; a comparison needs one value");
        denies(
            among("age", "a"),
            Attribute::Many(vec![Value::Integer(1); 10_001]),
            "the attribute `a` has more than 10000 values",
        );
        denies(one(), Attribute::One(text(&"x".repeat(1025))), "the attribute `a` has a text of more than 1024 bytes");
    }

    #[test]
    fn columns_are_all_that_are_read() {
        let predicate = Predicate::And(vec![
            equal(column("region"), column("home")),
            Predicate::Not(Box::new(among("age", "a"))),
            Predicate::IsNull { operand: column("note"), negated: true },
        ]);
        assert_eq!(Vec::from_iter(predicate.columns()), ["age", "home", "note", "region"]);
        let filter = predicate.bind(&schema(), &subject(Attribute::One(Value::Integer(1)))).unwrap();
        assert_eq!(filter.columns(), predicate.columns());
    }
}
