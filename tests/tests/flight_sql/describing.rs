//! What a server says of its tables, in each of the ways in which servers say it.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use connectors::ErrorKind;
use datafusion::prelude::SessionContext;
use harness::flight_proxy::{Changes, FlightProxy};
use harness::roapi::{Roapi, Served};

use super::{open, rows, session, with};

fn people() -> Served {
    let fields = vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)];
    let (ids, names) = (Int64Array::from(vec![Some(1), None]), StringArray::from(vec![Some("a"), None]));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(ids), Arc::new(names)]).unwrap();
    Served::new("people", &rows)
}

fn parcels() -> Served {
    Served { name: "parcels".into(), ..people() }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_described_alike_whatever_the_server_lacks() {
    let server = Roapi::start(&[people(), parcels()]);
    let source = open(server.options()).await;
    let expected: Vec<_> =
        source.tables().await.unwrap().into_iter().map(|(name, told)| (name, told.unwrap())).collect();
    assert_eq!(expected.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["parcels", "people"]);
    // An answer over no rows is without columns here; where neither list nor preparation tells them, nothing does.
    let lacking = |lacks: &[&'static str], tells_no_columns| Changes {
        lacks: lacks.iter().copied().collect(),
        tells_no_columns,
        ..Changes::default()
    };
    for (changes, is_told) in [
        (lacking(&["CommandGetTables"], false), true),
        (lacking(&["CreatePreparedStatement"], false), true),
        (lacking(&["CommandGetTables", "CreatePreparedStatement"], false), false),
        (lacking(&[], true), false),
    ] {
        let shown = format!("{changes:?}");
        let proxy = FlightProxy::open(&server.address(), changes).await;
        let source = open(with(server.options_at(proxy.address()), "tables = ['people']")).await;
        let listed = source.tables().await.unwrap();
        assert_eq!(listed.len(), 1, "{shown}");
        let (name, told) = &listed[0];
        match told {
            Ok(description) => {
                assert!(is_told, "{shown}");
                assert_eq!((name.as_str(), &description.schema), ("people", &expected[1].1.schema), "{shown}");
                let ctx = session(&source, &["people"]).await;
                assert_eq!(rows(&ctx, "SELECT count(*), sum(id) FROM people").await.unwrap(), "2|1", "{shown}");
            }
            Err(error) => assert!(!is_told && error.to_string().contains("does not tell its columns"), "{error:?}"),
        }
        let other = source.table("parcels").await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::NotFound, "{shown}: {other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lists_nothing_must_be_told_what_to_serve() {
    let server = Roapi::start(&[people()]);
    let changes = Changes { lacks: ["CommandGetTables"].into(), ..Changes::default() };
    let proxy = FlightProxy::open(&server.address(), changes).await;
    let told = open(server.options_at(proxy.address())).await.tables().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unsupported, "{told:?}");
    assert!(told.to_string().contains("`tables`") && !told.to_string().contains("SECRET"), "{told}");
    let listed = open(with(server.options_at(proxy.address()), "tables = ['people', 'ghosts']")).await.tables().await;
    let listed = listed.unwrap();
    assert_eq!(listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["ghosts", "people"]);
    assert_eq!(listed[0].1.as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(listed[1].1.is_ok());
}

/// This server folds the names of tables: it lists one under a name by which it does not know it when it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_one_schema_and_names_are_exact() {
    let server = Roapi::start(&[people(), Served { name: "Mixed".into(), ..people() }]);
    let source = open(server.options()).await;
    let names: Vec<_> = source.tables().await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Mixed", "people"]);
    let mixed = source.table("Mixed").await.unwrap().provider;
    let error = SessionContext::new().read_table(mixed).unwrap().collect().await.unwrap_err();
    assert_eq!(super::ours(&error).kind(), ErrorKind::SiteUnavailable, "{error:?}");
    for (more, count) in [("schema = 'public'", 2), ("schema = 'privat_'", 0), ("catalog = 'Roapi'", 0)] {
        let listed = open(with(server.options(), more)).await.tables().await.unwrap();
        assert_eq!(listed.len(), count, "{more}");
    }
    let mut options = server.options();
    options.remove("schema");
    options.remove("catalog");
    assert_eq!(open(options).await.tables().await.unwrap().len(), 2, "the only schema is the one");
}
