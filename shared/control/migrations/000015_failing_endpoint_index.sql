-- no transaction
-- Endpoints that fail or were disabled, those that have failed longest first: the operator looks through all accounts.
drop index concurrently if exists webhooks_failing_idx;
create index concurrently webhooks_failing_idx on webhooks (coalesce(failing_since, updated_at), id)
  where status = 'disabled' or (status = 'active' and failing_since is not null);
