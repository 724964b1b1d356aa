//! Finding a delimiter in a text: the whole cost of a dissection. Sixteen bytes at a time, which is as long as most parts
//! of a log line.

/// Where `delimiter` begins in `text`, at `from` or later; it ends at `to` or before. An empty one is never found. Bytes
/// after `to` are looked at, and make no difference.
#[inline]
pub(crate) fn find(text: &[u8], from: usize, to: usize, delimiter: &[u8]) -> Option<usize> {
    match delimiter {
        [] => None,
        [byte] => find_byte(text, from, to, *byte),
        [first, rest @ ..] => find_several(text, from, to, *first, rest),
    }
}

fn find_several(text: &[u8], mut from: usize, to: usize, first: u8, rest: &[u8]) -> Option<usize> {
    loop {
        let at = find_byte(text, from, to, first)?;
        if text.get(at + 1..to)?.starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[inline]
fn find_byte(text: &[u8], from: usize, to: usize, byte: u8) -> Option<usize> {
    let mut at = from;
    while at < to {
        let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) else {
            return text.get(at..to)?.iter().position(|other| *other == byte).map(|offset| at + offset);
        };
        let equal = equal_bytes(chunk, byte);
        if equal != 0 {
            return Some(at + equal.trailing_zeros() as usize).filter(|found| *found < to);
        }
        at += 16;
    }
    None
}

/// The places of a byte in a part of a text, one after the other.
pub(crate) struct Occurrences<'t> {
    text: &'t [u8],
    to: usize,
    byte: u8,
    /// Where the 64 bytes begin that were looked at last.
    at: usize,
    /// Those of them that are the byte, and were not answered yet.
    left: u64,
}

impl<'t> Occurrences<'t> {
    /// From `from` to before `to`.
    #[inline]
    pub(crate) fn new(text: &'t [u8], from: usize, to: usize, byte: u8) -> Self {
        let left = if from < to { equal_among_64(text, from, to, byte) } else { 0 };
        Occurrences { text, to, byte, at: from, left }
    }

    /// The next place.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            // A row that is not looked at may begin anywhere.
            self.at = self.at.checked_add(64).filter(|at| *at < self.to)?;
            self.left = equal_among_64(self.text, self.at, self.to, self.byte);
        }
        let place = self.at + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(place)
    }
}

/// One bit for each of the 64 bytes from `at` that is this one, the lowest for the first; none for those from `to` on, which
/// is after `at`.
#[inline]
fn equal_among_64(text: &[u8], at: usize, to: usize, byte: u8) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    let end_of_text;
    let bytes = match rest.first_chunk::<64>() {
        Some(bytes) => bytes,
        None => {
            end_of_text = padded(rest);
            &end_of_text
        }
    };
    let (vectors, _) = bytes.as_chunks::<16>();
    let mut equal = 0;
    for (number, vector) in vectors.iter().enumerate() {
        equal |= u64::from(equal_bytes(vector, byte)) << (16 * number);
    }
    match to - at {
        // Those beyond are other rows'.
        length @ ..64 => equal & ((1 << length) - 1),
        _ => equal,
    }
}

#[cold]
fn padded(rest: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (place, byte) in bytes.iter_mut().zip(rest) {
        *place = *byte;
    }
    bytes
}

/// One bit for each of sixteen bytes that is this one, the lowest for the first.
#[cfg(target_feature = "simd128")]
#[inline]
fn equal_bytes(chunk: &[u8; 16], byte: u8) -> u16 {
    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, v128_load};
    // SAFETY: the sixteen bytes that are read are the array's, and they may lie at any address.
    let bytes = unsafe { v128_load(chunk.as_ptr().cast()) };
    u8x16_bitmask(u8x16_eq(bytes, u8x16_splat(byte)))
}

#[cfg(not(target_feature = "simd128"))]
fn equal_bytes(chunk: &[u8; 16], byte: u8) -> u16 {
    let mut equal = 0;
    for (place, other) in chunk.iter().enumerate() {
        equal |= u16::from(*other == byte) << place;
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library_finds() {
        let text =
            "a-b--c---d 0123456789abcdef -.- é€ -->-->--x and a tail that is no part of it: -- é 0123456789";
        let delimiters =
            ["-", "--", "---", " ", "-.-", "é", "€", "-->-->--", "f -", "x", "nothing", "0123456789"];
        let boundaries: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        for delimiter in delimiters {
            for &to in &boundaries {
                for &from in boundaries.iter().filter(|from| **from <= to) {
                    let expected = text[from..to].find(delimiter).map(|at| at + from);
                    let found = find(text.as_bytes(), from, to, delimiter.as_bytes());
                    assert_eq!(found, expected, "{delimiter:?} from {from} to {to}");
                }
            }
        }
        assert_eq!(find(b"abc", 0, 3, b""), None);
        assert_eq!(find(b"abc", 9, 9, b"a"), None);
        assert_eq!(find(b"abc", usize::MAX, 3, b"a"), None);
    }

    #[test]
    fn all_places_of_a_byte() {
        let mut text = Vec::new();
        for index in 0..200_usize {
            text.push(if index % 7 == 0 || index / 20 == 4 { b' ' } else { b'x' });
        }
        for from in 0..text.len() {
            for to in from..=text.len() {
                let mut found = Occurrences::new(&text, from, to, b' ');
                let places: Vec<usize> = std::iter::from_fn(|| found.next()).collect();
                let expected: Vec<usize> = (from..to).filter(|at| text[*at] == b' ').collect();
                assert_eq!(places, expected, "from {from} to {to}");
            }
        }
        assert_eq!(Occurrences::new(&text, usize::MAX, 0, b' ').next(), None);
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..40 {
                let mut text = [byte.wrapping_add(1); 40];
                text[place] = byte;
                assert_eq!(find(&text, 0, 40, &[byte]), Some(place));
            }
        }
    }
}
