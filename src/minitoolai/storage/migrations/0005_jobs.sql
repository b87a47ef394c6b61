-- Jobs: pictures that wait, are drawn and are kept (docs/internals/jobs.md). The row is the truth; `core/jobs.py` has the
-- states. A job's hold has no process: it ends with its job, whatever process lives or dies.
-- phase: before

ALTER TABLE holds ALTER COLUMN process_id DROP NOT NULL;
ALTER TABLE usage_records ADD COLUMN images integer NOT NULL DEFAULT 0;
-- Whether the reply was given again: the job in it is somebody's, though the first to ask for it has left.
ALTER TABLE replays ADD COLUMN repeated boolean NOT NULL DEFAULT false;

CREATE TABLE jobs (
    id           bigint PRIMARY KEY CHECK (id BETWEEN 1000000000 AND 9007199254740991),
    call_id      uuid NOT NULL UNIQUE,
    account_id   bigint NOT NULL,
    key_id       bigint NOT NULL,
    state        text NOT NULL DEFAULT 'queued'
                 CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    model        text NOT NULL,
    engine       text NOT NULL,
    price        bigint NOT NULL CHECK (price >= 0),
    -- Encrypted; null once the job has ended.
    request      bytea,
    webhook_url  bytea,
    -- Start-time fair queueing (Goyal, Vin, Cheng 1996) with jobs as units: the lowest tag of an engine is next.
    tag          bigint NOT NULL,
    attempt      integer NOT NULL DEFAULT 0,
    -- Attempts that failed; not those whose worker died or stopped.
    failures     integer NOT NULL DEFAULT 0,
    -- Who draws it, until when without a word.
    worker_id    uuid,
    lease_until  timestamptz,
    progress     real NOT NULL DEFAULT 0,
    -- A job that failed once waits a little before its next attempt.
    not_before   timestamptz,
    cost         bigint NOT NULL DEFAULT 0,
    message      text,
    result       jsonb NOT NULL DEFAULT '{}',
    file         text,
    file_bytes   bigint,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,
    ended_at     timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
CREATE INDEX jobs_next ON jobs (engine, tag, created_at, id) WHERE state = 'queued';
CREATE INDEX jobs_waiting ON jobs (account_id) WHERE state = 'queued';
CREATE INDEX jobs_tags ON jobs (account_id, engine, tag) WHERE state = 'queued' OR started_at IS NOT NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_waiting_since ON jobs (created_at) WHERE state = 'queued';
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;

-- The virtual time of each engine's queue: the tag of the job that was claimed last. Its row is the lock of its claims.
CREATE TABLE job_clocks (
    engine text PRIMARY KEY,
    tag    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- What is to be told of jobs that have ended, until it was told or given up.
CREATE TABLE webhooks (
    job_id     bigint PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    account_id bigint NOT NULL,
    -- Encrypted.
    url        bytea NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhooks_due ON webhooks (next_at);

-- The sweeper passes over the holds of jobs. In place of 0001's, so that older processes do as well while they are replaced.
CREATE OR REPLACE FUNCTION ledger_sweep_v1(p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    dead    uuid[];
    ids     uuid[];
    swept   integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7302002) THEN
        RETURN 0;
    END IF;
    -- A server that runs for months makes its partitions here, long before they are needed; where the table is in
    -- use just then, the next sweep does.
    IF to_regclass(to_char((now() AT TIME ZONE 'UTC') + interval '1 month', '"usage_records_"YYYY_MM')) IS NULL THEN
        BEGIN
            SET LOCAL lock_timeout = '500ms';
            PERFORM make_partitions_v1(3);
            RETURN 0;  -- its locks on the tables must not be held while waiting for accounts
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
        SET LOCAL lock_timeout TO DEFAULT;
    END IF;
    -- Locking the row makes a late renewal wait and then find nothing.
    SELECT array_agg(id) INTO dead FROM (
        SELECT id FROM processes WHERE lease_until < clock_timestamp() FOR UPDATE SKIP LOCKED) p;
    SELECT array_agg(id) INTO ids FROM (
        SELECT h.id FROM holds h
        WHERE h.expired_at IS NULL AND h.process_id IS NOT NULL
          -- A process that was called dead and came back makes holds before it registers anew.
          AND (h.process_id = ANY (dead)
               OR h.created_at < clock_timestamp() - interval '15 seconds'
                  AND NOT EXISTS (SELECT 1 FROM processes p WHERE p.id = h.process_id))
        ORDER BY h.id LIMIT p_most) h;
    IF ids IS NOT NULL THEN
        PERFORM 1 FROM accounts WHERE id IN (SELECT account_id FROM holds WHERE id = ANY (ids))
            ORDER BY id FOR NO KEY UPDATE;
        PERFORM 1 FROM keys WHERE id IN (SELECT key_id FROM holds WHERE id = ANY (ids))
            ORDER BY id FOR NO KEY UPDATE;
        WITH expired AS (
            UPDATE holds h SET expired_at = clock_timestamp(), charged = least(h.produced, h.amount)
            WHERE h.id = ANY (ids) AND h.expired_at IS NULL
            RETURNING h.*
        ), moved AS (
            INSERT INTO transfers (id, kind, debit, credit, amount)
            SELECT e.id, 3, e.account_id, 2, e.charged FROM expired e WHERE e.charged > 0
        ), recorded AS (
            INSERT INTO usage_records (id, account_id, key_id, model, engine, outcome, prompt_tokens,
                   completion_tokens, counted_by_gateway, input_nusd_per_1m, output_nusd_per_1m, held, cost, started_at)
            SELECT e.id, e.account_id, e.key_id, e.model, e.engine, 4, 0, 0, true, 0, 0, e.amount, e.charged,
                   e.created_at
            FROM expired e
        ), paid AS (
            UPDATE accounts a SET held = a.held - s.amount, balance = a.balance - s.charged
            FROM (SELECT e.account_id, sum(e.amount)::bigint AS amount, sum(e.charged)::bigint AS charged
                  FROM expired e GROUP BY e.account_id) s
            WHERE a.id = s.account_id
        ), key_paid AS (
            UPDATE keys k SET held = k.held - s.amount, spent = k.spent + s.charged, last_used_at = now()
            FROM (SELECT e.key_id, sum(e.amount)::bigint AS amount, sum(e.charged)::bigint AS charged
                  FROM expired e GROUP BY e.key_id) s
            WHERE k.id = s.key_id
        )
        SELECT count(*) INTO swept FROM expired;
    END IF;
    DELETE FROM processes p WHERE p.id = ANY (dead)
        AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.process_id = p.id AND h.expired_at IS NULL);
    DELETE FROM holds WHERE id IN (
        SELECT id FROM holds WHERE expired_at < clock_timestamp() - interval '2 days' LIMIT p_most);
    RETURN coalesce(swept, 0);
END $$;

-- Makes a job and its hold, or neither. `outcome`: core/ledger.py HoldOutcome, or 100: the account has too many jobs
-- waiting, 101: too many wait in all, 102: the id is taken. `p_reply`: sealed, given to whoever repeats the call.
CREATE FUNCTION job_create_v1(
    p_job bigint, p_call uuid, p_account bigint, p_key bigint, p_price bigint, p_model text, p_engine text,
    p_request bytea, p_webhook_url bytea, p_key_mark bytea, p_body_mark bytea, p_reply bytea, p_rpm integer, p_tpm bigint,
    p_account_most integer, p_most integer)
RETURNS TABLE (outcome smallint, granted bigint, available bigint, tokens bigint, request_limit bigint,
               requests_left bigint, token_limit bigint, tokens_left bigint, resets_in_ms integer, earlier uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    answer record;
    clock  bigint;
    last   bigint;
    full_why smallint;
BEGIN
    PERFORM 1 FROM accounts WHERE id = p_account FOR NO KEY UPDATE;
    SELECT * INTO answer FROM ledger_hold_v2(
        NULL, ARRAY[p_call], ARRAY[p_account], ARRAY[p_key], ARRAY[p_price], ARRAY[p_price], ARRAY[0::bigint],
        ARRAY[0::bigint], ARRAY[p_model], ARRAY[p_engine], ARRAY[p_key_mark], ARRAY[p_body_mark], p_rpm, p_tpm);
    IF answer.outcome = 0 THEN
        full_why := CASE
            WHEN (SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE j.account_id = p_account AND j.state = 'queued'
                  LIMIT p_account_most) w) >= p_account_most THEN 100
            WHEN (SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE j.state = 'queued' LIMIT p_most) w) >= p_most THEN 101
        END;
        IF full_why IS NOT NULL THEN
            RAISE EXCEPTION 'job refused' USING ERRCODE = 'MT001', DETAIL = full_why::text;
        END IF;
        INSERT INTO job_clocks (engine) VALUES (p_engine) ON CONFLICT DO NOTHING;
        SELECT c.tag INTO clock FROM job_clocks c WHERE c.engine = p_engine;
        -- What was drawn counts, however it ended, and what waits; what was cancelled before it was drawn does not.
        SELECT max(j.tag) INTO last FROM jobs j
        WHERE j.account_id = p_account AND j.engine = p_engine AND (j.state = 'queued' OR j.started_at IS NOT NULL);
        INSERT INTO jobs (id, call_id, account_id, key_id, model, engine, price, request, webhook_url, tag)
        VALUES (p_job, p_call, p_account, p_key, p_model, p_engine, p_price, p_request, p_webhook_url,
                greatest(clock, last + 1))
        ON CONFLICT (id) DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'job refused' USING ERRCODE = 'MT001', DETAIL = '102';
        END IF;
        IF p_key_mark IS NOT NULL THEN
            UPDATE replays SET reply = p_reply, repeated = false WHERE call_id = p_call;
        END IF;
        PERFORM pg_notify('minitoolai_jobs', 'queued ' || p_engine);
    END IF;
    RETURN QUERY SELECT answer.outcome, answer.granted, answer.available, answer.tokens, answer.request_limit,
        answer.requests_left, answer.token_limit, answer.tokens_left, answer.resets_in_ms, answer.earlier;
END $$;

-- Gives up to `p_most` jobs of `p_engine` to a worker, the lowest tags first. Claims of an engine wait for each other:
-- each is one short statement.
CREATE FUNCTION job_claim_v1(p_worker uuid, p_engine text, p_most integer, p_lease interval)
RETURNS SETOF jobs LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    ids    bigint[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM jobs j WHERE j.engine = p_engine AND j.state = 'queued') THEN
        RETURN;
    END IF;
    PERFORM 1 FROM job_clocks WHERE engine = p_engine FOR UPDATE;
    moment := clock_timestamp();
    SELECT array_agg(n.id) INTO ids FROM (
        SELECT j.id FROM jobs j
        WHERE j.engine = p_engine AND j.state = 'queued' AND (j.not_before IS NULL OR j.not_before <= moment)
        ORDER BY j.tag, j.created_at, j.id LIMIT p_most FOR UPDATE SKIP LOCKED) n;
    IF ids IS NULL THEN
        RETURN;
    END IF;
    UPDATE job_clocks SET tag = greatest(tag, (SELECT max(j.tag) FROM jobs j WHERE j.id = ANY (ids)))
    WHERE engine = p_engine;
    RETURN QUERY
    UPDATE jobs j SET state = 'running', attempt = j.attempt + 1, worker_id = p_worker, lease_until = moment + p_lease,
           progress = 0, not_before = NULL, started_at = coalesce(j.started_at, moment)
    WHERE j.id = ANY (ids) RETURNING j.*;
END $$;

-- Renews the leases of a worker's jobs and notes their progress. Answers those that are no longer its own.
CREATE FUNCTION job_renew_v1(p_worker uuid, p_lease interval, p_ids bigint[], p_attempts integer[], p_progress real[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH mine AS (
        SELECT t.* FROM unnest(p_ids, p_attempts, p_progress) AS t (id, attempt, progress)
    ), locked AS (
        SELECT j.id, m.progress FROM jobs j JOIN mine m ON m.id = j.id
        WHERE j.state = 'running' AND j.worker_id = p_worker AND j.attempt = m.attempt
        ORDER BY j.id FOR UPDATE OF j
    ), renewed AS (
        UPDATE jobs j SET lease_until = clock_timestamp() + p_lease, progress = l.progress
        FROM locked l WHERE j.id = l.id RETURNING j.id
    )
    SELECT m.id FROM mine m WHERE NOT EXISTS (SELECT 1 FROM renewed r WHERE r.id = m.id);
END $$;

-- Ends a job, its hold with it: 'succeeded' captures its price, 'failed' and 'cancelled' release it. `p_attempt`: the
-- attempt that ends it, while it runs; null: whatever state it is in, but a job that runs does not fail so. `p_lapsed`:
-- only where its worker's lease has. Answers whether it did; false: the job had ended, or is another attempt's.
CREATE FUNCTION job_end_v1(
    p_job bigint, p_attempt integer, p_lapsed boolean, p_state text, p_outcome smallint, p_engine text, p_message text,
    p_result jsonb, p_file text, p_file_bytes bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    j      jobs%ROWTYPE;
    due    bigint;
    ended  record;
BEGIN
    SELECT * INTO j FROM jobs WHERE id = p_job FOR UPDATE;
    IF NOT FOUND OR j.state NOT IN ('queued', 'running')
       OR (p_attempt IS NULL AND p_state <> 'cancelled' AND j.state <> 'queued')
       OR (p_attempt IS NOT NULL AND (j.state <> 'running' OR j.attempt <> p_attempt))
       OR (p_lapsed AND j.lease_until >= clock_timestamp()) THEN
        RETURN false;
    END IF;
    due := CASE WHEN p_state = 'succeeded' THEN j.price ELSE 0 END;
    SELECT * INTO ended FROM ledger_settle_v2(
        ARRAY[j.call_id], ARRAY[due], ARRAY[p_outcome], ARRAY[coalesce(p_engine, j.engine)], ARRAY[0], ARRAY[0], ARRAY[0],
        ARRAY[0], ARRAY[false], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[due], ARRAY[NULL::text],
        ARRAY[NULL::integer], ARRAY[]::bytea[]);
    IF ended.resolution <> 0 THEN
        RAISE EXCEPTION 'the hold of job % is gone', p_job USING ERRCODE = 'MT002';
    END IF;
    UPDATE jobs SET state = p_state, cost = due, message = p_message, result = coalesce(p_result, '{}'), file = p_file,
           file_bytes = p_file_bytes, request = NULL, webhook_url = NULL, worker_id = NULL, lease_until = NULL,
           not_before = NULL, progress = CASE WHEN p_state = 'succeeded' THEN 1 ELSE progress END,
           ended_at = clock_timestamp()
    WHERE id = p_job;
    IF p_state = 'succeeded' THEN
        UPDATE usage_records SET images = 1 WHERE id = j.call_id AND created_at > now() - interval '1 day';
    ELSE
        DELETE FROM replays WHERE call_id = j.call_id;  -- the same call may be made anew
    END IF;
    IF j.webhook_url IS NOT NULL THEN
        INSERT INTO webhooks (job_id, account_id, url) VALUES (p_job, j.account_id, j.webhook_url);
    END IF;
    PERFORM pg_notify('minitoolai_jobs', 'ended ' || p_job);
    RETURN true;
END $$;

-- Cancels the job of a call that nobody waits for any more, unless the call was repeated and its reply given again: of the two,
-- the first counts. Answers whether it did; null: the call has no job, or not yet.
CREATE FUNCTION job_undo_v1(p_job bigint, p_call uuid, p_outcome smallint, p_message text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    j jobs%ROWTYPE;
BEGIN
    SELECT * INTO j FROM jobs WHERE id = p_job AND call_id = p_call FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF j.state NOT IN ('queued', 'running') THEN
        RETURN false;
    END IF;
    -- The account before the reply, as everywhere. Whoever gives the reply again at this moment is waited for.
    PERFORM 1 FROM accounts WHERE id = j.account_id FOR NO KEY UPDATE;
    DELETE FROM replays WHERE call_id = p_call AND NOT repeated;
    IF EXISTS (SELECT 1 FROM replays WHERE call_id = p_call) THEN
        RETURN false;
    END IF;
    RETURN job_end_v1(p_job, NULL, false, 'cancelled', p_outcome, NULL, p_message, NULL, NULL, NULL);
END $$;

-- Puts a job back into the queue, after `p_wait`. `p_why`: 'failed': its attempt did, and not yet `p_most` have; 'lapsed':
-- its worker's lease has, and it had not yet `p_most` attempts; 'stopped': its worker gives it back, however often.
-- Answers whether it did; false: as `job_end_v1`, or it may not be tried again.
CREATE FUNCTION job_retry_v1(p_job bigint, p_attempt integer, p_why text, p_most integer, p_wait interval)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    lane text;
BEGIN
    UPDATE jobs SET state = 'queued', worker_id = NULL, lease_until = NULL, progress = 0,
           not_before = clock_timestamp() + p_wait, failures = failures + (p_why = 'failed')::integer
    WHERE id = p_job AND state = 'running' AND attempt = p_attempt
      AND CASE p_why WHEN 'failed' THEN failures + 1 < p_most
                     WHEN 'lapsed' THEN attempt < p_most AND lease_until < clock_timestamp()
                     ELSE p_why = 'stopped' END
    RETURNING engine INTO lane;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('minitoolai_jobs', 'queued ' || lane);
    RETURN true;
END $$;
