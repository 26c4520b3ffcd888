-- Tenants as files.

-- What its file says of its rate limits: JSON, `domain::allowance` reads it. NULL is as the gateway's configuration says.
ALTER TABLE tenants ADD COLUMN limits TEXT;
