-- Keys with names, and what integrators and operators ask of webhooks.

-- JSON array of the addresses and networks that a key is taken from; NULL is everywhere.
ALTER TABLE api_keys ADD COLUMN allowed_ips TEXT;

-- 'classic', or 'long': attempts over three days.
ALTER TABLE webhooks ADD COLUMN schedule TEXT NOT NULL DEFAULT 'classic';
-- 'none', or 'chat': the deliveries of a chat one after the other.
ALTER TABLE webhooks ADD COLUMN ordering TEXT NOT NULL DEFAULT 'none';
-- Which of the events that it subscribes to it wants: JSON, `domain::webhook` reads it. NULL wants all.
ALTER TABLE webhooks ADD COLUMN filter TEXT;
-- Attempts that failed since the last one that did not; and since when it counts as failing.
ALTER TABLE webhooks ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhooks ADD COLUMN failing_since INTEGER;

-- The chat whose order it keeps; NULL waits for nobody.
ALTER TABLE webhook_deliveries ADD COLUMN lane TEXT;
CREATE INDEX webhook_deliveries_lane ON webhook_deliveries (webhook_id, lane, seq)
    WHERE lane IS NOT NULL AND status IN ('due', 'sending');
CREATE INDEX webhook_logs_of_webhook ON webhook_logs (webhook_id, seq);
