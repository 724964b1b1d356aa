//! A filter's page in the manual is the `//!` documentation at the head of its `lib.rs`: one text, read in the source, in
//! `cargo doc` and in `weir help-filter`. Taking it out of the source when the filter is compiled is done here, so that a
//! component holds the page and not the source. [`crate::test::check_manual`] compares a page with the options.

/// The page of the filter in whose `lib.rs` this stands: `const MANUAL: &'static str = weir_filter::manual!();`. The
/// `//!` lines must be the first of the file.
#[macro_export]
macro_rules! manual {
    () => {{
        const SOURCE: &str = include_str!("lib.rs");
        const PAGE: [u8; $crate::manual::length(SOURCE)] = $crate::manual::page(SOURCE);
        match ::core::str::from_utf8(&PAGE) {
            Ok(page) => page,
            Err(_) => panic!("a part of a text is UTF-8"),
        }
    }};
}

/// The length in bytes of the page that a source begins with.
#[doc(hidden)]
pub const fn length(source: &str) -> usize {
    copy::<0>(source).1
}

/// The page that a source begins with.
#[doc(hidden)]
pub const fn page<const LENGTH: usize>(source: &str) -> [u8; LENGTH] {
    copy::<LENGTH>(source).0
}

/// Copies the page as far as there is room, and counts all of it.
const fn copy<const ROOM: usize>(source: &str) -> ([u8; ROOM], usize) {
    let source = source.as_bytes();
    let mut page = [0; ROOM];
    let mut length = 0;
    let mut at = 0;
    while at + 2 < source.len() && source[at] == b'/' && source[at + 1] == b'/' && source[at + 2] == b'!' {
        at += 3;
        if at < source.len() && source[at] == b' ' {
            at += 1;
        }
        loop {
            let byte = if at < source.len() { source[at] } else { b'\n' };
            at += 1;
            if byte == b'\r' {
                continue;
            }
            if length < ROOM {
                page[length] = byte;
            }
            length += 1;
            if byte == b'\n' {
                break;
            }
        }
    }
    (page, length)
}

#[cfg(test)]
mod tests {
    fn check<const LENGTH: usize>(source: &str, expected: &str) {
        assert_eq!(super::length(source), LENGTH, "{source:?}");
        assert_eq!(std::str::from_utf8(&super::page::<LENGTH>(source)), Ok(expected), "{source:?}");
    }

    #[test]
    fn pages() {
        check::<0>("", "");
        check::<0>("// no page\n//! later\n", "");
        check::<13>("//! # é\n//!\n//!   more\n\n//! not this\n", "# é\n\n  more\n");
        check::<5>("//! a\r\n//! no", "a\nno\n");
    }
}
