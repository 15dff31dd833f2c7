//! V4: a running stream ends with the session that it runs in, and with its user.

use arrow_flight::Action;
use harness::cluster::{Client, Written};
use tonic::Request;

use super::federation::{LOGISTICS, governed, streams_under};
use super::streams::{begun, end_of};

async fn close_session(client: &Client) {
    let mut request = Request::new(Action { r#type: "CloseSession".to_string(), body: Vec::new().into() });
    let mut flight = client.flight();
    let bearer = format!("Bearer {}", flight.token().expect("a session"));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    flight.inner_mut().do_action(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_ends_with_its_session_and_with_its_user() {
    let cluster = streams_under(governed(&[("logistics", LOGISTICS)], Written::AtTheDoor)).await;
    let [other, ana, ana_at_site] =
        [cluster.user("ana").await, cluster.user("ana").await, cluster.user_of_site("ana", "logistics").await];
    let (in_other, in_first, at_site) = (begun(&other).await, begun(&ana).await, begun(&ana_at_site).await);
    close_session(&other).await;
    let end = end_of(in_other).await;
    assert!(end.starts_with("EXPIRED: "), "its session is closed: {end}");

    engine::identity::users_file::remove(&cluster.root().join("users.toml"), "ana").unwrap();
    for (door, stream) in [("coordinator", in_first), ("site", at_site)] {
        let end = end_of(stream).await;
        assert!(end.starts_with("EXPIRED: "), "{door}: the user is removed: {end}");
    }
}
