//! Decimals: as words there, as 128-bit integers at the column's scale here.

use crate::database::misfit::Misfit;

/// The number at `scale`, if it has no more digits than that, and than `precision` in all.
pub(super) fn decimal(sent: &[u8], precision: u8, scale: i8) -> Result<i128, Misfit> {
    let (is_negative, digits) = match sent {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if whole.is_empty() && fraction.is_empty() {
        return Err(Misfit::Malformed);
    }
    let scale = usize::try_from(scale).map_err(|_| Misfit::Digits)?;
    let (kept, cut) = fraction.split_at_checked(scale).unwrap_or((fraction, &[]));
    if cut.iter().any(|digit| *digit != b'0') {
        return Err(Misfit::Digits);
    }
    let zeros = std::iter::repeat_n(&b'0', scale - kept.len());
    let mut number: i128 = 0;
    for digit in whole.iter().chain(kept).chain(zeros) {
        if !digit.is_ascii_digit() {
            return Err(Misfit::Malformed);
        }
        let next = number.checked_mul(10).and_then(|number| number.checked_add(i128::from(digit - b'0')));
        number = next.ok_or(Misfit::Digits)?;
    }
    if number >= 10_i128.pow(u32::from(precision)) {
        return Err(Misfit::Digits);
    }
    Ok(if is_negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_exact_or_refused() {
        let check = |sent: &str, precision, scale, expect| {
            assert_eq!(decimal(sent.as_bytes(), precision, scale), expect, "{sent}");
        };
        check("0", 10, 2, Ok(0));
        check("-1.5", 10, 2, Ok(-150));
        check(".05", 10, 2, Ok(5));
        check("1.500", 10, 1, Ok(15));
        check("99999999.99", 10, 2, Ok(9_999_999_999));
        check("100000000.00", 10, 2, Err(Misfit::Digits));
        check("1.55", 10, 1, Err(Misfit::Digits));
        check(&"9".repeat(38), 38, 0, Ok(10_i128.pow(38) - 1));
        check(&"9".repeat(39), 38, 0, Err(Misfit::Digits));
        check(&"9".repeat(60), 38, 0, Err(Misfit::Digits));
        check("", 10, 2, Err(Misfit::Malformed));
        check("-", 10, 2, Err(Misfit::Malformed));
        check("1e5", 10, 2, Err(Misfit::Malformed));
    }
}
