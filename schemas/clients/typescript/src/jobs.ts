import { JobError } from './errors.ts';
import { sleep } from './retry.ts';

/** Options of waiting for a job. */
export interface WaitOptions<Job> {
  readonly signal?: AbortSignal | undefined;
  /** Called with each state that was read, also the last. */
  readonly onProgress?: ((job: Job) => void) | undefined;
  /** Longest time between two reads. Default: 5 seconds. */
  readonly maxPollMs?: number | undefined;
}

/** A promise of a job that has just been created, which can also be waited for until it has ended. */
export class JobPromise<Created, Job> implements PromiseLike<Created> {
  readonly #created: Promise<Created>;
  readonly #wait: (created: Created, options: WaitOptions<Job>) => Promise<Job>;

  constructor(
    created: Promise<Created>,
    wait: (created: Created, options: WaitOptions<Job>) => Promise<Job>,
  ) {
    this.#created = created;
    this.#wait = wait;
  }

  // biome-ignore lint/suspicious/noThenProperty: a job is awaited like any other call.
  then<A = Created, B = never>(
    onFulfilled?: ((created: Created) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#created.then(onFulfilled, onRejected);
  }

  catch<B>(onRejected: (reason: unknown) => B | PromiseLike<B>): Promise<Created | B> {
    return this.#created.catch(onRejected);
  }

  finally(onFinally: () => void): Promise<Created> {
    return this.#created.finally(onFinally);
  }

  /** The job once it is completed. @throws JobError when it ends otherwise */
  async wait(options: WaitOptions<Job> = {}): Promise<Job> {
    return this.#wait(await this.#created, options);
  }
}

const FIRST_POLL_MS = 100;
const DEFAULT_MAX_POLL_MS = 5_000;
/** A short job is noticed soon, and a long one is not asked about all the time. */
const POLL_SHARE = 0.05;

/** Reads a job until it has ended. @throws JobError when it is not completed */
export async function waitForJob<Job extends { readonly status: string; readonly error?: unknown }>(
  id: string,
  read: () => Promise<Job>,
  { signal, onProgress, maxPollMs = DEFAULT_MAX_POLL_MS }: WaitOptions<Job>,
): Promise<Job> {
  const startedAtMs = Date.now();
  for (;;) {
    signal?.throwIfAborted();
    const job = await read();
    onProgress?.(job);
    if (job.status === 'completed') return job;
    if (['failed', 'cancelled', 'expired'].includes(job.status)) {
      const { message } = (job.error ?? {}) as { message?: string };
      throw new JobError(
        `The job ${id} is ${job.status}${message === undefined ? '.' : `: ${message}`}`,
        job,
      );
    }
    const waitedMs = Date.now() - startedAtMs;
    await sleep(Math.min(maxPollMs, Math.max(FIRST_POLL_MS, waitedMs * POLL_SHARE)), signal);
  }
}
