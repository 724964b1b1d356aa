//! Values that must not be shown: what came from the environment or a file, and passwords. Masking happens where text
//! leaves the process (problems, logs); what a value is for is left to who reads it.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// The values of this process that are masked. Clones share one set.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    values: Arc<RwLock<Vec<Secret>>>,
}

#[derive(Clone, Debug)]
struct Secret {
    value: String,
    /// What is shown in its place, such as `${NAME}`.
    shown: String,
    /// Written in a file as it is: also hidden where the file's lines are shown.
    literal: bool,
}

/// Values shorter than this are only masked where they stand alone: a port `9` is in many a text.
const ALONE_BELOW: usize = 4;

impl Secrets {
    /// Masks a value that came by a variable; `shown`, such as `${NAME}`, stands in its place.
    pub fn add(&self, value: &str, shown: &str) {
        self.insert(Secret { value: value.to_owned(), shown: shown.to_owned(), literal: false });
    }

    /// Masks a password that is written in a file as it is.
    pub fn add_password(&self, value: &str) {
        self.insert(Secret { value: value.to_owned(), shown: "***".to_owned(), literal: true });
    }

    fn insert(&self, secret: Secret) {
        if secret.value.is_empty() {
            return;
        }
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        if values.iter().any(|known| known.value == secret.value && known.literal == secret.literal) {
            return;
        }
        values.push(secret);
        // A value that holds another is masked first.
        values.sort_by_key(|known| std::cmp::Reverse(known.value.len()));
    }

    /// The text with every secret value replaced by what stands for it.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let mut masked = Cow::Borrowed(text);
        for secret in values.iter() {
            if masked.contains(&secret.value) {
                masked = Cow::Owned(replace(&masked, secret));
            }
        }
        masked
    }

    /// The text of a file with the passwords in it hidden by as many stars, so that places stay.
    pub(super) fn mask_source<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let mut masked = Cow::Borrowed(text);
        for secret in values.iter().filter(|secret| secret.literal) {
            if masked.contains(&secret.value) {
                let stars = Secret { shown: "*".repeat(secret.value.len()), ..secret.clone() };
                masked = Cow::Owned(replace(&masked, &stars));
            }
        }
        masked
    }
}

fn replace(text: &str, secret: &Secret) -> String {
    let alone = secret.value.len() < ALONE_BELOW;
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&secret.value) {
        let (before, after) = (&rest[..at], &rest[at + secret.value.len()..]);
        // What was cut off before `rest` ended with a whole value, or with nothing.
        let in_a_word = before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        replaced.push_str(before);
        replaced.push_str(if alone && in_a_word { &secret.value } else { &secret.shown });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_values_but_not_short_ones_inside_words() {
        let secrets = Secrets::default();
        secrets.add("hunter2", "${PASSWORD}");
        secrets.add("hunter2-and-more", "${LONGER}");
        secrets.add("9", "${SHARDS}");
        assert_eq!(
            secrets.mask("user:hunter2 hunter2-and-more, 9 of 19"),
            "user:${PASSWORD} ${LONGER}, ${SHARDS} of 19"
        );
    }

    #[test]
    fn hides_passwords_in_the_file_and_keeps_places() {
        let secrets = Secrets::default();
        secrets.add_password("opensesame");
        assert_eq!(secrets.mask_source("password = \"opensesame\" # x"), "password = \"**********\" # x");
        assert_eq!(secrets.mask("login with opensesame failed"), "login with *** failed");
    }
}
