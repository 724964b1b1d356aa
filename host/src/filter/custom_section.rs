//! Custom sections of WebAssembly: what a component carries beside its code, such as its cases. Any bytes may come; what is
//! no WebAssembly has no sections.

/// How deep modules and components are nested that are searched.
const DEEPEST: usize = 4;

/// The content of the first custom section of this name: of the component or module itself, or of one that it holds.
pub(super) fn custom_section<'b>(bytes: &'b [u8], name: &str) -> Option<&'b [u8]> {
    search(bytes, name, 0)
}

fn search<'b>(bytes: &'b [u8], name: &str, depth: usize) -> Option<&'b [u8]> {
    let (head, mut rest) = bytes.split_at_checked(8)?;
    if !head.starts_with(b"\0asm") || depth > DEEPEST {
        return None;
    }
    let is_component = head[6] == 1;
    let mut inner = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = number(after)?;
        let (content, after) = after.split_at_checked(length)?;
        rest = after;
        match *id {
            0 => {
                let (length, after) = number(content)?;
                let (own, data) = after.split_at_checked(length)?;
                if own == name.as_bytes() {
                    return Some(data);
                }
            }
            // A core module, a component.
            1 | 4 if is_component => inner.push(content),
            _ => {}
        }
    }
    inner.into_iter().find_map(|inner| search(inner, name, depth + 1))
}

/// An unsigned number of at most 32 bits in LEB128, and what comes after it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut section = vec![id];
        let mut length = content.len();
        loop {
            let more = if length > 0x7f { 0x80 } else { 0 };
            section.push((length & 0x7f) as u8 | more);
            length >>= 7;
            if length == 0 {
                break;
            }
        }
        [section, content.to_vec()].concat()
    }

    fn custom(name: &str, data: &[u8]) -> Vec<u8> {
        section(0, &[&[name.len() as u8], name.as_bytes(), data].concat())
    }

    #[test]
    fn a_section_is_found_in_what_is_nested() {
        let module = |sections: &[Vec<u8>]| [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat();
        let component = |sections: &[Vec<u8>]| [b"\0asm\x0d\0\x01\0".to_vec(), sections.concat()].concat();
        let long = vec![b'x'; 300];
        let plain = module(&[custom("a", b"1"), section(1, b"types"), custom("wanted", &long)]);
        assert_eq!(custom_section(&plain, "wanted"), Some(&long[..]));
        assert_eq!(custom_section(&plain, "other"), None);
        let nested = component(&[section(1, &plain)]);
        assert_eq!(custom_section(&nested, "wanted"), Some(&long[..]));
        let outer = component(&[section(4, &nested), custom("wanted", b"outer")]);
        assert_eq!(custom_section(&outer, "wanted"), Some(&b"outer"[..]));
        // A module's own types are no module.
        assert_eq!(custom_section(&module(&[section(1, &plain)]), "wanted"), None);
    }

    #[test]
    fn whatever_comes_is_no_harm() {
        let good = [b"\0asm\x0d\0\x01\0".to_vec(), custom("wanted", b"data")].concat();
        for end in 0..good.len() {
            assert_eq!(custom_section(&good[..end], "wanted"), None);
        }
        assert_eq!(custom_section(b"\0asm\x01\0\0\0\0\xff\xff\xff\xff\xff\x01", "wanted"), None);
    }
}
