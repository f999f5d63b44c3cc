-- The controllers that share this database: each writes its line every few seconds. Lost in a crash, and
-- written again right after it: not worth a write-ahead log.
CREATE UNLOGGED TABLE controllers (
    id                      uuid        NOT NULL PRIMARY KEY,
    name                    text        NOT NULL,
    seen_at                 timestamptz NOT NULL,
    -- The proxies that are connected to it, as the API shows them.
    proxies                 jsonb       NOT NULL,
    -- How many of them hold each account.
    in_use_by               jsonb       NOT NULL
) WITH (fillfactor = 50);
