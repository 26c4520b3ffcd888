-- What waits to be sent holds on to its file: asked by the file, among what waits alone.
ALTER TABLE messages_outbox ADD COLUMN media_id TEXT;
UPDATE messages_outbox SET media_id = coalesce(content ->> '$.media_id', content ->> '$.shown.media_id')
WHERE status IN ('pending', 'queued', 'sending') AND json_valid(content);
CREATE INDEX messages_outbox_media ON messages_outbox (media_id)
    WHERE media_id IS NOT NULL AND status IN ('pending', 'queued', 'sending');
