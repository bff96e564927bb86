import { accountOf, createPick, dealOut, oneOf, ownerOf } from '../row-sql.ts';
import type { SamplePlan } from '../sample-plan.ts';

const SALTS = [
  'accountShare',
  'owner',
  'name',
  'schedule',
  'timezone',
  'grace',
  'isPaused',
  'status',
  'tags',
  'alerts',
  'token',
  'microsecond',
  'updateDelay',
  'isDeleted',
  'theme',
  'isShown',
  'kind',
  'output',
  'exitCode',
  'duration',
] as const;

const STATUS_PAGES = 1;
const MONITORS = 2;
const INCIDENTS = 3;

const YEAR_MICROSECONDS = 31_536_000_000_000;
const MONTH_MICROSECONDS = 2_592_000_000_000;
/** 2023 to 2025. */
const SPAN_MICROSECONDS = 1_096 * 86_400 * 1_000_000;

const SERVICES = [
  'Checkout',
  'Künden-Portal',
  'API',
  'Données',
  'バックアップ',
  'Search',
  'Mailer "prod"',
  'Łogi',
];
const JOBS = [
  'nightly backup',
  'invoice run',
  'cache warm-up',
  'rapport mensuel',
  'Datenabgleich',
  '同期 ⏰',
];
const SCHEDULES = ['*/5 * * * *', '0 3 * * *', '@hourly', '15 6 * * 1-5', '0 0 1 * *', '30 */2 * * *'];
const TIMEZONES = ['UTC', 'UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'];
const GRACES = ['1 minute', '5 minutes', '1 hour', '1 day', '1 mon', '00:00:30.5'];
const STATUSES = ['new', 'up', 'up', 'up', 'up', 'late', 'down'];
const KINDS = ['missed', 'missed', 'failed', 'overrun'];
const OUTPUTS = [
  'exit status 1',
  'pg_dump: error: connection to server lost\nretrying…',
  'Zeitüberschreitung nach 30 s',
  'no space left on device (/var/lib/"data")',
];

/** The statements that fill the three tables, each one INSERT … SELECT over the rows' numbers. */
export function insertCronping(plan: SamplePlan): string[] {
  return [
    insertStatusPages(plan),
    insertMonitors(plan),
    ...(plan.children === 0 ? [] : [insertIncidents(plan)]),
  ];
}

/** A monitor is deleted with its page: what is left refers to nothing that is not there. */
function isPageDeleted({ seed }: SamplePlan, page: string): string {
  return `${createPick(SALTS, seed, STATUS_PAGES)('isDeleted', 100, page)} = 0`;
}

function insertStatusPages(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, STATUS_PAGES);
  return `
INSERT INTO cronping.status_pages (id, account_id, slug, title, is_public, theme, password_hash, created_at, updated_at,
  deleted_at)
SELECT i, ${accountOf(plan, 'i')}, 'status-' || i,
  ${oneOf(SERVICES, pick('name', SERVICES.length))} || ' status',
  is_public,
  jsonb_build_object('accent', '#' || lpad(to_hex(${pick('theme', 16_777_216)}), 6, '0'), 'logo', NULL),
  CASE WHEN NOT is_public THEN md5('page' || i) END,
  created_at, updated_at, CASE WHEN ${isPageDeleted(plan, 'i')} THEN updated_at END
FROM generate_series(1::bigint, ${plan.owners}) AS i
CROSS JOIN LATERAL (
  SELECT ${pick('isShown', 10)} > 0 AS is_public,
    timestamptz '2022-01-01 00:00:00Z' + interval '1 microsecond' * ${pick('microsecond', YEAR_MICROSECONDS)} AS created_at
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', YEAR_MICROSECONDS)} AS updated_at
) b`;
}

function insertMonitors(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, MONITORS);
  const step = Math.floor(SPAN_MICROSECONDS / Math.max(1, plan.rows));
  return `
INSERT INTO cronping.monitors (id, account_id, status_page_id, name, schedule, timezone, grace, is_paused, status, tags,
  alerts, ping_token, last_ping_at, created_at, updated_at, deleted_at)
SELECT i, ${accountOf(plan, 'page')}, CASE WHEN ${pick('isShown', 5)} > 0 THEN page END,
  ${oneOf(SERVICES, pick('name', SERVICES.length))} || ': ' || ${oneOf(JOBS, pick('kind', JOBS.length))},
  ${oneOf(SCHEDULES, pick('schedule', SCHEDULES.length))},
  ${oneOf(TIMEZONES, pick('timezone', TIMEZONES.length))},
  ${oneOf(GRACES, pick('grace', GRACES.length))}::interval,
  ${pick('isPaused', 10)} = 0,
  status::cronping.monitor_status,
  (ARRAY['prod', 'on "call"', 'batch'])[1:${pick('tags', 4)}],
  CASE ${pick('alerts', 10)} WHEN 0 THEN NULL WHEN 1 THEN jsonb 'null' ELSE
    jsonb_build_array(jsonb_build_object('email', 'ops+' || page || '@customer.example', 'after_minutes', ${pick('duration', 60)}))
  END,
  md5(${plan.seed} || '.monitor.' || i)::uuid,
  CASE WHEN status <> 'new' THEN updated_at END,
  created_at, updated_at, CASE WHEN is_deleted THEN updated_at END
FROM generate_series(1::bigint, ${plan.rows}) AS i
CROSS JOIN LATERAL (
  SELECT ${ownerOf(plan, pick)} AS page,
    ${oneOf(STATUSES, pick('status', STATUSES.length))} AS status,
    timestamptz '2023-01-01 00:00:00Z'
      + interval '1 microsecond' * ((i - 1) * ${step} + ${pick('microsecond', step)}) AS created_at
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', MONTH_MICROSECONDS)} AS updated_at,
    ${isPageDeleted(plan, 'page')} OR ${pick('isDeleted', 100)} < 2 AS is_deleted
) b`;
}

function insertIncidents(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, INCIDENTS);
  const { row } = dealOut(plan.children, plan.rows);
  return `
INSERT INTO cronping.incidents (id, account_id, monitor_id, kind, exit_code, output, note, started_at, ended_at, updated_at)
SELECT i, monitors.account_id, monitor_id, kind::cronping.incident_kind,
  CASE WHEN kind = 'failed' THEN 1 + ${pick('exitCode', 255)} END,
  CASE WHEN kind = 'failed' THEN ${oneOf(OUTPUTS, pick('output', OUTPUTS.length))} END,
  CASE WHEN ${pick('name', 4)} = 0 THEN 'seen by ' || ${oneOf(SERVICES, pick('owner', SERVICES.length))} END,
  started_at,
  CASE WHEN ${pick('status', 20)} > 0 THEN ended_at END, ended_at
FROM generate_series(1::bigint, ${plan.children}) AS i
CROSS JOIN LATERAL (
  SELECT ${row} AS monitor_id, ${oneOf(KINDS, pick('kind', KINDS.length))} AS kind
) a
JOIN cronping.monitors ON monitors.id = monitor_id
CROSS JOIN LATERAL (
  SELECT monitors.created_at + interval '1 microsecond' * ${pick('microsecond', MONTH_MICROSECONDS)} AS started_at
) b
CROSS JOIN LATERAL (
  SELECT started_at + interval '1 second' * ${pick('duration', 100_000)} AS ended_at
) c
ORDER BY i`;
}
