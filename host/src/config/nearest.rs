//! "Did you mean": the known word that a mistyped one is nearest to.

/// The nearest of the known words, if one is near enough to be what was meant: a third of the letters may differ.
pub fn did_you_mean<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let mut nearest: Option<(usize, &str)> = None;
    for candidate in known {
        let distance = strsim::damerau_levenshtein(&word, &candidate.to_lowercase().replace('-', "_"));
        let allowed = (word.chars().count().max(candidate.chars().count()) / 3).max(1);
        if distance <= allowed && nearest.is_none_or(|(best, _)| distance < best) {
            nearest = Some((distance, candidate));
        }
    }
    nearest.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far() {
        let known = ["hosts", "index", "document_id", "user", "local-time"];
        assert_eq!(did_you_mean("host", &known), Some("hosts"));
        assert_eq!(did_you_mean("documnet_id", &known), Some("document_id"));
        assert_eq!(did_you_mean("documentId", &known), Some("document_id"));
        assert_eq!(did_you_mean("local_time", &known), Some("local-time"));
        assert_eq!(did_you_mean("frequency", &known), None);
    }
}
