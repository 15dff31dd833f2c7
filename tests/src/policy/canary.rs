//! Canaries: values that only hidden rows and masked columns hold, and where in some bytes one of them is.

use std::fmt;

use arrow_flight::FlightData;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A hidden value that must be in no byte outside its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canary {
    /// A text; at least eight bytes, so that it is nowhere by chance.
    Text(String),
    /// A number, which travels as eight bytes, the least first, or as digits.
    Number(i64),
}

impl Canary {
    /// Whether whoever wrote `asked` knew it already.
    pub fn is_written_in(&self, asked: &[u8]) -> bool {
        let written = match self {
            Canary::Text(text) => text.clone(),
            Canary::Number(number) => number.to_string(),
        };
        asked.windows(written.len()).any(|window| window == written.as_bytes())
    }
}

/// The form in which a canary was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is: UTF-8, or decimal digits.
    Raw,
    /// A number as eight bytes, the least first.
    Integer,
    /// In base64, at any of the three places that a text may have in it.
    Base64,
    /// Hexadecimal digits, large or small.
    Hex,
    /// Back to front.
    Reversed,
}

/// A canary where none may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The canary.
    pub canary: Canary,
    /// Its form.
    pub form: Form,
    /// Where it begins.
    pub offset: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} as {:?} at byte {}", self.canary, self.form, self.offset)
    }
}

/// Every canary that is in `bytes`, in any form.
///
/// One pass, whatever their number: at each byte, the forms that begin alike are found by halving.
pub fn sweep(bytes: &[u8], canaries: &[Canary]) -> Vec<Found> {
    Sweep::new(canaries).over(bytes)
}

/// Canaries made ready to be looked for, more than once.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Sorted by pattern.
    patterns: Vec<(Vec<u8>, Form, Canary)>,
    /// Which first two bytes any pattern has.
    begins: Vec<bool>,
}

impl Sweep {
    /// Makes all forms of the canaries.
    pub fn new(canaries: &[Canary]) -> Self {
        let mut patterns = vec![];
        for canary in canaries {
            patterns.extend(forms(canary).into_iter().map(|(bytes, form)| (bytes, form, canary.clone())));
        }
        patterns.sort_by(|left, right| left.0.cmp(&right.0));
        let mut begins = vec![false; 1 << 16];
        for (pattern, _, _) in &patterns {
            begins[pair(pattern)] = true;
        }
        Self { patterns, begins }
    }

    /// Every canary that is in `bytes`.
    pub fn over(&self, bytes: &[u8]) -> Vec<Found> {
        let mut found = vec![];
        if self.patterns.is_empty() {
            return found;
        }
        for offset in 0..bytes.len().saturating_sub(1) {
            let rest = &bytes[offset..];
            if self.begins[pair(rest)] {
                let here = self.at(rest);
                found.extend(here.map(|(_, form, canary)| Found { canary: canary.clone(), form: *form, offset }));
            }
        }
        found
    }

    /// Every canary in what a node keeps. There the digits of a number count where they stand alone, not within more of them: a
    /// site's record has so many hashes that the nine digits of one of some thousand numbers are in one of them every few runs.
    pub fn over_kept(&self, bytes: &[u8]) -> Vec<Found> {
        let alone = |found: &Found| {
            let length = match &found.canary {
                Canary::Number(number) => number.to_string().len(),
                Canary::Text(text) => text.len(),
            };
            let neighbours = [found.offset.checked_sub(1), Some(found.offset + length)].into_iter().flatten();
            !neighbours.filter_map(|at| bytes.get(at)).any(u8::is_ascii_hexdigit)
        };
        let is_of_digits = |found: &Found| {
            matches!((&found.canary, found.form), (Canary::Number(_), Form::Raw | Form::Reversed))
                && bytes[found.offset].is_ascii_digit()
        };
        self.over(bytes).into_iter().filter(|found| !is_of_digits(found) || alone(found)).collect()
    }

    /// Every canary in an answer's bytes. One that its asker wrote is none.
    pub fn over_answer(&self, bytes: &[u8], asked: &[u8]) -> Vec<Found> {
        self.over(bytes).into_iter().filter(|found| !found.canary.is_written_in(asked)).collect()
    }

    /// Panics if a canary that the asker did not write is in a part of an answer.
    pub fn assert_none_in(&self, what: &str, bytes: &[u8], asked: &[u8]) {
        if let Some(found) = self.over_answer(bytes, asked).first() {
            panic!("CANARY in {what}: {found}; asked was {}", asked.escape_ascii());
        }
    }

    /// The same for every part of a frame as it came.
    pub fn assert_none_in_frame(&self, frame: &FlightData, asked: &[u8]) {
        self.assert_none_in("a frame's header", &frame.data_header, asked);
        self.assert_none_in("a frame's body", &frame.data_body, asked);
        self.assert_none_in("a frame's metadata", &frame.app_metadata, asked);
    }

    /// The patterns that `rest` begins with.
    fn at<'a>(&'a self, rest: &'a [u8]) -> impl Iterator<Item = &'a (Vec<u8>, Form, Canary)> {
        let head = &rest[..rest.len().min(PATTERN_BYTES_MIN)];
        let first =
            self.patterns.partition_point(|(pattern, _, _)| &pattern[..PATTERN_BYTES_MIN.min(pattern.len())] < head);
        let alike = self.patterns[first..].iter().take_while(move |(pattern, _, _)| pattern.starts_with(head));
        alike.filter(move |(pattern, _, _)| rest.starts_with(pattern))
    }
}

/// No pattern is shorter, or it would be found by chance.
const PATTERN_BYTES_MIN: usize = 8;

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn forms(canary: &Canary) -> Vec<(Vec<u8>, Form)> {
    let text = match canary {
        Canary::Text(text) => text.clone(),
        Canary::Number(number) => number.to_string(),
    };
    let mut forms = forms_of_bytes(text.as_bytes(), Form::Raw);
    if let Canary::Number(number) = canary {
        forms.extend(forms_of_bytes(&number.to_le_bytes(), Form::Integer));
    }
    for (pattern, form) in &forms {
        assert!(pattern.len() >= PATTERN_BYTES_MIN, "{canary:?} as {form:?} is too short to be a canary");
    }
    forms
}

fn forms_of_bytes(bytes: &[u8], plain: Form) -> Vec<(Vec<u8>, Form)> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let reversed = bytes.iter().rev().copied().collect();
    let mut forms = vec![(bytes.to_vec(), plain), (reversed, Form::Reversed)];
    forms.extend([(hex.to_uppercase().into_bytes(), Form::Hex), (hex.into_bytes(), Form::Hex)]);
    forms.extend((0..3).map(|before| (inner_base64(bytes, before), Form::Base64)));
    forms
}

/// The digits in base64 that depend on `bytes` alone, when they stand after `before` other bytes (and any multiple of three).
fn inner_base64(bytes: &[u8], before: usize) -> Vec<u8> {
    let mut all = vec![0; before];
    all.extend_from_slice(bytes);
    let digits = STANDARD_NO_PAD.encode(&all).into_bytes();
    let whole = all.len() * 8 / 6;
    digits[(before * 8).div_ceil(6)..whole].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Vec<Form> {
        let canaries = [Canary::Text("CANARY-7-note".to_string()), Canary::Number(900_000_007)];
        sweep(bytes, &canaries).into_iter().map(|found| found.form).collect()
    }

    #[test]
    fn a_canary_is_found_in_every_form_and_place() {
        let base64 = |text: &str| STANDARD_NO_PAD.encode(text).into_bytes();
        assert_eq!(found(b"...CANARY-7-note..."), [Form::Raw]);
        assert_eq!(found(b"eton-7-YRANAC"), [Form::Reversed]);
        assert_eq!(found(b"x43414e4152592d372d6e6f7465"), [Form::Hex]);
        assert_eq!(found(b"x43414E4152592D372D6E6F7465"), [Form::Hex]);
        assert_eq!(found(&base64("CANARY-7-note and more")), [Form::Base64]);
        assert_eq!(found(&base64("!CANARY-7-note")), [Form::Base64]);
        assert_eq!(found(&base64("!!!!!CANARY-7-note")), [Form::Base64]);
        assert_eq!(found(b"cost=900000007"), [Form::Raw]);
        assert_eq!(found(&[&[1, 2, 3][..], &900_000_007_i64.to_le_bytes(), &[4]].concat()), [Form::Integer]);
        assert_eq!(found(&900_000_007_i64.to_be_bytes()), [Form::Reversed]);
        assert_eq!(found(b"a CANARY-7-not and 900000008 and CANARY-8-note"), []);
        assert_eq!(found(b""), []);
    }

    #[test]
    fn in_what_is_kept_digits_within_more_of_them_are_of_a_hash() {
        let kept = |bytes: &[u8]| {
            let found = Sweep::new(&[Canary::Number(900_000_007)]).over_kept(bytes);
            found.into_iter().map(|found| found.form).collect::<Vec<_>>()
        };
        assert_eq!(kept(b"[900000007,{\"cost\":900000007}]"), [Form::Raw, Form::Raw]);
        assert_eq!(kept(b"cost 900000007.00 and 700000009"), [Form::Raw, Form::Reversed]);
        assert_eq!(kept(b"1900000007 9000000071 c900000007 900000007f"), []);
        assert_eq!(kept(&[&[0xa9; 3][..], &900_000_007_i64.to_le_bytes()].concat()), [Form::Integer]);
        assert_eq!(found(b"1900000007"), [Form::Raw], "in an answer they are a leak");
    }

    #[test]
    fn a_canary_that_the_asker_wrote_is_none() {
        let sweep = Sweep::new(&[Canary::Number(900_000_007)]);
        assert_eq!(sweep.over_answer(b"900000007", b"WHERE cost = 900000007"), []);
        assert_eq!(sweep.over_answer(b"900000007", b"WHERE cost = 900000008").len(), 1);
        assert_eq!(Sweep::default().over(b"900000007"), []);
    }

    #[test]
    fn a_frame_with_a_canary_in_any_part_is_refused() {
        let sweep = Sweep::new(&[Canary::Text("CANARY-7-note".to_string()), Canary::Number(900_000_007)]);
        let number = [&[0; 5][..], &900_000_007_i64.to_le_bytes()].concat();
        let clean = FlightData { data_body: vec![0; 64].into(), ..FlightData::default() };
        let parts = [
            FlightData { data_header: b"a CANARY-7-note".to_vec().into(), ..clean.clone() },
            FlightData { data_body: number.into(), ..clean.clone() },
            FlightData { app_metadata: STANDARD_NO_PAD.encode("a CANARY-7-note is here").into(), ..clean.clone() },
        ];
        sweep.assert_none_in_frame(&clean, b"");
        for frame in parts {
            let swept = std::panic::catch_unwind(|| sweep.assert_none_in_frame(&frame, b""));
            assert!(swept.is_err(), "{frame:?} goes through");
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_canary_that_could_be_there_by_chance_is_refused() {
        sweep(b"", &[Canary::Text("seven".to_string())]);
    }
}
