//! `numeric` as the server sends it, to a 128-bit decimal of a fixed scale: exactly, or not at all.
//!
//! The form is that of `numeric_send`: how many digits in base 10,000, the weight of the first, the sign, how many decimal
//! places are shown, then the digits; two bytes each.

use crate::database::misfit::Misfit;

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
const DIGIT_PLACES: i32 = 4;

/// The value times ten to the power of `scale`, of at most `precision` digits.
pub(super) fn decimal(bytes: &[u8], precision: u8, scale: i8) -> Result<i128, Misfit> {
    let (count, rest) = split_u16(bytes)?;
    let (weight, rest) = split_u16(rest)?;
    let (sign, rest) = split_u16(rest)?;
    let (_places, mut digits) = split_u16(rest)?;
    match sign {
        NOT_A_NUMBER => return Err(Misfit::NotANumber),
        INFINITY | NEGATIVE_INFINITY => return Err(Misfit::Infinity),
        _ => {}
    }
    let mut exponent = i32::from(weight.cast_signed()) * DIGIT_PLACES + i32::from(scale);
    let mut sum = 0_i128;
    for _ in 0..count {
        let (digit, rest) = split_u16(digits)?;
        sum = sum.checked_add(scaled(i128::from(digit), exponent)?).ok_or(Misfit::Digits)?;
        exponent -= DIGIT_PLACES;
        digits = rest;
    }
    if sum >= power_of_ten(u32::from(precision))? {
        return Err(Misfit::Digits);
    }
    Ok(if sign == NEGATIVE { -sum } else { sum })
}

/// `digit` times ten to the power of `exponent`, if that is whole.
fn scaled(digit: i128, exponent: i32) -> Result<i128, Misfit> {
    if digit == 0 {
        return Ok(0);
    }
    let power = power_of_ten(exponent.unsigned_abs())?;
    if exponent >= 0 {
        return digit.checked_mul(power).ok_or(Misfit::Digits);
    }
    if digit % power == 0 { Ok(digit / power) } else { Err(Misfit::Digits) }
}

fn power_of_ten(exponent: u32) -> Result<i128, Misfit> {
    10_i128.checked_pow(exponent).ok_or(Misfit::Digits)
}

fn split_u16(bytes: &[u8]) -> Result<(u16, &[u8]), Misfit> {
    let (first, rest) = bytes.split_first_chunk().ok_or(Misfit::Malformed)?;
    Ok((u16::from_be_bytes(*first), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(digits: &[u16], weight: i16, sign: u16) -> Vec<u8> {
        let head = [u16::try_from(digits.len()).unwrap(), weight.cast_unsigned(), sign, 0];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    fn check(digits: &[u16], weight: i16, (precision, scale): (u8, i8), expect: Result<i128, Misfit>) {
        assert_eq!(decimal(&sent(digits, weight, 0), precision, scale), expect, "{digits:?} {weight}");
        let negative = decimal(&sent(digits, weight, NEGATIVE), precision, scale);
        assert_eq!(negative, expect.map(|value| -value));
    }

    #[test]
    fn digits_become_one_number() {
        check(&[], 0, (5, 2), Ok(0));
        check(&[1], 0, (5, 2), Ok(100));
        check(&[5000], -1, (5, 2), Ok(50));
        check(&[12, 3400], 0, (5, 2), Ok(1234));
        check(&[1, 2345, 6789], 2, (9, 0), Ok(123_456_789));
        check(&[1], 1, (38, 0), Ok(10_000));
        let nines = [9999; 10];
        check(&nines[..9], 8, (38, 0), Ok(10_i128.pow(36) - 1));
        // 38 digits, 10 of them after the point: the last digit in base 10,000 reaches beyond the scale.
        let wide = [9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9900];
        check(&wide, 6, (38, 10), Ok(10_i128.pow(38) - 1));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        check(&[1234], -1, (5, 2), Err(Misfit::Digits));
        check(&[1, 1], 0, (5, 2), Err(Misfit::Digits));
        check(&[1], -3, (5, 2), Err(Misfit::Digits));
        check(&[1000], 0, (5, 2), Err(Misfit::Digits));
        check(&[1], 10, (38, 0), Err(Misfit::Digits));
        check(&[1], i16::MAX, (38, 10), Err(Misfit::Digits));
        check(&[1], i16::MIN, (38, 10), Err(Misfit::Digits));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(decimal(&sent(&[], 0, NOT_A_NUMBER), 38, 10), Err(Misfit::NotANumber));
        assert_eq!(decimal(&sent(&[], 0, INFINITY), 38, 10), Err(Misfit::Infinity));
        assert_eq!(decimal(&sent(&[], 0, NEGATIVE_INFINITY), 38, 10), Err(Misfit::Infinity));
        assert_eq!(decimal(&[0, 1, 0, 0, 0, 0, 0, 0], 38, 10), Err(Misfit::Malformed));
    }
}
