//! Headers of messages that no writer of Arrow makes. What they name is small, and would be large: a field, a text or a count
//! stands in them once and is pointed at from many places.

use arrow::datatypes::Schema;
use arrow::ipc;
use arrow::ipc::convert::IpcSchemaEncoder;
use arrow_flight::FlightData;

/// Whose values a batch has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Columns,
    /// A dictionary's of that id, perhaps beside those that it has.
    Dictionary {
        id: i64,
        adds: bool,
    },
}

/// An empty builder of messages, which only Arrow's own crates can name.
macro_rules! builder {
    () => {{
        let mut builder = IpcSchemaEncoder::new().schema_to_fb(&Schema::empty());
        builder.reset();
        builder
    }};
}

/// The message of a header and a body.
macro_rules! message {
    ($builder:ident, $kind:ident, $header:expr, $body:expr) => {{
        let (header, body): (_, Vec<u8>) = ($header, $body);
        let args = ipc::MessageArgs {
            version: ipc::MetadataVersion::V5,
            header_type: ipc::MessageHeader::$kind,
            header: Some(header.as_union_value()),
            bodyLength: i64::try_from(body.len()).unwrap(),
            custom_metadata: None,
        };
        let message = ipc::Message::create(&mut $builder, &args);
        $builder.finish(message, None);
        FlightData::new().with_data_header($builder.finished_data().to_vec()).with_data_body(body)
    }};
}

/// A field of a type without parameters, with its children and the id of its dictionary.
macro_rules! field {
    ($builder:ident, $name:expr, $kind:ident, $args:ident, $children:expr, $dictionary:expr) => {{
        let children = $children;
        let dictionary: Option<i64> = $dictionary;
        let dictionary = dictionary.map(|id| {
            let keys = ipc::Int::create(&mut $builder, &ipc::IntArgs { bitWidth: 32, is_signed: true });
            let args = ipc::DictionaryEncodingArgs { id, indexType: Some(keys), ..Default::default() };
            ipc::DictionaryEncoding::create(&mut $builder, &args)
        });
        let name = $builder.create_string($name);
        let type_ = ipc::$kind::create(&mut $builder, &ipc::$args {});
        let args = ipc::FieldArgs {
            name: Some(name),
            nullable: true,
            type_type: ipc::Type::$kind,
            type_: Some(type_.as_union_value()),
            dictionary,
            children,
            custom_metadata: None,
        };
        ipc::Field::create(&mut $builder, &args)
    }};
}

macro_rules! schema {
    ($builder:ident, $fields:expr) => {{
        let fields = $builder.create_vector($fields);
        let args = ipc::SchemaArgs { fields: Some(fields), ..Default::default() };
        let schema = ipc::Schema::create(&mut $builder, &args);
        message!($builder, Schema, schema, Vec::new())
    }};
}

/// A batch of so many rows without NULLs, with so many columns, with these buffers of zeros and these counts of buffers of
/// views.
pub(super) fn batch(of: Of, rows: i64, columns: usize, buffers: &[(i64, i64)], counts: &[i64]) -> FlightData {
    let mut builder = builder!();
    let body_bytes = buffers.iter().map(|(start, length)| start + length).max().unwrap_or_default();
    let body = vec![0; usize::try_from(body_bytes).unwrap()];
    let nodes = builder.create_vector(&vec![ipc::FieldNode::new(rows, 0); columns]);
    let buffers: Vec<_> = buffers.iter().map(|&(start, length)| ipc::Buffer::new(start, length)).collect();
    let buffers = builder.create_vector(&buffers);
    let counts = (!counts.is_empty()).then(|| builder.create_vector(counts));
    let args = ipc::RecordBatchArgs {
        length: rows,
        nodes: Some(nodes),
        buffers: Some(buffers),
        compression: None,
        variadicBufferCounts: counts,
    };
    let data = ipc::RecordBatch::create(&mut builder, &args);
    match of {
        Of::Columns => message!(builder, RecordBatch, data, body),
        Of::Dictionary { id, adds } => {
            let args = ipc::DictionaryBatchArgs { id, data: Some(data), isDelta: adds };
            let dictionary = ipc::DictionaryBatch::create(&mut builder, &args);
            message!(builder, DictionaryBatch, dictionary, body)
        }
    }
}

/// The schema of one column, so many times.
pub(super) fn same_column(times: usize) -> FlightData {
    let mut builder = builder!();
    let column = field!(builder, "c", Utf8, Utf8Args, None, None);
    schema!(builder, &vec![column; times])
}

/// The schema of a column with one field of a name of 64 KiB, so many times.
pub(super) fn same_name(times: usize) -> FlightData {
    let mut builder = builder!();
    let within = field!(builder, &"n".repeat(64 << 10), Utf8, Utf8Args, None, None);
    let children = builder.create_vector(&vec![within; times]);
    let column = field!(builder, "c", Struct_, Struct_Args, Some(children), None);
    schema!(builder, &[column, column])
}

/// The schema of a column with twice the same field, which has twice the same field, on so many levels.
pub(super) fn doubled(levels: usize) -> FlightData {
    let mut builder = builder!();
    let mut column = field!(builder, "c", Utf8, Utf8Args, None, None);
    for _ in 0..levels {
        let children = builder.create_vector(&[column, column]);
        column = field!(builder, "c", Struct_, Struct_Args, Some(children), None);
    }
    schema!(builder, &[column, column])
}

/// The schema of a text and of values by dictionary 0, in which values by dictionary 0 are.
pub(super) fn dictionary_of_itself() -> FlightData {
    let mut builder = builder!();
    let text = field!(builder, "c0", Utf8, Utf8Args, None, None);
    let within = field!(builder, "c", Utf8, Utf8Args, None, Some(0));
    let children = builder.create_vector(&[within]);
    let cycle = field!(builder, "c1", Struct_, Struct_Args, Some(children), Some(0));
    schema!(builder, &[text, cycle])
}

/// The schema of so many columns of views.
pub(super) fn views(columns: usize) -> FlightData {
    let mut builder = builder!();
    let column = field!(builder, "c", Utf8View, Utf8ViewArgs, None, None);
    schema!(builder, &vec![column; columns])
}

/// The schema of a column in runs with so many fields, of which two would say where they end and what they are.
pub(super) fn runs_with(fields: usize) -> FlightData {
    let mut builder = builder!();
    let within = field!(builder, "c", Utf8, Utf8Args, None, None);
    let children = builder.create_vector(&vec![within; fields]);
    let column = field!(builder, "c", RunEndEncoded, RunEndEncodedArgs, Some(children), None);
    schema!(builder, &[column])
}
