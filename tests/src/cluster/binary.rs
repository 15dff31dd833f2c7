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
    let program = std::env::current_exe().expect("a test is a program");
    let directory = program.parent().expect("a program lies in a directory");
    // Tests lie in target/<profile>/deps, programs that measure one above.
    let profile = if directory.ends_with("deps") { directory.parent().expect("target/<profile>") } else { directory };
    let release: &[&str] = if profile.ends_with("release") { &["--release"] } else { &[] };
    let built = cargo()
        .args(["build", "--quiet", "--package", "chancery-engine", "--bin", "chancery"])
        .args(release)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "cargo cannot build the chancery binary");
    profile.join("chancery")
}

/// Cargo, without what `cargo test` says of the test to the test: build scripts that look at it (ring's) would run again, and all
/// that stands on them be built again, here and then back for the next `cargo test`.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_the_test(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo
}

/// Whether cargo sets the variable for the crate whose test runs.
fn is_of_the_test(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_", "OUT_DIR"]
        .iter()
        .any(|of| name.starts_with(of))
}
