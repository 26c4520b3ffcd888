-- A million messages, raw deliveries, and deleting for good.

-- Whether deliveries carry the message in the protocol's own form too.
ALTER TABLE webhooks ADD COLUMN raw INTEGER NOT NULL DEFAULT 0;

-- 1 once nothing is left of one that was deleted.
ALTER TABLE devices ADD COLUMN emptied INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN emptied INTEGER NOT NULL DEFAULT 0;
CREATE INDEX devices_to_empty ON devices (id) WHERE deleted_at IS NOT NULL AND emptied = 0;
CREATE INDEX tenants_to_empty ON tenants (id) WHERE status = 'deleted' AND emptied = 0;
CREATE INDEX media_uploads_of_device ON media_uploads (device_id);

-- The words anew. The chat is a word of each message too, so that a search in one chat walks through no other; beginnings of
-- three to five letters have an index of their own, since without one every message with such a word is read.
DROP TRIGGER chat_messages_text_new;
DROP TRIGGER chat_messages_text_gone;
DROP TRIGGER chat_messages_text_other;
DROP TABLE chat_messages_text;
CREATE VIRTUAL TABLE chat_messages_text USING fts5 (
    device_id, chat_id, text, content = 'chat_messages', content_rowid = 'seq', prefix = '3 4 5', columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
);
INSERT INTO chat_messages_text (rowid, device_id, chat_id, text)
SELECT seq, device_id, chat_id, text FROM chat_messages WHERE text IS NOT NULL;
CREATE TRIGGER chat_messages_text_new AFTER INSERT ON chat_messages WHEN new.text IS NOT NULL BEGIN
    INSERT INTO chat_messages_text (rowid, device_id, chat_id, text)
    VALUES (new.seq, new.device_id, new.chat_id, new.text);
END;
CREATE TRIGGER chat_messages_text_gone AFTER DELETE ON chat_messages WHEN old.text IS NOT NULL BEGIN
    INSERT INTO chat_messages_text (chat_messages_text, rowid, device_id, chat_id, text)
    VALUES ('delete', old.seq, old.device_id, old.chat_id, old.text);
END;
CREATE TRIGGER chat_messages_text_other AFTER UPDATE OF text, chat_id ON chat_messages
WHEN old.text IS NOT new.text OR old.chat_id <> new.chat_id BEGIN
    INSERT INTO chat_messages_text (chat_messages_text, rowid, device_id, chat_id, text)
    SELECT 'delete', old.seq, old.device_id, old.chat_id, old.text WHERE old.text IS NOT NULL;
    INSERT INTO chat_messages_text (rowid, device_id, chat_id, text)
    SELECT new.seq, new.device_id, new.chat_id, new.text WHERE new.text IS NOT NULL;
END;
