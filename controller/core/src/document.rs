//! A file of manifests cut into its documents, so that each can be read, replaced and removed without touching the others.
//! A document marker can only stand at the beginning of a line, so that cutting there is exact.

/// One document of a file, with its marker line if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Counted from 1: where it begins in the file.
    pub first_line: usize,
    /// Its text as it stands, line breaks included.
    pub text: String,
}

/// Cuts a file. All texts together are the file.
pub fn split(file: &str) -> Vec<Document> {
    let mut documents: Vec<Document> = Vec::new();
    let mut ended = true;
    for (at, line) in file.split_inclusive('\n').enumerate() {
        if ended || is_marker(line, "---") {
            documents.push(Document { first_line: at + 1, text: String::new() });
        }
        ended = is_marker(line, "...");
        if let Some(document) = documents.last_mut() {
            document.text.push_str(line);
        }
    }
    documents
}

/// Puts a file together again.
pub fn join(documents: &[Document]) -> String {
    documents.iter().map(|document| document.text.as_str()).collect()
}

impl Document {
    /// Whether there is nothing in it but comments.
    pub fn is_blank(&self) -> bool {
        self.text.lines().all(|line| {
            let line = if is_marker(line, "---") || is_marker(line, "...") { &line[3..] } else { line };
            let line = line.trim();
            line.is_empty() || line.starts_with('#')
        })
    }

    /// Counted from 1: where its content begins in the file, after its marker and the comments at its top.
    pub fn content_line(&self) -> usize {
        let is_content = |line: &str| {
            let line = if is_marker(line, "---") { &line[3..] } else { line };
            !matches!(line.trim().bytes().next(), None | Some(b'#'))
        };
        self.first_line + self.text.lines().position(is_content).unwrap_or(0)
    }

    /// The text, with as many empty lines before it as there are lines before it in the file: what is said of a
    /// line then holds for the file.
    pub fn in_place(&self) -> String {
        "\n".repeat(self.first_line - 1) + &self.text
    }

    /// The same document with other content. Its marker and the comments at its top stay.
    #[must_use]
    pub fn with_content(&self, content: &str) -> Self {
        let mut text = String::new();
        for line in self.text.split_inclusive('\n') {
            let kept = if is_marker(line, "---") { line[3..].trim() } else { line.trim() };
            if !kept.is_empty() && !kept.starts_with('#') {
                break;
            }
            text.push_str(line);
        }
        if self.text.starts_with("---") && !text.starts_with("---") {
            text.insert_str(0, "---\n");
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(content);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self { first_line: self.first_line, text }
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_at_its_markers_and_nothing_is_lost() {
        let file = "# top\na: 1\n---\nb: |\n  ---\n  x\n--- # c\n{c: 3}\n...\n# tail\n";
        let documents = split(file);
        assert_eq!(join(&documents), file);
        let lines: Vec<_> = documents.iter().map(|document| document.first_line).collect();
        assert_eq!(lines, [1, 3, 7, 10]);
        let content: Vec<_> = documents.iter().map(Document::content_line).collect();
        assert_eq!(content, [2, 4, 8, 10]);
        let blank: Vec<_> = documents.iter().map(Document::is_blank).collect();
        assert_eq!(blank, [false, false, false, true]);
        assert!(split("").is_empty());
    }

    #[test]
    fn new_content_keeps_the_marker_and_the_comments_above() {
        let document = |text: &str| Document { first_line: 1, text: text.into() };
        assert_eq!(
            document("--- # mine\n# why\n\na: 1 # gone\n").with_content("a: 2").text,
            "--- # mine\n# why\n\na: 2\n"
        );
        assert_eq!(document("a: 1\n").with_content("a: 2\n").text, "a: 2\n");
        assert_eq!(document("--- {a: 1}\n").with_content("a: 2").text, "---\na: 2\n");
    }
}
