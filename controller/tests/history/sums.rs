//! The roll-ups equal a recount of the rows.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use penstock_controller::store::rollup::histogram::BOUNDS;
use penstock_controller::store::write::Priced;
use penstock_proto::event::{Ending, Event};

use crate::support::{at, database, event, priced};

/// As many writers as the store has connections for: more would wait for one, which is given up after a while.
const AT_ONCE: usize = 3;

/// Requests over three hours in every variety the sums tell apart, derived from their number.
fn variety(seq: u64) -> Priced {
    let start = at("2026-11-21T22:30:00Z");
    let received =
        Timestamp::from_millisecond(start.as_millisecond() + (seq * 7_919 % 10_800_000).cast_signed());
    let mut event = event(received.expect("a time"), seq);
    let duration = (seq * 131 % 700_000).cast_signed();
    let finished = Timestamp::from_millisecond(event.received_at.as_millisecond() + duration);
    event.finished_at = finished.expect("a time");
    event.account = if seq.is_multiple_of(7) { None } else { format!("llm/a{}", seq % 3).parse().ok() };
    event.model_answered = if seq.is_multiple_of(5) { String::new() } else { format!("m{}", seq % 4) };
    event.caller.service_account = format!("sa-{}", seq % 2);
    event.status = [200, 200, 429, 0, 529][(seq % 5) as usize];
    event.ending =
        [Ending::Complete, Ending::Truncated, Ending::Error, Ending::ClientLeft][(seq % 4) as usize];
    event.stream = seq.is_multiple_of(2);
    event.usage.reasoning_tokens = seq % 13;
    event.usage.output_tokens = seq % 3;
    clear_first_byte(&mut event, seq);
    let cost_nano_usd = (!seq.is_multiple_of(6)).then_some(seq.cast_signed() * 1_000);
    Priced { event, cost_nano_usd }
}

fn clear_first_byte(event: &mut Event, seq: u64) {
    if seq.is_multiple_of(9) {
        event.first_byte_at = None;
    }
}

/// What a roll-up should hold, counted from the rows.
fn recount(unit: &str) -> String {
    let bounds = BOUNDS.map(|bound| bound.to_string()).join(",");
    let buckets: Vec<String> = (0..=BOUNDS.len())
        .map(|n| {
            format!("count(*) FILTER (WHERE width_bucket(duration - 0.5, ARRAY[{bounds}]::numeric[]) = {n})")
        })
        .collect();
    format!(
        "SELECT date_trunc('{unit}', received_at), account, provider, \
            coalesce(nullif(model_answered, ''), nullif(model_sent, ''), model_asked) AS model, \
            status, ending, caller_namespace, caller_service_account, caller_key, failed, \
            count(*), sum(input_tokens)::bigint, sum(cache_read_tokens)::bigint, \
            sum(cache_write_5m_tokens)::bigint, sum(cache_write_1h_tokens)::bigint, \
            sum(output_tokens)::bigint, sum(reasoning_tokens)::bigint, \
            coalesce(sum(cost_nano_usd), 0)::bigint, count(*) FILTER (WHERE cost_nano_usd IS NULL), \
            sum(duration)::bigint, coalesce(sum(first_byte), 0)::bigint, count(first_byte), \
            coalesce(sum(generation) FILTER (WHERE generated > 0), 0)::bigint, \
            coalesce(sum(generated) FILTER (WHERE generation > 0), 0)::bigint, \
            ARRAY[{buckets}] \
         FROM (SELECT *, CASE WHEN stream AND first_byte IS NOT NULL \
                THEN greatest(duration - first_byte, 0) ELSE duration END AS generation \
            FROM (SELECT *, \
                (extract(epoch FROM finished_at - received_at) * 1000)::bigint AS duration, \
                (extract(epoch FROM first_byte_at - received_at) * 1000)::bigint AS first_byte, \
                output_tokens + reasoning_tokens AS generated FROM requests) timed) spent \
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
        buckets = buckets.join(",")
    )
}

#[tokio::test]
async fn the_sums_equal_a_recount_of_the_rows_after_replays_and_concurrent_writers() {
    let database = database().await;
    let all: Vec<Priced> = (0..3_000).map(variety).collect();
    let writes = all.windows(400).step_by(200).chain(all.windows(1_000).step_by(500));
    let writes = writes.map(|batch| database.store.write(batch));
    let mut results = stream::iter(writes).buffer_unordered(AT_ONCE);
    while let Some(result) = results.next().await {
        result.expect("written");
    }
    database.store.write(&all).await.expect("written");
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 3_000);
    for (table, unit) in [("rollup_minute", "minute"), ("rollup_hour", "hour"), ("rollup_day", "day")] {
        let recount = recount(unit);
        for (one, other) in [(format!("TABLE {table}"), recount.clone()), (recount, format!("TABLE {table}"))]
        {
            let difference = format!("SELECT count(*) FROM (({one}) EXCEPT ALL ({other})) difference");
            assert_eq!(database.number(&difference).await, 0, "{table}: {difference}");
        }
    }
}

#[tokio::test]
async fn an_event_without_price_is_counted_as_such_only_if_it_used_tokens() {
    let database = database().await;
    let mut free = event(at("2026-11-21T12:00:00Z"), 1);
    free.usage = penstock_proto::usage::Usage::default();
    let used = event(at("2026-11-21T12:00:00Z"), 2);
    let unpriced = [free, used].map(|event| Priced { cost_nano_usd: None, ..priced(event) });
    database.store.write(&unpriced).await.expect("written");
    assert_eq!(database.number("SELECT sum(unpriced)::bigint FROM rollup_hour").await, 1);
}
