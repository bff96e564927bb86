-- An account whose source_id was not as PostgreSQL writes the value: no change was recorded under it.
alter table accounts
  -- The earlier spelling, until its subscribers are sure to be told that they have to load everything again.
  add column respelled_from text,
  -- The account that has this one's text already. Both stand for the same rows; this one is of no use.
  add column twin_of text;
create index on accounts (id) where respelled_from is not null;
