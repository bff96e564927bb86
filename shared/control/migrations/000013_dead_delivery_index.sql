-- no transaction
-- Dead deliveries are counted for the operator, of all endpoints and of each, also when there are a million.
drop index concurrently if exists webhook_parked_webhook_id_parked_at_idx;
create index concurrently webhook_parked_webhook_id_parked_at_idx on webhook_parked (webhook_id, parked_at)
  where state = 'dead';
