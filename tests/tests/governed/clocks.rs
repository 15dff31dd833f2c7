//! A92: the clock of a site's machine is set ahead, back, or stands still. Nothing that was over is again.

use std::time::{Duration, Instant};

use engine::session::queries::QueryId;
use futures::StreamExt;
use harness::cluster::client::told;
use harness::cluster::{Cluster, Options, Person, Written};
use harness::tpch::tpch;

use super::federation::{
    COUNT_ORDERS, LARGE, LOGISTICS, NORTH, assert_refused, data, eventually_refused, eventually_value, governed,
};
use super::federation::{now_s, of_streams, written};
use super::identity::{ALL_ORDERS, Impostor, ana};

const HOUR_S: i64 = 3_600;
/// Between the end of a right and the end of a stream under it, and what has left by then is read.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

async fn north_with_a_machine(policy: &str) -> Cluster {
    let governance = Some(governed(&[("north", policy)], Written::AtTheDoor));
    let options = Options { governance, machines: true, ..Options::default() };
    Cluster::start_with(Box::leak(Box::new(data().await)), options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a92_a_clock_that_is_set_ahead_and_back_revives_nothing() {
    let ends = written(now_s() + 1_800);
    let grant = "GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care";
    let policy = NORTH.replace(&format!("{grant} WITH"), &format!("{grant} VALID TO '{ends}' WITH"));
    assert_ne!(policy, NORTH);
    let mut cluster = north_with_a_machine(&policy).await;
    let at_site = cluster.user_of_site("ana", "north").await;
    eventually_value(&cluster.user("ana").await, COUNT_ORDERS, "200").await;
    let ticket = at_site.info(COUNT_ORDERS).await.unwrap();
    let impostor = Impostor::connect(&cluster).await;
    let query = QueryId::random();
    let delegation = |fragment| impostor.sign(&ana(), ("north", &query, fragment), ALL_ORDERS);
    let (used, unused) = (delegation(0), delegation(1));
    assert!(impostor.ask(ALL_ORDERS, (&query, 0), Some(&used)).await.data > 0);

    // An hour ahead, and back: the grant is over, the ticket too, and whoever asks by another clock is not believed.
    for hours in [1, 0, -1] {
        cluster.machine("north").set_clock_ahead_s(hours * HOUR_S);
        eventually_refused(&at_site, COUNT_ORDERS, "NOT_FOUND").await;
        let told = at_site.fetch(ticket.clone()).await.map(drop).unwrap_err();
        assert!(told.starts_with("NOT_FOUND: there is no such handle"), "{hours} h: {told}");
        for (fragment, delegation) in [(0, &used), (1, &unused), (2, &delegation(2))] {
            let outcome = impostor.ask(ALL_ORDERS, (&query, fragment), Some(delegation)).await;
            outcome.assert_unauthenticated(&format!("{hours} h: fragment {fragment}"));
        }
    }
    // Nor after a power cut, some moments later: the time is written down when it has gone on by some seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for hours in [-1, 0] {
        cluster.kill_site("north");
        cluster.machine("north").set_clock_ahead_s(hours * HOUR_S);
        cluster.restart_site("north");
        assert_refused(&cluster.user_of_site("ana", "north").await, COUNT_ORDERS, "NOT_FOUND").await;
        let impostor = Impostor::connect(&cluster).await;
        for (fragment, delegation) in [(0, &used), (1, &unused), (2, &delegation(2))] {
            let outcome = impostor.ask(ALL_ORDERS, (&query, fragment), Some(delegation)).await;
            outcome.assert_unauthenticated(&format!("{hours} h after a power cut: fragment {fragment}"));
        }
    }
    // When the time of then has come, or the state is told that it was wrong, it goes on: a later grant is one.
    let admin = cluster.user_of_site("admin", "north").await;
    admin.query(&format!("{grant} WITH (id = 'again')")).await.unwrap();
    eventually_value(&cluster.user_of_site("ana", "north").await, COUNT_ORDERS, "200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a92_a_site_that_was_behind_accepts_nothing_twice() {
    let mut cluster = north_with_a_machine(NORTH).await;
    eventually_value(&cluster.user("ana").await, COUNT_ORDERS, "200").await;
    let impostor = Impostor::connect(&cluster).await;
    let query = QueryId::random();
    let used = impostor.sign(&ana(), ("north", &query, 0), ALL_ORDERS);
    assert!(impostor.ask(ALL_ORDERS, (&query, 0), Some(&used)).await.data > 0);
    // Started again an hour behind: it goes on from the time that it knows.
    cluster.kill_site("north");
    cluster.machine("north").set_clock_ahead_s(-HOUR_S);
    cluster.restart_site("north");
    let impostor = Impostor::connect(&cluster).await;
    impostor.ask(ALL_ORDERS, (&query, 0), Some(&used)).await.assert_unauthenticated("accepted before");
    let fresh = impostor.sign(&ana(), ("north", &query, 1), ALL_ORDERS);
    assert!(impostor.ask(ALL_ORDERS, (&query, 1), Some(&fresh)).await.data > 0, "its time is right all the same");
    impostor.ask(ALL_ORDERS, (&query, 1), Some(&fresh)).await.assert_unauthenticated("accepted while it is behind");
    // A minute of difference is allowed for, an hour is not: by the clock of a site that is ahead the delegation is old.
    cluster.machine("north").set_clock_ahead_s(HOUR_S);
    let fresh = impostor.sign(&ana(), ("north", &query, 2), ALL_ORDERS);
    impostor.ask(ALL_ORDERS, (&query, 2), Some(&fresh)).await.assert_unauthenticated("an hour old");
}

/// What the clock does while a stream runs under a grant that has some seconds left, or an hour.
#[derive(Debug, Clone, Copy)]
enum Clock {
    Stands,
    Back,
    Ahead,
}

#[tokio::test(flavor = "multi_thread")]
async fn a92_a_stream_ends_with_its_grant_whatever_the_clock_does() {
    let mut governance = governed(&[("logistics", LOGISTICS)], Written::AtTheDoor);
    governance.users.push(Person::new("reader", "reader").holding("care"));
    let options = Options { machines: true, ..of_streams(governance) };
    let mut cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    for clock in [Clock::Stands, Clock::Back, Clock::Ahead] {
        let left_s = if matches!(clock, Clock::Ahead) { 1_800 } else { 15 };
        let admin = cluster.user_of_site("admin", "logistics").await;
        let grant = "GRANT SELECT ON TABLE tpch.lineitem TO USER reader FOR PURPOSE care";
        let until = written(now_s() + left_s);
        admin.query(&format!("{grant} VALID TO '{until}' WITH (id = 'reader')")).await.unwrap();
        let reader = cluster.user_of_site("reader", "logistics").await;
        let info = reader.info(LARGE).await.unwrap();
        let mut stream = reader.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        match clock {
            Clock::Stands => cluster.machine("logistics").stop_clock(),
            Clock::Back => cluster.machine("logistics").set_clock_ahead_s(-HOUR_S),
            Clock::Ahead => cluster.machine("logistics").set_clock_ahead_s(HOUR_S),
        }
        let changed = Instant::now();
        let over = match clock {
            Clock::Ahead => changed,
            Clock::Stands | Clock::Back => changed + Duration::from_secs(left_s),
        };
        // Read from the beginning, everything would have left in time.
        tokio::time::sleep_until((over - Duration::from_secs(1)).max(changed).into()).await;
        let error = loop {
            match stream.next().await {
                Some(Ok(_)) => assert!(Instant::now() < over + ENDS_WITHIN, "{clock:?}: rows arrive still"),
                Some(Err(error)) => break told(&error),
                None => panic!("{clock:?}: the stream ended as if it were whole"),
            }
        };
        assert!(error.starts_with("EXPIRED: "), "{clock:?}: {error}");
        assert_refused(&reader, LARGE, "NOT_FOUND").await;
        // The next one begins with a clock that is right; what the site has told before stands in its state.
        cluster.kill_site("logistics");
        cluster.machine("logistics").set_clock_ahead_s(0);
        cluster.restart_site("logistics");
        let admin = cluster.user_of_site("admin", "logistics").await;
        admin.query("REVOKE GRANT 'reader'").await.unwrap();
    }
}
