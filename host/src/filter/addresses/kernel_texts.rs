//! The texts that kernels handed to a guest during one call. They stay in the host: a guest gets places in them and hands
//! places back, and the buffers themselves go into the batch.

use std::sync::Arc;

/// Texts that lie one after the other, as a guest sees them.
#[derive(Default)]
pub(in super::super) struct KernelTexts {
    parts: Vec<Part>,
    length: u32,
}

struct Part {
    start: u32,
    text: Arc<String>,
    ascii: bool,
}

/// Places have 31 bits; the last number of a place is kept free.
const MOST_BYTES: u32 = (1 << 31) - 1;

impl KernelTexts {
    /// Forgets all texts: places in them are not known any more.
    pub(in super::super) fn clear(&mut self) {
        self.parts.clear();
        self.length = 0;
    }

    /// Adds texts that lie one after the other, and answers where the first begins, or `None` if there is no room.
    pub(super) fn add<'t>(&mut self, texts: impl Iterator<Item = (&'t Arc<String>, bool)>) -> Option<u32> {
        let first = self.length;
        for (text, ascii) in texts {
            let length = u32::try_from(text.len()).ok()?;
            let end = self.length.checked_add(length).filter(|end| *end <= MOST_BYTES)?;
            self.parts.push(Part { start: self.length, text: text.clone(), ascii });
            self.length = end;
        }
        Some(first)
    }

    /// The text that a place lies in: its number among the texts, and the place's start in it. `None` if the place lies
    /// in no text, or not on character boundaries.
    pub(in super::super) fn find(&self, start: u32, length: u32) -> Option<(usize, u32)> {
        let number = self.parts.partition_point(|part| part.start <= start).checked_sub(1)?;
        let part = self.parts.get(number)?;
        let at = start - part.start;
        let end = (at as usize).checked_add(length as usize)?;
        let whole = end <= part.text.len()
            && (part.ascii || part.text.is_char_boundary(at as usize) && part.text.is_char_boundary(end));
        whole.then_some((number, at))
    }

    /// A text by its number.
    pub(in super::super) fn text(&self, number: usize) -> Option<&Arc<String>> {
        self.parts.get(number).map(|part| &part.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_their_text_only() {
        let texts = [Arc::new("abc".to_owned()), Arc::new("dé".to_owned())];
        let mut kernel_texts = KernelTexts::default();
        assert_eq!(kernel_texts.find(0, 0), None);
        let first = kernel_texts.add(texts.iter().map(|text| (text, text.is_ascii())));
        assert_eq!(first, Some(0));
        assert_eq!(kernel_texts.find(0, 3), Some((0, 0)));
        assert_eq!(kernel_texts.find(2, 2), None, "over the end of a text");
        assert_eq!(kernel_texts.find(3, 3), Some((1, 0)));
        assert_eq!(kernel_texts.find(3, 2), None, "within a character");
        assert_eq!(kernel_texts.find(6, 1), None);
        assert_eq!(kernel_texts.find(u32::MAX, u32::MAX), None);
        assert_eq!(kernel_texts.add(texts[..1].iter().map(|text| (text, true))), Some(6));
        assert_eq!(kernel_texts.find(6, 1), Some((2, 0)));
    }
}
