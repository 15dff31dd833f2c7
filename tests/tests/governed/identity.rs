//! Whom a site believes: users' tokens by their issuer's key, and a coordinator only on behalf of a user, once.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, Ticket};
use engine::identity::tls::NodeIdentity;
use engine::identity::{About, Asker, Believed, Came, Delegator, Issuer, Subject};
use engine::key_set::KeysTo;
use engine::session::queries::QueryId;
use harness::cluster::client::channel;
use harness::cluster::{Client, Cluster, Written};
use harness::environment::number;
use harness::policy::record::{of_kind, records};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::federation::{
    COUNT_ORDERS, NORTH, assert_refused, eventually_value, governed, north, now_s, refusal, start, table,
};

pub(super) const ALL_ORDERS: &str = "SELECT id FROM north.trade.orders";
const ISSUER: &str = "https://login.example";
/// Of tokens that coordinators are shown, and of those that open the door of `north`.
const AUDIENCE: &str = "chancery";
const NORTH_AUDIENCE: &str = "chancery-north";
/// What stands before the 32 bytes of an Ed25519 key in PKCS #8.
const ED25519_PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The key of the issuer is 32 times this byte, and its public key this.
const ISSUER_KEY: (u8, &str) = (1, "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w");

/// A token of the issuer, with these claims laid over good ones, signed by the key made of this byte.
fn signed(key: u8, change: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "sub": "jo", "aud": AUDIENCE, "exp": now_s() + 600,
        "roles": ["analyst", "registrar"], "purposes": ["care"], "default_purpose": "care",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let key = EncodingKey::from_ed_der(&[&ED25519_PKCS8[..], &[key; 32]].concat());
    let header = Header { kid: Some("one".to_string()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

fn token(change: &Value) -> String {
    signed(ISSUER_KEY.0, change)
}

/// A cluster whose nodes believe the issuer, for the role `analyst`.
async fn with_issuer(keys: &Path) -> Cluster {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": ISSUER_KEY.1});
    std::fs::write(keys, json!({"keys": [jwk]}).to_string()).unwrap();
    let lines = format!(
        "[[issuer]]\nname = {ISSUER:?}\nkeys = {:?}\naudience = {AUDIENCE:?}\nroles = [\"analyst\"]\n",
        keys.to_str().unwrap()
    );
    let mut governance = governed(&[("north", NORTH)], Written::AtTheDoor);
    governance.site_lines = format!("{lines}direct_audience = {NORTH_AUDIENCE:?}\n");
    governance.coordinator_lines = lines;
    start(governance).await
}

/// Who bears that token, at a site's own door or at the coordinator's.
async fn bearing(cluster: &Cluster, site: Option<&str>, token: &str) -> Client {
    let channel = match site {
        None => channel(cluster.address(), None).await,
        Some(site) => channel(cluster.site(site).address(), Some(&cluster.authority())).await,
    };
    let mut flight = FlightSqlServiceClient::new(channel);
    flight.set_token(token.to_string());
    Client::of(flight).looking_for(cluster.canaries())
}

#[tokio::test(flavor = "multi_thread")]
async fn a87_an_issuers_token_is_believed_by_its_signature_and_within_its_terms() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = with_issuer(&directory.path().join("issuer.jwks.json")).await;
    let doors = [(None, AUDIENCE), (Some("north"), NORTH_AUDIENCE)];
    for (door, audience) in doors {
        let token = |change: &Value| {
            let mut claims = json!({"aud": audience});
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            token(&claims)
        };
        let good = bearing(&cluster, door, &token(&json!({}))).await;
        eventually_value(&good, COUNT_ORDERS, "200").await;
        assert_eq!(good.value("SELECT count(note) FROM north.trade.orders").await, "0", "the mask is for analysts");
        // An expiry within the clocks' difference is none.
        eventually_value(&bearing(&cluster, door, &token(&json!({"exp": now_s() - 30}))).await, COUNT_ORDERS, "200")
            .await;
        let wrong = [
            ("expired by 61 s", token(&json!({"exp": now_s() - 61}))),
            ("not yet", token(&json!({"nbf": now_s() + 90}))),
            ("another audience", token(&json!({"aud": "elsewhere"}))),
            ("another issuer", token(&json!({"iss": "https://other.example"}))),
            ("no user's name", token(&json!({"sub": ""}))),
            ("another key", signed(2, &json!({"aud": audience}))),
            ("no signature", unsigned()),
        ];
        for (what, token) in wrong {
            let error = refusal(&bearing(&cluster, door, &token).await, COUNT_ORDERS).await;
            assert!(error.starts_with("UNAUTHENTICATED: "), "{what}: {error}");
            assert!(!error.contains(&token), "{what}: the error repeats the token");
        }
        let other_role = bearing(&cluster, door, &token(&json!({"roles": ["registrar", "admin", "auditor"]}))).await;
        assert_refused(&other_role, COUNT_ORDERS, "NOT_FOUND").await;
        assert_refused(&other_role, "SHOW GRANTS", "STATEMENT").await;
        let none = bearing(&cluster, door, &token(&json!({"purposes": [], "default_purpose": null}))).await;
        assert_refused(&none, COUNT_ORDERS, "PURPOSE").await;
    }
    // What a coordinator is shown opens no site's door, what opens one site's door no other node's, and what is for an
    // actor none.
    for (what, change) in [
        ("for coordinators", json!({"aud": AUDIENCE})),
        ("for coordinators too", json!({"aud": [NORTH_AUDIENCE, AUDIENCE]})),
        ("for another site", json!({"aud": "chancery-south"})),
        ("for another site too", json!({"aud": [NORTH_AUDIENCE, "chancery-south"]})),
        ("for an actor", json!({"aud": NORTH_AUDIENCE, "act": {"sub": "coordinator"}})),
    ] {
        let error = refusal(&bearing(&cluster, Some("north"), &token(&change)).await, COUNT_ORDERS).await;
        assert!(error.starts_with("UNAUTHENTICATED: "), "{what}: {error}");
    }
    let for_north = bearing(&cluster, None, &token(&json!({"aud": NORTH_AUDIENCE}))).await;
    assert_refused(&for_north, COUNT_ORDERS, "UNAUTHENTICATED").await;
    let acting = async |actor: &str| bearing(&cluster, None, &token(&json!({"act": {"sub": actor}}))).await;
    eventually_value(&acting("coordinator").await, COUNT_ORDERS, "200").await;
    assert!(acting("elsewhere").await.query(COUNT_ORDERS).await.is_err(), "brought by another than its actor");

    // A user of one issuer is nobody else's user of that name.
    let admin = cluster.user_of_site("admin", "north").await;
    let count_items = "SELECT count(*) FROM north.trade.items";
    let jo = bearing(&cluster, Some("north"), &token(&json!({"aud": NORTH_AUDIENCE}))).await;
    let grant = async |user: &str| {
        let grant = format!("GRANT SELECT ON TABLE trade.items TO USER {user} FOR PURPOSE care");
        admin.query(&grant).await.unwrap_or_else(|error| panic!("{grant}: {error}"));
    };
    grant("jo").await;
    assert_refused(&jo, count_items, "NOT_FOUND").await;
    grant(&format!("\"jo@{ISSUER}\"")).await;
    eventually_value(&jo, count_items, "40").await;

    // Recorded with the issuer who vouches, through the coordinator and directly.
    let auditor = cluster.user_of_site("auditor", "north").await;
    let of_jo = "SELECT DISTINCT issuer, coalesce(actor, '') AS actor FROM system.audit.queries \
                 WHERE subject = 'jo' AND outcome = 'finished'";
    let told = table(&auditor, of_jo, &["issuer", "actor"]).await;
    assert_eq!(told, [[ISSUER, ""], [ISSUER, "coordinator"]].map(|row| row.map(String::from).to_vec()));

    // An issuer may name somebody as a users file does: that is another person, who reads other records.
    cluster.user_of_site("ana", "north").await.query(COUNT_ORDERS).await.unwrap();
    cluster.user("ana").await.query(COUNT_ORDERS).await.unwrap();
    for (door, audience) in doors {
        let other_ana = bearing(&cluster, door, &token(&json!({"sub": "ana", "aud": audience}))).await;
        other_ana.query(COUNT_ORDERS).await.unwrap();
        let read = "SELECT DISTINCT coalesce(issuer, 'a users file') AS issuer FROM system.audit.queries";
        assert_eq!(table(&other_ana, read, &["issuer"]).await, [[ISSUER]], "{door:?}");
    }
}

/// A good token under the algorithm `none`.
fn unsigned() -> String {
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let good = token(&json!({}));
    let claims = good.split('.').nth(1).unwrap();
    format!("{}.{claims}.", engine.encode(r#"{"alg":"none","kid":"one"}"#))
}

/// Somebody who holds the coordinator's certificate and key.
pub(super) struct Impostor {
    flight: FlightServiceClient<Channel>,
    delegator: Delegator,
}

/// How an impostor's call ended: how many messages came with data, and the error if there was one.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) data: usize,
    error: Option<Status>,
}

impl Outcome {
    /// The word with which the call was refused.
    pub(super) fn code(&self) -> Option<String> {
        self.error.as_ref().map(|error| error.message().split(':').next().unwrap_or_default().to_string())
    }

    pub(super) fn assert_unauthenticated(&self, what: &str) {
        assert_eq!(self.data, 0, "{what}: data left the site");
        let error = self.error.as_ref().unwrap_or_else(|| panic!("{what}: it is answered"));
        assert_eq!(error.code(), Code::Unauthenticated, "{what}: {error:?}");
        assert!(error.message().starts_with("UNAUTHENTICATED: "), "{what}: {error:?}");
    }
}

impl Impostor {
    pub(super) async fn connect(cluster: &Cluster) -> Self {
        let coordinator = engine::config::load_coordinator(&cluster.root().join("coordinator.toml")).unwrap();
        let tls = coordinator.node.tls.unwrap();
        let certified = NodeIdentity::open(&tls.files).unwrap().current();
        let url = format!("https://{}", cluster.site("north").address());
        let channel = certified.channel(&url, "north", |endpoint| endpoint).unwrap();
        Self { flight: FlightServiceClient::new(channel), delegator: Delegator::new(&tls).unwrap() }
    }

    pub(super) fn sign(
        &self,
        asker: &Asker,
        (site, query, fragment): (&str, &QueryId, usize),
        statement: &str,
    ) -> Vec<u8> {
        let about = About { site, query, fragment, statement: Some(statement) };
        self.delegator.sign(asker, &about).unwrap()
    }

    pub(super) async fn ask(&self, sql: &str, call: (&QueryId, usize), delegation: Option<&[u8]>) -> Outcome {
        self.redeem(command(sql), call, delegation).await
    }

    pub(super) async fn redeem(&self, ticket: Vec<u8>, call: (&QueryId, usize), delegation: Option<&[u8]>) -> Outcome {
        let request = delegated(Ticket { ticket: ticket.into() }, call, delegation);
        match self.flight.clone().do_get(request).await {
            Err(error) => Outcome { data: 0, error: Some(error) },
            Ok(answer) => read(answer.into_inner(), |message| usize::from(!message.data_body.is_empty())).await,
        }
    }

    /// The answer to a statement whose keys go on, as it comes.
    pub(super) async fn stream(
        &self,
        sql: &str,
        call: (&QueryId, usize),
        delegation: &[u8],
        keys_to: &[KeysTo],
    ) -> Streaming<FlightData> {
        let mut request = delegated(Ticket { ticket: command(sql).into() }, call, Some(delegation));
        let keys_to = MetadataValue::from_bytes(&serde_json::to_vec(keys_to).unwrap());
        request.metadata_mut().insert_bin("x-chancery-keys-to-bin", keys_to);
        self.flight.clone().do_get(request).await.unwrap().into_inner()
    }

    /// GetFlightInfo of a statement. Whatever it tells is data.
    async fn plan(&self, command: Vec<u8>, call: (&QueryId, usize), delegation: Option<&[u8]>) -> Outcome {
        let request = delegated(FlightDescriptor::new_cmd(command), call, delegation);
        match self.flight.clone().get_flight_info(request).await {
            Err(error) => Outcome { data: 0, error: Some(error) },
            Ok(_) => Outcome { data: 1, error: None },
        }
    }

    /// An action; each of its results is data.
    async fn act(&self, action: Action, call: (&QueryId, usize), delegation: Option<&[u8]>) -> Outcome {
        match self.flight.clone().do_action(delegated(action, call, delegation)).await {
            Err(error) => Outcome { data: 0, error: Some(error) },
            Ok(answer) => read(answer.into_inner(), |_| 1).await,
        }
    }
}

fn command(sql: &str) -> Vec<u8> {
    CommandStatementQuery { query: sql.to_string(), transaction_id: None }.as_any().encode_to_vec()
}

fn delegated<T>(message: T, (query, fragment): (&QueryId, usize), delegation: Option<&[u8]>) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("x-chancery-query-id", query.as_str().parse().unwrap());
    metadata.insert("x-chancery-fragment", fragment.into());
    if let Some(delegation) = delegation {
        metadata.insert_bin("x-chancery-delegation-bin", MetadataValue::from_bytes(delegation));
    }
    request
}

async fn read<M>(mut stream: Streaming<M>, data_of: impl Fn(M) -> usize) -> Outcome {
    let mut data = 0;
    loop {
        match stream.message().await {
            Ok(Some(message)) => data += data_of(message),
            Ok(None) => return Outcome { data, error: None },
            Err(error) => return Outcome { data, error: Some(error) },
        }
    }
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Ana, as the coordinator's users file has her.
pub(super) fn ana() -> Asker {
    let subject =
        Subject { name: "ana".to_string(), roles: set(&["analyst"]), purposes: set(&["care"]), ..Subject::default() };
    Believed::user(subject).asking(Some("care".to_string()), Came::Directly).unwrap()
}

/// Jo, by the issuer's token.
fn jo(token: &str) -> Asker {
    let issuer = Issuer::Token { name: ISSUER.to_string(), token: token.into() };
    Asker { issuer, ..ana() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a86_a_certificate_without_a_delegation_is_worth_nothing() {
    let cluster = north(NORTH).await;
    let impostor = Impostor::connect(&cluster).await;
    let query = QueryId::random();
    impostor.ask(ALL_ORDERS, (&query, 0), None).await.assert_unauthenticated("no delegation");
    for garbled in [&b""[..], b"{}", b"\xff\x00", b"[[[[", &[b'['; 4000]] {
        impostor.ask(ALL_ORDERS, (&query, 0), Some(garbled)).await.assert_unauthenticated("a garbled one");
    }
    let asker = ana();
    for (what, header) in [
        ("of another site", impostor.sign(&asker, ("south", &query, 0), ALL_ORDERS)),
        ("of another query", impostor.sign(&asker, ("north", &QueryId::random(), 0), ALL_ORDERS)),
        ("of another fragment", impostor.sign(&asker, ("north", &query, 1), ALL_ORDERS)),
        ("of another statement", impostor.sign(&asker, ("north", &query, 0), COUNT_ORDERS)),
    ] {
        impostor.ask(ALL_ORDERS, (&query, 0), Some(&header)).await.assert_unauthenticated(what);
    }
    // A85: the purpose is the one that is signed, here none, whatever a header says beside it.
    let aimless = Asker { purpose: None, ..ana() };
    let mut told = Vec::new();
    for (fragment, header) in [(3, None), (4, Some("x-chancery-purpose")), (5, Some("purpose"))] {
        let signed = impostor.sign(&aimless, ("north", &query, fragment), ALL_ORDERS);
        let mut request = delegated(Ticket { ticket: command(ALL_ORDERS).into() }, (&query, fragment), Some(&signed));
        if let Some(header) = header {
            request.metadata_mut().insert(header, "care".parse().unwrap());
        }
        told.push(impostor.flight.clone().do_get(request).await.map(|_| ()).unwrap_err().message().to_string());
    }
    assert!(told.iter().all(|told| told.starts_with("PURPOSE") || told.starts_with("NOT_FOUND")), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");

    // A delegated statement is none of the site's administrator, whatever roles the coordinator claims.
    let mut admin = ana();
    admin.subject.roles = set(&["admin"]);
    let header = impostor.sign(&admin, ("north", &query, 2), "SHOW GRANTS");
    let outcome = impostor.ask("SHOW GRANTS", (&query, 2), Some(&header)).await;
    assert!(outcome.data == 0 && outcome.error.is_some(), "{outcome:?}");

    // Each that came without a delegation that is believed is in the record: nobody by way of the coordinator.
    let recorded = records(&cluster.state_of("north"));
    let of_query = of_kind(&recorded, "refusal").into_iter().filter(|refusal| refusal["query"] == query.as_str());
    let strangers: Vec<_> = of_query.filter(|refusal| refusal["code"] == "UNAUTHENTICATED").collect();
    assert_eq!(strangers.len(), 10, "{strangers:#?}");
    for refusal in strangers {
        assert_eq!(refusal["asker"]["subject"], Value::Null);
        assert_eq!(refusal["asker"]["actor"], "coordinator");
        assert!(refusal["statement"].as_str().unwrap().starts_with("'h:"), "{refusal}: nobody read it");
    }

    // A94: what is not asked on behalf of a user is refused, whatever call it is.
    let mut flight = impostor.flight.clone();
    let unknown = Action { r#type: "nonsuch".to_string(), body: Vec::new().into() };
    assert!(flight.do_action(unknown).await.is_err());
    assert!(flight.list_flights(Criteria::default()).await.is_err());
    assert!(
        flight.list_actions(Empty {}).await.is_err() || impostor.ask(ALL_ORDERS, (&query, 9), None).await.data == 0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a93_a_delegation_is_accepted_once_and_also_after_a_restart() {
    let mut cluster = north(NORTH).await;
    let impostor = Impostor::connect(&cluster).await;
    let query = QueryId::random();
    let header = impostor.sign(&ana(), ("north", &query, 0), ALL_ORDERS);
    let first = impostor.ask(ALL_ORDERS, (&query, 0), Some(&header)).await;
    assert!(first.data > 0 && first.error.is_none(), "the first time it is believed: {first:?}");
    for what in ["replayed", "replayed again"] {
        impostor.ask(ALL_ORDERS, (&query, 0), Some(&header)).await.assert_unauthenticated(what);
    }
    let recorded = records(&cluster.state_of("north"));
    let replayed = of_kind(&recorded, "refusal").into_iter().filter(|refusal| refusal["query"] == query.as_str());
    assert_eq!(replayed.map(|refusal| &refusal["code"]).collect::<Vec<_>>(), ["UNAUTHENTICATED"; 2]);
    // What only explains is recorded, and so remembered, like what reads.
    let explain = format!("EXPLAIN {ALL_ORDERS}");
    let explained = impostor.sign(&ana(), ("north", &query, 7), &explain);
    let outcome = impostor.ask(&explain, (&query, 7), Some(&explained)).await;
    assert!(outcome.data > 0 && outcome.error.is_none(), "{outcome:?}");
    cluster.kill_site("north");
    cluster.restart_site("north");
    let impostor = Impostor::connect(&cluster).await;
    impostor.ask(ALL_ORDERS, (&query, 0), Some(&header)).await.assert_unauthenticated("replayed after a restart");
    impostor.ask(&explain, (&query, 7), Some(&explained)).await.assert_unauthenticated("an explanation, replayed");
    let fresh = impostor.sign(&ana(), ("north", &query, 1), ALL_ORDERS);
    let next = impostor.ask(ALL_ORDERS, (&query, 1), Some(&fresh)).await;
    assert!(next.data > 0, "a fresh one is believed: {next:?}");

    // P4: of policies that cannot be read nothing is told but to those who write them.
    cluster.kill_site("north");
    spoil_policies(&cluster, "north");
    cluster.restart_site("north");
    for user in ["ana", "kim", "visitor"] {
        assert_refused(&cluster.user_of_site(user, "north").await, COUNT_ORDERS, "NOT_FOUND").await;
    }
    assert_refused(&cluster.user_of_site("admin", "north").await, COUNT_ORDERS, "POLICY").await;
}

/// Writes over the file in which a site keeps its policies, and takes away what it could be mended from.
fn spoil_policies(cluster: &Cluster, site: &str) {
    let state = cluster.root().join("state").join(site);
    for beside in ["node.sqlite-wal", "node.sqlite-shm"] {
        let _ = std::fs::remove_file(state.join(beside));
    }
    assert!(state.join("node.sqlite").exists());
    std::fs::write(state.join("node.sqlite"), "no database").unwrap();
}

/// What a site does for others; only the view is for coordinators.
const ACTIONS: [&str; 5] =
    ["chancery.view", "CreatePreparedStatement", "CancelFlightInfo", "GetSessionOptions", "CloseSession"];

/// Takes the coordinator from the issuers that a site believes: only tokens are left.
fn believe_tokens_only(cluster: &mut Cluster, site: &str) {
    let path = cluster.root().join(format!("{site}.toml"));
    let mut config: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    let issuers = config["issuer"].as_array_mut().unwrap();
    issuers.retain(|issuer| issuer.get("trust").and_then(toml::Value::as_str) != Some("coordinator"));
    assert_eq!(issuers.len(), 1);
    std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    cluster.kill_site(site);
    cluster.restart_site(site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a95_a_captured_coordinator_gets_no_row_without_a_fresh_token() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = with_issuer(&directory.path().join("issuer.jwks.json")).await;
    believe_tokens_only(&mut cluster, "north");
    let impostor = Impostor::connect(&cluster).await;
    let query = QueryId::random();
    let sign = |asker: &Asker, fragment| impostor.sign(asker, ("north", &query, fragment), ALL_ORDERS);

    // Users that it makes up, old tokens, tokens of its own making.
    let stale = [
        ana(),
        jo(&token(&json!({"exp": now_s() - 61}))),
        jo(&signed(2, &json!({}))),
        jo(&token(&json!({"aud": "elsewhere"}))),
        jo(&token(&json!({"aud": NORTH_AUDIENCE}))),
        jo(&token(&json!({"act": {"sub": "elsewhere"}}))),
        jo(&unsigned()),
    ];
    for (fragment, asker) in stale.iter().enumerate() {
        let header = sign(asker, fragment);
        let outcome = impostor.ask(ALL_ORDERS, (&query, fragment), Some(&header)).await;
        outcome.assert_unauthenticated(&format!("{asker:?}"));
    }
    // A86: signed for one user's proof, and sent with another's; both are believed as they are.
    let good = jo(&token(&json!({})));
    let mut labelled: Value = serde_json::from_slice(&sign(&good, 50)).unwrap();
    labelled["proof"] = token(&json!({"sub": "kay"})).into();
    let labelled = serde_json::to_vec(&labelled).unwrap();
    let outcome = impostor.ask(ALL_ORDERS, (&query, 50), Some(&labelled)).await;
    outcome.assert_unauthenticated("the proof of one user in a request for another");
    // Random and mutated messages around a delegation that would be believed as it is.
    let mut random = StdRng::seed_from_u64(95);
    let messages = number("CHANCERY_MESSAGES", 2_000_usize);
    for number in 100..100 + messages {
        let mut header = sign(&good, number);
        let mut ticket = command(ALL_ORDERS);
        let mut fragment = number;
        match number % 5 {
            0 => header = (0..random.random_range(0..600)).map(|_| random.random()).collect(),
            1 => {
                let place = random.random_range(0..header.len());
                header[place] ^= random.random_range(1..=255_u8);
            }
            2 => header.truncate(random.random_range(0..header.len())),
            3 => {
                let place = random.random_range(0..ticket.len());
                ticket[place] ^= 1 << random.random_range(0..8);
            }
            _ => fragment += messages + 10_000,
        }
        let call = (&query, fragment);
        let outcome = match random.random_range(0..4) {
            0 => impostor.plan(ticket, call, Some(&header)).await,
            // The view is asked for without a statement, so that a delegation for one is none for it.
            1 => {
                let action = ACTIONS[random.random_range(0..ACTIONS.len())];
                impostor.act(Action::new(action, ticket), call, Some(&header)).await
            }
            _ => impostor.redeem(ticket, call, Some(&header)).await,
        };
        assert_eq!(outcome.data, 0, "message {number}: data left the site");
        assert!(outcome.error.is_some(), "message {number} is answered");
    }
    // As it is, it is believed: the mutations were what was refused.
    let header = sign(&good, 90);
    let outcome = impostor.ask(ALL_ORDERS, (&query, 90), Some(&header)).await;
    assert!(outcome.data > 0 && outcome.error.is_none(), "{outcome:?}");
    let about = About { site: "north", query: &query, fragment: 91, statement: None };
    let header = impostor.delegator.sign(&good, &about).unwrap();
    let outcome = impostor.act(Action::new("chancery.view", ""), (&query, 91), Some(&header)).await;
    assert!(outcome.data > 0 && outcome.error.is_none(), "{outcome:?}");
    let header = sign(&jo(&token(&json!({"act": {"sub": "coordinator"}}))), 5_001);
    let outcome = impostor.ask(ALL_ORDERS, (&query, 5_001), Some(&header)).await;
    assert!(outcome.data > 0 && outcome.error.is_none(), "by its actor: {outcome:?}");
    // And so the coordinator serves users with tokens, and no users of its own.
    let through = bearing(&cluster, None, &token(&json!({}))).await;
    eventually_value(&through, COUNT_ORDERS, "200").await;
    assert!(cluster.user("ana").await.query(COUNT_ORDERS).await.is_err());
}
