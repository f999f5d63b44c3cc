//! The answer before it has a dialect: its text in pieces, a tool call, and what it cost.

use crate::{
    ask::{Call, Turn},
    ids::Ids,
};

const WORDS: [&str; 32] = [
    "water", "falls", "through", "gates", "into", "turbines", "and", "light", "goes", "out", "over", "hills",
    "where", "small", "towns", "wait", "for", "evening", "while", "rivers", "carry", "stones", "slowly",
    "toward", "a", "wide", "plain", "of", "quiet", "fields", "under", "rain",
];
/// Characters of the user's text, or of a tool's result, that an answer repeats.
const QUOTED: usize = 80;

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The whole prompt, what the cache gave or took included.
    pub(crate) input: u64,
    /// Part of the prompt read from the cache.
    pub(crate) cache_read: u64,
    /// Part of the prompt written to the cache.
    pub(crate) cache_write: u64,
    /// Text, thinking and calls.
    pub(crate) output: u64,
    /// Part of the output that was thinking.
    pub(crate) thinking: u64,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) thinking: Option<String>,
    /// The text, as it streams.
    pub(crate) pieces: Vec<String>,
    pub(crate) call: Option<Call>,
    pub(crate) usage: Usage,
}

impl Answer {
    /// Answers a turn with text in `pieces` pieces (at least 2); `prompt` is the usage of the request.
    pub(crate) fn compose(turn: Turn, pieces: usize, thinks: bool, prompt: Usage, ids: &mut Ids) -> Self {
        let (opening, call) = match turn {
            Turn::Text(text) => (format!("You said: {}.", quoted(&text)), None),
            Turn::Answered(result) => (format!("The tool said: {}.", quoted(&result)), None),
            Turn::Call(call) => ("I will use the tool.".to_owned(), Some(call)),
        };
        let pieces = match call {
            Some(_) => vec![opening],
            None => text(opening, pieces, ids),
        };
        let thinking = thinks.then(|| "The question is plain, and so is the answer.".to_owned());
        let thought = tokens(thinking.as_deref().unwrap_or_default().len());
        let said = pieces.iter().map(String::len).sum::<usize>()
            + call.as_ref().map_or(0, |call| call.name.len() + call.arguments.len());
        let usage = Usage { output: tokens(said) + thought, thinking: thought, ..prompt };
        Self { thinking, pieces, call, usage }
    }

    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }
}

impl Call {
    /// The arguments in the fragments they stream in.
    pub(crate) fn fragments(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.arguments.as_str();
        std::iter::from_fn(move || {
            let at = (1..=12).rev().find(|at| rest.is_char_boundary(*at) && *at <= rest.len())?;
            let (fragment, left) = rest.split_at(at);
            rest = left;
            Some(fragment)
        })
    }
}

/// Bytes ÷ 4, rounded up.
pub(crate) fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

fn text(opening: String, pieces: usize, ids: &mut Ids) -> Vec<String> {
    let mut text = vec![opening];
    text.extend((2..pieces).map(|_| format!(" {}", WORDS[ids.below(WORDS.len())])));
    text.push(" That is all.".to_owned());
    text
}

fn quoted(text: &str) -> String {
    text.trim().chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_it_heard_in_as_many_pieces_as_asked() {
        let prompt = Usage { input: 9, ..Usage::default() };
        let answer = Answer::compose(Turn::Text("hi\n".into()), 5, true, prompt, &mut Ids::new(1, 1));
        assert_eq!(answer.pieces.len(), 5);
        assert!(answer.text().starts_with("You said: hi. ") && answer.text().ends_with(" That is all."));
        assert_eq!(answer.usage.output, tokens(answer.text().len()) + answer.usage.thinking);
    }

    #[test]
    fn the_fragments_of_a_call_are_its_arguments() {
        for arguments in
            ["{}", r#"{"a":"ä日本語ä日本語ä日本語"}"#, r#"{"command":"echo 0123456789 0123456789"}"#]
        {
            let call = Call { name: "f".into(), arguments: arguments.into() };
            assert_eq!(call.fragments().collect::<String>(), arguments);
        }
    }
}
