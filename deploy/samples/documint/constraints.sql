-- Second step after tables.sql. The unique indexes on (account_id, id) serve two ends: an account's rows are read
-- in key order without a sort, and the foreign keys below can hold a record and what it refers to in one account.

CREATE UNIQUE INDEX IF NOT EXISTS customers_by_account ON documint.customers (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS invoices_by_account ON documint.invoices (account_id, id);
CREATE UNIQUE INDEX IF NOT EXISTS line_items_by_account ON documint.line_items (account_id, id);
CREATE INDEX IF NOT EXISTS invoices_by_customer ON documint.invoices (customer_id);
CREATE UNIQUE INDEX IF NOT EXISTS line_items_by_invoice ON documint.line_items (invoice_id, position);

DO $$ BEGIN
  ALTER TABLE documint.invoices ADD CONSTRAINT invoices_customer_fkey
    FOREIGN KEY (account_id, customer_id) REFERENCES documint.customers (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

DO $$ BEGIN
  ALTER TABLE documint.line_items ADD CONSTRAINT line_items_invoice_fkey
    FOREIGN KEY (account_id, invoice_id) REFERENCES documint.invoices (account_id, id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- Any writer, Tandem's bulk operations too, moves updated_at without having to know of it.
CREATE OR REPLACE FUNCTION documint.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON documint.customers
  FOR EACH ROW EXECUTE FUNCTION documint.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON documint.invoices
  FOR EACH ROW EXECUTE FUNCTION documint.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON documint.line_items
  FOR EACH ROW EXECUTE FUNCTION documint.touch_updated_at();
