-- Events that the endpoint had not got were dropped when their time was over. It gets nothing until its owner has put
-- its cursor elsewhere: going on as if nothing were missing would hide a gap.
alter table webhooks add column missed_events boolean not null default false;
