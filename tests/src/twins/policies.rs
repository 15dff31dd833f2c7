//! The random policy of a pair of worlds: who may see what of which table, and what that comes to for its one asker, told
//! in plain Rust by what a row filter and a mask say of themselves. Nothing here asks what a site decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use policy::mask::{ColumnMask, Generalisation};
use policy::predicate::{Comparison, Filter, List, Operand, Predicate};
use policy::pseudonym::{PseudonymHash, PseudonymKeys, Pseudonyms};
use policy::resource::{Resource, TableName};
use policy::statement::{AggregateOnly, Audience, Columns, Party, Policy, Rule};
use policy::subject::{Attribute, Subject};
use policy::value::{Decimal, Value};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::values::{Kind, Temper};
use super::world::Column;

/// The source of every table.
pub const SOURCE: &str = "data";
/// The secret of the site's pseudonyms.
pub const SECRET: [u8; 32] = [7; 32];
/// The purpose that the asker asks for, and the one that it is a part of.
pub const PURPOSES: [&str; 2] = ["epidemiology", "research"];

/// What a column is for the asker.
#[derive(Debug, Clone, PartialEq)]
pub enum Treatment {
    /// As it is.
    Clear,
    /// Masked.
    Masked(ColumnMask),
    /// In aggregates only, clamped to these bounds.
    AggregateOnly(ScalarValue, ScalarValue),
}

/// The policies about one table, and what they come to.
#[derive(Debug, Clone)]
pub struct TablePolicy {
    /// Whether the asker may query the table at all.
    pub is_granted: bool,
    /// The conditions of the row filters, all of which hold for the asker.
    pub filters: Vec<Predicate>,
    /// By column; a column that is not here is clear.
    pub treatments: BTreeMap<String, Treatment>,
    /// The rule of aggregate-only columns.
    pub release: Option<AggregateOnly>,
    /// The policies as they are written, those about others among them.
    pub written: Vec<Policy>,
    /// Columns whose policy finds them by a tag.
    pub tagged: BTreeSet<String>,
    /// The most bytes that the grant lets leave on a day.
    pub bytes_per_day: Option<u64>,
}

/// The limit of one table in four. It is drawn beside all else, so that the pair of a number is what it was without.
pub fn bytes_per_day(pair: u64, table: usize) -> Option<u64> {
    let mut rng = StdRng::seed_from_u64(pair.wrapping_mul(8).wrapping_add(table as u64));
    (rng.random_range(0..4) == 0).then(|| rng.random_range(200..8_000))
}

/// The one who asks, with what row filters compare with.
pub fn asker(rng: &mut StdRng) -> Subject {
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::Text((*text).to_string())).collect::<Vec<_>>();
    let numbers = (0..12).map(|_| Value::Integer(rng.random_range(1..30))).collect();
    let attributes = [
        ("words", Attribute::Many(texts(&["a", "Ab", "北京", "1", "2", "3", "5", "8", "13", "21", "34", "7"]))),
        ("numbers", Attribute::Many(numbers)),
        ("level", Attribute::One(Value::Integer(rng.random_range(5..20)))),
        ("nobody", Attribute::Many(vec![])),
    ];
    Subject {
        name: "asker".to_string(),
        organisation: Some("health".to_string()),
        roles: BTreeSet::from(["analyst".to_string()]),
        attributes: attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        purposes: PURPOSES.iter().map(|purpose| (*purpose).to_string()).collect(),
    }
}

/// A policy about a table of these columns.
pub fn policy(rng: &mut StdRng, table: &str, columns: &[Column]) -> TablePolicy {
    let mut made = TablePolicy {
        is_granted: true,
        filters: vec![],
        treatments: BTreeMap::new(),
        release: None,
        written: vec![],
        tagged: BTreeSet::new(),
        bytes_per_day: None,
    };
    let mut author = Author { rng, table, columns, made: &mut made };
    author.row_filters();
    if author.one_in(3) {
        author.aggregate_only();
    }
    author.masks();
    made
}

impl TablePolicy {
    /// The row filter, typed for the asker.
    pub fn filter(&self, schema: &Schema, subject: &Subject) -> Filter {
        let bound = self.filters.iter().map(|predicate| predicate.bind(schema, subject));
        Filter::And(bound.collect::<Result<_, _>>().unwrap_or_else(|fault| panic!("{:?}: {fault}", self.filters)))
    }

    /// What a column is.
    pub fn treatment(&self, column: &str) -> &Treatment {
        self.treatments.get(column).unwrap_or(&Treatment::Clear)
    }

    /// Without its policy number `index`, and what that came to.
    pub fn without(&self, index: usize) -> Self {
        let mut less = self.clone();
        match less.written.remove(index).rule {
            Rule::RowFilter(predicate) => less.filters.retain(|other| *other != predicate),
            Rule::Mask(mask, Columns::Named(names)) => {
                less.treatments.retain(|name, of| !(names.contains(name) && *of == Treatment::Masked(mask.clone())));
            }
            Rule::Mask(..) => {
                let tagged = std::mem::take(&mut less.tagged);
                less.treatments.retain(|name, _| !tagged.contains(name));
            }
            Rule::AggregateOnly(..) => {
                less.treatments.retain(|_, of| !matches!(of, Treatment::AggregateOnly(..)));
                less.release = None;
            }
        }
        less
    }
}

impl Treatment {
    /// What the asker sees of the values; `None` for nothing.
    pub fn shows(&self, values: &ArrayRef) -> Option<ArrayRef> {
        match self {
            Treatment::Clear => Some(Arc::clone(values)),
            Treatment::Masked(ColumnMask::Hide) => None,
            Treatment::Masked(mask) => {
                let masked = mask.apply(values, pseudonyms(mask).as_ref());
                Some(masked.unwrap_or_else(|error| panic!("{mask}: {error}")))
            }
            Treatment::AggregateOnly(..) if values.is_empty() => Some(Arc::clone(values)),
            Treatment::AggregateOnly(low, high) => {
                let rows = (0..values.len()).map(|row| ScalarValue::try_from_array(values, row).expect("a row"));
                let clamped = rows.map(|value| clamp(value, low, high));
                Some(ScalarValue::iter_to_array(clamped).expect("values of one type"))
            }
        }
    }
}

fn clamp(value: ScalarValue, low: &ScalarValue, high: &ScalarValue) -> ScalarValue {
    match &value {
        null if null.is_null() => value,
        below if below.partial_cmp(low).is_some_and(std::cmp::Ordering::is_lt) => low.clone(),
        above if above.partial_cmp(high).is_some_and(std::cmp::Ordering::is_gt) => high.clone(),
        _ => value,
    }
}

fn pseudonyms(mask: &ColumnMask) -> Option<Pseudonyms> {
    let ColumnMask::Pseudonym(domain) = mask else { return None };
    let keys = PseudonymKeys::new(&SECRET, PseudonymHash::Sha256, 1).expect("a secret of 32 bytes");
    Some(keys.pseudonyms(PURPOSES[0], domain).expect("a key"))
}

/// Writes the policies of one table.
struct Author<'a> {
    rng: &'a mut StdRng,
    table: &'a str,
    columns: &'a [Column],
    made: &'a mut TablePolicy,
}

impl Author<'_> {
    fn one_in(&mut self, n: usize) -> bool {
        self.rng.random_range(0..n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(self.rng).expect("something to pick from").clone()
    }

    /// Adds a policy for this audience.
    fn write(&mut self, rule: Rule, audience: Audience) {
        let name = format!("{}_{}", self.table, self.made.written.len());
        let resource = Resource::Table(TableName::new(SOURCE, self.table));
        self.made.written.push(Policy { name, resource, rule, audience });
    }

    /// An audience that has the asker in it.
    fn ours(&mut self) -> Audience {
        let to = self.pick(&[
            vec![Party::All],
            vec![Party::Role("analyst".into())],
            vec![Party::Organisation("health".into())],
            vec![Party::User("asker".into())],
            vec![Party::Role("registrar".into()), Party::Role("analyst".into())],
        ]);
        let except = self.pick(&[vec![], vec![], vec![Party::Role("registrar".into())]]);
        let except = if to.contains(&Party::Role("registrar".into())) { vec![] } else { except };
        let purposes = self.pick(&[vec![], vec![], vec![PURPOSES[1].to_string()], vec![PURPOSES[0].to_string()]]);
        Audience { to, except, purposes }
    }

    /// An audience without the asker.
    fn others(&mut self) -> Audience {
        let purposes = vec![];
        match self.rng.random_range(0..3) {
            0 => Audience { to: vec![Party::Role("registrar".into())], except: vec![], purposes },
            1 => Audience { to: vec![Party::All], except: vec![Party::Role("analyst".into())], purposes },
            _ => Audience { to: vec![Party::All], except: vec![], purposes: vec!["marketing".into()] },
        }
    }

    fn row_filters(&mut self) {
        // Without a row filter the layout of files and what masks hide is all that differs.
        let count = self.pick(&[0, 1, 1, 1, 1, 2]);
        for _ in 0..count {
            let predicate = self.predicate(2);
            let audience = self.ours();
            self.made.filters.push(predicate.clone());
            self.write(Rule::RowFilter(predicate), audience);
        }
        if count > 0 && self.one_in(3) {
            let (predicate, audience) = (self.predicate(1), self.others());
            self.write(Rule::RowFilter(predicate), audience);
        }
    }

    fn predicate(&mut self, depth: usize) -> Predicate {
        if depth > 0 && self.one_in(3) {
            let parts = vec![self.predicate(depth - 1), self.predicate(depth - 1)];
            return if self.one_in(2) { Predicate::And(parts) } else { Predicate::Or(parts) };
        }
        if depth > 0 && self.one_in(6) {
            return Predicate::Not(Box::new(self.predicate(depth - 1)));
        }
        self.condition()
    }

    fn condition(&mut self) -> Predicate {
        let flat: Vec<Column> = self.columns.iter().filter(|column| !column.kind.is_nested()).cloned().collect();
        let column = self.pick(&flat);
        let operand = Operand::Column(column.name.clone());
        if self.one_in(8) {
            return Predicate::IsNull { operand, negated: self.one_in(3) };
        }
        let attribute = |name: &str| Operand::Attribute(name.to_string());
        match column.kind {
            Kind::Text if !self.one_in(4) => {
                let list = List::Attribute("words".into());
                Predicate::In { operand, list, negated: self.one_in(4) }
            }
            Kind::Integer | Kind::Small if self.one_in(2) => {
                let list = List::Attribute("numbers".into());
                Predicate::In { operand, list, negated: self.one_in(2) }
            }
            Kind::Integer | Kind::Small if self.one_in(2) => {
                let comparison = self.comparison();
                Predicate::Compare { left: operand, comparison, right: attribute("level") }
            }
            kind if self.one_in(4) => {
                let values = (0..4).filter_map(|_| written(&kind.value(self.rng, Temper::Tame))).collect();
                Predicate::In { operand, list: List::Values(values), negated: self.one_in(2) }
            }
            kind => {
                let comparison = self.comparison();
                let value = written(&kind.value(self.rng, Temper::Tame)).expect("tame values can be written");
                Predicate::Compare { left: operand, comparison, right: Operand::Value(value) }
            }
        }
    }

    fn comparison(&mut self) -> Comparison {
        use Comparison::{Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        self.pick(&[NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
    }

    fn aggregate_only(&mut self) {
        let numbers = |column: &&Column| matches!(column.kind, Kind::Small | Kind::Integer | Kind::Decimal);
        let entities = |column: &&Column| matches!(column.kind, Kind::Text | Kind::Integer);
        let Some(summed) = self.columns.iter().find(numbers).cloned() else { return };
        let others: Vec<&Column> = self.columns.iter().filter(|column| column.name != summed.name).collect();
        let Some(entity) = others.iter().copied().find(entities).cloned() else { return };
        let groups: Vec<String> = others
            .iter()
            .filter(|column| column.name != entity.name && !column.kind.is_nested() && column.kind != Kind::Float)
            .map(|column| column.name.clone())
            .take(2)
            .collect();
        let (low, high) = (Value::Integer(0), Value::Integer(self.rng.random_range(10..25)));
        let of_type = |value: &Value| value.to_scalar(&summed.kind.data_type()).expect("a bound of the column's type");
        let treatment = Treatment::AggregateOnly(of_type(&low), of_type(&high));
        let rule = AggregateOnly {
            min_group: self.rng.random_range(2..5),
            entity: entity.name,
            bounds: vec![(summed.name.clone(), low, high)],
            group_by: groups,
        };
        self.made.treatments.insert(summed.name.clone(), treatment);
        self.made.release = Some(rule.clone());
        let audience = self.ours();
        self.write(Rule::AggregateOnly(rule, Columns::Named(vec![summed.name])), audience);
    }

    fn masks(&mut self) {
        let kept: Vec<String> =
            self.made.release.iter().flat_map(|rule| rule.group_by.iter().chain([&rule.entity]).cloned()).collect();
        let mut columns: Vec<Column> = self.columns.to_vec();
        columns.retain(|column| !kept.contains(&column.name) && !self.made.treatments.contains_key(&column.name));
        columns.shuffle(self.rng);
        columns.truncate(self.rng.random_range(0..=3));
        for column in columns {
            let mask = self.mask(column.kind);
            let (audience, name) = (self.ours(), column.name);
            self.made.treatments.insert(name.clone(), Treatment::Masked(mask.clone()));
            // One policy by tag for a table: two of them would meet on each other's columns.
            let by_tag = self.made.tagged.is_empty() && self.one_in(4);
            let columns = if by_tag {
                self.made.tagged.insert(name);
                Columns::Tagged { tag: "handling".into(), value: Some(self.table.to_string()) }
            } else {
                Columns::Named(vec![name])
            };
            self.write(Rule::Mask(mask, columns), audience);
        }
        if self.one_in(4) {
            let column = self.pick(self.columns);
            let (audience, mask) = (self.others(), ColumnMask::Hide);
            let taken = self.made.treatments.contains_key(&column.name);
            if !taken {
                self.write(Rule::Mask(mask, Columns::Named(vec![column.name])), audience);
            }
        }
    }

    fn mask(&mut self, kind: Kind) -> ColumnMask {
        let count = self.rng.random_range(0..3);
        let bounds = Value::Integer(self.pick(&[5, 10]));
        let masks = [
            ColumnMask::Hide,
            ColumnMask::ReplaceWithNull,
            ColumnMask::Fixed(self.fixed(kind)),
            ColumnMask::MaskAlphanum,
            ColumnMask::ShowFirst(count),
            ColumnMask::ShowLast(count),
            ColumnMask::TruncateToYear,
            ColumnMask::TruncateToMonth,
            ColumnMask::Bucket(bounds.clone()),
            ColumnMask::Bucket(bounds),
            ColumnMask::Generalise(self.mapping(kind)),
            ColumnMask::Pseudonym(self.pick(&["person", "thing"]).to_string()),
        ];
        let fitting: Vec<ColumnMask> = masks.into_iter().filter(|mask| mask.check(&kind.data_type()).is_ok()).collect();
        self.pick(&fitting)
    }

    fn fixed(&mut self, kind: Kind) -> Value {
        let own = written(&kind.value(self.rng, Temper::Tame));
        if self.one_in(4) { Value::Text("fixed".into()) } else { own.unwrap_or(Value::Integer(1)) }
    }

    /// Of the tame values of a kind that has few; to the same type or to texts.
    fn mapping(&mut self, kind: Kind) -> Generalisation {
        let coarse = |number: usize| match kind {
            Kind::Integer | Kind::Small if number.is_multiple_of(2) => Value::Integer(100),
            _ => Value::Text(format!("group {}", number % 2)),
        };
        let mut pairs: Vec<(Value, Value)> = vec![];
        for number in 0..12 {
            let Some(from) = written(&kind.value(self.rng, Temper::Tame)) else { continue };
            if pairs.iter().all(|(other, _)| *other != from) {
                pairs.push((from, coarse(number)));
            }
        }
        if pairs.is_empty() {
            pairs.push((Value::Integer(1), Value::Integer(2)));
        }
        Generalisation { pairs, otherwise: self.one_in(2).then(|| Value::Text("elsewhere".into())) }
    }
}

/// The value as policy writes it; `None` for what it cannot write.
fn written(value: &ScalarValue) -> Option<Value> {
    let digits = |text: String| Value::Decimal(Decimal { digits: text });
    match value {
        ScalarValue::Boolean(Some(value)) => Some(Value::Boolean(*value)),
        ScalarValue::Int32(Some(value)) => Some(Value::Integer((*value).into())),
        ScalarValue::Int64(Some(value)) => Some(Value::Integer(*value)),
        ScalarValue::Decimal128(Some(value), _, _) => {
            Some(digits(format!("{}.{:02}", value / 100, (value % 100).abs())))
        }
        ScalarValue::Float64(Some(value)) => Some(digits(format!("{:.3}", value))),
        ScalarValue::Utf8(Some(text)) => Some(Value::Text(text.clone())),
        ScalarValue::Date32(_) | ScalarValue::TimestampMicrosecond(..) => {
            let text = value.cast_to(&DataType::Utf8).ok()?;
            match text {
                ScalarValue::Utf8(Some(text)) => Some(Value::Text(text)),
                _ => None,
            }
        }
        _ => None,
    }
}
