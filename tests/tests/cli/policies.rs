//! `chancery policy`: a directory of policies before it is in force. What each command says, and the status that it ends with.

use std::path::Path;

use super::{fail, succeed, write};

const GOOD: &str = "\
CREATE PURPOSE research;
CREATE PURPOSE epidemiology UNDER research;
CREATE TAG classification VALUES ('public', 'personal');
ALTER TABLE civil.residents ALTER COLUMN name SET TAG classification = 'personal';

GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research WITH (id = 'analysts');
CREATE POLICY names ON TABLE civil.residents COLUMN MASK show_first(1) COLUMNS (name) TO ALL EXCEPT ROLE registrar;
CREATE POLICY own_regions ON TABLE civil.residents ROW FILTER (region IN attribute('regions')) TO ROLE analyst;
";

const ASSERTIONS: &str = "\
# Who sees what of civil.residents.
[[assert]]
name = \"analysts see their own regions, and initials\"
roles = [\"analyst\"]
attributes = { regions = [\"north\"] }
purpose = \"epidemiology\"
table = \"civil.residents\"
sees = { id_no = \"clear\", name = \"show_first(1)\", region = \"clear\" }
rows = [
  { given = { id_no = 17, name = \"Wang\", region = \"north\" }, seen = { id_no = 17, name = \"W\", region = \"north\" } },
  { given = { id_no = 18, name = \"Li\", region = \"south\" } },
]

[[assert]]
name = \"visitors see nothing\"
roles = [\"visitor\"]
purpose = \"research\"
table = \"civil.residents\"
denied = true
";

/// A directory with a site, its data, and good policies in `good`.
fn site() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    std::fs::create_dir(path.join("data")).expect("a directory");
    write(path, "data/residents.csv", "id_no,name,region\n17,Wang,north\n18,Li,south\n");
    write(path, "data/houses.csv", "address,region\n1 Main Street,north\n");
    write(path, "users.toml", "");
    write(
        path,
        "site.toml",
        "name = 'north'\nlisten = '127.0.0.1:0'\n[users]\nfile = 'users.toml'\n\
         [[source]]\nname = 'civil'\nkind = 'files'\nroot = 'data'\n",
    );
    policies(path, "good", GOOD);
    write(path, "good/who.test.toml", ASSERTIONS);
    directory
}

/// A directory with one file of policies.
fn policies(path: &Path, name: &str, text: &str) {
    std::fs::create_dir(path.join(name)).expect("a directory");
    write(path, &format!("{name}/policy.sql"), text);
}

#[test]
fn good_policies_are_said_to_be_good() {
    let directory = site();
    let path = directory.path();
    assert_eq!(
        succeed(path, &["policy", "check", "good", "--site", "site.toml"], ""),
        "good: ok (1 grants, 2 policies; checked against the tables of site north)\n"
    );
    assert_eq!(
        succeed(path, &["policy", "check", "good"], ""),
        "good: ok (1 grants, 2 policies; whether tables, columns and types are there and fit needs --site site.toml)\n"
    );
    let tested = succeed(path, &["policy", "test", "good", "--site", "site.toml"], "");
    assert_eq!(tested, "good: 2 of 2 assertions hold\n");
    assert_eq!(succeed(path, &["policy", "diff", "good", "good"], ""), "nobody sees more or less\n");
    assert!(!path.join("state").exists(), "nothing is opened but the sources");
}

#[test]
fn every_fault_has_its_file_and_line() {
    let directory = site();
    let path = directory.path();
    policies(path, "mask", &GOOD.replace("show_first(1)", "scramble"));
    policies(path, "function", &GOOD.replace("region IN attribute('regions')", "upper(region) = 'NORTH'"));
    policies(path, "torn", GOOD.split_at(GOOD.len() - 20).0);
    policies(path, "twice", &format!("{GOOD}CREATE PURPOSE research;\n"));
    std::fs::create_dir(path.join("empty")).expect("a directory");
    let site = ["--site", "site.toml"];
    for (name, expected) in [
        ("mask", "mask/policy.sql:7: the mask `scramble` is unknown; there are hide, replace_with_null, "),
        ("function", "function/policy.sql:8: the function `upper` is unknown in a row filter: "),
        ("torn", "torn/policy.sql: does not end with a finished statement (`;`)"),
        ("twice", "twice/policy.sql:9: there is a purpose `research` already"),
        ("empty", "empty holds no *.sql file"),
        ("nowhere", "nowhere cannot be read: No such file"),
    ] {
        for site in [site.as_slice(), &[]] {
            let (out, error) = fail(path, &[&["policy", "check", name][..], site].concat(), 1);
            assert!(out.starts_with(expected), "{name} {site:?}: {out}");
            assert_eq!((out.lines().count(), error.as_str()), (1, ""), "{name} {site:?}: {out}");
        }
        let (out, _) = fail(path, &["policy", "diff", "good", name], 1);
        assert!(out.starts_with(expected), "{name}: {out}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let directory = site();
    let path = directory.path();
    policies(
        path,
        "wrong",
        "CREATE PURPOSE research;\n\
         GRANT SELECT ON TABLE civil.nosuch TO ALL FOR PURPOSE research;\n\
         CREATE POLICY a ON TABLE civil.residents COLUMN MASK truncate_to_year COLUMNS (name) TO ALL;\n\
         CREATE POLICY b ON TABLE civil.residents COLUMN MASK hide COLUMNS (name) TO ALL FOR PURPOSE care;\n",
    );
    let (out, _) = fail(path, &["policy", "check", "wrong", "--site", "site.toml"], 1);
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "wrong/policy.sql:2: there is no table `civil.nosuch` here",
            "wrong/policy.sql:3: `civil.residents.name`: the mask is for dates and timestamps; the column is of the type Utf8",
            "wrong/policy.sql:4: there is no purpose `care`; CREATE PURPOSE care first",
        ]
    );
    let (out, _) = fail(path, &["policy", "check", "wrong"], 1);
    assert_eq!(out, "wrong/policy.sql:4: there is no purpose `care`; CREATE PURPOSE care first\n");
}

#[test]
fn where_treatments_meet_is_listed_and_a_conflict_is_refused() {
    let directory = site();
    let path = directory.path();
    let tagged = "CREATE POLICY tagged ON SCHEMA civil COLUMN MASK show_last(2) \
                  MATCH COLUMNS has_tag('classification', 'personal') TO ALL;\n";
    policies(path, "meet", &format!("{GOOD}{tagged}"));
    policies(
        path,
        "conflict",
        &format!(
            "{GOOD}{}",
            tagged
                .replace("MATCH COLUMNS has_tag('classification', 'personal')", "COLUMNS (name)")
                .replace("SCHEMA civil", "TABLE civil.residents")
        ),
    );
    let out = succeed(path, &["policy", "check", "meet", "--site", "site.toml"], "");
    let warning = "warning: civil.residents.name: policy `names` makes it show_first(1), policy `tagged` makes it \
                   show_last(2) (by its tags); where they meet the column is hidden\n";
    assert_eq!(out, format!("{warning}meet: ok (1 grants, 3 policies; checked against the tables of site north)\n"));
    assert!(succeed(path, &["policy", "check", "meet"], "").starts_with(warning), "without a site too");
    for site in [&["--site", "site.toml"][..], &[]] {
        let (out, _) = fail(path, &[&["policy", "check", "conflict"][..], site].concat(), 1);
        assert!(
            out.starts_with("conflict/policy.sql:9: policy `names` already makes column `name` show_first(1)"),
            "{out}"
        );
    }
    let pseudonyms = GOOD.replace("show_first(1)", "pseudonym('resident')");
    policies(path, "keyless", &pseudonyms);
    let out = succeed(path, &["policy", "check", "keyless", "--site", "site.toml"], "");
    assert!(out.starts_with("warning: policy `names`: this site has no secret for pseudonyms"), "{out}");
}

#[test]
fn an_assertion_that_does_not_hold_is_told_with_file_and_line() {
    let directory = site();
    let path = directory.path();
    policies(path, "failing", GOOD);
    let wrong =
        ASSERTIONS.replace("name = \"show_first(1)\"", "name = \"clear\"").replace("\"visitor\"", "\"analyst\"");
    write(path, "failing/who.test.toml", &wrong);
    let test = ["policy", "test", "failing", "--site", "site.toml"];
    let (out, _) = fail(path, &test, 1);
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "failing/who.test.toml:2: analysts see their own regions, and initials: expected name clear, found name \
             show_first(1)",
            "failing: 1 of 2 assertions hold",
        ],
        "an analyst without the attribute sees nothing"
    );
    let with_regions = "roles = [\"analyst\"]\nattributes = { regions = [] }\npurpose = \"research\"";
    write(path, "failing/who.test.toml", &wrong.replace("roles = [\"analyst\"]\npurpose = \"research\"", with_regions));
    let (out, _) = fail(path, &test, 1);
    assert!(
        out.contains(
            "failing/who.test.toml:14: visitors see nothing: expected nothing, found id_no clear, name show_first(1), \
             region clear\n"
        ),
        "{out}"
    );
    assert!(out.ends_with("failing: 0 of 2 assertions hold\n"), "{out}");
}

#[test]
fn a_test_that_cannot_fail_is_refused() {
    let directory = site();
    let path = directory.path();
    policies(path, "none", GOOD);
    policies(path, "typing", GOOD);
    write(path, "typing/a.test.toml", &ASSERTIONS.replace("purpose = \"research\"", "purpos = \"research\""));
    policies(path, "torn", GOOD);
    write(path, "torn/a.test.toml", "[[assert]]\nname = \n");
    for (name, expected) in [
        ("none", "none: no assertion (*.test.toml)\n"),
        ("typing", "typing/a.test.toml:17: unknown field `purpos`, expected one of `name`, "),
        ("torn", "torn/a.test.toml:2: "),
        ("nowhere", "nowhere cannot be read: No such file"),
    ] {
        let (out, _) = fail(path, &["policy", "test", name, "--site", "site.toml"], 1);
        assert!(out.starts_with(expected) && out.lines().count() == 1, "{name}: {out}");
    }
    let (_, error) = fail(path, &["policy", "test", "none", "--site", "nowhere.toml"], 1);
    assert!(error.contains("CONFIG: nowhere.toml: cannot be read"), "{error}");
    let (out, _) = fail(path, &["policy", "test", "good"], 1);
    assert!(out.contains("give --site site.toml, or declare [tables]") && out.lines().count() == 1, "{out}");
}

#[test]
fn assertions_that_declare_their_tables_need_no_site() {
    let directory = site();
    let path = directory.path();
    policies(path, "declared", &GOOD.replace("civil.residents", "north.civil.residents"));
    let tables = "[tables]\n\"civil.residents\" = { id_no = \"Int64\", name = \"Utf8\", region = \"Utf8\" }\n";
    write(path, "declared/who.test.toml", &format!("{ASSERTIONS}\n{tables}"));
    assert_eq!(succeed(path, &["policy", "test", "declared"], ""), "declared: 2 of 2 assertions hold\n");
    write(path, "declared/who.test.toml", &format!("{ASSERTIONS}\n{}", tables.replace("Int64", "Number")));
    let (out, _) = fail(path, &["policy", "test", "declared"], 1);
    assert!(out.contains("`civil.residents.id_no`: there is no type `Number`"), "{out}");
}

#[test]
fn a_difference_says_who_sees_more_and_who_sees_less() {
    let directory = site();
    let path = directory.path();
    let changed = GOOD
        .replace("TO ALL EXCEPT ROLE registrar", "TO ROLE clerk")
        .replace("FOR PURPOSE research", "FOR PURPOSE research VALID TO '2199-12-31' LIMIT ROWS 1000 PER DAY")
        .replace("TO ROLE analyst FOR", "TO ROLE analyst, ROLE clerk FOR");
    policies(path, "changed", &changed);
    let told = |arguments: &[&str]| {
        let arguments = [&["policy", "diff"][..], arguments].concat();
        succeed(path, &arguments, "").lines().map(str::to_string).collect::<Vec<_>>()
    };
    let there = told(&["good", "changed", "--site", "site.toml"]);
    for expected in [
        "more: role analyst for research now sees civil.residents.name clear (was show_first(1))",
        "less: role analyst for research now has civil.houses until 2200-01-01T00:00:00Z, 1000 rows a day (was without \
         end or cap)",
        "more: role clerk for epidemiology now sees rows of civil.houses: all (was none)",
        "more: role clerk for epidemiology now sees civil.residents.name show_first(1) (was hidden)",
    ] {
        assert!(there.iter().any(|line| line == expected), "`{expected}` is not among\n{}", there.join("\n"));
    }
    let back = told(&["changed", "good", "--site", "site.toml"]);
    assert_eq!(back.len(), there.len());
    for expected in [
        "less: role analyst for research now sees civil.residents.name show_first(1) (was clear)",
        "less: role clerk for epidemiology now sees rows of civil.houses: none (was all)",
    ] {
        assert!(back.iter().any(|line| line == expected), "`{expected}` is not among\n{}", back.join("\n"));
    }
    let by_names = told(&["good", "changed"]);
    let expected = "more: role clerk for research now sees civil.*.* clear (was hidden)";
    assert!(by_names.iter().any(|line| line == expected), "{}", by_names.join("\n"));
}
