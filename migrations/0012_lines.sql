-- Lines of a chat stand in the order of whole seconds, which is all that WhatsApp tells, and within one in the order of their
-- arrival. And each knows its file.

UPDATE chat_messages SET at = at - at % 1000 WHERE at % 1000 <> 0;

-- Messages that are asked for again are looked for at every connection.
CREATE INDEX messages_inbox_missing ON messages_inbox (device_id) WHERE processed = 4;

-- Of what came with a file, or went out with one. The file may be gone.
ALTER TABLE chat_messages ADD COLUMN media_id TEXT;
UPDATE chat_messages SET media_id = (
    SELECT o.content ->> '$.media_id' FROM messages_outbox AS o WHERE o.id = chat_messages.outbox_id AND json_valid(o.content)
) WHERE outbox_id IS NOT NULL;
UPDATE chat_messages SET media_id = (
    SELECT i.envelope ->> '$.mediaId' FROM messages_inbox AS i
    WHERE i.device_id = chat_messages.device_id AND i.wa_id = chat_messages.wa_id AND json_valid(i.envelope)
    -- An id is its sender's choice and may be there twice; the account's own is chosen once.
    AND iif(chat_messages.from_me, i.envelope ->> '$.fromMe' = 1, i.sender = chat_messages.sender)
    AND i.envelope ->> '$.mediaId' IS NOT NULL LIMIT 1
) WHERE outbox_id IS NULL AND kind IN ('image', 'video', 'audio', 'document', 'sticker');
