-- Labels of an account's chats, and whose status posts are muted.

CREATE TABLE labels (
    device_id TEXT NOT NULL REFERENCES devices (id),
    -- WhatsApp's, chosen by whichever device made it.
    id TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    -- One of WhatsApp's colours, from 0.
    color INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, id)
) STRICT, WITHOUT ROWID;

-- Which chat has which. One may be here before its label is.
CREATE TABLE chat_labels (
    chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    label_id TEXT NOT NULL,
    device_id TEXT NOT NULL REFERENCES devices (id),
    PRIMARY KEY (chat_id, label_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chat_labels_label ON chat_labels (device_id, label_id);

-- The last id that was given to a label here: none is given twice.
ALTER TABLE device_chat_sync ADD COLUMN last_label INTEGER NOT NULL DEFAULT 0;

ALTER TABLE contacts ADD COLUMN status_muted INTEGER NOT NULL DEFAULT 0;
