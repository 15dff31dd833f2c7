//! What is installed: an archive whose binary runs on its own, configurations to begin with, units that wait for a drain.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use engine::config::{Limits, load_coordinator, load_site};
use engine::identity::certs;
use harness::cluster::binary::chancery;
use tempfile::TempDir;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/packaging")
}

fn done(output: &Output) -> String {
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    told
}

/// `key=` of a unit, every time that it stands there.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_configurations_to_begin_with_have_no_fault() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    for file in ["north.toml", "coordinator.toml"] {
        fs::copy(packaging().join("config").join(file), root.join(file)).unwrap();
    }
    fs::create_dir(root.join("data")).unwrap();
    fs::write(root.join("data/people.csv"), "id,name\n1,Ana\n").unwrap();
    certs::init(&root.join("certs"), &["north", "coordinator"].map(|name| name.parse().unwrap())).unwrap();
    engine::identity::users_file::add(&root.join("users.toml"), "ana", "ana", BTreeSet::<String>::new()).unwrap();
    let checked = Command::new(chancery())
        .arg("check-config")
        .args([root.join("north.toml"), root.join("coordinator.toml")])
        .output()
        .unwrap();
    done(&checked);
    let (site, coordinator) =
        (load_site(&root.join("north.toml")).unwrap(), load_coordinator(&root.join("coordinator.toml")).unwrap());
    assert!(site.node.operations.is_some_and(|operations| operations.listen.ip().is_loopback()));
    assert!(coordinator.node.operations.is_some_and(|operations| operations.listen.ip().is_loopback()));
}

#[test]
fn a_unit_waits_longer_than_a_node_drains_and_runs_what_there_is() {
    for (file, role) in [("chancery-site@.service", "site"), ("chancery-coordinator.service", "coordinator")] {
        let unit = fs::read_to_string(packaging().join("systemd").join(file)).unwrap();
        let wait: u64 = values(&unit, "TimeoutStopSec")[0].parse().unwrap();
        let words_and_record = 10 + Limits::default().audit_timeout_ms / 1_000;
        assert!(wait > Limits::default().drain_timeout_s + words_and_record, "{file}: {wait} s");
        assert_eq!((values(&unit, "Type"), values(&unit, "KillSignal")), (vec!["exec"], vec!["SIGTERM"]));
        let start = values(&unit, "ExecStart")[0];
        assert!(start.starts_with(&format!("/usr/bin/chancery {role} --config /etc/chancery/")), "{start}");
        done(&Command::new(chancery()).args([role, "--help"]).output().unwrap());
    }
}

#[test]
fn the_archive_has_a_binary_that_needs_the_c_library_alone() {
    let directory = TempDir::new().unwrap();
    let made = Command::new(packaging().join("archive")).arg(directory.path()).arg(chancery()).output().unwrap();
    let archive = done(&made).trim().to_string();
    let unpacked = directory.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    done(
        &Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(&archive)
            .arg("--directory")
            .arg(&unpacked)
            .output()
            .unwrap(),
    );
    let name = Path::new(&archive).file_name().unwrap().to_str().unwrap().trim_end_matches(".tar.gz").to_string();
    let root = unpacked.join(&name);
    for file in [
        "LICENSE",
        "README.md",
        "Containerfile",
        "docs/operations.md",
        "config/north.toml",
        "config/coordinator.toml",
        "systemd/chancery-site@.service",
        "systemd/chancery-coordinator.service",
    ] {
        assert!(root.join(file).is_file(), "{file} is not in it");
    }
    let binary = root.join("bin/chancery");
    let version = done(&Command::new(&binary).arg("--version").env_clear().output().unwrap());
    assert_eq!(version.trim(), format!("chancery {}", env!("CARGO_PKG_VERSION")));
    let needed = done(&Command::new("ldd").arg(&binary).output().unwrap());
    let of_the_system =
        ["linux-vdso", "libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libdl.so", "libpthread.so", "librt.so"];
    for line in needed.lines() {
        assert!(of_the_system.iter().any(|library| line.contains(library)), "it needs {line}");
    }
}
