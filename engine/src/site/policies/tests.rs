//! The policies of a site with one table, from start to restart.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use policy::list::Listing;
use policy::statement::Statement;
use policy::subject::Subject;

use super::store::Unrecorded;
use super::*;
use crate::audit::entry::{Change as RecordedChange, Entry as Recorded};
use crate::audit::{AuditKey, AuditOptions};
use crate::config::{Limits, load_site};
use crate::session::queries::QueryId;

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000_000;
const GOOD: &str = "CREATE PURPOSE research;\nGRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research WITH \
                    (id = 'g-all');\nVALID UNTIL '2026-06-30';\n";

/// A site's directory, and the hands of its clock.
struct Place {
    directory: tempfile::TempDir,
    hands: Arc<AtomicI64>,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), hands: Arc::new(AtomicI64::new(START)) };
        fs::create_dir(place.path("data")).unwrap();
        fs::write(place.path("data/people.csv"), "id_no,name,region\n17,Wang,north\n18,Li,south\n").unwrap();
        fs::write(place.path("users.toml"), "").unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, policy: &str) -> SiteConfig {
        let text = format!(
            "name = 'north'\nlisten = '127.0.0.1:0'\n[users]\nfile = 'users.toml'\n[[source]]\nname = 'civil'\nkind = \
             'files'\nroot = 'data'\n[policy]\nadministrators = ['admin']\n{policy}"
        );
        fs::write(self.path("site.toml"), text).unwrap();
        load_site(&self.path("site.toml")).unwrap()
    }

    async fn open(&self, policy: &str) -> Arc<Policies> {
        self.open_with(policy, None).await
    }

    /// A record of which every entry needs a file of its own, so that it fails when its directory is gone.
    fn record(&self) -> Arc<AuditLog> {
        let key = AuditKey::load_or_create(&self.path("audit.key")).unwrap();
        let options = AuditOptions { segment_bytes: 1, ..AuditOptions::new("north", key, &Limits::default()) };
        AuditLog::open(&self.path("audit"), options).unwrap()
    }

    async fn open_with(&self, policy: &str, audit: Option<Arc<AuditLog>>) -> Arc<Policies> {
        let config = self.config(policy);
        let tables = SiteTables::open(&config).await.unwrap();
        let hands = Arc::clone(&self.hands);
        let read: ReadClock = Arc::new(move || Instant(hands.load(Ordering::Relaxed)));
        Policies::open_with_clock(&config, tables, audit, read).await.unwrap()
    }

    /// A site whose policy lies in `policies/`, with one good file.
    async fn open_directory(&self) -> Arc<Policies> {
        fs::create_dir_all(self.path("policies")).unwrap();
        fs::write(self.path("policies/a.sql"), GOOD).unwrap();
        self.open("directory = 'policies'").await
    }

    /// Looks at `policies/` until it rests, and tells what was wrong with it.
    async fn look(&self, policies: &Arc<Policies>) -> Option<String> {
        let mut watch = Watch::new(self.path("policies"));
        policies.look(&mut watch).await.unwrap();
        policies.look(&mut watch).await.unwrap();
        watch.refusal().map(str::to_string)
    }
}

async fn run(policies: &Arc<Policies>, text: &str) -> Result<Listing> {
    let statement = Statement::parse(text, "north").unwrap();
    let answer = policies.execute(&statement, ("admin", &QueryId::random())).await?;
    assert_eq!(answer.columns, columns(&statement), "as announced");
    Ok(answer)
}

fn cell(listing: &Listing, row: usize, column: &str) -> String {
    let index = listing.columns.iter().position(|name| *name == column).unwrap();
    listing.rows[row][index].clone().unwrap()
}

const STATEMENTS: [&str; 7] = [
    "CREATE TAG classification VALUES ('public', 'personal')",
    "CREATE PURPOSE research COMMENT 'it''s for science'",
    "ALTER TABLE civil.people ALTER COLUMN id_no SET TAG classification = 'personal'",
    "GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research VALID FROM '2026-01-01' TO '2026-12-31' LIMIT \
     ROWS 10 PER DAY WITH (decision_ref = 'no. 17')",
    "CREATE POLICY names ON TABLE civil.people COLUMN MASK show_first(1) COLUMNS (name) TO ALL EXCEPT ROLE registrar",
    "CREATE POLICY own ON TABLE civil.people ROW FILTER (region IN attribute('regions')) TO ROLE analyst",
    "VALID UNTIL '2027-01-01'",
];

#[tokio::test]
async fn a_restart_keeps_everything() {
    let place = Place::new();
    let policies = place.open("").await;
    assert_eq!(*policies.current().set, PolicySet::default(), "nothing is granted by default");
    for statement in STATEMENTS {
        run(&policies, statement).await.unwrap();
    }
    let before = policies.current();
    let history = run(&policies, "SHOW POLICY HISTORY").await.unwrap();
    assert_eq!(before.set.version, 7);
    drop(policies);
    let policies = place.open("").await;
    assert_eq!(policies.current().set, before.set);
    assert_eq!(run(&policies, "SHOW POLICY HISTORY").await.unwrap().rows, history.rows);
}

#[tokio::test]
async fn the_history_tells_who_did_what_and_how_to_take_it_back() {
    let place = Place::new();
    let policies = place.open("").await;
    let answer = run(&policies, "create purpose research").await.unwrap();
    assert_eq!((cell(&answer, 0, "version").as_str(), answer.rows.len()), ("1", 1));
    assert_eq!(cell(&answer, 0, "change"), "CREATE PURPOSE research");
    place.hands.fetch_add(1_500_000, Ordering::Relaxed);
    run(&policies, &cell(&answer, 0, "inverse")).await.unwrap();
    let history = run(&policies, "SHOW POLICY HISTORY").await.unwrap();
    assert_eq!(history.rows.len(), 2);
    assert_eq!((cell(&history, 0, "version").as_str(), cell(&history, 1, "version").as_str()), ("2", "1"));
    assert_eq!(cell(&history, 0, "at"), "2026-01-01T00:00:01.500000Z");
    assert_eq!(cell(&history, 0, "author"), "admin");
    assert_eq!(cell(&history, 0, "change"), "DROP PURPOSE research");
    assert_eq!(cell(&history, 0, "inverse"), "CREATE PURPOSE research");
}

#[tokio::test]
async fn every_change_is_taken_back_by_its_inverse() {
    let place = Place::new();
    let policies = place.open("").await;
    for statement in STATEMENTS {
        let before = policies.current();
        let answer = run(&policies, statement).await.unwrap();
        run(&policies, &cell(&answer, 0, "inverse")).await.unwrap();
        let after = policies.current();
        // An id that was given once is not given again.
        let counted = (before.set.version + 2, after.set.last_grant);
        let expected = PolicySet { version: counted.0, last_grant: counted.1, ..PolicySet::clone(&before.set) };
        assert_eq!(*after.set, expected, "{statement}");
        run(&policies, statement).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_in_force_is_told() {
    let place = Place::new();
    let policies = place.open("").await;
    for statement in STATEMENTS {
        run(&policies, statement).await.unwrap();
    }
    for (show, rows) in [("POLICIES", 2), ("GRANTS", 1), ("TAGS", 1), ("PURPOSES", 1)] {
        let told = run(&policies, &format!("SHOW {show}")).await.unwrap();
        assert!(told.rows.len() >= rows, "{show}: {told:?}");
    }
    let seen = "SHOW EFFECTIVE POLICY ON civil.people FOR ROLE analyst PURPOSE research";
    let seen = run(&policies, seen).await.unwrap();
    assert_eq!((0..3).map(|row| cell(&seen, row, "form")).collect::<Vec<_>>(), ["clear", "show_first(1)", "clear"]);
    let nobody = run(&policies, "SHOW EFFECTIVE POLICY ON civil.people FOR ROLE visitor PURPOSE research").await;
    assert_eq!(nobody.unwrap().rows.len(), 0);
    let unknown = run(&policies, "SHOW EFFECTIVE POLICY ON civil.nosuch FOR ROLE analyst").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let place = Place::new();
    let policies = place.open("").await;
    let refused = run(&policies, "DROP PURPOSE nosuch").await.unwrap_err();
    assert!(matches!(refused.code(), Code::NotFound | Code::Statement), "{refused}");
    run(&policies, "GRANT SELECT ON TABLE civil.nosuch TO ALL FOR PURPOSE nosuch").await.unwrap_err();
    assert_eq!(policies.current().set.version, 0);
    assert_eq!(run(&policies, "SHOW POLICY HISTORY").await.unwrap().rows.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_administrators_at_once_do_not_lose_each_other_s_changes() {
    let place = Place::new();
    let policies = place.open("").await;
    let tasks: Vec<_> = (0..40)
        .map(|index| {
            let policies = Arc::clone(&policies);
            SpawnedTask::spawn(async move { run(&policies, &format!("CREATE PURPOSE p{index}")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let set = Arc::clone(&policies.current().set);
    assert_eq!((set.version, set.purposes.len()), (40, 40));
    drop(policies);
    assert_eq!(place.open("").await.current().set, set);
}

#[tokio::test]
async fn a_change_wakes_those_who_wait_and_is_durable_by_then() {
    let place = Place::new();
    let policies = place.open("").await;
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    run(&policies, "GRANT SELECT ON SCHEMA civil TO ALL FOR PURPOSE research WITH (id = 'g-1')").await.unwrap();
    let mut changes = policies.subscribe();
    run(&policies, "REVOKE GRANT 'g-1'").await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert!(!changes.borrow_and_update().set.grants.contains_key("g-1"));
    let other = Store::open(&place.path("state/north")).unwrap();
    assert!(other.kept().unwrap().set.grants.is_empty());
}

#[tokio::test]
async fn files_are_in_force_from_the_start_and_read_only() {
    let place = Place::new();
    let policies = place.open_directory().await;
    let set = Arc::clone(&policies.current().set);
    assert_eq!((set.version, set.grants.contains_key("g-all"), set.valid_until.is_some()), (1, true, true));
    let refused = run(&policies, "REVOKE GRANT 'g-all'").await.unwrap_err();
    assert_eq!(refused.code(), Code::Statement);
    assert!(refused.sentence().contains("change a.sql"), "{refused}");
    let refused = run(&policies, "CREATE PURPOSE more").await.unwrap_err();
    assert!(refused.sentence().contains("a *.sql file"), "{refused}");
    drop(policies);
    let policies = place.open_directory().await;
    assert_eq!(policies.current().set, set, "the same files are the same version");
    assert_eq!(run(&policies, "SHOW POLICY HISTORY").await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn a_broken_directory_is_refused_whole_and_the_last_good_one_serves() {
    type Break = fn(&Place);
    let breaks: [(&str, Break); 7] = [
        ("truncated", |place| fs::write(place.path("policies/a.sql"), GOOD.split_at(60).0).unwrap()),
        ("cut off at a clause", |place| fs::write(place.path("policies/a.sql"), GOOD.trim_end_matches(";\n")).unwrap()),
        ("emptied", |place| fs::write(place.path("policies/a.sql"), "").unwrap()),
        ("unknown mask", |place| {
            let text = "CREATE POLICY x ON TABLE civil.people COLUMN MASK blur(3) COLUMNS (name) TO ALL;";
            fs::write(place.path("policies/b.sql"), text).unwrap();
        }),
        ("unknown table", |place| {
            let text = "GRANT SELECT ON TABLE civil.nosuch TO ALL FOR PURPOSE research;";
            fs::write(place.path("policies/b.sql"), text).unwrap();
        }),
        ("empty", |place| fs::remove_file(place.path("policies/a.sql")).unwrap()),
        ("removed", |place| fs::remove_dir_all(place.path("policies")).unwrap()),
    ];
    for (what, spoil) in breaks {
        let place = Place::new();
        let policies = place.open_directory().await;
        let good = Arc::clone(&policies.current().set);
        assert_eq!(place.look(&policies).await, None);
        spoil(&place);
        place.look(&policies).await.unwrap_or_else(|| panic!("{what} is not refused"));
        assert_eq!(policies.current().set, good, "{what}: the last good version serves, with its own end");
        drop(policies);
        let policies = place.open("directory = 'policies'").await;
        assert_eq!(policies.current().set, good, "{what}: also after a restart");
        drop(policies);
        drop(fs::remove_file(place.path("policies/b.sql")));
        fs::create_dir_all(place.path("policies")).unwrap();
        fs::write(place.path("policies/a.sql"), GOOD.replace("g-all", "g-new")).unwrap();
        let policies = place.open("directory = 'policies'").await;
        let set = Arc::clone(&policies.current().set);
        assert_eq!((set.version, set.grants.contains_key("g-new")), (2, true), "{what}: mended");
    }
}

#[tokio::test]
async fn a_broken_directory_at_the_very_start_permits_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("policies")).unwrap();
    fs::write(place.path("policies/a.sql"), "GRANT EVERYTHING;").unwrap();
    let policies = place.open("directory = 'policies'").await;
    assert_eq!(*policies.current().set, PolicySet::default());
}

#[tokio::test]
async fn a_directory_that_is_being_written_is_left_alone() {
    let place = Place::new();
    let policies = place.open_directory().await;
    let mut watch = Watch::new(place.path("policies"));
    for index in 0..5 {
        fs::write(place.path("policies/b.sql"), format!("CREATE PURPOSE p{index};")).unwrap();
        policies.look(&mut watch).await.unwrap();
        assert_eq!(policies.current().set.version, 1, "written since the last look");
        // So that the file system's clock ticks.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    policies.look(&mut watch).await.unwrap();
    assert_eq!(policies.current().set.version, 2);
    assert!(policies.current().set.purposes.contains_key("p4"));
}

#[tokio::test]
async fn a_grant_of_the_files_covers_what_was_there_when_it_was_first_read() {
    let covered = |policies: &Policies| policies.current().set.grants["g-all"].columns["civil.people"].len();
    let place = Place::new();
    let policies = place.open_directory().await;
    assert_eq!(covered(&policies), 3);
    drop(policies);
    fs::write(place.path("data/people.csv"), "id_no,name,region,phone\n17,Wang,north,555\n").unwrap();
    fs::write(place.path("policies/b.sql"), "CREATE PURPOSE more;").unwrap();
    let policies = place.open_directory().await;
    assert_eq!((policies.current().set.version, covered(&policies)), (2, 3), "the column that came is not covered");
    fs::write(place.path("policies/a.sql"), GOOD.replace("ROLE analyst", "ROLE desk")).unwrap();
    assert_eq!(place.look(&policies).await, None);
    assert_eq!(covered(&policies), 4, "another grant is a new one");
}

#[tokio::test]
async fn a_retyped_column_stays_denied_whatever_else_the_files_say() {
    let place = Place::new();
    let policies = place.open_directory().await;
    let mask = "CREATE POLICY ids ON TABLE civil.people COLUMN MASK hide COLUMNS (id_no) TO ALL;";
    fs::write(place.path("policies/b.sql"), mask).unwrap();
    assert_eq!(place.look(&policies).await, None);
    drop(policies);
    fs::write(place.path("data/people.csv"), "id_no,name,region\nseventeen,Wang,north\n").unwrap();
    fs::write(place.path("policies/c.sql"), "CREATE PURPOSE more;").unwrap();
    let policies = place.open_directory().await;
    let found = |policies: &Policies| policies.current().set.policies["ids"].uses["civil.people"]["id_no"].clone();
    assert_eq!(
        (policies.current().set.version, found(&policies).as_str()),
        (3, "Int64"),
        "as it was when it was written"
    );
    let trouble = run(&policies, "SHOW POLICIES").await.unwrap();
    assert!(cell(&trouble, 0, "trouble").contains("id_no was Int64 and is Utf8"), "{trouble:?}");
    fs::write(place.path("policies/b.sql"), mask.replace("TO ALL", "TO ROLE analyst")).unwrap();
    assert_eq!(place.look(&policies).await, None);
    assert_eq!(found(&policies), "Utf8", "the policy was written anew");
}

#[tokio::test]
async fn pseudonyms_without_a_secret_are_told() {
    let place = Place::new();
    let policies = place.open("").await;
    for statement in STATEMENTS {
        run(&policies, statement).await.unwrap();
    }
    let create = "CREATE POLICY ids ON TABLE civil.people COLUMN MASK pseudonym('person') COLUMNS (name) TO ALL FOR \
                  PURPOSE research";
    let told = run(&policies, create).await.unwrap();
    assert!(cell(&told, 0, "notes").contains("no secret for pseudonyms"), "{told:?}");
    let told = run(&policies, "SHOW POLICIES").await.unwrap();
    assert!(cell(&told, 0, "trouble").contains("no secret for pseudonyms"), "{told:?}");
    let effective = "SHOW EFFECTIVE POLICY ON civil.people FOR ROLE analyst";
    let refused = run(&policies, &format!("{effective} PURPOSE research")).await.unwrap_err();
    assert!(refused.code() == Code::Policy && refused.sentence().contains("denied by ids"), "{refused}");
    assert_eq!(run(&policies, effective).await.unwrap().rows.len(), 0, "no purpose shows what is denied");
}

#[tokio::test]
async fn a_changed_directory_is_in_force_within_two_seconds() {
    let place = Place::new();
    let policies = place.open_directory().await;
    let mut changes = policies.subscribe();
    fs::write(place.path("policies/a.sql"), "CREATE PURPOSE research;").unwrap();
    tokio::time::timeout(Duration::from_secs(2), changes.changed()).await.unwrap().unwrap();
    assert!(policies.current().set.grants.is_empty());
}

#[tokio::test]
async fn a_clock_that_is_set_back_revives_nothing() {
    let place = Place::new();
    let policies = place.open("").await;
    place.hands.store(START + DAY, Ordering::Relaxed);
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    place.hands.store(START, Ordering::Relaxed);
    assert_eq!(policies.now(), Instant(START + DAY));
    drop(policies);
    let policies = place.open("").await;
    assert_eq!(policies.now(), Instant(START + DAY), "a change wrote the time down");
    place.hands.store(START + 2 * DAY, Ordering::Relaxed);
    policies.now();
    policies.flush().await;
    let crashed = std::mem::ManuallyDrop::new(policies);
    place.hands.store(START, Ordering::Relaxed);
    assert_eq!(place.open("").await.now(), Instant(START + 2 * DAY), "and so does time itself");
    // A clock that is set ahead has gone on by more than passes until a time is written down.
    place.hands.store(START + 3 * DAY, Ordering::Relaxed);
    tokio::time::sleep(3 * BEAT).await;
    place.hands.store(START, Ordering::Relaxed);
    assert_eq!(place.open("").await.now(), Instant(START + 3 * DAY), "at the next beat");
    drop(std::mem::ManuallyDrop::into_inner(crashed));
}

#[tokio::test]
async fn limits_per_day_survive_a_restart_and_end_at_midnight() {
    let grants = [GrantedBy { id: "g".into(), until: None, rows_per_day: Some(10), bytes_per_day: None }];
    let place = Place::new();
    let policies = place.open("").await;
    policies.charge(&grants, "desk", 8, 100).unwrap();
    policies.flush().await;
    policies.charge(&grants, "desk", 1, 100).unwrap();
    drop(policies);
    let policies = place.open("").await;
    assert_eq!(policies.charge(&grants, "desk", 2, 0).unwrap_err().code(), Code::Cap);
    policies.charge(&grants, "desk", 1, 0).unwrap();
    place.hands.store(START + DAY, Ordering::Relaxed);
    policies.charge(&grants, "desk", 10, 0).unwrap();
    place.hands.store(START, Ordering::Relaxed);
    assert_eq!(policies.charge(&grants, "desk", 1, 0).unwrap_err().code(), Code::Cap, "yesterday does not come back");
}

#[tokio::test]
async fn state_that_cannot_be_read_permits_nothing_and_says_so() {
    type Spoil = fn(&Place);
    let spoils: [(&str, Spoil); 3] = [
        ("no database", |place| fs::write(place.path("state/north").join(FILE), "not a database at all").unwrap()),
        ("no set", |place| {
            let connection = rusqlite::Connection::open(place.path("state/north").join(FILE)).unwrap();
            connection.execute("UPDATE policy_sets SET set_json = '{}'", []).unwrap();
        }),
        ("no file but a directory", |place| {
            fs::remove_file(place.path("state/north").join(FILE)).unwrap();
            fs::create_dir(place.path("state/north").join(FILE)).unwrap();
        }),
    ];
    for (what, spoil) in spoils {
        let place = Place::new();
        let policies = place.open("").await;
        for statement in STATEMENTS {
            run(&policies, statement).await.unwrap();
        }
        drop(policies);
        spoil(&place);
        let policies = place.open("").await;
        assert_eq!(*policies.current().set, PolicySet::default(), "{what}");
        assert_eq!(policies.current().readable().unwrap_err().code(), Code::Policy, "{what}");
        for statement in ["CREATE PURPOSE more", "SHOW POLICIES", "SHOW POLICY HISTORY"] {
            assert_eq!(run(&policies, statement).await.unwrap_err().code(), Code::Policy, "{what}: {statement}");
        }
    }
}

#[tokio::test]
async fn an_administrator_comes_to_this_door() {
    let place = Place::new();
    let policies = place.open("").await;
    let subject = |role: &str| Subject { name: "x".into(), roles: [role.to_string()].into(), ..Subject::default() };
    let admin = Asker::user(subject("admin"));
    assert!(policies.is_administrator(&admin));
    assert!(!policies.is_administrator(&Asker::user(subject("analyst"))));
    assert!(!policies.is_administrator(&Asker { came: Came::Through("coordinator".into()), ..admin.clone() }));
    assert!(!policies.is_administrator(&Asker { came: Came::AsPeer, ..admin }));
}

/// The changes that the record has.
fn recorded(audit: &AuditLog) -> Vec<RecordedChange> {
    let records = audit.records().unwrap().map(Result::unwrap);
    let change = |entry| if let Recorded::Change(change) = entry { Some(change) } else { None };
    records.filter_map(|record| change(record.entry)).collect()
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_in_force_but_for_what_takes_rights_away() {
    let place = Place::new();
    let audit = place.record();
    let policies = place.open_with("", Some(Arc::clone(&audit))).await;
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    run(&policies, "GRANT SELECT ON SCHEMA civil TO ALL FOR PURPOSE research WITH (id = 'g-1')").await.unwrap();
    let before = policies.current();
    fs::rename(place.path("audit"), place.path("aside")).unwrap();
    for more in ["CREATE PURPOSE other", "VALID ALWAYS", "DROP PURPOSE nosuch"] {
        let refused = run(&policies, more).await.unwrap_err();
        assert_eq!(refused.code() == Code::Audit, more != "DROP PURPOSE nosuch", "{more}: {refused}");
        assert_eq!(policies.current().set, before.set, "{more}");
    }
    assert_eq!(run(&policies, "SHOW POLICY HISTORY").await.unwrap().rows.len(), 2);
    let told = run(&policies, "REVOKE GRANT 'g-1'").await.unwrap_err();
    assert!(told.code() == Code::Audit && told.sentence().starts_with("the change is in force"), "{told}");
    assert!(policies.current().set.grants.is_empty());
    assert_eq!(recorded_versions(&place.path("aside")), [1, 2]);

    fs::rename(place.path("aside"), place.path("audit")).unwrap();
    run(&policies, "CREATE PURPOSE other").await.unwrap();
    let changes = recorded(&audit);
    assert_eq!(changes.iter().map(|change| change.version).collect::<Vec<_>>(), [1, 2, 3, 4], "{changes:?}");
    assert_eq!(changes[2].statement, "REVOKE GRANT 'g-1'");
    let set = Arc::clone(&policies.current().set);
    drop(policies);
    assert_eq!(place.open("").await.current().set, set, "the revocation is there after a restart");
}

/// Lets every commit of a new version fail, after all that comes before it has gone well.
fn spoil_commits(connection: &rusqlite::Connection) {
    let spoil = "CREATE TABLE parents (id INTEGER PRIMARY KEY);
                 CREATE TABLE children (id INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
                 CREATE TRIGGER spoilt AFTER INSERT ON policy_history BEGIN INSERT INTO children VALUES (7); END;";
    connection.execute_batch(spoil).unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_written_down_is_not_recorded() {
    let place = Place::new();
    let audit = place.record();
    let policies = place.open_with("", Some(Arc::clone(&audit))).await;
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    let connection = rusqlite::Connection::open(place.path("state/north").join(FILE)).unwrap();
    spoil_commits(&connection);
    for _ in 0..2 {
        let refused = run(&policies, "CREATE PURPOSE other").await.unwrap_err();
        assert_eq!(refused.code(), Code::Policy, "{refused}");
    }
    assert_eq!(recorded(&audit).len(), 1, "what was not made is recorded: {:#?}", recorded(&audit));
    connection.execute_batch("DROP TRIGGER spoilt").unwrap();
    run(&policies, "CREATE PURPOSE other").await.unwrap();
    let versions: Vec<_> = recorded(&audit).iter().map(|change| change.version).collect();
    assert_eq!(versions, [1, 2]);
}

/// What a site is found in that ended in the middle of a change.
async fn cut_off(place: &Place, audit: &Arc<AuditLog>, left: impl FnOnce(&Store, &PolicySet)) -> Arc<Policies> {
    let policies = place.open_with("", Some(Arc::clone(audit))).await;
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    let set = Arc::clone(&policies.current().set);
    drop(policies);
    left(&Store::open(&place.path("state/north")).unwrap(), &set);
    place.open_with("", Some(Arc::clone(audit))).await
}

fn second(set: &PolicySet, statement: &str) -> (store::Entry, Kept) {
    let (author, at) = ("admin".to_string(), Instant(START));
    let entry = store::Entry { version: 2, at, author, statement: statement.to_string(), inverse: String::new() };
    (entry, Kept { set: PolicySet { version: 2, purposes: Default::default(), ..set.clone() }, files: None })
}

fn unrecorded(query: &str, in_force: bool) -> Unrecorded {
    Unrecorded { query: query.to_string(), after: 1, in_force }
}

#[tokio::test]
async fn a_change_whose_record_was_not_written_is_not_in_force_after_a_restart() {
    let place = Place::new();
    let audit = place.record();
    let policies = cut_off(&place, &audit, |store, set| {
        let (entry, kept) = second(set, "DROP PURPOSE research");
        store.write_version(&entry, &kept, Some(&unrecorded("never", false))).unwrap();
    })
    .await;
    assert_eq!(policies.current().set.version, 1);
    assert_eq!(run(&policies, "SHOW POLICY HISTORY").await.unwrap().rows.len(), 1);
    run(&policies, "CREATE PURPOSE other").await.unwrap();
    assert_eq!(recorded(&audit).iter().map(|change| change.version).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_change_whose_record_was_written_is_in_force_after_a_restart() {
    let place = Place::new();
    let audit = place.record();
    let append = audit.append(Recorded::Change(RecordedChange {
        query: "meanwhile".to_string(),
        author: "admin".to_string(),
        version: 2,
        statement: "DROP PURPOSE research".to_string(),
        inverse: String::new(),
    }));
    append.await.unwrap();
    let policies = cut_off(&place, &audit, |store, set| {
        let (entry, kept) = second(set, "DROP PURPOSE research");
        store.write_version(&entry, &kept, Some(&unrecorded("meanwhile", false))).unwrap();
    })
    .await;
    assert_eq!((policies.current().set.version, policies.current().set.purposes.len()), (2, 0));
    assert_eq!(recorded(&audit).len(), 2, "it is not recorded again");
    assert!(Store::open(&place.path("state/north")).unwrap().unrecorded().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_owed_is_recorded_after_a_restart_once() {
    let place = Place::new();
    let audit = place.record();
    let policies = place.open_with("", Some(Arc::clone(&audit))).await;
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    run(&policies, "GRANT SELECT ON SCHEMA civil TO ALL FOR PURPOSE research WITH (id = 'g-1')").await.unwrap();
    fs::rename(place.path("audit"), place.path("aside")).unwrap();
    run(&policies, "REVOKE GRANT 'g-1'").await.unwrap_err();
    // The site ends while its record cannot be written.
    drop((policies, audit));
    fs::rename(place.path("aside"), place.path("audit")).unwrap();
    for _ in 0..2 {
        let audit = place.record();
        let policies = place.open_with("", Some(Arc::clone(&audit))).await;
        assert!(policies.current().set.grants.is_empty());
        let changes = recorded(&audit);
        assert_eq!(changes.iter().map(|change| change.version).collect::<Vec<_>>(), [1, 2, 3], "{changes:#?}");
        assert_eq!((changes[2].statement.as_str(), changes[2].author.as_str()), ("REVOKE GRANT 'g-1'", "admin"));
        drop(policies);
    }
}

/// `g-wide` covers a column that came after `g-narrow`, and not more than ten rows a day.
const WIDE: &str = "GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research LIMIT ROWS 10 PER DAY WITH (id = \
                    'g-wide')";
const NARROW: &str = "GRANT SELECT ON SCHEMA civil TO ALL FOR PURPOSE research WITH (id = 'g-narrow')";

#[tokio::test]
async fn a_revocation_by_which_a_limit_is_lost_is_recorded_first() {
    let place = Place::new();
    let audit = place.record();
    let policies = place.open_with("", Some(Arc::clone(&audit))).await;
    run(&policies, "CREATE PURPOSE research").await.unwrap();
    run(&policies, NARROW).await.unwrap();
    fs::write(place.path("data/people.csv"), "id_no,name,region,phone\n17,Wang,north,555\n").unwrap();
    run(&policies, WIDE).await.unwrap();
    fs::rename(place.path("audit"), place.path("aside")).unwrap();
    let refused = run(&policies, "REVOKE GRANT 'g-wide'").await.unwrap_err();
    assert!(refused.code() == Code::Audit && !refused.sentence().contains("in force"), "{refused}");
    assert!(policies.current().set.grants.contains_key("g-wide"), "who loses it has no limit any more");
    let told = run(&policies, "REVOKE GRANT 'g-narrow'").await.unwrap_err();
    assert!(told.sentence().starts_with("the change is in force"), "{told}");
    let told = run(&policies, "REVOKE GRANT 'g-wide'").await.unwrap_err();
    assert!(told.sentence().starts_with("the change is in force"), "nothing is left to fall to: {told}");
}

#[tokio::test]
async fn files_that_cannot_be_recorded_take_no_limit_away() {
    let place = Place::new();
    let audit = place.record();
    fs::create_dir_all(place.path("policies")).unwrap();
    let narrow = format!("CREATE PURPOSE research; {NARROW};");
    fs::write(place.path("policies/a.sql"), &narrow).unwrap();
    let policies = place.open_with("directory = 'policies'", Some(Arc::clone(&audit))).await;
    fs::write(place.path("data/people.csv"), "id_no,name,region,phone\n17,Wang,north,555\n").unwrap();
    fs::write(place.path("policies/b.sql"), format!("{WIDE};")).unwrap();
    assert_eq!(place.look(&policies).await, None);
    let ids = |policies: &Policies| policies.current().set.grants.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&policies), ["g-narrow", "g-wide"]);

    fs::rename(place.path("audit"), place.path("aside")).unwrap();
    fs::remove_file(place.path("policies/b.sql")).unwrap();
    assert!(place.look(&policies).await.is_some(), "it cannot be recorded");
    assert_eq!(ids(&policies), ["g-narrow", "g-wide"], "who loses the wide one has no limit any more");
    fs::write(place.path("policies/a.sql"), "CREATE PURPOSE research;").unwrap();
    assert!(place.look(&policies).await.is_some(), "it cannot be recorded");
    assert_eq!(ids(&policies), Vec::<String>::new(), "without both nobody sees anything");
}

/// Read from the files while they are where their writer does not find them.
fn recorded_versions(directory: &std::path::Path) -> Vec<u64> {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let texts = files.filter(|file| file.extension().is_some_and(|one| one == "jsonl")).map(fs::read_to_string);
    let text: String = texts.map(Result::unwrap).collect();
    let records = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut versions: Vec<_> =
        records.filter(|record| record["kind"] == "change").map(|record| record["version"].as_u64().unwrap()).collect();
    versions.sort_unstable();
    versions
}

#[tokio::test]
async fn files_are_recorded_before_they_are_in_force() {
    let place = Place::new();
    let audit = place.record();
    fs::create_dir_all(place.path("policies")).unwrap();
    fs::write(place.path("policies/a.sql"), GOOD).unwrap();
    let policies = place.open_with("directory = 'policies'", Some(Arc::clone(&audit))).await;
    let changes = recorded(&audit);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!((changes[0].author.as_str(), changes[0].version), ("(files)", 1));
    assert!(changes[0].statement.starts_with("a.sql (BLAKE3 "), "{changes:?}");

    fs::rename(place.path("audit"), place.path("aside")).unwrap();
    fs::write(place.path("policies/a.sql"), GOOD.replace("g-all", "g-new")).unwrap();
    assert!(place.look(&policies).await.is_some(), "it cannot be recorded");
    let set = Arc::clone(&policies.current().set);
    assert_eq!((set.version, set.grants.len()), (1, 0), "what they take away is gone, what they give is not there");

    // The files of before, put back, are a version of their own.
    fs::rename(place.path("aside"), place.path("audit")).unwrap();
    fs::write(place.path("policies/a.sql"), GOOD).unwrap();
    assert_eq!(place.look(&policies).await, None);
    assert!(policies.current().set.grants.contains_key("g-all"));
    let changes = recorded(&audit);
    let last = changes.last().unwrap();
    assert_eq!((last.version, &last.statement), (policies.current().set.version, &changes[0].statement));
}
