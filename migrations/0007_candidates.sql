-- Versions of plugins that are tried on live traffic before they serve.

-- What is on trial: 'shadow' watches and does nothing, 'canary' has `weight` percent of the chats. NULL: nothing is.
ALTER TABLE plugins ADD COLUMN trial TEXT;
ALTER TABLE plugins ADD COLUMN weight INTEGER;
-- The component on trial. NULL beside a trial: the plugin's own, and nothing serves in its place.
ALTER TABLE plugins ADD COLUMN candidate_sha256 TEXT REFERENCES plugin_components (sha256);
-- The file it is reloaded from when that changes.
ALTER TABLE plugins ADD COLUMN candidate_file TEXT;
-- Why a canary has no chats any more.
ALTER TABLE plugins ADD COLUMN halted TEXT;

-- What a shadow made of an event, message or tick, beside what the serving version made of it.
CREATE TABLE plugin_differences (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    -- Of the shadow.
    sha256 TEXT NOT NULL,
    hook TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- The message or webhook, where a subject has several; else empty.
    part TEXT NOT NULL,
    -- agree, differ, failed.
    comparison TEXT NOT NULL,
    -- JSON: decision, what it said, wrote and fetched, time. NULL: nothing served.
    serving TEXT,
    candidate TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- A call that is run again after a crash takes the place of the one before.
    UNIQUE (tenant_id, plugin, sha256, hook, subject, part)
) STRICT;
CREATE INDEX plugin_differences_of_plugin ON plugin_differences (tenant_id, plugin, seq);
CREATE INDEX plugin_differences_counted ON plugin_differences (tenant_id, plugin, sha256, comparison);
