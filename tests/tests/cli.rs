//! The binary as an operator meets it: certificates, users, configuration files, and the refusal to start with faults.

mod policies;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::cluster::binary::chancery;

/// A node that refuses its configuration does so at once; one that does not must not hang the tests.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs in a directory to its end, with a text on standard input.
fn run(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(chancery())
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("chancery starts");
    // A command that reads nothing closes its input first; its answer is what counts.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > REFUSAL_TIMEOUT {
            child.kill().expect("a child");
            panic!("chancery {arguments:?} neither ended nor refused");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("a child")
}

/// Standard output of a run that must succeed.
fn succeed(directory: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(directory, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Standard output and error of a run that must end with this status.
fn fail(directory: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let output = run(directory, arguments, "secret-password\n");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {out}{error}");
    (out.into_owned(), error.into_owned())
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).expect("a file");
}

/// A directory with a good federation: one site under policy, one coordinator, certificates, users and data.
fn federation() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    succeed(
        path,
        &["certs", "init", "--dir", "certs", "--node", "coordinator", "--node", "bts:bts.example,10.0.0.7"],
        "",
    );
    let purpose = ["--purpose", "care", "--default-purpose", "care"];
    let user = ["user", "add", "--file", "users.toml", "--role", "reader", "ana"];
    succeed(path, &[user.as_slice(), &purpose].concat(), "one\n");
    std::fs::create_dir(path.join("data")).expect("a directory");
    write(path, "data/airlines.csv", "code,name\nAA,American\n");
    std::fs::create_dir(path.join("policy")).expect("a directory");
    let granted = "CREATE PURPOSE care; GRANT SELECT ON SCHEMA ontime TO ROLE reader FOR PURPOSE care;\n";
    write(path, "policy/all.sql", granted);
    let tls = |node: &str| {
        format!(
            "[tls]\ncertificate = 'certs/{node}.crt'\nkey = 'certs/{node}.key'\nauthority = 'certs/authority.crt'\n"
        )
    };
    let believed = "[[issuer]]\nname = 'coordinator'\ntrust = 'coordinator'\nroles = ['reader']\n";
    let source = "[policy]\ndirectory = 'policy'\n[[source]]\nname = 'ontime'\nkind = 'files'\nroot = 'data'\n";
    let site = "[[site]]\nname = 'bts'\naddress = 'https://127.0.0.1:0'\n";
    let head = "name = 'bts'\nlisten = '127.0.0.1:0'\npeers = ['coordinator']\n";
    write(path, "bts.toml", &format!("{head}{}{source}{believed}", tls("bts")));
    let users = "[users]\nfile = 'users.toml'\n";
    write(path, "coordinator.toml", &format!("listen = '127.0.0.1:0'\n{}{users}{site}", tls("coordinator")));
    write(path, "serve.toml", "coordinator = 'coordinator.toml'\nsites = ['bts.toml']\n");
    directory
}

#[test]
fn certificates_are_made_once_and_nodes_are_added() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let first = succeed(path, &["certs", "init", "--dir", "c", "--node", "bts"], "");
    assert!(first.contains("made c/authority.crt") && first.contains("made c/bts.crt and c/bts.key"), "{first}");
    let key = std::fs::read(path.join("c/authority.key")).expect("a key");
    let second = succeed(path, &["certs", "init", "--dir", "c", "--node", "bts", "--node", "faa"], "");
    assert!(second.contains("kept c/authority.crt") && second.contains("kept c/bts.crt"), "{second}");
    assert!(second.contains("made c/faa.crt"), "{second}");
    assert_eq!(std::fs::read(path.join("c/authority.key")).expect("a key"), key);
}

#[test]
fn users_are_added_changed_and_listed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    succeed(path, &["user", "add", "--file", "u.toml", "ana", "--role", "reader", "--role", "auditor"], "one\n");
    write(path, "password", "two\n");
    succeed(path, &["user", "add", "--file", "u.toml", "李雷", "--password-file", "password"], "");
    let before = std::fs::read_to_string(path.join("u.toml")).expect("a file");
    succeed(path, &["user", "passwd", "--file", "u.toml", "ana"], "three\n");
    assert_ne!(std::fs::read_to_string(path.join("u.toml")).expect("a file"), before);
    let list = succeed(path, &["user", "list", "--file", "u.toml"], "");
    assert_eq!(list, "ana (enabled; roles: auditor, reader)\n李雷 (enabled)\n");
    assert!(!before.contains("one") && before.contains("$argon2id$"), "{before}");
}

#[test]
fn a_user_has_a_certificate_beside_a_password_or_in_its_place() {
    fn user<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["user", arguments[0], "--file", "u.toml"][..], &arguments[1..]].concat()
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    // Nothing is asked for: there is no line to read.
    succeed(path, &user(&["add", "ana", "--certificate", "Ana.Health.Example"]), "");
    write(path, "password", "two\n");
    succeed(path, &user(&["add", "bob", "--certificate", "bob.example", "--password-file", "password"]), "");
    let list = "ana (enabled; certificate: ana.health.example; no password)\nbob (enabled; certificate: bob.example)\n";
    assert_eq!(succeed(path, &user(&["list"]), ""), list);
    let cases: [(&[&str], &str); 3] = [
        (&["set", "bob", "--certificate", "ana.health.example"], "have the same `certificate`"),
        (&["set", "bob", "--certificate", "*.example"], "is no DNS name of a certificate"),
        (&["set", "ana", "--clear", "certificate"], "has neither a `password_hash` nor a `certificate`"),
    ];
    for (arguments, expected) in cases {
        let (_, error) = fail(path, &user(arguments), 1);
        assert!(error.contains("CONFIG") && error.contains(expected), "{arguments:?}: {error}");
    }
    succeed(path, &user(&["passwd", "ana"]), "one\n");
    succeed(path, &user(&["set", "ana", "--clear", "certificate"]), "");
    succeed(path, &user(&["set", "bob", "--clear", "password", "--certificate", "ana.health.example"]), "");
    let list = "ana (enabled)\nbob (enabled; certificate: ana.health.example; no password)\n";
    assert_eq!(succeed(path, &user(&["list"]), ""), list);
}

#[test]
fn a_refused_user_is_told_why_and_no_password_is_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    succeed(path, &["user", "add", "--file", "u.toml", "ana"], "one\n");
    let cases: [(&[&str], &str); 4] = [
        (&["user", "add", "--file", "u.toml", "ana"], "there is a user `ana` already"),
        (&["user", "add", "--file", "u.toml", "a:b"], "no colon"),
        (&["user", "passwd", "--file", "u.toml", "bob"], "there is no user `bob`"),
        (&["user", "list", "--file", "none.toml"], "none.toml: cannot be read"),
    ];
    for (arguments, expected) in cases {
        let (out, error) = fail(path, arguments, 1);
        assert!(error.contains("CONFIG") && error.contains(expected), "{arguments:?}: {error}");
        assert!(!format!("{out}{error}").contains("secret-password"), "{out}{error}");
    }
    fail(path, &["user", "add", "--file", "u.toml", "bob", "--password", "secret-password"], 2);
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let directory = federation();
    let out = succeed(directory.path(), &["check-config", "bts.toml", "coordinator.toml", "serve.toml"], "");
    assert_eq!(
        out,
        "bts.toml: ok (a site)\ncoordinator.toml: ok (a coordinator)\nserve.toml: ok (a coordinator and its sites)\n"
    );
}

#[test]
fn every_fault_is_named_with_file_and_key() {
    let directory = federation();
    let path = directory.path();
    write(
        path,
        "bad.toml",
        "name = 'Bts'\nlisten = '0.0.0.0:5'\npasword = 'x'\n[limits]\nbatch_rows = 0\nidle_timeout = 5\n\
         [[source]]\nname = 'ontime'\nkind = 'fils'\n[[source]]\nname = 'system'\nkind = 'files'\nroot = 'nowhere'\n",
    );
    write(path, "torn.toml", "name = 'bts'\nlisten = \n");
    let (out, _) = fail(path, &["check-config", "bts.toml", "bad.toml", "torn.toml", "gone.toml"], 1);
    for expected in [
        "bts.toml: ok (a site)\n",
        "bad.toml: `name`: SQL folds names to lower case: write `bts`",
        "bad.toml: `listen`: 0.0.0.0:5 is open to the network",
        "bad.toml: `pasword`: is not a key of this table",
        "bad.toml: `limits.batch_rows`: 0 is outside",
        "bad.toml: `limits.idle_timeout`: is not a key of this table",
        "bad.toml: `source[0].kind`: `fils` is not a kind of source",
        "bad.toml: `source[1].name`: `system` is reserved",
        "bad.toml: `source[1].root`: ",
        "torn.toml: line 2, column ",
        "gone.toml: cannot be read",
    ] {
        assert!(out.contains(expected), "`{expected}` is not among\n{out}");
    }
}

#[test]
fn no_node_starts_with_a_fault_and_every_fault_is_told() {
    let directory = federation();
    let path = directory.path();
    let site = std::fs::read_to_string(path.join("bts.toml")).expect("a file");
    write(path, "bad.toml", &site.replace("certs/bts.key", "certs/coordinator.key").replace("'files'", "'fils'"));
    let (_, error) = fail(path, &["site", "--config", "bad.toml"], 1);
    assert!(error.contains("bad.toml: `tls.key`: is not the key of `certificate`"), "{error}");
    assert!(error.contains("bad.toml: `source[0].kind`"), "{error}");
    write(path, "bad.toml", "listen = '0.0.0.0:0'\n[users]\nfile = 'none.toml'\n");
    let (_, error) = fail(path, &["coordinator", "--config", "bad.toml"], 1);
    assert!(error.contains("`listen`") && error.contains("`users.file`") && error.contains("`site`"), "{error}");
    write(path, "serve.toml", "coordinator = 'bad.toml'\nsites = ['gone.toml']\n");
    let (_, error) = fail(path, &["serve", "--config", "serve.toml"], 1);
    assert!(error.contains("bad.toml: `listen`") && error.contains("gone.toml: cannot be read"), "{error}");
}

/// A federation that serves for as long as this lives.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `chancery serve` and waits until its door is open; the answer is the coordinator's address.
fn serve(directory: &Path) -> (Served, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|door| door.local_addr()).expect("a free port");
    let coordinator = std::fs::read_to_string(directory.join("coordinator.toml")).expect("a file");
    write(directory, "coordinator.toml", &coordinator.replace("listen = '127.0.0.1:0'", &format!("listen = '{free}'")));
    let child = Command::new(chancery())
        .args(["serve", "--config", "serve.toml"])
        .current_dir(directory)
        .spawn()
        .expect("a child");
    let served = Served(child);
    let start = Instant::now();
    while std::net::TcpStream::connect(free).is_err() {
        assert!(start.elapsed() < REFUSAL_TIMEOUT, "the coordinator opens no door");
        std::thread::sleep(Duration::from_millis(10));
    }
    (served, format!("grpc+tls://localhost:{}", free.port()))
}

#[test]
fn a_user_asks_over_tls_and_a_new_password_counts_at_once() {
    let directory = federation();
    let path = directory.path();
    write(path, "one", "one\n");
    write(path, "two", "two\n");
    let (_served, url) = serve(path);
    let asking = |password| {
        let identity = ["sql", "--user", "ana", "--password-file", password, "--tls-ca", "certs/authority.crt"];
        let question = ["--format", "csv", "--command", "SELECT name FROM bts.ontime.airlines", url.as_str()];
        run(path, &[identity.as_slice(), &question].concat(), "")
    };
    let answer = asking("one");
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "name\nAmerican\n", "{answer:?}");
    let refused = asking("two");
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("UNAUTHENTICATED"), "{refused:?}");
    succeed(path, &["user", "passwd", "--file", "users.toml", "ana"], "two\n");
    assert!(asking("two").status.success());
    assert!(!asking("one").status.success());
}
