//! Records on a disk that works: chained across segments and openings, synced together, repaired after a crash.

use std::time::{Duration, Instant};

use chrono::Utc;

use super::*;
use crate::audit::log::read_head;
use crate::audit::record::{Head, Record};
use crate::audit::segments;
use crate::audit::verify::verify;
use crate::error::Code;

fn records(log: &AuditLog) -> Vec<Record> {
    log.records().unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn reopening_continues_the_chain_across_segments() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let mut last = Head::none();
    for opening in 0..3 {
        let log = open(&directory);
        assert_eq!(log.head().seq, last.seq + 1, "a start is recorded");
        for number in 0..20 {
            last = log.append(intent(&format!("q{opening}-{number}"), "ann")).await.unwrap();
        }
        assert_eq!(log.head(), last);
        let read = records(&log);
        assert_eq!(read.len() as u64, last.seq);
        assert!(read.windows(2).all(|pair| pair[1].prev == pair[0].hash && pair[1].time >= pair[0].time));
        assert_eq!(verify(&directory, Some(&last)).unwrap().head, last);
    }
    assert!(segments::list(&directory).unwrap().len() > 5);
    assert_eq!(read_head(&directory).unwrap(), last);
    assert_eq!(last.to_string().parse::<Head>().unwrap(), last);
}

#[tokio::test]
async fn a_record_reads_back_as_it_was_written() {
    let state = tempfile::tempdir().unwrap();
    let log = open(&state.path().join("audit"));
    let odd = "SELECT \"ü\u{1}\u{2028}\\\" /* \n */ FROM 𝒕";
    for entry in [intent(odd, odd), completion(2, odd), refusal(odd, odd), closing(odd)] {
        let head = log.append(entry.clone()).await.unwrap();
        let read = records(&log).pop().unwrap();
        assert_eq!((read.entry, read.seq, read.hash), (entry, head.seq, head.hash));
    }
}

#[tokio::test]
async fn a_record_that_has_gone_is_told_to_the_reader() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = open(&directory);
    for _ in 0..30 {
        log.append(intent("q", "ann")).await.unwrap();
    }
    let last = segments::list(&directory).unwrap().pop().unwrap();
    std::fs::remove_file(last.path).unwrap();
    let read: Vec<_> = log.records().unwrap().collect();
    assert_eq!(read.len() as u64, last.first, "the records before it, and one error");
    assert_eq!(read.into_iter().rfind(Result::is_err).unwrap().unwrap_err().code(), Code::Audit);
}

#[tokio::test]
async fn one_writer_at_a_time() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = open(&directory);
    assert_eq!(AuditLog::open(&directory, options(&directory)).unwrap_err().code(), Code::Audit);
    drop(log);
    open(&directory);
}

#[tokio::test]
async fn a_dropped_append_is_recorded_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = open(&directory);
    drop(log.append(intent("q", "ann")));
    drop(log);
    assert_eq!(verify(&directory, None).unwrap().records, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_concurrent_statements_share_a_sync() {
    const STATEMENTS: u64 = 64;
    const EACH: u64 = 50;
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = open(&directory);
    let begun = Instant::now();
    let appends = (0..STATEMENTS).map(|statement| {
        let log = Arc::clone(&log);
        async move {
            for number in 0..EACH {
                let head = log.append(intent(&format!("{statement}-{number}"), "ann")).await.unwrap();
                assert!(head.seq <= log.head().seq, "answered before it was on the disk");
            }
        }
    });
    futures::future::join_all(appends).await;
    let (syncs, elapsed) = (log.syncs(), begun.elapsed());
    let per_second = f64::from(u32::try_from(STATEMENTS * EACH).unwrap()) / elapsed.as_secs_f64();
    println!("{} records, {syncs} syncs, {per_second:.0} records/s", STATEMENTS * EACH);
    assert!(syncs < STATEMENTS * EACH / 8, "{syncs} syncs");
    assert_eq!(verify(&directory, None).unwrap().records, STATEMENTS * EACH + 1);
}

#[tokio::test]
async fn recent_fragments_reach_back_as_far_as_asked() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = open(&directory);
    for number in 0..30 {
        log.append(intent(&format!("old{number}"), "ann")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(2)).await;
    let since = Utc::now();
    log.append(intent("new", "ann")).await.unwrap();
    log.append(refusal("refused", "ann")).await.unwrap();
    drop(log);
    let log = open(&directory);
    let mut recent = log.recent_fragments(since).unwrap();
    recent.sort();
    assert_eq!(recent, [("new".to_string(), 1), ("refused".to_string(), 2)]);
    assert_eq!(log.recent_fragments(since - Duration::from_secs(60)).unwrap().len(), 32);
}

#[tokio::test]
async fn a_record_torn_at_any_byte_is_cut_off_and_that_is_recorded() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    open(&directory).append(closing("g-1")).await.unwrap();
    let file = segments::list(&directory).unwrap().pop().unwrap().path;
    let whole = std::fs::read(&file).unwrap();
    let start = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in start..whole.len() {
        // As a crash leaves it: cut short, or at its full length with blocks that were never written.
        let mut holed = whole.clone();
        holed[end..].fill(0);
        for torn in [&whole[..end], &holed] {
            std::fs::write(&file, torn).unwrap();
            assert_eq!(verify(&directory, None).unwrap().torn_bytes, (torn.len() - start) as u64);
            let read = records(&open(&directory));
            let Entry::Start(repair) = &read[1].entry else { panic!("{:?}", read[1]) };
            assert_eq!((read.len(), repair.repaired), (2, (torn.len() - start) as u64), "torn at {end}");
            assert_eq!(verify(&directory, None).unwrap().records, 2);
        }
    }
}

#[tokio::test]
async fn a_damaged_log_is_not_continued() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("audit");
    let log = open(&directory);
    for _ in 0..4 {
        log.append(closing("g-1")).await.unwrap();
    }
    drop(log);
    let file = segments::list(&directory).unwrap().pop().unwrap().path;
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replacen("\"g-1\"", "\"g-2\"", 1)).unwrap();
    let refused = AuditLog::open(&directory, options(&directory)).unwrap_err();
    assert_eq!(refused.code(), Code::Audit);
    assert!(refused.sentence().contains("record 2 was changed"), "{refused}");
    std::fs::write(&file, &good).unwrap();
    open(&directory);
}
