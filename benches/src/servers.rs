//! PostgreSQL servers that hold TPC-H as its owners would: with keys, and with what a planner asks of its tables.

use std::collections::BTreeMap;

use harness::dataset::Dataset;
use harness::namespace::Namespace;
use harness::postgres::{Postgres, server_name};

/// The keys that an owner's tables have; without any, the server joins `lineitem` to itself for minutes.
const KEYS: [(&str, &str); 8] = [
    ("customer", "c_custkey"),
    ("orders", "o_orderkey"),
    ("lineitem", "l_orderkey, l_linenumber"),
    ("part", "p_partkey"),
    ("partsupp", "ps_partkey, ps_suppkey"),
    ("supplier", "s_suppkey"),
    ("nation", "n_nationkey"),
    ("region", "r_regionkey"),
];

/// A server for each site of the data set, by the site.
pub async fn server_of_each_site(dataset: &Dataset, namespace: Option<&Namespace>) -> BTreeMap<String, Postgres> {
    let mut servers = BTreeMap::new();
    for site in dataset.sites() {
        servers.insert(site.clone(), server_with(&dataset.clone().of_site(&site), namespace).await);
    }
    servers
}

/// A server that has every table, each site's in a schema of its own.
pub async fn server_with(dataset: &Dataset, namespace: Option<&Namespace>) -> Postgres {
    let lines = "shared_buffers = 1GB\nlog_statement = none";
    let server = Postgres::holding_in(namespace, dataset, lines).await;
    let admin = server.admin().await;
    for table in &dataset.tables {
        for (_, key) in KEYS.iter().filter(|(of, _)| *of == table.name) {
            admin.run(&format!("ALTER TABLE {} ADD PRIMARY KEY ({key})", server_name(table))).await;
        }
    }
    admin.run("VACUUM ANALYZE").await;
    server
}

/// The tables of a site in a server, as a source of the name `server`.
pub fn source_of(server: &Postgres, site: &str) -> toml::Table {
    let mut source = server.options(&format!("{site}_tpch"));
    source.insert("name".into(), "server".into());
    source.insert("kind".into(), "postgres".into());
    source
}

/// The statement over a site's tables in its server.
pub fn sql_of_server(sql: &str, site: &str) -> String {
    sql.replace(&format!("{site}.tpch."), &format!("{site}.server."))
}
