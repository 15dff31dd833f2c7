//! `chancery sql` as a user meets it: the binary, a running federation, its two outputs and its exit status.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::cluster::binary::chancery;
use harness::cluster::{Cluster, Options, USER};
use harness::dataset::Dataset;
use harness::edge::edge;

/// Long enough for any statement here on a busy machine; a shell that hangs must not hang the tests.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Rows enough that no pipe takes them all.
const MANY_ROWS: &str = "SELECT a.id, b.note FROM north.trade.orders a CROSS JOIN north.trade.orders b \
    CROSS JOIN north.trade.items c";

/// A statement that would run for hours.
const ENDLESS: &str = "SELECT count(*) FROM north.trade.orders a, north.trade.orders b, north.trade.orders c, \
    north.trade.orders d, north.trade.orders e WHERE a.id + b.id + c.id + d.id + e.id < 0";

/// A shell that signs in at `url` as the cluster's user.
fn shell(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(chancery());
    command
        .arg("sql")
        .args(arguments)
        .env("CHANCERY_URL", url)
        .env("CHANCERY_USER", USER)
        .env("CHANCERY_PASSWORD", USER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn ended(mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > TIMEOUT {
            child.kill().unwrap();
            panic!("the shell does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Runs to the end with a text on standard input: the exit status, standard output and standard error.
fn outcome(mut command: Command, input: &str) -> (i32, String, String) {
    let mut child = command.spawn().unwrap();
    // A shell that was given its statements otherwise may close its input unread.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = ended(child);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Standard output of a run in which nothing goes wrong.
fn answer(url: &str, arguments: &[&str], input: &str) -> String {
    let (status, out, error) = outcome(shell(url, arguments), input);
    assert_eq!((status, error.as_str()), (0, ""), "{arguments:?} {input}");
    out
}

/// What a run that fails says, which must have this status and have written this to standard output.
fn failure(command: Command, status: i32, out: &str) -> String {
    let described = format!("{command:?}");
    let (actual, written, error) = outcome(command, "");
    assert_eq!((actual, written.as_str()), (status, out), "{described}: {error}");
    error
}

/// A running federation under a policy that grants everything, and its data, which last as long as they are held.
async fn federation(options: Options) -> (Cluster, Dataset) {
    let dataset = edge().await.unwrap();
    (Cluster::start_with(&dataset, options.granting_all(&dataset)).await, dataset)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_every_format_from_every_input() {
    let (cluster, _data) = federation(Options::default()).await;
    formats(cluster.address());
    inputs(cluster.address());
    listings(cluster.address());
    ledger(cluster.address());
    files(cluster.address());
    about_a_statement(cluster.address());
}

fn formats(url: &str) {
    let people = "SELECT \"编号\" AS id, \"姓名\", \"城市\" AS \"a|b\" FROM south.ledger.\"户口\" \
        WHERE \"编号\" BETWEEN 3 AND 5 ORDER BY 1";
    let none = "SELECT id, label FROM north.trade.nothing";
    let written = |format, sql| answer(url, &["--format", format, "-c", sql], "");
    assert_eq!(
        written("table", people),
        " id | 姓名 | a|b\n----+------+------\n  3 | 𠮷伟 |\n  4 | 王伟 | NULL\n  5 | 李伟 | 上海\n(3 rows)\n\n"
    );
    assert_eq!(written("table", none), " id | label\n----+-------\n(0 rows)\n\n");
    assert_eq!(written("csv", people), "id,姓名,a|b\n3,𠮷伟,\n4,王伟,\n5,李伟,上海\n");
    assert_eq!(written("csv", none), "id,label\n");
    let rows: serde_json::Value = serde_json::from_str(&written("json", people)).unwrap();
    assert_eq!(rows[1], serde_json::json!({"id": 4, "姓名": "王伟", "a|b": null}));
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(written("json", none), "[]\n");
    assert_eq!(
        written("vertical", people),
        concat!(
            "-[ 1 ]-\nid   | 3\n姓名 | 𠮷伟\na|b  |\n-[ 2 ]-\nid   | 4\n姓名 | 王伟\na|b  | NULL\n",
            "-[ 3 ]-\nid   | 5\n姓名 | 李伟\na|b  | 上海\n(3 rows)\n\n"
        )
    );
    assert_eq!(written("tsv", people), "id\t姓名\ta|b\n3\t𠮷伟\t\n4\t王伟\t\\N\n5\t李伟\t上海\n");
    assert_eq!(
        written("markdown", people),
        "| id | 姓名 | a\\|b |\n| ---: | --- | --- |\n| 3 | 𠮷伟 |  |\n| 4 | 王伟 | NULL |\n| 5 | 李伟 | 上海 |\n\n"
    );
}

/// Files for programs, by `--output`, by `\o` and through a pipe; of those that stand alone one to a file.
fn files(url: &str) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let sql = "SELECT id, note FROM north.trade.orders ORDER BY id";
    answer(url, &["--format", "parquet", "--output", &at("a.parquet"), "-c", sql], "");
    let file = std::fs::File::open(at("a.parquet")).unwrap();
    let batches =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 200);
    let mut piped = shell(url, &["--format", "arrow", "-c", sql]);
    let bytes = piped.stdin(Stdio::null()).output().unwrap().stdout;
    let batches = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
    assert_eq!(batches.schema().field(1).name(), "note");
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 200);
    let script = format!(
        "\\format csv\n\\o {}\nSELECT 1 AS a;\nSELECT 2 AS b;\n\\o\nSELECT 3 AS c;\n\\o {}\n\\format arrow\nSELECT 4 AS d;\nSELECT 5;",
        at("b.csv"),
        at("c.arrow")
    );
    let (status, out, error) = outcome(shell(url, &[]), &script);
    assert_eq!((status, out.as_str()), (1, "c\n3\n"));
    assert!(
        error.ends_with("c.arrow has an answer already, which must stay alone; \\o names another file\n"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(at("b.csv")).unwrap(), "a\n1\nb\n2\n");
    let nowhere = failure(shell(url, &["--output", "/nowhere/x", "-c", "SELECT 1"]), 2, "");
    assert!(nowhere.starts_with("cannot write /nowhere/x: "), "{nowhere}");
}

/// What tells of a statement, of the sites and of the purpose.
fn about_a_statement(url: &str) {
    let told = |script: &str| answer(url, &["--format", "csv"], script);
    let explained = told("SELECT count(*) FROM south.ledger.payments;\n\\explain\n");
    assert!(explained.contains("RemoteScanExec: site=south"), "{explained}");
    assert!(told("\\explain SELECT max(id) FROM north.trade.orders").contains("RemoteScanExec: site=north"));
    let error = failure(shell(url, &["-c", "\\explain"]), 1, "");
    assert_eq!(error, "no statement has been asked yet; \\explain SQL explains one\n");
    let sites = told("SELECT count(*) FROM south.ledger.payments;\n\\sites\n");
    assert!(sites.lines().any(|line| line.starts_with("south,")), "{sites}");
    assert!(!sites.contains("\nsystem,"), "{sites}");
    let policy = told("\\policy south.ledger.payments\n");
    assert!(policy.contains("south.ledger.payments,amount,clear,"), "{policy}");
    let (status, out, error) =
        outcome(shell(url, &["-c", "\\x", "-c", "SELECT 1 AS a", "-c", "\\x", "-c", "SELECT 1 AS a"]), "");
    assert_eq!(
        (status, out.as_str(), error.as_str()),
        (0, "-[ 1 ]-\na | 1\n(1 row)\n\n a\n---\n 1\n(1 row)\n\n", "Format is vertical.\nFormat is table.\n")
    );
}

fn inputs(url: &str) {
    let script = "SELECT ';' AS a; -- one;\n\\format csv\nSELECT count(*) AS n FROM\n  north.trade.orders;\n";
    let expect = " a\n---\n ;\n(1 row)\n\nn\n200\n";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    for (arguments, input) in [
        (vec!["-c", script], ""),
        (vec!["-c", "SELECT ';' AS a", "-c", "\\format csv", "-c", "SELECT count(*) AS n FROM north.trade.orders"], ""),
        (vec!["-f", file.to_str().unwrap()], ""),
        (vec!["-f", "-"], script),
        (vec![], script),
    ] {
        let (status, out, error) = outcome(shell(url, &arguments), input);
        assert_eq!((status, out.as_str(), error.as_str()), (0, expect, "Format is csv.\n"), "{arguments:?}");
    }
    let (status, _, error) = outcome(shell(url, &["--timing", "on", "-c", "SELECT 1"]), "");
    assert!(status == 0 && error.starts_with("Time: ") && error.ends_with(" ms\n"), "{error}");
}

fn listings(url: &str) {
    let listed = |command| answer(url, &["--format", "csv", "-c", command], "");
    let catalogs = listed("\\l");
    for site in ["north", "south", "east", "system"] {
        assert!(catalogs.lines().any(|line| line == site), "{catalogs}");
    }
    assert!(listed("\\dn").contains("\nsouth,ledger\n"));
    assert_eq!(
        listed("\\dt south.ledger.pay*"),
        "catalog_name,db_schema_name,table_name,table_type\nsouth,ledger,payments,BASE TABLE\n"
    );
    assert_eq!(
        listed("\\d east.store.\"Case\""),
        "table,column,type,nullable,comment\n\
         east.store.Case,id,BIGINT,no,\neast.store.Case,ID,BIGINT,no,\neast.store.Case,Id,BIGINT,no,\n"
    );
    let error = failure(shell(url, &["-c", "\\d nowhere"]), 1, "");
    assert_eq!(error, "no table nowhere that you may see; \\dt lists them\n");
}

fn ledger(url: &str) {
    let told =
        answer(url, &["--format", "json", "-f", "-"], "SELECT max(id) AS m FROM south.ledger.payments;\n\\ledger");
    let (_, ledger) = told.split_once("]\n").unwrap();
    let rows: serde_json::Value = serde_json::from_str(ledger).unwrap();
    assert_eq!((rows[0]["site"].as_str(), rows[0]["rows"].as_u64()), (Some("south"), Some(1)), "{told}");
    assert_eq!(rows.as_array().unwrap().len(), 1, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_a_status_and_a_sentence() {
    // One of its queries is to run until it is cancelled.
    let limits = "join_pairs_max = 1000000000000000000\n".to_string();
    let options = Options { site_limits: limits.clone(), coordinator_limits: limits, ..Options::default() };
    let (cluster, _data) = federation(options).await;
    let url = cluster.address();
    let error =
        failure(shell(url, &["--format", "csv", "-c", "SELECT 1 AS a; SELECT nope; SELECT 2 AS b"]), 1, "a\n1\n");
    let (sentence, query) = error.split_once('\n').unwrap();
    assert!(sentence.starts_with("NOT_FOUND: "), "{error}");
    assert!(query.starts_with("query ") && query.trim().len() > 20, "{error}");
    assert_eq!(
        failure(shell(url, &["-c", "SELECT 1; SELECT 'a"]), 1, ""),
        "SYNTAX: Unterminated string literal at line 1, column 18\n"
    );
    assert_eq!(failure(shell(url, &["-c", "\\nope"]), 1, ""), "unknown command \\nope; \\? lists them\n");
    sign_in(url);
    profiles(url);
    assert_eq!(
        failure(shell("127.0.0.1:1", &["-c", "SELECT 1"]), 2, ""),
        "cannot reach 127.0.0.1:1: connection refused; is `chancery demo` running?\n"
    );
    assert!(failure(shell(url, &["-f", "/nowhere/x.sql"]), 2, "").starts_with("cannot read /nowhere/x.sql: "));
    assert!(failure(shell("http://x", &["-c", "SELECT 1"]), 2, "").contains("unknown scheme http://"));
    assert!(failure(shell(url, &["-c", "SELECT 1", "--format", "xml"]), 2, "").contains("'xml'"));
    closed_pipe(url);
    interruption(url);
}

fn sign_in(url: &str) {
    let mut wrong = shell(url, &["-c", "SELECT 1"]);
    wrong.env("CHANCERY_PASSWORD", "wrong");
    let error = failure(wrong, 2, "");
    assert!(error.starts_with("UNAUTHENTICATED: ") && error.ends_with(" (signing in as analyst)\n"), "{error}");
    let mut none = shell(url, &["-c", "SELECT 1"]);
    none.env_remove("CHANCERY_PASSWORD");
    assert!(failure(none, 2, "").starts_with("no password: "));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{USER}\n")).unwrap();
    let mut from_file =
        shell(url, &["--format", "csv", "--password-file", file.to_str().unwrap(), "-c", "SELECT 1 AS a"]);
    from_file.env_remove("CHANCERY_PASSWORD");
    assert_eq!(outcome(from_file, ""), (0, "a\n1\n".to_owned(), String::new()));
}

/// What a profile says counts where the command line and the environment say nothing, and it holds no password.
fn profiles(url: &str) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("chancery")).unwrap();
    let of = |name: &str, more: &str| format!("[profile.{name}]\nurl = \"{url}\"\nuser = \"{USER}\"\n{more}\n");
    let printed = format!("password_command = \"echo {USER}\"\nformat = \"csv\"");
    let text = of("lab", &printed) + &of("env", "password_env = \"LAB_PASSWORD\"") + &of("bad", "password = \"x\"");
    std::fs::write(home.path().join("chancery/profiles.toml"), text).unwrap();
    let asking = |arguments: &[&str]| {
        let mut command = shell(url, &[arguments, &["-c", "SELECT 1 AS a"]].concat());
        for name in ["CHANCERY_URL", "CHANCERY_USER", "CHANCERY_PASSWORD"] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", home.path());
        command
    };
    assert_eq!(outcome(asking(&["--profile", "lab"]), ""), (0, "a\n1\n".to_owned(), String::new()));
    let json = outcome(asking(&["--profile", "lab", "--format", "json"]), "");
    assert_eq!(json, (0, "[{\"a\":1}]\n".to_owned(), String::new()));
    let mut from_environment = asking(&["--profile", "env", "--format", "csv"]);
    from_environment.env("LAB_PASSWORD", USER);
    assert_eq!(outcome(from_environment, "").1, "a\n1\n");
    assert!(failure(asking(&["--profile", "env"]), 2, "").contains("LAB_PASSWORD is not set"));
    assert!(
        failure(asking(&["--profile", "bad"]), 2, "").contains("[profile.bad] holds a password; use password_file")
    );
    assert!(
        failure(asking(&["--profile", "labs"]), 2, "").contains("there is no [profile.labs]; there are: bad, env, lab")
    );
    assert!(failure(asking(&[]), 2, "").starts_with("no user: "));
}

/// `| head`: whoever stops reading has what was wanted.
fn closed_pipe(url: &str) {
    for format in ["table", "vertical", "csv", "tsv", "json", "markdown"] {
        let mut child = shell(url, &["--format", format, "-c", MANY_ROWS]).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let output = ended(child);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{format}");
    }
}

/// Ctrl-C ends the shell at once, and its query at the coordinator too.
fn interruption(url: &str) {
    let running = || answer(url, &["--format", "csv", "-c", "SELECT statement FROM system.queries.running"], "");
    let child = shell(url, &["-c", ENDLESS]).spawn().unwrap();
    await_that("the query runs", || running().contains("north.trade.orders e"));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = ended(child);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(130), "cancelled\n"));
    await_that("the query is gone", || !running().contains("north.trade.orders e"));
}

fn await_that(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_to_servers_that_the_authority_vouches_for() {
    let options = Options { users_over_tls: true, ..Options::default() };
    let (cluster, _data) = federation(options).await;
    let port = cluster.address().rsplit_once(':').unwrap().1;
    let url = format!("grpc+tls://localhost:{port}");
    let with = |authority: &Path| {
        shell(&url, &["--format", "csv", "-c", "SELECT 1 AS a", "--tls-ca", authority.to_str().unwrap()])
    };
    assert_eq!(outcome(with(&cluster.authority()), ""), (0, "a\n1\n".to_owned(), String::new()));
    let stranger = tempfile::tempdir().unwrap();
    engine::identity::certs::init(stranger.path(), &["coordinator".parse().unwrap()]).unwrap();
    let error = failure(with(&stranger.path().join("authority.crt")), 2, "");
    assert!(error.starts_with("cannot reach localhost:") && error.contains("certificate"), "{error}");
    assert!(failure(shell(&url, &["-c", "SELECT 1"]), 2, "").contains("--tls-ca"));
    failure(shell(cluster.address(), &["-c", "SELECT 1"]), 2, "");
}
