//! Variable-length numbers: seven bits per byte, so small numbers are short.

/// Appends a number.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off the front; `None` if it does not end, or is none of 64 bits.
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// From one number to another, in both directions; small if they are near.
pub fn difference(from: u64, to: u64) -> u64 {
    let by = to.wrapping_sub(from).cast_signed();
    (by << 1 ^ by >> 63).cast_unsigned()
}

/// Back from [`difference`].
pub fn add(from: u64, difference: u64) -> u64 {
    from.wrapping_add(difference >> 1 ^ (difference & 1).wrapping_neg())
}

/// Appends what of a row has changed: which numbers, then by how much.
pub fn put_row<const N: usize>(out: &mut Vec<u8>, from: &[u64; N], to: &[u64; N]) {
    const { assert!(N <= 64, "a row's changes are stored in 64 bits") };
    let changed = (0..N).filter(|at| from[*at] != to[*at]);
    put(out, changed.clone().map(|at| 1u64 << at).sum());
    changed.for_each(|at| put(out, difference(from[at], to[at])));
}

/// The row that another has changed into.
pub fn take_row<const N: usize>(bytes: &mut &[u8], from: &[u64; N]) -> Option<[u64; N]> {
    let changed = take(bytes)?;
    if N < 64 && changed >> N != 0 {
        return None;
    }
    let mut row = *from;
    for (at, number) in row.iter_mut().enumerate().filter(|(at, _)| changed >> at & 1 == 1) {
        *number = add(from[at], take(bytes)?);
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_and_difference_comes_back(a: u64, b: u64, cut in 0usize..10) {
            let mut bytes = Vec::new();
            put(&mut bytes, a);
            prop_assert_eq!(take(&mut &bytes[..]), Some(a));
            prop_assert_eq!(take(&mut &bytes[..cut.min(bytes.len() - 1)]), None);
            prop_assert_eq!(add(a, difference(a, b)), b);
        }

        #[test]
        fn every_row_comes_back(from: [u64; 7], to: [u64; 7]) {
            let mut bytes = Vec::new();
            put_row(&mut bytes, &from, &to);
            prop_assert_eq!(take_row(&mut &bytes[..], &from), Some(to));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(take(&mut &[0xff; 10][..]), None, "more than 64 bits");
        assert_eq!(take(&mut &[0x80; 12][..]), None, "without an end");
        assert_eq!(take_row(&mut &[0x80, 1][..], &[0; 3]), None, "a place beyond the row");
    }
}
