//! What is read, what is refused with which words, and that what is printed is read back equal.

use proptest::prelude::*;

use super::*;
use crate::mask::Generalisation;
use crate::predicate::{Comparison, List, Operand};
use crate::value::Decimal;

/// The canonical text of a statement.
fn canonical(text: &str) -> String {
    Statement::parse(text, "capital").unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

fn refusal(text: &str) -> String {
    match Statement::parse(text, "capital") {
        Ok(statement) => panic!("`{text}` was read as `{statement}`"),
        Err(e) => e.to_string(),
    }
}

/// The example of the contract, as it stands there.
const EXAMPLE: &str = "
CREATE TAG classification VALUES ('public', 'internal', 'personal', 'trade_secret', 'state_secret');
ALTER TABLE civil.residents ALTER COLUMN id_no SET TAG classification = 'personal';
CREATE PURPOSE research COMMENT '…';  CREATE PURPOSE epidemiology UNDER research;

-- who may query what, for which purpose, until when. Nothing is granted by default. Every grant has an id.
GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE epidemiology
  MODE SHARED VALID FROM '2026-01-01' TO '2026-12-31'
  LIMIT ROWS 1000000 BYTES 500000000 PER DAY WITH (decision_ref = 'no. 17 of 2026');
REVOKE GRANT 'g-0017';
GRANT JOIN ON TABLE civil.residents (id_no) WITH SITE health FOR PURPOSE epidemiology MIN SET 20;  -- kept now, used by the cross-site planner

-- what they see of it. Audience: TO … [EXCEPT …] [FOR PURPOSE …], over roles, organisations, users.
CREATE POLICY ids ON SCHEMA civil COLUMN MASK pseudonym('resident')
  MATCH COLUMNS has_tag('classification', 'personal') TO ALL EXCEPT ROLE registrar;
CREATE POLICY names ON TABLE civil.residents COLUMN MASK show_first(1) COLUMNS (name) TO ALL EXCEPT ROLE registrar;
CREATE POLICY born  ON TABLE civil.residents COLUMN MASK truncate_to_year COLUMNS (birth_date) TO ALL FOR PURPOSE research;
CREATE POLICY own_regions ON TABLE civil.residents ROW FILTER (region IN attribute('regions')) TO ROLE analyst;
CREATE POLICY pay ON TABLE hr.salaries AGGREGATE ONLY (MIN GROUP 10 ENTITY id_no BOUNDS salary 0 TO 200000 GROUP BY (region, grade))
  COLUMNS (salary) TO ALL;
VALID UNTIL '2027-01-01';                                  -- of a directory of policies as a whole
DROP POLICY pay;  ALTER TABLE civil.residents ACCEPT COLUMN new_column;

SHOW POLICIES; SHOW GRANTS; SHOW EFFECTIVE POLICY ON civil.residents FOR ROLE analyst PURPOSE epidemiology;
";

#[test]
fn the_contracts_example_is_read() {
    let read = parse_all(EXAMPLE, "capital").unwrap();
    assert_eq!(read.len(), 18);
    assert_eq!((read[0].line, read[4].line), (2, 7));
    let Statement::Change(Change::Grant(grant)) = &read[4].statement else { panic!("{:?}", read[4]) };
    // 2026-01-01 up to and with 2026-12-31.
    assert_eq!((grant.from, grant.to), (Some(Instant(1_767_225_600_000_000)), Some(Instant(1_798_761_600_000_000))));
    assert_eq!((grant.rows_per_day, grant.bytes_per_day), (Some(1_000_000), Some(500_000_000)));
    for Located { statement, .. } in read {
        assert_eq!(Statement::parse(&statement.to_string(), "capital").unwrap(), statement);
    }
}

#[test]
fn statements_have_one_canonical_form() {
    for (text, expect) in [
        ("alter table Civil.Residents set tag Level = 'a';", "ALTER TABLE civil.residents SET TAG level = 'a'"),
        (
            "ALTER TABLE capital.civil.\"Re\"\"s\" ALTER COLUMN c UNSET TAG t",
            "ALTER TABLE civil.\"Re\"\"s\" ALTER COLUMN c UNSET TAG t",
        ),
        ("/* c */ VALID UNTIL '2027-01-01 00:00:00'", "VALID UNTIL '2027-01-01'"),
        ("VALID ALWAYS", "VALID ALWAYS"),
        ("SHOW POLICY HISTORY", "SHOW POLICY HISTORY"),
        (
            "GRANT SELECT ON TABLE a.b TO USER \"ann@x\", ORGANISATION o FOR PURPOSE p LIMIT BYTES 2 ROWS 1 PER DAY",
            "GRANT SELECT ON TABLE a.b TO USER \"ann@x\", ORGANISATION o FOR PURPOSE p LIMIT ROWS 1 BYTES 2 PER DAY",
        ),
        (
            "GRANT SELECT ON SCHEMA capital.a TO ALL MODE OPEN VALID TO '2026-12-31T23:00:00+08:00' WITH (ref = 'x', id = 'g-7')",
            "GRANT SELECT ON SCHEMA a TO ALL MODE OPEN VALID TO '2026-12-31T15:00:00Z' WITH (id = 'g-7', ref = 'x')",
        ),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 5 ENTITY tailnum BOUNDS 0 TO 500 GROUP BY (engine, \
             manufacturer)) COLUMNS (seats) TO ROLE desk",
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 5 ENTITY tailnum BOUNDS seats 0 TO 500 GROUP BY \
             (engine, manufacturer)) COLUMNS (seats) TO ROLE desk",
        ),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 2 ENTITY e BOUNDS c -1.5 TO 2, d 0 TO .5) \
             COLUMNS (c, d) TO ALL FOR PURPOSE x, y",
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 2 ENTITY e BOUNDS c -1.5 TO 2, d 0 TO 0.5) \
             COLUMNS (c, d) TO ALL FOR PURPOSE x, y",
        ),
        (
            "CREATE POLICY p ON TABLE a.b COLUMN MASK generalise('JFK' => 'New York', 'LGA' => 'New York', ELSE 'else''where') COLUMNS (o) TO ALL",
            "CREATE POLICY p ON TABLE a.b COLUMN MASK generalise('JFK' => 'New York', 'LGA' => 'New York', ELSE 'else''where') COLUMNS (o) TO ALL",
        ),
        (
            "CREATE POLICY p ON SCHEMA a COLUMN MASK BUCKET(0.50) MATCH COLUMNS has_tag('t') TO ALL",
            "CREATE POLICY p ON SCHEMA a COLUMN MASK bucket(0.50) MATCH COLUMNS has_tag('t') TO ALL",
        ),
    ] {
        assert_eq!(canonical(text), expect);
        assert_eq!(canonical(expect), expect);
    }
    for mask in [
        "hide",
        "replace_with_null",
        "fixed('x')",
        "fixed(TRUE)",
        "fixed(-3)",
        "mask_alphanum",
        "show_first(0)",
        "show_last(4)",
        "truncate_to_year",
        "truncate_to_month",
        "bucket(10)",
        "generalise(1 => 2)",
        "pseudonym('d')",
    ] {
        let text = format!("CREATE POLICY p ON TABLE a.b COLUMN MASK {mask} COLUMNS (c) TO ALL");
        assert_eq!(canonical(&text), text);
    }
}

/// The canonical text of a row filter, or why there is none.
fn filter(text: &str) -> Result<String, String> {
    let text = format!("CREATE POLICY p ON TABLE a.b ROW FILTER ({text}) TO ALL");
    let Statement::Change(Change::CreatePolicy(policy)) = Statement::parse(&text, "s").map_err(|e| e.to_string())?
    else {
        panic!("{text}")
    };
    let Rule::RowFilter(predicate) = policy.rule else { panic!("{text}") };
    Ok(predicate.to_string())
}

#[test]
fn filters_have_one_canonical_form() {
    for (text, expect) in [
        ("Region in ATTRIBUTE('regions')", "region IN attribute('regions')"),
        ("region IN (attribute('regions'))", "region IN attribute('regions')"),
        ("(region NOT IN attribute('r')) AND a = 1", "region NOT IN attribute('r') AND a = 1"),
        ("a = 1 OR b = 2 AND c = 3", "a = 1 OR (b = 2 AND c = 3)"),
        ("(a = 1 OR b = 2) AND (c = 3 AND (d = 4))", "(a = 1 OR b = 2) AND c = 3 AND d = 4"),
        ("NOT a = -1 AND NOT (b != 'it''s' OR c is not null)", "NOT a = -1 AND NOT (b <> 'it''s' OR c IS NOT NULL)"),
        ("a BETWEEN 1 AND 2.5", "a >= 1 AND a <= 2.5"),
        ("a NOT BETWEEN 1 AND 2", "NOT (a >= 1 AND a <= 2)"),
        ("attribute('x') = \"Dept\"", "attribute('x') = \"Dept\""),
        ("date >= '2026-01-01' AND case = TRUE AND \"in\" < 3", "date >= '2026-01-01' AND case = TRUE AND \"in\" < 3"),
        ("attribute = 1 AND region IN ('a', 'b')", "attribute = 1 AND region IN ('a', 'b')"),
        ("-9223372036854775808 < a", "-9223372036854775808 < a"),
    ] {
        assert_eq!(filter(text).as_deref(), Ok(expect), "{text}");
        assert_eq!(filter(expect).as_deref(), Ok(expect));
    }
}

#[test]
fn filters_refuse_by_name_what_they_do_not_know() {
    for (text, told) in [
        ("CAST(a AS BIGINT) > 0", "the function `CAST` is unknown"),
        ("upper(a) = 'X'", "the function `upper` is unknown"),
        ("\"attribute\"(a) = 'X' OR \"f\"('x') = 1", "attribute('name')"),
        ("a LIKE 'x%'", "`like` is not offered"),
        ("a = 1 OR exists (SELECT 1)", "the function `exists` is unknown"),
        ("a IN (SELECT b FROM c)", "row filter"),
        ("a + 1 = 2", "`+` is not offered"),
        ("a || 'x' = 'y'", "`||` is not offered"),
        ("a::int = 1", "`::` is not offered"),
        ("a = $1", "`$1` is not offered"),
        ("a = N'x'", "is not offered"),
        ("a = 1e3", "digits and a point only"),
        ("a = 99999999999999999999", "99999999999999999999.0"),
        ("residents.a = 1", "without their table"),
        ("a", "write a = TRUE"),
        ("TRUE", "a value is not a condition"),
        ("a = NULL", "IS NULL"),
        ("a = b = c", "`… = …` is not a column"),
        ("a = (1, 2)", "a list of values is not a column"),
        ("a IN ()", "cannot be read"),
        ("a IN (b)", "`b` is not a column"),
        ("a IN attribute(b)", "attribute('name')"),
        ("a = attribute('x', 'y')", "attribute('name')"),
        ("a IS TRUE", "this expression is not a condition"),
        ("a = 1 b", "`b` is not offered"),
        ("", "cannot be read"),
        ("a = -b", "minus `b` is not a number"),
    ] {
        let refused = filter(text).expect_err(text);
        assert!(refused.contains(told), "{text}: {refused}");
    }
}

#[test]
fn filters_have_limits() {
    let nested = |depth: usize| {
        let open = (0..depth).map(|at| if at % 2 == 0 { "a = 1 OR (" } else { "b = 2 AND NOT (" }).collect::<String>();
        format!("{open}c = 3 OR d = 4{}", ")".repeat(depth))
    };
    let deepest = filter(&nested(33)).unwrap();
    assert_eq!(filter(&deepest), Ok(deepest));
    for text in [nested(34), nested(400), format!("{}a = 1{}", "(".repeat(3000), ")".repeat(3000)), "NOT ".repeat(999)]
    {
        assert!(filter(&text).is_err(), "{text}");
    }
    let values = |count: usize| format!("a IN ({})", vec!["1"; count].join(", "));
    assert!(filter(&values(IN_LIST_MAX)).is_ok());
    assert!(filter(&values(IN_LIST_MAX + 1)).unwrap_err().contains("at most 10000 values"));
    let chain = |count: usize, with: &str| vec!["a"; count].join(with);
    assert!(filter(&chain(499, " = 1 OR ")).is_err(), "the last has no comparison");
    assert!(filter(&format!("{} = 1", chain(500, " = 1 OR "))).is_ok());
    assert!(filter(&format!("{} = 1", chain(501, " = 1 OR "))).unwrap_err().contains("at most 1000 operators"));
    assert!(filter(&chain(1001, " = ")).is_err());
    let long = format!("CREATE TAG t VALUES ('{}')", "x".repeat(TEXT_BYTES_MAX));
    assert!(refusal(&long).contains("at most 1048576 bytes"));
}

#[test]
fn what_is_not_of_the_language_is_refused_in_words() {
    for (text, told) in [
        ("", "expected a policy statement"),
        (
            "SELECT 1",
            "expected a policy statement (CREATE, DROP, ALTER TABLE, GRANT, REVOKE, VALID or SHOW), found `SELECT`",
        ),
        ("CREATE TABLE t", "expected TAG, PURPOSE or POLICY, found `TABLE`"),
        ("VALID ALWAYS; VALID ALWAYS", "expected the end of the statement, found `;`"),
        ("CREATE TAG t VALUES ('a', 'a')", "'a' of the tag `t` stands twice"),
        ("CREATE TAG \"\" VALUES ('a')", "an empty name"),
        ("CREATE TAG 't' VALUES ('a')", "expected a tag's name"),
        ("ALTER TABLE t ADD COLUMN x INT", "source.table"),
        (
            "ALTER TABLE a.t ADD COLUMN x INT",
            "expected ALTER COLUMN, SET TAG, UNSET TAG, ACCEPT COLUMN or WITHDRAW COLUMN",
        ),
        ("ALTER TABLE other.a.t ACCEPT COLUMN c", "`other` is another site; this is `capital`"),
        ("ALTER TABLE a.b.c.d ACCEPT COLUMN c", "source.table"),
        ("GRANT ALL ON a.b TO x", "expected SELECT or JOIN, found `ALL`"),
        ("GRANT SELECT ON a.b TO ROLE x", "expected SCHEMA or TABLE"),
        ("GRANT SELECT ON TABLE a.b TO x FOR PURPOSE p", "expected ALL, ROLE, ORGANISATION or USER, found `x`"),
        ("GRANT SELECT ON TABLE a.b TO ROLE x", "FOR PURPOSE"),
        ("GRANT SELECT ON TABLE a.b TO ROLE x MODE OPEN", "write TO ALL"),
        (
            "GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p MODE SECRET",
            "expected SHARED, OPEN or OPERATED, found `SECRET`",
        ),
        (
            "GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p VALID FROM '2026-01-02' TO '2026-01-01'",
            "ends before it begins",
        ),
        ("GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p VALID TO 'soon'", "`soon` is not a moment"),
        ("GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p LIMIT ROWS 1", "expected PER DAY, found the end"),
        ("GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p LIMIT ROWS -1 PER DAY", "expected a number of rows"),
        ("GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p WITH (id = 'a b')", "'a b' cannot be a grant's id"),
        ("GRANT SELECT ON TABLE a.b TO ALL FOR PURPOSE p WITH (x = 'a', x = 'b')", "`x` stands twice"),
        ("GRANT JOIN ON SCHEMA a (c) WITH SITE s FOR PURPOSE p MIN SET 2", "GRANT JOIN ON TABLE"),
        ("REVOKE SELECT ON a.b FROM x", "expected GRANT, found `SELECT`"),
        (
            "CREATE POLICY p ON TABLE a.b COLUMN MASK scramble(1) COLUMNS (c) TO ALL",
            "the mask `scramble` is unknown; there are hide,",
        ),
        (
            "CREATE POLICY p ON TABLE a.b COLUMN MASK show_first('x') COLUMNS (c) TO ALL",
            "expected a number of characters",
        ),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK show_first(4294967296) COLUMNS (c) TO ALL", "32 bits"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK bucket(0.0) COLUMNS (c) TO ALL", "a width greater than 0"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK fixed(NULL) COLUMNS (c) TO ALL", "expected a value"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK generalise(ELSE 1) COLUMNS (c) TO ALL", "expected a value"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK generalise(1 => 2, 1 => 3) COLUMNS (c) TO ALL", "maps 1 twice"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK hide COLUMNS (c, C) TO ALL", "`c` is named twice"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK hide COLUMNS () TO ALL", "expected a column's name"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK hide MATCH COLUMNS like('x') TO ALL", "expected has_tag"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK hide COLUMNS (c)", "expected TO, found the end"),
        ("CREATE POLICY p ON TABLE a.b COLUMN MASK hide COLUMNS (c) TO ALL EXCEPT ALL", "leaves no one"),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 1 ENTITY e BOUNDS c 0 TO 1) COLUMNS (c) TO ALL",
            "at least 2",
        ),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 2 ENTITY e BOUNDS 0 TO 1) COLUMNS (c, d) TO ALL",
            "names no column",
        ),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 2 ENTITY e BOUNDS c 0 TO 1) COLUMNS (c, d) TO ALL",
            "`d` has no bounds",
        ),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 2 ENTITY e BOUNDS d 0 TO 1) COLUMNS (c) TO ALL",
            "which COLUMNS does not",
        ),
        (
            "CREATE POLICY p ON TABLE a.b AGGREGATE ONLY (MIN GROUP 2 ENTITY e BOUNDS c 'a' TO 1) COLUMNS (c) TO ALL",
            "a number as a bound",
        ),
        ("SHOW TABLES", "expected POLICIES, GRANTS"),
        ("VALID SOMETIMES", "expected UNTIL or ALWAYS"),
        ("VALID\nUNTIL\n'x'", "on line 3"),
        ("VALID UNTIL 'x", "Unterminated string"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(told), "{text}: {refused}");
    }
}

#[test]
fn a_statement_says_what_it_is_about() {
    let check = |text: &str, expected: Option<&str>| {
        let resource = Statement::parse(text, "capital").unwrap().resource();
        let shown = resource.map(|resource| match resource {
            Resource::Schema(source) => source,
            Resource::Table(table) => table.to_string(),
        });
        assert_eq!(shown.as_deref(), expected, "{text}");
    };
    check("GRANT SELECT ON SCHEMA Capital.Civil TO ALL FOR PURPOSE p", Some("civil"));
    check("GRANT SELECT ON TABLE capital.civil.\"People\" TO ALL FOR PURPOSE p", Some("civil.People"));
    check("GRANT JOIN ON TABLE civil.t (id) WITH SITE health FOR PURPOSE p MIN SET 20", Some("civil.t"));
    check("CREATE POLICY p ON TABLE civil.t ROW FILTER (a = 'hr.t') TO ALL -- of health.t", Some("civil.t"));
    check("ALTER TABLE civil.t ALTER COLUMN c SET TAG t = 'v'", Some("civil.t"));
    check("ALTER TABLE civil.t UNSET TAG t", Some("civil.t"));
    check("ALTER TABLE civil.t ACCEPT COLUMN c", Some("civil.t"));
    check("ALTER TABLE civil.t WITHDRAW COLUMN c", Some("civil.t"));
    check("SHOW EFFECTIVE POLICY ON civil.t FOR ROLE r", Some("civil.t"));
    check("REVOKE GRANT 'civil.t'", None);
    check("DROP POLICY p", None);
    check("SHOW GRANTS", None);
}

#[test]
fn a_file_tells_all_its_faults() {
    let faults =
        parse_all("VALID ALWAYS;\nCREATE TAG;\n;;\n-- x\nDROP POLICY p;\n/* y\n */ GRANT\n  ALL", "s").unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 8]);
    assert_eq!(parse_all(" -- nothing\n;", "s"), Ok(vec![]));
}

#[test]
fn a_door_knows_policy_by_its_first_words() {
    let ours = [
        "create tag",
        "CREATE /* x */ PURPOSE p",
        "-- c\nCREATE POLICY",
        "DROP TAG x",
        "DROP PURPOSE x",
        "DROP POLICY x",
        "GRANT ALL",
        "REVOKE",
        "ALTER TABLE a.\"b c\".d ALTER COLUMN x SET TAG",
        "ALTER TABLE a.b UNSET TAG x",
        "ALTER TABLE t ACCEPT COLUMN x",
        "ALTER TABLE t WITHDRAW COLUMN x",
        "VALID UNTIL 'unterminated",
        "VALID ALWAYS",
        "SHOW POLICIES",
        "SHOW GRANTS",
        "SHOW TAGS;",
        "SHOW PURPOSES",
        "SHOW POLICY HISTORY",
        "SHOW EFFECTIVE POLICY",
    ];
    let not_ours = [
        "",
        ";",
        "SELECT 1",
        "(SELECT 1)",
        "WITH policy AS (SELECT 1) SELECT 1",
        "EXPLAIN SELECT 1",
        "EXPLAIN POLICY SELECT 1",
        "SET purpose = 'x'",
        "SHOW TABLES",
        "SHOW ALL",
        "SHOW POLICY",
        "CREATE TABLE tag (x INT)",
        "DROP TABLE policy",
        "ALTER TABLE a.b ADD COLUMN x INT",
        "ALTER TABLE a.b ALTER COLUMN x SET DEFAULT 1",
        "ALTER TABLE a.b SET TBLPROPERTIES",
        "VALUES (1)",
        "\"GRANT\"",
        "'GRANT'",
        "/* GRANT",
        "-- GRANT",
        "SELECT 1; GRANT SELECT",
    ];
    for text in ours {
        assert!(is_policy_statement(text), "{text}");
    }
    for text in not_ours {
        assert!(!is_policy_statement(text), "{text}");
    }
}

fn name() -> BoxedStrategy<String> {
    let odd = "[A-Za-z_ .\"'é;-][A-Za-z0-9_ .\"'é;-]{0,5}";
    prop_oneof![4 => "[a-z_][a-z0-9_]{0,6}", 1 => odd, 1 => prop::sample::select(vec!["in", "all", "to", "select", "role", "else", "attribute"]).prop_map(str::to_owned)].boxed()
}

fn names() -> BoxedStrategy<Vec<String>> {
    prop::collection::btree_set(name(), 1..4).prop_map(|names| names.into_iter().collect()).boxed()
}

fn table() -> impl Strategy<Value = TableName> {
    (name(), name()).prop_map(|(source, table)| TableName { source, table })
}

fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![name().prop_map(Resource::Schema), table().prop_map(Resource::Table)]
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é\n\\\\']{0,8}"
}

fn numbers() -> impl Strategy<Value = Value> {
    let decimal = "-?[0-9]{1,25}\\.[0-9]{1,25}".prop_map(|digits| Value::Decimal(Decimal { digits }));
    prop_oneof![any::<i64>().prop_map(Value::Integer), decimal]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![any::<bool>().prop_map(Value::Boolean), numbers(), text().prop_map(Value::Text)]
}

fn operand() -> impl Strategy<Value = Operand> {
    let attribute = name().prop_map(Operand::Attribute);
    prop_oneof![3 => name().prop_map(Operand::Column), 1 => value().prop_map(Operand::Value), 1 => attribute]
}

/// Filters as they are read: no AND directly in an AND, no OR in an OR.
fn predicate() -> impl Strategy<Value = Predicate> {
    let comparisons = prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    let list =
        prop_oneof![prop::collection::vec(value(), 1..4).prop_map(List::Values), name().prop_map(List::Attribute),];
    let leaf = prop_oneof![
        (operand(), comparisons, operand()).prop_map(|(left, comparison, right)| Predicate::Compare {
            left,
            comparison,
            right
        }),
        (operand(), list, any::<bool>()).prop_map(|(operand, list, negated)| Predicate::In { operand, list, negated }),
        (operand(), any::<bool>()).prop_map(|(operand, negated)| Predicate::IsNull { operand, negated }),
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        let flat = |parts: Vec<Predicate>, and: bool| {
            let open = parts.into_iter().flat_map(|part| match part {
                Predicate::And(inner) if and => inner,
                Predicate::Or(inner) if !and => inner,
                part => vec![part],
            });
            open.collect::<Vec<_>>()
        };
        prop_oneof![
            parts.clone().prop_map(move |parts| Predicate::And(flat(parts, true))),
            parts.prop_map(move |parts| Predicate::Or(flat(parts, false))),
            inner.prop_map(|inner| Predicate::Not(Box::new(inner))),
        ]
    })
}

fn mask() -> impl Strategy<Value = ColumnMask> {
    let generalise = (prop::collection::vec((value(), value()), 1..4), prop::option::of(value())).prop_filter_map(
        "a value twice",
        |(pairs, otherwise)| {
            let unique = pairs.iter().map(|(from, _)| from.to_string()).collect::<std::collections::HashSet<_>>();
            (unique.len() == pairs.len()).then_some(ColumnMask::Generalise(Generalisation { pairs, otherwise }))
        },
    );
    prop_oneof![
        Just(ColumnMask::Hide),
        value().prop_map(ColumnMask::Fixed),
        any::<u32>().prop_map(ColumnMask::ShowFirst),
        any::<u32>().prop_map(ColumnMask::ShowLast),
        (1..i64::MAX).prop_map(|width| ColumnMask::Bucket(Value::Integer(width))),
        generalise,
        text().prop_map(ColumnMask::Pseudonym),
    ]
}

fn columns() -> impl Strategy<Value = Columns> {
    let tagged = (name(), prop::option::of(text())).prop_map(|(tag, value)| Columns::Tagged { tag, value });
    prop_oneof![names().prop_map(Columns::Named), tagged]
}

fn rule() -> impl Strategy<Value = Rule> {
    let bounds = |names: Vec<String>| {
        let count = names.len();
        (Just(names), prop::collection::vec((numbers(), numbers()), count))
    };
    let aggregate = (2..u64::MAX, name(), names().prop_flat_map(bounds), prop::option::of(names())).prop_map(
        |(min_group, entity, (names, bounds), group_by)| {
            let bounds = names.iter().cloned().zip(bounds).map(|(name, (low, high))| (name, low, high)).collect();
            let group_by = group_by.unwrap_or_default();
            Rule::AggregateOnly(AggregateOnly { min_group, entity, bounds, group_by }, Columns::Named(names))
        },
    );
    prop_oneof![
        (mask(), columns()).prop_map(|(mask, columns)| Rule::Mask(mask, columns)),
        predicate().prop_map(Rule::RowFilter),
        aggregate,
    ]
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![name().prop_map(Party::Role), name().prop_map(Party::Organisation), name().prop_map(Party::User),]
}

fn policy() -> impl Strategy<Value = Policy> {
    let to = prop_oneof![Just(vec![Party::All]), prop::collection::vec(party(), 1..3)];
    let except = prop::collection::vec(party(), 0..3);
    let audience = (to, except, prop::option::of(names())).prop_map(|(to, except, purposes)| Audience {
        to,
        except,
        purposes: purposes.unwrap_or_default(),
    });
    (name(), resource(), rule(), audience).prop_map(|(name, resource, rule, audience)| Policy {
        name,
        resource,
        rule,
        audience,
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    let select =
        (resource(), prop::collection::vec(party(), 1..3)).prop_map(|(resource, to)| Right::Select { resource, to });
    let join = (table(), names(), name(), any::<u64>()).prop_map(|(table, columns, site, min_set)| Right::Join {
        table,
        columns,
        site,
        min_set,
    });
    // The years 1 to 9999, to the microsecond, now and then midnight.
    let moment = || {
        prop_oneof![
            -62_135_596_800_000_000..253_402_300_799_999_999_i64,
            (0..20_000_i64).prop_map(|day| day * 86_400_000_000)
        ]
    };
    let window = (prop::option::of(moment()), prop::option::of(moment()))
        .prop_filter("upside down", |(from, to)| from.zip(*to).is_none_or(|(from, to)| from < to));
    let references = prop::collection::btree_map(name().prop_filter("the id", |key| key != "id"), text(), 0..3);
    let limits = (prop::option::of(any::<u64>()), prop::option::of(any::<u64>()));
    let rest = (prop::option::of("[A-Za-z0-9._-]{1,8}"), name(), window, limits, references);
    (prop_oneof![select, join], rest).prop_map(|(right, (id, purpose, (from, to), (rows, bytes), references))| Grant {
        id,
        right,
        purpose: Some(purpose),
        mode: Mode::Shared,
        from: from.map(Instant),
        to: to.map(Instant),
        rows_per_day: rows,
        bytes_per_day: bytes,
        references: references.into_iter().collect(),
    })
}

fn change() -> impl Strategy<Value = Change> {
    let open = |mut grant: Grant| {
        if let Right::Select { to, .. } = &mut grant.right {
            (*to, grant.mode, grant.purpose) = (vec![Party::All], Mode::Open, None);
        }
        Change::Grant(grant)
    };
    let values = prop::collection::btree_set(text(), 1..4).prop_map(|values| values.into_iter().collect());
    prop_oneof![
        (name(), values).prop_map(|(name, values)| Change::CreateTag { name, values }),
        (table(), prop::option::of(name()), name(), text()).prop_map(|(table, column, tag, value)| Change::SetTag {
            table,
            column,
            tag,
            value
        }),
        (table(), prop::option::of(name()), name()).prop_map(|(table, column, tag)| Change::UnsetTag {
            table,
            column,
            tag
        }),
        (name(), prop::option::of(name()), prop::option::of(text()))
            .prop_map(|(name, under, comment)| Change::CreatePurpose { name, under, comment }),
        name().prop_map(|name| Change::DropPolicy { name }),
        text().prop_map(|id| Change::RevokeGrant { id }),
        (table(), name()).prop_map(|(table, column)| Change::AcceptColumn { table, column }),
        (table(), name()).prop_map(|(table, column)| Change::WithdrawColumn { table, column }),
        grant().prop_map(Change::Grant),
        grant().prop_map(open),
        policy().prop_map(Change::CreatePolicy),
    ]
}

fn show() -> impl Strategy<Value = Show> {
    let effective = (table(), party(), prop::option::of(name())).prop_map(|(table, party, purpose)| Show::Effective {
        table,
        party,
        purpose,
    });
    prop_oneof![Just(Show::Policies), Just(Show::History), effective]
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(statement in prop_oneof![change().prop_map(Statement::Change), show().prop_map(Statement::Show)]) {
        let text = statement.to_string();
        prop_assert_eq!(Statement::parse(&text, "s"), Ok(statement), "{}", text);
        prop_assert!(is_policy_statement(&text), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(CREATE|GRANT|ALTER TABLE|POLICY|ROW FILTER|ON|TO|a\\.b|[()=<>,;'\"-]|\\PC| ){0,30}") {
        let _ = parse_all(&text, "s");
        let _ = is_policy_statement(&text);
        let _ = filter(&text);
    }
}
