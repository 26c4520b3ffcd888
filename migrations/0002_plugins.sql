-- Plugins of a tenant: what is installed, what they keep, what they did. And what passes them: events that wait for a
-- pipeline, messages that a plugin sends, bodies that a plugin shapes.

-- Components by their content. Never changed; removed when no plugin names them any more.
CREATE TABLE plugin_components (
    -- SHA-256 of the component, hex.
    sha256 TEXT PRIMARY KEY,
    component BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE plugins (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    -- 'api', or the name of the TOML file that declares it.
    managed_by TEXT NOT NULL DEFAULT 'api',
    -- Its place in the pipeline, from 0.
    position INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    -- Whether events pass it, so that appending one knows without reading more.
    inbound INTEGER NOT NULL,
    sha256 TEXT NOT NULL REFERENCES plugin_components (sha256),
    -- What served before, for going back.
    previous_sha256 TEXT REFERENCES plugin_components (sha256),
    -- The file it is reloaded from when that changes; NULL when it came by the API.
    file TEXT,
    -- Config, grants, limits, what to do on errors: JSON, the module `plugins` reads it.
    settings TEXT NOT NULL,
    -- Secrets it may read, sealed by the vault: a JSON object.
    secrets BLOB NOT NULL,
    -- Why it is off or why its last reload was refused.
    reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_kv (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    -- 1 when the value is text, which then comes back as text.
    is_text INTEGER NOT NULL,
    value BLOB NOT NULL,
    -- Rises with every write of the key.
    version INTEGER NOT NULL,
    -- Unix milliseconds; the key is gone from then on. NULL keeps it.
    expires_at INTEGER,
    PRIMARY KEY (tenant_id, plugin, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_kv_expiry ON plugin_kv (expires_at) WHERE expires_at IS NOT NULL;

-- What a plugin's keys and values take, kept with every write so that the quota costs no scan.
CREATE TABLE plugin_kv_use (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    keys INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, plugin)
) STRICT, WITHOUT ROWID;

-- Messages that plugins sent under a key of their own: one per key for a day.
CREATE TABLE plugin_dedupe (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, plugin, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_dedupe_age ON plugin_dedupe (created_at);

-- The last tick of a plugin's schedule that was committed.
CREATE TABLE plugin_ticks (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    schedule TEXT NOT NULL,
    scheduled_for INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, plugin, schedule)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    -- The event, message or tick during which it was written.
    subject TEXT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    -- JSON object of texts.
    fields TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plugin_logs_of_plugin ON plugin_logs (tenant_id, plugin, seq);

-- One row per call of a hook: what it saw, what it decided, how long it took.
CREATE TABLE plugin_traces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    plugin TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    hook TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- pass, patch, drop, reject, default, skip, request, tick, error.
    decision TEXT NOT NULL,
    -- 1 when it only watched: nothing of it was done.
    shadow INTEGER NOT NULL DEFAULT 0,
    -- JSON: the reason, the effects, the error.
    detail TEXT NOT NULL,
    took_us INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plugin_traces_of_plugin ON plugin_traces (tenant_id, plugin, seq);
CREATE INDEX plugin_traces_of_subject ON plugin_traces (tenant_id, subject);

-- 0: a message. 1: an event that waits for the pipeline; `envelope` holds it and `message` is empty.
ALTER TABLE messages_inbox ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_inbox_new_of_tenant ON messages_inbox (tenant_id, seq) WHERE processed = 0;

-- Who sent it: 'api', or 'plugin:NAME'.
ALTER TABLE messages_outbox ADD COLUMN origin TEXT NOT NULL DEFAULT 'api';

-- The plugin that dropped the event, and why: it is kept, and delivered nowhere.
ALTER TABLE event_logs ADD COLUMN dropped_by TEXT;
ALTER TABLE event_logs ADD COLUMN dropped_why TEXT;

-- The plugin that shapes the bodies; NULL is our own form.
ALTER TABLE webhooks ADD COLUMN format TEXT;
-- What a plugin chose beside the body: JSON of method, content type and headers.
ALTER TABLE webhook_deliveries ADD COLUMN shape TEXT;
