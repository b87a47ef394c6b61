-- Holds that know of minutes, periods and repeated calls; settlements with all that a call's cost is made of.
-- phase: before

-- What a hold counted against its key's minute, corrected when it ends.
ALTER TABLE holds
    ADD COLUMN minute_began timestamptz,
    ADD COLUMN tokens bigint NOT NULL DEFAULT 0;

-- A limit without periods counts from the beginning.
ALTER TABLE keys ADD CONSTRAINT periods_only_with_reset CHECK (limit_reset <> 'never' OR spent_before = 0);

-- Calls that their callers may repeat (Idempotency-Key), for 24 hours. Keys and bodies stand here only as keyed hashes,
-- the reply only encrypted. A row whose call has neither an open hold nor a reply is free again.
CREATE TABLE replays (
    account_id  bigint NOT NULL,
    key_mark    bytea NOT NULL,
    body_mark   bytea NOT NULL,
    call_id     uuid NOT NULL UNIQUE,
    reply       bytea,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, key_mark)
);
CREATE INDEX replays_created ON replays (created_at);

-- Sets money aside for a batch of calls of one process, as v1, and counts them against their keys' minutes: requests,
-- and tokens (`p_tokens` wanted, at least `p_least_tokens`). A key without limits of its own has `p_rpm` and `p_tpm`.
-- `p_key_marks`, `p_body_marks`: keyed hashes of the Idempotency-Key and of the body; null for calls without.
-- Outcomes: core/ledger.py HoldOutcome. `earlier`: the call whose reply is to be given again.
CREATE FUNCTION ledger_hold_v2(
    p_process uuid, p_ids uuid[], p_accounts bigint[], p_keys bigint[], p_min bigint[], p_wanted bigint[],
    p_least_tokens bigint[], p_tokens bigint[], p_models text[], p_engines text[], p_key_marks bytea[],
    p_body_marks bytea[], p_rpm integer, p_tpm bigint)
RETURNS TABLE (ord integer, outcome smallint, granted bigint, available bigint, tokens bigint, request_limit bigint,
               requests_left bigint, token_limit bigint, tokens_left bigint, resets_in_ms integer, earlier uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment  timestamptz;
    done    integer;
    r       record;
    a       accounts%ROWTYPE;
    k       keys%ROWTYPE;
    i       replays%ROWTYPE;
    give    bigint;
    give_tokens bigint;
    room    bigint;
    token_room bigint;
    why     smallint;
    before  uuid;
BEGIN
    PERFORM 1 FROM accounts WHERE id = ANY (p_accounts) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM keys WHERE id = ANY (p_keys) ORDER BY id FOR NO KEY UPDATE;
    moment := clock_timestamp();

    -- Minutes and periods that are over begin anew.
    UPDATE keys SET minute_began = moment, minute_requests = 0, minute_tokens = 0
    WHERE id = ANY (p_keys) AND (minute_began IS NULL OR minute_began <= moment - interval '60 seconds'
                                 OR minute_began > moment);  -- a clock may be set back
    UPDATE keys SET spent_before = spent, period_began = date_trunc(limit_reset, moment AT TIME ZONE 'UTC')::date
    WHERE id = ANY (p_keys) AND limit_reset <> 'never'
      AND (period_began IS NULL OR period_began < date_trunc(limit_reset, moment AT TIME ZONE 'UTC')::date);

    -- All that fit together are granted in one go.
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT t.*,
               (sum(t.wanted) OVER (PARTITION BY t.account_id ORDER BY t.ord))::bigint AS account_run,
               (sum(t.wanted) OVER (PARTITION BY t.key_id ORDER BY t.ord))::bigint AS key_run,
               (sum(t.tokens) OVER (PARTITION BY t.key_id ORDER BY t.ord))::bigint AS token_run,
               (count(*) OVER (PARTITION BY t.key_id ORDER BY t.ord))::bigint AS request_run
        FROM unnest(p_ids, p_accounts, p_keys, p_wanted, p_tokens, p_models, p_engines, p_key_marks)
             WITH ORDINALITY AS t (id, account_id, key_id, wanted, tokens, model, engine, key_mark, ord)
    ), fitting AS MATERIALIZED (
        SELECT q.*, k.minute_began,
               least(a.balance - a.held - q.account_run,
                     coalesce(k.spend_limit - k.spent + k.spent_before - k.held - q.key_run, 9223372036854775807))
                   AS left_over,
               coalesce(k.requests_per_minute, p_rpm)::bigint AS request_limit,
               coalesce(k.requests_per_minute, p_rpm) - k.minute_requests - q.request_run AS requests_left,
               coalesce(k.tokens_per_minute, p_tpm) AS token_limit,
               coalesce(k.tokens_per_minute, p_tpm) - k.minute_tokens - q.token_run AS tokens_left
        FROM asked q
        JOIN accounts a ON a.id = q.account_id
        JOIN keys k ON k.id = q.key_id AND k.account_id = q.account_id
        WHERE q.account_run <= a.balance - a.held
          AND (k.spend_limit IS NULL OR q.key_run <= k.spend_limit - k.spent + k.spent_before - k.held)
          AND k.minute_requests + q.request_run <= coalesce(k.requests_per_minute, p_rpm)
          AND k.minute_tokens + q.token_run <= coalesce(k.tokens_per_minute, p_tpm)
          AND q.key_mark IS NULL
          AND a.suspended_at IS NULL AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > moment)
    ), written AS (
        INSERT INTO holds (id, account_id, key_id, process_id, amount, model, engine, minute_began, tokens)
        SELECT f.id, f.account_id, f.key_id, p_process, f.wanted, f.model, f.engine, f.minute_began, f.tokens
        FROM fitting f
    ), account_holds AS (
        UPDATE accounts a SET held = a.held + s.amount
        FROM (SELECT f.account_id, sum(f.wanted)::bigint AS amount FROM fitting f GROUP BY f.account_id) s
        WHERE a.id = s.account_id
    ), key_holds AS (
        UPDATE keys k SET held = k.held + s.amount, minute_requests = k.minute_requests + s.requests,
               minute_tokens = k.minute_tokens + s.tokens
        FROM (SELECT f.key_id, sum(f.wanted)::bigint AS amount, count(*)::integer AS requests,
                     sum(f.tokens)::bigint AS tokens
              FROM fitting f GROUP BY f.key_id) s
        WHERE k.id = s.key_id
    )
    SELECT f.ord::integer, 0::smallint, f.wanted, f.left_over, f.tokens, f.request_limit, f.requests_left,
           f.token_limit, f.tokens_left, milliseconds_left_v1(f.minute_began, moment), NULL::uuid
    FROM fitting f;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done = cardinality(p_ids) THEN
        RETURN;
    END IF;

    -- The rest one by one, so that a large refusal does not block smaller ones behind it.
    FOR r IN
        SELECT t.* FROM unnest(p_ids, p_accounts, p_keys, p_min, p_wanted, p_least_tokens, p_tokens, p_models,
                               p_engines, p_key_marks, p_body_marks)
             WITH ORDINALITY AS t (id, account_id, key_id, least_wanted, wanted, least_tokens, tokens, model, engine,
                                   key_mark, body_mark, ord)
        WHERE NOT EXISTS (SELECT 1 FROM holds h WHERE h.id = t.id)
        ORDER BY t.ord
    LOOP
        SELECT * INTO a FROM accounts WHERE id = r.account_id;
        SELECT * INTO k FROM keys WHERE id = r.key_id AND account_id = r.account_id;
        room := a.balance - a.held;
        give := 0;
        give_tokens := 0;
        why := NULL;
        before := NULL;
        IF k.id IS NULL OR k.revoked_at IS NOT NULL OR k.expires_at <= moment THEN
            why := 3;
        ELSIF a.suspended_at IS NOT NULL THEN
            why := 4;
        ELSIF r.key_mark IS NOT NULL THEN
            SELECT * INTO i FROM replays p WHERE p.account_id = r.account_id AND p.key_mark = r.key_mark
                AND p.created_at > moment - interval '24 hours'
                AND (p.reply IS NOT NULL
                     OR EXISTS (SELECT 1 FROM holds h WHERE h.id = p.call_id AND h.expired_at IS NULL));
            IF FOUND THEN
                why := CASE WHEN i.body_mark <> r.body_mark THEN 8 WHEN i.reply IS NULL THEN 7 ELSE 9 END;
                before := i.call_id;
            END IF;
        END IF;
        k.requests_per_minute := coalesce(k.requests_per_minute, p_rpm);
        k.tokens_per_minute := coalesce(k.tokens_per_minute, p_tpm);
        token_room := greatest(k.tokens_per_minute - k.minute_tokens, 0);
        IF why IS NULL THEN
            why := 1;
            IF k.spend_limit IS NOT NULL AND k.spend_limit - k.spent + k.spent_before - k.held < room THEN
                why := 2;
                room := greatest(k.spend_limit - k.spent + k.spent_before - k.held, 0);
            END IF;
            IF k.minute_requests >= k.requests_per_minute THEN
                why := 5;
            ELSIF token_room < r.least_tokens THEN
                why := 6;
            ELSIF room >= r.least_wanted THEN
                why := 0;
                give := least(r.wanted, room);
                give_tokens := least(r.tokens, token_room);
                INSERT INTO holds (id, account_id, key_id, process_id, amount, model, engine, minute_began, tokens)
                VALUES (r.id, r.account_id, r.key_id, p_process, give, r.model, r.engine, k.minute_began, give_tokens);
                UPDATE accounts SET held = held + give WHERE id = r.account_id;
                UPDATE keys SET held = held + give, minute_requests = minute_requests + 1,
                       minute_tokens = minute_tokens + give_tokens WHERE id = r.key_id;
                k.minute_requests := k.minute_requests + 1;
                token_room := token_room - give_tokens;
                IF r.key_mark IS NOT NULL THEN
                    INSERT INTO replays (account_id, key_mark, body_mark, call_id)
                    VALUES (r.account_id, r.key_mark, r.body_mark, r.id)
                    ON CONFLICT (account_id, key_mark) DO UPDATE SET body_mark = excluded.body_mark,
                        call_id = excluded.call_id, reply = NULL, created_at = excluded.created_at;
                END IF;
            END IF;
        END IF;
        RETURN QUERY SELECT r.ord::integer, why, give, coalesce(room - give, 0), give_tokens,
            k.requests_per_minute::bigint, greatest(k.requests_per_minute - k.minute_requests, 0)::bigint,
            k.tokens_per_minute, token_room, milliseconds_left_v1(k.minute_began, moment), before;
    END LOOP;
END $$;

-- Milliseconds until a minute that began at `p_began` ends; 60 s where none has begun.
CREATE FUNCTION milliseconds_left_v1(p_began timestamptz, p_now timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(0, 60000 - coalesce(extract(epoch FROM p_now - p_began) * 1000, 0))::integer
$$;

-- Ends a batch of holds: captures `p_costs`, releases the rest, writes the usage records, corrects the keys' minutes,
-- keeps the replies of calls that may be repeated. `p_ids` are distinct; repeating a call is harmless.
-- Resolutions: core/ledger.py Resolution. System accounts: 2 revenue, 3 loss. Kinds: core/ledger.py TransferKind.
CREATE FUNCTION ledger_settle_v2(
    p_ids uuid[], p_costs bigint[], p_outcomes smallint[], p_engines text[], p_prompt integer[], p_cached integer[],
    p_completion integer[], p_reasoning integer[], p_counted boolean[], p_input_prices bigint[],
    p_cached_prices bigint[], p_output_prices bigint[], p_fees bigint[], p_tiers text[], p_first_ms integer[],
    p_replies bytea[])
RETURNS TABLE (ord integer, resolution smallint, charged bigint, balance bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found_open uuid[];
    r          record;
    h          holds%ROWTYPE;
    a          accounts%ROWTYPE;
    k          keys%ROWTYPE;
    due        bigint;
    pay        bigint;
BEGIN
    PERFORM 1 FROM accounts WHERE id IN (SELECT account_id FROM holds WHERE id = ANY (p_ids))
        ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM keys WHERE id IN (SELECT key_id FROM holds WHERE id = ANY (p_ids))
        ORDER BY id FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}') INTO found_open FROM holds WHERE id = ANY (p_ids) AND expired_at IS NULL;

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT t.*
        FROM unnest(p_ids, p_costs, p_outcomes, p_engines, p_prompt, p_cached, p_completion, p_reasoning, p_counted,
                    p_input_prices, p_cached_prices, p_output_prices, p_fees, p_tiers, p_first_ms)
             WITH ORDINALITY AS t (id, cost, outcome, engine, prompt, cached, completion, reasoning, counted,
                                   input_price, cached_price, output_price, fees, tier, first_ms, ord)
    ), ended AS (
        DELETE FROM holds h USING asked q
        WHERE h.id = q.id AND h.expired_at IS NULL
        RETURNING h.id, h.account_id, h.key_id, h.amount, h.model, h.created_at AS started_at, h.minute_began, h.tokens,
                  coalesce(q.engine, h.engine) AS engine,
                  least(q.cost, h.amount) AS cost, greatest(q.cost - h.amount, 0) AS excess,
                  q.outcome, q.prompt, q.cached, q.completion, q.reasoning, q.counted, q.input_price, q.cached_price,
                  q.output_price, q.fees, q.tier, q.first_ms, q.ord
    ), moved AS (
        INSERT INTO transfers (id, kind, debit, credit, amount)
        SELECT e.id, 2, e.account_id, 2, e.cost FROM ended e WHERE e.cost > 0
        UNION ALL
        SELECT e.id, 5, 3, 2, e.excess FROM ended e WHERE e.excess > 0
    ), recorded AS (
        INSERT INTO usage_records (id, account_id, key_id, model, engine, outcome, prompt_tokens, cached_tokens,
               completion_tokens, reasoning_tokens, counted_by_gateway, input_nusd_per_1m, cached_nusd_per_1m,
               output_nusd_per_1m, fees, tier, first_content_ms, held, cost, started_at)
        SELECT e.id, e.account_id, e.key_id, e.model, e.engine, e.outcome, e.prompt, e.cached, e.completion,
               e.reasoning, e.counted, e.input_price, e.cached_price, e.output_price, e.fees, e.tier, e.first_ms,
               e.amount, e.cost, e.started_at
        FROM ended e
    ), paid AS (
        UPDATE accounts a SET held = a.held - s.amount, balance = a.balance - s.cost
        FROM (SELECT e.account_id, sum(e.amount)::bigint AS amount, sum(e.cost)::bigint AS cost
              FROM ended e GROUP BY e.account_id) s
        WHERE a.id = s.account_id
        RETURNING a.id, a.balance
    ), key_paid AS (
        UPDATE keys k SET held = k.held - s.amount, spent = k.spent + s.cost, last_used_at = now(),
               minute_tokens = greatest(k.minute_tokens + s.correction, 0)
        FROM (SELECT e.key_id, sum(e.amount)::bigint AS amount, sum(e.cost)::bigint AS cost,
                     coalesce(sum(e.prompt + e.completion - e.tokens) FILTER (WHERE e.minute_began = m.minute_began),
                              0)::bigint AS correction
              FROM ended e JOIN keys m ON m.id = e.key_id GROUP BY e.key_id) s
        WHERE k.id = s.key_id
    )
    SELECT e.ord::integer, 0::smallint, e.cost, p.balance FROM ended e JOIN paid p ON p.id = e.account_id;
    IF cardinality(p_replies) > 0 THEN
        UPDATE replays p SET reply = t.reply
        FROM unnest(p_ids, p_replies) AS t (id, reply) WHERE p.call_id = t.id AND t.reply IS NOT NULL;
    END IF;
    IF cardinality(found_open) = cardinality(p_ids) THEN
        RETURN;
    END IF;

    FOR r IN
        SELECT t.* FROM unnest(p_ids, p_costs, p_outcomes, p_engines, p_prompt, p_cached, p_completion, p_reasoning,
                               p_counted, p_input_prices, p_cached_prices, p_output_prices, p_fees, p_tiers,
                               p_first_ms)
             WITH ORDINALITY AS t (id, cost, outcome, engine, prompt, cached, completion, reasoning, counted,
                                   input_price, cached_price, output_price, fees, tier, first_ms, ord)
        WHERE t.id <> ALL (found_open)
        ORDER BY t.ord
    LOOP
        SELECT * INTO h FROM holds WHERE id = r.id;
        IF FOUND THEN
            -- Expired: the sweeper charged h.charged. What is still owed is taken as far as the balance and the key's
            -- limit reach.
            SELECT * INTO a FROM accounts WHERE id = h.account_id;
            SELECT * INTO k FROM keys WHERE id = h.key_id;
            due := greatest(least(r.cost, h.amount) - h.charged, 0);
            pay := greatest(least(due, a.balance - a.held, k.spend_limit - k.spent + k.spent_before - k.held), 0);
            IF pay > 0 THEN
                INSERT INTO transfers (id, kind, debit, credit, amount) VALUES (h.id, 4, h.account_id, 2, pay);
                UPDATE accounts SET balance = balance - pay WHERE id = h.account_id;
                UPDATE keys SET spent = spent + pay WHERE id = h.key_id;
            END IF;
            IF due - pay + greatest(r.cost - h.amount, 0) > 0 THEN
                INSERT INTO transfers (id, kind, debit, credit, amount)
                VALUES (h.id, 5, 3, 2, due - pay + greatest(r.cost - h.amount, 0));
            END IF;
            UPDATE usage_records u SET outcome = r.outcome, engine = coalesce(r.engine, u.engine),
                   prompt_tokens = r.prompt, cached_tokens = r.cached, completion_tokens = r.completion,
                   reasoning_tokens = r.reasoning, counted_by_gateway = r.counted, cost = u.cost + pay,
                   input_nusd_per_1m = r.input_price, cached_nusd_per_1m = r.cached_price,
                   output_nusd_per_1m = r.output_price, fees = r.fees, tier = r.tier, first_content_ms = r.first_ms
            WHERE u.id = h.id AND u.created_at >= h.created_at - interval '1 day';  -- a clock may be set back
            DELETE FROM holds WHERE id = h.id;
            RETURN QUERY SELECT r.ord::integer, 1::smallint, h.charged + pay, a.balance - pay;
        ELSE
            -- Ended before, or never made.
            RETURN QUERY
            SELECT r.ord::integer, coalesce(min(u.res), 3)::smallint, coalesce(min(u.cost), 0), coalesce(min(u.balance), 0)
            FROM (SELECT 2 AS res, v.cost, a.balance FROM usage_records v JOIN accounts a ON a.id = v.account_id
                  WHERE v.id = r.id AND v.created_at > now() - interval '3 days') u;
        END IF;
    END LOOP;
END $$;

-- Erases what callers may no longer repeat. Answers how many rows went.
CREATE FUNCTION forget_replays_v1(p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM replays WHERE call_id IN (
        SELECT call_id FROM replays WHERE created_at < clock_timestamp() - interval '24 hours' LIMIT p_most
        FOR UPDATE SKIP LOCKED);  -- several processes erase at once
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
