//! Where the files come from: the crate `datafusion-sqllogictest` of the version of DataFusion that is built here, as cargo
//! fetches it, and the parser they are written for. Neither is a dependency of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::binary::cargo;

const CRATE: &str = "datafusion-sqllogictest";
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One thing that a file says, as `tests/slt` tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// The file, below `test_files`.
    pub file: String,
    /// The line; with a file's name, where it is an included one.
    pub at: String,
    /// The statement.
    pub sql: String,
    /// What it comes to.
    pub expects: Expects,
}

/// What a statement comes to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expects {
    /// No error; whatever it answers.
    Nothing,
    /// Some error. Its text is DataFusion's own, and not compared.
    Error,
    /// This answer.
    #[serde(untagged)]
    Rows {
        /// A letter for the type of each column.
        types: String,
        /// Whether the rows are sorted by their text.
        sorted: bool,
        /// The rows.
        rows: Vec<String>,
    },
}

/// The directory of the crate, fetched where it is not there yet.
///
/// # Panics
/// If cargo cannot fetch it.
pub fn directory() -> PathBuf {
    let manifest = TempDir::with_prefix("chancery-slt-").expect("a temporary directory");
    let version = datafusion::DATAFUSION_VERSION;
    let text = format!(
        "[package]\nname = \"source\"\nversion = \"0.0.0\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n\
         [dependencies]\n{CRATE} = \"={version}\"\n"
    );
    fs::write(manifest.path().join("Cargo.toml"), text).expect("a writable directory");
    fs::write(manifest.path().join("lib.rs"), "").expect("a writable directory");
    // What the workspace has locked is on this machine, and stays as it is.
    fs::copy(Path::new(WORKSPACE).join("Cargo.lock"), manifest.path().join("Cargo.lock"))
        .expect("the workspace's lock");
    let told = output(cargo().args(["metadata", "--format-version", "1"]).current_dir(manifest.path()));
    let metadata: Value = serde_json::from_str(&told).expect("cargo writes JSON");
    let package = metadata["packages"].as_array().into_iter().flatten().find(|package| package["name"] == CRATE);
    let path = package.and_then(|package| package["manifest_path"].as_str()).expect("the crate that was asked for");
    Path::new(path).parent().expect("a manifest lies in a directory").to_path_buf()
}

/// All files below `directory`, named from there, in the order of their names.
pub fn files(directory: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut left = vec![directory.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).expect("a directory of the crate") {
            let path = entry.expect("a directory of the crate").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slt") {
                let below = path.strip_prefix(directory).expect("what is below");
                found.push(below.to_str().expect("a printable path").to_string());
            }
        }
    }
    found.sort();
    found
}

/// The records of files below `directory`, in their order.
///
/// # Panics
/// If the parser cannot be built, or refuses one of them.
pub fn records(directory: &Path, files: &[String]) -> Vec<Record> {
    let program = std::env::current_exe().expect("a test is a program");
    let target = program.ancestors().nth(3).expect("target/<profile>/deps").join("slt");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/slt/Cargo.toml");
    let mut run = cargo();
    run.args(["run", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir"]).arg(target);
    run.arg("--").arg(directory).args(files);
    output(&mut run).lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

fn output(command: &mut std::process::Command) -> String {
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
