//! Streams that are read for a while, and how they end.

use arrow_flight::decode::FlightRecordBatchStream;
use futures::StreamExt;
use harness::cluster::Client;
use harness::cluster::client::told;

use super::federation::{LARGE, eventually_value};

/// A stream of which something has arrived, and nobody reads on.
pub(super) async fn begun(client: &Client) -> FlightRecordBatchStream {
    eventually_value(client, "SELECT l_linenumber FROM logistics.tpch.lineitem LIMIT 1", "1").await;
    let info = client.info(LARGE).await.unwrap();
    let mut stream = client.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    stream
}

/// How a stream ends that would have a hundred times as many rows.
pub(super) async fn end_of(mut stream: FlightRecordBatchStream) -> String {
    loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return told(&error),
            None => return "all of it has arrived".to_string(),
        }
    }
}
