-- By account and by session without the id: equal keys share one entry in an index, so it is a fraction of
-- the size and costs a fraction of the work for each row. What was asked for by (account, id), the latest of
-- an account, is found by walking the primary key backwards where an account has many rows, and by sorting
-- where it has few.
DROP INDEX requests_account;
DROP INDEX requests_session;
CREATE INDEX requests_account ON requests (account);
CREATE INDEX requests_session ON requests (session) WHERE session <> '';
