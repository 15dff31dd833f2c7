//! Which fragments of which queries were accepted of late, so that none is accepted twice.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Code, EngineError, Result};
use crate::session::queries::QueryId;

/// A fragment of a query.
type Fragment = (QueryId, usize);

/// Two generations of fragments: each is remembered for at least `lifetime` and at most twice as long.
#[derive(Debug)]
pub(super) struct Seen {
    lifetime: Duration,
    fragments_max: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    since: Instant,
    current: HashSet<Fragment>,
    former: HashSet<Fragment>,
}

impl Seen {
    pub(super) fn new(lifetime: Duration, fragments_max: usize) -> Self {
        let generations = Generations { since: Instant::now(), current: HashSet::new(), former: HashSet::new() };
        Self { lifetime, fragments_max, generations: Mutex::new(generations) }
    }

    /// Remembers a fragment; whether it is new.
    ///
    /// # Errors
    /// `BUSY` when no more can be remembered: what cannot be remembered is not accepted.
    pub(super) fn add(&self, query: &QueryId, number: usize) -> Result<bool> {
        let mut generations = self.generations.lock();
        generations.turn(self.lifetime);
        let fragment = (query.clone(), number);
        if generations.former.contains(&fragment) || generations.current.contains(&fragment) {
            return Ok(false);
        }
        if generations.current.len() + generations.former.len() >= self.fragments_max {
            let sentence = "too many statements of coordinators arrive at this site; try again later";
            return Err(EngineError::new(Code::Busy, sentence));
        }
        Ok(generations.current.insert(fragment))
    }
}

impl Generations {
    fn turn(&mut self, lifetime: Duration) {
        let age = self.since.elapsed();
        if age < lifetime {
            return;
        }
        let current = std::mem::take(&mut self.current);
        self.former = if age < lifetime * 2 { current } else { HashSet::new() };
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_new_once_for_its_whole_lifetime() {
        let lifetime = Duration::from_millis(150);
        let seen = Seen::new(lifetime, 100);
        let query = QueryId::random();
        std::thread::sleep(lifetime * 9 / 10);
        assert!(seen.add(&query, 1).unwrap() && seen.add(&query, 2).unwrap());
        for _ in 0..3 {
            assert!(!seen.add(&query, 1).unwrap());
            std::thread::sleep(lifetime / 4);
        }
        std::thread::sleep(lifetime * 2);
        assert!(seen.add(&query, 1).unwrap(), "it is forgotten in the end, and the memory with it");
    }

    #[test]
    fn a_full_memory_accepts_nothing() {
        let seen = Seen::new(Duration::from_secs(60), 2);
        assert!(seen.add(&QueryId::random(), 1).unwrap() && seen.add(&QueryId::random(), 1).unwrap());
        assert_eq!(seen.add(&QueryId::random(), 1).unwrap_err().code(), Code::Busy);
    }
}
