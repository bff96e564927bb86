-- no transaction
-- Grows with every claim. A save that got stuck while its dispatcher could not reach the control store changes nothing once the
-- endpoint was another's, even if the same dispatcher has it again.
alter table webhooks add column if not exists lease_epoch integer not null default 0;

-- Dispatchers find endpoints that nobody holds, and count the active ones, however many there are.
drop index concurrently if exists webhooks_active_lease_idx;
create index concurrently webhooks_active_lease_idx on webhooks (lease_owner) where status = 'active';
