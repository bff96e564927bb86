import type { z } from 'zod';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import type { bulkDryRunSchema, bulkFileSchema } from '../../bulk/response.ts';
import { type Html, html } from '../../pages/html.ts';
import type { Job } from './job-page.ts';
import type { Fault, Operation, Resource, Selection } from './job-request.ts';
import type { Account } from './limits.ts';

type DryRun = z.output<typeof bulkDryRunSchema>;

/** What the form shows besides what was typed. */
export interface PageFacts {
  readonly resource: Resource;
  readonly operation: Operation;
  readonly account: Account;
  readonly by: Selection;
  /** Set for the selection `failed`. */
  readonly failedOf: { readonly job: Job; readonly ids: readonly string[] } | undefined;
}

/** Everything that the page of a new job shows. */
export interface FormPage extends PageFacts {
  /** The submitted form; empty at first. */
  readonly form: URLSearchParams;
  readonly faults?: readonly Fault[];
  /** The API's refusal of the request. */
  readonly error?: AppError;
  /** `print` identifies the previewed request. `hasChanged`: the submitted request was another one. */
  readonly preview?: { readonly run: DryRun; readonly print: string; readonly hasChanged: boolean };
  /** A file of IDs that was just uploaded. */
  readonly file?: z.output<typeof bulkFileSchema>;
}

/** The errors of one part of the form, shown beside it. */
export function faultHtml(faults: readonly Fault[], place: string): Html | null {
  const found = faults.filter((fault) => fault.place === place);
  return found.length === 0
    ? null
    : html`<p class="field-fault">${found.map(({ detail }) => `${detail} `)}</p>`;
}
