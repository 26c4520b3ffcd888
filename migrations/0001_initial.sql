-- The spine: tenants and their keys, devices and their sessions, messages out and in, the event log, webhooks.
-- Times are unix milliseconds unless a column says otherwise. Every row names its tenant.

-- What concerns the store itself: the wrapped root key, the id of this installation.
CREATE TABLE store_facts (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    slug TEXT UNIQUE,
    -- 'api', or the name of the TOML file that declares it.
    managed_by TEXT NOT NULL DEFAULT 'api',
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'deleted')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tenants_newest ON tenants (created_at DESC, id DESC) WHERE status <> 'deleted';

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    -- SHA-256 of the key, hex. The key itself is shown once and never stored.
    hash TEXT NOT NULL UNIQUE,
    -- JSON array of: read, send, manage.
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT;
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at);

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    slug TEXT,
    managed_by TEXT NOT NULL DEFAULT 'api',
    label TEXT NOT NULL,
    -- What the owner wants, and what was last observed: two facts.
    desired TEXT NOT NULL CHECK (desired IN ('running', 'stopped')),
    observed TEXT NOT NULL
        CHECK (observed IN ('disconnected', 'connecting', 'pairing', 'connected', 'needs_pairing', 'failed')),
    degraded INTEGER NOT NULL DEFAULT 0,
    -- The salt of this device's keys in the vault.
    salt BLOB NOT NULL,
    -- 1 once paired, until unlinked.
    linked INTEGER NOT NULL DEFAULT 0,
    phone_number TEXT,
    wa_jid TEXT,
    wa_lid TEXT,
    wa_name TEXT,
    last_error TEXT,
    reconnect_attempts INTEGER NOT NULL DEFAULT 0,
    last_connect_at INTEGER,
    last_disconnect_at INTEGER,
    last_seen INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (tenant_id, slug)
) STRICT;
CREATE INDEX devices_of_tenant ON devices (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- Encrypted session state, one row per record of the protocol. `key` and `scope` are HMACs where they stand for a JID;
-- `value` is version, nonce, AES-256-GCM ciphertext and tag, bound to its row.
CREATE TABLE device_sessions (
    device_id TEXT NOT NULL REFERENCES devices (id),
    kind INTEGER NOT NULL,
    key BLOB NOT NULL,
    -- What the record belongs to, where records are dropped together (a collection, a group).
    scope BLOB,
    -- Orders records of a kind where the protocol asks for the newest or highest.
    number INTEGER NOT NULL DEFAULT 0,
    -- Unix seconds after which the record may go; NULL keeps it.
    expires_at INTEGER,
    value BLOB NOT NULL,
    PRIMARY KEY (device_id, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_sessions_scope ON device_sessions (device_id, kind, scope) WHERE scope IS NOT NULL;
CREATE INDEX device_sessions_expiry ON device_sessions (device_id, kind, expires_at) WHERE expires_at IS NOT NULL;

-- Which running gateway drives a device. The epoch rises with every change of owner and fences the old one's writes.
CREATE TABLE device_locks (
    device_id TEXT PRIMARY KEY REFERENCES devices (id),
    instance TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE messages_outbox (
    -- The order of acceptance.
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    device_id TEXT NOT NULL REFERENCES devices (id),
    chat TEXT NOT NULL,
    -- WhatsApp's id, chosen before the first try, so that a repeat is dropped by the server or the phone.
    wa_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    next_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sent_at INTEGER,
    delivered_at INTEGER,
    read_at INTEGER,
    played_at INTEGER,
    UNIQUE (device_id, wa_id)
) STRICT;
-- The dispatcher's view of what is on its way: oldest first of a device, and what holds a chat back.
CREATE INDEX messages_outbox_lane ON messages_outbox (device_id, seq) WHERE status IN ('pending', 'queued', 'sending');
CREATE INDEX messages_outbox_chat ON messages_outbox (device_id, chat, seq)
    WHERE status IN ('pending', 'queued', 'sending');

CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    device_id TEXT NOT NULL REFERENCES devices (id),
    key TEXT NOT NULL,
    -- SHA-256 of what the request asked for.
    request_hash BLOB NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE messages_inbox (
    -- The order of arrival.
    seq INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    device_id TEXT NOT NULL REFERENCES devices (id),
    chat TEXT NOT NULL,
    sender TEXT NOT NULL,
    wa_id TEXT NOT NULL,
    -- What the stanza said about it, JSON.
    envelope TEXT NOT NULL,
    -- The decrypted protobuf without its key material.
    message BLOB NOT NULL,
    -- 0 new, 1 processed, 2 set aside because it does not read, 3 seen and no message of anybody, 4 lost and asked for again.
    processed INTEGER NOT NULL DEFAULT 0,
    received_at INTEGER NOT NULL,
    UNIQUE (device_id, chat, sender, wa_id)
) STRICT;
CREATE INDEX messages_inbox_new ON messages_inbox (seq) WHERE processed = 0;

-- The spine of everything that reads: append-only, `seq` follows commit order (one writer).
CREATE TABLE event_logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    device_id TEXT REFERENCES devices (id),
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX event_logs_of_device ON event_logs (tenant_id, device_id, seq);
CREATE INDEX event_logs_of_tenant ON event_logs (tenant_id, seq);

CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    slug TEXT,
    managed_by TEXT NOT NULL DEFAULT 'api',
    name TEXT,
    url TEXT NOT NULL,
    -- JSON array of event names.
    events TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    -- Why it is off, when the gateway switched it off.
    disabled_reason TEXT,
    -- Sealed by the vault.
    secret BLOB NOT NULL,
    previous_secret BLOB,
    previous_secret_until INTEGER,
    -- Sealed: a token sent along, and custom headers, which often carry one.
    shared_token BLOB,
    headers BLOB,
    retry_count INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    -- JSON array of device ids; NULL means every device.
    device_ids TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (tenant_id, slug)
) STRICT;
CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id, created_at) WHERE deleted_at IS NULL;

CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    event_id TEXT NOT NULL,
    event_seq INTEGER NOT NULL,
    -- What is sent, when it is not the event's own form; every attempt sends the same bytes.
    body BLOB,
    status TEXT NOT NULL CHECK (status IN ('due', 'sending', 'delivered', 'parked')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL,
    -- Set while an instance works on it; a delivery whose lease has passed is due again.
    leased_by TEXT,
    leased_until INTEGER,
    last_status INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (webhook_id, event_id)
) STRICT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at, seq) WHERE status IN ('due', 'sending');
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (tenant_id, webhook_id, seq);

-- One row per attempt.
CREATE TABLE webhook_logs (
    seq INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    webhook_id TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    duration_ms INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_logs_of_delivery ON webhook_logs (delivery_id, attempt);

-- Deliveries that ran out of attempts, kept until somebody decides.
CREATE TABLE dlq (
    delivery_id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    webhook_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    reason TEXT NOT NULL,
    parked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dlq_of_tenant ON dlq (tenant_id, parked_at);

CREATE TABLE audit_logs (
    id TEXT PRIMARY KEY,
    tenant_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    resource_type TEXT,
    resource_id TEXT,
    meta TEXT,
    ip_address TEXT,
    user_agent TEXT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_logs_of_tenant ON audit_logs (tenant_id, created_at);
