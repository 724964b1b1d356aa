//! Texts that are kept and only grow, in buffers that batches share. A text's place is among all of them, so it holds however
//! they are put together.

use std::sync::Arc;

use crate::filter::interface::KERNEL_PLACE;

/// Texts, one buffer after the other.
#[derive(Default)]
pub(super) struct KeptTexts {
    /// Each at least twice as long as the next, so there are few, and a text is copied few times.
    buffers: Vec<Arc<String>>,
    /// Of all buffers.
    length: usize,
    /// What is to become the next buffer.
    new: String,
}

impl KeptTexts {
    /// Appends a text to what will be the next buffer; answers its place and length, or `None` if there is no room.
    pub(super) fn add(&mut self, text: &str) -> Option<(u32, u32)> {
        let start = u32::try_from(self.length + self.new.len()).ok()?;
        let length = u32::try_from(text.len()).ok()?;
        if start.checked_add(length)? >= KERNEL_PLACE {
            return None;
        }
        self.new.push_str(text);
        Some((start, length))
    }

    /// Makes a buffer of what was appended.
    pub(super) fn close(&mut self) {
        if self.new.is_empty() {
            return;
        }
        self.length += self.new.len();
        let mut last = std::mem::take(&mut self.new);
        while let Some(before) = self.buffers.pop_if(|before| before.len() < 2 * last.len()) {
            let mut both = String::with_capacity(before.len() + last.len());
            both.push_str(&before);
            both.push_str(&last);
            last = both;
        }
        last.shrink_to_fit();
        self.buffers.push(Arc::new(last));
    }

    /// All that was closed.
    pub(super) fn buffers(&self) -> &[Arc<String>] {
        &self.buffers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_hold_however_many_texts_follow() {
        let mut texts = KeptTexts::default();
        let mut expected = String::new();
        let mut most = 0;
        for number in 0..5_000_u32 {
            let text = format!("text {number} ");
            assert_eq!(texts.add(&text), Some((expected.len() as u32, text.len() as u32)));
            expected.push_str(&text);
            if number % 7 == 0 {
                texts.close();
                most = most.max(texts.buffers().len());
                let all: String = texts.buffers().iter().map(|text| text.as_str()).collect();
                assert!(all == expected, "after {number}");
            }
        }
        assert!(most <= 12, "{most} buffers of {} bytes", expected.len());
    }
}
