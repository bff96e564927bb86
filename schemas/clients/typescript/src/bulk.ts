import type { Api, ItemOf } from './api.ts';
import { JobPromise, type WaitOptions, waitForJob } from './jobs.ts';
import type { Pages } from './pages.ts';
import type { CallOptions, RequestBody } from './transport.ts';
import type { BulkAccepted, BulkDone, BulkDryRun, BulkFile, BulkJob, BulkRequest, Query } from './types.ts';

/** Operations on many records: at once, or as jobs. */
export class Bulk {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Creates a bulk job. `.wait()` is the job once it is completed. */
  create(request: BulkRequest, options: CallOptions = {}): JobPromise<BulkAccepted, BulkJob> {
    const body = { ...request, async: true };
    const created = this.#api.call('createBulkOperation', { body }, options) as Promise<BulkAccepted>;
    return new JobPromise(created, (job, wait) => this.wait(job.job_id, { signal: options.signal, ...wait }));
  }

  /** Runs the operation now, on as many records as the catalog allows, and returns the result of each. */
  run(request: BulkRequest, options: CallOptions = {}): Promise<BulkDone> {
    const body = { ...request, async: false };
    return this.#api.call('createBulkOperation', { body }, options) as Promise<BulkDone>;
  }

  /** Counts the items, returns a sample, and changes nothing. */
  estimate(request: BulkRequest, options: CallOptions = {}): Promise<BulkDryRun> {
    const body = { ...request, dry_run: true };
    return this.#api.call('createBulkOperation', { body }, options) as Promise<BulkDryRun>;
  }

  /** Uploads item IDs, one a line, for a job's `file_id`. A stream cannot be repeated after a failure. */
  upload(
    ids: RequestBody,
    query: Query<'createBulkFile'> = {},
    options: CallOptions = {},
  ): Promise<BulkFile> {
    return this.#api.call('createBulkFile', { query, body: ids }, options) as Promise<BulkFile>;
  }

  /** Newest first. */
  list(
    query: Query<'listBulkOperations'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listBulkOperations'>> {
    return this.#api.pages('listBulkOperations', { query }, options);
  }

  get(id: string, options: CallOptions = {}): Promise<BulkJob> {
    return this.#api.call('getBulkOperation', { params: { id } }, options) as Promise<BulkJob>;
  }

  /** Waits until the job has ended. A paused job is waited for. @throws JobError when it is not completed */
  wait(id: string, options: WaitOptions<BulkJob> = {}): Promise<BulkJob> {
    return waitForJob(id, () => this.get(id, { signal: options.signal }), options);
  }

  /** The results of the items, in the order of the job. */
  results(
    id: string,
    query: Query<'listBulkResults'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listBulkResults'>> {
    return this.#api.pages('listBulkResults', { params: { id }, query }, options);
  }

  /** All results of an ended job as one file: the response, with its body unread. */
  resultsFile(
    id: string,
    query: Query<'listBulkResults'> & { readonly format: 'jsonl' | 'csv' | 'parquet' },
    options: CallOptions = {},
  ): Promise<Response> {
    return this.#api.open('listBulkResults', { params: { id }, query }, options);
  }

  /** Stops the job. Finished items stay changed. Safe to repeat. */
  cancel(id: string, options: CallOptions = {}): Promise<BulkJob> {
    return this.#api.call('cancelBulkOperation', { params: { id } }, options) as Promise<BulkJob>;
  }

  /** Safe to repeat. */
  pause(id: string, options: CallOptions = {}): Promise<BulkJob> {
    return this.#api.call('pauseBulkOperation', { params: { id } }, options) as Promise<BulkJob>;
  }

  /** Safe to repeat. */
  resume(id: string, options: CallOptions = {}): Promise<BulkJob> {
    return this.#api.call('resumeBulkOperation', { params: { id } }, options) as Promise<BulkJob>;
  }
}
