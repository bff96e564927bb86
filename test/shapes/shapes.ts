import { ODD } from './odd-shape.ts';
import { parseShape, type Shape, type ShapeStyle } from './shape.ts';
import { pascal } from './shape-rows.ts';

/** Schemas of our own in the shape of public products: how deep, how named, and with what left out. */

const plural = (word: string) =>
  /[^aeiou]y$/.test(word) ? `${word.slice(0, -1)}ies` : /(s|x|ch)$/.test(word) ? `${word}es` : `${word}s`;
const camel = (word: string) => word.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const same = (word: string) => word;

/** As Rails makes them: numbers, plural names, and no foreign key. */
const RAILS: ShapeStyle = {
  hasForeignKeys: false,
  idType: 'bigint',
  tableName: plural,
  columnName: same,
  schemaName: same,
};
/** As Prisma makes them: `"OrganisationMember"."organisationId"`, and text for IDs. */
const PRISMA: ShapeStyle = {
  hasForeignKeys: true,
  idType: 'text',
  tableName: pascal,
  columnName: camel,
  schemaName: same,
};
const UUIDS: ShapeStyle = {
  hasForeignKeys: true,
  idType: 'uuid',
  tableName: plural,
  columnName: same,
  schemaName: same,
};
const TEXTS: ShapeStyle = { ...UUIDS, idType: 'text' };

/** A help desk: no foreign keys, nullable tenants, records of several parents. */
export const DESK: Shape = parseShape(
  'desk',
  RAILS,
  `
  account: @
  user: -
  schema_migration: -
  job: -
  currency: =
  language: =
  permission: =
  platform_banner: -
  account_user: account ~user
  team: account
  team_member: team ~user
  role: ?account
  role_permission: role ~permission
  inbox: account
  inbox_member: inbox ~user
  inbox_hour: inbox
  channel_email: account
  channel_chat: account
  channel_phone: account
  channel_form: account
  widget_setting: channel_chat
  company: account
  contact: account ~company
  contact_inbox: contact inbox
  contact_note: account contact ~user
  contact_merge: contact
  segment: account
  segment_member: segment ~contact
  conversation: account inbox ~contact ~team
  conversation_participant: account conversation ~user
  conversation_read: conversation ~user
  message: account conversation
  message_draft: conversation ~user
  message_translation: message ~language
  reaction: message ~user
  attachment: message
  attachment_preview: attachment
  attachment_scan: attachment
  mention: account conversation ~user
  canned_response: account
  macro: account
  macro_step: macro
  macro_run: macro ~conversation
  automation_rule: account
  automation_condition: automation_rule
  automation_action: automation_rule
  automation_run: automation_rule ~conversation
  label: account
  tag: ?account
  tagging: tag *conversation|contact
  custom_attribute: account
  custom_filter: account ~user
  custom_view: ?account
  sla_policy: account
  sla_target: sla_policy
  sla_event: account sla_policy conversation
  csat_survey: ?account
  csat_response: account conversation
  campaign: account inbox
  campaign_step: campaign
  campaign_recipient: campaign contact
  portal: account
  portal_member: portal ~user
  category: account portal
  folder: account category
  article: account category
  article_version: article
  article_vote: article
  article_link: article
  webhook: account
  webhook_attempt: webhook
  integration_hook: account
  integration_event: integration_hook
  agent_bot: ?account
  agent_bot_inbox: agent_bot inbox
  data_import: account
  data_import_row: data_import
  report: account
  report_event: ?account ~conversation
  notification: account ~user
  notification_setting: account ~user
  dashboard_app: account
  audit: *conversation|contact|message
  comment: *article|conversation
  active_upload: *message|contact
  access_grant: *inbox|team
  plan: =
  subscription: account ~plan
  subscription_item: subscription
  invoice: account subscription
  invoice_line: invoice
`,
);

/** Signing of documents: quoted camel-case names, text IDs, foreign keys over four hops. */
export const SIGNING: Shape = parseShape(
  'signing',
  PRISMA,
  `
  user: -
  session: - ~user
  passkey: - ~user
  verification_code: - ~user
  site_setting: -
  background_job: -
  background_task: - ~background_job
  subscription_plan: =
  country: =
  signature_level: =
  organisation: @
  organisation_setting: organisation
  organisation_member: organisation ~user
  organisation_invite: organisation
  organisation_group: organisation
  organisation_group_member: organisation_group organisation_member
  organisation_domain: organisation
  organisation_email: organisation_domain
  organisation_subscription: organisation ~subscription_plan
  organisation_claim: organisation_subscription
  identity_provider: organisation
  identity_login: identity_provider ~user
  api_key: organisation ~user
  webhook: organisation
  webhook_call: webhook
  team: organisation
  team_setting: team
  team_group: team organisation_group
  team_email: team
  team_profile: team
  folder: team ?folder
  template: team ~folder
  template_link: template
  template_recipient: template
  template_field: template_recipient
  document: team ~folder ~user
  document_meta: document
  document_data: document
  document_page: document_data
  document_event: document ~user
  document_share: document
  document_attachment: document
  document_comment: document ~user
  document_comment_reply: document_comment ~user
  recipient: document
  recipient_access: recipient
  field: recipient
  field_option: field
  field_value: field
  signature: field
  signature_certificate: signature ~signature_level
  signature_stamp: signature_certificate
  reminder: recipient
  reminder_delivery: reminder
  rate_limit: -
`,
);

/** Traces of requests: organisations have projects, and everything else is a project's; two schemas. */
export const TRACES: Shape = parseShape(
  'traces',
  TEXTS,
  `
  user: -
  login_session: - ~user
  login_token: -
  cron_job: -
  background_migration: -
  model_price: =
  default_model: =
  organization: @
  organization_membership: organization ~user
  membership_invitation: organization
  organization_setting: organization
  billing.plan_item: organization
  billing.meter: organization
  billing.meter_reading: meter
  billing.usage_alert: meter
  billing.usage_alert_sent: usage_alert
  billing.cloud_invoice: organization
  billing.cloud_invoice_line: cloud_invoice
  project: organization
  project_membership: project organization_membership
  project_setting: project
  api_key: project
  llm_api_key: project
  llm_schema: project
  llm_tool: project
  model: ?project
  price: model
  tokenizer: model
  trace_session: project
  trace: project ~trace_session
  observation: trace
  observation_media: observation
  observation_event: observation
  observation_metric: observation_event
  trace_media: trace
  trace_comment: trace ~user
  trace_share: trace
  score_config: project
  score: trace ~score_config
  score_reason: score
  prompt: project
  prompt_label: prompt
  prompt_version: prompt
  prompt_dependency: prompt_version
  prompt_protection: prompt
  dataset: project
  dataset_item: dataset
  dataset_item_source: dataset_item
  dataset_run: dataset
  dataset_run_item: dataset_run dataset_item
  dataset_run_score: dataset_run_item
  dataset_run_score_note: dataset_run_score
  eval_template: ?project
  eval_configuration: project eval_template
  eval_execution: eval_configuration
  eval_execution_log: eval_execution
  annotation_queue: project
  annotation_queue_item: annotation_queue
  annotation_assignment: annotation_queue_item ~user
  table_view: project
  table_view_filter: table_view
  dashboard: ?project
  dashboard_widget: dashboard
  dashboard_widget_query: dashboard_widget
  blob_export: project
  blob_export_run: blob_export
  batch_action: project
  automation: project
  automation_trigger: automation
  automation_run: automation_trigger
  slack_link: project
  audit_log: organization ~user ~project
`,
);

const BILLED = [
  ...[
    'customer',
    'plan',
    'charge',
    'coupon',
    'add_on',
    'wallet',
    'invoice',
    'credit_note',
    'payment',
    'subscription',
  ],
  ...[
    'fee',
    'event_source',
    'meter',
    'tax',
    'entitlement',
    'quote',
    'contract',
    'dunning_campaign',
    'payment_method',
    'price_book',
  ],
  ...[
    'product',
    'bundle',
    'discount',
    'ledger',
    'refund',
    'dispute',
    'payout',
    'reseller',
    'statement',
    'usage_report',
  ],
] as const;

/** A billing system of 300 tables: each has the tenant, but for those of some parents; currencies and countries are everybody's. */
export const BILLING: Shape = parseShape(
  'billing',
  UUIDS,
  `
  organization: @
  user: -
  schema_migration: -
  currency: =
  country: =
  tax_code: =
  payment_network: =
  membership: organization ~user
  ${BILLED.flatMap((word, at) => [
    `${word}: organization ~currency`,
    `${word}_version: organization ${word}`,
    `${word}_note: organization ${word} ~user`,
    `${word}_item: organization ${word}`,
    `${word}_item_amount: ${word}_item ~currency`,
    `${word}_metadata: ${word}`,
    `${word}_approval: organization ${word} ~user`,
    `${word}_event: ?organization ?${word}`,
    `${word}_rule: organization ~country`,
    at % 3 === 0 ? `${word}_rule_condition: ${word}_rule` : `${word}_setting: ?organization`,
  ]).join('\n')}
`,
);

/** How users sign in, over four schemas of one product, as a service of its own keeps it. */
export const IDENTITY: Shape = parseShape(
  'identity',
  UUIDS,
  `
  migration: -
  instance: -
  courier_job: -
  locale: =
  tenant: @
  tenant_domain: tenant
  tenant_setting: tenant
  tenant_brand: tenant
  account: tenant
  account_address: account
  account_address_check: account_address
  account_profile: account
  account_device: account
  account_ban: account
  identity_link: account
  identity_link_claim: identity_link
  signin.flow: ?tenant
  signin.flow_step: flow
  signin.flow_error: flow_step
  signin.sign_in: account
  signin.sign_in_event: sign_in
  signin.factor: account
  signin.factor_challenge: factor
  signin.factor_attempt: factor_challenge
  oauth.client: tenant
  oauth.client_scope: client
  oauth.consent: client account
  oauth.consent_scope: consent
  oauth.authorization: client account
  oauth.authorization_detail: authorization
  sso.provider: tenant
  sso.provider_domain: provider
  sso.saml_relay: provider
  sso.scim_group: provider
  sso.scim_member: scim_group account
  sso.scim_run: provider
  sso.scim_run_error: scim_run
  audit.entry: ?tenant
  audit.entry_detail: entry
  audit.export_job: tenant
`,
);

export const SHAPES: readonly Shape[] = [DESK, SIGNING, TRACES, BILLING, IDENTITY, ODD];
