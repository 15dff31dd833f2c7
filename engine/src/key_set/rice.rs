//! A set of whole numbers in few bits: the gaps between them, each as a Rice code (Golomb, "Run-length encodings", 1966;
//! Rice and Plaunt, 1971).
//!
//! ```text
//! first value, 8 bytes little endian · k, 1 byte · for each further value the gap to the one before it, less one:
//! its quotient by 2^k as so many ones and a zero, its remainder in k bits, the lowest first
//! ```
//!
//! Of `n` keys out of `U` it takes about `log2(U/n) + 1.6` bits a key.

/// The longest remainder.
const REMAINDER_BITS_MAX: u8 = 63;
/// Bytes before the first code.
const HEADER_BYTES: usize = 9;

/// The code of ascending values, each once.
pub(super) fn encode(values: &[i64]) -> Vec<u8> {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return Vec::new() };
    let gaps = values.len() - 1;
    let remainder_bits = remainder_bits(last.abs_diff(*first), gaps as u64);
    let mut bits = BitWriter { bytes: first.to_le_bytes().to_vec(), used: 0 };
    bits.bytes.push(remainder_bits);
    for (earlier, later) in values.iter().zip(values.iter().skip(1)) {
        let gap = later.abs_diff(*earlier) - 1;
        (0..gap >> remainder_bits).for_each(|_| bits.push(true));
        bits.push(false);
        (0..remainder_bits).for_each(|bit| bits.push(gap >> bit & 1 == 1));
    }
    bits.bytes
}

/// The number of bits that leaves about one quotient bit a gap: of the mean gap all but its highest bits.
fn remainder_bits(span: u64, gaps: u64) -> u8 {
    let mean = span.checked_div(gaps).unwrap_or(0);
    // About ln 2 of the mean.
    u8::try_from((mean - mean / 10 * 3).max(1).ilog2()).unwrap_or(0).min(REMAINDER_BITS_MAX)
}

/// The `count` values of a code; `None` for bytes that are no such code, or more than one.
pub(super) fn decode(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    if count == 0 {
        return bytes.is_empty().then(Vec::new);
    }
    let (header, codes) = bytes.split_at_checked(HEADER_BYTES)?;
    let (first, remainder_bits) = header.split_at_checked(8)?;
    let (mut value, remainder_bits) = (i64::from_le_bytes(first.try_into().ok()?), *remainder_bits.first()?);
    // Each gap takes at least one bit and its remainder: what is promised beyond the bytes allocates nothing.
    let bits_least = (count as u64 - 1).checked_mul(u64::from(remainder_bits) + 1)?;
    if remainder_bits > REMAINDER_BITS_MAX || bits_least > codes.len() as u64 * 8 {
        return None;
    }
    let mut bits = BitReader { bytes: codes, at: 0 };
    let mut values = Vec::with_capacity(count);
    values.push(value);
    for _ in 1..count {
        let mut quotient = 0_u64;
        while bits.take()? {
            quotient += 1;
        }
        let high = quotient.checked_mul(1 << remainder_bits)?;
        let mut low = 0_u64;
        for bit in 0..remainder_bits {
            low |= u64::from(bits.take()?) << bit;
        }
        value = value.checked_add_unsigned(high.checked_add(low)?.checked_add(1)?)?;
        values.push(value);
    }
    bits.is_at_end().then_some(values)
}

struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 when it is full.
    used: u8,
}

impl BitWriter {
    fn push(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << self.used;
        }
        self.used = (self.used + 1) % 8;
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn take(&mut self) -> Option<bool> {
        let bit = self.bytes.get(self.at / 8)? >> (self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    /// Nothing is left but the last byte's padding, of zeros.
    fn is_at_end(&self) -> bool {
        let padding = self.bytes.get(self.at / 8).map_or(0, |last| last >> (self.at % 8));
        self.at.div_ceil(8) == self.bytes.len() && padding == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, RngCore, SeedableRng};

    use super::*;

    #[test]
    fn what_was_coded_is_read_back() {
        let mut rng = StdRng::seed_from_u64(11);
        for round in 0..500 {
            let span = 1_i64 << (round % 63);
            let keys: BTreeSet<i64> = (0..round % 70).map(|_| rng.random_range(-span..=span)).collect();
            let keys: Vec<i64> = keys.into_iter().collect();
            assert_eq!(decode(&encode(&keys), keys.len()), Some(keys));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut rng = StdRng::seed_from_u64(12);
        for _ in 0..20_000 {
            let mut bytes = vec![0; rng.random_range(0..40)];
            rng.fill_bytes(&mut bytes);
            if let Some(header) = bytes.get_mut(8) {
                *header %= 70;
            }
            let count = rng.random_range(0..300);
            let read = decode(&bytes, count);
            assert!(read.is_none_or(|values| values.len() == count && values.is_sorted_by(|a, b| a < b)));
        }
    }

    #[test]
    fn the_ends_of_the_range_have_a_code() {
        for values in
            [vec![i64::MIN, i64::MAX], vec![i64::MIN], vec![i64::MAX - 1, i64::MAX], vec![i64::MIN, 0, i64::MAX]]
        {
            assert_eq!(decode(&encode(&values), values.len()), Some(values));
        }
    }

    #[test]
    fn bytes_that_promise_more_than_they_hold_are_refused() {
        let bytes = encode(&[1, 5, 9]);
        for count in [0, 2, 4, 1 << 40, usize::MAX] {
            assert_eq!(decode(&bytes, count), None, "{count}");
        }
        assert_eq!(decode(&[bytes, vec![0]].concat(), 3), None);
    }

    #[test]
    fn every_fortieth_order_takes_under_eight_bits() {
        let mut rng = StdRng::seed_from_u64(13);
        let keys: BTreeSet<i64> = (0..150_000).map(|_| rng.random_range(0..6_000_000)).collect();
        let keys: Vec<i64> = keys.into_iter().collect();
        let bits_per_key = encode(&keys).len() as f64 * 8.0 / keys.len() as f64;
        assert!(bits_per_key < 7.2, "{bits_per_key}");
    }
}
