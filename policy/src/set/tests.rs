//! Changes and their inverses, what they refuse, files in any order, and what listings tell.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;

use super::*;
use crate::list::list;
use crate::statement::{Show, Statement};

/// Tables that a test can change.
#[derive(Clone)]
struct Tables(BTreeMap<TableName, SchemaRef>);

impl Catalog for Tables {
    fn tables(&self, source: &str) -> Vec<TableName> {
        self.0.keys().filter(|table| table.source == source).cloned().collect()
    }

    fn schema(&self, table: &TableName) -> Option<SchemaRef> {
        self.0.get(table).cloned()
    }
}

impl Tables {
    fn put(&mut self, source: &str, table: &str, columns: &[(&str, DataType)]) {
        let fields = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>();
        self.0.insert(TableName::new(source, table), Arc::new(Schema::new(fields)));
    }
}

fn tables() -> Tables {
    let mut tables = Tables(BTreeMap::new());
    let residents =
        [("id_no", DataType::Utf8), ("name", DataType::Utf8), ("region", DataType::Utf8), ("pay", DataType::Float64)];
    tables.put("civil", "residents", &residents);
    tables.put("civil", "houses", &[("id_no", DataType::Utf8), ("street", DataType::Utf8)]);
    tables.put("hr", "salaries", &[("id_no", DataType::Int64), ("pay", DataType::Int64), ("grade", DataType::Utf8)]);
    tables
}

fn made() -> Made {
    Made { author: "ann".into(), at: Instant(0) }
}

fn change(text: &str) -> Change {
    match Statement::parse(text, "capital") {
        Ok(Statement::Change(change)) => change,
        other => panic!("{text}: {other:?}"),
    }
}

fn apply(set: &PolicySet, text: &str) -> Result<Applied, crate::error::PolicyError> {
    set.apply(&change(text), &made(), &tables())
}

/// The set after these statements.
fn after(statements: &[&str]) -> PolicySet {
    statements
        .iter()
        .fold(PolicySet::default(), |set, text| apply(&set, text).unwrap_or_else(|e| panic!("{text}: {e}")).set)
}

const BASE: &[&str] = &[
    "CREATE TAG classification VALUES ('public', 'personal')",
    "CREATE TAG unused VALUES ('x')",
    "CREATE PURPOSE research COMMENT 'science'",
    "CREATE PURPOSE epidemiology UNDER research",
    "CREATE PURPOSE nothing",
    "ALTER TABLE civil.residents ALTER COLUMN id_no SET TAG classification = 'personal'",
    "ALTER TABLE civil.houses SET TAG classification = 'public'",
    "GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research",
    "CREATE POLICY ids ON SCHEMA civil COLUMN MASK hide MATCH COLUMNS has_tag('classification', 'personal') TO ALL",
    "CREATE POLICY rows ON TABLE civil.residents ROW FILTER (region IN attribute('regions')) TO ROLE analyst",
    "CREATE POLICY pay ON TABLE hr.salaries AGGREGATE ONLY (MIN GROUP 10 ENTITY id_no BOUNDS 0 TO 9 GROUP BY (grade)) \
     COLUMNS (pay) TO ALL FOR PURPOSE epidemiology",
    "ALTER TABLE civil.houses ACCEPT COLUMN street",
    "VALID UNTIL '2030-01-01'",
];

#[test]
fn every_change_has_an_inverse() {
    let base = after(BASE);
    let revived = apply(&base, "REVOKE GRANT 'g-0001'").unwrap().set;
    for (set, text) in [
        (&base, "CREATE TAG t VALUES ('a')"),
        (&base, "DROP TAG unused"),
        (&base, "ALTER TABLE civil.houses SET TAG unused = 'x'"),
        (&base, "ALTER TABLE civil.houses SET TAG classification = 'personal'"),
        (&base, "ALTER TABLE civil.residents ALTER COLUMN id_no UNSET TAG classification"),
        (&base, "CREATE PURPOSE p UNDER epidemiology COMMENT 'x'"),
        (&base, "DROP PURPOSE nothing"),
        (&base, "REVOKE GRANT 'g-0001'"),
        (&base, "GRANT SELECT ON TABLE hr.salaries TO ALL FOR PURPOSE research WITH (id = 'mine')"),
        (&base, "GRANT JOIN ON TABLE civil.residents (id_no) WITH SITE health FOR PURPOSE research MIN SET 20"),
        (&revived, "GRANT SELECT ON TABLE hr.salaries TO ALL FOR PURPOSE research"),
        (&base, "CREATE POLICY q ON SCHEMA civil COLUMN MASK hide COLUMNS (street, name) TO ALL"),
        (&base, "DROP POLICY pay"),
        (&base, "ALTER TABLE civil.residents ACCEPT COLUMN name"),
        (&base, "ALTER TABLE civil.houses WITHDRAW COLUMN street"),
        (&base, "VALID UNTIL '2029-01-01'"),
        (&base, "VALID ALWAYS"),
    ] {
        let done = apply(set, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_ne!(&done.set, set, "{text}");
        assert_eq!(done.set.version, set.version + 1);
        let mut back = done.set.apply(&done.inverse, &made(), &tables()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((back.set.version, &back.inverse), (set.version + 2, &done.change), "{text}");
        // Neither versions nor the ids that the site gave go back.
        (back.set.version, back.set.last_grant) = (set.version, set.last_grant);
        assert_eq!(&back.set, set, "{text}");
    }
}

#[test]
fn ids_are_given_once() {
    let grant = "GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research";
    let set = after(&["CREATE PURPOSE research", grant, "REVOKE GRANT 'g-0001'", grant]);
    assert_eq!(set.grants.keys().collect::<Vec<_>>(), ["g-0002"]);
    let set = apply(&set, &format!("{grant} WITH (id = 'g-0041')")).unwrap().set;
    let done = apply(&set, grant).unwrap();
    assert_eq!(done.inverse, change("REVOKE GRANT 'g-0042'"));
    assert!(matches!(&done.change, Change::Grant(grant) if grant.id.as_deref() == Some("g-0042")));
    assert!(apply(&set, &format!("{grant} WITH (id = 'g-0041')")).is_err());
}

#[test]
fn records_keep_what_was_there() {
    let set = after(BASE);
    let columns = &set.grants["g-0001"].columns;
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["civil.houses", "civil.residents"]);
    assert_eq!(columns["civil.houses"].iter().collect::<Vec<_>>(), ["id_no", "street"]);
    let uses = |policy: &str| set.policies[policy].uses.clone();
    let id_no = BTreeMap::from([("id_no".into(), "Utf8".into())]);
    assert_eq!(uses("ids"), BTreeMap::from([("civil.residents".into(), id_no)]), "by its tag");
    assert_eq!(uses("rows")["civil.residents"], BTreeMap::from([("region".into(), "Utf8".into())]));
    let pay = [("grade", "Utf8"), ("id_no", "Int64"), ("pay", "Int64")].map(|(c, t)| (c.to_owned(), t.to_owned()));
    assert_eq!(uses("pay")["hr.salaries"], BTreeMap::from(pay));
    let set = after(&["CREATE POLICY q ON SCHEMA civil COLUMN MASK hide COLUMNS (street) TO ALL"]);
    assert_eq!(set.policies["q"].uses.keys().collect::<Vec<_>>(), ["civil.houses"], "only tables that have it");
}

#[test]
fn what_cannot_take_effect_is_refused() {
    let set = after(BASE);
    for (text, told) in [
        ("CREATE TAG unused VALUES ('a')", "there is a tag `unused` already"),
        ("DROP TAG nosuch", "there is no tag `nosuch`"),
        ("DROP TAG classification", "the tag `classification` is on civil."),
        ("ALTER TABLE civil.nosuch SET TAG unused = 'x'", "there is no table `civil.nosuch`"),
        (
            "ALTER TABLE civil.houses ALTER COLUMN nosuch SET TAG unused = 'x'",
            "there is no column `civil.houses.nosuch`",
        ),
        ("ALTER TABLE civil.houses SET TAG nosuch = 'x'", "there is no tag `nosuch`"),
        ("ALTER TABLE civil.houses SET TAG unused = 'y'", "no value 'y'; it has 'x'"),
        ("ALTER TABLE civil.houses UNSET TAG unused", "`civil.houses` has no tag `unused` of its own"),
        ("CREATE PURPOSE research", "there is a purpose `research` already"),
        ("CREATE PURPOSE p UNDER p", "there is no purpose `p`"),
        ("DROP PURPOSE research", "used by the purpose `epidemiology`"),
        ("DROP PURPOSE epidemiology", "used by the policy `pay`"),
        ("GRANT SELECT ON SCHEMA nosuch TO ALL FOR PURPOSE research", "no schema with tables `nosuch`"),
        ("GRANT SELECT ON SCHEMA civil TO ALL FOR PURPOSE nosuch", "there is no purpose `nosuch`"),
        (
            "GRANT SELECT ON SCHEMA civil TO ALL MODE OPEN",
            "civil.residents.id_no is tagged classification = 'personal'",
        ),
        ("GRANT JOIN ON TABLE civil.houses (nosuch) WITH SITE s FOR PURPOSE research MIN SET 2", "civil.houses.nosuch"),
        ("REVOKE GRANT 'g-0009'", "there is no grant `g-0009`"),
        ("CREATE POLICY pay ON SCHEMA civil COLUMN MASK hide COLUMNS (name) TO ALL", "there is a policy `pay` already"),
        (
            "CREATE POLICY q ON SCHEMA civil COLUMN MASK hide COLUMNS (nosuch) TO ALL",
            "no table of the schema has a column `nosuch`",
        ),
        (
            "CREATE POLICY q ON TABLE civil.houses COLUMN MASK hide COLUMNS (name) TO ALL",
            "there is no column `civil.houses.name`",
        ),
        (
            "CREATE POLICY q ON SCHEMA civil ROW FILTER (street = 'x') TO ALL",
            "there is no column `civil.residents.street`",
        ),
        (
            "CREATE POLICY q ON SCHEMA civil COLUMN MASK hide COLUMNS (name) TO ALL FOR PURPOSE nosuch",
            "no purpose `nosuch`",
        ),
        ("CREATE POLICY q ON SCHEMA civil COLUMN MASK hide MATCH COLUMNS has_tag('nosuch') TO ALL", "no tag `nosuch`"),
        (
            "CREATE POLICY q ON SCHEMA civil COLUMN MASK hide MATCH COLUMNS has_tag('unused', 'y') TO ALL",
            "no value 'y'",
        ),
        ("DROP POLICY nosuch", "there is no policy `nosuch`"),
        ("ALTER TABLE civil.houses ACCEPT COLUMN street", "accepted already"),
        ("ALTER TABLE civil.houses ACCEPT COLUMN nosuch", "no column"),
        ("ALTER TABLE civil.houses WITHDRAW COLUMN id_no", "was not accepted"),
        (&aggregate("BOUNDS 5 TO 4.99", "pay"), "upside down: 5 TO 4.99"),
        (&aggregate("BOUNDS -1 TO -1.01", "pay"), "upside down"),
        (&aggregate("BOUNDS 0 TO 9", "grade"), "`hr.salaries.grade` is Utf8; AGGREGATE ONLY is for numbers"),
        (&aggregate("BOUNDS 0 TO 9", "id_no"), "cannot be ENTITY or in GROUP BY"),
        (&aggregate("BOUNDS 0 TO 9 GROUP BY (pay)", "pay"), "cannot be ENTITY or in GROUP BY"),
        (&aggregate("BOUNDS 0 TO 9 GROUP BY (nosuch)", "pay"), "there is no column `hr.salaries.nosuch`"),
    ] {
        let refused = apply(&set, text).map(|done| done.set).expect_err(text).to_string();
        assert!(refused.contains(told), "{text}: {refused}");
    }
    let without = apply(&set, "DROP POLICY pay").unwrap().set;
    for bounds in ["-5 TO 4", "-101 TO -1", "9 TO 10", "-0 TO 0", "7 TO 7"] {
        apply(&without, &aggregate(&format!("BOUNDS {bounds}"), "pay")).unwrap_or_else(|e| panic!("{bounds}: {e}"));
    }
}

fn aggregate(bounds: &str, column: &str) -> String {
    format!(
        "CREATE POLICY q ON TABLE hr.salaries AGGREGATE ONLY (MIN GROUP 2 ENTITY id_no {bounds}) COLUMNS ({column}) TO ALL"
    )
}

#[test]
fn tags_that_policies_cannot_bear_are_refused() {
    let open = after(&["CREATE TAG c VALUES ('personal')", "GRANT SELECT ON TABLE civil.houses TO ALL MODE OPEN"]);
    let refused = apply(&open, "ALTER TABLE civil.houses ALTER COLUMN street SET TAG c = 'personal'").unwrap_err();
    assert!(refused.to_string().contains("open to everyone by the grant 'g-0001'"), "{refused}");
    for value in ["trade_secret", "state_secret"] {
        let secret = after(&[
            &format!("CREATE TAG c VALUES ('{value}')"),
            &format!("ALTER TABLE civil.houses SET TAG c = '{value}'"),
        ]);
        let refused = apply(&secret, "GRANT SELECT ON TABLE civil.houses TO ALL MODE OPEN").unwrap_err();
        assert!(refused.to_string().contains("it cannot be OPEN"), "{refused}");
    }
    let summed = after(&[
        "CREATE TAG c VALUES ('sum')",
        "CREATE POLICY q ON SCHEMA hr AGGREGATE ONLY (MIN GROUP 2 ENTITY id_no BOUNDS pay 0 TO 9) \
         MATCH COLUMNS has_tag('c') TO ALL",
        "ALTER TABLE hr.salaries ALTER COLUMN pay SET TAG c = 'sum'",
    ]);
    let refused = apply(&summed, "ALTER TABLE hr.salaries ALTER COLUMN grade SET TAG c = 'sum'").unwrap_err();
    assert!(refused.to_string().contains("the policy `q` does not fit then"), "{refused}");
}

fn from(files: &[(&str, &str)], tables: &Tables, baselines: &Baselines) -> Result<PolicySet, Vec<FileFault>> {
    let files: Vec<_> = files.iter().map(|(name, text)| File { name, text }).collect();
    PolicySet::from_files(&files, "capital", (&made(), tables), baselines)
}

#[test]
fn files_say_what_statements_say() {
    let text = BASE.iter().rev().map(|text| format!("{text};\n")).collect::<String>();
    let read = from(&[("a.sql", &text)], &tables(), &Baselines::default()).unwrap();
    let mut live = after(BASE);
    let (_, mut record) = live.grants.pop_first().unwrap();
    let id = read.grants.keys().next().unwrap().clone();
    assert!(id.len() == 10 && id.starts_with("f-"), "{id}");
    record.grant.id = Some(id.clone());
    live.grants.insert(id, record);
    (live.version, live.last_grant) = (1, 0);
    assert_eq!(read, live);
}

#[test]
fn files_are_refused_with_every_fault() {
    let told = |files: &[(&str, &str)]| -> Vec<String> {
        let faults = from(files, &tables(), &Baselines::default()).unwrap_err();
        faults.iter().map(|fault| format!("{}:{} {}", fault.file, fault.line, fault.message)).collect()
    };
    let syntax =
        told(&[("b", "CREATE TAG;\nDROP POLICY p;"), ("a", "SHOW GRANTS;\nVALID ALWAYS;\nVALID UNTIL '2027-01-01'")]);
    assert_eq!(syntax.len(), 4, "{syntax:?}");
    assert!(syntax[0].starts_with("a:1 `SHOW GRANTS` is asked at the site"), "{syntax:?}");
    assert!(syntax[3].starts_with("b:2 `DROP POLICY p` takes something back"), "{syntax:?}");
    let meaning = told(&[
        (
            "a",
            "CREATE PURPOSE x UNDER y;\nCREATE PURPOSE y UNDER x;\nCREATE PURPOSE z UNDER nosuch;\nCREATE PURPOSE ok;",
        ),
        (
            "b",
            "CREATE TAG t VALUES ('a', 'b');\nALTER TABLE civil.houses SET TAG t = 'a';\nALTER TABLE civil.houses SET TAG t = 'b';",
        ),
        (
            "c",
            "VALID UNTIL '2027-01-01';\nVALID UNTIL '2028-01-01';\nCREATE POLICY p ON SCHEMA civil COLUMN MASK hide COLUMNS (no) TO ALL",
        ),
    ]);
    for (at, expect) in [
        "a:1 this purpose is part of itself",
        "a:2 this purpose is part of itself",
        "a:3 there is no purpose `nosuch`",
        "b:3 this is said twice; also in b, line 2",
        "c:2 this is said twice; also in c, line 1",
        "c:3 no table of the schema",
    ]
    .iter()
    .enumerate()
    {
        assert!(meaning[at].starts_with(expect), "{meaning:?}");
    }
    assert_eq!(meaning.len(), 6);
}

#[test]
fn columns_added_since_a_grant_are_known_from_the_baseline() {
    let files = [("a", "CREATE PURPOSE p; GRANT SELECT ON TABLE civil.houses TO ALL FOR PURPOSE p")];
    let first = from(&files, &tables(), &Baselines::default()).unwrap();
    let baselines = Baselines::of(&first);
    let mut later = tables();
    later.put("civil", "houses", &[("id_no", DataType::Utf8), ("street", DataType::Utf8), ("rent", DataType::Int64)]);
    assert_eq!(from(&files, &later, &baselines).unwrap(), first);
    let grants = list(&first, &Show::Grants, &later, Instant(0)).unwrap();
    assert_eq!(grants.rows[0].last().unwrap().as_deref(), Some("civil.houses.rent"));
    let accepted = format!("{}; ALTER TABLE civil.houses ACCEPT COLUMN rent", files[0].1);
    let set = from(&[("a", &accepted)], &later, &baselines).unwrap();
    assert_eq!(list(&set, &Show::Grants, &later, Instant(0)).unwrap().rows[0].last().unwrap(), &None);
}

#[test]
fn a_revocation_tells_what_taking_it_back_would_show() {
    let set = after(&["CREATE PURPOSE p", "GRANT SELECT ON TABLE civil.houses TO ALL FOR PURPOSE p"]);
    let notes = |tables: &Tables| set.apply(&change("REVOKE GRANT 'g-0001'"), &made(), tables).unwrap().notes;
    assert_eq!(notes(&tables()), [""; 0]);
    let mut later = tables();
    later.put("civil", "houses", &[("id_no", DataType::Utf8), ("street", DataType::Utf8), ("rent", DataType::Int64)]);
    assert!(notes(&later)[0].ends_with("a new grant: civil.houses.rent"), "{:?}", notes(&later));
}

/// What became of the type of `civil.residents.id_no`, by the policy `p`.
fn misfit(set: &PolicySet, tables: &Tables) -> Option<String> {
    let table = TableName::new("civil", "residents");
    crate::decide::misfit(&set.policies["p"], &table.to_string(), &tables.schema(&table).unwrap())
}

/// `civil.residents` with another type of `id_no`, and a column that came.
fn retyped() -> Tables {
    let mut later = tables();
    later.put(
        "civil",
        "residents",
        &[("id_no", DataType::LargeUtf8), ("name", DataType::Utf8), ("new", DataType::Utf8)],
    );
    later
}

#[test]
fn a_tagged_column_of_another_type_denies_until_it_is_tagged_anew() {
    let tagged = "ALTER TABLE civil.residents ALTER COLUMN id_no SET TAG c = 'x'";
    let by_tag = "CREATE POLICY p ON SCHEMA civil COLUMN MASK hide MATCH COLUMNS has_tag('c') TO ALL";
    let tags = "CREATE TAG c VALUES ('x')";
    for set in [after(&[tags, tagged, by_tag]), after(&[tags, by_tag, tagged])] {
        assert_eq!(misfit(&set, &tables()), None);
        let later = retyped();
        assert!(misfit(&set, &later).unwrap().contains("was Utf8 and is LargeUtf8"));
        let apply = |set: &PolicySet, text: &str| set.apply(&change(text), &made(), &later).unwrap().set;
        let other = apply(&set, "ALTER TABLE civil.residents ALTER COLUMN new SET TAG c = 'x'");
        assert!(misfit(&other, &later).is_some(), "another column's tag is no review of this one");
        assert_eq!(other.policies["p"].uses["civil.residents"].len(), 2);
        let moved = apply(&set, "ALTER TABLE civil.residents ALTER COLUMN id_no UNSET TAG c");
        assert_eq!(misfit(&moved, &later), None, "the policy is no longer about it");
        assert_eq!(misfit(&apply(&moved, tagged), &later), None, "tagged anew, as it is now");
    }
}

#[test]
fn types_of_files_are_known_from_the_baseline() {
    let policies = [
        "CREATE POLICY p ON TABLE civil.residents COLUMN MASK hide COLUMNS (id_no) TO ALL",
        "CREATE POLICY p ON TABLE civil.residents ROW FILTER (id_no = '17') TO ALL",
        "CREATE POLICY p ON SCHEMA civil COLUMN MASK hide MATCH COLUMNS has_tag('c') TO ALL; CREATE TAG c VALUES ('x'); \
         ALTER TABLE civil.residents ALTER COLUMN id_no SET TAG c = 'x'",
    ];
    for text in policies {
        let first = from(&[("a", text)], &tables(), &Baselines::default()).unwrap();
        let (later, known) = (retyped(), Baselines::of(&first));
        let other_line = format!("{text}; CREATE PURPOSE more");
        let second = from(&[("a", &other_line)], &later, &known).unwrap();
        assert!(misfit(&second, &later).is_some(), "{text}: another line is no review");
        let renamed = text.replace("POLICY p", "POLICY q");
        let mut renamed = from(&[("a", &renamed)], &later, &known).unwrap();
        let record = renamed.policies.remove("q").unwrap();
        renamed.policies.insert("p".to_owned(), record);
        assert_eq!(misfit(&renamed, &later), None, "{text}: written anew, it is about the table of now");
    }
}

#[test]
fn listings_tell_what_is_in_force_and_what_is_wrong() {
    let set = after(BASE);
    let tell = |show: &Show, tables: &Tables, now: Instant| -> Vec<String> {
        let listing = list(&set, show, tables, now).unwrap();
        assert!(listing.rows.iter().all(|row| row.len() == listing.columns.len()));
        let line = |row: &Vec<Option<String>>| {
            row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" | ")
        };
        listing.rows.iter().map(line).collect()
    };
    assert_eq!(
        tell(&Show::Grants, &tables(), Instant(0)),
        [
            "g-0001 | SELECT | civil | ROLE analyst | research | SHARED | - | - | - | - | - | ann | 1970-01-01 | active | -"
        ]
    );
    assert!(tell(&Show::Grants, &tables(), set.valid_until.unwrap())[0].contains("expired"));
    assert_eq!(
        tell(&Show::Purposes, &tables(), Instant(0)),
        ["epidemiology | research | -", "nothing | - | -", "research | - | science"]
    );
    let mut later = tables();
    later.put(
        "civil",
        "residents",
        &[("name", DataType::Utf8), ("region", DataType::Int64), ("extra", DataType::Utf8)],
    );
    later.0.remove(&TableName::new("hr", "salaries"));
    assert_eq!(
        tell(&Show::Tags, &later, Instant(0)),
        [
            "classification | public, personal | civil.houses | - | public | -",
            "classification | public, personal | civil.residents | id_no | personal | civil.residents.id_no is gone",
            "unused | x | - | - | - | -",
        ]
    );
    let policies = tell(&Show::Policies, &later, Instant(0));
    assert_eq!(
        policies[2],
        "rows | civil.residents | ROW FILTER (region IN attribute('regions')) | ROLE analyst | ann | 1970-01-01 | \
         civil.residents.region was Utf8 and is Int64; civil.residents.extra came after a grant and is hidden"
    );
    assert!(policies[1].ends_with("| hr.salaries is gone"), "{}", policies[1]);
    assert!(tell(&Show::Policies, &tables(), Instant(0)).iter().all(|row| row.ends_with("| -")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn files_mean_the_same_in_any_order(
        order in Just((0..BASE.len()).collect::<Vec<_>>()).prop_shuffle(),
        cut in 0..BASE.len(),
    ) {
        let text = |part: &[usize]| part.iter().map(|at| format!("{};\n", BASE[*at])).collect::<String>();
        let (one, two) = order.split_at(cut);
        let (one, two) = (text(one), text(two));
        let shuffled = from(&[("b", &one), ("a", &two)], &tables(), &Baselines::default());
        let straight = from(&[("a", &text(&(0..BASE.len()).collect::<Vec<_>>()))], &tables(), &Baselines::default());
        prop_assert_eq!(shuffled, straight);
    }
}
