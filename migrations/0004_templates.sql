-- Templates, polls and their votes, and what became of a message after it was sent.

CREATE TABLE templates (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

-- Polls that a device wrote or saw. The secret opens their votes; sealed by the vault, bound to its row.
CREATE TABLE polls (
    device_id TEXT NOT NULL REFERENCES devices (id),
    wa_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    chat TEXT NOT NULL,
    -- Who wrote it, as WhatsApp names them; empty for a poll of the device itself.
    author TEXT NOT NULL,
    question TEXT NOT NULL,
    -- JSON array of texts.
    options TEXT NOT NULL,
    selectable_count INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, wa_id)
) STRICT, WITHOUT ROWID;

-- The latest vote of each person.
CREATE TABLE poll_votes (
    device_id TEXT NOT NULL,
    poll_wa_id TEXT NOT NULL,
    voter TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    -- JSON array of places in the poll's options.
    chosen TEXT NOT NULL,
    -- The order of arrival: the inbox row's.
    seq INTEGER NOT NULL,
    voted_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, poll_wa_id, voter),
    FOREIGN KEY (device_id, poll_wa_id) REFERENCES polls (device_id, wa_id)
) STRICT, WITHOUT ROWID;

-- When WhatsApp's server acknowledged the last edit, and the deletion for everyone.
ALTER TABLE messages_outbox ADD COLUMN edited_at INTEGER;
ALTER TABLE messages_outbox ADD COLUMN deleted_at INTEGER;

-- A message that is named by WhatsApp's id alone: to react to, delete, forward.
CREATE INDEX IF NOT EXISTS messages_inbox_wa_id ON messages_inbox (device_id, wa_id);
