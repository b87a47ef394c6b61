-- Keys whose terms change are dropped from gateways' caches as well; each key's calls can be listed.
-- phase: before

DROP TRIGGER changed ON keys;
CREATE TRIGGER changed
    AFTER UPDATE OF revoked_at, expires_at, models, owner, addresses, spend_limit, limit_reset, requests_per_minute,
                    tokens_per_minute ON keys
    FOR EACH ROW EXECUTE FUNCTION tell_gateways();

CREATE INDEX usage_records_key ON usage_records (key_id, created_at);
