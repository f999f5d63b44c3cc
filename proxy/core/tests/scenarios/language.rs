//! The scenarios' language.
//!
//! | line | meaning |
//! |---|---|
//! | `account a priority 1 provider zai map claude-*=glm-5 max 2 ceiling five_hour=90 …` | an account |
//! | `pool hold 20 attempts 4 strategy Session` | the pool's settings |
//! | `fallback claude-opus-*: self, b, b=claude-sonnet-5, self=claude-sonnet-5` | a chain |
//! | `ask r1 session s model m account a large` | a request arrives; later lines name it or mean the last |
//! | `try a because session model m` | the next step must be this |
//! | `wait 2` / `wait at most 0.75` | the next step must be a wait; the clock goes on to its end |
//! | `give up limited retry 3600 saying paused relaying` | the next step must be this |
//! | `answer 429 five_hour 3600` and others, see `player` | the provider's answer to the last try |
//! | `means quota_exhausted` | what the last answer was classified as |
//! | `sets aside QuotaExhausted[claude-*opus*] 3600` / `sets nothing aside` | what it taught |
//! | `later 60` | time passes |
//! | `new credential a` | the controller pushes another key |

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    Account(String, Vec<String>),
    Pool(Vec<String>),
    Fallback(String, Vec<String>),
    Ask(Vec<String>),
    Try(String, Vec<String>),
    Wait { seconds: f64, at_most: bool },
    GiveUp(String, Vec<String>),
    Answer(Vec<String>),
    Means(String),
    SetsAside(Option<(String, i64)>),
    Later(f64),
    NewCredential(String),
}

/// Reads a line.
pub(crate) fn parse(line: &str) -> Result<Line, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let number = |word: &str| word.parse::<f64>().map_err(|_| format!("{word} is no number"));
    Ok(match words.as_slice() {
        ["account", name, rest @ ..] => Line::Account((*name).to_owned(), owned(rest)),
        ["pool", rest @ ..] => Line::Pool(owned(rest)),
        ["fallback", glob, ..] => {
            let targets = line.split_once(':').map_or("", |(_, targets)| targets);
            let targets = targets.split(',').map(|target| target.trim().to_owned()).collect();
            Line::Fallback(glob.trim_end_matches(':').to_owned(), targets)
        }
        ["ask", rest @ ..] => Line::Ask(owned(rest)),
        ["try", name, rest @ ..] => Line::Try((*name).to_owned(), owned(rest)),
        ["wait", "at", "most", seconds] => Line::Wait { seconds: number(seconds)?, at_most: true },
        ["wait", seconds] => Line::Wait { seconds: number(seconds)?, at_most: false },
        ["give", "up", cause, rest @ ..] => Line::GiveUp((*cause).to_owned(), owned(rest)),
        ["answer", rest @ ..] => Line::Answer(owned(rest)),
        ["means", outcome] => Line::Means((*outcome).to_owned()),
        ["sets", "nothing", "aside"] => Line::SetsAside(None),
        ["sets", "aside", what, seconds] => {
            let seconds = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
            Line::SetsAside(Some(((*what).to_owned(), seconds)))
        }
        ["later", seconds] => Line::Later(number(seconds)?),
        ["new", "credential", name] => Line::NewCredential((*name).to_owned()),
        _ => return Err("no such line".to_owned()),
    })
}
