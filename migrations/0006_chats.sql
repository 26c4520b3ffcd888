-- Chats of a device, their messages in both directions, and who people are.

CREATE TABLE chats (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    -- NULL: of an account that its device is not linked to any more; it goes, with its lines.
    device_id TEXT REFERENCES devices (id),
    -- Its one name: a group's id, a person's address by phone number where that is known, and by lid otherwise.
    jid TEXT NOT NULL,
    -- A person's other address, where `jid` is by phone number.
    lid TEXT,
    -- The address by which WhatsApp named it last, and by which it is spoken of to WhatsApp.
    address TEXT NOT NULL,
    -- A group's subject, or what the phone called the chat in its history.
    name TEXT,
    is_group INTEGER NOT NULL,
    unread_count INTEGER NOT NULL DEFAULT 0,
    -- Somebody marked it as unread by hand.
    marked_unread INTEGER NOT NULL DEFAULT 0,
    -- 0 before the first message.
    last_message_at INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    -- 0 is not muted, -1 is muted for good.
    muted_until INTEGER NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (device_id, jid)
) STRICT;
CREATE UNIQUE INDEX chats_lid ON chats (device_id, lid) WHERE lid IS NOT NULL;
CREATE INDEX chats_newest ON chats (device_id, last_message_at DESC, id DESC);

-- A line of a chat: what was received, sent, or told by the phone's history.
CREATE TABLE chat_messages (
    -- The order of arrival here.
    seq INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    device_id TEXT NOT NULL REFERENCES devices (id),
    chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    wa_id TEXT NOT NULL,
    from_me INTEGER NOT NULL,
    -- Who wrote it, as WhatsApp named them; empty for the account itself.
    sender TEXT NOT NULL,
    -- Our id, of what this gateway sent; the outbox has its status.
    outbox_id TEXT,
    kind TEXT NOT NULL,
    -- What is read of it, or below it where it is a file.
    text TEXT,
    is_caption INTEGER NOT NULL DEFAULT 0,
    -- When it was written, as WhatsApp says.
    at INTEGER NOT NULL,
    -- Of the account's own messages that another device sent.
    status TEXT,
    unread INTEGER NOT NULL DEFAULT 0,
    starred INTEGER NOT NULL DEFAULT 0,
    edited INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (chat_id, wa_id)
) STRICT;
CREATE INDEX chat_messages_newest ON chat_messages (chat_id, at DESC, seq DESC);
CREATE INDEX chat_messages_wa_id ON chat_messages (device_id, wa_id);
CREATE INDEX chat_messages_unread ON chat_messages (chat_id, at) WHERE unread = 1;

-- The words of messages. The device is a word of each, so that a search walks through one device's alone.
CREATE VIRTUAL TABLE chat_messages_text USING fts5 (
    device_id, text, content = 'chat_messages', content_rowid = 'seq',
    tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
);
CREATE TRIGGER chat_messages_text_new AFTER INSERT ON chat_messages WHEN new.text IS NOT NULL BEGIN
    INSERT INTO chat_messages_text (rowid, device_id, text) VALUES (new.seq, new.device_id, new.text);
END;
CREATE TRIGGER chat_messages_text_gone AFTER DELETE ON chat_messages WHEN old.text IS NOT NULL BEGIN
    INSERT INTO chat_messages_text (chat_messages_text, rowid, device_id, text)
    VALUES ('delete', old.seq, old.device_id, old.text);
END;
CREATE TRIGGER chat_messages_text_other AFTER UPDATE OF text ON chat_messages WHEN old.text IS NOT new.text BEGIN
    INSERT INTO chat_messages_text (chat_messages_text, rowid, device_id, text)
    SELECT 'delete', old.seq, old.device_id, old.text WHERE old.text IS NOT NULL;
    INSERT INTO chat_messages_text (rowid, device_id, text)
    SELECT new.seq, new.device_id, new.text WHERE new.text IS NOT NULL;
END;

CREATE TABLE contacts (
    device_id TEXT NOT NULL REFERENCES devices (id),
    -- As `chats.jid`.
    jid TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    lid TEXT,
    -- As the account's address book has it.
    name TEXT,
    first_name TEXT,
    -- As they call themselves.
    push_name TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, jid)
) STRICT, WITHOUT ROWID;

-- Which phone number stands behind a lid. Both are JIDs.
CREATE TABLE lid_phone_map (
    device_id TEXT NOT NULL REFERENCES devices (id),
    lid TEXT NOT NULL,
    phone TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, lid),
    UNIQUE (device_id, phone)
) STRICT, WITHOUT ROWID;

-- When a device's chats were last told of.
CREATE TABLE device_chat_sync (
    device_id TEXT PRIMARY KEY REFERENCES devices (id),
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    last_history_sync_at INTEGER,
    last_history_sync_chats INTEGER,
    last_chats_upsert_at INTEGER,
    last_chats_update_at INTEGER,
    last_chats_delete_at INTEGER,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
