-- Second step after tables.sql. The unique indexes that begin with account_id serve two ends: an account's rows are read
-- in key order without a sort, and the foreign keys below can hold a record and what it refers to in one account.

CREATE UNIQUE INDEX IF NOT EXISTS projects_by_account ON flagbit.projects (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS flags_by_account ON flagbit.flags (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS flags_by_key ON flagbit.flags (project_id, environment, key);
CREATE UNIQUE INDEX IF NOT EXISTS targeting_rules_by_account ON flagbit.targeting_rules (account_id, flag_id, position);

DO $$ BEGIN
  ALTER TABLE flagbit.flags ADD CONSTRAINT flags_project_fkey
    FOREIGN KEY (account_id, project_id) REFERENCES flagbit.projects (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

DO $$ BEGIN
  ALTER TABLE flagbit.targeting_rules ADD CONSTRAINT targeting_rules_flag_fkey
    FOREIGN KEY (account_id, flag_id) REFERENCES flagbit.flags (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- Any writer, Tandem's bulk operations too, moves updated_at without having to know of it.
CREATE OR REPLACE FUNCTION flagbit.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON flagbit.projects
  FOR EACH ROW EXECUTE FUNCTION flagbit.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON flagbit.flags
  FOR EACH ROW EXECUTE FUNCTION flagbit.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON flagbit.targeting_rules
  FOR EACH ROW EXECUTE FUNCTION flagbit.touch_updated_at();
