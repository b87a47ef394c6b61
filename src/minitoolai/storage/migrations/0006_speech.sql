-- Speech: its characters and the minutes of sound in usage records, and jobs of another kind than pictures.
-- phase: before

ALTER TABLE usage_records
    -- Of the text that was spoken, and their price.
    ADD COLUMN characters            integer NOT NULL DEFAULT 0,
    ADD COLUMN character_nusd_per_1m bigint NOT NULL DEFAULT 0,
    -- Milliseconds of the sound that was written down, and the price of a minute.
    ADD COLUMN audio_ms              integer NOT NULL DEFAULT 0,
    ADD COLUMN audio_minute_nusd     bigint NOT NULL DEFAULT 0;

ALTER TABLE jobs
    ADD COLUMN kind            text NOT NULL DEFAULT 'picture' CHECK (kind IN ('picture', 'speech')),
    -- Of the text that is to be spoken, and their price: what the usage record says once it is done.
    ADD COLUMN characters      integer NOT NULL DEFAULT 0,
    ADD COLUMN character_price bigint NOT NULL DEFAULT 0;

-- Each kind of an engine's jobs is a queue of its own, with its own virtual time: they are taken side by side.
DROP INDEX jobs_next;
CREATE INDEX jobs_next ON jobs (engine, kind, tag, created_at, id) WHERE state = 'queued';
DROP INDEX jobs_tags;
CREATE INDEX jobs_tags ON jobs (account_id, engine, kind, tag) WHERE state = 'queued' OR started_at IS NOT NULL;
ALTER TABLE job_clocks
    ADD COLUMN kind text NOT NULL DEFAULT 'picture',
    DROP CONSTRAINT job_clocks_pkey,
    ADD PRIMARY KEY (engine, kind);

-- As `ledger_settle_v2`, and notes what was spoken or heard. The last four are empty where no call of the batch did either.
CREATE FUNCTION ledger_settle_v3(
    p_ids uuid[], p_costs bigint[], p_outcomes smallint[], p_engines text[], p_prompt integer[], p_cached integer[],
    p_completion integer[], p_reasoning integer[], p_counted boolean[], p_input_prices bigint[],
    p_cached_prices bigint[], p_output_prices bigint[], p_fees bigint[], p_tiers text[], p_first_ms integer[],
    p_replies bytea[], p_characters integer[], p_character_prices bigint[], p_audio_ms integer[], p_minute_prices bigint[])
RETURNS TABLE (ord integer, resolution smallint, charged bigint, balance bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT * FROM ledger_settle_v2(
        p_ids, p_costs, p_outcomes, p_engines, p_prompt, p_cached, p_completion, p_reasoning, p_counted, p_input_prices,
        p_cached_prices, p_output_prices, p_fees, p_tiers, p_first_ms, p_replies);
    IF cardinality(p_characters) > 0 THEN
        -- A call that was settled late has its record since it expired.
        UPDATE usage_records u
        SET characters = t.characters, character_nusd_per_1m = t.character_price, audio_ms = t.audio_ms,
            audio_minute_nusd = t.minute_price
        FROM unnest(p_ids, p_characters, p_character_prices, p_audio_ms, p_minute_prices)
             AS t (id, characters, character_price, audio_ms, minute_price)
        WHERE u.id = t.id AND u.created_at > now() - interval '3 days'
          AND greatest(t.characters, t.character_price, t.audio_ms, t.minute_price) > 0;
    END IF;
END $$;

-- Makes a job and its hold, or neither. `outcome`: core/ledger.py HoldOutcome, or 100: the account has too many jobs
-- waiting, 101: too many wait in all, 102: the id is taken. `p_reply`: sealed, given to whoever repeats the call.
CREATE FUNCTION job_create_v2(
    p_job bigint, p_call uuid, p_account bigint, p_key bigint, p_price bigint, p_model text, p_engine text,
    p_request bytea, p_webhook_url bytea, p_key_mark bytea, p_body_mark bytea, p_reply bytea, p_rpm integer, p_tpm bigint,
    p_account_most integer, p_most integer, p_kind text, p_characters integer, p_character_price bigint)
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
        INSERT INTO job_clocks (engine, kind) VALUES (p_engine, p_kind) ON CONFLICT DO NOTHING;
        SELECT c.tag INTO clock FROM job_clocks c WHERE c.engine = p_engine AND c.kind = p_kind;
        -- What was worked on counts, however it ended, and what waits; what was cancelled before does not.
        SELECT max(j.tag) INTO last FROM jobs j
        WHERE j.account_id = p_account AND j.engine = p_engine AND j.kind = p_kind
          AND (j.state = 'queued' OR j.started_at IS NOT NULL);
        INSERT INTO jobs (id, call_id, account_id, key_id, kind, model, engine, price, characters, character_price, request,
                          webhook_url, tag)
        VALUES (p_job, p_call, p_account, p_key, p_kind, p_model, p_engine, p_price, p_characters, p_character_price,
                p_request, p_webhook_url, greatest(clock, last + 1))
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

-- Gateways of the last release make pictures only.
CREATE OR REPLACE FUNCTION job_create_v1(
    p_job bigint, p_call uuid, p_account bigint, p_key bigint, p_price bigint, p_model text, p_engine text,
    p_request bytea, p_webhook_url bytea, p_key_mark bytea, p_body_mark bytea, p_reply bytea, p_rpm integer, p_tpm bigint,
    p_account_most integer, p_most integer)
RETURNS TABLE (outcome smallint, granted bigint, available bigint, tokens bigint, request_limit bigint,
               requests_left bigint, token_limit bigint, tokens_left bigint, resets_in_ms integer, earlier uuid)
LANGUAGE sql AS $$
    SELECT * FROM job_create_v2(
        p_job, p_call, p_account, p_key, p_price, p_model, p_engine, p_request, p_webhook_url, p_key_mark, p_body_mark,
        p_reply, p_rpm, p_tpm, p_account_most, p_most, 'picture', 0, 0);
$$;

-- Gives up to `p_most` jobs of a kind of `p_engine` to a worker, the lowest tags first. Claims of one queue wait for each
-- other: each is one short statement.
CREATE FUNCTION job_claim_v2(p_worker uuid, p_engine text, p_kind text, p_most integer, p_lease interval)
RETURNS SETOF jobs LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    ids    bigint[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM jobs j WHERE j.engine = p_engine AND j.kind = p_kind AND j.state = 'queued') THEN
        RETURN;
    END IF;
    PERFORM 1 FROM job_clocks c WHERE c.engine = p_engine AND c.kind = p_kind FOR UPDATE;
    moment := clock_timestamp();
    SELECT array_agg(n.id) INTO ids FROM (
        SELECT j.id FROM jobs j
        WHERE j.engine = p_engine AND j.kind = p_kind AND j.state = 'queued'
          AND (j.not_before IS NULL OR j.not_before <= moment)
        ORDER BY j.tag, j.created_at, j.id LIMIT p_most FOR UPDATE SKIP LOCKED) n;
    IF ids IS NULL THEN
        RETURN;
    END IF;
    UPDATE job_clocks c SET tag = greatest(c.tag, (SELECT max(j.tag) FROM jobs j WHERE j.id = ANY (ids)))
    WHERE c.engine = p_engine AND c.kind = p_kind;
    RETURN QUERY
    UPDATE jobs j SET state = 'running', attempt = j.attempt + 1, worker_id = p_worker, lease_until = moment + p_lease,
           progress = 0, not_before = NULL, started_at = coalesce(j.started_at, moment)
    WHERE j.id = ANY (ids) RETURNING j.*;
END $$;

-- Workers of the last release know pictures only.
CREATE OR REPLACE FUNCTION job_claim_v1(p_worker uuid, p_engine text, p_most integer, p_lease interval)
RETURNS SETOF jobs LANGUAGE sql AS $$
    SELECT * FROM job_claim_v2(p_worker, p_engine, 'picture', p_most, p_lease);
$$;

-- Ends a job, its hold with it: 'succeeded' captures its price, 'failed' and 'cancelled' release it. `p_attempt`: the
-- attempt that ends it, while it runs; null: whatever state it is in, but a job that runs does not fail so. `p_lapsed`:
-- only where its worker's lease has. Answers whether it did; false: the job had ended, or is another attempt's.
CREATE OR REPLACE FUNCTION job_end_v1(
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
        ARRAY[0], ARRAY[false], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint],
        ARRAY[CASE WHEN j.kind = 'picture' THEN due ELSE 0 END], ARRAY[NULL::text], ARRAY[NULL::integer], ARRAY[]::bytea[]);
    IF ended.resolution <> 0 THEN
        RAISE EXCEPTION 'the hold of job % is gone', p_job USING ERRCODE = 'MT002';
    END IF;
    UPDATE jobs SET state = p_state, cost = due, message = p_message, result = coalesce(p_result, '{}'), file = p_file,
           file_bytes = p_file_bytes, request = NULL, webhook_url = NULL, worker_id = NULL, lease_until = NULL,
           not_before = NULL, progress = CASE WHEN p_state = 'succeeded' THEN 1 ELSE progress END,
           ended_at = clock_timestamp()
    WHERE id = p_job;
    IF p_state = 'succeeded' THEN
        UPDATE usage_records
        SET images = (j.kind = 'picture')::integer, characters = j.characters, character_nusd_per_1m = j.character_price
        WHERE id = j.call_id AND created_at > now() - interval '1 day';
    ELSE
        DELETE FROM replays WHERE call_id = j.call_id;  -- the same call may be made anew
    END IF;
    IF j.webhook_url IS NOT NULL THEN
        INSERT INTO webhooks (job_id, account_id, url) VALUES (p_job, j.account_id, j.webhook_url);
    END IF;
    PERFORM pg_notify('minitoolai_jobs', 'ended ' || p_job);
    RETURN true;
END $$;
