//! A108: whatever is done to a record, the verifier names the first one that is not as it was written.

use std::path::PathBuf;

use chrono::Utc;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::audit::record::{self, Head};
use crate::audit::segments;
use crate::audit::verify::verify;

const OPERATIONS: usize = 10_000;
const RECORDS: usize = 50;

type Lines = Vec<Vec<u8>>;

/// A log of 50 records in some segments, taken apart into lines with their line ends.
struct Tampered {
    _state: tempfile::TempDir,
    directory: PathBuf,
    files: Vec<PathBuf>,
    good: Vec<Lines>,
    heads: Vec<Head>,
}

/// The record that the verifier must name.
#[derive(Debug, Clone, Copy)]
struct Expected {
    /// Without help; none where the log is a good one that only ends too early, or ends otherwise.
    alone: Option<u64>,
    /// With the head that was kept elsewhere.
    with_head: u64,
}

impl Expected {
    fn fault(seq: u64) -> Self {
        Self { alone: Some(seq), with_head: seq }
    }

    fn only_with_head(seq: u64) -> Self {
        Self { alone: None, with_head: seq }
    }
}

impl Tampered {
    async fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("audit");
        let log = open(&directory);
        let mut heads = vec![Head::none(), log.head()];
        for number in 1..RECORDS {
            let entry = if number % 7 == 0 { intent("q", "ann") } else { closing(&format!("g-{number}")) };
            heads.push(log.append(entry).await.unwrap());
        }
        let files: Vec<_> = segments::list(&directory).unwrap().into_iter().map(|segment| segment.path).collect();
        let lines = |file: &PathBuf| -> Lines {
            std::fs::read(file).unwrap().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
        };
        let good = files.iter().map(lines).collect();
        Self { _state: state, directory, files, good, heads }
    }

    /// The segment and the line of a record, counted from 0.
    fn place(&self, mut index: usize) -> (usize, usize) {
        for (segment, lines) in self.good.iter().enumerate() {
            if index < lines.len() {
                return (segment, index);
            }
            index -= lines.len();
        }
        let last = self.good.len() - 1;
        (last, self.good[last].len())
    }

    /// Writes the tampered segments, holds the verifier to its word, and puts the good ones back.
    fn check(&self, bad: &[Lines], expected: Expected, what: &str) {
        for (number, lines) in bad.iter().enumerate().filter(|(number, lines)| self.good[*number] != **lines) {
            std::fs::write(&self.files[number], lines.concat()).unwrap();
        }
        self.expect(expected, what);
        for (number, _) in bad.iter().enumerate().filter(|(number, lines)| self.good[*number] != **lines) {
            std::fs::write(&self.files[number], self.good[number].concat()).unwrap();
        }
    }

    fn expect(&self, expected: Expected, what: &str) {
        let named = |head| verify(&self.directory, head).err().map(|fault| fault.seq);
        assert_eq!(named(None), expected.alone, "{what}");
        assert_eq!(named(self.heads.last()), Some(expected.with_head), "{what}, with a head");
    }

    /// One random operation on the lines; its name and what the verifier must say. Records are counted from 0 here, so
    /// the record at `index` has the number `index + 1`.
    fn tamper(&self, bad: &mut [Lines], random: &mut StdRng) -> (&'static str, Expected) {
        let index = random.random_range(0..RECORDS);
        let (segment, line) = self.place(index);
        let number = index as u64 + 1;
        let last = index == RECORDS - 1;
        let here = if last { Expected::only_with_head(number) } else { Expected::fault(number) };
        match random.random_range(0..8) {
            0 => {
                bad[segment].remove(line);
                ("delete", here)
            }
            1 => {
                let at = random.random_range(0..bad[segment][line].len());
                let line_end = at + 1 == bad[segment][line].len();
                let byte = &mut bad[segment][line][at];
                *byte ^= random.random_range(1..=255_u8);
                // A last record without its end, or with a hole, is what a crash leaves.
                ("edit", if last && (line_end || *byte == 0) { here } else { Expected::fault(number) })
            }
            2 => {
                let other = random.random_range(0..RECORDS);
                if other == index {
                    return self.tamper(bad, random);
                }
                let (other_segment, other_line) = self.place(other);
                bad[segment][line] = self.good[other_segment][other_line].clone();
                bad[other_segment][other_line] = self.good[segment][line].clone();
                ("swap", Expected::fault(index.min(other) as u64 + 1))
            }
            3 => {
                let to = random.random_range(0..=RECORDS);
                let (to_segment, to_line) = self.place(to);
                bad[to_segment].insert(to_line, self.good[segment][line].clone());
                // Before itself is as good as after itself.
                ("duplicate", Expected::fault(if to == index { number + 1 } else { to as u64 + 1 }))
            }
            4 => {
                // A stranger's record with a hash of its own that follows some other record, or none.
                let mut before = self.heads[random.random_range(0..RECORDS)].clone();
                before.seq = random.random_range(0..100);
                let forged = self.forge(&before);
                if before == self.heads[index] {
                    return self.tamper(bad, random);
                }
                bad[segment].insert(line, forged);
                ("insert", Expected::fault(number))
            }
            5 => {
                // A record that fits where it stands: the one after it no longer does.
                bad[segment].insert(line, self.forge(&self.heads[index]));
                let with_head = if last { number } else { number + 1 };
                ("insert one that fits", Expected { alone: Some(number + 1), with_head })
            }
            6 => {
                bad[segment][line] = self.forge(&self.heads[index]);
                ("write anew", if last { Expected::only_with_head(number) } else { Expected::fault(number + 1) })
            }
            _ => {
                bad[segment].truncate(line);
                bad[segment + 1..].iter_mut().for_each(Vec::clear);
                (CUT, Expected::only_with_head(number))
            }
        }
    }

    fn forge(&self, before: &Head) -> Vec<u8> {
        record::write(&closing("forged"), before, Utc::now()).unwrap().0.into_bytes()
    }
}

const CUT: &str = "cut the tail";

#[tokio::test]
async fn the_first_bad_record_is_named_after_any_operation() {
    let log = Tampered::new().await;
    assert!(log.files.len() >= 4, "{:?}", log.files);
    verify(&log.directory, log.heads.last()).unwrap();
    let mut random = StdRng::seed_from_u64(108);
    for operation in 0..OPERATIONS {
        let mut bad = log.good.clone();
        let (what, expected) = log.tamper(&mut bad, &mut random);
        if what == CUT {
            log.cut(&bad, expected);
        } else {
            log.check(&bad, expected, &format!("operation {operation}, {what}"));
        }
    }
    verify(&log.directory, log.heads.last()).unwrap();
}

impl Tampered {
    /// A cut takes away the segments that it empties.
    fn cut(&self, bad: &[Lines], expected: Expected) {
        let emptied = || (0..bad.len()).filter(|number| bad[*number].is_empty());
        emptied().for_each(|number| std::fs::remove_file(&self.files[number]).unwrap());
        let kept = bad.iter().position(|lines| lines.is_empty()).unwrap_or(bad.len());
        self.check(&bad[..kept], expected, CUT);
        emptied().for_each(|number| std::fs::write(&self.files[number], self.good[number].concat()).unwrap());
    }
}

#[tokio::test]
async fn segments_that_are_missing_or_change_places_are_found() {
    let log = Tampered::new().await;
    let first = |segment: usize| log.good[..segment].iter().map(Vec::len).sum::<usize>() as u64 + 1;
    for segment in 0..log.files.len() {
        std::fs::remove_file(&log.files[segment]).unwrap();
        let last = segment == log.files.len() - 1;
        let seq = first(segment);
        log.expect(if last { Expected::only_with_head(seq) } else { Expected::fault(seq) }, "a segment is missing");
        std::fs::write(&log.files[segment], log.good[segment].concat()).unwrap();
        for other in 0..segment {
            let mut bad = log.good.clone();
            bad.swap(segment, other);
            log.check(&bad, Expected::fault(first(other)), "segments change places");
        }
    }
    verify(&log.directory, log.heads.last()).unwrap();
}
