//! Everything that leaves a node for one statement, as bytes: what a client of one's own would see that hides nothing.
//!
//! The connection is encrypted, so the relay at the border sees nothing; this is the client's end of it.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use prost::Message;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A part of what left: its name, and its bytes as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which call, which part of it, for example `DoGet frame 2 body`.
    pub name: String,
    /// The bytes, what differs from run to run masked.
    pub bytes: Vec<u8>,
}

/// All that left, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The parts.
    pub parts: Vec<Part>,
    /// The identity of the query, as the node told it; in the parts it is masked.
    pub query: Option<String>,
}

/// A client that keeps what it receives as it came.
#[derive(Debug, Clone)]
pub struct RawClient {
    flight: FlightServiceClient<Channel>,
    headers: MetadataMap,
}

impl RawClient {
    /// Over a channel, with these headers on every call: `authorization`, and the purpose if any.
    pub fn new(channel: Channel, headers: MetadataMap) -> Self {
        Self { flight: FlightServiceClient::new(channel).max_decoding_message_size(64 << 20), headers }
    }

    /// Asks for a statement and fetches all its endpoints.
    pub async fn capture(&self, sql: &str) -> Capture {
        let command = CommandStatementQuery { query: sql.to_string(), transaction_id: None };
        self.capture_command(command.as_any()).await
    }

    /// The same for any Flight SQL command, as those that ask for metadata.
    pub async fn capture_command(&self, command: Any) -> Capture {
        let mut capture = Capture::default();
        let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
        match self.flight.clone().get_flight_info(self.request(descriptor)).await {
            Err(status) => capture.status("GetFlightInfo", &status),
            Ok(response) => {
                capture.headers("GetFlightInfo headers", response.metadata());
                let info = response.into_inner();
                let tickets: Vec<Ticket> =
                    info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.clone()).collect();
                capture.info(info);
                for ticket in tickets {
                    self.fetch(ticket, &mut capture).await;
                }
            }
        }
        capture
    }

    /// Fetches a ticket.
    pub async fn capture_ticket(&self, ticket: Ticket) -> Capture {
        let mut capture = Capture::default();
        self.fetch(ticket, &mut capture).await;
        capture
    }

    async fn fetch(&self, ticket: Ticket, capture: &mut Capture) {
        let response = match self.flight.clone().do_get(self.request(ticket)).await {
            Ok(response) => response,
            Err(status) => return capture.status("DoGet", &status),
        };
        capture.headers("DoGet headers", response.metadata());
        let mut frames = response.into_inner();
        for number in 0.. {
            match frames.message().await {
                Ok(Some(frame)) => {
                    let of_frame = |what: &str| format!("DoGet frame {number} {what}");
                    // Fields that we do not know of would be lost by reading them, but not their length.
                    capture.part(of_frame("length"), frame.encoded_len().to_string().into_bytes());
                    capture.part(of_frame("header"), frame.data_header.to_vec());
                    capture.part(of_frame("body"), frame.data_body.to_vec());
                    capture.part(of_frame("metadata"), frame.app_metadata.to_vec());
                    let descriptor = frame.flight_descriptor.map(|descriptor| descriptor.encode_to_vec());
                    capture.part(of_frame("descriptor"), descriptor.unwrap_or_default());
                }
                Ok(None) => break,
                Err(status) => return capture.status("DoGet", &status),
            }
        }
        match frames.trailers().await {
            Ok(trailers) => capture.headers("DoGet trailers", &trailers.unwrap_or_default()),
            Err(status) => capture.status("DoGet trailers", &status),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }
}

impl Capture {
    /// All bytes in one piece, each part under its name: two captures are equal when these are.
    pub fn bytes(&self) -> Vec<u8> {
        let part = |part: &Part| [format!("\n--- {}\n", part.name).as_bytes(), &part.bytes].concat();
        self.parts.iter().flat_map(part).collect()
    }

    /// The names of the first parts that differ, with what they hold; `None` when all is equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let length = self.parts.len().max(other.parts.len());
        let unequal =
            (0..length).map(|i| (self.parts.get(i), other.parts.get(i))).find(|(left, right)| left != right)?;
        let told = |part: Option<&Part>| match part {
            Some(part) => format!("{}: {}", part.name, part.bytes.escape_ascii()),
            None => "nothing more".to_string(),
        };
        Some(format!("left {}\nright {}", told(unequal.0), told(unequal.1)))
    }

    /// The code and sentence of an error, if one ended it.
    pub fn error(&self) -> Option<String> {
        let message = self.parts.iter().find(|part| part.name.ends_with("status message"))?;
        Some(String::from_utf8_lossy(&message.bytes).into_owned())
    }

    /// How many frames hold rows, empty ones too; a schema is a frame before them.
    pub fn frames(&self) -> usize {
        self.parts.iter().filter(|part| part.name.ends_with(" header") && part.name.starts_with("DoGet frame")).count()
    }

    fn part(&mut self, name: String, bytes: Vec<u8>) {
        self.parts.push(Part { name, bytes });
    }

    fn headers(&mut self, name: &str, headers: &MetadataMap) {
        if let Some(id) = headers.get(QUERY_ID).and_then(|id| id.to_str().ok()) {
            self.query = Some(id.to_string());
        }
        self.part(name.to_string(), written(headers).into_bytes());
    }

    fn status(&mut self, call: &str, status: &Status) {
        self.part(format!("{call} status code"), format!("{:?}", status.code()).into_bytes());
        self.part(format!("{call} status message"), masked(status.message()).into_bytes());
        self.part(format!("{call} status details"), status.details().to_vec());
        self.headers(&format!("{call} status headers"), status.metadata());
    }

    /// Tickets and expiry differ from run to run: of the one its length is kept, of the other whether there is one.
    fn info(&mut self, mut info: FlightInfo) {
        for endpoint in &mut info.endpoint {
            if let Some(ticket) = &mut endpoint.ticket {
                ticket.ticket = vec![b'#'; ticket.ticket.len()].into();
            }
            if let Some(expiry) = &mut endpoint.expiration_time {
                (expiry.seconds, expiry.nanos) = (0, 0);
            }
        }
        self.part("FlightInfo schema".to_string(), info.schema.to_vec());
        self.part("FlightInfo metadata".to_string(), info.app_metadata.to_vec());
        self.part("FlightInfo".to_string(), info.encode_to_vec());
    }
}

/// Headers by name, but for what differs from run to run.
fn written(headers: &MetadataMap) -> String {
    let line = |header: KeyAndValueRef<'_>| match header {
        KeyAndValueRef::Ascii(name, _) if PER_RUN.contains(&name.as_str()) => format!("{name}: #\n"),
        KeyAndValueRef::Ascii(name, value) => {
            format!("{name}: {}\n", masked(&value.as_bytes().escape_ascii().to_string()))
        }
        KeyAndValueRef::Binary(name, value) => match value.to_bytes() {
            Ok(bytes) => format!("{name}: {}\n", bytes.escape_ascii()),
            Err(_) => format!("{name}: not base64\n"),
        },
    };
    let mut lines: Vec<String> = headers.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

/// Headers whose values are another each time.
const PER_RUN: [&str; 2] = ["date", QUERY_ID];
const QUERY_ID: &str = "x-chancery-query-id";

/// The text with every run of 32 hexadecimal digits (a query's id) masked.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_hexdigit() {
            digits.push(letter);
            continue;
        }
        if digits.len() == 32 {
            masked.push_str("<id>");
        } else {
            masked.push_str(&digits);
        }
        digits.clear();
        masked.push(letter);
    }
    masked.pop();
    masked
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
    use arrow_flight::sql::server::FlightSqlService;
    use arrow_flight::sql::{SqlInfo, TicketStatementQuery};
    use arrow_flight::utils::batches_to_flight_data;
    use arrow_flight::{FlightData, FlightEndpoint};
    use futures::stream;
    use tonic::transport::server::TcpIncoming;
    use tonic::transport::{Endpoint, Server};
    use tonic::{Code, Response};

    use super::*;

    /// Answers `ok <n>` with the number n, ends `broken <n>` with an error after its first frame, and refuses all else.
    #[derive(Clone)]
    struct Fake;

    type Frames = Pin<Box<dyn futures::Stream<Item = Result<FlightData, Status>> + Send>>;

    fn numbered<T>(message: T) -> Response<T> {
        let mut response = Response::new(message);
        let id = format!("{:032x}", rand::random::<u128>());
        response.metadata_mut().insert("x-chancery-query-id", id.parse().unwrap());
        response
    }

    #[tonic::async_trait]
    impl FlightSqlService for Fake {
        type FlightService = Fake;

        async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}

        async fn get_flight_info_statement(
            &self,
            query: CommandStatementQuery,
            request: Request<FlightDescriptor>,
        ) -> Result<Response<FlightInfo>, Status> {
            assert_eq!(request.metadata().get("x-chancery-purpose").unwrap(), "care");
            if !query.query.starts_with(['o', 'b']) {
                let sentence = format!("NOT_FOUND: query {:032x} knows no such table", rand::random::<u128>());
                return Err(Status::with_details(Code::NotFound, sentence, "details".into()));
            }
            let ticket = TicketStatementQuery {
                statement_handle: format!("{}/{:032x}", query.query, rand::random::<u128>()).into(),
            };
            let ticket = Ticket::new(ticket.as_any().encode_to_vec());
            Ok(numbered(FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(ticket))))
        }

        async fn do_get_statement(
            &self,
            ticket: TicketStatementQuery,
            _: Request<Ticket>,
        ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
            let statement = String::from_utf8(ticket.statement_handle.to_vec()).unwrap();
            let (kind, number) = statement.split_once('/').unwrap().0.split_once(' ').unwrap();
            let numbers: Int64Array = vec![number.parse::<i64>().unwrap()].into();
            let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).unwrap();
            let mut frames: Vec<_> =
                batches_to_flight_data(&batch.schema(), vec![batch]).unwrap().into_iter().map(Ok).collect();
            if kind == "broken" {
                frames.truncate(1);
                frames.push(Err(Status::invalid_argument("EVAL: division by zero")));
            }
            let frames: Frames = Box::pin(stream::iter(frames));
            Ok(numbered(frames))
        }
    }

    async fn client() -> RawClient {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        tokio::spawn(Server::builder().add_service(FlightServiceServer::new(Fake)).serve_with_incoming(incoming));
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut headers = MetadataMap::new();
        headers.insert("x-chancery-purpose", "care".parse().unwrap());
        RawClient::new(channel, headers)
    }

    #[tokio::test]
    async fn what_differs_from_run_to_run_is_masked_and_nothing_else() {
        let client = client().await;
        for statement in ["ok 7", "broken 7", "refused"] {
            let (once, again) = (client.capture(statement).await, client.capture(statement).await);
            assert_eq!(once.difference(&again), None, "{statement}");
            assert_eq!(once.bytes(), again.bytes(), "{statement}");
        }
        let (seven, eight) = (client.capture("ok 7").await, client.capture("ok 8").await);
        assert!(seven.difference(&eight).unwrap().starts_with("left DoGet frame 1 body"));
        assert_eq!((seven.frames(), seven.error()), (2, None));
        assert!(
            seven
                .parts
                .iter()
                .any(|part| part.bytes == b"content-type: application/grpc\ndate: #\nx-chancery-query-id: #\n")
        );
    }

    #[tokio::test]
    async fn errors_are_kept_with_all_that_they_tell() {
        let client = client().await;
        let broken = client.capture("broken 7").await;
        assert_eq!((broken.frames(), broken.error()), (1, Some("EVAL: division by zero".to_string())));
        let refused = client.capture("refused").await;
        assert_eq!(
            (refused.frames(), refused.error()),
            (0, Some("NOT_FOUND: query <id> knows no such table".to_string()))
        );
        assert!(refused.parts.iter().any(|part| part.name.ends_with("details") && part.bytes == b"details"));
    }
}
