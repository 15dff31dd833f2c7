//! The data sets themselves: complete, the same each time, and readable in one process under a federation's names.

use harness::dataset::local_context;
use harness::edge::edge;
use harness::tpch::{LAYOUT_V3, tpch_in};

#[tokio::test]
async fn tpch_is_generated_once_and_complete() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = std::thread::scope(|scope| {
        let generate = || tpch_in(directory.path(), 0.001).unwrap();
        let other = scope.spawn(generate);
        (generate(), other.join().unwrap())
    });
    assert_eq!(first.root, second.root);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing half-written is left");

    let ctx = local_context(&first).await.unwrap();
    let rows = [150, 1500, 6005, 200, 800, 10, 25, 5];
    for ((site, source, name), rows) in LAYOUT_V3.into_iter().zip(rows) {
        let df = ctx.sql(&format!("SELECT * FROM {site}.{source}.{name}")).await.unwrap();
        assert_eq!(df.count().await.unwrap(), rows, "{site}.{source}.{name}");
    }
}

#[tokio::test]
async fn edge_tables_read_back_with_their_types() {
    let dataset = edge().await.unwrap();
    assert_eq!(dataset.sites(), ["north", "south", "east"]);
    let ctx = local_context(&dataset).await.unwrap();
    for table in &dataset.tables {
        let df = ctx.sql(&format!("SELECT * FROM {}", table.sql_name())).await.unwrap();
        let described = df.schema().as_arrow().to_string();
        assert!(!described.contains("View"), "{}: {described}", table.sql_name());
        df.collect().await.unwrap();
    }
    let people = ctx.table("national.civil.people").await.unwrap();
    assert_eq!(people.schema().field_names().last().unwrap(), "national.civil.people.region");
    assert_eq!(people.count().await.unwrap(), 205);
}
