//! A MariaDB server of a test's own: a fresh data directory on loopback with TLS, whose log tells every statement; stopped
//! when dropped. The programs are those below `CHANCERY_MARIADB_BASE`, or of Debian's package.

mod load;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::identity::certs;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tempfile::TempDir;

/// Names the directory above the programs' `bin` and `sbin`.
const BASE: &str = "CHANCERY_MARIADB_BASE";
const DEBIAN: &str = "/usr";
const START_LIMIT: Duration = Duration::from_secs(60);

/// The account with all rights, and its password.
const ADMIN: &str = "admin";
/// The account that a source signs in with, and its password: it may read what it is granted.
pub const READER: &str = "reader";
/// The database that sources read.
pub const DATABASE: &str = "registry";

/// What every server runs with: no promise about power cuts, and text that compares by a language.
const OPTIONS: [&str; 9] = [
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=64M",
    "--max-connections=60",
    "--skip-name-resolve",
    "--general-log=1",
];

/// What the administrator's session takes for names, text and the time of day.
const SESSION: &str = "SET NAMES utf8mb4, time_zone = '+00:00', \
                       sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES')";

/// A running server; dropped, it is stopped and its files are removed.
#[derive(Debug)]
pub struct MariaDb {
    directory: TempDir,
    port: u16,
    options: Vec<String>,
    process: Child,
}

/// A connection with all rights.
#[derive(Debug)]
pub struct Admin {
    conn: tokio::sync::Mutex<Conn>,
}

impl MariaDb {
    /// Makes a data directory and starts a server over it.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with a binary log of all writes, by which sessions can tell that they see the same moment.
    pub async fn start_with_log() -> Self {
        Self::start_with(&["--log-bin=log", "--server-id=1", "--log-slave-updates"]).await
    }

    /// The same, with more options.
    pub async fn start_with(options: &[&str]) -> Self {
        let directory = TempDir::with_prefix("chancery-mariadb-").expect("a temporary directory");
        initialize(directory.path());
        // Only now: whoever connects meanwhile may be given the same one.
        let port = free_port();
        let options: Vec<String> = options.iter().map(|option| (*option).to_string()).collect();
        let accounts = format!("--init-file={}", directory.path().join("accounts.sql").display());
        let process = spawn(directory.path(), port, options.iter().map(String::as_str).chain([accounts.as_str()]));
        let server = Self { directory, port, options, process };
        server.wait_until_up().await;
        server
    }

    /// A connection with all rights to the database that sources read.
    pub async fn admin(&self) -> Admin {
        self.connect().await.expect("the server is up")
    }

    /// The options of a source over the database, without TLS.
    pub fn options(&self) -> toml::Table {
        let mut options = self.options_over_tls();
        options.remove("tls_ca");
        options.insert("tls".into(), "disable".into());
        options
    }

    /// The options of a source over the database.
    pub fn options_over_tls(&self) -> toml::Table {
        let text = format!(
            "host = '127.0.0.1'\nport = {}\ndatabase = '{DATABASE}'\nuser = '{READER}'\npassword_file = '{}'\n\
             tls_ca = '{}'",
            self.port,
            self.path("reader.password").display(),
            self.path("certs/authority.crt").display(),
        );
        text.parse().expect("options")
    }

    /// What the server was asked so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("general.log")).unwrap_or_default()).into_owned()
    }

    /// Stops the server at once, as a power cut would.
    pub fn stop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts a stopped server again, where it was.
    pub async fn restart(&mut self) {
        self.process = spawn(self.directory.path(), self.port, self.options.iter().map(String::as_str));
        self.wait_until_up().await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn wait_until_up(&self) {
        let began = Instant::now();
        while let Err(error) = self.connect().await {
            let told = || fs::read_to_string(self.path("error.log")).unwrap_or_default();
            assert!(began.elapsed() < START_LIMIT, "the server does not start: {error}: {}", told());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn connect(&self) -> Result<Admin, mysql_async::Error> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(ADMIN))
            .pass(Some(ADMIN))
            .db_name(Some(DATABASE))
            .prefer_socket(false)
            .init(vec![SESSION]);
        Ok(Admin { conn: Conn::new(options).await?.into() })
    }
}

impl Admin {
    /// Runs statements, `;` between them.
    pub async fn run(&self, sql: &str) {
        let mut conn = self.conn.lock().await;
        conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{}: {error}", shortened(sql)));
    }

    /// The only value of an answer, as text.
    pub async fn value(&self, sql: &str) -> String {
        let mut conn = self.conn.lock().await;
        let row: Result<Option<Row>, _> = conn.query_first(format!("SELECT CAST(({sql}) AS CHAR)")).await;
        let row = row.unwrap_or_else(|error| panic!("{sql}: {error}")).expect("a row");
        row.get::<Option<String>, _>(0).expect("a value").unwrap_or_else(|| "NULL".to_string())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.stop();
    }
}

fn shortened(sql: &str) -> String {
    sql.chars().take(500).collect()
}

fn initialize(directory: &Path) {
    // The host is told by its address.
    certs::init(&directory.join("certs"), &["database".parse().expect("a name")]).expect("certificates");
    let accounts = [
        format!("CREATE USER {ADMIN} IDENTIFIED BY '{ADMIN}';"),
        format!("GRANT ALL PRIVILEGES ON *.* TO {ADMIN} WITH GRANT OPTION;"),
        format!("CREATE DATABASE {DATABASE};"),
        format!("CREATE USER {READER} IDENTIFIED BY '{READER}';"),
        format!("GRANT SELECT ON {DATABASE}.* TO {READER};"),
    ];
    fs::create_dir(directory.join("tmp")).expect("a writable directory");
    fs::write(directory.join("accounts.sql"), accounts.join("\n")).expect("a writable directory");
    fs::write(directory.join("reader.password"), READER).expect("a writable directory");
    let made = Command::new(base().join("bin/mariadb-install-db"))
        .arg("--no-defaults")
        .arg(format!("--datadir={}", directory.join("data").display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(["--innodb-flush-method=nosync".to_string(), own_tmpdir(directory)])
        .args(as_who())
        .output()
        .expect("mariadb-install-db runs");
    let told = || String::from_utf8_lossy(&[made.stdout.clone(), made.stderr.clone()].concat()).into_owned();
    assert!(made.status.success(), "mariadb-install-db: {}", told());
}

fn spawn<'a>(directory: &Path, port: u16, options: impl Iterator<Item = &'a str>) -> Child {
    let at = |name: &str| directory.join(name).display().to_string();
    let log =
        fs::File::options().create(true).append(true).open(directory.join("error.log")).expect("the server's log");
    Command::new(program())
        .arg("--no-defaults")
        .args(as_who())
        .args(OPTIONS)
        .args([format!("--port={port}"), format!("--datadir={}", at("data")), format!("--socket={}", at("socket"))])
        .arg(own_tmpdir(directory))
        .args([format!("--pid-file={}", at("pid")), format!("--general-log-file={}", at("general.log"))])
        .args([format!("--ssl-cert={}", at("certs/database.crt")), format!("--ssl-key={}", at("certs/database.key"))])
        .args(options)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("mariadbd runs")
}

/// A server that starts removes the temporary tables that it finds where its own would be.
fn own_tmpdir(directory: &Path) -> String {
    format!("--tmpdir={}", directory.join("tmp").display())
}

/// As root the server runs only where it is told so.
fn as_who() -> Option<&'static str> {
    let told = Command::new("id").arg("-u").output().expect("id runs");
    (String::from_utf8_lossy(&told.stdout).trim() == "0").then_some("--user=root")
}

fn program() -> PathBuf {
    let places = ["sbin/mariadbd", "bin/mariadbd"].map(|place| base().join(place));
    let found = places.into_iter().find(|place| place.is_file());
    found.unwrap_or_else(|| panic!("no MariaDB: install `mariadb-server`, or name its directory in {BASE}"))
}

fn base() -> PathBuf {
    std::env::var_os(BASE).map_or_else(|| PathBuf::from(DEBIAN), PathBuf::from)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
