-- The W3C trace context of a request, a run and a change, for the spans that follow; null when it is not traced.
alter table exports add column traceparent text;
-- The run's own span, which its chunks and its assembly belong to.
alter table exports add column run_traceparent text;
alter table bulk_jobs add column traceparent text;
alter table outbox add column traceparent text;
alter table events add column traceparent text;
