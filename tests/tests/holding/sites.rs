//! A site that sends what it must not: told as that, with little memory, and nothing of it is an answer.

use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, ListArray, ListViewArray, NullArray, RecordBatch, RunArray, StringArray,
    StructArray, UnionArray, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, UnionFields};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, SchemaAsIpc};
use engine::flight::messages::Messages;
use harness::cluster::{Client, Cluster, Options};
use harness::tpch::tpch;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::forged::{Of, batch, dictionary_of_itself, doubled, runs_with, same_column, same_name, views};
use super::{Watched, assert_whole};

/// Its answer is a number and a text; the rows are fused at the coordinator.
const ASKED: &str = "SELECT o_orderkey, o_comment FROM sales.tpch.orders WHERE o_orderkey < 1000";
const OTHER: &str = "SELECT o_orderkey, o_comment FROM sales.tpch.orders WHERE o_orderkey < 900";
/// What an attack may add to the most memory that the coordinator had.
const MEMORY_BYTES: u64 = 200 << 20;
/// The same, where what is sent is a header and no more.
const HEADER_MEMORY_BYTES: u64 = 64 << 20;

/// Schema, batches and trailer.
type Sent = Vec<FlightData>;

async fn cluster() -> Cluster {
    let options = Options { forgers: true, ..Options::default() };
    Cluster::start_with(&tpch(0.01).unwrap(), options).await
}

async fn expect_refused(cluster: &Cluster, client: &Client, what: &str) {
    expect_refused_within(MEMORY_BYTES, cluster, client, what).await;
}

async fn expect_refused_within(memory_bytes: u64, cluster: &Cluster, client: &Client, what: &str) {
    let before = cluster.coordinator().memory_peak_bytes().expect("the coordinator lives");
    let error = match client.query(ASKED).await {
        Ok(answer) => panic!("{what}: an answer of {} batches", answer.batches.len()),
        Err(error) => error,
    };
    assert!(error.starts_with("SITE_PROTOCOL: ") && error.contains("site sales"), "{what}: {error}");
    let after = cluster.coordinator().memory_peak_bytes().expect("the coordinator lives");
    let more = after.saturating_sub(before);
    assert!(more < memory_bytes, "{what}: {} MiB more", more >> 20);
}

/// The messages of these batches, as a site would send them.
fn messages(batch: &RecordBatch, compression: Option<CompressionType>) -> Sent {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut messages = Messages::new(options, usize::MAX);
    let mut sent = vec![messages.schema(&batch.schema())];
    sent.extend(messages.batch(batch).unwrap().into_iter().map(|(_, message)| message));
    sent
}

/// The answer's columns with so many rows of one value each.
fn rows(count: usize) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; count]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![""; count]));
    RecordBatch::try_from_iter([("c0", numbers), ("c1", texts)]).unwrap()
}

/// The first batch of an answer is this one instead.
fn instead(sent: Sent, forged: impl Fn(FlightData) -> FlightData) -> Sent {
    sent.into_iter().enumerate().map(|(place, message)| if place == 1 { forged(message) } else { message }).collect()
}

/// A compressed batch whose first buffer says that it is so long.
fn claiming(compression: CompressionType, length: i64) -> impl Fn(FlightData) -> FlightData {
    let honest = messages(&rows(100_000), Some(compression)).remove(1);
    let real = (100_000_i64 * 8).to_le_bytes();
    let mut body = honest.data_body.to_vec();
    let place = body.windows(8).position(|window| window == real).expect("the length of the numbers");
    body[place..place + 8].copy_from_slice(&length.to_le_bytes());
    let forged = honest.with_data_body(body);
    move |_| forged.clone()
}

/// A header in which this number is that one.
fn patched(message: &FlightData, from: i64, to: i64) -> FlightData {
    let mut header = message.data_header.to_vec();
    let places: Vec<_> =
        (0..header.len().saturating_sub(7)).filter(|place| header[*place..place + 8] == from.to_le_bytes()).collect();
    assert!(!places.is_empty(), "no {from} in the header");
    for place in places {
        header[place..place + 8].copy_from_slice(&to.to_le_bytes());
    }
    FlightData { data_header: header.into(), ..message.clone() }
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn schema_of(fields: Vec<Field>) -> FlightData {
    SchemaAsIpc::new(&Schema::new(fields), &IpcWriteOptions::default()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a103_what_cannot_be_decoded_is_not() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let expected = client.query(ASKED).await.unwrap().batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    assert!(expected > 100);
    let watched = Watched::begin(&cluster, "sales");
    let forger = cluster.forger("sales");
    for (name, codec) in [("LZ4", CompressionType::LZ4_FRAME), ("ZSTD", CompressionType::ZSTD)] {
        let bomb = messages(&rows(16 << 20), Some(codec)).remove(1);
        assert!(bomb.data_body.len() < 4 << 20, "it is small while nobody reads it");
        forger.set(move |sent| instead(sent, |_| bomb.clone()));
        expect_refused(&cluster, &client, &format!("a {name} bomb")).await;
        for length in [100 << 30, i64::MAX, -5, i64::MIN, 8, 0] {
            let forged = claiming(codec, length);
            forger.set(move |sent| instead(sent, &forged));
            expect_refused(&cluster, &client, &format!("{name} of a length of {length}")).await;
        }
    }
    let plain = messages(&rows(1_000), None).remove(1);
    let half = plain.clone().with_data_body(plain.data_body[..plain.data_body.len() / 2].to_vec());
    let broken = [
        ("half a body", half),
        ("a negative length of a buffer", patched(&plain, 8_000, -8)),
        ("a buffer without end", patched(&plain, 8_000, i64::MAX)),
        ("a negative number of rows", patched(&plain, 1_000, -1)),
        ("more rows than there are", patched(&plain, 1_000, 1_000_000_000)),
        ("no header", FlightData { data_header: vec![].into(), ..plain.clone() }),
        ("a header that is none", FlightData { data_header: vec![0xFF; 1_000].into(), ..plain.clone() }),
        ("offsets out of range", {
            let mut body = plain.data_body.to_vec();
            let length = body.len();
            body[length - 4_200..].fill(0x7F);
            plain.clone().with_data_body(body)
        }),
    ];
    for (what, forged) in broken {
        forger.set(move |sent| instead(sent, |_| forged.clone()));
        expect_refused(&cluster, &client, what).await;
    }
    let no_text: ArrayRef = Arc::new(StringArray::from(vec!["ASCII text that becomes none"; 100]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; 100]));
    let mut batch = messages(&RecordBatch::try_from_iter([("c0", numbers), ("c1", no_text)]).unwrap(), None).remove(1);
    let mut body = batch.data_body.to_vec();
    body.iter_mut().filter(|byte| byte.is_ascii_alphabetic()).for_each(|byte| *byte = 0xFF);
    batch = batch.with_data_body(body);
    forger.set(move |sent| instead(sent, |_| batch.clone()));
    expect_refused(&cluster, &client, "bytes that are no text").await;

    let wide = schema_of((0..100_000).map(|n| field(&format!("c{n}"), DataType::Int64)).collect());
    forger.set(move |sent| std::iter::once(wide.clone()).chain(sent.into_iter().skip(1)).collect());
    expect_refused(&cluster, &client, "very many columns").await;

    forger.set(|sent| sent);
    let rows = client.query(ASKED).await.unwrap().batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(rows, expected, "what is honest is taken again");
    watched.end("A103");
    assert_whole(&cluster, &["sales"]);
}

/// Buffers of ten rows of the answer's columns, a number and a text.
const TEN_ROWS: [(i64, i64); 5] = [(0, 0), (0, 80), (0, 0), (0, 44), (0, 0)];

#[tokio::test(flavor = "multi_thread")]
async fn a103_what_a_header_names_is_not_made() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let expected = sorted(&client.query(ASKED).await.unwrap().batches);
    let watched = Watched::begin(&cluster, "sales");
    let forger = cluster.forger("sales");
    let refused = async |what: &str| expect_refused_within(HEADER_MEMORY_BYTES, &cluster, &client, what).await;

    let many = vec![0; 1_000_000];
    let counts: [&[i64]; 8] = [&[0], &[-1], &[6], &[1 << 40], &[i64::MIN], &[i64::MAX; 4], &[5, 1], &many];
    for counts in counts {
        let forged = batch(Of::Columns, 10, 2, &TEN_ROWS, counts);
        forger.set(move |sent| instead(sent, |_| forged.clone()));
        refused(&format!("{} counts of buffers, at first {}", counts.len(), counts[0])).await;
        let (schema, forged) = (views(2), batch(Of::Columns, 10, 2, &[(0, 0), (0, 160), (0, 0), (0, 160)], counts));
        forger.set(move |sent| [schema.clone(), forged.clone()].into_iter().chain(sent.into_iter().skip(2)).collect());
        refused(&format!("{} counts of buffers of views, at first {}", counts.len(), counts[0])).await;
    }
    let nodes = batch(Of::Columns, 10, 1_000_000, &TEN_ROWS, &[]);
    forger.set(move |sent| instead(sent, |_| nodes.clone()));
    refused("a batch of a million columns").await;

    for (what, schema) in [
        ("a million columns", same_column(1_000_000)),
        ("as many columns as a header may have", same_column(400_000)),
        ("columns of many fields within each other", doubled(17)),
        ("columns of many long names", same_name(10_000)),
        ("a dictionary of itself", dictionary_of_itself()),
    ] {
        forger.set(move |sent| std::iter::once(schema.clone()).chain(sent.into_iter().skip(1)).collect());
        refused(what).await;
    }
    for (what, id, adds) in [("a dictionary of no column", 7, false), ("one that adds to none", 7, true)] {
        let dictionary = batch(Of::Dictionary { id, adds }, 10, 1, &TEN_ROWS[2..], &[]);
        forger.set(move |mut sent| {
            sent.insert(1, dictionary.clone());
            sent
        });
        refused(what).await;
    }

    forger.set(|sent| sent);
    assert!(sorted(&client.query(ASKED).await.unwrap().batches) == expected, "what is honest is taken again");
    watched.end("A103");
    assert_whole(&cluster, &["sales"]);
}

/// Binds these messages as the parameters of a statement.
async fn bind(client: &Client, messages: Sent) -> Result<(), String> {
    let told = |error: FlightError| harness::cluster::client::told(&error);
    let mut flight = client.flight();
    let query = "SELECT $1 + 1, $2".to_string();
    let request = ActionCreatePreparedStatementRequest { query, transaction_id: None };
    let body = request.as_any().encode_to_vec().into();
    let action = Action { r#type: "CreatePreparedStatement".to_string(), body };
    let created = flight.do_action(tonic::Request::new(action)).await.map_err(told)?.message().await.unwrap().unwrap();
    let created: ActionCreatePreparedStatementResult = Any::decode(created.body).unwrap().unpack().unwrap().unwrap();
    let command = CommandPreparedStatementQuery { prepared_statement_handle: created.prepared_statement_handle };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let mut messages = messages;
    messages[0].flight_descriptor = Some(descriptor);
    let mut results = flight.do_put(futures::stream::iter(messages)).await.map_err(told)?;
    results.message().await.map(|_| ()).map_err(|status| status.message().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a103_a_client_is_no_more_trusted_than_a_site() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    bind(&client, messages(&rows(1), None)).await.unwrap();
    bind(&client, messages(&rows(1), Some(CompressionType::ZSTD))).await.unwrap();
    let schema = messages(&rows(1), None).remove(0);
    let plain = messages(&rows(1_000), None).remove(1);
    let mut forged = vec![patched(&plain, 8_000, i64::MAX), patched(&plain, 1_000, 1_000_000_000)];
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        forged.push(messages(&rows(16 << 20), Some(codec)).remove(1));
        forged.extend([100 << 30, i64::MAX, -5, 8].map(|length| claiming(codec, length)(schema.clone())));
    }
    let before = cluster.coordinator().memory_peak_bytes().unwrap();
    for (number, message) in forged.into_iter().enumerate() {
        let error = bind(&client, vec![schema.clone(), message]).await.expect_err("it is refused");
        assert!(error.starts_with("TYPE: "), "{number}: {error}");
    }
    let after = cluster.coordinator().memory_peak_bytes().unwrap();
    let more = after.saturating_sub(before);
    assert!(more < MEMORY_BYTES, "{} MiB more", more >> 20);
    assert_whole(&cluster, &["sales"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a103_what_a_clients_header_names_is_not_made() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let text = |counts: &[i64]| vec![views(1), batch(Of::Columns, 1, 1, &[(0, 0), (0, 16)], counts)];
    bind(&client, text(&[0])).await.unwrap();
    let many = vec![0; 1_000_000];
    let counts: [&[i64]; 7] = [&[], &[1], &[-1], &[1 << 40], &[i64::MAX], &[0, 0], &many];
    let mut forged: Vec<(String, Sent)> =
        counts.into_iter().map(|counts| (format!("{} counts of buffers", counts.len()), text(counts))).collect();
    // Of no rows: a value by the keys of the dictionary within.
    let values = |id, adds| batch(Of::Dictionary { id, adds }, 0, 2, &[(0, 0); 3], &[]);
    let own = dictionary_of_itself;
    for (what, messages) in [
        ("a dictionary of no column", vec![own(), values(7, false)]),
        ("one that adds to none", vec![own(), values(0, true)]),
        ("a dictionary of itself", vec![own(), values(0, false), values(0, false)]),
        ("columns of many fields within each other", vec![doubled(17)]),
        ("columns of many long names", vec![same_name(10_000)]),
        ("a million columns", vec![same_column(1_000_000)]),
    ] {
        forged.push((what.to_string(), messages));
    }
    for (what, messages) in forged {
        let before = cluster.coordinator().memory_peak_bytes().unwrap();
        let error = bind(&client, messages).await.expect_err(&what);
        assert!(error.starts_with("TYPE: "), "{what}: {error}");
        let more = cluster.coordinator().memory_peak_bytes().unwrap().saturating_sub(before);
        assert!(more < HEADER_MEMORY_BYTES, "{what}: {} MiB more", more >> 20);
    }
    assert_whole(&cluster, &["sales"]);
}

/// Two lists of a text in runs that end there, as a client sends them.
fn in_runs(ends: &[i32], text: &str) -> Sent {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text; ends.len()]));
    let runs: ArrayRef = Arc::new(RunArray::try_new(&Int32Array::from(ends.to_vec()), &texts).unwrap());
    let offsets = OffsetBuffer::new(vec![0, ends[ends.len() - 1]].into());
    let item = Arc::new(field("item", runs.data_type().clone()));
    let list: ArrayRef = Arc::new(ListArray::new(item, offsets, runs, None));
    messages(&RecordBatch::try_from_iter([("$1", Arc::clone(&list)), ("$2", list)]).unwrap(), None)
}

/// A list of so many views of the same values, each of so many.
fn in_views(views: usize, size: i32, values: ArrayRef) -> Sent {
    let item = Arc::new(field("item", values.data_type().clone()));
    let (starts, sizes) = (vec![0; views].into(), vec![size; views].into());
    let shown: ArrayRef = Arc::new(ListViewArray::new(item, starts, sizes, values, None));
    in_list(shown)
}

/// One list of all these values.
fn in_list(values: ArrayRef) -> Sent {
    let offsets = OffsetBuffer::new(vec![0, i32::try_from(values.len()).unwrap()].into());
    let item = Arc::new(field("item", values.data_type().clone()));
    let list: ArrayRef = Arc::new(ListArray::new(item, offsets, values, None));
    messages(&RecordBatch::try_from_iter([("$1", list)]).unwrap(), None)
}

/// As many numbers.
fn sevens(numbers: usize) -> ArrayRef {
    Arc::new(Int64Array::from(vec![7; numbers]))
}

/// One struct of so many fields, none of which has any byte.
fn wide(fields: usize) -> ArrayRef {
    let part = (Arc::new(field("a", DataType::Null)), Arc::new(NullArray::new(1)) as ArrayRef);
    Arc::new(StructArray::from(vec![part; fields]))
}

/// NULLs above numbers in a union of which this is the first type: each number becomes a NULL of it.
fn in_union(first: &DataType, numbers: usize) -> Sent {
    let fields = [field("first", first.clone()), field("second", DataType::Int64)];
    let fields = UnionFields::try_new([0, 1], fields).unwrap();
    let places = (0..i32::try_from(numbers).unwrap()).collect::<Vec<_>>();
    let children = vec![new_empty_array(first), sevens(numbers)];
    let union = UnionArray::try_new(fields, vec![1; numbers].into(), Some(places.into()), children);
    let union: ArrayRef = Arc::new(union.unwrap());
    let fields = vec![field("union", union.data_type().clone())];
    in_list(Arc::new(StructArray::new(fields.into(), vec![union], Some(NullBuffer::new_null(numbers)))))
}

fn list_of(values: &ArrayRef) -> DataType {
    DataType::List(Arc::new(field("item", values.data_type().clone())))
}

/// Lists within lists, each of as many as there may be.
fn tower(levels: usize) -> DataType {
    let list = |of: DataType, _| DataType::FixedSizeList(Arc::new(field("item", of)), i32::MAX);
    (0..levels).fold(DataType::FixedSizeBinary(0), list)
}

/// The same messages, with that number for this one where the runs end.
fn ending(sent: &[FlightData], from: i32, to: i32) -> Sent {
    let [schema, batch] = sent else { panic!("a schema and a batch") };
    let mut body = batch.data_body.to_vec();
    let mut places = (0..body.len() - 3).filter(|place| body[*place..place + 4] == from.to_le_bytes());
    let place = places.next().expect("an end");
    body[place..place + 4].copy_from_slice(&to.to_le_bytes());
    vec![schema.clone(), batch.clone().with_data_body(body)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a103_what_a_client_sends_in_runs_is_no_more_than_it_may_bind() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    bind(&client, in_runs(&[2, 3], "a text")).await.unwrap();
    bind(&client, in_views(2, 3, sevens(3))).await.unwrap();
    bind(&client, in_union(&DataType::Utf8, 2)).await.unwrap();
    let honest = in_runs(&[70_001, 70_002], "x");
    let claiming = |values: i64| vec![honest[0].clone(), patched(&honest[1], 70_002, values)];
    let (malformed, large) = ("TYPE: ", "COMPLEXITY: ");
    let mut forged = vec![
        ("ends that go back", malformed, ending(&honest, 70_001, 70_003)),
        ("ends that stay", malformed, ending(&honest, 70_001, 70_002)),
        ("a negative end", malformed, ending(&honest, 70_001, -1)),
        ("a run of nothing", malformed, ending(&honest, 70_001, 0)),
        ("more values than runs", malformed, claiming(70_003)),
        ("many more values than runs", malformed, claiming(1 << 27)),
        ("more values than a batch has", malformed, claiming(1 << 29)),
        ("values without end", malformed, claiming(i64::MAX)),
        ("fewer values than none", malformed, claiming(-1)),
        ("a long run", large, in_runs(&[1 << 27], "")),
        ("a long run of a text", large, in_runs(&[1 << 20], &"x".repeat(1 << 10))),
        ("many views of the same values", large, in_views(10_000, 10_000, sevens(10_000))),
        ("many views of a struct of many fields", large, in_views(400, 1, wide(2_000))),
        ("a NULL of many of nothing", large, in_union(&tower(1), 1)),
        ("a NULL of more than there is memory", large, in_union(&tower(2), 1)),
        ("many NULLs of lists of many fields", large, in_union(&list_of(&wide(1_000)), 1_000)),
    ];
    forged.extend((0..4).map(|fields| ("runs of other fields", malformed, vec![runs_with(fields)])));
    for (what, refused, messages) in forged {
        let before = cluster.coordinator().memory_peak_bytes().unwrap();
        let error = bind(&client, messages).await.expect_err(what);
        assert!(error.starts_with(refused), "{what}: {error}");
        let more = cluster.coordinator().memory_peak_bytes().unwrap().saturating_sub(before);
        assert!(more < HEADER_MEMORY_BYTES, "{what}: {} MiB more", more >> 20);
    }
    assert_whole(&cluster, &["sales"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a104_what_was_not_asked_for_is_no_answer() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let forger = cluster.forger("sales");
    client.query(ASKED).await.unwrap();
    let number = || field("c0", DataType::Int64);
    let text = || field("c1", DataType::Utf8);
    let schemas = [
        ("one column less", vec![number()]),
        ("one column more", vec![number(), text(), number()]),
        ("columns in another order", vec![text(), number()]),
        ("another type of the same width", vec![field("c0", DataType::Float64), text()]),
        ("another type", vec![field("c0", DataType::LargeUtf8), text()]),
        ("no column", vec![]),
    ];
    for (what, fields) in schemas {
        let schema = schema_of(fields);
        forger.set(move |sent| std::iter::once(schema.clone()).chain(sent.into_iter().skip(1)).collect());
        expect_refused(&cluster, &client, what).await;
    }
    forger.set(|mut sent| {
        sent.insert(1, sent[1].clone());
        sent
    });
    expect_refused(&cluster, &client, "more rows than the trailer says").await;
    forger.set(|mut sent| {
        sent.remove(1);
        sent
    });
    expect_refused(&cluster, &client, "fewer rows than the trailer says").await;
    let forged = messages(&rows(10), None).remove(1);
    forger.set(move |sent| instead(sent, |_| forged.clone()));
    expect_refused(&cluster, &client, "rows with the trailer of others").await;
    forger.set(|mut sent| {
        let trailer = sent.last_mut().expect("a trailer");
        trailer.app_metadata = vec![b'['; 1 << 20].into();
        sent
    });
    expect_refused(&cluster, &client, "a trailer that is none").await;

    // The whole answer to another statement, its trailer too; and to the same one, asked before.
    for before in [OTHER, ASKED] {
        let kept: Arc<Mutex<Sent>> = Arc::default();
        let keeping = Arc::clone(&kept);
        forger.set(move |sent| {
            keeping.lock().unwrap().clone_from(&sent);
            sent
        });
        client.query(before).await.unwrap();
        forger.set(move |_| kept.lock().unwrap().clone());
        expect_refused(&cluster, &client, "the answer to another request").await;
    }
    assert_whole(&cluster, &["sales"]);
}

/// The rows as texts, in an order of their own.
fn sorted(batches: &[RecordBatch]) -> Vec<String> {
    let told = arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string();
    let mut rows: Vec<String> = told.lines().map(str::to_string).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a103_no_bit_can_be_changed_unseen() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let forger = cluster.forger("sales");
    let honest = sorted(&client.query(ASKED).await.unwrap().batches);
    for seed in 0..harness::environment::number("CHANCERY_MUTATIONS", 150_u64) {
        forger.set(move |mut sent| {
            let mut random = StdRng::seed_from_u64(seed);
            let count = sent.len();
            let message = &mut sent[random.random_range(0..count)];
            let of_header = random.random_bool(0.7) || message.data_body.is_empty();
            let part = if of_header { &mut message.data_header } else { &mut message.data_body };
            let mut bytes = part.to_vec();
            let place = random.random_range(0..bytes.len());
            bytes[place] ^= 1 << random.random_range(0..8);
            *part = bytes.into();
            sent
        });
        // What a site adds to its trailer's own message is not looked at; what the rows hold is.
        match client.query(ASKED).await {
            Ok(answer) => assert!(sorted(&answer.batches) == honest, "seed {seed}: another answer"),
            Err(error) => assert!(error.starts_with("SITE_PROTOCOL: "), "seed {seed}: {error}"),
        }
    }
    forger.set(|sent| sent);
    client.query(ASKED).await.unwrap();
    // Where a header is changed so that the decoder panics, that is caught and told like the rest.
    assert!(cluster.coordinator().memory_peak_bytes().is_some());
}
