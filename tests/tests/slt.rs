//! DataFusion's own `.slt` files, with their tables at two sites under policy, through a coordinator: what they expect is what comes.
//!
//! A target of its own behind the feature `slt`, because it has cargo fetch the crate that has the files, and build its parser.
//! `tests/all` runs `cargo test --workspace --features chancery-tests/slt --test slt`; what it is about stands in
//! `tests/slt/README.md`, the result in `tests/expected/slt.txt`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::StreamExt;
use harness::cluster::{Client, Cluster};
use harness::dataset::Dataset;
use harness::slt::judged::{Fault, judge};
use harness::slt::opinion::{Failed, second};
use harness::slt::report::Report;
use harness::slt::source::{self, Record};
use harness::slt::stage::{Asked, stage};
use tempfile::TempDir;

/// Set to write the kept result anew; the test fails all the same, so that nobody forgets to read it.
const REWRITE: &str = "CHANCERY_REWRITE_EXPECTED";
/// Part of the names of the files to ask, in the place of all; then every failure is told, and nothing compared.
const FILES: &str = "CHANCERY_SLT";
/// What is for another engine: functions and a dialect of Spark's.
const SPARK: &str = "spark/";
/// Records whose `ORDER BY` leaves open which row comes first: they pass now and then.
const UNSETTLED: [(&str, &str); 2] = [("group_by.slt", "5190"), ("union_by_name.slt", "163")];
/// So many statements at a time.
const AT_A_TIME: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn datafusions_own_files_through_a_coordinator() {
    let some = std::env::var(FILES).ok();
    let directory = source::directory();
    let mut files = source::files(&directory.join("test_files"));
    files.retain(|file| !file.starts_with(SPARK) && some.as_ref().is_none_or(|some| file.contains(some.as_str())));
    let mut dataset = Dataset::temporary().unwrap();
    let began = Instant::now();
    let (mut report, asked) = stage_all(&directory, &files, &mut dataset).await;
    println!(
        "slt: {} files in one process in {} s: {} statements over {} tables",
        files.len(),
        began.elapsed().as_secs(),
        asked.len(),
        dataset.tables.len()
    );
    let cluster = Cluster::start_granting_all(&dataset).await;
    let began = Instant::now();
    let failed = ask(&cluster.client().await, asked, &mut report).await;
    println!("slt: asked of a coordinator in {} s", began.elapsed().as_secs());
    drop(cluster);
    let cluster = Cluster::start(&dataset).await;
    let (mut faults, failed) = of_policy(&cluster.client().await, failed).await;
    faults.extend(second(dataset, failed).await.unwrap());
    faults.iter().for_each(|(asked, fault)| report.add(asked, &Err(fault.clone())));
    let faults = faults.iter().map(|(asked, fault)| told(asked, fault)).collect::<Vec<_>>().join("\n\n");
    match some {
        Some(_) => panic!("{faults}\n\n{report}"),
        None => compare(&report.to_string(), &faults),
    }
}

/// Runs the files in one process, with their tables written to the data set.
async fn stage_all(directory: &Path, files: &[String], dataset: &mut Dataset) -> (Report, Vec<Asked>) {
    let mut records = source::records(&directory.join("test_files"), files).into_iter().peekable();
    let scratch = scratch(directory);
    std::env::set_current_dir(scratch.path().join("sqllogictest")).unwrap();
    let (mut report, mut asked) = (Report::default(), vec![]);
    for file in files {
        let name = Path::new(file).file_stem().unwrap();
        fs::create_dir_all(Path::new("test_files/scratch").join(name)).unwrap();
        let own = std::iter::from_fn(|| records.next_if(|record| record.file == *file));
        let own: Vec<Record> =
            own.filter(|record| !UNSETTLED.contains(&(record.file.as_str(), record.at.as_str()))).collect();
        let staged = stage(own, dataset, file.trim_end_matches(".slt").replace('/', "_")).await;
        report.leave_out(file, staged.left_out);
        asked.extend(staged.asked);
    }
    std::env::set_current_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    (report, asked)
}

/// Where the files are run: they name what they read and write from the crate's directory.
fn scratch(directory: &Path) -> TempDir {
    let scratch = TempDir::with_prefix("chancery-slt-").unwrap();
    let run_in: PathBuf = scratch.path().join("sqllogictest");
    fs::create_dir_all(run_in.join("test_files/scratch")).unwrap();
    symlink(directory.join("data"), run_in.join("data")).unwrap();
    scratch
}

/// Asks the coordinator all of it; what fails is for a second opinion.
async fn ask(client: &Client, asked: Vec<Asked>, report: &mut Report) -> Vec<Failed<Asked>> {
    let answers = asked.into_iter().map(|asked| {
        let client = client.clone();
        async move {
            let answer = client.query(&asked.sql).await;
            (judge(&asked.record.expects, &answer, &asked.sql), asked, answer)
        }
    });
    let mut judged = futures::stream::iter(answers).buffered(AT_A_TIME);
    let mut failed = vec![];
    while let Some((verdict, asked, answer)) = judged.next().await {
        match verdict {
            Ok(()) => report.add(&asked, &Ok(())),
            Err(fault) => failed.push(Failed { sql: asked.sql.clone(), asked, answer, fault }),
        }
    }
    failed
}

/// What fails, but not where the same sites enforce no policy; and the rest, which is for a second opinion.
async fn of_policy(client: &Client, failed: Vec<Failed<Asked>>) -> (Vec<(Asked, Fault)>, Vec<Failed<Asked>>) {
    let (mut of_policy, mut others) = (vec![], vec![]);
    for failed in failed {
        let answer = client.query(&failed.sql).await;
        match judge(&failed.asked.record.expects, &answer, &failed.sql) {
            Ok(()) => of_policy.push((failed.asked, Fault::OfPolicy(Box::new(failed.fault)))),
            Err(_) => others.push(failed),
        }
    }
    (of_policy, others)
}

fn told(asked: &Asked, fault: &Fault) -> String {
    let Asked { record, sql } = asked;
    format!("{} {}: {}\n{sql}\n{}", record.file, record.at, fault.word(), fault.told())
}

/// The kept result is this one, line by line: what passed passes, and what failed and now passes is to be written down.
fn compare(actual: &str, faults: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/expected/slt.txt");
    let kept = fs::read_to_string(path).unwrap_or_default();
    if std::env::var_os(REWRITE).is_some() {
        fs::write(path, actual).unwrap();
        panic!("{faults}\n\n{path} is written; read its difference, then run without {REWRITE}");
    }
    let only = |these: &str, those: &str| -> String {
        let those: BTreeSet<&str> = those.lines().collect();
        these.lines().filter(|line| !those.contains(line)).map(|line| format!("{line}\n")).collect()
    };
    let (was, is) = (only(&kept, actual), only(actual, &kept));
    assert!(kept == actual, "{faults}\n\n{path} has (write anew: {REWRITE}=1)\n{was}and this is\n{is}");
}
