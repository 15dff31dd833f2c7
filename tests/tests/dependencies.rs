//! The direction of the crates, held by reading `cargo metadata`: who may know whom, directly and through others.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Edges between the crates of the workspace; any other is a fault.
const MAY_KNOW: [(&str, &str); 9] = [
    ("chancery-engine", "chancery-connectors"),
    ("chancery-engine", "chancery-policy"),
    ("chancery-tests", "chancery-engine"),
    ("chancery-tests", "chancery-connectors"),
    ("chancery-tests", "chancery-policy"),
    ("chancery-benches", "chancery-engine"),
    ("chancery-benches", "chancery-connectors"),
    ("chancery-benches", "chancery-policy"),
    // For its clusters and data sets.
    ("chancery-benches", "chancery-tests"),
];

/// What must not be in a crate, even through others, and why.
const FORBIDDEN: [(&str, &[&str], &str); 2] = [
    (
        "chancery-policy",
        &[
            "datafusion-sql",
            "datafusion-physical-plan",
            "datafusion-execution",
            "datafusion-session",
            "tonic",
            "arrow-flight",
        ],
        "policy decides and does nothing: no execution, no wire, no clock, file or socket",
    ),
    (
        "chancery-connectors",
        &["datafusion", "datafusion-optimizer", "chancery-policy", "chancery-engine", "tonic-health"],
        "a connector describes, asks and reads one source: no planner, no policy, no door of its own",
    ),
];

/// What `policy` may name itself.
const POLICY_MAY_NAME: [&str; 15] = [
    "arrow",
    "datafusion-common",
    "datafusion-expr",
    "datafusion-optimizer",
    "sqlparser",
    "hmac",
    "sha2",
    "hkdf",
    "serde",
    "thiserror",
    "serde_json",
    "chrono",
    "data-encoding",
    "sm3",
    "unicode-normalization",
];

/// Drivers of databases belong to connectors, so `engine` names none of them.
const DRIVERS: [&str; 9] = [
    "tokio-postgres",
    "postgres",
    "deadpool-postgres",
    "bb8-postgres",
    "mysql_async",
    "mysql",
    "sqlx",
    "tiberius",
    "odbc-api",
];

/// Crates whose types cross our seams: two versions of one would not fit together.
const ONE_VERSION: [&str; 9] = [
    "arrow-array",
    "arrow-flight",
    "datafusion-common",
    "hyper",
    "object_store",
    "reqwest",
    "rustls",
    "sqlparser",
    "tonic",
];

fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// Normal dependencies, by name; the tests of a crate may use what they like.
#[derive(Debug, Default, Clone)]
struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
    versions: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Read once: cargo takes a second for it.
    fn read() -> Self {
        static GRAPH: LazyLock<Graph> = LazyLock::new(Graph::ask_cargo);
        GRAPH.clone()
    }

    fn ask_cargo() -> Self {
        Self::parse(&metadata())
    }

    fn parse(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a string").to_string();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let mut graph = Graph::default();
        let mut names = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let name = text(&package["name"]);
            graph.versions.entry(name.clone()).or_default().insert(text(&package["version"]));
            names.insert(text(&package["id"]), name);
        }
        graph.members = list(&metadata["workspace_members"]).iter().map(|id| names[&text(id)].clone()).collect();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = list(&node["deps"])
                .into_iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
            let known = normal.map(|dep| names[&text(&dep["pkg"])].clone());
            graph.edges.entry(names[&text(&node["id"])].clone()).or_default().extend(known);
        }
        graph
    }

    fn known_to(&self, name: &str) -> BTreeSet<String> {
        self.edges.get(name).cloned().unwrap_or_default()
    }

    fn reached_from(&self, name: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<String> = self.known_to(name).into_iter().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next.clone()) {
                open.extend(self.known_to(&next));
            }
        }
        reached
    }

    /// Every fault, as a sentence.
    fn faults(&self) -> Vec<String> {
        let mut faults = vec![];
        for member in &self.members {
            for known in self.known_to(member).intersection(&self.members) {
                if !MAY_KNOW.contains(&(member, known)) {
                    faults.push(format!("{member} must not depend on {known}"));
                }
            }
        }
        for (member, forbidden, why) in FORBIDDEN {
            let reached = self.reached_from(member);
            let found = forbidden.iter().filter(|name| reached.contains(**name));
            faults.extend(found.map(|name| format!("{member} must not contain {name}, even through others: {why}")));
        }
        let named = self.known_to("chancery-policy");
        let unlisted = named.iter().filter(|name| !POLICY_MAY_NAME.contains(&name.as_str()));
        faults.extend(unlisted.map(|name| format!("chancery-policy must not name {name}")));
        let named = self.known_to("chancery-engine");
        let drivers = named.iter().filter(|name| DRIVERS.contains(&name.as_str()));
        faults.extend(
            drivers.map(|name| format!("chancery-engine must not name the driver {name}: it belongs to a connector")),
        );
        let versions = ONE_VERSION.iter().filter_map(|name| Some((name, self.versions.get(*name)?)));
        let several = versions.filter(|(_, versions)| versions.len() > 1);
        faults.extend(several.map(|(name, versions)| format!("{name} must have one version, not {versions:?}")));
        faults
    }
}

#[test]
fn the_workspace_keeps_its_direction() {
    let graph = Graph::read();
    assert_eq!(graph.members.len(), 5, "{:?}", graph.members);
    assert!(graph.reached_from("chancery-engine").contains("datafusion"), "the graph is the real one");
    assert_eq!(graph.faults(), Vec::<String>::new());
}

/// Plants one edge in the real graph.
fn check(from: &str, to: &str, expect: &str) {
    let mut graph = Graph::read();
    graph.edges.entry(from.to_string()).or_default().insert(to.to_string());
    let faults = graph.faults();
    assert!(faults.iter().any(|fault| fault.contains(expect)), "{from} → {to}: {faults:?}");
}

#[test]
fn every_kind_of_wrong_edge_is_found() {
    check("chancery-connectors", "chancery-policy", "chancery-connectors must not depend on chancery-policy");
    check("chancery-policy", "chancery-connectors", "chancery-policy must not depend on chancery-connectors");
    check("chancery-engine", "chancery-tests", "chancery-engine must not depend on chancery-tests");
    check("chancery-connectors", "tonic-health", "chancery-connectors must not contain tonic-health");
    check(
        "object_store",
        "datafusion-optimizer",
        "chancery-connectors must not contain datafusion-optimizer, even through",
    );
    check("chancery-policy", "datafusion", "chancery-policy must not contain datafusion-execution, even through");
    check("chancery-policy", "regex", "chancery-policy must not name regex");
    check("chancery-engine", "tokio-postgres", "must not name the driver tokio-postgres");
}

#[test]
fn two_versions_of_a_crate_at_our_seams_are_found() {
    let mut graph = Graph::read();
    graph.versions.entry("tonic".to_string()).or_default().insert("0.1.0".to_string());
    assert!(graph.faults().iter().any(|fault| fault.starts_with("tonic must have one version")));
}

/// The switches that turn controls off are in no build but one that asks for them by name.
#[test]
fn only_a_feature_of_the_tests_asks_for_sabotage() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let mut asking = vec![];
    for package in packages.filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let with_it = dependencies.filter(|known| known["features"].to_string().contains("sabotage"));
        asking.extend(with_it.map(|known| format!("{name} of {}", known["name"])));
        let features = package["features"].as_object().unwrap().iter();
        let of_it = features.filter(|(_, asked)| asked.to_string().contains("sabotage"));
        asking.extend(of_it.map(|(feature, asked)| format!("{name} by its feature {feature}: {asked}")));
    }
    let expected = [
        r#"chancery-engine by its feature sabotage: ["chancery-connectors/sabotage"]"#,
        r#"chancery-tests by its feature sabotage: ["chancery-engine/sabotage"]"#,
    ];
    assert_eq!(asking, expected);
}
