import type { Queryable } from '../../shared/postgres/queryable.ts';
import { createNotifier, type Notifier } from '../../shared/runtime/notifier.ts';

/**
 * Whether there is any job that has not ended, as the scheduler saw it last. While there is none, the other workers of
 * the process rest: a scheduler's round costs one small query then, and wakes them once there is a job.
 */
export interface ActiveJobs {
  /** Asks the control store, and wakes whoever rests when there are jobs now. */
  look(): Promise<boolean>;
  /** How long a worker waits that has found nothing: `idleMs` while there are jobs, else longer. */
  restMs(idleMs: number): number;
  /** For one worker: notified when there are jobs again. */
  notifier(): Notifier;
}

/** Without jobs. The scheduler notifies, so this bounds only how long its failure can matter. */
const REST_MS = 2_000;

const FIND = `select exists (select from bulk_jobs where status in ('pending', 'running', 'paused')) as is_any`;

export function createActiveJobs(db: Queryable): ActiveJobs {
  const notifiers: Notifier[] = [];
  // Until it is known, work is looked for.
  let isAny = true;
  return {
    async look() {
      const { rows } = await db.query<{ is_any: boolean }>({ name: 'bulk_active_jobs', text: FIND });
      const wasAny = isAny;
      isAny = rows[0]?.is_any === true;
      if (isAny && !wasAny) for (const notifier of notifiers) notifier.notify();
      return isAny;
    },
    restMs: (idleMs) => (isAny ? idleMs : REST_MS),
    notifier() {
      const made = createNotifier();
      notifiers.push(made);
      return made;
    },
  };
}
