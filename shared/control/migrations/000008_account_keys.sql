-- What an account is shown of its keys.
alter table api_keys
  -- How the key begins, so that people can tell which it is. Null: made before this was kept.
  add column prefix text,
  -- To the minute. Null: not used since this is kept.
  add column last_used_at timestamptz;
