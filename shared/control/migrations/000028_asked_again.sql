-- The transaction that asked for the delivery again last; 0 when none has. What a dispatcher knows of the delivery from before that
-- does not overrule it.
alter table webhook_parked add column asked_xid bigint not null default 0;
