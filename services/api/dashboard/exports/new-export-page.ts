import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../../shared/domain/export-request.ts';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { resourceSchema } from '../../catalog/schemas.ts';
import type { estimateSchema, exportSchema } from '../../exports/response.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { PROBLEMS } from '../../http/problem.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { csrfField, dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';

type Resource = z.output<typeof resourceSchema>;
type Estimate = z.output<typeof estimateSchema>;
type Export = z.output<typeof exportSchema>;

const PATH = '/dashboard/exports/new';

/** Resources that the form lists: more than a catalog has. */
const MAX_RESOURCES = 200;

interface Outcome {
  readonly estimate?: Estimate;
  readonly error?: AppError;
}

/** The form that starts an export. It shows an estimate first to whoever asks for one. */
export function newExportPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const write = { path: PATH, needs: 'exports:write' } as const;
  const show = async (visit: Visit, outcome: Outcome = {}) => {
    const { data } = await visit.ask<{ data: Resource[] }>('listResources', {
      query: { limit: MAX_RESOURCES },
    });
    const page = {
      title: visit.text.exports.create.title,
      section: '/dashboard/exports',
      body: body(data, outcome, visit),
    };
    const { error } = outcome;
    return pageResponse(
      dashboardPage(visit, visit.session, page),
      deps,
      error === undefined ? 200 : PROBLEMS[error.code].status,
    );
  };
  return [
    { ...write, method: 'GET', handle: (visit) => show(visit) },
    {
      ...write,
      method: 'POST',
      async handle(visit) {
        try {
          if (!visit.form.has('resource'))
            throw new AppError('invalid', visit.text.exports.create.nothingChosen);
          if (visit.form.get('do') === 'estimate') {
            return await show(visit, {
              estimate: await visit.ask<Estimate>('createExport', call(visit, true)),
            });
          }
          const { id } = await visit.ask<Export>('createExport', call(visit, false));
          return seeOther(`/dashboard/exports/${id}`);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          return show(visit, { error });
        }
      },
    },
  ];
}

/** The request that the form stands for. Sent twice, it starts one export. */
function call({ form }: Visit, isEstimate: boolean) {
  const isOn = (name: string) => form.get(name) === 'on';
  return {
    body: {
      resources: form.getAll('resource'),
      format: form.get('format') ?? FILE_FORMATS[0],
      compression: form.get('compression') ?? EXPORT_COMPRESSIONS[0],
      ...(isOn('zip') ? { archive: 'zip' } : {}),
      include_deleted: isOn('include_deleted'),
      include_related: isOn('include_related'),
      dry_run: isEstimate,
    },
    idempotencyKey: isEstimate
      ? undefined
      : (readIdempotencyKey(form.get('request') ?? undefined) ?? randomUUID()),
  };
}

function body(resources: readonly Resource[], { estimate, error }: Outcome, visit: Visit): Html {
  const text = visit.text.exports.create;
  const { form } = visit;
  const chosen = new Set(form.getAll('resource'));
  const select = (name: string, label: string, values: readonly string[]) => html`<div>
<label for="${name}">${label}</label>
<select id="${name}" name="${name}">${values.map((value) => html`<option${flag('selected', form.get(name) === value)}>${value}</option>`)}</select></div>`;
  const box = (name: string, label: string) =>
    html`<label class="check"><input type="checkbox" name="${name}"${flag('checked', form.get(name) === 'on')}> ${label}</label>`;
  return html`<h1>${text.title}</h1>
${error && fault(error, visit)}
${estimate && estimated(estimate, visit)}
<form method="post" action="${visit.href(PATH)}" class="form">
${csrfField(visit.session)}
<input type="hidden" name="request" value="${error === undefined ? (form.get('request') ?? randomUUID()) : randomUUID()}">
<fieldset><legend>${text.resources}</legend>
<ul class="plain">${resources.map((resource) => resourceChoice(resource, chosen.has(resource.name), visit))}</ul></fieldset>
<div class="columns">
${select('format', text.format, FILE_FORMATS)}
${select('compression', text.compression, EXPORT_COMPRESSIONS)}
</div>
<fieldset><legend>${text.options}</legend>
${box('include_deleted', text.includeDeleted)}
${box('include_related', text.includeRelated)}
${box('zip', text.zip)}
</fieldset>
<p class="choices"><button class="primary" name="do" value="start">${text.start}</button>
<button name="do" value="estimate">${text.estimate}</button></p>
</form>`;
}

function fault({ message, errors }: AppError, { text }: Visit): Html {
  return html`<div class="fault" role="alert"><p>${text.exports.create.refused} ${message}</p>
${errors.length < 2 ? null : html`<ul>${errors.map(({ pointer, detail }) => html`<li><code>${pointer}</code> ${detail}</li>`)}</ul>`}</div>`;
}

function estimated(estimate: Estimate, visit: Visit): Html {
  const { formats } = visit;
  const text = visit.text.exports.create;
  const { estimated_rows: rows, estimated_bytes: bytes, estimated_duration_seconds: seconds } = estimate;
  const facts = [
    [text.rows, rows === null ? text.unknown : formats.number(rows)],
    [text.size, bytes === null ? text.unknown : formats.bytes(bytes)],
    [text.duration, seconds === null ? text.unknown : formats.duration(seconds)],
  ];
  return html`<section role="status"><h2 class="hidden">${text.estimated}</h2>
<dl class="tiles">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>`;
}

function resourceChoice({ name, fields }: Resource, isChosen: boolean, visit: Visit): Html {
  return html`<li><label class="check"><input type="checkbox" name="resource" value="${name}"${flag('checked', isChosen)}> ${name}</label>
${fields.length === 0 ? null : fieldList(name, fields, visit)}</li>`;
}

function fieldList(name: string, fields: Resource['fields'], visit: Visit): Html {
  const text = visit.text.exports.create;
  return html`<details><summary>${text.fields(visit.formats.number(fields.length))}<span class="hidden"> ${text.ofResource(name)}</span></summary>
<ul class="fields">${fields.map((field) => html`<li><code>${field.name}</code> <span class="muted">${field.type}</span></li>`)}</ul></details>`;
}
