//! What somebody probably meant.

/// A mistake of more letters than this is another word.
const MOST_EDITS: usize = 2;

/// The candidate that is nearest to a misspelt word, if one is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edits(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= MOST_EDITS.min(candidate.len() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed or changed (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, c) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let fields = ["priority", "provider", "paused"];
        assert_eq!(nearest("prioirty", fields), Some("priority"));
        assert_eq!(nearest("Paused", fields), Some("paused"));
        assert_eq!(nearest("colour", fields), None);
    }
}
