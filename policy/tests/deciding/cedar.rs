//! Permit and deny against Cedar, fed with the same grants: a grant is a `permit`, a purpose an entity within the
//! purposes that it is a part of, roles and organisations are groups, time is part of the context.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, EntityUid, Policy, PolicyId, Request};
use cedar_policy::{PolicySet as CedarSet, RestrictedExpression};
use policy::decide::{Question, decide};
use policy::resource::Resource;
use policy::set::GrantRecord;
use policy::statement::{Grant, Mode, Party, Right};
use proptest::test_runner::TestRunner;

use crate::world::{COLUMNS, Case, case, schema};

#[test]
fn permit_and_deny_agree_with_cedar() {
    let permitted = Cell::new(0_u32);
    let outcome = TestRunner::new(super::cases(500)).run(&case(), |case| {
        let case = grants_only(case);
        let allowed = cedar(&case);
        permitted.set(permitted.get() + u32::from(allowed));
        proptest::prop_assert_eq!(permits(&case), allowed);
        Ok(())
    });
    outcome.unwrap();
    assert!(permitted.get() > 50, "only {permitted:?} questions were permitted: the worlds say nothing");
}

/// The case without policies, every grant covering every column: what is left is who, what, what for and when.
fn grants_only(mut case: Case) -> Case {
    case.set.policies.clear();
    let tables = ["civil.residents", "civil.houses"];
    for record in case.set.grants.values_mut() {
        record.columns = tables.map(|table| (table.to_owned(), COLUMNS.map(str::to_owned).into())).into();
    }
    case
}

fn permits(case: &Case) -> bool {
    let Case { set, subject, table, now, .. } = case;
    let question = Question { subject, purpose: case.purpose.as_deref(), table, schema: &schema(), now: *now };
    decide(set, &question).is_ok()
}

fn cedar(case: &Case) -> bool {
    let mut set = CedarSet::new();
    for (id, record) in &case.set.grants {
        if let Some(text) = permit(record) {
            set.add(Policy::parse(Some(PolicyId::new(id)), text).unwrap()).unwrap();
        }
    }
    if let Some(until) = case.set.valid_until {
        let text = format!("forbid(principal, action, resource) when {{ context.now >= {} }};", until.0);
        set.add(Policy::parse(Some(PolicyId::new("valid_until")), text).unwrap()).unwrap();
    }
    let table = uid("Table", &case.table.to_string());
    let mut context = vec![("now".to_owned(), RestrictedExpression::new_long(case.now.0))];
    let purpose = case.purpose.as_ref().map(|purpose| RestrictedExpression::new_entity_uid(uid("Purpose", purpose)));
    context.extend(purpose.map(|purpose| ("purpose".to_owned(), purpose)));
    let context = Context::from_pairs(context).unwrap();
    let request = Request::new(uid("User", &case.subject.name), uid("Action", "select"), table, context, None).unwrap();
    Authorizer::new().is_authorized(&request, &set, &entities(case)).decision() == Decision::Allow
}

fn uid(kind: &str, id: &str) -> EntityUid {
    format!("{kind}::\"{id}\"").parse().unwrap()
}

fn entities(case: &Case) -> Entities {
    let subject = &case.subject;
    let mut groups: HashSet<EntityUid> = subject.roles.iter().map(|role| uid("Role", role)).collect();
    groups.extend(subject.organisation.iter().map(|name| uid("Organisation", name)));
    let held = subject.purposes.iter().map(|purpose| RestrictedExpression::new_entity_uid(uid("Purpose", purpose)));
    let held = HashMap::from([("purposes".to_owned(), RestrictedExpression::new_set(held))]);
    let mut all = vec![Entity::new(uid("User", &subject.name), held, groups).unwrap()];

    let sensitive = case.set.tagged.iter().any(|tag| tag.table == case.table && tag.value == "personal");
    let sensitive = HashMap::from([("sensitive".to_owned(), RestrictedExpression::new_bool(sensitive))]);
    let source = HashSet::from([uid("Source", &case.table.source)]);
    all.push(Entity::new(uid("Table", &case.table.to_string()), sensitive, source).unwrap());

    for (name, purpose) in &case.set.purposes {
        let under = purpose.under.iter().map(|under| uid("Purpose", under)).collect();
        all.push(Entity::new_no_attrs(uid("Purpose", name), under));
    }
    Entities::from_entities(all, None).unwrap()
}

fn permit(record: &GrantRecord) -> Option<String> {
    let grant = &record.grant;
    let Right::Select { resource, to } = &grant.right else { return None };
    let resource = match resource {
        Resource::Schema(source) => format!("resource in Source::\"{source}\""),
        Resource::Table(table) => format!("resource == Table::\"{table}\""),
    };
    let parties: Vec<String> = to.iter().map(party).collect();
    let conditions = [format!("({})", parties.join(" || ")), purpose(grant), mode(grant.mode)?.to_owned()];
    let from = grant.from.map(|from| format!("context.now >= {}", from.0));
    let until = grant.to.map(|to| format!("context.now < {}", to.0));
    let conditions: Vec<String> = conditions.into_iter().chain(from).chain(until).collect();
    Some(format!("permit(principal, action == Action::\"select\", {resource}) when {{ {} }};", conditions.join(" && ")))
}

fn party(party: &Party) -> String {
    match party {
        Party::All => "true".to_owned(),
        Party::Role(role) => format!("principal in Role::\"{role}\""),
        Party::Organisation(name) => format!("principal in Organisation::\"{name}\""),
        Party::User(name) => format!("principal == User::\"{name}\""),
    }
}

/// A purpose that is asked for must be held; a grant for one needs it or a part of it to be asked for.
fn purpose(grant: &Grant) -> String {
    let held = "(if context has purpose then principal.purposes.contains(context.purpose) else true)";
    match &grant.purpose {
        None => held.to_owned(),
        Some(purpose) => format!("{held} && context has purpose && context.purpose in Purpose::\"{purpose}\""),
    }
}

fn mode(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Shared => Some("context has purpose"),
        Mode::Open => Some("!resource.sensitive"),
        Mode::Operated => None,
    }
}
