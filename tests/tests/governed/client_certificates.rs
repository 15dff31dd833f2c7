//! A89: a site takes nobody for a coordinator but whoever has a certificate of its authority, for clients, in force, by a name that is
//! one of its peers'.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use harness::cluster::binary::chancery;
use harness::cluster::{Cluster, Options, Written};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::federation::{COUNT_ORDERS, NORTH, data, eventually_refused, eventually_value, governed, north};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whoever signs certificates.
pub(super) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// The cluster's own.
    pub(super) fn of(cluster: &Cluster) -> Self {
        let read = |name: &str| std::fs::read_to_string(cluster.root().join("certs").join(name)).unwrap();
        let key = KeyPair::from_pem(&read("authority.key")).unwrap();
        Self(Issuer::from_ca_cert_pem(&read("authority.crt"), key).unwrap())
    }

    /// One that calls itself like the cluster's.
    pub(super) fn another() -> (Self, String) {
        Self::that_signs_itself(authority_params())
    }

    fn that_signs_itself(params: CertificateParams) -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (Self(Issuer::new(params, key)), pem)
    }

    /// One that this one signs, and the certificates between whoever it signs and the authority above.
    fn next(&self, params: CertificateParams, between: &str) -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let between = format!("{}{between}", params.signed_by(&key, &self.0).unwrap().pem());
        (Self(Issuer::new(params, key)), between)
    }

    /// Certificate and key of a leaf, and the certificates between it and the authority.
    pub(super) fn sign(&self, params: &CertificateParams, between: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (format!("{}{between}", params.signed_by(&key, &self.0).unwrap().pem()), key.serialize_pem())
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Chancery development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// What is changed of a certificate.
type Change = fn(&mut CertificateParams);

/// An authority that may sign names below the first ones only, and none below the others.
fn constrained(name: &str, permitted: &[&str], excluded: &[&str]) -> CertificateParams {
    let subtrees = |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).to_string())).collect();
    let mut params = authority_params();
    params.distinguished_name.push(DnType::CommonName, name);
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) });
    params
}

/// A coordinator's certificate as it should be, and what is changed of it.
pub(super) fn leaf(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["coordinator".to_string()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + DAY).into());
    change(&mut params);
    params
}

/// What a peer may ask without a user, asked with that certificate; an error for a connection too.
async fn directory(cluster: &Cluster, identity: Option<(String, String)>) -> Result<(), (Option<Code>, String)> {
    asked(&mut connected(cluster, identity).await?).await
}

async fn connected(
    cluster: &Cluster,
    identity: Option<(String, String)>,
) -> Result<FlightServiceClient<Channel>, (Option<Code>, String)> {
    let channel = channel_showing(cluster, cluster.site("north").address(), identity).await;
    channel.map(FlightServiceClient::new).map_err(|told| (None, told))
}

/// A connection to a door of the cluster with that certificate; what is told where there is none.
pub(super) async fn channel_showing(
    cluster: &Cluster,
    address: &str,
    identity: Option<(String, String)>,
) -> Result<Channel, String> {
    let authority = std::fs::read_to_string(cluster.authority()).unwrap();
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name("localhost");
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await.map_err(|error| format!("{error:?}"))
}

async fn asked(site: &mut FlightServiceClient<Channel>) -> Result<(), (Option<Code>, String)> {
    let action = Action { r#type: "chancery.directory".to_string(), body: Vec::new().into() };
    let answer = site.do_action(action).await;
    let failed = |status: tonic::Status| (Some(status.code()), format!("{status:?}"));
    answer.map_err(failed)?.into_inner().message().await.map_err(failed)?.expect("a directory");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a89_a_coordinator_is_known_by_its_certificate_and_by_nothing_like_it() {
    let cluster = north(NORTH).await;
    let authority = Authority::of(&cluster);
    let (stranger, _) = Authority::another();
    let own = |change: Change| Some(authority.sign(&leaf(change), ""));
    directory(&cluster, own(|_| {})).await.expect("the certificate of a coordinator");

    // Refused at the handshake: nobody's call is looked at.
    let key = KeyPair::generate().unwrap();
    let self_signed = (leaf(|_| {}).self_signed(&key).unwrap().pem(), key.serialize_pem());
    let of_node = {
        // A node's certificate is none of an authority's, whatever it signs.
        let read = |name: &str| std::fs::read_to_string(cluster.root().join("certs").join(name)).unwrap();
        let key = KeyPair::from_pem(&read("north.key")).unwrap();
        let node = Authority(Issuer::from_ca_cert_pem(&read("north.crt"), key).unwrap());
        node.sign(&leaf(|_| {}), &read("north.crt"))
    };
    let of_another_level = {
        // The authority signs nodes, and no other authority.
        let (level, between) = authority.next(constrained("Another level", &[], &[]), "");
        level.sign(&leaf(|_| {}), &between)
    };
    let past = |params: &mut CertificateParams| {
        params.not_before = (SystemTime::now() - 2 * DAY).into();
        params.not_after = (SystemTime::now() - DAY).into();
    };
    let future = |params: &mut CertificateParams| {
        params.not_before = (SystemTime::now() + DAY).into();
        params.not_after = (SystemTime::now() + 2 * DAY).into();
    };
    for (what, identity) in [
        ("expired", own(past)),
        ("not yet in force", own(future)),
        ("of nobody", Some(self_signed)),
        ("of another authority of the same name", Some(stranger.sign(&leaf(|_| {}), ""))),
        ("of a node", Some(of_node)),
        ("of an authority that ours has signed", Some(of_another_level)),
        ("for servers only", own(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
        ("for code", own(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning])),
    ] {
        let (code, told) = directory(&cluster, identity).await.expect_err(what);
        assert!(code != Some(Code::Unauthenticated) && !told.contains("UNAUTHENTICATED"), "{what}: {told}");
    }

    // Refused at the door: TLS believes it, and it is no peer's.
    for (what, identity) in [
        ("none", None),
        ("of another name", own(|params| params.subject_alt_names = names("elsewhere"))),
        ("of a longer name", own(|params| params.subject_alt_names = names("coordinator.elsewhere"))),
        ("of every name", own(|params| params.subject_alt_names = names("*.coordinator"))),
        (
            "with the name where names do not count",
            own(|params| {
                params.subject_alt_names = names("elsewhere");
                params.distinguished_name.push(DnType::CommonName, "coordinator");
            }),
        ),
        ("of the machine", own(|params| params.subject_alt_names = names("localhost"))),
    ] {
        let (code, told) = directory(&cluster, identity).await.expect_err(what);
        assert_eq!(code, Some(Code::Unauthenticated), "{what}: {told}");
    }

    // Without TLS there is no door.
    let plain = Endpoint::from_shared(format!("http://{}", cluster.site("north").address())).unwrap();
    let answer = match plain.connect().await {
        Ok(channel) => {
            let action = Action { r#type: "chancery.directory".to_string(), body: Vec::new().into() };
            FlightServiceClient::new(channel).do_action(action).await.map(|_| ()).map_err(|_| ())
        }
        Err(_) => Err(()),
    };
    assert_eq!(answer, Err(()), "a call in plain text is answered");
    directory(&cluster, own(|_| {})).await.expect("the certificate of a coordinator, after all that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a89_an_authority_is_believed_for_the_names_that_it_may_sign() {
    let cluster = north(NORTH).await;
    let (open, open_pem) = Authority::that_signs_itself(constrained("Another authority", &[], &[]));
    let (narrow, narrow_pem) = Authority::that_signs_itself(constrained("One for elsewhere", &["elsewhere"], &[]));
    let own = std::fs::read_to_string(cluster.authority()).unwrap();
    let new = cluster.authority().with_extension("new");
    std::fs::write(&new, format!("{own}{open_pem}{narrow_pem}")).unwrap();
    std::fs::rename(new, cluster.authority()).unwrap();

    let below = |permitted: &[&str], excluded: &[&str], change: Change| {
        let (level, between) = open.next(constrained("The level below", permitted, excluded), "");
        Some(level.sign(&leaf(change), &between))
    };
    let as_it_is: Change = |_| {};
    let of_two_names: Change = |params| params.subject_alt_names = [names("coordinator"), names("elsewhere")].concat();
    for (what, identity) in [
        ("of an authority that may sign any name", Some(open.sign(&leaf(|_| {}), ""))),
        ("of one that may sign it", below(&["coordinator"], &[], as_it_is)),
        ("of one that may sign all but others", below(&[], &["elsewhere"], as_it_is)),
        ("of one that may sign both its names", below(&["coordinator", "elsewhere"], &[], of_two_names)),
    ] {
        directory(&cluster, identity).await.unwrap_or_else(|told| panic!("{what}: {told:?}"));
    }

    // Whoever is below an authority is bound by what binds it.
    let two_below = {
        let (level, between) = open.next(constrained("The level below", &["elsewhere"], &[]), "");
        let (level, between) = level.next(constrained("Two levels below", &[], &[]), &between);
        Some(level.sign(&leaf(|_| {}), &between))
    };
    for (what, identity) in [
        ("of one that may sign another name", below(&["elsewhere"], &[], as_it_is)),
        ("of one that may sign longer names", below(&["coordinator.elsewhere"], &[], as_it_is)),
        ("of one that may sign all but it", below(&[], &["coordinator"], as_it_is)),
        ("of one that may sign it and may not", below(&["coordinator"], &["coordinator"], as_it_is)),
        ("of one that may sign one of its two names", below(&["coordinator"], &[], of_two_names)),
        ("of one that may not sign one of its two names", below(&[], &["elsewhere"], of_two_names)),
        ("two levels below one that may sign another name", two_below),
        ("of a trusted one that may sign another name", Some(narrow.sign(&leaf(|_| {}), ""))),
    ] {
        let (code, told) = directory(&cluster, identity).await.expect_err(what);
        assert!(code != Some(Code::Unauthenticated) && !told.contains("UNAUTHENTICATED"), "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a89_what_is_revoked_is_believed_no_more() {
    let options = Options {
        governance: Some(governed(&[("north", NORTH)], Written::AtTheDoor)),
        revocations: true,
        ..Options::default()
    };
    let cluster = Cluster::start_with(Box::leak(Box::new(data().await)), options).await;
    let authority = Authority::of(&cluster);
    let certs = cluster.root().join("certs");
    let (ana, at_site) = (cluster.user("ana").await, cluster.user_of_site("ana", "north").await);
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    let [kept, revoked] = [(), ()].map(|()| authority.sign(&leaf(|_| {}), ""));
    let mut open = connected(&cluster, Some(revoked.clone())).await.unwrap();
    asked(&mut open).await.expect("nobody has revoked it");

    std::fs::write(certs.join("lost.crt"), &revoked.0).unwrap();
    take_back(&certs, "lost.crt");
    for (what, told) in [
        ("over a new connection", directory(&cluster, Some(revoked)).await),
        ("over one that was open", asked(&mut open).await),
    ] {
        let (code, told) = told.expect_err(what);
        assert!(code == Some(Code::Unauthenticated) && told.contains("is revoked"), "{what}: {told}");
    }
    directory(&cluster, Some(kept)).await.expect("another certificate of the same name");
    eventually_value(&ana, COUNT_ORDERS, "200").await;

    // Nor does the coordinator believe a site.
    take_back(&certs, "north.crt");
    eventually_refused(&ana, COUNT_ORDERS, "SITE_UNAVAILABLE").await;
    eventually_value(&at_site, COUNT_ORDERS, "200").await;
    assert!(cluster.coordinator().log().contains("Revoked"), "{}", cluster.coordinator().log());
}

/// As the operator does it.
pub(super) fn take_back(certs: &Path, certificate: &str) {
    let mut command = Command::new(chancery());
    let done = command.args(["certs", "revoke", "--dir"]).arg(certs).arg(certs.join(certificate)).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub(super) fn names(name: &str) -> Vec<rcgen::SanType> {
    vec![rcgen::SanType::DnsName(name.try_into().unwrap())]
}
