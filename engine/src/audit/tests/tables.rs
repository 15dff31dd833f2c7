//! The log as tables: statements put together, each viewer's own, batch by batch.

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

use super::*;
use crate::audit::statements::Viewer;
use crate::audit::tables::{disclosures_schema, disclosures_table, queries_schema, queries_table};

async fn ask(log: &Arc<AuditLog>, viewer: &Viewer, sql: &str) -> Vec<RecordBatch> {
    let ctx = SessionContext::new();
    ctx.register_table("queries", queries_table(log, viewer.clone()).unwrap()).unwrap();
    ctx.register_table("disclosures", disclosures_table(log, viewer.clone()).unwrap()).unwrap();
    ctx.sql(sql).await.unwrap().collect().await.unwrap()
}

async fn text(log: &Arc<AuditLog>, viewer: &Viewer, sql: &str) -> String {
    pretty_format_batches(&ask(log, viewer, sql).await).unwrap().to_string()
}

/// One statement of each fate, of two subjects.
async fn log_of_fates(directory: &Path) -> Arc<AuditLog> {
    let log = open(directory);
    log.append(intent("lost", "ann")).await.unwrap();
    drop(log);
    let log = open(directory);
    let done = log.append(intent("done", "ann")).await.unwrap();
    log.append(refusal("refused", "bob")).await.unwrap();
    log.append(completion(done.seq, "done")).await.unwrap();
    log.append(intent("running", "bob")).await.unwrap();
    log.append(closing("g-1")).await.unwrap();
    log
}

#[tokio::test]
async fn a_statement_is_one_row_whatever_became_of_it() {
    let state = tempfile::tempdir().unwrap();
    let log = log_of_fates(&state.path().join("audit")).await;
    let sql =
        "SELECT site, query_id, fragment, sequence, subject, purpose, grants, policy_version, tables, rows, bytes,
               outcome, ended_at >= started_at AS ended FROM queries ORDER BY sequence";
    insta::assert_snapshot!(text(&log, &Viewer::Auditor, sql).await, @r"
    +------+----------+----------+----------+---------+----------+---------------+----------------+----------------+------+-------+--------------------+-------+
    | site | query_id | fragment | sequence | subject | purpose  | grants        | policy_version | tables         | rows | bytes | outcome            | ended |
    +------+----------+----------+----------+---------+----------+---------------+----------------+----------------+------+-------+--------------------+-------+
    | bts  | lost     | 1        | 2        | ann     | research | g-0001,g-0002 | 7              | ontime.flights |      |       | interrupted        |       |
    | bts  | done     | 1        | 4        | ann     | research | g-0001,g-0002 | 7              | ontime.flights | 3    | 120   | finished           | true  |
    | bts  | refused  | 2        | 5        | bob     | research |               |                |                |      |       | refused: NOT_FOUND |       |
    | bts  | running  | 1        | 7        | bob     | research | g-0001,g-0002 | 7              | ontime.flights |      |       | running            |       |
    +------+----------+----------+----------+---------+----------+---------------+----------------+----------------+------+-------+--------------------+-------+
    ");
}

#[tokio::test]
async fn a_disclosure_is_one_row_for_each_column_and_destination() {
    let state = tempfile::tempdir().unwrap();
    let log = log_of_fates(&state.path().join("audit")).await;
    let sql = r#"SELECT site, query_id, sequence, subject, "table", "column", form, destination, rows, bytes
                 FROM disclosures ORDER BY sequence"#;
    insta::assert_snapshot!(text(&log, &Viewer::Auditor, sql).await, @r"
    +------+----------+----------+---------+----------------+--------+-------+---------------------+------+-------+
    | site | query_id | sequence | subject | table          | column | form  | destination         | rows | bytes |
    +------+----------+----------+---------+----------------+--------+-------+---------------------+------+-------+
    | bts  | lost     | 2        | ann     | ontime.flights | dest   | clear | coordinator.example |      |       |
    | bts  | done     | 4        | ann     | ontime.flights | dest   | clear | coordinator.example | 3    | 120   |
    | bts  | running  | 7        | bob     | ontime.flights | dest   | clear | coordinator.example |      |       |
    +------+----------+----------+---------+----------------+--------+-------+---------------------+------+-------+
    ");
}

#[tokio::test]
async fn a_subject_sees_only_their_own() {
    let state = tempfile::tempdir().unwrap();
    let log = log_of_fates(&state.path().join("audit")).await;
    let count = "SELECT (SELECT count(*) FROM queries) AS queries, (SELECT count(*) FROM disclosures) AS disclosures,
                 (SELECT count(*) FROM queries WHERE query_id = 'done') AS done";
    for (subject, queries, disclosures, done) in [("ann", 2, 2, 1), ("bob", 2, 1, 0), ("Ann", 0, 0, 0), ("", 0, 0, 0)] {
        let told = text(&log, &Viewer::Subject(asker(subject)), count).await;
        assert!(
            told.contains(&format!("| {queries}       | {disclosures}           | {done}    |")),
            "{subject}\n{told}"
        );
    }
}

/// Two issuers, the site's own users file and a coordinator's: four people called ana, one of whom comes by two ways.
#[tokio::test]
async fn a_name_by_another_s_word_is_another_person() {
    let state = tempfile::tempdir().unwrap();
    let log = open(&state.path().join("audit"));
    let ana = |issuer: Option<&str>, actor: Option<&str>| Asker {
        issuer: issuer.map(str::to_string),
        actor: actor.map(str::to_string),
        ..asker("ana")
    };
    let (one, other) = (Some("https://one.example"), Some("https://other.example"));
    let nobody = Asker { subject: None, ..ana(None, None) };
    let askers = [ana(None, None), ana(None, Some("hub")), ana(one, None), ana(one, Some("hub")), ana(other, None)];
    for asker in askers.iter().chain([&nobody]) {
        log.append(Entry::Intent(intent_of("q", asker.clone()))).await.unwrap();
    }
    let own = "SELECT coalesce(issuer, '-') || ' ' || coalesce(actor, '-') AS own FROM queries ORDER BY 1";
    let expected = [
        vec!["- -"],
        vec!["- hub"],
        vec!["https://one.example -", "https://one.example hub"],
        vec!["https://one.example -", "https://one.example hub"],
        vec!["https://other.example -"],
    ];
    for (asker, expected) in askers.into_iter().zip(expected) {
        let told = text(&log, &Viewer::Subject(asker.clone()), own).await;
        let told: Vec<_> = told.lines().skip(3).filter_map(|line| line.strip_prefix('|')?.split('|').next()).collect();
        assert_eq!(told.iter().map(|own| own.trim()).collect::<Vec<_>>(), expected, "{asker:?}");
    }
    let told = text(&log, &Viewer::Subject(nobody), "SELECT count(*) AS own FROM queries").await;
    assert!(told.contains("| 0   |"), "{told}");
}

#[tokio::test]
async fn what_was_read_without_leaving_is_told_too() {
    let state = tempfile::tempdir().unwrap();
    let log = open(&state.path().join("audit"));
    log.append(intent("read", "ann")).await.unwrap();
    let mut explained = intent_of("explained", asker("ann"));
    explained.tables.iter_mut().for_each(|table| table.only_explained = true);
    explained.level = None;
    log.append(Entry::Intent(explained)).await.unwrap();
    let sql = "SELECT query_id, tables, used, read_by_policy, level FROM queries ORDER BY sequence";
    insta::assert_snapshot!(text(&log, &Viewer::Auditor, sql).await, @r"
    +-----------+---------------------------------+-----------------------+------------------------+----------+
    | query_id  | tables                          | used                  | read_by_policy         | level    |
    +-----------+---------------------------------+-----------------------+------------------------+----------+
    | read      | ontime.flights                  | ontime.flights.origin | ontime.flights.carrier | internal |
    | explained | ontime.flights (only explained) | ontime.flights.origin | ontime.flights.carrier |          |
    +-----------+---------------------------------+-----------------------+------------------------+----------+
    ");
}

#[tokio::test]
async fn rows_come_in_batches_and_the_schema_is_as_published() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = AuditLog::open(&directory, AuditOptions { queue_max: 20_000, ..options(&directory) }).unwrap();
    let appends: Vec<_> = (0..9_000).map(|number| log.append(refusal(&number.to_string(), "ann"))).collect();
    for append in appends {
        append.await.unwrap();
    }
    let batches = ask(&log, &Viewer::Auditor, "SELECT * FROM queries").await;
    assert!(batches.iter().all(|batch| batch.num_rows() <= 8_192 && batch.schema() == queries_schema()));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 9_000);
    let none = ask(&log, &Viewer::Auditor, "SELECT * FROM disclosures").await;
    assert!(none.iter().all(|batch| batch.num_rows() == 0 && batch.schema() == disclosures_schema()));
}
