//! Tables that are changed at their server once they were described, and a server that is gone.

use super::{Doors, refused_without_secret, start, tables};

/// A table, and what its server's administrator does to it.
const DAMAGED: [(&str, &str); 7] = [
    ("dropped", "DROP TABLE dropped"),
    ("narrowed", "ALTER TABLE narrowed DROP told"),
    ("renamed", "ALTER TABLE renamed RENAME told TO tale"),
    ("moved", "ALTER TABLE moved SET SCHEMA public"),
    ("endless", "UPDATE endless SET day = 'infinity' WHERE n = 19999"),
    (
        "uncomputable",
        "ALTER TABLE uncomputable RENAME TO computed; CREATE VIEW uncomputable AS
             SELECT n, CASE WHEN n = 19999 THEN told::int8::text ELSE told END AS told, day FROM computed",
    ),
    (
        "forbidden",
        "ALTER TABLE forbidden RENAME TO withheld; CREATE VIEW forbidden AS SELECT * FROM withheld;
         CREATE ROLE stranger; ALTER VIEW forbidden OWNER TO stranger",
    ),
];

/// A site that cannot describe a table has none of that name; who knows of it already is told that it cannot be read.
const UNREACHABLE: [&str; 3] = ["SITE_UNAVAILABLE", "BUSY", "NOT_FOUND"];

/// What was told in other words than ours.
pub(super) async fn damaged() -> Vec<String> {
    let data = tables(DAMAGED.iter().map(|(name, _)| *name).chain(["linked", "whole"]));
    let mut cluster = start(&data).await;
    let mut doors = Doors::of(&cluster).await;
    let admin = cluster.server().unwrap().admin().await;
    admin.run("SET search_path = north_trade").await;
    for (name, damage) in DAMAGED {
        doors.answered(name).await;
        admin.run(damage).await;
        doors.refused(name, name, &["SITE_UNAVAILABLE", "STALE", "NOT_FOUND", "EVAL"]).await;
    }
    // No connection is left for the source, and then no server.
    admin.run("ALTER ROLE reader CONNECTION LIMIT 0").await;
    admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'").await;
    doors.refused("shut out", "whole", &UNREACHABLE).await;
    admin.run("ALTER ROLE reader CONNECTION LIMIT -1").await;
    doors.answered_again("whole").await;
    cluster.server_mut().unwrap().stop();
    doors.refused("without its server", "whole", &UNREACHABLE).await;
    cluster.server_mut().unwrap().restart().await;
    doors.answered_again("whole").await;

    doors.answered("linked").await;
    let doors = refused_without_secret(&mut cluster, doors.failures).await;
    doors.refused_when_killed(&mut cluster).await
}
