//! The golden matrix: what every subject sees for every purpose of every column of every table, for three sets of policies.
//! A change of how policy decides, or of what it says, is a difference of text, and each line can be read by itself.
//!
//! ```text
//! f0    the fixture of the attacks, site by site
//! demo  the sites of `chancery demo`, with TPC-H
//! city  tests/policies/city: every mask, both kinds of filters, tags, purposes under purposes, expiry, and who is excepted
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engine::command::demo::{policies::statements, tpch};
use engine::site::policies::files;
use engine::site::policies::tables::{SiteTables, TableSnapshot};
use harness::policy::fixture::{self, REGIONS};
use policy::mask::ColumnMask;
use policy::matrix::matrix;
use policy::set::{Baselines, File, Made, PolicySet};
use policy::statement::{Mode, Right};
use policy::subject::{Attribute, Subject};
use policy::time::Instant;
use policy::value::Value;

use crate::borders::REWRITE;

const REVIEWED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/expected/policy-matrix.txt");
const CITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/city");
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/demo/nycflights13");

/// 2026-07-01: all that the city grants holds.
const SUMMER: Instant = Instant(1_782_864_000_000_000);
/// 2027-02-01: the grant to its analysts has ended.
const WINTER: Instant = Instant(1_801_440_000_000_000);
/// 2028-02-01: the policies have ended, all of them.
const LATER: Instant = Instant(1_832_976_000_000_000);
/// Came after the grants, and nobody has accepted it.
const CAME_LATER: (&str, &str) = ("civil.residents", "blood_type");

/// A site's policies, and its tables.
struct Place {
    name: &'static str,
    set: PolicySet,
    tables: TableSnapshot,
}

/// Somebody, as a line of the matrix calls them, and for what they ask.
struct Person {
    label: &'static str,
    subject: Subject,
    /// Some may not be held.
    asks: Vec<String>,
}

impl Person {
    /// A user with roles who holds the purposes that they ask for.
    fn new(name: &'static str, roles: &[&str], purposes: &[&str]) -> Self {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
        let subject = Subject {
            name: name.to_string(),
            roles: texts(roles).into_iter().collect(),
            purposes: texts(purposes).into_iter().collect(),
            ..Subject::default()
        };
        Self { label: name, subject, asks: texts(purposes) }
    }

    fn of(mut self, organisation: &str) -> Self {
        self.subject.organisation = Some(organisation.to_string());
        self
    }

    fn with(mut self, attribute: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| Value::Text((*value).to_string())).collect();
        self.subject.attributes.insert(attribute.to_string(), Attribute::Many(values));
        self
    }

    fn called(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    fn asking_also(mut self, purpose: &str) -> Self {
        self.asks.push(purpose.to_string());
        self
    }
}

impl Place {
    /// The statements of `files` over the tables of directories, each a source.
    async fn open(name: &'static str, sources: &[(&str, PathBuf)], files: &[File<'_>]) -> Self {
        let mut opened = BTreeMap::new();
        for (source, directory) in sources {
            let mut options = toml::Table::new();
            options.insert("root".to_string(), directory.display().to_string().into());
            let source_opened = connectors::registry::open("files", source, options, Path::new("/")).await.unwrap();
            opened.insert((*source).to_string(), source_opened);
        }
        let tables = SiteTables::new(opened).snapshot().await;
        let made = Made { author: "(files)".to_string(), at: Instant(0) };
        let read = |known: &Baselines| PolicySet::from_files(files, name, (&made, &tables), known).unwrap();
        // Read as if the grants had been there before that column.
        let mut known = Baselines::of(&read(&Baselines::default()));
        for columns in known.0.values_mut().filter_map(|tables| tables.get_mut(CAME_LATER.0)) {
            columns.remove(CAME_LATER.1);
        }
        let set = read(&known);
        Self { name, set, tables }
    }

    async fn of_f0(site: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fixture::write(directory.path(), fixture::World::F0).unwrap();
        let sources = [(fixture::SOURCE, directory.path().join(site).join(fixture::SOURCE))];
        Self::open(site, &sources, &[File { name: "policy.sql", text: fixture::policies(site) }]).await
    }

    async fn of_demo(site: &'static str, source: &str, data: &Path) -> Self {
        let text = statements(site).map(|statement| format!("{statement};\n")).collect::<String>();
        let sources = [(source, data.join(site))];
        Self::open(site, &sources, &[File { name: "demo", text: &text }]).await
    }

    async fn of_city() -> Self {
        let sources = ["civil", "hr", "land", "open"].map(|source| (source, Path::new(CITY).join("data").join(source)));
        let read = files::read(Path::new(CITY)).unwrap();
        Self::open("city", &sources, &files::as_files(&read)).await
    }

    /// The lines of these people at this moment.
    fn lines(&self, when: &str, people: &[Person], now: Instant) -> Vec<String> {
        let of_one = |person: &Person| {
            let asked = [(person.subject.clone(), person.asks.clone())];
            let text = matrix(&self.set, &asked, &self.tables, now);
            let line = |line: &str| {
                let seen = line.strip_prefix(&person.subject.name).unwrap_or(line);
                format!("{}{when} · {}{seen}", self.name, person.label)
            };
            text.lines().map(line).collect::<Vec<_>>()
        };
        people.iter().flat_map(of_one).collect()
    }

    /// The policies and grants that no line of the matrix shows at work.
    fn unseen(&self, lines: &[String]) -> Vec<String> {
        let cited: BTreeSet<&str> = lines.iter().flat_map(|line| cited(line)).collect();
        let confers = |right: &Right, mode: Mode| matches!(right, Right::Select { .. }) && mode != Mode::Operated;
        let grants = self.set.grants.iter().filter(|(_, record)| confers(&record.grant.right, record.grant.mode));
        let names = self.set.policies.keys().chain(grants.map(|(id, _)| id));
        names.filter(|name| !cited.contains(name.as_str())).map(|name| format!("{}: {name}", self.name)).collect()
    }
}

/// The policies and grants that a line names.
fn cited(line: &str) -> impl Iterator<Item = &str> {
    let reasons = [" by ", " · rows: ", ": nothing ("].iter().find_map(|opening| line.split_once(opening));
    let reasons = reasons.map_or("", |(_, reasons)| reasons);
    reasons.split(|one: char| !(one.is_alphanumeric() || one == '_' || one == '-'))
}

fn patients() -> Vec<Person> {
    vec![
        Person::new("u1", &[], &["care"]).with("regions", &REGIONS),
        Person::new("u2", &[], &["care", "audit"]).with("regions", &REGIONS),
        Person::new("u3", &[], &["care"]),
    ]
}

fn travellers() -> Vec<Person> {
    vec![
        Person::new("analyst", &["analyst"], &["safety_analysis"]),
        Person::new("desk", &["desk"], &["station_planning"]).with("origins", &["JFK"]),
        Person::new("registrar", &["registrar"], &["registration"]),
        Person::new("visitor", &["visitor"], &[]),
        Person::new("auditor", &["auditor"], &[]),
        Person::new("admin", &["admin"], &[]),
    ]
}

fn citizens() -> Vec<Person> {
    let purposes = ["epidemiology", "outbreak", "research"];
    vec![
        Person::new("ana", &["analyst"], &purposes).with("regions", &["north"]).asking_also("payroll"),
        Person::new("ben", &["analyst"], &["epidemiology"]).called("ben, without regions"),
        Person::new("li", &[], &["research", "epidemiology"]).of("health_office").called("li of the health office"),
        Person::new("mo", &["analyst"], &["epidemiology"])
            .of("health_office")
            .with("regions", &["east"])
            .called("mo, analyst of the health office"),
        Person::new("reg", &["registrar"], &["registration"]),
        Person::new("cleo", &["clerk"], &["payroll"]),
        Person::new("kim", &[], &["research", "payroll"]),
        Person::new("kim", &["clerk"], &["research", "payroll"]).called("kim as a clerk"),
        Person::new("bo", &["broker"], &["registration"]).called("bo the broker"),
        Person::new("visitor", &[], &[]),
    ]
}

/// The matrix, and what stands in the policies and not in it.
async fn golden() -> (Vec<String>, Vec<String>) {
    let (mut lines, mut unseen) = (Vec::new(), Vec::new());
    let mut add = |place: &Place, found: Vec<String>| {
        unseen.extend(place.unseen(&found));
        lines.extend(found);
    };
    for site in ["health", "revenue", "police"] {
        let place = Place::of_f0(site).await;
        add(&place, place.lines("", &patients(), SUMMER));
    }
    for (site, source) in [("bts", "ontime"), ("faa", "registry"), ("noaa", "observations")] {
        let place = Place::of_demo(site, source, Path::new(DEMO)).await;
        add(&place, place.lines("", &travellers(), SUMMER));
    }
    let generated = tempfile::tempdir().unwrap();
    for (site, table) in tpch::LAYOUT {
        tpch::write(table, 0.001, &generated.path().join(site).join(format!("{table}.parquet"))).unwrap();
    }
    for site in ["sales", "logistics", "supply"] {
        let place = Place::of_demo(site, "tpch", generated.path()).await;
        add(&place, place.lines("", &travellers(), SUMMER));
    }
    let city = Place::of_city().await;
    let mut found = city.lines(" in 2026", &citizens(), SUMMER);
    found.extend(city.lines(" in 2027", &citizens()[..1], WINTER));
    found.extend(city.lines(" in 2028", &citizens()[4..5], LATER));
    add(&city, found);
    (lines, unseen)
}

#[tokio::test]
async fn the_matrix_is_what_was_reviewed() {
    let (lines, unseen) = golden().await;
    assert!(unseen.is_empty(), "no line shows these policies and grants at work: {unseen:#?}");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(REVIEWED, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        panic!("{REVIEWED} is written; read its difference, then run without {REWRITE}");
    }
    let text = std::fs::read_to_string(REVIEWED).unwrap_or_default();
    let reviewed: Vec<&str> = text.lines().collect();
    let gone = reviewed.iter().filter(|line| !lines.iter().any(|now| now == *line)).map(|line| format!("- {line}"));
    let new = lines.iter().filter(|line| !reviewed.contains(&line.as_str())).map(|line| format!("+ {line}"));
    let difference: Vec<String> = gone.chain(new).collect();
    assert!(
        difference.is_empty(),
        "decided otherwise than reviewed (write anew: {REWRITE}=1):\n{}",
        difference.join("\n")
    );
    assert_eq!(lines, reviewed, "the order of the lines differs (write anew: {REWRITE}=1)");
}

#[tokio::test]
async fn the_matrix_shows_every_form_and_every_refusal() {
    let (lines, _) = golden().await;
    let forms = masks().map(|mask| if mask == "hide" { ": hidden by ".to_string() } else { format!(": {mask}") });
    let others = [
        ": clear",
        ": aggregate only (",
        "blood_type: hidden",
        "value: hidden by values_for_clerks, values_for_research",
        "rows: all",
        "rows: filter(own_regions, the_living)",
        "rows: none(own_households)",
        "nothing (no purpose)",
        "nothing (the purpose `payroll` is not one",
        "nothing (no grant covers",
        "nothing (own_regions: ",
        "nothing (the policies were valid until",
        "no purpose · open.stations · rows: all · grant open-data",
        "bo the broker · registration · land.parcels: nothing",
        "outbreak · civil.residents · rows: ",
    ];
    let absent = |form: &String| !lines.iter().any(|line| line.contains(form.as_str()));
    let missing: Vec<String> = forms.into_iter().chain(others.map(str::to_string)).filter(absent).collect();
    assert!(missing.is_empty(), "the matrix does not show {missing:#?}");
}

/// The masks' names. A new mask does not compile until it is in the match; it belongs in the list above it too.
fn masks() -> [&'static str; 11] {
    let nothing = || Value::Integer(1);
    let mapping = policy::mask::Generalisation { pairs: vec![], otherwise: None };
    [
        ColumnMask::Hide,
        ColumnMask::ReplaceWithNull,
        ColumnMask::Fixed(nothing()),
        ColumnMask::MaskAlphanum,
        ColumnMask::ShowFirst(1),
        ColumnMask::ShowLast(1),
        ColumnMask::TruncateToYear,
        ColumnMask::TruncateToMonth,
        ColumnMask::Bucket(nothing()),
        ColumnMask::Generalise(mapping),
        ColumnMask::Pseudonym(String::new()),
    ]
    .map(|mask| match mask {
        ColumnMask::Hide | ColumnMask::ReplaceWithNull | ColumnMask::Fixed(_) => mask.name(),
        ColumnMask::MaskAlphanum | ColumnMask::ShowFirst(_) | ColumnMask::ShowLast(_) => mask.name(),
        ColumnMask::TruncateToYear | ColumnMask::TruncateToMonth => mask.name(),
        ColumnMask::Bucket(_) | ColumnMask::Generalise(_) | ColumnMask::Pseudonym(_) => mask.name(),
    })
}
