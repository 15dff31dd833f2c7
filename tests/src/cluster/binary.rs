//! The `chancery` binary that is tested: built by cargo once per test run, with the profile of the tests.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Names another binary to test in its place, by its full path.
const OTHER: &str = "CHANCERY_BINARY";

/// The binary's path. The first caller has cargo build it, which does nothing when it is up to date.
pub fn chancery() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os(OTHER).map_or_else(built, PathBuf::from))
}

fn built() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let program = std::env::current_exe().expect("a test is a program");
    let directory = program.parent().expect("a program lies in a directory");
    // Tests lie in target/<profile>/deps, programs that measure one above.
    let profile = if directory.ends_with("deps") { directory.parent().expect("target/<profile>") } else { directory };
    let release: &[&str] = if profile.ends_with("release") { &["--release"] } else { &[] };
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "chancery-engine", "--bin", "chancery"])
        .args(release)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "cargo cannot build the chancery binary");
    profile.join("chancery")
}
