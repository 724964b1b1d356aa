//! Finding a delimiter in a text: the whole cost of a dissection. Eight bytes at a time, in plain arithmetic, as parts of
//! a log line are too short for more to pay.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where `delimiter` begins in `text`, at `from` or later. An empty one is never found.
#[inline]
pub(crate) fn find(text: &[u8], from: usize, delimiter: &[u8]) -> Option<usize> {
    match delimiter {
        [] => None,
        [byte] => find_byte(text, from, *byte),
        [first, rest @ ..] => find_several(text, from, *first, rest),
    }
}

fn find_several(text: &[u8], mut from: usize, first: u8, rest: &[u8]) -> Option<usize> {
    loop {
        let at = find_byte(text, from, first)?;
        if text[at + 1..].starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[inline]
fn find_byte(text: &[u8], from: usize, byte: u8) -> Option<usize> {
    let repeated = LOW * u64::from(byte);
    let mut at = from;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let different = u64::from_le_bytes(*chunk) ^ repeated;
        // The lowest high bit that is set stands in the first byte that is zero, that is: equal.
        let equal = different.wrapping_sub(LOW) & !different & HIGH;
        if equal != 0 {
            return Some(at + (equal.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    text.get(at..)?.iter().position(|other| *other == byte).map(|offset| at + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library_finds() {
        let text = "a-b--c---d 0123456789abcdef -.- é€ -->-->--x";
        let delimiters =
            ["-", "--", "---", " ", "-.-", "é", "€", "-->-->--", "f -", "x", "nothing", "0123456789"];
        for delimiter in delimiters {
            for from in (0..=text.len()).filter(|from| text.is_char_boundary(*from)) {
                let expected = text[from..].find(delimiter).map(|at| at + from);
                assert_eq!(
                    find(text.as_bytes(), from, delimiter.as_bytes()),
                    expected,
                    "{delimiter:?} from {from}"
                );
            }
        }
        assert_eq!(find(b"abc", 0, b""), None);
        assert_eq!(find(b"abc", 9, b"a"), None);
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                let mut text = [byte.wrapping_add(1); 20];
                text[place] = byte;
                assert_eq!(find(&text, 0, &[byte]), Some(place));
            }
        }
    }
}
