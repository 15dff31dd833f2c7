//! A large table in parts: ranges of the places that its rows have, such as pages of a file or numbers of rows.

/// The places of a table, as far as they were known when it was described.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// What a place is called in the database's words.
    pub(crate) name: String,
    /// The first place.
    pub(crate) first: i64,
    /// How many there are from there on.
    pub(crate) count: i64,
    /// Fewer are not worth a reader of their own.
    pub(crate) range_min: i64,
    /// The condition for the rows of a range of places of that name.
    pub(crate) condition: fn(&str, Range) -> String,
}

/// Places from one on, and up to another: the table may have grown at both ends since, so the first range begins nowhere and
/// the last one ends nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Option<i64>,
    pub(crate) before: Option<i64>,
}

impl Places {
    /// The conditions of at most so many parts, which together are the table; none if one reader is enough.
    pub(crate) fn parts(&self, parts_max: usize) -> Vec<String> {
        let count = i64::try_from(parts_max).unwrap_or(i64::MAX).min(self.count / self.range_min.max(1));
        if count < 2 {
            return Vec::new();
        }
        // INVARIANT: `number` is below `count`, so every product is at most the number of places and some.
        let size = (self.count / count).saturating_add(1);
        let start = |number: i64| self.first.saturating_add(number.saturating_mul(size));
        let range = |number: i64| Range {
            from: (number > 0).then(|| start(number)),
            before: (number + 1 < count).then(|| start(number + 1)),
        };
        (0..count).map(|number| (self.condition)(&self.name, range(number))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_places_once() {
        let check = |first, count, most, expect: &[&str]| {
            let condition = |_: &str, range: Range| format!("{:?}..{:?}", range.from, range.before);
            let places = Places { name: "place".into(), first, count, range_min: 1_024, condition };
            assert_eq!(places.parts(most), expect, "{first} {count} {most}");
        };
        check(0, 0, 8, &[]);
        check(0, 2_047, 8, &[]);
        check(0, 2_048, 8, &["None..Some(1025)", "Some(1025)..None"]);
        check(-5, 100_001, 3, &["None..Some(33329)", "Some(33329)..Some(66663)", "Some(66663)..None"]);
        check(0, 100_001, 1, &[]);
        check(i64::MIN, i64::MAX, 2, &["None..Some(-4611686018427387904)", "Some(-4611686018427387904)..None"]);
    }
}
