//! A89, before any certificate counts: a site's door speaks no TLS below 1.2, no weak suite of 1.2, and reads nothing
//! that is sent before the handshake is over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore};

use super::federation::{COUNT_ORDERS, NORTH, eventually_value, north};
use super::floods::{PREFACE, SETTINGS, frame};

const PATIENCE: Duration = Duration::from_secs(30);

/// Kinds of TLS records.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

const SSL_3: u16 = 0x0300;
const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;

/// ECDHE-ECDSA with AES-128-GCM and SHA-256, which the door has.
const STRONG: u16 = 0xC02B;

/// With their length before them.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &counted(content)].concat()
}

/// A ClientHello of that version with these suites, and whatever else TLS 1.2 needs (RFC 5246, RFC 8422).
fn hello(version: u16, suites: &[u16]) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let extensions = [
        // Groups: X25519 and P-256; points: uncompressed.
        extension(10, &counted(&[0, 29, 0, 23])),
        extension(11, &[1, 0]),
        // Signatures: ECDSA with P-256, RSA-PSS and RSA with SHA-256.
        extension(13, &counted(&[4, 3, 8, 4, 4, 1])),
        // The extended master secret.
        extension(23, &[]),
    ]
    .concat();
    let mut body = version.to_be_bytes().to_vec();
    // Its random bytes, and a session of none.
    body.extend([7; 32]);
    body.push(0);
    body.extend(counted(&suites));
    // No compression.
    body.extend([1, 0]);
    body.extend(counted(&extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    [&[HANDSHAKE, 3, 1][..], &counted(&message)].concat()
}

/// The kind of the record with which the door answers; `None` when there is none.
fn answered(address: &str, sent: &[u8]) -> Option<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent).unwrap();
    let mut kind = [0];
    stream.read_exact(&mut kind).ok().map(|()| kind[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a89_old_versions_and_weak_suites_get_no_handshake() {
    let cluster = north(NORTH).await;
    let site = cluster.site("north").address();
    assert_eq!(answered(site, &hello(TLS_1_2, &[STRONG])), Some(HANDSHAKE), "what is refused is not the hello itself");
    let refused: [(&str, u16, &[u16]); 11] = [
        ("SSL 3.0", SSL_3, &[STRONG, 0xC009, 0x002F]),
        ("TLS 1.0", TLS_1_0, &[STRONG, 0xC009, 0x002F]),
        ("TLS 1.1", TLS_1_1, &[STRONG, 0xC009, 0x002F]),
        // ECDHE-ECDSA and ECDHE-RSA with AES in CBC and SHA-1, SHA-256 or SHA-384.
        ("CBC", TLS_1_2, &[0xC009, 0xC00A, 0xC023, 0xC024, 0xC013, 0xC014, 0xC027, 0xC028]),
        // RSA with AES in CBC and GCM.
        ("no forward secrecy", TLS_1_2, &[0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D]),
        ("finite fields", TLS_1_2, &[0x0033, 0x0039, 0x0067, 0x006B, 0x009E, 0x009F]),
        ("3DES", TLS_1_2, &[0x000A, 0xC008, 0xC012]),
        ("RC4", TLS_1_2, &[0x0004, 0x0005, 0xC007, 0xC011]),
        ("keys for export", TLS_1_2, &[0x0003, 0x0006, 0x0008]),
        ("no encryption", TLS_1_2, &[0x0001, 0x0002, 0x003B, 0xC006, 0xC010]),
        ("no certificate", TLS_1_2, &[0x0018, 0x0034, 0x006C, 0x00A6, 0xC017, 0xC018]),
    ];
    for (what, version, suites) in refused {
        assert_eq!(answered(site, &hello(version, suites)), Some(ALERT), "{what}");
    }
    eventually_value(&cluster.user_of_site("ana", "north").await, COUNT_ORDERS, "200").await;
}

/// A client without a certificate that believes the authority in this file.
pub(super) fn believing(authority: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for trusted in CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(trusted.unwrap()).unwrap();
    }
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols.push(b"h2".to_vec());
    client
}

/// The sessions of a client that sends early data whether or not the door has said that it takes any.
#[derive(Debug)]
struct Eager(ClientSessionMemoryCache);

impl ClientSessionStore for Eager {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, mut ticket: Tls13ClientSessionValue) {
        ticket._private_set_max_early_data_size(16 << 10);
        self.0.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a89_nothing_is_read_before_the_handshake_is_over() {
    let cluster = north(NORTH).await;
    let mut client = believing(&cluster.authority());
    client.enable_early_data = true;
    client.resumption = Resumption::store(Arc::new(Eager(ClientSessionMemoryCache::new(8))));
    let client = Arc::new(client);
    let begin = || {
        let socket = TcpStream::connect(cluster.site("north").address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        (ClientConnection::new(Arc::clone(&client), name).unwrap(), socket)
    };
    let opening = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].concat();

    let (mut first, mut socket) = begin();
    let mut stream = rustls::Stream::new(&mut first, &mut socket);
    stream.write_all(&opening).unwrap();
    // The door's tickets come before the head of its first frame.
    stream.read_exact(&mut [0; 9]).unwrap();

    let (mut second, mut socket) = begin();
    second.early_data().expect("the session is resumed").write_all(&opening).unwrap();
    while second.is_handshaking() {
        second.complete_io(&mut socket).unwrap();
    }
    assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
    assert!(!second.is_early_data_accepted(), "what was sent before the handshake was over is read");
    // The connection is good for what comes after.
    let mut stream = rustls::Stream::new(&mut second, &mut socket);
    stream.write_all(&opening).unwrap();
    stream.read_exact(&mut [0; 9]).unwrap();
}
