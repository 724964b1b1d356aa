//! The texts that kernels handed to a guest during one call. They stay in the host: a guest gets places in them and hands
//! places back, and the buffers themselves go into the batch.

use std::sync::Arc;

/// Texts that lie one after the other, as a guest sees them.
#[derive(Default)]
pub(in super::super) struct KernelTexts {
    texts: Vec<KernelText>,
    length: u32,
}

/// One of them.
pub(in super::super) struct KernelText {
    start: u32,
    text: Arc<String>,
    ascii: bool,
}

/// Places have 31 bits; the last number of a place is kept free.
const MOST_BYTES: u32 = (1 << 31) - 1;

impl KernelTexts {
    /// Forgets all texts: places in them are not known any more.
    pub(in super::super) fn clear(&mut self) {
        self.texts.clear();
        self.length = 0;
    }

    /// Adds texts that lie one after the other, and answers where the first begins, or `None` if there is no room. `ascii`
    /// says that all of them are ASCII.
    pub(in super::super) fn add(&mut self, texts: &[Arc<String>], ascii: bool) -> Option<u32> {
        let first = self.length;
        for text in texts {
            debug_assert!(!ascii || text.is_ascii());
            let length = u32::try_from(text.len()).ok()?;
            let end = self.length.checked_add(length).filter(|end| *end <= MOST_BYTES)?;
            self.texts.push(KernelText { start: self.length, text: text.clone(), ascii });
            self.length = end;
        }
        Some(first)
    }

    /// The text that a place begins in or at the end of, and its number.
    pub(in super::super) fn around(&self, start: u32) -> Option<(usize, &KernelText)> {
        let number = self.texts.partition_point(|text| text.start <= start).checked_sub(1)?;
        self.texts.get(number).map(|text| (number, text))
    }
}

impl KernelText {
    /// Where in this text a place begins; `None` if it does not lie wholly in it, or not on character boundaries.
    #[inline]
    pub(in super::super) fn find(&self, start: u32, length: u32) -> Option<u32> {
        let at = start.checked_sub(self.start)?;
        let end = (at as usize).checked_add(length as usize)?;
        let whole = end <= self.text.len()
            && (self.ascii || self.text.is_char_boundary(at as usize) && self.text.is_char_boundary(end));
        whole.then_some(at)
    }

    /// The text itself.
    pub(in super::super) fn text(&self) -> &Arc<String> {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_their_text_only() {
        let texts = [Arc::new("abc".to_owned()), Arc::new("dé".to_owned())];
        let mut kernel_texts = KernelTexts::default();
        let find = |kernel_texts: &KernelTexts, start, length| {
            let (number, text) = kernel_texts.around(start)?;
            text.find(start, length).map(|at| (number, at))
        };
        assert_eq!(find(&kernel_texts, 0, 0), None);
        let first = kernel_texts.add(&texts, false);
        assert_eq!(first, Some(0));
        assert_eq!(find(&kernel_texts, 0, 3), Some((0, 0)));
        assert_eq!(find(&kernel_texts, 2, 2), None, "over the end of a text");
        assert_eq!(find(&kernel_texts, 3, 3), Some((1, 0)));
        assert_eq!(find(&kernel_texts, 3, 2), None, "within a character");
        assert_eq!(find(&kernel_texts, 6, 1), None);
        assert_eq!(find(&kernel_texts, u32::MAX, u32::MAX), None);
        assert_eq!(kernel_texts.add(&texts[..1], true), Some(6));
        assert_eq!(find(&kernel_texts, 6, 1), Some((2, 0)));
    }
}
