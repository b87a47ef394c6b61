-- Accounts, keys, holds, entries, usage records, audit; the functions that move money.
-- phase: before

CREATE TABLE facts (
    name  text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE facts IS 'Single facts about this installation: the fingerprint of its secret, its first start.';

-- Customers only; the operator's own accounts (ids below 1000) are sums over transfers.
CREATE TABLE accounts (
    id           bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
    name         text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    balance      bigint NOT NULL DEFAULT 0,
    held         bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    suspended_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT no_overspend CHECK (balance - held >= 0)
) WITH (fillfactor = 50);

CREATE TABLE keys (
    id           bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    hint         text NOT NULL,
    name         text NOT NULL DEFAULT '',
    -- null: no limit. spent + held never pass it.
    spend_limit  bigint CHECK (spend_limit >= 0),
    spent        bigint NOT NULL DEFAULT 0,
    held         bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    -- null: all models.
    models       text[],
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX keys_account ON keys (account_id);

-- Processes that run calls, each alive while its lease is renewed.
CREATE TABLE processes (
    id          uuid PRIMARY KEY,
    host        text NOT NULL,
    pid         integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Open holds, and expired ones for as long as a late capture may come. A resolved hold's record is its usage row.
CREATE TABLE holds (
    id          uuid PRIMARY KEY,
    account_id  bigint NOT NULL,
    key_id      bigint NOT NULL,
    process_id  uuid NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0),
    -- What the call had produced when its process last renewed its lease.
    produced    bigint NOT NULL DEFAULT 0,
    model       text NOT NULL,
    engine      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expired_at  timestamptz,
    charged     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
CREATE INDEX holds_process ON holds (process_id) WHERE expired_at IS NULL;
CREATE INDEX holds_expired ON holds (expired_at) WHERE expired_at IS NOT NULL;

-- One row per movement, never updated: zero-sum by construction.
CREATE TABLE transfers (
    -- Made by the caller; movements of a hold carry the hold's id.
    id         uuid NOT NULL,
    kind       smallint NOT NULL,
    debit      bigint NOT NULL,
    credit     bigint NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id, kind, created_at),
    CHECK (debit <> credit)
) PARTITION BY RANGE (created_at);
CREATE INDEX transfers_debit ON transfers (debit, created_at) WHERE debit >= 1000;
CREATE INDEX transfers_credit ON transfers (credit, created_at) WHERE credit >= 1000;

-- One row per call that held money, written when its hold ends.
CREATE TABLE usage_records (
    id                 uuid NOT NULL,
    account_id         bigint NOT NULL,
    key_id             bigint NOT NULL,
    model              text NOT NULL,
    engine             text NOT NULL,
    outcome            smallint NOT NULL,
    prompt_tokens      integer NOT NULL,
    completion_tokens  integer NOT NULL,
    counted_by_gateway boolean NOT NULL,
    input_nusd_per_1m  bigint NOT NULL,
    output_nusd_per_1m bigint NOT NULL,
    held               bigint NOT NULL,
    cost               bigint NOT NULL,
    started_at         timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

-- Credits given from outside, each once by the id that the giver made.
CREATE TABLE credits (
    id          text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 200),
    account_id  bigint NOT NULL REFERENCES accounts,
    amount      bigint NOT NULL CHECK (amount > 0),
    transfer_id uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL,
    action     text NOT NULL,
    subject    text NOT NULL,
    details    jsonb NOT NULL DEFAULT '{}'
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Makes the monthly partitions of this month and the next `p_ahead`.
CREATE FUNCTION make_partitions_v1(p_ahead integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    first  date;
BEGIN
    PERFORM pg_advisory_xact_lock(7302001);
    FOREACH parent IN ARRAY ARRAY['transfers', 'usage_records'] LOOP
        FOR i IN 0..p_ahead LOOP
            first := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => i))::date;
            IF to_regclass(format('%I', parent || to_char(first, '_YYYY_MM'))) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    parent || to_char(first, '_YYYY_MM'), parent,
                    first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
            END IF;
        END LOOP;
    END LOOP;
END $$;
SELECT make_partitions_v1(3);

-- Sets money aside for a batch of calls of one process. Locks first (accounts by id, then keys by id), then decides
-- in statements of their own, whose snapshots see what the locks waited for. Answers one row per request, by `ord`.
-- Outcomes: core/ledger.py HoldOutcome.
CREATE FUNCTION ledger_hold_v1(
    p_process uuid, p_ids uuid[], p_accounts bigint[], p_keys bigint[], p_min bigint[], p_wanted bigint[],
    p_models text[], p_engines text[])
RETURNS TABLE (ord integer, outcome smallint, granted bigint, available bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    done  integer;
    r     record;
    a     accounts%ROWTYPE;
    k     keys%ROWTYPE;
    give  bigint;
    room  bigint;
    why   smallint;
BEGIN
    PERFORM 1 FROM accounts WHERE id = ANY (p_accounts) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM keys WHERE id = ANY (p_keys) ORDER BY id FOR NO KEY UPDATE;

    -- All that fit together are granted in one go.
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT t.*,
               (sum(t.wanted) OVER (PARTITION BY t.account_id ORDER BY t.ord))::bigint AS account_run,
               (sum(t.wanted) OVER (PARTITION BY t.key_id ORDER BY t.ord))::bigint AS key_run
        FROM unnest(p_ids, p_accounts, p_keys, p_wanted, p_models, p_engines)
             WITH ORDINALITY AS t (id, account_id, key_id, wanted, model, engine, ord)
    ), fitting AS MATERIALIZED (
        SELECT q.*,
               least(a.balance - a.held - q.account_run,
                     coalesce(k.spend_limit - k.spent - k.held - q.key_run, 9223372036854775807)) AS left_over
        FROM asked q
        JOIN accounts a ON a.id = q.account_id
        JOIN keys k ON k.id = q.key_id AND k.account_id = q.account_id
        WHERE q.account_run <= a.balance - a.held
          AND (k.spend_limit IS NULL OR q.key_run <= k.spend_limit - k.spent - k.held)
          AND a.suspended_at IS NULL AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
    ), written AS (
        INSERT INTO holds (id, account_id, key_id, process_id, amount, model, engine)
        SELECT f.id, f.account_id, f.key_id, p_process, f.wanted, f.model, f.engine FROM fitting f
    ), account_holds AS (
        UPDATE accounts a SET held = a.held + s.amount
        FROM (SELECT f.account_id, sum(f.wanted)::bigint AS amount FROM fitting f GROUP BY f.account_id) s
        WHERE a.id = s.account_id
    ), key_holds AS (
        UPDATE keys k SET held = k.held + s.amount
        FROM (SELECT f.key_id, sum(f.wanted)::bigint AS amount FROM fitting f GROUP BY f.key_id) s
        WHERE k.id = s.key_id
    )
    SELECT f.ord::integer, 0::smallint, f.wanted, f.left_over FROM fitting f;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done = cardinality(p_ids) THEN
        RETURN;
    END IF;

    -- The rest one by one, so that a large refusal does not block smaller ones behind it.
    FOR r IN
        SELECT t.* FROM unnest(p_ids, p_accounts, p_keys, p_min, p_wanted, p_models, p_engines)
             WITH ORDINALITY AS t (id, account_id, key_id, least_wanted, wanted, model, engine, ord)
        WHERE NOT EXISTS (SELECT 1 FROM holds h WHERE h.id = t.id)
        ORDER BY t.ord
    LOOP
        SELECT * INTO a FROM accounts WHERE id = r.account_id;
        SELECT * INTO k FROM keys WHERE id = r.key_id AND account_id = r.account_id;
        room := a.balance - a.held;
        give := 0;
        IF k.id IS NULL OR k.revoked_at IS NOT NULL OR k.expires_at <= clock_timestamp() THEN
            why := 3;
        ELSIF a.suspended_at IS NOT NULL THEN
            why := 4;
        ELSE
            why := 1;
            IF k.spend_limit IS NOT NULL AND k.spend_limit - k.spent - k.held < room THEN
                why := 2;
                room := greatest(k.spend_limit - k.spent - k.held, 0);
            END IF;
            IF room >= r.least_wanted THEN
                why := 0;
                give := least(r.wanted, room);
                INSERT INTO holds (id, account_id, key_id, process_id, amount, model, engine)
                VALUES (r.id, r.account_id, r.key_id, p_process, give, r.model, r.engine);
                UPDATE accounts SET held = held + give WHERE id = r.account_id;
                UPDATE keys SET held = held + give WHERE id = r.key_id;
            END IF;
        END IF;
        RETURN QUERY SELECT r.ord::integer, why, give, coalesce(room - give, 0);
    END LOOP;
END $$;

-- Ends a batch of holds: captures `p_costs`, releases the rest, writes the usage records. `p_ids` are distinct;
-- repeating a call is harmless.
-- Resolutions: core/ledger.py Resolution. System accounts: 2 revenue, 3 loss. Kinds: core/ledger.py TransferKind.
CREATE FUNCTION ledger_settle_v1(
    p_ids uuid[], p_costs bigint[], p_outcomes smallint[], p_prompt integer[], p_completion integer[],
    p_counted boolean[], p_input_prices bigint[], p_output_prices bigint[])
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
        FROM unnest(p_ids, p_costs, p_outcomes, p_prompt, p_completion, p_counted, p_input_prices, p_output_prices)
             WITH ORDINALITY AS t (id, cost, outcome, prompt, completion, counted, input_price, output_price, ord)
    ), ended AS (
        DELETE FROM holds h USING asked q
        WHERE h.id = q.id AND h.expired_at IS NULL
        RETURNING h.id, h.account_id, h.key_id, h.amount, h.model, h.engine, h.created_at AS started_at,
                  least(q.cost, h.amount) AS cost, greatest(q.cost - h.amount, 0) AS excess,
                  q.outcome, q.prompt, q.completion, q.counted, q.input_price, q.output_price, q.ord
    ), moved AS (
        INSERT INTO transfers (id, kind, debit, credit, amount)
        SELECT e.id, 2, e.account_id, 2, e.cost FROM ended e WHERE e.cost > 0
        UNION ALL
        SELECT e.id, 5, 3, 2, e.excess FROM ended e WHERE e.excess > 0
    ), recorded AS (
        INSERT INTO usage_records (id, account_id, key_id, model, engine, outcome, prompt_tokens, completion_tokens,
               counted_by_gateway, input_nusd_per_1m, output_nusd_per_1m, held, cost, started_at)
        SELECT e.id, e.account_id, e.key_id, e.model, e.engine, e.outcome, e.prompt, e.completion,
               e.counted, e.input_price, e.output_price, e.amount, e.cost, e.started_at
        FROM ended e
    ), paid AS (
        UPDATE accounts a SET held = a.held - s.amount, balance = a.balance - s.cost
        FROM (SELECT e.account_id, sum(e.amount)::bigint AS amount, sum(e.cost)::bigint AS cost
              FROM ended e GROUP BY e.account_id) s
        WHERE a.id = s.account_id
        RETURNING a.id, a.balance
    ), key_paid AS (
        UPDATE keys k SET held = k.held - s.amount, spent = k.spent + s.cost, last_used_at = now()
        FROM (SELECT e.key_id, sum(e.amount)::bigint AS amount, sum(e.cost)::bigint AS cost
              FROM ended e GROUP BY e.key_id) s
        WHERE k.id = s.key_id
    )
    SELECT e.ord::integer, 0::smallint, e.cost, p.balance FROM ended e JOIN paid p ON p.id = e.account_id;
    IF cardinality(found_open) = cardinality(p_ids) THEN
        RETURN;
    END IF;

    FOR r IN
        SELECT t.* FROM unnest(p_ids, p_costs, p_outcomes, p_prompt, p_completion, p_counted, p_input_prices,
                               p_output_prices)
             WITH ORDINALITY AS t (id, cost, outcome, prompt, completion, counted, input_price, output_price, ord)
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
            pay := greatest(least(due, a.balance - a.held, k.spend_limit - k.spent - k.held), 0);
            IF pay > 0 THEN
                INSERT INTO transfers (id, kind, debit, credit, amount) VALUES (h.id, 4, h.account_id, 2, pay);
                UPDATE accounts SET balance = balance - pay WHERE id = h.account_id;
                UPDATE keys SET spent = spent + pay WHERE id = h.key_id;
            END IF;
            IF due - pay + greatest(r.cost - h.amount, 0) > 0 THEN
                INSERT INTO transfers (id, kind, debit, credit, amount)
                VALUES (h.id, 5, 3, 2, due - pay + greatest(r.cost - h.amount, 0));
            END IF;
            UPDATE usage_records u SET outcome = r.outcome, prompt_tokens = r.prompt,
                   completion_tokens = r.completion, counted_by_gateway = r.counted, cost = u.cost + pay,
                   input_nusd_per_1m = r.input_price, output_nusd_per_1m = r.output_price
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

-- Renews the lease of a process and notes what its open calls have produced. Answers whether the lease lived (false:
-- its holds were expired, and the process must register anew), and the holds of the process that it does not know
-- and that are older than 20 seconds: their making was never confirmed to it, and it releases them.
CREATE FUNCTION ledger_renew_v1(
    p_process uuid, p_lease interval, p_ids uuid[], p_produced bigint[],
    OUT alive boolean, OUT stray uuid[]) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE processes SET lease_until = clock_timestamp() + p_lease WHERE id = p_process;
    alive := FOUND;
    -- A hold that is being settled at this moment is passed over: waiting for it could end in a deadlock.
    UPDATE holds h SET produced = least(t.produced, h.amount)
    FROM (SELECT o.id, q.produced
          FROM holds o JOIN unnest(p_ids, p_produced) AS q (id, produced) ON o.id = q.id
          WHERE o.expired_at IS NULL AND o.produced < q.produced
          FOR UPDATE OF o SKIP LOCKED) t
    WHERE h.id = t.id;
    SELECT array_agg(h.id) INTO stray FROM holds h
    WHERE h.process_id = p_process AND h.expired_at IS NULL AND h.created_at < clock_timestamp() - interval '20 seconds'
      AND h.id <> ALL (p_ids);
END $$;

-- Expires the holds of processes whose lease has lapsed: captures what each had produced, releases the rest.
-- Answers how many holds it expired. At most one sweeper works at a time.
CREATE FUNCTION ledger_sweep_v1(p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
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
        WHERE h.expired_at IS NULL
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

-- A key that is revoked or changed is dropped from every gateway's cache at once.
CREATE FUNCTION tell_gateways() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('minitoolai_keys', CASE TG_TABLE_NAME WHEN 'keys' THEN 'key ' || NEW.id ELSE 'account ' || NEW.id END);
    RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER UPDATE OF revoked_at, expires_at, models ON keys
    FOR EACH ROW EXECUTE FUNCTION tell_gateways();
CREATE TRIGGER changed AFTER UPDATE OF suspended_at ON accounts
    FOR EACH ROW EXECUTE FUNCTION tell_gateways();
