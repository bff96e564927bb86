-- In which order an endpoint gets its events: `record`, the events of each record in order; `strict`, the whole feed.
alter table webhooks add column delivery_order text not null default 'record' check (delivery_order in ('record', 'strict'));

create trigger webhook_order_changed before update of delivery_order on webhooks
  for each row when (old.delivery_order is distinct from new.delivery_order)
  execute function note_webhook_change();
