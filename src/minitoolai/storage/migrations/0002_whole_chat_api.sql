-- What the whole chat API needs of keys and usage records: rate limits, limits with a reset, addresses, cached tokens.
-- phase: before

ALTER TABLE keys
    -- Sees the whole account's usage and statement, not only its own.
    ADD COLUMN owner boolean NOT NULL DEFAULT false,
    -- When `spend_limit` begins anew, in UTC. `spent_before`: what was spent when the present period began.
    ADD COLUMN limit_reset text NOT NULL DEFAULT 'never' CHECK (limit_reset IN ('never', 'day', 'month')),
    ADD COLUMN spent_before bigint NOT NULL DEFAULT 0,
    ADD COLUMN period_began date,
    -- Networks it may be used from ("203.0.113.0/24"); null: anywhere.
    ADD COLUMN addresses text[],
    -- null: the server's defaults.
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN tokens_per_minute bigint CHECK (tokens_per_minute > 0),
    -- The minute that is being counted: it begins with the first call after the last one ended.
    ADD COLUMN minute_began timestamptz,
    ADD COLUMN minute_requests integer NOT NULL DEFAULT 0,
    ADD COLUMN minute_tokens bigint NOT NULL DEFAULT 0;

ALTER TABLE usage_records
    -- Of the prompt tokens, those that the provider had cached, and their price.
    ADD COLUMN cached_tokens integer NOT NULL DEFAULT 0,
    ADD COLUMN cached_nusd_per_1m bigint NOT NULL DEFAULT 0,
    -- Of the completion tokens, those of reasoning.
    ADD COLUMN reasoning_tokens integer NOT NULL DEFAULT 0,
    -- What was charged beside tokens (a web search), in nano-dollars.
    ADD COLUMN fees bigint NOT NULL DEFAULT 0,
    -- The provider's service tier, where it is not its usual one.
    ADD COLUMN tier text,
    -- Milliseconds until the first content; null: there was none, or the reply was not streamed.
    ADD COLUMN first_content_ms integer;
CREATE INDEX usage_records_account ON usage_records (account_id, created_at);
