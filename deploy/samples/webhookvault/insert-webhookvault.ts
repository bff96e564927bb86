import { accountOf, createPick, dealOut, oneOf, ownerOf } from '../row-sql.ts';
import type { SamplePlan } from '../sample-plan.ts';

const SALTS = [
  'accountShare',
  'owner',
  'name',
  'provider',
  'verification',
  'isEnabled',
  'forward',
  'retention',
  'bodyLimit',
  'networks',
  'response',
  'microsecond',
  'updateDelay',
  'isDeleted',
  'method',
  'path',
  'body',
  'address',
] as const;

const SOURCES = 1;
const ENDPOINTS = 2;
const CAPTURED_REQUESTS = 3;

const YEAR_MICROSECONDS = 31_536_000_000_000;
const MONTH_MICROSECONDS = 2_592_000_000_000;
/** 2023 to 2025. */
const SPAN_MICROSECONDS = 1_096 * 86_400 * 1_000_000;

const PROVIDERS = ['payments', 'code-hosting', 'shop', 'chat', 'crm', 'e-mail'];
const PURPOSES = ['orders', 'refunds', 'Bestellungen', 'déploiements', '通知', 'alerts "prod"', 'støtte'];
const METHODS = ['POST', 'POST', 'POST', 'PUT', 'DELETE'];
const PATHS = ['/', '/hooks/orders', '/v1/événements?kind=refund', '/callback/%F0%9F%92%B3'];

/** The statements that fill the three tables, each one INSERT … SELECT over the rows' numbers. */
export function insertWebhookvault(plan: SamplePlan): string[] {
  return [
    insertSources(plan),
    insertEndpoints(plan),
    ...(plan.children === 0 ? [] : [insertCapturedRequests(plan)]),
  ];
}

/** An endpoint is deleted with its source: what is left refers to nothing that is not there. */
function isSourceDeleted({ seed }: SamplePlan, source: string): string {
  return `${createPick(SALTS, seed, SOURCES)('isDeleted', 100, source)} = 0`;
}

function endpointId({ seed }: SamplePlan, number: string): string {
  return `'ep_' || md5(${seed} || '.endpoint.' || ${number})`;
}

function insertSources(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, SOURCES);
  return `
INSERT INTO webhookvault.sources (id, account_id, name, provider, verification, signing_secret, created_at, updated_at,
  deleted_at)
SELECT i, ${accountOf(plan, 'i')}, provider || ' ' || i, provider,
  CASE ${pick('verification', 4)} WHEN 0 THEN NULL WHEN 1 THEN jsonb 'null'
    ELSE jsonb_build_object('scheme', 'hmac-sha256', 'header', 'X-Signature', 'tolerance_seconds', 300.0) END,
  CASE WHEN ${pick('verification', 4)} > 1 THEN 'whsec_' || md5('source' || i) END,
  created_at, updated_at, CASE WHEN ${isSourceDeleted(plan, 'i')} THEN updated_at END
FROM generate_series(1::bigint, ${plan.owners}) AS i
CROSS JOIN LATERAL (
  SELECT ${oneOf(PROVIDERS, pick('provider', PROVIDERS.length))} AS provider,
    timestamptz '2022-01-01 00:00:00Z' + interval '1 microsecond' * ${pick('microsecond', YEAR_MICROSECONDS)} AS created_at
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', YEAR_MICROSECONDS)} AS updated_at
) b`;
}

function insertEndpoints(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, ENDPOINTS);
  const step = Math.floor(SPAN_MICROSECONDS / Math.max(1, plan.rows));
  return `
INSERT INTO webhookvault.endpoints (id, account_id, source_id, name, path_token, is_enabled, forward_url, retention_days,
  max_body_bytes, allowed_networks, response, created_at, updated_at, deleted_at)
SELECT ${endpointId(plan, 'i')}, ${accountOf(plan, 'source')}, source,
  ${oneOf(PURPOSES, pick('name', PURPOSES.length))} || ' ' || i,
  md5(${plan.seed} || '.path.' || i),
  ${pick('isEnabled', 10)} > 0,
  CASE WHEN ${pick('forward', 4)} > 0 THEN 'https://app-' || source || '.customer.example/hooks/' || i END,
  (ARRAY[7, 30, 30, 90, 365])[1 + ${pick('retention', 5)}],
  (ARRAY[65536, 1048576, 5368709120])[1 + ${pick('bodyLimit', 3)}],
  (ARRAY['203.0.113.0/24', '198.51.100.7/32', '2001:db8::/32'])[1:${pick('networks', 4)}]::cidr[],
  jsonb_build_object('status', (ARRAY[200, 202, 204])[1 + ${pick('response', 3)}], 'body',
    CASE WHEN ${pick('response', 2)} = 0 THEN '{"ok": true}' END),
  created_at, updated_at, CASE WHEN is_deleted THEN updated_at END
FROM generate_series(1::bigint, ${plan.rows}) AS i
CROSS JOIN LATERAL (
  SELECT ${ownerOf(plan, pick)} AS source,
    timestamptz '2023-01-01 00:00:00Z'
      + interval '1 microsecond' * ((i - 1) * ${step} + ${pick('microsecond', step)}) AS created_at
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', MONTH_MICROSECONDS)} AS updated_at,
    ${isSourceDeleted(plan, 'source')} OR ${pick('isDeleted', 100)} < 2 AS is_deleted
) b`;
}

function insertCapturedRequests(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, CAPTURED_REQUESTS);
  const { row } = dealOut(plan.children, plan.rows);
  return `
INSERT INTO webhookvault.captured_requests (id, account_id, endpoint_id, method, path, headers, body, source_address,
  received_at)
SELECT i, endpoints.account_id, endpoints.id,
  ${oneOf(METHODS, pick('method', METHODS.length))},
  ${oneOf(PATHS, pick('path', PATHS.length))},
  jsonb_build_object('content-type', 'application/json', 'x-delivery', md5('request' || i), 'x-attempt', 1 + ${pick('name', 3)}),
  CASE WHEN ${pick('body', 10)} > 0
    THEN convert_to('{"order": ' || ${pick('bodyLimit', 1_000_000)} || ', "total": "9.90 €"}', 'UTF8') || '\\x00ff'::bytea END,
  inet '203.0.113.0' + ${pick('address', 256)},
  endpoints.created_at + interval '1 microsecond' * ${pick('microsecond', MONTH_MICROSECONDS)}
FROM generate_series(1::bigint, ${plan.children}) AS i
CROSS JOIN LATERAL (SELECT ${row} AS endpoint) a
JOIN webhookvault.endpoints ON endpoints.id = ${endpointId(plan, 'endpoint')}
ORDER BY i`;
}
