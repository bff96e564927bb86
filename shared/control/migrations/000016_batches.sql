-- {id, event_count, last_event_id} of a request that held a batch; its first event is the row's `event_id`.
alter table webhook_attempts add column batch jsonb;

comment on column webhooks.batch is '{max_events, max_wait_ms}; null when each event is a request.';
