-- A dispatcher that stops takes no more endpoints. The others take its share while its last requests end.
alter table dispatchers add column is_leaving boolean not null default false;
comment on column dispatchers.is_leaving is
  'It finishes its requests and gives its endpoints back. They stay its own until it has released each, or its row ends.';
