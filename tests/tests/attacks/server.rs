//! What a server that holds a world's tables was asked (B4, D3): where rows are hidden, for the rows that are shown, in the
//! words of the policy alone; of masked columns nothing; no hidden value, whoever wrote it; the same in both worlds.

use std::collections::BTreeSet;

use harness::cluster::Cluster;
use harness::policy::canary::Sweep;
use harness::policy::fixture::REGIONS;
use harness::postgres::{Postgres, server_name};

use super::standing::Asked;
use super::{HOSTILE, Running, World};

/// Tables of which rows are hidden from everybody.
const FILTERED: [[&str; 2]; 2] = [["health", "patient"], ["revenue", "taxpayer"]];

impl Running {
    /// Hidden rows of the twin hold a day that cannot be told to anybody: who reads them fails.
    pub(super) async fn hide_an_endless_day(&self, world: World) {
        if let Some(server) = self.cluster.server().filter(|_| world == World::Twin) {
            let patients = self.server_name("health", "patient");
            server.admin().await.run(&format!("UPDATE {patients} SET dob = 'infinity' WHERE region = 'south'")).await;
        }
    }

    /// Everything that the server should not have been asked.
    pub(super) fn asked_of_server(&self) -> Vec<String> {
        let Some(server) = self.cluster.server() else { return vec![] };
        let mut faults = kept_by_server(&self.cluster, &self.sweep);
        let copied = copied(server);
        if copied.is_empty() && self.asked.lock().unwrap().iter().any(Asked::has_rows) {
            faults.push("B4: the server's log has no statement, though rows have come".to_string());
        }
        for [site, table] in FILTERED {
            let table = self.server_name(site, table);
            let read: Vec<_> = copied.iter().filter(|sql| sql.contains(&table)).collect();
            let others = read.iter().filter(|sql| !is_of_policy(sql, &table));
            faults.extend(others.map(|sql| format!("B4: the server is asked {sql}")));
        }
        // Every row of these is shown, but for whom: what is compared with a pseudonym is none of the server's.
        let watched = copied.iter().filter(|sql| sql.contains(&self.server_name("police", "watch")));
        let of_pid = watched.filter(|sql| sql.split_once(" WHERE ").is_some_and(|(_, told)| told.contains("\"pid\"")));
        faults.extend(of_pid.map(|sql| format!("D3: the server is asked {sql}")));
        faults
    }

    fn server_name(&self, site: &str, table: &str) -> String {
        server_name(self.data.table(site, "registry", table))
    }
}

/// Where in what a server was asked one of these is.
pub(super) fn kept_by_server(cluster: &Cluster, sweep: &Sweep) -> Vec<String> {
    let asked = cluster.server().iter().flat_map(|server| server.asked()).collect::<Vec<_>>();
    let found = asked.iter().filter_map(|asked| Some((asked, sweep.over(asked.as_bytes()).into_iter().next()?)));
    found.map(|(asked, found)| format!("CANARY, the server is asked {asked}: {found}")).collect()
}

/// The statements by which rows leave a server.
fn copied(server: &Postgres) -> BTreeSet<String> {
    let copied = |asked: String| {
        let (_, statement) = asked.split_once(": COPY (")?;
        Some(statement.strip_suffix(") TO STDOUT (FORMAT binary)")?.to_string())
    };
    server.asked().into_iter().filter_map(copied).collect()
}

/// Whether a statement ends in the row filter of one of the users. A text with a NUL byte is none of the server's, and so
/// no region's.
fn is_of_policy(sql: &str, table: &str) -> bool {
    let column = "\"t0\".\"region\"";
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let of = |condition: String| format!(" AS \"t0\" WHERE ({column} {condition})");
    let of_hostile = HOSTILE.into_iter().flat_map(|(_, value)| {
        let value = quoted(value);
        [of(format!("= {value}")), of(format!("IN ({value})"))]
    });
    let of_regions = of(format!("IN ({})", REGIONS.map(quoted).join(", ")));
    // Two columns are compared under one collation, byte by byte.
    let no_region = format!(" AS \"t0\" WHERE ({column} COLLATE \"C\" <> {column} COLLATE \"C\")");
    let mut filters = of_hostile.chain([of_regions, no_region]);
    sql.split_once(&format!(" FROM {table}")).is_some_and(|(_, told)| filters.any(|filter| filter == told))
}

/// (i) of the servers: what the second world's was asked and the first world's was not. (Of the first more is asked.)
pub(super) fn servers_differ(worlds: &[Running; 2]) -> Vec<String> {
    let [first, second] = worlds.each_ref().map(|world| world.cluster.server().map(copied).unwrap_or_default());
    let more = second.difference(&first);
    more.map(|sql| format!("N1: the server of one world alone is asked {sql}")).collect()
}
