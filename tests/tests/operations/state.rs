//! A node's state is copied while it runs, brought back, and then it answers, records and refuses as before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::cluster::binary::chancery;
use harness::cluster::{Cluster, Governance, Options, Person, Written};
use harness::edge::edge;
use harness::policy::record::{of_kind, records};

const POLICY: &str = "CREATE PURPOSE care; GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care;";
const COUNT: &str = "SELECT count(*) FROM north.trade.orders";

async fn start() -> Cluster {
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        written: Written::AtTheDoor,
        ..Governance::default()
    };
    let options = Options { governance: Some(governance), ..Options::default() };
    // Kept to the end of the process: sites are asked for their tables when somebody wants them.
    let data = Box::leak(Box::new(edge().await.unwrap().of_site("north")));
    Cluster::start_with(data, options).await
}

fn state(arguments: &[&str], paths: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(chancery());
    command.arg("state").args(arguments);
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    command.output().expect("the binary runs")
}

fn done(output: &Output) -> String {
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    told
}

fn refused(output: &Output) -> String {
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{told}");
    told
}

/// As if the state had been restored that long ago.
fn restored_before(state: &Path, age: Duration) {
    let at = SystemTime::now() - age;
    fs::write(state.join("restored"), format!("{}\n", at.duration_since(UNIX_EPOCH).unwrap().as_millis())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_brought_back_answers_and_records_as_before() {
    let mut cluster = start().await;
    let (config, kept) = (cluster.root().join("north.toml"), cluster.root().join("kept"));
    let own = cluster.state_of("north");
    let before = {
        let (ana, at_site) = (cluster.user("ana").await, cluster.user_of_site("ana", "north").await);
        assert_eq!(ana.value(COUNT).await, "200");
        // The site runs, and writes its record, all the while.
        let asking = tokio::spawn(async move {
            for _ in 0..40 {
                assert_eq!(at_site.value(COUNT).await, "200");
            }
        });
        for attempt in 0..5 {
            let to = cluster.root().join(format!("kept-{attempt}"));
            done(&state(&["backup"], &[("--config", &config), ("--to", &to)]));
            let told = done(&state(&["check"], &[("--backup", &to)]));
            assert!(told.contains("ok: a backup of north") && told.contains("policies of version 2"), "{told}");
        }
        asking.await.unwrap();
        done(&state(&["backup"], &[("--config", &config), ("--to", &kept)]));
        done(&state(&["check"], &[("--config", &config)]));
        records(&kept.join("state"))
    };
    for file in [
        "",
        "manifest.json",
        "state",
        "users.toml",
        "state/node.sqlite",
        "state/audit.key",
        "state/audit/000000001.jsonl",
    ] {
        let mode = kept.join(file).metadata().unwrap_or_else(|error| panic!("{file}: {error}")).permissions().mode();
        assert_eq!(mode & 0o077, 0, "others can read {file}");
    }
    assert!(refused(&state(&["backup"], &[("--config", &config), ("--to", &kept)])).contains("is there already"));

    // A disk is lost, and another machine takes the site's place.
    cluster.kill_site("north");
    assert!(refused(&state(&["restore"], &[("--config", &config), ("--from", &kept)])).contains("holds the state"));
    fs::rename(&own, cluster.root().join("lost")).unwrap();
    fs::remove_file(cluster.root().join("users.toml")).unwrap();
    done(&state(&["restore"], &[("--config", &config), ("--from", &kept)]));
    cluster.restart_site("north");
    let at_site = cluster.user_of_site("ana", "north").await;
    assert_eq!(at_site.value(COUNT).await, "200");
    let admin = cluster.user_of_site("admin", "north").await;
    let history = admin.query("SHOW POLICY HISTORY").await.unwrap();
    assert_eq!(history.batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);

    // The chain goes on where the backup ended; what was counted before still counts.
    let now = records(&own);
    assert!(before.len() > 80 && now.len() > before.len(), "{} records, {} before", now.len(), before.len());
    assert!(now[..before.len()] == before[..], "another record than before");
    let verified = Command::new(chancery()).args(["audit", "verify", "--config"]).arg(&config).output().unwrap();
    done(&verified);

    // What a coordinator asked before is not accepted again, and neither is what it asks in the first minute.
    let ana = cluster.user("ana").await;
    let error = ana.query(COUNT).await.map(|_| ()).unwrap_err();
    assert!(error.contains("north"), "{error}");
    assert!(cluster.site("north").log().contains("before this site was restored"));
    cluster.kill_site("north");
    restored_before(&own, Duration::from_secs(120));
    cluster.restart_site("north");
    let mut answered = ana.query(COUNT).await;
    for _ in 0..100 {
        if answered.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answered = ana.query(COUNT).await;
    }
    answered.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_written_or_of_a_later_release_is_refused() {
    let mut cluster = start().await;
    let (config, kept) = (cluster.root().join("north.toml"), cluster.root().join("kept"));
    let own = cluster.state_of("north");
    assert_eq!(cluster.user_of_site("ana", "north").await.value(COUNT).await, "200");
    done(&state(&["backup"], &[("--config", &config), ("--to", &kept)]));
    cluster.kill_site("north");
    let other = cluster.root().join("coordinator.toml");
    let told = refused(&state(&["restore"], &[("--config", &other), ("--from", &kept)]));
    assert!(told.contains("`north`") && told.contains("`coordinator`"), "{told}");

    // One word of one record.
    let log = kept.join("state/audit/000000001.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("\"ana\"", "\"eve\"", 1)).unwrap();
    for told in [
        refused(&state(&["check"], &[("--backup", &kept)])),
        refused(&state(&["restore"], &[("--config", &config), ("--from", &kept)])),
    ] {
        assert!(told.contains("state/audit/000000001.jsonl` is not as it was written"), "{told}");
    }
    fs::write(&log, text).unwrap();
    done(&state(&["check"], &[("--backup", &kept)]));

    // A backup, a state and policies of a later release.
    let manifest = fs::read_to_string(kept.join("manifest.json")).unwrap();
    fs::write(kept.join("manifest.json"), manifest.replacen("\"format\": 1", "\"format\": 7", 1)).unwrap();
    let told = refused(&state(&["restore"], &[("--config", &config), ("--from", &kept)]));
    assert!(told.contains("later release") && told.contains("format 7"), "{told}");
    fs::write(own.join("format"), "7\n").unwrap();
    let told = refused(&state(&["check"], &[("--config", &config)]));
    assert!(told.contains("BAD: ") && told.contains("format 7"), "{told}");
    let started = Command::new(chancery()).args(["site", "--config"]).arg(&config).output().unwrap();
    let told = refused(&started);
    assert!(told.contains("CONFIG: ") && told.contains("format 7"), "{told}");
    fs::write(own.join("format"), "1\n").unwrap();
    cluster.restart_site("north");
    assert_eq!(cluster.user_of_site("ana", "north").await.value(COUNT).await, "200");
    assert!(!of_kind(&records(&own), "start").is_empty());
}
