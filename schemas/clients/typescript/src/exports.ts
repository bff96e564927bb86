import type { Api, ItemOf } from './api.ts';
import { NotFoundError, TandemError } from './errors.ts';
import { type ReadOptions, type RemoteFile, readFile, toStream, verified } from './file-stream.ts';
import { JobPromise, type WaitOptions, waitForJob } from './jobs.ts';
import type { Pages } from './pages.ts';
import type { CallOptions } from './transport.ts';
import type { Export, ExportEstimate, ExportFile, ExportRequest, Manifest, Query } from './types.ts';

/** Snapshots of the account's records as files. */
export class Exports {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Starts an export. `await exports.create(…)` is the pending export, `.wait()` the completed one. */
  create(request: ExportRequest, options: CallOptions = {}): JobPromise<Export, Export> {
    const created = this.#api.call('createExport', { body: request }, options) as Promise<Export>;
    return new JobPromise(created, ({ id }, wait) => this.wait(id, { signal: options.signal, ...wait }));
  }

  /** Estimates rows, bytes and duration, and creates nothing. */
  estimate(request: ExportRequest, options: CallOptions = {}): Promise<ExportEstimate> {
    const body = { ...request, dry_run: true };
    return this.#api.call('createExport', { body }, options) as Promise<ExportEstimate>;
  }

  /** Newest first. */
  list(query: Query<'listExports'> = {}, options: CallOptions = {}): Pages<ItemOf<'listExports'>> {
    return this.#api.pages('listExports', { query }, options);
  }

  get(id: string, options: CallOptions = {}): Promise<Export> {
    return this.#api.call('getExport', { params: { id } }, options) as Promise<Export>;
  }

  /** Waits until the export has ended. A paused one is waited for. @throws JobError when it is not completed */
  wait(id: string, options: WaitOptions<Export> = {}): Promise<Export> {
    return waitForJob(id, () => this.get(id, { signal: options.signal }), options);
  }

  /** Stops an export. Safe to repeat. */
  cancel(id: string, options: CallOptions = {}): Promise<Export> {
    return this.#api.call('cancelExport', { params: { id } }, options) as Promise<Export>;
  }

  /** Stops reading; `resume` continues with what was read. Safe to repeat. */
  pause(id: string, options: CallOptions = {}): Promise<Export> {
    return this.#api.call('pauseExport', { params: { id } }, options) as Promise<Export>;
  }

  /** Gives a paused export its place in the queue again. Safe to repeat. */
  resume(id: string, options: CallOptions = {}): Promise<Export> {
    return this.#api.call('resumeExport', { params: { id } }, options) as Promise<Export>;
  }

  /** Deletes the files of an export at once. Safe to repeat. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#api.call('deleteExport', { params: { id } }, options);
  }

  /** The slices of the tables that are read one by one, with their states. */
  chunks(
    id: string,
    query: Query<'listExportChunks'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listExportChunks'>> {
    return this.#api.pages('listExportChunks', { params: { id }, query }, options);
  }

  /** What the export holds: files, checksums, and the columns of each resource. */
  async manifest(exported: Export | string, options: CallOptions = {}): Promise<Manifest> {
    const text = await this.manifestText(exported, options);
    return JSON.parse(text) as Manifest;
  }

  /** The manifest as it is stored. */
  async manifestText(exported: Export | string, options: CallOptions = {}): Promise<string> {
    const { id } = await this.#completed(exported, options.signal);
    return this.#api.text('getExportFile', { params: { id, name: 'manifest.json' } }, options);
  }

  /** A file by its stable link, which redirects to storage: the response, with its body unread. */
  file(id: string, name: string, options: CallOptions = {}): Promise<Response> {
    return this.#api.open('getExportFile', { params: { id, name } }, options);
  }

  /**
   * A file's bytes. A connection that breaks off continues where it ended. Where the runtime can hash a stream (Node,
   * Bun), a wrong SHA-256 is an error at its end.
   *
   * @param name by default the export's only file
   */
  async stream(
    exported: Export | string,
    name?: string,
    options: Pick<ReadOptions, 'signal'> = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const completed = await this.#completed(exported, options.signal);
    const [file] =
      name === undefined ? completed.files : completed.files.filter((each) => each.name === name);
    if (file === undefined || (name === undefined && completed.files.length > 1)) {
      const names = completed.files.map((each) => each.name).join(', ');
      throw new TandemError(`Name one file of ${completed.id}: ${names === '' ? 'it has none' : names}.`);
    }
    return toStream(verified(file, this.read(completed.id, file, options)));
  }

  /** The bytes of a file from an offset, unchecked. */
  read(id: string, file: ExportFile, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const renew = async (): Promise<RemoteFile> => {
      const { files } = await this.get(id, { signal: options.signal });
      const renewed = files.find(({ name }) => name === file.name);
      if (renewed === undefined)
        throw new NotFoundError(404, { code: 'not_found', detail: `${id} has no ${file.name}.` });
      return renewed;
    };
    return readFile(this.#api.transport, file, renew, options);
  }

  async #completed(exported: Export | string, signal: AbortSignal | undefined): Promise<Export> {
    return typeof exported === 'string' ? this.get(exported, { signal }) : exported;
  }
}
