//! Handles, tickets and headers in wrong hands, and what is not offered: A80 to A82, A85, A94.

use std::time::Duration;

use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    RenewFlightEndpointRequest, Ticket,
};
use futures::future::poll_fn;
use futures::{StreamExt, stream};
use harness::cluster::client::channel;
use harness::cluster::{Client, Cluster, Options, Written};
use harness::environment::number;
use harness::policy::record::{of_kind, records};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::metadata::{Ascii, AsciiMetadataKey, MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tower::Service;

use super::federation::{COUNT_ORDERS, NORTH, data, governed};
use super::floods::{self, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame};

/// With handles that live for this long.
async fn cluster(lifetime_s: u64) -> Cluster {
    let options = Options {
        governance: Some(governed(&[("north", NORTH)], Written::AsFiles)),
        coordinator_limits: format!("handle_lifetime_s = {lifetime_s}"),
        ..Options::default()
    };
    let data = Box::leak(Box::new(data().await));
    Cluster::start_with(data, options).await
}

/// A call in the client's session.
fn call<T>(client: &Client, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", client.flight().token().expect("a session"));
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    request
}

async fn redeem(client: &Client, ticket: Ticket) -> Result<usize, Status> {
    let mut answer = client.flight().inner_mut().do_get(call(client, ticket)).await?.into_inner();
    let mut messages = 0;
    while let Some(message) = answer.next().await {
        message?;
        messages += 1;
    }
    Ok(messages)
}

pub(super) async fn act(client: &Client, name: &str, body: Vec<u8>) -> Result<Vec<u8>, Status> {
    let action = Action { r#type: name.to_string(), body: body.into() };
    let mut results = client.flight().inner_mut().do_action(call(client, action)).await?.into_inner();
    let first = results.next().await.transpose()?.map(|result| result.body.to_vec()).unwrap_or_default();
    // To its end: of answers that are left off in the middle a connection bears some thousand.
    while results.next().await.transpose()?.is_some() {}
    Ok(first)
}

fn ticket_of(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// One code and one sentence, whatever was wrong.
#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound, "{what}: {status:?}");
    assert!(status.message().starts_with("NOT_FOUND: "), "{what}: {status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a80_a_forged_ticket_is_no_ticket() {
    let cluster = cluster(600).await;
    let ana = cluster.user("ana").await;
    let ticket = ticket_of(&ana.info(COUNT_ORDERS).await.unwrap());
    assert!(redeem(&ana, ticket.clone()).await.unwrap() > 1, "the true one is redeemed");
    let sealed = |bytes: Vec<u8>| {
        let ticket = TicketStatementQuery { statement_handle: bytes.into() };
        Ticket { ticket: ticket.as_any().encode_to_vec().into() }
    };
    let any = Any::decode(ticket.ticket.as_ref()).unwrap();
    let own = any.unpack::<TicketStatementQuery>().unwrap().unwrap().statement_handle;
    for bit in (0..own.len() * 8).step_by(own.len() / 8) {
        let mut flipped = own.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_unknown("a flipped bit", redeem(&ana, sealed(flipped)).await);
    }
    for (what, bytes) in [
        ("its own SQL", COUNT_ORDERS.as_bytes().to_vec()),
        ("its own SQL as JSON", format!("{{\"sql\":\"{COUNT_ORDERS}\"}}").into_bytes()),
        ("nothing", Vec::new()),
        ("zeros", vec![0; own.len()]),
        ("the half", own[..own.len() / 2].to_vec()),
    ] {
        assert_unknown(what, redeem(&ana, sealed(bytes)).await);
    }
    for bytes in [b"".as_slice(), b"random", &[0xff; 64], COUNT_ORDERS.as_bytes()] {
        assert_unknown("no message", redeem(&ana, Ticket { ticket: bytes.to_vec().into() }).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a81_a_ticket_is_redeemed_by_its_subject_and_until_it_expires() {
    let cluster = cluster(12).await;
    let (ana, kim) = (cluster.user("ana").await, cluster.user("visitor").await);
    let info = ana.info(COUNT_ORDERS).await.unwrap();
    let intents = || of_kind(&records(&cluster.state_of("north")), "intent").len();
    let before = intents();
    assert!(redeem(&ana, ticket_of(&info)).await.unwrap() > 1);
    assert!(redeem(&ana, ticket_of(&info)).await.unwrap() > 1);
    assert_eq!(intents(), before + 2, "each time it is a new execution with a record of its own");
    assert_unknown("somebody else's ticket", redeem(&kim, ticket_of(&info)).await);
    let renew = |info: &FlightInfo| RenewFlightEndpointRequest { endpoint: Some(info.endpoint[0].clone()) };
    assert_unknown(
        "somebody else's ticket, to be renewed",
        act(&kim, "RenewFlightEndpoint", renew(&info).encode_to_vec()).await,
    );
    tokio::time::sleep(Duration::from_secs(6)).await;
    let body = act(&ana, "RenewFlightEndpoint", renew(&info).encode_to_vec()).await.unwrap();
    let renewed = arrow_flight::FlightEndpoint::decode(body.as_slice()).unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_unknown("an expired ticket", redeem(&ana, ticket_of(&info)).await);
    assert!(redeem(&ana, renewed.ticket.clone().unwrap()).await.unwrap() > 1, "the renewed one has not expired");
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_unknown("a renewed ticket that has expired", redeem(&ana, renewed.ticket.unwrap()).await);
    assert_unknown(
        "an expired ticket, to be renewed",
        act(&ana, "RenewFlightEndpoint", renew(&info).encode_to_vec()).await,
    );
}

/// The handle of a statement that the client has prepared.
pub(super) async fn prepare(client: &Client) -> bytes::Bytes {
    let request = ActionCreatePreparedStatementRequest { query: COUNT_ORDERS.to_string(), transaction_id: None };
    let body = act(client, "CreatePreparedStatement", request.as_any().encode_to_vec()).await.unwrap();
    let any = Any::decode(body.as_slice()).unwrap();
    any.unpack::<ActionCreatePreparedStatementResult>().unwrap().unwrap().prepared_statement_handle
}

#[tokio::test(flavor = "multi_thread")]
async fn a82_a_handle_of_somebody_else_is_no_handle() {
    let cluster = cluster(600).await;
    let (ana, visitor) = (cluster.user("ana").await, cluster.user("visitor").await);
    let prepared = prepare(&ana).await;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: prepared.clone() }.as_any();
    let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());

    let used = visitor.flight().inner_mut().get_flight_info(call(&visitor, descriptor.clone())).await;
    assert_unknown("used", used);
    let polled = visitor.flight().inner_mut().poll_flight_info(call(&visitor, descriptor.clone())).await;
    assert_unknown("polled", polled);
    let data = FlightData { flight_descriptor: Some(descriptor.clone()), ..FlightData::default() };
    let bound = visitor.flight().inner_mut().do_put(call(&visitor, stream::iter([data]))).await;
    assert_unknown("bound", bound.map(|_| ()));
    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: prepared }.as_any().encode_to_vec();
    assert_unknown("closed", act(&visitor, "ClosePreparedStatement", close.clone()).await);
    let info = ana.info(COUNT_ORDERS).await.unwrap();
    let cancel = CancelFlightInfoRequest::new(info).encode_to_vec();
    assert_unknown("cancelled", act(&visitor, "CancelFlightInfo", cancel).await);

    let begin = ActionBeginTransactionRequest {}.as_any().encode_to_vec();
    let body = act(&ana, "BeginTransaction", begin).await.unwrap();
    let any = Any::decode(body.as_slice()).unwrap();
    let begun = any.unpack::<arrow_flight::sql::ActionBeginTransactionResult>().unwrap().unwrap().transaction_id;
    let within = |transaction: Vec<u8>| {
        let query = CommandStatementQuery { query: COUNT_ORDERS.to_string(), transaction_id: Some(transaction.into()) };
        FlightDescriptor::new_cmd(query.as_any().encode_to_vec())
    };
    let own = ana.flight().inner_mut().get_flight_info(call(&ana, within(begun.to_vec()))).await;
    own.unwrap();
    let other = visitor.flight().inner_mut().get_flight_info(call(&visitor, within(begun.to_vec()))).await;
    assert_unknown("a transaction", other);
    let made_up = ana.flight().inner_mut().get_flight_info(call(&ana, within(vec![7; 64]))).await;
    assert_unknown("a made-up transaction", made_up);

    let used = ana.flight().inner_mut().get_flight_info(call(&ana, descriptor)).await.unwrap();
    assert!(redeem(&ana, ticket_of(&used.into_inner())).await.unwrap() > 1, "its own subject still has it");
    act(&ana, "ClosePreparedStatement", close).await.unwrap();
}

/// So many ask at once.
const GUESSERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a82_guesses_open_no_handle_and_raise_an_alarm() {
    let count = number("CHANCERY_GUESSES", 2_000_usize);
    let cluster = cluster(600).await;
    let ana = cluster.user("ana").await;
    let prepared = prepare(&ana).await;
    let close = |handle: Vec<u8>| {
        ActionClosePreparedStatementRequest { prepared_statement_handle: handle.into() }.as_any().encode_to_vec()
    };
    let mut guessers = Vec::new();
    for guesser in 0..GUESSERS {
        let (client, known) = (cluster.user("ana").await, prepared.to_vec());
        guessers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(guesser as u64);
            for _ in 0..count.div_ceil(GUESSERS) {
                let mut guess = known.clone();
                match random.random_range(0..3) {
                    0 => random.fill(&mut guess[..]),
                    1 => guess[random.random_range(0..known.len())] ^= random.random_range(1..=255_u8),
                    _ => guess.truncate(random.random_range(0..known.len())),
                }
                assert_unknown("a guess", act(&client, "ClosePreparedStatement", close(guess)).await);
            }
        }));
    }
    for guesser in guessers {
        guesser.await.unwrap();
    }
    let log = cluster.coordinator().log();
    assert!(log.contains("ALARM: handles are guessed"), "{log}");
    act(&ana, "ClosePreparedStatement", close(prepared.to_vec())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a85_headers_make_nobody_somebody_else() {
    let cluster = cluster(600).await;
    let visitor = cluster.user("visitor").await;
    let sql = FlightDescriptor::new_cmd(
        CommandStatementQuery { query: COUNT_ORDERS.to_string(), transaction_id: None }.as_any().encode_to_vec(),
    );
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = call(&visitor, sql.clone());
        for (name, value) in headers {
            let name: AsciiMetadataKey = name.to_lowercase().parse().unwrap();
            request.metadata_mut().append(name, MetadataValue::try_from(*value).unwrap());
        }
        visitor.flight().inner_mut().get_flight_info(request).await.unwrap_err()
    };
    let plain = ask(&[]).await;
    for name in ["x-user", "X-Forwarded-User", "x-chancery-subject", "x-chancery-roles", "user", "role", "cookie"] {
        let told = ask(&[(name, "ana")]).await;
        assert_eq!((told.code(), told.message()), (plain.code(), plain.message()), "{name} is ignored");
    }
    let bearer = format!("Bearer {}", cluster.user("ana").await.flight().token().unwrap());
    let twice = ask(&[("Authorization", &bearer)]).await;
    assert_eq!(twice.code(), tonic::Code::Unauthenticated, "{twice:?}");
    let delegated = {
        let mut request = call(&visitor, sql.clone());
        request
            .metadata_mut()
            .insert_bin("x-chancery-delegation-bin", MetadataValue::from_bytes(b"{\"subject\":\"ana\"}"));
        visitor.flight().inner_mut().get_flight_info(request).await.unwrap_err()
    };
    assert_eq!((delegated.code(), delegated.message()), (plain.code(), plain.message()), "nobody's word is ignored");
}

/// What is done to the headers of a call.
type Change<'a> = &'a dyn Fn(&mut MetadataMap);

#[tokio::test(flavor = "multi_thread")]
async fn a85_who_asks_and_what_for_is_what_was_verified() {
    let cluster = cluster(600).await;
    let sql = FlightDescriptor::new_cmd(
        CommandStatementQuery { query: COUNT_ORDERS.to_string(), transaction_id: None }.as_any().encode_to_vec(),
    );
    let bearer = |client: &Client| format!("Bearer {}", client.flight().token().unwrap());
    let doors = [
        (cluster.user("ana").await, cluster.user("visitor").await),
        (cluster.user_of_site("ana", "north").await, cluster.user_of_site("visitor", "north").await),
    ];
    for (ana, visitor) in doors {
        let ask = async |client: &Client, change: &dyn Fn(&mut MetadataMap)| {
            let mut request = call(client, sql.clone());
            change(request.metadata_mut());
            client.flight().inner_mut().get_flight_info(request).await.map(tonic::Response::into_inner)
        };
        let bytes = |name: &'static str, value: &str| {
            let value = MetadataValue::from_bytes(value.as_bytes());
            move |headers: &mut MetadataMap| {
                headers.insert_bin(name, value.clone());
            }
        };
        let text = |name: &'static str, value: &str| {
            let value: MetadataValue<Ascii> = value.parse().unwrap();
            move |headers: &mut MetadataMap| {
                headers.append(name, value.clone());
            }
        };
        let plain = ask(&visitor, &|_| ()).await.unwrap_err();

        // What is ignored makes the visitor nobody else, and Ana neither.
        let claims = "{\"subject\":\"ana\",\"purpose\":\"care\"}";
        let ignored: [(&str, Change<'_>); 6] = [
            ("another's token", &bytes("authorization-bin", &bearer(&ana))),
            ("a purpose in bytes", &bytes("x-chancery-purpose-bin", "nonsuch")),
            ("the other header of a purpose in bytes", &bytes("purpose-bin", "nonsuch")),
            ("a delegation", &bytes("x-chancery-delegation-bin", claims)),
            ("a delegation as text", &text("x-chancery-delegation", claims)),
            ("a query of a coordinator's", &text("x-chancery-query-id", "0123456789abcdef0123456789abcdef")),
        ];
        for (what, change) in ignored {
            let told = ask(&visitor, change).await.unwrap_err();
            assert_eq!((told.code(), told.message()), (plain.code(), plain.message()), "{what} is ignored");
            let info = ask(&ana, change).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert!(redeem(&ana, ticket_of(&info)).await.unwrap() > 1, "{what}");
            let recorded = records(&cluster.state_of("north"));
            let asker = &of_kind(&recorded, "intent").last().expect("it was answered")["asker"];
            assert_eq!((asker["subject"].as_str(), asker["purpose"].as_str()), (Some("ana"), Some("care")), "{what}");
        }

        // What says two things, or what nobody holds, is refused.
        for (what, value) in [("her own", bearer(&ana)), ("another's", bearer(&visitor)), ("none", "Basic".to_string())]
        {
            let after = ask(&ana, &text("authorization", &value)).await.unwrap_err();
            let before = ask(&ana, &|headers| {
                let own = headers.insert("authorization", value.parse().unwrap()).expect("her own");
                headers.append("authorization", own);
            })
            .await
            .unwrap_err();
            for told in [after, before] {
                assert_eq!(told.code(), tonic::Code::Unauthenticated, "{what} beside her own: {told:?}");
            }
        }
        for (what, headers) in [("a purpose of nobody", ["nonsuch", "nonsuch"]), ("two purposes", ["care", "ward"])] {
            let told = ask(&ana, &|metadata| {
                for purpose in headers {
                    metadata.append("x-chancery-purpose", purpose.parse().unwrap());
                }
            })
            .await
            .unwrap_err();
            assert!(told.message().starts_with("PURPOSE: "), "{what}: {told:?}");
        }

        // Without a header that is verified nobody asks.
        let alone: [(&str, Change<'_>); 5] = [
            ("no header", &|_| ()),
            ("a token in bytes", &bytes("authorization-bin", &bearer(&ana))),
            ("a delegation", &bytes("x-chancery-delegation-bin", claims)),
            ("a delegation as text", &text("x-chancery-delegation", claims)),
            ("a subject", &text("x-chancery-subject", "ana")),
        ];
        for (what, change) in alone {
            let told = ask(&ana, &|headers| {
                headers.remove("authorization");
                change(headers);
            })
            .await
            .unwrap_err();
            assert_eq!(told.code(), tonic::Code::Unauthenticated, "{what}: {told:?}");
        }
    }
}

const GOAWAY: u8 = 0x7;

/// The kind of the frame that ends a call with one more header, which is sent as it is written.
async fn ended_by(address: &str, name: &str, value: &str) -> u8 {
    let mut block = floods::call();
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.as_bytes());
    }
    let call = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[]), call].concat()).await.unwrap();
    loop {
        let mut head = [0; 9];
        let read = timeout(Duration::from_secs(30), stream.read_exact(&mut head)).await.expect("an answer in time");
        if read.is_err() {
            // The door has hung up.
            return GOAWAY;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
        if [HEADERS, RST_STREAM, GOAWAY].contains(&head[3]) {
            return head[3];
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a85_no_header_has_capitals() {
    let cluster = cluster(600).await;
    let ended_by = async |name: &str| ended_by(cluster.address(), name, "Basic YW5hOmFuYQ==").await;
    assert_eq!(ended_by("authorization").await, HEADERS, "it is answered");
    for name in ["Authorization", "AUTHORIZATION", "authorizatioN"] {
        assert_ne!(ended_by(name).await, HEADERS, "{name} is answered");
    }
}

/// The status that a method is answered with, which our own clients do not know.
async fn status_of(mut channel: Channel, method: &str) -> String {
    poll_fn(|context| Service::<http::Request<Body>>::poll_ready(&mut channel, context)).await.unwrap();
    let request = http::Request::post(method).header("content-type", "application/grpc").body(Body::empty()).unwrap();
    let answer = channel.call(request).await.unwrap();
    answer.headers()["grpc-status"].to_str().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a94_what_is_not_offered_is_refused_at_every_door() {
    let cluster = cluster(600).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        assert_eq!(client.query("DESCRIBE north.trade.orders").await.unwrap().schema.fields().len(), 4);
        for action in ["nonsuch", "BeginSavepoint", "EndSavepoint", "CreatePreparedSubstraitPlan", "chancery.view", ""]
        {
            let status = act(&client, action, Vec::new()).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unimplemented, "{action}: {status:?}");
        }
        let listed = client.flight().inner_mut().list_flights(call(&client, Criteria::default())).await;
        assert_eq!(listed.map(|_| ()).unwrap_err().code(), tonic::Code::Unimplemented);
        let empty = stream::iter([FlightData::default()]);
        let put = client.flight().inner_mut().do_put(call(&client, empty.clone())).await;
        assert_eq!(put.map(|_| ()).unwrap_err().code(), tonic::Code::Unimplemented);
        let exchanged = client.flight().inner_mut().do_exchange(call(&client, empty)).await;
        assert_eq!(exchanged.map(|_| ()).unwrap_err().code(), tonic::Code::Unimplemented);
        let path = FlightDescriptor::new_path(vec!["north".to_string()]);
        client.flight().inner_mut().get_flight_info(call(&client, path)).await.unwrap_err();
        let mut actions = client.flight().inner_mut().list_actions(call(&client, Empty {})).await.unwrap().into_inner();
        while let Some(action) = actions.next().await {
            assert!(!action.unwrap().r#type.starts_with("chancery."), "what coordinators ask is told to nobody");
        }
        // Whoever is nobody is told nothing, whatever they call.
        let nobody = client.flight().inner_mut().list_actions(Request::new(Empty {})).await;
        assert_eq!(nobody.map(|_| ()).unwrap_err().code(), tonic::Code::Unauthenticated);
    }
    // A service that is not there says so: a shipped node describes itself to nobody.
    let authority = cluster.authority();
    for (address, authority) in
        [(cluster.address(), None), (cluster.site("north").address(), Some(authority.as_path()))]
    {
        for reflection in ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"] {
            let method = format!("http://{address}/{reflection}/ServerReflectionInfo");
            assert_eq!(status_of(channel(address, authority).await, &method).await, "12", "{reflection} at {address}");
        }
    }
}
