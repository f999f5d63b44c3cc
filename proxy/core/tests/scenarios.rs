//! Reads `scenarios/*.txt` and plays them. One line is one step; what a line means is in `language`.

mod language;
mod player;

use std::fmt::Write as _;

use player::Player;

/// Plays one file; the error names the line.
fn play(name: &str, text: &str) -> Result<(), String> {
    let mut player = Player::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        language::parse(line)
            .and_then(|step| player.play(step))
            .map_err(|why| format!("{name}:{}: {line}\n    {why}", number + 1))?;
    }
    player.finish().map_err(|why| format!("{name}: {why}"))
}

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        const ALL: &[(&str, &str)] =
            &[$((stringify!($name), include_str!(concat!("scenarios/", stringify!($name), ".txt")))),+];
    };
}

scenarios!(
    success,
    quota_exhausted,
    quota_of_a_model_family,
    throttled,
    throttled_for_a_moment,
    windowless,
    overloaded,
    credential_rejected,
    forbidden,
    model_unavailable,
    client_fault,
    server_fault,
    unreachable,
    client_left,
    error_event_before_commit,
    session_moves_and_stays,
    auto_fallback,
    hold,
    fallback_chain,
    model_map,
    ceilings_and_slots,
    forced_account,
    large_body,
    session_strategy,
    drain_soonest,
    least_utilized,
    exhausted,
    empty_pool,
);

#[test]
fn every_scenario_goes_as_written() {
    let mut failed = String::new();
    for (name, text) in ALL {
        if let Err(why) = play(name, text) {
            let _ = writeln!(failed, "{why}");
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
}
