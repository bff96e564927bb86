-- Second step after tables.sql. The unique indexes on (account_id, id) serve two ends: an account's rows are read
-- in key order without a sort, and the foreign keys below can hold a record and what it refers to in one account.

CREATE UNIQUE INDEX IF NOT EXISTS sources_by_account ON webhookvault.sources (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS endpoints_by_account ON webhookvault.endpoints (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS captured_requests_by_account ON webhookvault.captured_requests (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS endpoints_by_path_token ON webhookvault.endpoints (path_token);
CREATE INDEX IF NOT EXISTS endpoints_by_source ON webhookvault.endpoints (source_id);
CREATE INDEX IF NOT EXISTS captured_requests_by_endpoint ON webhookvault.captured_requests (endpoint_id, received_at);

DO $$ BEGIN
  ALTER TABLE webhookvault.endpoints ADD CONSTRAINT endpoints_source_fkey
    FOREIGN KEY (account_id, source_id) REFERENCES webhookvault.sources (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

DO $$ BEGIN
  ALTER TABLE webhookvault.captured_requests ADD CONSTRAINT captured_requests_endpoint_fkey
    FOREIGN KEY (account_id, endpoint_id) REFERENCES webhookvault.endpoints (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- Any writer, Tandem's bulk operations too, moves updated_at without having to know of it.
CREATE OR REPLACE FUNCTION webhookvault.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON webhookvault.sources
  FOR EACH ROW EXECUTE FUNCTION webhookvault.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON webhookvault.endpoints
  FOR EACH ROW EXECUTE FUNCTION webhookvault.touch_updated_at();
