import { accountOf, createPick, dealOut, oneOf, ownerOf } from '../row-sql.ts';
import type { SamplePlan } from '../sample-plan.ts';

const SALTS = [
  'accountShare',
  'owner',
  'name',
  'feature',
  'environment',
  'hasDescription',
  'description',
  'isEnabled',
  'rollout',
  'variations',
  'tags',
  'microsecond',
  'updateDelay',
  'isDeleted',
  'attribute',
  'operator',
  'operands',
] as const;

const PROJECTS = 1;
const FLAGS = 2;
const TARGETING_RULES = 3;

const YEAR_MICROSECONDS = 31_536_000_000_000;
const MONTH_MICROSECONDS = 2_592_000_000_000;
/** 2023 to 2025. */
const SPAN_MICROSECONDS = 1_096 * 86_400 * 1_000_000;

const APPS = ['Web', 'iOS', 'Android', 'Kasse', 'Tableau de bord', '管理画面', 'Søk', 'API "v2"'];
const FEATURES = ['new-checkout', 'dark-mode', 'fast-search', 'beta-export', 'sso', 'ki-hilfe', 'étiquettes'];
const ENVIRONMENTS = ['production', 'staging', 'development'];
const DESCRIPTIONS = [
  'Remove once everyone has it',
  'Nur für Kunden im "Pro"-Tarif',
  'Ask #growth before you turn this on\nsince 2024',
  '段階的に公開する 🚀',
];
const ATTRIBUTES = ['country', 'plan', 'email', 'app_version', 'größe'];
const OPERATORS = ['is_one_of', 'is_one_of', 'is_not_one_of', 'starts_with', 'at_least'];

/** The statements that fill the three tables, each one INSERT … SELECT over the rows' numbers. */
export function insertFlagbit(plan: SamplePlan): string[] {
  return [
    insertProjects(plan),
    insertFlags(plan),
    ...(plan.children === 0 ? [] : [insertTargetingRules(plan)]),
  ];
}

/** A flag is deleted with its project: what is left refers to nothing that is not there. */
function isProjectDeleted({ seed }: SamplePlan, project: string): string {
  return `${createPick(SALTS, seed, PROJECTS)('isDeleted', 100, project)} = 0`;
}

function flagId({ seed }: SamplePlan, number: string): string {
  return `md5(${seed} || '.flag.' || ${number})::uuid`;
}

function insertProjects(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, PROJECTS);
  return `
INSERT INTO flagbit.projects (id, account_id, key, name, sdk_secret, created_at, updated_at, deleted_at)
SELECT i, ${accountOf(plan, 'i')}, 'project-' || i,
  ${oneOf(APPS, pick('name', APPS.length))} || ' ' || i,
  'sdk_' || md5('project' || i),
  created_at, updated_at, CASE WHEN ${isProjectDeleted(plan, 'i')} THEN updated_at END
FROM generate_series(1::bigint, ${plan.owners}) AS i
CROSS JOIN LATERAL (
  SELECT timestamptz '2022-01-01 00:00:00Z' + interval '1 microsecond' * ${pick('microsecond', YEAR_MICROSECONDS)} AS created_at
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', YEAR_MICROSECONDS)} AS updated_at
) b`;
}

function insertFlags(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, FLAGS);
  const step = Math.floor(SPAN_MICROSECONDS / Math.max(1, plan.rows));
  return `
INSERT INTO flagbit.flags (id, account_id, project_id, environment, key, description, is_enabled, rollout_percentage,
  variations, tags, created_at, updated_at, deleted_at)
SELECT ${flagId(plan, 'i')}, ${accountOf(plan, 'project')}, project,
  ${oneOf(ENVIRONMENTS, pick('environment', ENVIRONMENTS.length))}::flagbit.environment,
  ${oneOf(FEATURES, pick('feature', FEATURES.length))} || '-' || i,
  CASE WHEN ${pick('hasDescription', 2)} > 0 THEN ${oneOf(DESCRIPTIONS, pick('description', DESCRIPTIONS.length))} END,
  ${pick('isEnabled', 3)} > 0,
  CASE WHEN ${pick('rollout', 2)} > 0 THEN 100 ELSE ${pick('rollout', 10_001)}::numeric / 100 END,
  CASE ${pick('variations', 3)} WHEN 0 THEN jsonb '[true, false]' WHEN 1 THEN jsonb '["blue", "grün", null]'
    ELSE jsonb_build_array(jsonb_build_object('limit', ${pick('operands', 1_000)}, 'factor', 1.50), 0) END,
  (ARRAY['permanent', 'team "core"', 'cleanup'])[1:${pick('tags', 4)}],
  created_at, updated_at, CASE WHEN is_deleted THEN updated_at END
FROM generate_series(1::bigint, ${plan.rows}) AS i
CROSS JOIN LATERAL (
  SELECT ${ownerOf(plan, pick)} AS project,
    timestamptz '2023-01-01 00:00:00Z'
      + interval '1 microsecond' * ((i - 1) * ${step} + ${pick('microsecond', step)}) AS created_at
) a
CROSS JOIN LATERAL (
  SELECT created_at + interval '1 microsecond' * ${pick('updateDelay', MONTH_MICROSECONDS)} AS updated_at,
    ${isProjectDeleted(plan, 'project')} OR ${pick('isDeleted', 100)} < 2 AS is_deleted
) b`;
}

function insertTargetingRules(plan: SamplePlan): string {
  const pick = createPick(SALTS, plan.seed, TARGETING_RULES);
  const { row, place } = dealOut(plan.children, plan.rows);
  return `
INSERT INTO flagbit.targeting_rules (flag_id, position, account_id, attribute, operator, operands, variation, created_at,
  updated_at)
SELECT flags.id, ${place('flag')}, flags.account_id,
  ${oneOf(ATTRIBUTES, pick('attribute', ATTRIBUTES.length))},
  ${oneOf(OPERATORS, pick('operator', OPERATORS.length))}::flagbit.rule_operator,
  (ARRAY['DE', 'pro "annual"', '@customer.example', '2.10'])[1:1 + ${pick('operands', 4)}],
  ${pick('variations', 2)}, flags.created_at, flags.updated_at
FROM generate_series(1::bigint, ${plan.children}) AS i
CROSS JOIN LATERAL (SELECT ${row} AS flag) a
JOIN flagbit.flags ON flags.id = ${flagId(plan, 'flag')}
ORDER BY i`;
}
