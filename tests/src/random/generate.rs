//! Random statements that are well typed, and whose answer is determined by the data: what a LIMIT or a window sees is
//! always in total order, and no expression fails for one row and not for another. Or, on request, unruly ones.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expression::{COMPARABLE, COMPARISONS, Expression, TEMPLATES, Template, Type, aggregates};
use super::relation::{JoinKind, Relation, Test};

/// A join expected to have more rows than this is not made: the oracle, not the engine, would be slow.
const ROWS_MAX: usize = 4_000;

/// A random statement over these tables.
pub fn statement(rng: &mut StdRng, tables: &[Relation]) -> Relation {
    Generator { rng, tables: tables.to_vec(), templates: TEMPLATES.to_vec(), is_unruly: false, expressions: 0 }.statement(4)
}

/// A random statement that may fail for one row and not for another: also of the `fallible` templates, and LIMIT may stand
/// without an order.
pub fn unruly(rng: &mut StdRng, tables: &[Relation], fallible: &[Template]) -> Relation {
    let templates = [TEMPLATES, fallible].concat();
    Generator { rng, tables: tables.to_vec(), templates, is_unruly: true, expressions: 0 }.statement(3)
}

struct Generator<'a> {
    rng: &'a mut StdRng,
    /// Tables, and the common table expressions that can be seen here.
    tables: Vec<Relation>,
    /// What expressions are made of.
    templates: Vec<Template>,
    /// Whether an answer may hang on more than the data says.
    is_unruly: bool,
    /// How many common table expressions there are, so that each has a name of its own.
    expressions: usize,
}

impl Generator<'_> {
    fn statement(mut self, depth_max: usize) -> Relation {
        let depth = self.rng.random_range(1..=depth_max);
        let relation = self.relation(depth);
        if self.one_in(3) { self.top(relation) } else { relation }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.rng.random_range(0..n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(self.rng).expect("something to pick from").clone()
    }

    fn relation(&mut self, depth: usize) -> Relation {
        if depth == 0 {
            let tables = self.tables.clone();
            return self.pick(&tables);
        }
        match self.rng.random_range(0..20) {
            0..=2 => self.filter(depth),
            3..=4 => self.project(depth),
            5..=9 => self.join(depth),
            10..=12 => self.subquery(depth),
            13..=15 => self.aggregate(depth),
            16 => self.window(depth),
            17 => self.set(depth),
            18 => {
                let input = self.relation(depth - 1);
                self.top(input)
            }
            _ => self.with(depth),
        }
    }

    fn filter(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let types = input.types();
        let predicate = if self.one_in(5) { self.compared_with_scalar(&types) } else { self.predicate(&[&types]) };
        Relation::Filter { input: Box::new(input), predicate }
    }

    fn project(&mut self, depth: usize) -> Relation {
        let mut input = self.relation(depth - 1);
        let distinct = self.one_in(4);
        if distinct {
            input = self.comparable(input);
        }
        let types = input.types();
        let mut items: Vec<Expression> = (0..self.rng.random_range(1..=5)).map(|_| self.item(&types)).collect();
        if self.one_in(8) {
            items.push(self.scalar(&types));
        }
        let select = if distinct { "SELECT DISTINCT" } else { "SELECT" };
        Relation::Project { select, input: Box::new(input), items }
    }

    fn join(&mut self, depth: usize) -> Relation {
        let (mut left, mut right) = (self.relation(depth - 1), self.relation(depth / 2));
        if rows(&left) * rows(&right) / 6 > ROWS_MAX {
            (left, right) = (self.relation(0), self.relation(0));
        }
        let (left_types, right_types) = (left.types(), right.types());
        let pairs = pairs(&left_types, &right_types);
        if pairs.is_empty() {
            return self.cross(left, right);
        }
        let kind = self.pick(&[
            JoinKind::Both("JOIN"),
            JoinKind::Both("JOIN"),
            JoinKind::Both("LEFT JOIN"),
            JoinKind::Both("LEFT JOIN"),
            JoinKind::Both("RIGHT JOIN"),
            JoinKind::Both("FULL JOIN"),
            JoinKind::Left("LEFT SEMI JOIN"),
            JoinKind::Left("LEFT ANTI JOIN"),
            JoinKind::Right("RIGHT SEMI JOIN"),
            JoinKind::Right("RIGHT ANTI JOIN"),
        ]);
        let mut on = vec![self.equality(&pairs)];
        if self.one_in(4) {
            on.push(self.equality(&pairs));
        }
        if self.one_in(2) {
            on.push(self.predicate(&[&left_types, &right_types]));
        }
        Relation::Join { kind, left: Box::new(left), right: Box::new(right), on }
    }

    fn cross(&mut self, left: Relation, right: Relation) -> Relation {
        let (left, right) =
            if rows(&left) * rows(&right) > ROWS_MAX { (self.relation(0), self.relation(0)) } else { (left, right) };
        Relation::Join { kind: JoinKind::Both("CROSS JOIN"), left: Box::new(left), right: Box::new(right), on: vec![] }
    }

    fn equality(&mut self, pairs: &[(usize, usize, Type)]) -> Expression {
        let (left, right, of) = self.pick(pairs);
        let template = if self.one_in(6) { "({} IS NOT DISTINCT FROM {})" } else { "({} = {})" };
        call(template, vec![column(0, left, of), column(1, right, of)], Type::Boolean)
    }

    fn subquery(&mut self, depth: usize) -> Relation {
        let (input, inner) = (self.relation(depth - 1), self.relation(depth / 2));
        let (types, inner_types) = (input.types(), inner.types());
        let pairs = pairs(&types, &inner_types);
        if pairs.is_empty() {
            return input;
        }
        let (outer_key, inner_key, of) = self.pick(&pairs);
        let test = self.pick(&[Test::In, Test::NotIn, Test::Exists, Test::NotExists]);
        let inside = match self.rng.random_range(0..4) {
            // Names of the input are empty here, so that the predicate is over the inner relation alone.
            0 => vec![self.predicate(&[&[], &inner_types])],
            1 if test != Test::NotIn => vec![self.predicate(&[&types, &inner_types])],
            _ => vec![],
        };
        let key = column(0, outer_key, of);
        let or = self.one_in(8).then(|| self.predicate(&[&types]));
        Relation::Subquery { test, input: Box::new(input), key, inner: Box::new(inner), inner_key, inside, or }
    }

    fn aggregate(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let types = input.types();
        let mut keys: Vec<usize> = (0..types.len()).filter(|index| types[*index] != Type::Shown).collect();
        keys.shuffle(self.rng);
        keys.truncate(self.rng.random_range(0..=3));
        let sets = ["{}", "{}", "{}", "ROLLUP ({})", "CUBE ({})", "GROUPING SETS (({}), ())"];
        let grouping = if keys.len() > 1 && may_repeat_columns(&input) { "{}" } else { self.pick(&sets) };
        let mut calls: Vec<Expression> =
            (0..self.rng.random_range(1..=3)).map(|_| self.aggregate_call(&types)).collect();
        if grouping != "{}" && !keys.is_empty() {
            let key = column(0, keys[0], types[keys[0]]);
            calls.push(Expression::Atom(Box::new(call("grouping({})", vec![key], Type::Integer))));
        }
        let having = self.one_in(4).then(|| {
            if self.is_unruly && self.one_in(2) {
                let literals = vec![self.literal(Type::Integer), self.literal(Type::Integer)];
                return call("(100 / (count(*) - {}) > {})", literals, Type::Boolean);
            }
            let counted = call("count(*)", vec![], Type::Integer);
            call("({} > {})", vec![counted, self.literal(Type::Integer)], Type::Boolean)
        });
        Relation::Aggregate { input: Box::new(input), keys, grouping, calls, having }
    }

    /// `count(*)`, or an aggregate of a column or a small expression, perhaps with a FILTER.
    fn aggregate_call(&mut self, types: &[Type]) -> Expression {
        let argument = self.item(types);
        let (template, of) =
            if self.one_in(5) { ("count(*)", Type::Integer) } else { self.pick(&aggregates(argument.of())) };
        let mut template = template.to_string();
        let mut arguments = vec![argument; template.matches("{}").count()];
        if self.one_in(5) {
            template += " FILTER (WHERE {})";
            arguments.push(self.predicate(&[types]));
        }
        Expression::Atom(Box::new(Expression::Call { template, arguments, of }))
    }

    fn window(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let input = self.comparable(input);
        let types = input.types();
        // One only: of two, each may number rows that are equal in its own way, and nothing says which go together.
        let calls = vec![self.window_call(&types)];
        Relation::Window { input: Box::new(input), calls }
    }

    fn window_call(&mut self, types: &[Type]) -> Expression {
        let value = self.rng.random_range(0..types.len());
        let of = types[value];
        let mut functions = vec![
            ("row_number()", Type::Integer),
            ("rank()", Type::Integer),
            ("dense_rank()", Type::Integer),
            ("ntile(3)", Type::Integer),
            ("count(*)", Type::Integer),
            ("lag({})", of),
            ("lead({}, 2)", of),
            ("first_value({})", of),
            ("last_value({})", of),
        ];
        if matches!(of, Type::Integer | Type::Decimal) {
            functions.push(("sum({})", of));
        }
        let (function, of) = self.pick(&functions);
        let arguments = vec![value; function.matches("{}").count()];
        let mut order: Vec<usize> = (0..types.len()).collect();
        order.shuffle(self.rng);
        let partition = self.one_in(2).then(|| order[0]);
        let frame = if function.contains("count") || function.contains("sum") || function.contains("value") {
            self.pick(&[
                "",
                " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
                " ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING",
            ])
        } else {
            ""
        };
        let by = |index: &usize| {
            if index.is_multiple_of(2) { "{}" } else { "{} DESC" }
        };
        let template = format!(
            "{function} OVER ({}ORDER BY {}{frame})",
            if partition.is_some() { "PARTITION BY {} " } else { "" },
            order.iter().map(by).collect::<Vec<_>>().join(", ")
        );
        let columns = arguments.into_iter().chain(partition).chain(order).map(|index| column(0, index, types[index]));
        Expression::Atom(Box::new(Expression::Call { template, arguments: columns.collect(), of }))
    }

    fn set(&mut self, depth: usize) -> Relation {
        let (left, right) = (self.relation(depth - 1), self.relation(depth - 1));
        let operator = self.pick(&["UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT"]);
        let (left, right) = (self.comparable(left), self.comparable(right));
        let mut wanted: Vec<Type> = left.types();
        wanted.shuffle(self.rng);
        wanted.truncate(4);
        let [left, right] = [left, right].map(|side| self.side_of_set(side, &wanted));
        Relation::Set { operator, left: Box::new(left), right: Box::new(right) }
    }

    /// Columns of these types, brought to one width, because not every set operation does it.
    fn side_of_set(&mut self, input: Relation, wanted: &[Type]) -> Relation {
        let types = input.types();
        let items = wanted.iter().map(|of| {
            let value = self.value(&[&types], *of, 1);
            match of {
                Type::Integer => call("CAST({} AS BIGINT)", vec![value], *of),
                Type::Decimal => call("CAST({} AS DECIMAL(30, 4))", vec![value], *of),
                Type::Text => call("CAST({} AS VARCHAR)", vec![value], *of),
                _ => value,
            }
        });
        let items = items.collect();
        Relation::Project { select: "SELECT", input: Box::new(input), items }
    }

    fn top(&mut self, input: Relation) -> Relation {
        let input = self.comparable(input);
        let mut order: Vec<usize> = (0..input.types().len()).collect();
        order.shuffle(self.rng);
        if self.is_unruly && self.one_in(2) {
            order.truncate(self.rng.random_range(0..=1));
        }
        let how = ["ASC", "DESC", "ASC NULLS FIRST", "DESC NULLS LAST"];
        let keys = order.into_iter().map(|key| (key, self.pick(&how))).collect();
        let (limit, offset) = (self.rng.random_range(0..25), self.rng.random_range(0..12));
        // Never OFFSET alone: DataFusion 55 moves a sort that stands above it to below it, so that it skips other rows.
        let limit = if self.one_in(3) { format!("LIMIT {limit} OFFSET {offset}") } else { format!("LIMIT {limit}") };
        Relation::Top { input: Box::new(input), keys, limit }
    }

    fn with(&mut self, depth: usize) -> Relation {
        let definition = self.relation(depth - 1);
        self.expressions += 1;
        let name = format!("w{}", self.expressions);
        let types = definition.types().into_iter().enumerate();
        let columns = types.map(|(index, of)| (format!("c{index}"), of)).collect();
        let table = Relation::Table { name: name.clone(), columns };
        // As often as all other tables together, so that it is used, and used twice.
        let others = self.tables.len();
        self.tables.extend(std::iter::repeat_n(table, others));
        let body = self.join(depth.max(2));
        self.tables.truncate(others);
        Relation::With { name, definition: Box::new(definition), body: Box::new(body) }
    }

    /// Without the columns that nothing may depend on.
    fn comparable(&mut self, input: Relation) -> Relation {
        let types = input.types();
        let mut items: Vec<Expression> = types
            .iter()
            .enumerate()
            .filter(|(_, of)| **of != Type::Shown)
            .map(|(index, of)| column(0, index, *of))
            .collect();
        if items.len() == types.len() {
            return input;
        }
        if items.is_empty() {
            items.push(self.literal(Type::Integer));
        }
        Relation::Project { select: "SELECT", input: Box::new(input), items }
    }

    fn item(&mut self, types: &[Type]) -> Expression {
        let index = self.rng.random_range(0..types.len());
        let of = types[index];
        if of == Type::Shown || self.one_in(2) {
            return column(0, index, of);
        }
        let of = if self.one_in(3) { self.pick(&COMPARABLE) } else { of };
        self.value(&[types], of, 2)
    }

    /// The least or greatest of another table's column, or how many rows there are, perhaps for the same key.
    fn scalar(&mut self, types: &[Type]) -> Expression {
        let relation = self.relation(0);
        let inner_types = relation.types();
        let pairs = pairs(types, &inner_types);
        let correlation = if pairs.is_empty() || self.one_in(2) {
            None
        } else {
            let (outer, inner, of) = self.pick(&pairs);
            Some((inner, Box::new(column(0, outer, of))))
        };
        let index = self.rng.random_range(0..inner_types.len());
        let of = inner_types[index];
        let (template, of) = match of {
            Type::Integer | Type::Decimal => (self.pick(&["min({})", "max({})", "sum({})"]), of),
            Type::Text | Type::Date | Type::Timestamp => ("max({})", of),
            _ => ("count({})", Type::Integer),
        };
        let call = Expression::Atom(Box::new(call(template, vec![column(0, index, inner_types[index])], of)));
        Expression::Scalar { call: Box::new(call), relation: Box::new(relation), correlation }
    }

    fn compared_with_scalar(&mut self, types: &[Type]) -> Expression {
        let scalar = self.scalar(types);
        let value = self.value(&[types], scalar.of(), 1);
        let template = self.pick(&COMPARISONS);
        call(template, vec![value, scalar], Type::Boolean)
    }

    fn predicate(&mut self, scope: &[&[Type]]) -> Expression {
        self.value(scope, Type::Boolean, 3)
    }

    fn value(&mut self, scope: &[&[Type]], of: Type, depth: usize) -> Expression {
        if depth == 0 || (of != Type::Boolean && self.one_in(3)) {
            return self.leaf(scope, of);
        }
        if of == Type::Boolean && !self.one_in(3) {
            return self.comparison(scope, depth);
        }
        let fitting: Vec<_> = self.templates.iter().filter(|(_, _, result)| *result == of).collect();
        let (template, arguments, _) = **fitting.choose(self.rng).expect("each type has templates");
        let arguments = arguments.iter().map(|of| self.value(scope, *of, depth - 1)).collect();
        call(template, arguments, of)
    }

    /// Of a column with something of its type, so that it seldom compares two constants.
    fn comparison(&mut self, scope: &[&[Type]], depth: usize) -> Expression {
        let columns = columns(scope, |of| of != Type::Shown);
        let Some(subject) = columns.choose(self.rng).cloned() else {
            return self.literal(Type::Boolean);
        };
        if self.one_in(6) {
            let template = self.pick(&["({} IS NULL)", "({} IS NOT NULL)"]);
            return call(template, vec![subject], Type::Boolean);
        }
        let other = self.value(scope, subject.of(), depth - 1);
        let template = self.pick(&COMPARISONS);
        call(template, vec![subject, other], Type::Boolean)
    }

    fn leaf(&mut self, scope: &[&[Type]], of: Type) -> Expression {
        let fitting = columns(scope, |other| other == of);
        match fitting.choose(self.rng) {
            Some(column) if !self.one_in(4) => column.clone(),
            _ => self.literal(of),
        }
    }

    fn literal(&mut self, of: Type) -> Expression {
        let small: i64 = self.rng.random_range(-3..9);
        let text = match of {
            Type::Integer => small.to_string(),
            Type::Decimal => format!("CAST({small}.25 AS DECIMAL(12, 2))"),
            Type::Float => format!("CAST({small}.5 AS DOUBLE)"),
            Type::Text => format!("'{}'", self.pick(&super::data::WORDS).replace('\'', "''")),
            Type::Boolean => self.pick(&["TRUE", "FALSE", "CAST(NULL AS BOOLEAN)"]).to_string(),
            Type::Date => format!("DATE '2024-02-{:02}'", small + 4),
            Type::Timestamp => format!("TIMESTAMP '2024-02-{:02} 06:00:00'", small + 4),
            Type::Zoned => {
                let text = format!("2024-02-{:02}T06:00:00Z", small + 4);
                format!("arrow_cast('{text}', 'Timestamp(Microsecond, Some(\"UTC\"))')")
            }
            Type::Shown => "NULL".to_string(),
        };
        Expression::Literal { text, of }
    }
}

fn column(side: usize, index: usize, of: Type) -> Expression {
    Expression::Column { side, index, of }
}

fn call(template: &str, arguments: Vec<Expression>, of: Type) -> Expression {
    Expression::Call { template: template.to_string(), arguments, of }
}

fn columns(scope: &[&[Type]], fits: impl Fn(Type) -> bool) -> Vec<Expression> {
    let sides = scope.iter().enumerate();
    let all = sides.flat_map(|(side, types)| types.iter().enumerate().map(move |(index, of)| column(side, index, *of)));
    all.filter(|column| fits(column.of())).collect()
}

/// Pairs of columns to join on. Booleans have too few values to make a key.
fn pairs(left: &[Type], right: &[Type]) -> Vec<(usize, usize, Type)> {
    let keys = |of: Type| of != Type::Shown && of != Type::Boolean;
    let left = left.iter().enumerate().filter(|(_, of)| keys(**of));
    left.flat_map(|(l, of)| {
        right.iter().enumerate().filter(move |(_, other)| *other == of).map(move |(r, _)| (l, r, *of))
    })
    .collect()
}

/// Whether two columns may be one: DataFusion 55 takes grouping sets of such keys for duplicates, and drops or keeps them
/// by the number of partitions.
fn may_repeat_columns(relation: &Relation) -> bool {
    match relation {
        Relation::Table { name, .. } => !name.contains('.'),
        Relation::Filter { input, .. } | Relation::Subquery { input, .. } | Relation::Top { input, .. } => {
            may_repeat_columns(input)
        }
        Relation::Join { left, right, .. } => may_repeat_columns(left) || may_repeat_columns(right),
        _ => true,
    }
}

/// About how many rows there will be.
fn rows(relation: &Relation) -> usize {
    match relation {
        Relation::Table { .. } => super::data::ROWS_MAX,
        Relation::Filter { input, .. }
        | Relation::Project { input, .. }
        | Relation::Subquery { input, .. }
        | Relation::Window { input, .. }
        | Relation::Aggregate { input, .. } => rows(input),
        Relation::Join { kind: JoinKind::Both(_), left, right, on } => {
            let product = rows(left) * rows(right);
            if on.is_empty() { product } else { product / 6 + 1 }
        }
        Relation::Join { kind: JoinKind::Right(_), right, .. } => rows(right),
        Relation::Join { left, .. } => rows(left),
        Relation::Set { left, right, .. } => rows(left) + rows(right),
        Relation::Top { .. } => 25,
        Relation::With { body, .. } => rows(body),
    }
}
