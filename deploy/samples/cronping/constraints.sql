-- Second step after tables.sql. The unique indexes on (account_id, id) serve two ends: an account's rows are read
-- in key order without a sort, and the foreign keys below can hold a record and what it refers to in one account.

CREATE UNIQUE INDEX IF NOT EXISTS status_pages_by_account ON cronping.status_pages (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS monitors_by_account ON cronping.monitors (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS incidents_by_account ON cronping.incidents (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS monitors_by_ping_token ON cronping.monitors (ping_token);
CREATE INDEX IF NOT EXISTS monitors_by_status_page ON cronping.monitors (status_page_id);
CREATE INDEX IF NOT EXISTS incidents_by_monitor ON cronping.incidents (monitor_id);

DO $$ BEGIN
  ALTER TABLE cronping.monitors ADD CONSTRAINT monitors_status_page_fkey
    FOREIGN KEY (account_id, status_page_id) REFERENCES cronping.status_pages (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

DO $$ BEGIN
  ALTER TABLE cronping.incidents ADD CONSTRAINT incidents_monitor_fkey
    FOREIGN KEY (account_id, monitor_id) REFERENCES cronping.monitors (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- Any writer, Tandem's bulk operations too, moves updated_at without having to know of it.
CREATE OR REPLACE FUNCTION cronping.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON cronping.status_pages
  FOR EACH ROW EXECUTE FUNCTION cronping.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON cronping.monitors
  FOR EACH ROW EXECUTE FUNCTION cronping.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON cronping.incidents
  FOR EACH ROW EXECUTE FUNCTION cronping.touch_updated_at();
