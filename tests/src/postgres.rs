//! A PostgreSQL server of a test's own: a fresh cluster on loopback with TLS, whose log tells every statement; stopped when
//! dropped. The programs are those of `CHANCERY_POSTGRES_BIN`, or of the newest Debian package.
//!
//! ```text
//! load   Arrow rows, or all of a data set, as tables
//! asked  what a source has asked, by the log
//! ```

mod asked;
mod load;

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datafusion::common::runtime::SpawnedTask;
use engine::identity::certs;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use crate::namespace::{BESIDE, Namespace};

pub use load::{copied, server_name, sql_type, values};

/// Names the directory of `initdb` and `postgres`.
const BINARIES: &str = "CHANCERY_POSTGRES_BIN";
/// Where Debian keeps a directory for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The server refuses to run as root; then it runs as this account, which Debian's package makes.
const ACCOUNT: &str = "postgres";
const START_LIMIT: Duration = Duration::from_secs(60);

/// The database that sources read.
const DATABASE: &str = "postgres";
/// The account with all rights, and its password.
const SUPERUSER: &str = "postgres";
/// The account that a source signs in with, and its password: it may read what it is granted.
pub const READER: &str = "reader";

/// How many sessions of sources the server is working for.
pub const AT_WORK: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chancery' AND state <> 'idle'";

/// A running server; dropped, it is stopped and its files are removed.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    port: u16,
    namespace: Option<Namespace>,
    process: Child,
}

/// A connection with all rights.
#[derive(Debug)]
pub struct Admin {
    client: Client,
    _connection: SpawnedTask<()>,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, with more lines for `postgresql.conf`.
    pub async fn start_with(lines: &str) -> Self {
        Self::start_in(None, lines).await
    }

    /// The same in a network namespace.
    pub async fn start_in(namespace: Option<&Namespace>, lines: &str) -> Self {
        let directory = TempDir::with_prefix("chancery-postgres-").expect("a temporary directory");
        initialize(directory.path());
        // Only now: whoever connects meanwhile may be given the same one.
        let port = free_port();
        let listen = Namespace::address_of(namespace);
        configure(directory.path(), port, &format!("listen_addresses = '{listen}'\n{lines}"));
        let namespace = namespace.cloned();
        let process = spawn(directory.path(), namespace.as_ref());
        let server = Self { directory, port, namespace, process };
        server.wait_until_up().await;
        let reader = format!("CREATE ROLE {READER} LOGIN PASSWORD '{READER}'; GRANT pg_read_all_data TO {READER}");
        server.admin().await.run(&reader).await;
        server
    }

    /// A connection with all rights to the database that sources read.
    pub async fn admin(&self) -> Admin {
        self.admin_of(DATABASE).await
    }

    /// A connection with all rights to another database.
    pub async fn admin_of(&self, database: &str) -> Admin {
        self.connect(database).await.expect("the server is up")
    }

    /// The options of a source over `schema`, without TLS.
    pub fn options(&self, schema: &str) -> toml::Table {
        let mut options = self.options_over_tls(schema);
        options.remove("tls_ca");
        options.insert("tls".into(), "disable".into());
        options
    }

    /// The options of a source over `schema`.
    pub fn options_over_tls(&self, schema: &str) -> toml::Table {
        let text = format!(
            "host = '{}'\nport = {}\ndatabase = '{DATABASE}'\nschema = '{schema}'\nuser = '{READER}'\n\
             password_file = '{}'\ntls_ca = '{}'",
            self.host(),
            self.port,
            self.path("reader.password").display(),
            self.authority().display(),
        );
        text.parse().expect("options")
    }

    /// Its first process, the parent of all others.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host that its clients name.
    pub fn host(&self) -> String {
        // Its certificate is of this name.
        let address = Namespace::address_of(self.namespace.as_ref());
        if address == BESIDE { "localhost".to_string() } else { address.to_string() }
    }

    /// Who signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.path("certs/authority.crt")
    }

    /// What the server has logged so far, every statement among it.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// Stops the server at once, as a power cut would.
    pub fn stop(&mut self) {
        // QUIT is the immediate shutdown; it may be gone already, which is what is wanted.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).stderr(Stdio::null()).status();
        let _ = self.process.wait();
    }

    /// Starts a stopped server again, where it was.
    pub async fn restart(&mut self) {
        self.process = spawn(self.directory.path(), self.namespace.as_ref());
        self.wait_until_up().await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn wait_until_up(&self) {
        let began = Instant::now();
        while self.connect(DATABASE).await.is_err() {
            assert!(began.elapsed() < START_LIMIT, "the server does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn connect(&self, database: &str) -> Result<Admin, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host(Namespace::address_of(self.namespace.as_ref()).to_string())
            .port(self.port)
            .user(SUPERUSER)
            .password(SUPERUSER)
            .dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        let connection = SpawnedTask::spawn(async move {
            // How it ends, whoever uses it learns from its statement.
            let _ = connection.await;
        });
        Ok(Admin { client, _connection: connection })
    }
}

impl Admin {
    /// Runs statements, `;` between them.
    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The only value of an answer, as text.
    pub async fn value(&self, sql: &str) -> String {
        let row = self.client.query_one(&format!("SELECT ({sql})::text"), &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// The driver's own handle.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn initialize(directory: &Path) {
    certs::init(&directory.join("certs"), &["database".parse().expect("a name")]).expect("certificates");
    for (name, text) in [("super.password", SUPERUSER), ("reader.password", READER), ("server.log", "")] {
        fs::write(directory.join(name), text).expect("a writable directory");
    }
    give_away(directory);
    let arguments = ["-A", "scram-sha-256", "-U", SUPERUSER, "-E", "UTF8", "--no-sync"];
    // Text sorts by a language, as it does in most databases, and not byte by byte.
    let locale = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"];
    let password = format!("--pwfile={}", directory.join("super.password").display());
    let mut initdb = program("initdb", None);
    initdb.arg("-D").arg(directory.join("data")).args(arguments).args(locale).arg(password);
    let made = initdb.current_dir(directory).output().expect("initdb runs");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
}

fn configure(directory: &Path, port: u16, lines: &str) {
    let text = format!(
        "port = {port}\nunix_socket_directories = ''\nfsync = off\n\
         log_statement = all\nlog_line_prefix = '%p %u %a '\nautovacuum = off\nmax_connections = 60\n\
         ssl = on\nssl_cert_file = '{0}/certs/database.crt'\nssl_key_file = '{0}/certs/database.key'\n{lines}\n",
        directory.display()
    );
    let path = directory.join("data/postgresql.conf");
    let defaults = fs::read_to_string(&path).expect("initdb has written it");
    fs::write(&path, format!("{defaults}\n{text}")).expect("a writable directory");
    // Those beyond a link are let in by their passwords too.
    let mut doors =
        File::options().append(true).open(directory.join("data/pg_hba.conf")).expect("initdb has written it");
    writeln!(doors, "host all all samenet scram-sha-256").expect("a writable directory");
}

fn spawn(directory: &Path, namespace: Option<&Namespace>) -> Child {
    let log = || File::options().append(true).open(directory.join("server.log")).expect("the server's log");
    let mut server = program("postgres", namespace);
    server.arg("-D").arg(directory.join("data")).current_dir(directory);
    server.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().expect("postgres runs")
}

/// One of PostgreSQL's programs, as an account that it accepts.
fn program(name: &str, namespace: Option<&Namespace>) -> Command {
    let path = binaries().join(name);
    if !is_root() {
        return Namespace::command_in(namespace, path);
    }
    let mut command = Namespace::command_in(namespace, "setpriv");
    command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]).arg(path);
    command
}

fn binaries() -> PathBuf {
    if let Some(given) = std::env::var_os(BINARIES) {
        return given.into();
    }
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().filter_map(Result::ok);
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    let newest = found.max_by_key(|bin| version_of(bin));
    newest.unwrap_or_else(|| panic!("no PostgreSQL: install `postgresql`, or name its programs in {BINARIES}"))
}

fn version_of(bin: &Path) -> u32 {
    let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    version.and_then(|name| name.parse().ok()).unwrap_or(0)
}

fn is_root() -> bool {
    number_of(&["-u"]) == 0
}

/// Everything in the directory belongs to the account that the server runs as, and so does the directory.
fn give_away(directory: &Path) {
    let (user, group) = if is_root() {
        (number_of(&["-u", ACCOUNT]), number_of(&["-g", ACCOUNT]))
    } else {
        (number_of(&["-u"]), number_of(&["-g"]))
    };
    let certificates = directory.join("certs");
    let files =
        [directory, certificates.as_path()].into_iter().flat_map(|path| fs::read_dir(path).expect("a directory"));
    let files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
    for path in files.iter().map(PathBuf::as_path).chain([directory]) {
        chown(path, Some(user), Some(group)).expect("a file of ours");
    }
    fs::set_permissions(certificates.join("database.key"), Permissions::from_mode(0o600)).expect("a file of ours");
}

fn number_of(arguments: &[&str]) -> u32 {
    let told = Command::new("id").args(arguments).output().expect("id runs");
    String::from_utf8_lossy(&told.stdout).trim().parse().expect("a number")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
