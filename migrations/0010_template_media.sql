-- Templates that show a file of the tenant, with their text below it.

ALTER TABLE templates ADD COLUMN media_id TEXT;
-- As what it is shown.
ALTER TABLE templates ADD COLUMN media_kind TEXT;
ALTER TABLE templates ADD COLUMN file_name TEXT;
CREATE INDEX templates_media ON templates (media_id) WHERE media_id IS NOT NULL;
