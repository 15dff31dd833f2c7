//! What opens a session, finds it, and ends it.

use super::*;

fn sessions(limits: Limits) -> Sessions {
    Sessions::new(&limits)
}

fn proof() -> blake3::Hash {
    blake3::hash(b"proof")
}

#[test]
fn a_session_is_found_by_its_token_until_it_is_closed() {
    let sessions = sessions(Limits::default());
    let token = sessions.open("ana", proof()).unwrap();
    let found = sessions.find(&token).unwrap();
    assert_eq!((found.user.as_str(), found.proof), ("ana", SessionProof::Password(proof())));
    assert_eq!(sessions.find("made up"), None);
    sessions.close(found.id);
    assert_eq!(sessions.find(&token), None);
}

#[test]
fn no_two_tokens_are_alike() {
    let sessions = sessions(Limits::default());
    assert_ne!(sessions.open("ana", proof()).unwrap(), sessions.open("ana", proof()).unwrap());
}

#[test]
fn an_unused_session_ends_and_a_used_one_does_not() {
    let mut sessions = sessions(Limits::default());
    sessions.lifetime = Duration::from_millis(200);
    let (used, unused) = (sessions.open("ana", proof()).unwrap(), sessions.open("ana", proof()).unwrap());
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(60));
        assert!(sessions.find(&used).is_some());
    }
    assert_eq!(sessions.find(&unused), None);
}

#[test]
fn a_session_is_told_with_what_was_noted_and_ended_by_its_name() {
    let sessions = sessions(Limits::default());
    let (ana, bob) = (sessions.open("ana", proof()).unwrap(), sessions.open("bob", proof()).unwrap());
    let id = sessions.find(&ana).unwrap().id;
    sessions.note(id, Some("shell\n1.0"), Some([127, 0, 0, 1].into()));
    sessions.count_statement(id);
    let told = sessions.list(|user| user == "ana");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].client.as_deref(), told[0].statements, told[0].kind),
        (Some("shell1.0"), 1, SessionKind::Password)
    );
    assert_eq!(sessions.list(|_| true).len(), 2);
    assert!(!id.to_string().contains(&ana));
    assert!(!sessions.end(&id.to_string(), |user| user == "bob").unwrap(), "it is ana's");
    assert!(sessions.end(&id.to_string(), |_| true).unwrap() && sessions.find(&ana).is_none());
    assert!(!sessions.end(&id.to_string(), |_| true).unwrap() && sessions.find(&bob).is_some());
}

#[test]
fn an_issuers_token_is_ended_with_its_session_and_all_others_that_it_opened() {
    let sessions = sessions(Limits::default());
    let ends = Some(SystemTime::now() + Duration::from_secs(600));
    let (id, _) = sessions.adopt("a.b.c", "ana@issuer", ends).unwrap();
    let own = sessions.open_for("ana@issuer", "a.b.c", ends).unwrap();
    let found = sessions.find(&own).unwrap();
    assert_eq!(found.proof, SessionProof::Token(Arc::from("a.b.c")));
    assert_ne!(found.id, id, "a session of its own");
    assert!(sessions.list(|_| true).iter().all(|record| record.kind == SessionKind::Token));
    assert!(!format!("{sessions:?}").contains("a.b.c"));
    assert!(!sessions.has_ended("a.b.c"));
    assert!(sessions.end(&found.id.to_string(), |_| true).unwrap());
    assert!(sessions.has_ended("a.b.c") && !sessions.has_ended("a.d.c"));
    assert!(sessions.has_ended("a.b.d"), "the same token under the other signature");
    assert_eq!(sessions.count(), 0, "its other sessions have ended too");
    assert!(!sessions.keep(id), "and what runs in them");
    // It may have been verified just before.
    let refused = [sessions.open_for("ana@issuer", "a.b.c", ends).err(), sessions.adopt("a.b.c", "a", ends).err()];
    assert!(refused.into_iter().all(|error| error.unwrap().code() == Code::Unauthenticated));
    assert_eq!(sessions.count(), 0);
}

#[test]
fn sessions_end_also_when_their_token_cannot_be_remembered() {
    let sessions = sessions(Limits { sessions_max: 2, ..Limits::default() });
    let ends = Some(SystemTime::now() + Duration::from_secs(600));
    for token in ["a.1.c", "a.2.c"] {
        let (id, _) = sessions.adopt(token, "ana", ends).unwrap();
        assert!(sessions.end(&id.to_string(), |_| true).unwrap());
    }
    let (third, _) = sessions.adopt("a.3.c", "ana", ends).unwrap();
    sessions.open_for("ana", "a.3.c", ends).unwrap();
    assert_eq!(sessions.end(&third.to_string(), |_| true).unwrap_err().code(), Code::Busy);
    assert_eq!(sessions.count(), 0);
}

#[test]
fn a_certificate_has_one_session_for_each_of_its_users_until_it_expires() {
    let sessions = sessions(Limits::default());
    let certificate = CertificateDer::from(vec![0x30, 0x82]);
    let ends = SystemTime::now() + Duration::from_secs(600);
    let (id, _) = sessions.adopt_certificate(&certificate, "ana", ends).unwrap();
    assert!(sessions.set(id, |settings| settings.purpose = Some("care".to_string())));
    let (same, settings) = sessions.adopt_certificate(&certificate, "ana", ends).unwrap();
    assert_eq!((same, settings.purpose.as_deref()), (id, Some("care")));
    let (of_bob, settings) = sessions.adopt_certificate(&certificate, "bob", ends).unwrap();
    assert!(of_bob != id && settings == Settings::default(), "it became another user's");
    let own = sessions.find(&sessions.open_certified("ana", &certificate, ends).unwrap()).unwrap();
    assert_eq!((own.user.as_str(), own.proof), ("ana", SessionProof::Certificate(certificate.clone())));
    assert!(sessions.list(|_| true).iter().all(|record| record.kind == SessionKind::Certificate));
    // Ended, it is over for what runs in it, also when the certificate has opened another.
    assert!(sessions.end(&id.to_string(), |_| true).unwrap());
    let (again, settings) = sessions.adopt_certificate(&certificate, "ana", ends).unwrap();
    assert!(!sessions.keep(id) && sessions.keep(again) && settings == Settings::default());
    assert_eq!(again.to_string(), id.to_string());
    let over = SystemTime::now() - Duration::from_secs(1);
    let (expired, _) = sessions.adopt_certificate(&certificate, "eve", over).unwrap();
    assert!(!sessions.keep(expired));
}

#[test]
fn what_was_begun_in_a_session_that_ended_touches_none_that_was_opened_since() {
    let sessions = sessions(Limits::default());
    let opened = || sessions.adopt("a.b.c", "ana", None).unwrap().0;
    let first = opened();
    sessions.close(first);
    let second = opened();
    assert!(!sessions.set(first, |settings| settings.purpose = Some("care".to_string())));
    sessions.note(first, Some("shell"), None);
    sessions.count_statement(first);
    sessions.close(first);
    assert!(!sessions.keep(first) && sessions.keep(second));
    let (same, settings) = sessions.adopt("a.b.c", "ana", None).unwrap();
    assert_eq!((same, settings), (second, Settings::default()));
    let told = sessions.list(|_| true);
    assert_eq!((told.len(), told[0].id, told[0].statements, &told[0].client), (1, second, 0, &None));
}

#[test]
fn of_many_first_calls_one_opens_the_session_and_what_any_sets_is_kept() {
    const CALLS: usize = 8;
    let sessions = sessions(Limits::default());
    let (certificate, ends) = (CertificateDer::from(vec![0x30]), SystemTime::now() + Duration::from_secs(600));
    for round in 0..200 {
        let user = format!("user{round}");
        let together = std::sync::Barrier::new(CALLS);
        let call = || {
            together.wait();
            let (id, _) = sessions.adopt_certificate(&certificate, &user, ends).unwrap();
            sessions.count_statement(id);
            id
        };
        let ids: Vec<_> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(call)).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(sessions.list(|one| one == user)[0].statements, CALLS as u64);
    }
}

#[test]
fn a_session_is_over_with_the_token_that_proves_its_user() {
    let sessions = sessions(Limits { sessions_max: 2, ..Limits::default() });
    let over = Some(SystemTime::now() - Duration::from_secs(1));
    let (id, _) = sessions.adopt("a.b.c", "ana", over).unwrap();
    let own = sessions.open_for("ana", "a.b.c", over).unwrap();
    assert_eq!((sessions.count(), sessions.list(|_| true).len()), (0, 0));
    assert!(!sessions.keep(id) && sessions.find(&own).is_none());
    for _ in 0..4 {
        sessions.open_for("bob", "a.d.c", over).unwrap();
    }
    sessions.open("eve", proof()).unwrap();
}

#[test]
fn a_user_has_a_share_and_the_node_a_limit() {
    let limits = Limits { sessions_max: 3, sessions_per_user_max: 2, ..Limits::default() };
    let sessions = sessions(limits);
    let first = sessions.open("ana", proof()).unwrap();
    let second = sessions.open("ana", proof()).unwrap();
    let third = sessions.open("ana", proof()).unwrap();
    assert!(sessions.find(&first).is_none() && sessions.find(&second).is_some() && sessions.find(&third).is_some());
    sessions.open("bob", proof()).unwrap();
    assert_eq!(sessions.open("eve", proof()).unwrap_err().code(), Code::Busy);
}
