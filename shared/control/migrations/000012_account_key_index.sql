-- no transaction
-- The keys of an account, as they are listed: it serves all that the index of accounts did.
drop index concurrently if exists api_keys_account_id_created_at_id_idx;
create index concurrently api_keys_account_id_created_at_id_idx on api_keys (account_id, created_at desc, id desc);
drop index concurrently if exists api_keys_account_id_idx;
