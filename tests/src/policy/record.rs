//! The record of a site as its files hold it, and what is true of it whatever was asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The records of a site, in order, read from its state.
pub fn records(state: &Path) -> Vec<Value> {
    let files = fs::read_dir(state.join("audit")).expect("a site that records");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file of the record").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).expect("UTF-8")).collect();
    // The last line may be one that is being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// The records of one kind.
pub fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["kind"] == kind).collect()
}

/// The completions, by the number of their intent.
pub fn completions(records: &[Value]) -> BTreeMap<u64, &Value> {
    of_kind(records, "completion")
        .into_iter()
        .map(|completion| (number(completion, "intent_seq"), completion))
        .collect()
}

/// Why the records are not in pairs: an intent has one completion, later, of the same part of the same query; a part of a
/// query is let in once, or changes the policy once, or is refused. (A change is completed only where it failed.)
pub fn unpaired(records: &[Value]) -> Vec<String> {
    let intents = of_kind(records, "intent");
    let mut faults = vec![];
    let mut open: BTreeMap<u64, &Value> = intents.iter().map(|intent| (number(intent, "seq"), *intent)).collect();
    let changes = of_kind(records, "change");
    let changed: BTreeMap<u64, &Value> = changes.iter().map(|change| (number(change, "seq"), *change)).collect();
    for completion in of_kind(records, "completion") {
        let seq = number(completion, "intent_seq");
        if changed.get(&seq).is_some_and(|change| change["query"] == completion["query"]) {
            continue;
        }
        match open.remove(&seq) {
            None => faults.push(format!("it completes no intent, or one that was completed: {completion}")),
            Some(intent) if part(intent) != part(completion) || number(completion, "seq") < number(intent, "seq") => {
                faults.push(format!("{completion} is not of {intent}"));
            }
            Some(_) => {}
        }
    }
    faults.extend(open.values().map(|intent| format!("it is not completed: {intent}")));
    let mut let_in = BTreeMap::new();
    for record in intents.into_iter().chain(changes) {
        if let Some(first) = let_in.insert(part(record), record) {
            faults.push(format!("it is let in twice: {first} and {record}"));
        }
    }
    let refused = of_kind(records, "refusal").into_iter().filter(|refusal| let_in.contains_key(&part(refusal)));
    faults.extend(refused.map(|refusal| format!("it is let in and refused: {refusal}")));
    faults
}

/// How many intents have no completion: by each start of the site those before it, which it ended, and last those since.
pub fn interrupted(records: &[Value]) -> Vec<usize> {
    let completed = completions(records);
    let mut lost = vec![];
    let mut open = 0;
    for record in records {
        if record["kind"] == "start" {
            lost.push(std::mem::take(&mut open));
        } else if record["kind"] == "intent" && !completed.contains_key(&number(record, "seq")) {
            open += 1;
        }
    }
    lost.push(open);
    lost
}

/// How many intents there are of each query.
pub fn intents_by_query(records: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for intent in of_kind(records, "intent") {
        *counts.entry(intent["query"].as_str().expect("a query's identity")).or_default() += 1;
    }
    counts
}

/// With which codes each query was refused.
pub fn refusals_by_query(records: &[Value]) -> BTreeMap<&str, Vec<&str>> {
    let mut codes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for refusal in of_kind(records, "refusal") {
        let query = refusal["query"].as_str().expect("a query's identity");
        codes.entry(query).or_default().push(refusal["code"].as_str().expect("a code"));
    }
    codes
}

/// How often that subject was refused with that code.
pub fn refusals_of(records: &[Value], subject: &str, code: &str) -> usize {
    let refusals = of_kind(records, "refusal").into_iter();
    refusals.filter(|refusal| refusal["asker"]["subject"] == subject && refusal["code"] == code).count()
}

fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().expect("a number of the record")
}

/// The query and the part of it; a change comes whole.
fn part(record: &Value) -> (String, u64) {
    (record["query"].to_string(), record["fragment"].as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn intent(seq: u64, query: &str) -> Value {
        json!({"kind": "intent", "seq": seq, "query": query, "fragment": 0})
    }

    fn completion(seq: u64, intent: u64, query: &str) -> Value {
        json!({"kind": "completion", "seq": seq, "intent_seq": intent, "query": query, "fragment": 0})
    }

    fn check(records: &[Value], faults: usize) {
        assert_eq!(unpaired(records).len(), faults, "{records:?}: {:?}", unpaired(records));
    }

    #[test]
    fn an_intent_has_one_completion_and_no_refusal() {
        let refusal = |query: &str| json!({"kind": "refusal", "seq": 9, "query": query, "fragment": 0});
        check(&[intent(1, "a"), intent(2, "b"), completion(3, 2, "b"), completion(4, 1, "a"), refusal("c")], 0);
        check(&[intent(1, "a")], 1);
        check(&[completion(1, 7, "a")], 1);
        check(&[intent(1, "a"), completion(2, 1, "a"), completion(3, 1, "a")], 1);
        check(&[intent(1, "a"), completion(2, 1, "b")], 1);
        check(&[intent(1, "a"), completion(2, 1, "a"), intent(3, "a"), completion(4, 3, "a")], 1);
        check(&[intent(1, "a"), completion(2, 1, "a"), refusal("a")], 1);
    }

    #[test]
    fn a_start_ends_what_ran() {
        let start = json!({"kind": "start", "seq": 9});
        let records = [intent(1, "a"), intent(2, "b"), completion(3, 2, "b"), start.clone(), intent(4, "c"), start];
        assert_eq!(interrupted(&records), [1, 1, 0]);
        assert_eq!(interrupted(&records[..3]), [1]);
    }

    #[test]
    fn a_change_is_recorded_once() {
        let change = |seq: u64, query: &str| json!({"kind": "change", "seq": seq, "query": query});
        let refusal = json!({"kind": "refusal", "seq": 9, "query": "a", "fragment": 0});
        check(&[change(1, "a"), change(2, "b")], 0);
        check(&[change(1, "a"), completion(2, 1, "a")], 0);
        check(&[change(1, "a"), change(2, "a")], 1);
        check(&[change(1, "a"), refusal], 1);
        check(&[change(1, "a"), intent(2, "a"), completion(3, 2, "a")], 1);
        check(&[change(1, "a"), completion(2, 1, "b")], 1);
    }
}
