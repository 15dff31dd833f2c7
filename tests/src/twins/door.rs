//! One world's site in this process, asked over gRPC without a socket; and all that leaves it, byte for byte.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::FlightServiceServer;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCatalogs,
    CommandGetDbSchemas, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, Ticket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::config::Limits;
use engine::flight::access::Access;
use engine::flight::door::{Door as _, Question};
use engine::flight::headers;
use engine::flight::server::FlightServer;
use engine::flight::status::to_status;
use engine::flight::stream::{Egress, Ending, encode};
use engine::flight::wire_types::Reader;
use engine::identity::{Asker, Authenticator, Came, DelegationVerifier, Issuers, PeerTrust, Users};
use engine::session::queries::{Admitted, QueryId};
use engine::session::threads;
use engine::site::Site;
use futures::{Stream, StreamExt};
use prost::Message;
use tempfile::TempDir;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::{Request, Status, Streaming};

use super::policies::{PURPOSES, SECRET, SOURCE, Treatment};
use super::statements::{Asked, SITE, Way};
use super::world::{NULL_TEXT, Pair};

/// The hash of the password `asker`, at the least cost that there is, because every site checks it.
const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$bm8gc2VjcmV0IGhlcmUhIQ$aW0/s5560LRAm7BqvxLWiwLnagUVNtAfVtu2bDgXAJg";

/// Small frames, so that where one ends and the next begins is seen; one partition, because rows of several come in any
/// order; and no empty batch for whoever waits.
const LIMITS: &str = "target_partitions = 1\nfirst_batch_rows = 3\nbatch_rows = 8\nempty_batch_interval_ms = 3600000\n";

/// One world's site.
#[derive(Debug)]
pub struct Door {
    client: FlightServiceClient<FlightServiceServer<FlightServer>>,
    site: Arc<Site>,
    asker: Arc<Asker>,
    limits: Arc<Limits>,
    _directory: TempDir,
}

/// Something that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it is.
    pub what: String,
    /// Its bytes; what differs from call to call is masked.
    pub bytes: Vec<u8>,
}

/// All that left for one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// In the order in which it left.
    pub told: Vec<Told>,
    /// Messages that held rows.
    pub frames: usize,
    /// Whether it ended in an error.
    pub failed: bool,
}

impl Transcript {
    fn tell(&mut self, what: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.told.push(Told { what: what.into(), bytes: bytes.into() });
    }

    fn headers(&mut self, what: &str, headers: &MetadataMap) {
        for entry in headers.iter() {
            let (name, value) = match entry {
                KeyAndValueRef::Ascii(name, value) => (name.as_str(), value.as_encoded_bytes()),
                KeyAndValueRef::Binary(name, value) => (name.as_str(), value.as_encoded_bytes()),
            };
            let value = if name == headers::QUERY_ID { b"a number of its own".as_slice() } else { value };
            self.tell(format!("{what} header {name}"), value);
        }
    }

    fn refusal(&mut self, what: &str, status: &Status) {
        self.failed = true;
        self.tell(format!("{what} code"), format!("{:?}", status.code()));
        self.tell(format!("{what} message"), status.message());
        self.tell(format!("{what} details"), status.details());
        self.headers(what, status.metadata());
    }

    fn frame(&mut self, number: usize, frame: &FlightData) {
        self.frames += usize::from(number > 0 && !frame.data_body.is_empty());
        self.tell(format!("frame {number} header"), frame.data_header.as_ref());
        self.tell(format!("frame {number} body"), frame.data_body.as_ref());
        self.tell(format!("frame {number} metadata"), frame.app_metadata.as_ref());
        self.tell(
            format!("frame {number} descriptor"),
            frame.flight_descriptor.clone().unwrap_or_default().encode_to_vec(),
        );
    }

    /// A FlightInfo but for its ticket, which is sealed anew each time.
    fn info(&mut self, mut info: FlightInfo) -> Option<Ticket> {
        let ticket = info.endpoint.first_mut().and_then(|endpoint| endpoint.ticket.replace(Ticket::default()));
        let length = ticket.as_ref().map_or(0, |ticket| ticket.ticket.len());
        self.tell("length of the ticket", length.to_string());
        self.tell("FlightInfo", info.encode_to_vec());
        ticket
    }

    /// The first difference from another, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let pairs = self.told.iter().zip(&other.told);
        if let Some((one, other)) = pairs.into_iter().find(|(one, other)| one != other) {
            return Some(format!("one world: {}\nthe other: {}", one.shown(other), other.shown(one)));
        }
        let (longer, shorter) = if self.told.len() > other.told.len() { (self, other) } else { (other, self) };
        let more = longer.told.get(shorter.told.len())?;
        Some(format!("only one world tells more: {}", more.shown(&Told { what: String::new(), bytes: vec![] })))
    }
}

impl Told {
    /// What and, from a little before the first byte that differs, the bytes.
    fn shown(&self, other: &Self) -> String {
        let same = self.bytes.iter().zip(&other.bytes).take_while(|(one, other)| one == other).count();
        let from = same.saturating_sub(24);
        let to = self.bytes.len().min(same + 160);
        let text = self.bytes[from..to].escape_ascii();
        format!("{}, {} bytes, the first difference at {same}: …{text}…", self.what, self.bytes.len())
    }
}

impl Door {
    /// Opens the site of one of the two worlds.
    pub async fn open(pair: &Pair, world: usize) -> Self {
        let directory = write(pair, world);
        let config = engine::config::load_site(&directory.path().join("site.toml"));
        let config = config.unwrap_or_else(|faults| panic!("{faults}"));
        let site = Arc::new(Site::open(&config).await.unwrap_or_else(|error| panic!("{error}")));
        let limits = Arc::new(config.node.limits.clone());
        let users = config.node.users.as_deref().map(|file| Users::open(file, &limits).expect("a users file"));
        let issuers = Arc::new(Issuers::open(&[], PeerTrust::Listed, &Limits::default()).expect("no issuers"));
        let delegations = Arc::new(DelegationVerifier::new(SITE, Arc::clone(&issuers), &limits));
        let access = Access::new(
            Authenticator::new(users, config.peers.clone(), issuers, Arc::clone(site.sessions())),
            delegations,
        );
        let door: Arc<dyn engine::flight::door::Door> = Arc::clone(&site) as _;
        let server = FlightServer::new(door, access, Arc::clone(&limits)).expect("a server");
        let asker = Asker {
            purpose: Some(PURPOSES[0].to_string()),
            came: Came::Through("coordinator".to_string()),
            ..Asker::user(pair.subject.clone())
        };
        let client = FlightServiceClient::new(FlightServiceServer::new(server));
        Self { client, site, asker: Arc::new(asker), limits, _directory: directory }
    }

    /// Everything that leaves for a question.
    pub async fn ask(&self, asked: &Asked) -> Transcript {
        let mut transcript = Transcript::default();
        let ended = match asked {
            Asked::Tables => self.metadata(tables(), &mut transcript).await,
            Asked::Schemas => self.schemas(&mut transcript).await,
            Asked::View => self.view(&mut transcript).await,
            Asked::Statement(question, way) => self.statement(&question.sql(), *way, &mut transcript).await,
        };
        if let Err(status) = ended {
            transcript.refusal("refusal", &status);
        }
        transcript
    }

    async fn statement(&self, sql: &str, way: Way, transcript: &mut Transcript) -> Result<(), Status> {
        let command = CommandStatementQuery { query: sql.to_string(), transaction_id: None };
        let command = command.as_any().encode_to_vec();
        match way {
            Way::Directly => self.rows(Ticket::new(command), transcript).await,
            Way::ByTicket => self.by_ticket(command, transcript).await,
            Way::Prepared => {
                let prepared = self.prepare(sql, transcript).await?;
                self.by_ticket(prepared, transcript).await
            }
            Way::Schema => {
                let answer = self.client.clone().get_schema(call(FlightDescriptor::new_cmd(command))).await?;
                transcript.headers("GetSchema", answer.metadata());
                transcript.tell("schema", answer.into_inner().schema.as_ref());
                Ok(())
            }
            Way::ByCoordinator => self.by_coordinator(sql, transcript).await,
        }
    }

    async fn by_ticket(&self, command: Vec<u8>, transcript: &mut Transcript) -> Result<(), Status> {
        let answer = self.client.clone().get_flight_info(call(FlightDescriptor::new_cmd(command))).await?;
        transcript.headers("GetFlightInfo", answer.metadata());
        let mut info = answer.into_inner();
        // The descriptor is what was sent, and a prepared statement's is sealed.
        info.flight_descriptor = None;
        match transcript.info(info) {
            Some(ticket) => self.rows(ticket, transcript).await,
            None => Ok(()),
        }
    }

    async fn prepare(&self, sql: &str, transcript: &mut Transcript) -> Result<Vec<u8>, Status> {
        let request = ActionCreatePreparedStatementRequest { query: sql.to_string(), transaction_id: None };
        let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
        let mut results = self.client.clone().do_action(call(action)).await?;
        transcript.headers("DoAction", results.metadata());
        let result = results.get_mut().message().await?.expect("a prepared statement");
        let made = Any::decode(result.body.as_ref()).expect("a message of Flight SQL");
        let made: ActionCreatePreparedStatementResult =
            made.unpack().expect("a prepared statement").expect("a prepared statement");
        transcript.tell("length of the handle", made.prepared_statement_handle.len().to_string());
        transcript.tell("prepared schema", made.dataset_schema.as_ref());
        transcript.tell("prepared parameters", made.parameter_schema.as_ref());
        let handle = made.prepared_statement_handle;
        Ok(CommandPreparedStatementQuery { prepared_statement_handle: handle }.as_any().encode_to_vec())
    }

    async fn rows(&self, ticket: Ticket, transcript: &mut Transcript) -> Result<(), Status> {
        let answer = self.client.clone().do_get(call(ticket)).await?;
        transcript.headers("DoGet", answer.metadata());
        let mut frames: Streaming<FlightData> = answer.into_inner();
        take(&mut frames, transcript).await?;
        if let Some(trailers) = frames.trailers().await? {
            transcript.headers("trailing", &trailers);
        }
        Ok(())
    }

    /// As the server answers a coordinator whose delegation it has verified, under one id: the trailer says under which.
    async fn by_coordinator(&self, sql: &str, transcript: &mut Transcript) -> Result<(), Status> {
        const ID: &str = "0123456789abcdef0123456789abcdef";
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(600) };
        let refused = |error| to_status(&error, None);
        let running = self
            .site
            .queries()
            .begin(QueryId::parse(ID).expect("an id"), &self.asker, sql, admitted)
            .map_err(refused)?;
        let (site, record, question) = (Arc::clone(&self.site), Arc::clone(running.record()), Question::new(sql));
        let batches = threads::run(async move { site.execute(record, question).await }).await.map_err(refused)?;
        let egress = Egress {
            ending: Ending::Trailer(1),
            reader: Reader::Arrow,
            compression: None,
            limits: Arc::clone(&self.limits),
        };
        let mut frames = encode(batches, running, egress).map_err(refused)?;
        take(&mut frames, transcript).await
    }

    async fn schemas(&self, transcript: &mut Transcript) -> Result<(), Status> {
        self.metadata(CommandGetCatalogs {}.as_any().encode_to_vec(), transcript).await?;
        let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
        self.metadata(schemas.as_any().encode_to_vec(), transcript).await
    }

    async fn metadata(&self, command: Vec<u8>, transcript: &mut Transcript) -> Result<(), Status> {
        let answer = self.client.clone().get_flight_info(call(FlightDescriptor::new_cmd(command.clone()))).await?;
        transcript.headers("GetFlightInfo", answer.metadata());
        transcript.tell("FlightInfo", answer.into_inner().encode_to_vec());
        self.rows(Ticket::new(command), transcript).await
    }

    /// The versions in it are keyed by a number that each site draws.
    async fn view(&self, transcript: &mut Transcript) -> Result<(), Status> {
        let view = self.site.view(&self.asker).await.map_err(|error| to_status(&error, None))?;
        let mut view = serde_json::to_value(view).expect("a view");
        for table in view["tables"].as_array_mut().into_iter().flatten() {
            table["version"] = serde_json::Value::Null;
        }
        transcript.tell("view", view.to_string());
        Ok(())
    }
}

async fn take<S>(frames: &mut S, transcript: &mut Transcript) -> Result<(), Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Unpin,
{
    let mut number = 0;
    while let Some(frame) = frames.next().await {
        transcript.frame(number, &frame?);
        number += 1;
    }
    Ok(())
}

fn tables() -> Vec<u8> {
    let command = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: vec![],
        include_schema: true,
    };
    command.as_any().encode_to_vec()
}

fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let login = format!("Basic {}", STANDARD.encode("asker:asker"));
    request.metadata_mut().insert("authorization", login.parse().expect("a header"));
    request
}

/// The directory of a world's site: files, policy, users, configuration.
fn write(pair: &Pair, world: usize) -> TempDir {
    // In memory where that is offered: every site has a record that it syncs.
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a directory");
    let root = directory.path();
    for (table, contents) in pair.tables.iter().zip(&pair.worlds[world]) {
        contents.write(table, &root.join("files").join(&table.name));
    }
    fs::create_dir(root.join("policies")).expect("a writable directory");
    fs::write(root.join("policies/policy.sql"), policy_text(pair)).expect("a writable directory");
    fs::write(root.join("linked.key"), STANDARD.encode(SECRET)).expect("a writable directory");
    fs::set_permissions(root.join("linked.key"), fs::Permissions::from_mode(0o600)).expect("a file of ours");
    fs::write(root.join("users.toml"), users(pair)).expect("a writable directory");
    fs::write(root.join("site.toml"), configuration(pair)).expect("a writable directory");
    directory
}

fn configuration(pair: &Pair) -> String {
    let mut text = format!(
        "name = \"{SITE}\"\nlisten = \"127.0.0.1:0\"\n[users]\nfile = \"users.toml\"\n[limits]\n{LIMITS}\n\
         [policy]\ndirectory = \"policies\"\n[pseudonyms]\nsecret = \"linked.key\"\n\
         [[source]]\nname = \"{SOURCE}\"\nkind = \"files\"\nroot = \"files\"\n"
    );
    for table in &pair.tables {
        text += &format!("[[source.table]]\nname = {0:?}\npath = {0:?}\n", table.name);
        if table.is_text {
            let columns = table
                .columns
                .iter()
                .map(|column| format!("{:?}", format!("{}:{}", column.name, column.kind.data_type())));
            text += &format!("null_text = [{NULL_TEXT:?}]\nschema = [{}]\n", columns.collect::<Vec<_>>().join(", "));
        }
    }
    text
}

fn users(pair: &Pair) -> String {
    #[derive(serde::Serialize)]
    struct User<'a> {
        password_hash: &'a str,
        default_purpose: &'a str,
        #[serde(flatten)]
        subject: &'a policy::subject::Subject,
    }
    #[derive(serde::Serialize)]
    struct File<'a> {
        user: [User<'a>; 1],
    }
    let user = User { password_hash: PASSWORD_HASH, default_purpose: PURPOSES[0], subject: &pair.subject };
    let file = toml::Value::try_from(File { user: [user] }).expect("a users file");
    toml::to_string(&file).expect("a users file")
}

/// The policy of a pair as its administrator writes it.
pub fn policy_text(pair: &Pair) -> String {
    let mut lines = vec![
        format!("CREATE PURPOSE {}", PURPOSES[1]),
        format!("CREATE PURPOSE {} UNDER {}", PURPOSES[0], PURPOSES[1]),
        "CREATE PURPOSE marketing".to_string(),
    ];
    let names = pair.tables.iter().map(|table| format!("'{}'", table.name)).collect::<Vec<_>>().join(", ");
    lines.push(format!("CREATE TAG handling VALUES ({names})"));
    for table in &pair.tables {
        let name = format!("{SOURCE}.{}", table.name);
        if table.policy.is_granted {
            let limit =
                table.policy.bytes_per_day.map_or(String::new(), |bytes| format!(" LIMIT BYTES {bytes} PER DAY"));
            lines.push(format!("GRANT SELECT ON TABLE {name} TO ROLE analyst FOR PURPOSE {}{limit}", PURPOSES[1]));
        }
        for column in &table.policy.tagged {
            let column = crate::dataset::quote(column);
            lines.push(format!("ALTER TABLE {name} ALTER COLUMN {column} SET TAG handling = '{}'", table.name));
        }
        lines.extend(table.policy.written.iter().map(ToString::to_string));
    }
    lines.join(";\n") + ";\n"
}

/// How a column is treated, for a report.
pub fn treatments(pair: &Pair) -> String {
    let of_table = pair.tables.iter().flat_map(|table| {
        table.columns.iter().map(move |column| {
            let treatment = match table.policy.treatment(&column.name) {
                Treatment::Clear => "clear".to_string(),
                Treatment::Masked(mask) => mask.to_string(),
                Treatment::AggregateOnly(low, high) => format!("aggregate only, {low} to {high}"),
            };
            format!("{}.{} ({:?}): {treatment}", table.name, column.name, column.kind)
        })
    });
    of_table.collect::<Vec<_>>().join("\n")
}
