//! Certificates that are renewed while nodes run: shown from the next connection on, and no stream ends for it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_flight::decode::FlightRecordBatchStream;
use engine::identity::certs;
use futures::StreamExt;
use harness::cluster::client::told;
use harness::cluster::{Client, Cluster, Written};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use super::federation::{LARGE, LOGISTICS, eventually, eventually_value, governed, streams_under};
use super::handshakes::believing;

const ONE_LINE: &str = "SELECT l_linenumber FROM logistics.tpch.lineitem LIMIT 1";

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// The certificate that a door shows to whoever believes that authority; `None` when it is not believed.
async fn shown(address: &str, authority: &Path) -> Option<CertificateDer<'static>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connection =
        tokio_rustls::TlsConnector::from(Arc::new(believing(authority))).connect(name, stream).await.ok()?;
    let chain = connection.get_ref().1.peer_certificates().unwrap();
    Some(chain[0].clone().into_owned())
}

/// New certificates of nodes, by the authority of that directory, which is made if it is not there.
fn make(directory: &Path, nodes: &[&str]) {
    let names: Vec<_> = nodes.iter().map(|node| node.parse().unwrap()).collect();
    certs::init(directory, &names).unwrap();
}

/// Puts files in the place of a node's, the certificate first: for a moment it is beside another one's key.
fn put(from: &Path, certs: &Path, node: &str) {
    for kind in ["crt", "key"] {
        let new = certs.join(format!("{node}.{kind}.new"));
        fs::copy(from.join(format!("{node}.{kind}")), &new).unwrap();
        fs::rename(new, certs.join(format!("{node}.{kind}"))).unwrap();
    }
}

fn write(path: &Path, text: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

async fn begun(client: &Client) -> FlightRecordBatchStream {
    eventually_value(client, ONE_LINE, "1").await;
    let info = client.info(LARGE).await.unwrap();
    let mut stream = client.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    stream
}

async fn assert_goes_on(what: &str, stream: &mut FlightRecordBatchStream) {
    for _ in 0..20 {
        let batch = stream.next().await.unwrap_or_else(|| panic!("{what}: it has ended"));
        batch.unwrap_or_else(|error| panic!("{what}: {}", told(&error)));
    }
}

async fn eventually_shown(cluster: &Cluster, authority: &Path, expected: &CertificateDer<'_>) {
    let address = cluster.site("logistics").address();
    eventually(|| async {
        let seen = shown(address, authority).await;
        (seen.as_ref() == Some(expected)).then_some(()).ok_or_else(|| "another certificate is shown".to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_count_from_the_next_connection_on() {
    let cluster = streams_under(governed(&[("logistics", LOGISTICS)], Written::AtTheDoor)).await;
    let certs = cluster.root().join("certs");
    let (authority, own) = (certs.join("authority.crt"), certs.join("logistics.crt"));
    let [ana, at_site] = [cluster.user("ana").await, cluster.user_of_site("ana", "logistics").await];
    let mut streams = [begun(&ana).await, begun(&at_site).await];
    let first = certificate(&own);
    eventually_shown(&cluster, &authority, &first).await;

    // What cannot be used changes nothing, and is named.
    let good = fs::read(&own).unwrap();
    for broken in [&b"-----BEGIN CERTIFICATE-----\nbroken"[..], b"", &fs::read(&authority).unwrap()] {
        write(&own, broken);
        eventually_shown(&cluster, &authority, &first).await;
    }
    let log = cluster.site("logistics").log();
    assert!(log.contains("the last good one serves") && log.contains("tls.certificate"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "no key is in the log");
    write(&own, &good);

    // Another certificate of the same authority, at both ends.
    for node in ["logistics", "coordinator"] {
        let renewed = tempfile::tempdir().unwrap();
        for kind in ["crt", "key"] {
            fs::copy(certs.join(format!("authority.{kind}")), renewed.path().join(format!("authority.{kind}")))
                .unwrap();
        }
        make(renewed.path(), &[node]);
        put(renewed.path(), &certs, node);
    }
    let second = certificate(&own);
    assert_ne!(first, second);
    eventually_shown(&cluster, &authority, &second).await;
    eventually_value(&ana, ONE_LINE, "1").await;
    eventually_value(&at_site, ONE_LINE, "1").await;

    // Another authority: first believed beside the former one, then alone.
    let others = tempfile::tempdir().unwrap();
    make(others.path(), &["logistics", "coordinator"]);
    let theirs = others.path().join("authority.crt");
    let former = others.path().join("former.crt");
    fs::copy(&authority, &former).unwrap();
    write(&authority, &[fs::read(&former).unwrap(), fs::read(&theirs).unwrap()].concat());
    put(others.path(), &certs, "logistics");
    put(others.path(), &certs, "coordinator");
    write(&authority, &fs::read(&theirs).unwrap());
    eventually_shown(&cluster, &theirs, &certificate(&others.path().join("logistics.crt"))).await;
    assert_eq!(
        shown(cluster.site("logistics").address(), &former).await,
        None,
        "the former authority is none any more"
    );
    eventually_value(&ana, ONE_LINE, "1").await;
    eventually_value(&cluster.user("ana").await, ONE_LINE, "1").await;
    for (what, stream) in ["through the coordinator", "at the site"].into_iter().zip(&mut streams) {
        assert_goes_on(what, stream).await;
    }
    eventually_value(&at_site, ONE_LINE, "1").await;
}
