import { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../../shared/domain/export-request.ts';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { Visit } from '../frame/visit.ts';
import type { Export } from './export-types.ts';

/** The kinds of export: present state, an earlier state, or the changes since an earlier export. */
export const KINDS = ['now', 'as_of', 'changes'] as const;
export type Kind = (typeof KINDS)[number];

/** Options that are on or off. */
export const BOXES = ['include_deleted', 'include_related', 'zip', 'csv_safe'] as const;

/** The name of a resource's field selection. No selected field means all. */
export const fieldsName = (resource: string) => `field:${resource}`;

export function kindOf(form: URLSearchParams): Kind {
  return KINDS.find((kind) => kind === form.get('kind')) ?? 'now';
}

/** Whether the form is complete enough for an estimate. */
export function isChosen(form: URLSearchParams): boolean {
  return kindOf(form) === 'changes' ? (form.get('changes_since') ?? '') !== '' : form.has('resource');
}

/**
 * Converts the form to a request.
 *
 * @throws AppError `invalid` when nothing is chosen, or the refusal of the earlier export
 */
export async function requestOf(
  form: URLSearchParams,
  visit: Visit,
  isEstimate: boolean,
): Promise<Readonly<Record<string, unknown>>> {
  const kind = kindOf(form);
  const format = form.get('format') ?? FILE_FORMATS[0];
  const rate = (form.get('max_rows_per_second') ?? '').trim();
  return {
    ...(kind === 'changes' ? await scopeOfEarlier(form, visit) : scopeOf(form, kind, visit)),
    format,
    compression: form.get('compression') ?? EXPORT_COMPRESSIONS[0],
    ...(isOn(form, 'zip') ? { archive: 'zip' } : {}),
    // The checkbox exists for every format, and only applies to this one.
    csv_safe: format === 'csv' && isOn(form, 'csv_safe'),
    ...(rate === '' ? {} : { max_rows_per_second: Number(rate) }),
    dry_run: isEstimate,
  };
}

const isOn = (form: URLSearchParams, name: (typeof BOXES)[number]) => form.get(name) === 'on';

function scopeOf(form: URLSearchParams, kind: Kind, { text }: Visit) {
  const resources = form.getAll('resource');
  if (resources.length === 0) throw new AppError('invalid', text.exports.create.nothingChosen);
  const fields = form.getAll(fieldsName(resources[0] ?? ''));
  const names = new Set(form.keys());
  if (resources.length > 1 && resources.some((resource) => names.has(fieldsName(resource)))) {
    throw new AppError('invalid', text.exports.create.fieldsOfOne);
  }
  const [from, to, field] = ['from', 'to', 'range_field'].map((name) => form.get(name) ?? '');
  const hasRange = from !== '' || to !== '';
  if (hasRange && from === '') throw new AppError('invalid', text.exports.create.rangeNeedsStart);
  return {
    resources,
    include_deleted: isOn(form, 'include_deleted'),
    include_related: isOn(form, 'include_related'),
    ...(fields.length === 0 ? {} : { fields }),
    ...(kind === 'as_of' ? { as_of: instantOf(form.get('as_of') ?? '') } : {}),
    ...(hasRange
      ? {
          date_range: {
            from: instantOf(from ?? ''),
            ...(to === '' ? {} : { to: instantOf(to ?? '') }),
            ...(field === '' ? {} : { field }),
          },
        }
      : {}),
  };
}

/** Changes are known for the records of the earlier export, so its scope applies. */
async function scopeOfEarlier(form: URLSearchParams, visit: Visit) {
  const id = form.get('changes_since') ?? '';
  if (id === '') throw new AppError('invalid', visit.text.exports.create.noEarlierChosen);
  const earlier = await visit.ask<Export>('getExport', { params: { id } });
  return {
    resources: earlier.resources,
    include_deleted: earlier.include_deleted,
    include_related: earlier.include_related,
    ...(earlier.fields === null ? {} : { fields: earlier.fields }),
    changes_since: id,
  };
}

/** A browser's time field such as `2026-11-30T02:23` is UTC here. The API refuses anything else. */
export function instantOf(local: string): string {
  if (/T\d\d:\d\d$/.test(local)) return `${local}:00Z`;
  return /T\d\d:\d\d:\d\d(?:\.\d+)?$/.test(local) ? `${local}Z` : local;
}

/** The reverse, to the second. */
function localOf(instant: string): string {
  return instant.slice(0, 19);
}

/** The form's fields for an existing export. */
export function formOf(job: Export): URLSearchParams {
  const { date_range: range, fields, archive } = job;
  const form = new URLSearchParams({
    kind: job.changes_since !== null ? 'changes' : job.as_of !== null ? 'as_of' : 'now',
    format: job.format,
    compression: job.compression,
  });
  const put = (name: string, value: string | null | undefined) => {
    if (value !== null && value !== undefined) form.append(name, value);
  };
  for (const resource of job.resources) put('resource', resource);
  for (const field of fields ?? []) put(fieldsName(job.resources[0] ?? ''), field);
  put('as_of', job.as_of && localOf(job.as_of));
  put('changes_since', job.changes_since);
  put('from', range && localOf(range.from));
  put('to', range && localOf(range.to));
  put('range_field', range?.field);
  put('max_rows_per_second', job.max_rows_per_second?.toString());
  const boxes = { ...job, zip: archive === 'zip' };
  for (const name of BOXES) if (boxes[name]) put(name, 'on');
  return form;
}
