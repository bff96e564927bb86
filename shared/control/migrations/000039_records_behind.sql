-- Of a record that waits only some events are parked. The last of them says so, and the later ones, which the cursor has
-- passed, are read from the event log when it is that one's turn.
alter table webhook_parked add column has_more boolean not null default false;
