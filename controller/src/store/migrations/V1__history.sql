-- One row per accepted request. The id is a UUIDv7: it carries the millisecond the request was received,
-- so it alone is the key, decides the partition (one per day, UTC) and gives the order in time.
CREATE TABLE requests (
    id                      uuid        NOT NULL PRIMARY KEY,
    received_at             timestamptz NOT NULL,
    first_byte_at           timestamptz,
    finished_at             timestamptz NOT NULL,
    input_tokens            bigint      NOT NULL,
    cache_read_tokens       bigint      NOT NULL,
    cache_write_5m_tokens   bigint      NOT NULL,
    cache_write_1h_tokens   bigint      NOT NULL,
    output_tokens           bigint      NOT NULL,
    reasoning_tokens        bigint      NOT NULL,
    cost_nano_usd           bigint,
    request_bytes           bigint      NOT NULL,
    response_bytes          bigint      NOT NULL,
    trace_id                uuid,
    status                  smallint    NOT NULL,
    stream                  boolean     NOT NULL,
    -- Answered with an error, or cut.
    failed                  boolean     NOT NULL,
    ending                  text        NOT NULL,
    usage_source            text        NOT NULL,
    method                  text        NOT NULL,
    path                    text        NOT NULL,
    dialect                 text        NOT NULL,
    pool                    text        NOT NULL,
    account                 text        NOT NULL,
    provider                text        NOT NULL,
    model_asked             text        NOT NULL,
    model_sent              text        NOT NULL,
    model_answered          text        NOT NULL,
    session                 text        NOT NULL,
    caller_namespace        text        NOT NULL,
    caller_pod              text        NOT NULL,
    caller_service_account  text        NOT NULL,
    caller_key              text        NOT NULL,
    error                   text        NOT NULL,
    attempts                jsonb       NOT NULL,
    warnings                jsonb       NOT NULL
) PARTITION BY RANGE (id);

CREATE INDEX requests_account ON requests (account, id);
CREATE INDEX requests_session ON requests (session, id) WHERE session <> '';
CREATE INDEX requests_failed ON requests (id) WHERE failed;

-- Sums of the rows above, kept in the transaction that inserts them. One line per bucket of time and
-- combination of the columns of the key.
CREATE TABLE rollup_minute (
    bucket                  timestamptz NOT NULL,
    account                 text        NOT NULL,
    provider                text        NOT NULL,
    model                   text        NOT NULL,
    status                  smallint    NOT NULL,
    ending                  text        NOT NULL,
    caller_namespace        text        NOT NULL,
    caller_service_account  text        NOT NULL,
    caller_key              text        NOT NULL,
    -- Follows from status and ending.
    failed                  boolean     NOT NULL,
    requests                bigint      NOT NULL,
    input_tokens            bigint      NOT NULL,
    cache_read_tokens       bigint      NOT NULL,
    cache_write_5m_tokens   bigint      NOT NULL,
    cache_write_1h_tokens   bigint      NOT NULL,
    output_tokens           bigint      NOT NULL,
    reasoning_tokens        bigint      NOT NULL,
    cost_nano_usd           bigint      NOT NULL,
    -- Requests whose model had no price.
    unpriced                bigint      NOT NULL,
    duration_ms             bigint      NOT NULL,
    first_byte_ms           bigint      NOT NULL,
    -- Requests that first_byte_ms sums over.
    first_bytes             bigint      NOT NULL,
    -- Time and tokens of the answers that generated any: their quotient is the speed.
    generation_ms           bigint      NOT NULL,
    generated_tokens        bigint      NOT NULL,
    -- Requests by duration; the bounds are a constant of the program (rollup/histogram.rs).
    durations               bigint[]    NOT NULL,
    PRIMARY KEY (bucket, account, provider, model, status, ending,
                 caller_namespace, caller_service_account, caller_key)
) WITH (fillfactor = 60);

CREATE TABLE rollup_hour (LIKE rollup_minute INCLUDING ALL) WITH (fillfactor = 60);
CREATE TABLE rollup_day (LIKE rollup_minute INCLUDING ALL) WITH (fillfactor = 60);

-- Days whose rows were removed on purpose: an event from a spool that old is not stored again.
CREATE TABLE retention (
    only_row                boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    removed_before          date        NOT NULL
);
INSERT INTO retention (removed_before) VALUES ('1970-01-01');
