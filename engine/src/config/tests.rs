//! Whole files, good and bad, through the doors of this module.

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;

use super::*;
use crate::identity::certs;
use crate::identity::claims::ClaimRules;

/// A directory with certificates, users and data, as an operator would have it.
struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { directory: tempfile::tempdir().unwrap() };
        let nodes: Vec<certs::NodeName> = ["bts", "coordinator"].iter().map(|name| name.parse().unwrap()).collect();
        certs::init(&fixture.path("certs"), &nodes).unwrap();
        std::fs::create_dir(fixture.path("data")).unwrap();
        std::fs::write(fixture.path("data/airlines.csv"), "code,name\nAA,American\n").unwrap();
        fixture.write("users.toml", "");
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The faults of a file without the directory, one a line.
    fn faults(&self, path: &Path) -> String {
        let directory = format!("{}/", self.directory.path().display());
        check(path).unwrap_err().to_string().replace(&directory, "")
    }
}

const TLS: &str = "[tls]\ncertificate = 'certs/bts.crt'\nkey = 'certs/bts.key'\nauthority = 'certs/authority.crt'\n";
const SOURCE: &str = "[[source]]\nname = 'ontime'\nkind = 'files'\nroot = 'data'\n";

fn site(head: &str) -> String {
    format!("name = 'bts'\n{head}\n{TLS}[users]\nfile = 'users.toml'\n{SOURCE}")
}

fn coordinator(head: &str, tail: &str) -> String {
    let tls = TLS.replace("bts", "coordinator");
    format!("{head}\n{tls}[users]\nfile = 'users.toml'\n{tail}")
}

const BTS: &str = "[[site]]\nname = 'bts'\naddress = 'https://127.0.0.1:32011'\n";

#[test]
fn a_site_is_loaded() {
    let fixture = Fixture::new();
    let text = site("listen = '0.0.0.0:32011'\npeers = ['coordinator']\nlimits.batch_rows = 8192");
    let site = load_site(&fixture.write("bts.toml", &text)).unwrap();
    assert_eq!(site.node.name.as_str(), "bts");
    assert_eq!(site.node.door, DoorSecurity::Tls);
    assert_eq!(site.node.state, fixture.path("state/bts"));
    assert_eq!(site.node.limits, Limits { batch_rows: 8192, ..Limits::default() });
    assert_eq!(site.node.tls.unwrap().names, ["bts"]);
    assert!(site.peers.contains("coordinator"));
    assert_eq!((site.sources[0].name.as_str(), site.sources[0].kind.as_str()), ("ontime", "files"));
    assert_eq!(site.sources[0].options.keys().collect::<Vec<_>>(), ["root"]);
    assert_eq!(site.sources[0].base, fixture.directory.path());
}

#[test]
fn a_coordinator_is_loaded() {
    let fixture = Fixture::new();
    let far = "[[site]]\nname = 'faa'\naddress = 'https://faa.example:1'\ntls_name = 'door.faa.example'\n";
    let regional = "[[regional]]\nname = 'national.civil.people'\ncolumn = 'region'\n\
                    [[regional.arm]]\nregion = 'north'\ntable = 'bts.civil.people'\n\
                    [[regional.arm]]\nregion = 'south'\ntable = 'faa.civil.people'\n";
    let text = coordinator("listen = '127.0.0.1:32010'\nplaintext = true", &format!("{BTS}{far}{regional}"));
    let coordinator = load_coordinator(&fixture.write("coordinator.toml", &text)).unwrap();
    assert_eq!(coordinator.node.name.as_str(), "coordinator");
    assert_eq!(coordinator.node.door, DoorSecurity::Plain, "the users' door is plain, the sites' are not");
    assert!(coordinator.node.tls.is_some());
    let sites: Vec<_> =
        coordinator.sites.iter().map(|site| (site.name.as_str(), site.tls_name.as_str(), site.compression)).collect();
    let expected = [("bts", "bts", WireCompression::None), ("faa", "door.faa.example", WireCompression::Zstd)];
    assert_eq!(sites, expected);
    let [regional] = coordinator.regionals.as_slice() else { panic!("one regional table") };
    assert_eq!(regional.name.to_string(), "national.civil.people");
    assert_eq!(regional.arms.iter().map(|arm| arm.region.as_str()).collect::<Vec<_>>(), ["north", "south"]);
}

#[test]
fn a_federation_is_loaded() {
    let fixture = Fixture::new();
    fixture.write("bts.toml", &site("listen = '127.0.0.1:32011'\npeers = ['coordinator']"));
    fixture.write("coordinator.toml", &coordinator("listen = '127.0.0.1:32010'", BTS));
    let path = fixture.write("serve.toml", "coordinator = 'coordinator.toml'\nsites = ['bts.toml']");
    assert_eq!(load_serve(&path).unwrap().sites.len(), 1);
    assert_eq!(check(&path), Ok(FileKind::Serve));
    assert_eq!(check(&fixture.path("bts.toml")), Ok(FileKind::Site));
    assert_eq!(check(&fixture.path("coordinator.toml")), Ok(FileKind::Coordinator));
}

#[test]
fn every_fault_of_a_site_is_named() {
    let fixture = Fixture::new();
    let path = fixture.write(
        "site.toml",
        "name = 'system'\nlisten = '0.0.0.0'\npasswords = 'x'\nplaintext = 1\npeers = [3]\n\
         [tls]\ncertificate = 'certs/bts.crt'\nkey = 'certs/coordinator.key'\n\
         [limits]\nbatch_rows = 0\nbatch_row = 5\n\
         [[source]]\nname = 'ontime'\nkind = 'fils'\n[[source]]\nname = 'ontime'\nkind = 'files'\nroot = 'nowhere'\n",
    );
    let faults = fixture.faults(&path);
    for expected in [
        "site.toml: `name`: `system` is reserved",
        "site.toml: `listen`: `0.0.0.0` is no address",
        "site.toml: `passwords`: is not a key of this table; known keys: name, listen, state, plaintext, tls, users",
        "site.toml: `plaintext`: must be true or false",
        "site.toml: `peers[0]`: must be a text",
        "site.toml: `tls.authority`: is missing",
        "site.toml: `tls.key`: is not the key of `certificate`",
        "site.toml: `limits.batch_rows`: 0 is outside 1 to",
        "site.toml: `limits.batch_row`: is not a key of this table; did you mean `batch_rows`?",
        "site.toml: `source[0].kind`: `fils` is not a kind of source",
        "site.toml: `source[1].name`: another source is named `ontime`",
        "site.toml: `source[1].root`: ",
    ] {
        assert!(faults.contains(expected), "`{expected}` is not among\n{faults}");
    }
}

#[test]
fn every_fault_of_a_coordinator_is_named() {
    let fixture = Fixture::new();
    let path = fixture.write(
        "c.toml",
        "listen = '127.0.0.1:1'\n[users]\nfile = 'none.toml'\n\
         [[site]]\nname = 'bts'\naddress = 'https://127.0.0.1:2'\n\
         [[site]]\nname = 'bts'\naddress = 'http://far.example:2'\ncompression = 'gzip'\n\
         [[site]]\nname = '海关'\naddress = 'far.example:2'\n\
         [[regional]]\nname = 'bts.civil.people'\narm = []\n\
         [[regional]]\nname = 'people'\ncolumn = 'r'\n[[regional.arm]]\nregion = 'n'\ntable = 'faa.civil.people'\n\
         [[regional.arm]]\nregion = 'n'\ntable = 'bts.civil.people'\n",
    );
    let faults = fixture.faults(&path);
    for expected in [
        "c.toml: `users.file`: none.toml: cannot be read",
        "c.toml: `site[0].address`: https needs a [tls] section",
        "c.toml: `site[1].name`: another site is named `bts`",
        "c.toml: `site[1].address`: nodes know each other by certificates",
        "c.toml: `site[1].compression`: unknown compression `gzip`; known: auto, none, lz4, zstd",
        "c.toml: `site[2].address`: `far.example:2` is no address of a site",
        "c.toml: `site[2].tls_name`: a certificate cannot carry the name `海关`",
        "c.toml: `regional[0].name`: the catalog `bts` is a site's",
        "c.toml: `regional[0].column`: is missing",
        "c.toml: `regional[0].arm`: a regional table needs at least one",
        "c.toml: `regional[1].name`: `people` is not a table in full",
        "c.toml: `regional[1].arm[0].table`: there is no [[site]] named `faa`",
        "c.toml: `regional[1].arm[1].region`: another arm has the region `n`",
    ] {
        assert!(faults.contains(expected), "`{expected}` is not among\n{faults}");
    }
}

#[test]
fn plain_text_leaves_the_machine_only_when_it_is_written() {
    let fixture = Fixture::new();
    let plain = |head: &str| {
        fixture.write("site.toml", &format!("name = 'bts'\n{head}\n[users]\nfile = 'users.toml'\n{SOURCE}"))
    };
    for listen in ["0.0.0.0:1", "[::]:1", "10.0.0.7:1"] {
        let faults = fixture.faults(&plain(&format!("listen = '{listen}'")));
        assert!(faults.starts_with("site.toml: `listen`: ") && faults.contains("plaintext = true"), "{faults}");
        let allowed = load_site(&plain(&format!("listen = '{listen}'\nplaintext = true"))).unwrap();
        assert_eq!(allowed.node.door, DoorSecurity::Plain);
    }
    for listen in ["127.0.0.1:1", "[::1]:1", "localhost:1"] {
        assert_eq!(load_site(&plain(&format!("listen = '{listen}'"))).unwrap().node.door, DoorSecurity::Plain);
    }
    let faults = fixture.faults(&fixture.write("site.toml", &site("listen = '127.0.0.1:1'\nplaintext = true")));
    assert!(faults.contains("`plaintext`: contradicts [tls]"), "{faults}");
}

#[test]
fn spans_leave_the_machine_in_plain_text_only_when_it_is_written() {
    let fixture = Fixture::new();
    let with = |traces: &str| {
        fixture.write(
            "site.toml",
            &format!("{}[traces]\n{traces}", site("listen = '127.0.0.1:1'\npeers = ['coordinator']")),
        )
    };
    let faults = |traces: &str| fixture.faults(&with(traces));
    for endpoint in
        ["collector.example:4317", "ftp://collector.example", "https://ann:pw@collector.example", "https://c/v1"]
    {
        let told = faults(&format!("endpoint = '{endpoint}'\ntls_ca = 'certs/authority.crt'"));
        assert!(
            told.contains("`traces.endpoint`: ") && told.contains("OTLP over gRPC") && !told.contains("pw"),
            "{told}"
        );
    }
    let plain = "endpoint = 'http://collector.example:4317'";
    assert!(faults(plain).contains("plaintext = true"), "{}", faults(plain));
    assert!(faults("endpoint = 'https://collector.example:4317'").contains("`traces.tls_ca`: is missing"));
    let keyed = "endpoint = 'https://collector.example:4317'\ntls_ca = 'certs/bts.key'";
    assert!(faults(keyed).contains("`traces.tls_ca`: has no certificate"), "{}", faults(keyed));
    let both = "endpoint = 'http://localhost:4317'\ntls_ca = 'certs/authority.crt'";
    assert!(faults(both).contains("`traces.tls_ca`: is for https"), "{}", faults(both));
    for good in [
        "endpoint = 'http://127.0.0.1:4317'".to_string(),
        format!("{plain}\nplaintext = true"),
        "endpoint = 'https://collector.example:4317'\ntls_ca = 'certs/authority.crt'".to_string(),
    ] {
        let traces = load_site(&with(&good)).unwrap().node.traces.unwrap();
        assert_eq!(traces.authority.is_some(), traces.endpoint.scheme() == "https");
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let fixture = Fixture::new();
    certs::init(&fixture.path("other"), &[]).unwrap();
    let text = site("listen = '127.0.0.1:1'").replace("certs/authority", "other/authority");
    let faults = fixture.faults(&fixture.write("site.toml", &text));
    assert_eq!(
        faults,
        "site.toml: `tls.certificate`: the certificate is not signed by `authority`; no other node would believe it"
    );
}

#[test]
fn files_that_do_not_fit_together_are_named() {
    let fixture = Fixture::new();
    fixture.write("bts.toml", &site("listen = '127.0.0.1:32010'"));
    fixture.write("coordinator.toml", &coordinator("listen = '127.0.0.1:32010'", &BTS.replace("'bts'", "'faa'")));
    let path = fixture.write("serve.toml", "coordinator = 'coordinator.toml'\nsites = ['bts.toml', 'gone.toml']");
    let faults = fixture.faults(&path);
    for expected in [
        "serve.toml: `sites[0]`: the coordinator has no [[site]] named `bts`",
        "serve.toml: `sites[0]`: `peers` of this site names none of the coordinator's certificate names (coordinator)",
        "serve.toml: `sites[0]`: `bts` and `coordinator` listen on the same address 127.0.0.1:32010",
        "gone.toml: cannot be read",
    ] {
        assert!(faults.contains(expected), "`{expected}` is not among\n{faults}");
    }
}

#[test]
fn a_site_that_believes_nobody_is_refused() {
    let fixture = Fixture::new();
    let text = format!("name = 'bts'\nlisten = '127.0.0.1:1'\n{TLS}{SOURCE}");
    let faults = fixture.faults(&fixture.write("site.toml", &text));
    assert!(faults.starts_with("site.toml: `peers`: nobody is believed here"), "{faults}");
}

#[test]
fn a_certificate_is_a_coordinators_or_a_users() {
    let fixture = Fixture::new();
    fixture.write("users.toml", "[[user]]\nname = 'ana'\ncertificate = 'Coordinator'\n");
    let text = site("listen = '127.0.0.1:1'\npeers = ['coordinator']");
    let faults = fixture.faults(&fixture.write("site.toml", &text));
    assert!(faults.starts_with("site.toml: `peers`: `coordinator` is the `certificate` of the user `ana`"), "{faults}");
}

#[test]
fn a_file_of_no_kind_is_said_to_be_none() {
    let fixture = Fixture::new();
    let faults = fixture.faults(&fixture.write("x.toml", "name = 'x'"));
    assert!(faults.starts_with("x.toml: is neither a site"), "{faults}");
}

#[test]
fn a_key_is_never_shown() {
    let fixture = Fixture::new();
    let site = load_site(&fixture.write("bts.toml", &site("listen = '127.0.0.1:1'"))).unwrap();
    assert!(!format!("{site:?}").contains("PRIVATE KEY"));
}

const KEYS: &str =
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn issuers_are_loaded() {
    let fixture = Fixture::new();
    fixture.write("keys.json", KEYS);
    let issuers = "[[issuer]]\nname = 'https://login.example'\nkeys = 'keys.json'\naudience = 'chancery'\n\
                   roles = ['analyst']\nclock_skew_s = 5\n\
                   [[issuer]]\nname = 'coordinator'\ntrust = 'coordinator'\nroles = ['*']\n\
                   users = ['ana']\norganisations = ['health']\npurposes = ['care']\n";
    let text = format!("{}{issuers}", site("listen = '127.0.0.1:1'\npeers = ['coordinator']"));
    let site = load_site(&fixture.write("site.toml", &text)).unwrap();
    let [token, local] = site.node.issuers.as_slice() else { panic!("two issuers") };
    let IssuerTrust::Token(trust) = &token.trust else { panic!("{token:?}") };
    assert!(matches!(&trust.keys, KeySource::File(file) if *file == fixture.path("keys.json")), "{trust:?}");
    assert_eq!((trust.audience.as_str(), trust.clock_skew_s), ("chancery", 5));
    assert!(trust.algorithms.is_none() && trust.claims == ClaimRules::default());
    assert_eq!(trust.direct_audience, None, "no token opens the site's own door");
    let these = |name: &str| Listed::These([name.to_string()].into());
    assert_eq!(token.extent, Extent { roles: these("analyst"), ..Extent::WHOLE });
    let extent =
        Extent { users: these("ana"), organisations: these("health"), purposes: these("care"), ..Extent::WHOLE };
    assert!(matches!(local.trust, IssuerTrust::Coordinator) && local.extent == extent, "{local:?}");
}

#[test]
fn an_issuer_that_publishes_its_keys_is_loaded_with_what_its_claims_mean() {
    let fixture = Fixture::new();
    let issuer = "[[issuer]]\nname = 'https://login.example/x'\ndiscover = true\ntls_ca = 'certs/authority.crt'\n\
                  audience = 'chancery'\nroles = ['*']\nalgorithms = ['ES256', 'PS256']\n\
                  claims = { roles = ['realm_access', 'roles'], organisation = 'https://x/org' }\n\
                  attributes = { regions = 'area', level = ['a', 'b'] }\nrole_names = { grp-17 = 'analyst' }\n\
                  required = { tenant = ['health', 'revenue'], mfa = true, level = 3 }\n";
    let text = format!("{}{issuer}", site("listen = '127.0.0.1:1'"));
    let site = load_site(&fixture.write("site.toml", &text)).unwrap();
    let IssuerTrust::Token(trust) = &site.node.issuers[0].trust else { panic!("{site:?}") };
    assert!(matches!(&trust.keys, KeySource::Published { authorities } if authorities.len() == 1), "{trust:?}");
    assert_eq!(trust.algorithms, Some(vec![Algorithm::ES256, Algorithm::PS256]));
    let path = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rules = &trust.claims;
    assert_eq!(
        rules.names,
        [("roles", path(&["realm_access", "roles"])), ("organisation", path(&["https://x/org"]))].into()
    );
    let attributes = [("regions".to_string(), path(&["area"])), ("level".to_string(), path(&["a", "b"]))];
    assert_eq!(rules.attributes, attributes.into());
    assert_eq!(rules.role_names, [("grp-17".to_string(), "analyst".to_string())].into());
    let values = |values: &[serde_json::Value]| values.to_vec();
    let required = [
        ("tenant".to_string(), values(&["health".into(), "revenue".into()])),
        ("mfa".to_string(), values(&[true.into()])),
        ("level".to_string(), values(&[3.into()])),
    ];
    assert_eq!(rules.required, required.into());
}

#[test]
fn every_fault_of_an_issuer_that_publishes_its_keys_is_named() {
    let fixture = Fixture::new();
    fixture.write("keys.json", KEYS);
    let issuer = |name: &str, lines: &str| {
        format!("[[issuer]]\nname = '{name}'\naudience = 'chancery'\nroles = ['*']\n{lines}\n")
    };
    for (name, lines, expected) in [
        ("https://a", "", "`issuer[0].keys`: is missing: a JWK set in a file, or `discover = true`"),
        ("https://a", "discover = true\nkeys = 'keys.json'", "`issuer[0].keys`: contradicts `discover = true`"),
        ("https://a", "keys = 'keys.json'\ntls_ca = 'certs/authority.crt'", "`issuer[0].tls_ca`: is for `discover"),
        ("https://a", "discover = true\ntls_ca = 'keys.json'", "`issuer[0].tls_ca`: has no certificate"),
        ("https://a", "discover = true\ntls_ca = 'none'", "`issuer[0].tls_ca`: cannot be read"),
        ("http://a", "discover = true", "`issuer[0].name`: `http://a` cannot be asked for its keys"),
        ("urn:a", "discover = true", "`issuer[0].name`: `urn:a` cannot be asked for its keys"),
        ("https://a", "discover = true\nalgorithms = ['HS256']", "`issuer[0].algorithms`: `HS256` is none of"),
        ("https://a", "discover = true\nalgorithms = ['none']", "`issuer[0].algorithms`: `none` is none of"),
        ("https://a", "discover = true\nalgorithms = []", "`issuer[0].algorithms`: names none"),
        ("https://a", "discover = true\nclaims = { regions = 'x' }", "`issuer[0].claims.regions`: is none of"),
        ("https://a", "discover = true\nclaims = { roles = [] }", "`issuer[0].claims.roles`: must be a claim's name"),
        ("https://a", "discover = true\nattributes = { a = 1 }", "`issuer[0].attributes.a`: must be a claim's name"),
        ("https://a", "discover = true\nrole_names = { a = 1 }", "`issuer[0].role_names.a`: must be a text"),
        ("https://a", "discover = true\nrequired = { a = [] }", "`issuer[0].required.a`: must be a text"),
        ("https://a", "discover = true\nrequired = { a = [['x']] }", "`issuer[0].required.a`: must be a text"),
        ("https://a", "discover = true\nrequired = { a = 1.5 }", "`issuer[0].required.a`: must be a text"),
    ] {
        let text = format!("{}{}", site("listen = '127.0.0.1:1'"), issuer(name, lines));
        let faults = fixture.faults(&fixture.write("site.toml", &text));
        assert!(faults.contains(expected), "{lines}: {faults}");
    }
}

#[test]
fn a_coordinators_administrators_are_roles() {
    let fixture = Fixture::new();
    let load = |line: &str| {
        let text = coordinator(&format!("listen = '127.0.0.1:1'\n{line}"), BTS);
        load_coordinator(&fixture.write("coordinator.toml", &text))
    };
    assert!(load("").unwrap().administrators.is_empty(), "nobody by default");
    assert_eq!(load("administrators = ['operator']").unwrap().administrators, ["operator".to_string()].into());
    let faults = load("administrators = 'operator'").unwrap_err().to_string();
    assert!(faults.contains("`administrators`: must be a list of texts"), "{faults}");
}

#[test]
fn a_coordinators_own_door_is_opened_by_the_audience() {
    let fixture = Fixture::new();
    fixture.write("keys.json", KEYS);
    let issuer =
        "[[issuer]]\nname = 'https://login.example'\nkeys = 'keys.json'\naudience = 'chancery'\nroles = ['*']\n";
    let head = "listen = '127.0.0.1:1'";
    let load = |more: &str| fixture.write("coordinator.toml", &coordinator(head, &format!("{BTS}{issuer}{more}")));
    let loaded = load_coordinator(&load("")).unwrap();
    let IssuerTrust::Token(trust) = &loaded.node.issuers[0].trust else { panic!("{loaded:?}") };
    assert_eq!(trust.direct_audience.as_deref(), Some("chancery"));
    let faults = load_coordinator(&load("direct_audience = 'hub'\n")).unwrap_err().to_string();
    assert!(faults.contains("`issuer[0].direct_audience`: is a key of sites"), "{faults}");
}

#[test]
fn every_fault_of_an_issuer_is_named() {
    let fixture = Fixture::new();
    fixture.write("secret.json", r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#);
    let issuers = "[[issuer]]\nname = 'login'\nkeys = 'none.json'\nroles = []\nclock_skew_s = 301\n\
                   [[issuer]]\nname = 'https://a@b'\nkeys = 'secret.json'\naudience = 'x'\nroles = ['*']\n\
                   direct_audience = 'x'\nusers = []\n\
                   [[issuer]]\nname = 'https://a@b'\ntrust = 'me'\n\
                   [[issuer]]\nname = 'other'\ntrust = 'coordinator'\nroles = ['*']\nkeys = 'secret.json'\n";
    let text = format!("{}{issuers}", site("listen = '127.0.0.1:1'\npeers = ['coordinator']"));
    let faults = fixture.faults(&fixture.write("site.toml", &text));
    for expected in [
        "`issuer[0].name`: `login` is no issuer's name",
        "`issuer[0].keys`: none.json: cannot be read",
        "`issuer[0].audience`: is missing",
        "`issuer[0].roles`: is empty",
        "`issuer[1].direct_audience`: is `audience` too",
        "`issuer[1].users`: is empty",
        "`issuer[2].roles`: is missing",
        "`issuer[0].clock_skew_s`: 301 is outside 0 to 300",
        "`issuer[1].name`: `https://a@b` is no issuer's name",
        "`issuer[1].keys`: secret.json: has no key",
        "`issuer[2].name`: another issuer is named",
        "`issuer[2].trust`: unknown trust `me`",
        "`issuer[3].keys`: is not a key of this table",
    ] {
        assert!(faults.contains(expected), "`{expected}` is not among\n{faults}");
    }
    let alone = "[[issuer]]\nname = 'coordinator'\ntrust = 'coordinator'\nroles = ['*']\n";
    let text = format!("{}{alone}", site("listen = '127.0.0.1:1'"));
    let faults = fixture.faults(&fixture.write("site.toml", &text));
    assert!(faults.contains("`issuer[0].name`: a coordinator is believed at a site whose `peers`"), "{faults}");
}

/// Writes a secret of so many bytes, readable by its owner only.
fn write_secret(fixture: &Fixture, name: &str, bytes: usize) {
    use std::os::unix::fs::PermissionsExt;

    use base64::Engine as _;
    let path = fixture.write(name, &base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn governed(fixture: &Fixture, sections: &str) -> PathBuf {
    fixture.write("site.toml", &format!("{}{sections}", site("listen = '127.0.0.1:1'")))
}

#[test]
fn policy_is_enforced_unless_it_is_written_otherwise() {
    let fixture = Fixture::new();
    let policy = |sections: &str| load_site(&governed(&fixture, sections)).unwrap().policy;
    assert_eq!(policy(""), PolicyConfig::default());
    assert_eq!(policy("[policy]\n"), PolicyConfig::default());
    assert_eq!(policy("[policy]\nenforce = true\n"), PolicyConfig::default());
    let off = PolicyConfig { enforcement: Enforcement::Off, ..PolicyConfig::default() };
    assert_eq!(policy("[policy]\nenforce = false\n"), off);
}

#[test]
fn policy_and_pseudonyms_are_loaded() {
    let fixture = Fixture::new();
    write_secret(&fixture, "keys.b64", 32);
    std::fs::create_dir(fixture.path("policies")).unwrap();
    let sections = "[policy]\nadministrators = ['admin', 'officer']\ndirectory = 'policies'\n\
                    [pseudonyms]\nsecret = 'keys.b64'\nepoch = 3\nhash = 'sm3'\n";
    let site = load_site(&governed(&fixture, sections)).unwrap();
    let expected = PolicyConfig {
        enforcement: Enforcement::On,
        administrators: ["admin".to_string(), "officer".to_string()].into(),
        directory: Some(fixture.path("policies")),
    };
    assert_eq!(site.policy, expected, "paths start from the file; who administers may read what files say");
    let keys = site.pseudonyms.as_ref().unwrap();
    assert_eq!(format!("{keys:?}"), "PseudonymKeys { epoch: 3, .. }");
    assert!(!format!("{site:?}").contains("BwcHBwcH"), "the secret is not shown");
}

/// A site whose directory of policies is gone serves what it read last; it must start.
#[test]
fn a_directory_of_policies_may_come_later() {
    let fixture = Fixture::new();
    let site = load_site(&governed(&fixture, "[policy]\ndirectory = 'later'\n")).unwrap();
    assert_eq!(site.policy.directory, Some(fixture.path("later")));
}

#[test]
fn every_fault_of_policy_and_pseudonyms_is_named() {
    let fixture = Fixture::new();
    write_secret(&fixture, "short.key", 31);
    let short = "`pseudonyms.secret`: short.key is no secret: it must hold at least 32 bytes in base64";
    let cases: [(&str, &[&str]); 5] = [
        (
            "[policy]\nenforced = true\nenforce = 'no'\nadministrators = 'admin'\ndirectory = 'users.toml'\n\
             [pseudonyms]\nsecret = 'short.key'\nepoch = 0\nhash = 'md5'\npepper = 'x'\n",
            &[
                "`policy.enforced`: is not a key of this table; did you mean `enforce`?",
                "`policy.enforce`: must be true or false, not a text",
                "`policy.administrators`: must be a list of texts, not a text",
                "`policy.directory`: users.toml is not a directory",
                short,
                "`pseudonyms.epoch`: 0 is outside 1 to 4294967295",
                "`pseudonyms.hash`: unknown hash `md5`; known: sha256, sm3",
                "`pseudonyms.pepper`: is not a key of this table",
            ],
        ),
        (
            "[policy]\nadministrators = [1]\ndirectory = ''\n[pseudonyms]\n",
            &[
                "`policy.administrators[0]`: must be a text, not a whole number",
                "`policy.directory`: is empty",
                "`pseudonyms.secret`: is missing",
            ],
        ),
        ("[pseudonyms]\nsecret = 'none.key'\n", &["`pseudonyms.secret`: none.key cannot be read"]),
        ("[[policy]]\nenforce = true\n", &["`policy`: must be a table `[policy]`, not a list"]),
        ("[issuer]\nname = 'x'\n", &["`issuer`: must be written as `[[issuer]]`, once for each; this is a table"]),
    ];
    for (sections, expected) in cases {
        let faults = fixture.faults(&governed(&fixture, sections));
        assert_eq!(faults.lines().count(), expected.len(), "{faults}");
        for expected in expected {
            assert!(faults.contains(&format!("site.toml: {expected}")), "`{expected}` is not among\n{faults}");
        }
    }
}

#[test]
fn a_secret_that_is_not_base64_is_refused_and_not_repeated() {
    let fixture = Fixture::new();
    write_secret(&fixture, "broken.key", 32);
    fixture.write("broken.key", "kept-on-a-sticker,-and-long-enough-to-be-one");
    let faults = fixture.faults(&governed(&fixture, "[pseudonyms]\nsecret = 'broken.key'\n"));
    assert!(faults.contains("`pseudonyms.secret`: broken.key is no secret"), "{faults}");
    assert!(!faults.contains("sticker"), "{faults}");
}

#[test]
fn a_coordinator_has_no_policy_of_its_own() {
    let fixture = Fixture::new();
    let text = coordinator("listen = '127.0.0.1:1'", &format!("{BTS}[policy]\nenforce = false\n"));
    let faults = fixture.faults(&fixture.write("c.toml", &text));
    assert!(faults.starts_with("c.toml: `policy`: is not a key of this table"), "{faults}");
}

#[test]
fn keys_of_an_issuer_that_are_no_keys_are_refused() {
    let fixture = Fixture::new();
    fixture.write("broken.json", "{\"keys\": ");
    let issuer = "[[issuer]]\nname = 'https://login.example'\nkeys = 'broken.json'\naudience = 'x'\nroles = ['*']\n\
                  audiences = ['y']\n";
    let faults = fixture.faults(&governed(&fixture, issuer));
    assert!(faults.contains("`issuer[0].keys`: broken.json"), "{faults}");
    assert!(faults.contains("`issuer[0].audiences`: is not a key of this table; did you mean `audience`?"), "{faults}");
}
