-- Media of tenants. The files lie beside the database, sealed; a row is there before its file and goes after it.

CREATE TABLE media (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    -- By which it came; for what was received, the one that can fetch it.
    device_id TEXT NOT NULL REFERENCES devices (id),
    origin TEXT NOT NULL CHECK (origin IN ('uploaded', 'received')),
    -- unlisted: nobody sees it, and a start removes it with its file. remote: at WhatsApp. wanted: to be fetched from there.
    -- stored: here. failed: it could not be fetched.
    state TEXT NOT NULL CHECK (state IN ('unlisted', 'remote', 'wanted', 'stored', 'failed')),
    mime TEXT NOT NULL,
    file_name TEXT,
    -- Bytes; before it is stored, as its message says.
    size INTEGER NOT NULL,
    sha256 BLOB,
    width INTEGER,
    height INTEGER,
    seconds INTEGER,
    -- Where it lies at WhatsApp and what opens it: JSON, sealed; `domain::media` reads it.
    remote BLOB,
    -- 1 to fetch it when its event is committed, though nobody has asked.
    eager INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    failed_at INTEGER,
    created_at INTEGER NOT NULL,
    -- When it was last put into a message; the time it is kept counts from here.
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX media_of_tenant ON media (tenant_id, used_at);
CREATE INDEX media_wanted ON media (next_at) WHERE state = 'wanted';
CREATE INDEX media_unlisted ON media (id) WHERE state = 'unlisted';

-- What the stored files of a tenant take. Kept beside them, so that a cap costs no scan.
CREATE TABLE media_use (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was uploaded to WhatsApp already, so that a repeat does not upload it again.
CREATE TABLE media_uploads (
    media_id TEXT NOT NULL REFERENCES media (id) ON DELETE CASCADE,
    device_id TEXT NOT NULL REFERENCES devices (id),
    kind TEXT NOT NULL,
    uploaded_at INTEGER NOT NULL,
    -- JSON, sealed.
    uploaded BLOB NOT NULL,
    PRIMARY KEY (media_id, device_id, kind)
) STRICT, WITHOUT ROWID;

-- What its file says of its media: JSON. NULL is as the gateway's configuration says.
ALTER TABLE tenants ADD COLUMN media TEXT;
