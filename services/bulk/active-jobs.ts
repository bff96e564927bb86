import type { Queryable } from '../../shared/postgres/queryable.ts';
import { createNotifier, type Notifier } from '../../shared/runtime/notifier.ts';

/**
 * Whether there is any job that has not ended, as of the scheduler's last round. Without one the other workers pause,
 * so a round costs one small query; the scheduler wakes them once there is a job.
 */
export interface ActiveJobs {
  /** Queries the control store, and wakes pausing workers when there are jobs now. */
  look(): Promise<boolean>;
  /** How long a worker without work waits: `idleMs` while there are jobs, otherwise longer. */
  restMs(idleMs: number): number;
  /** For one worker: notified when there are jobs again. */
  notifier(): Notifier;
}

/** Pause without jobs. The scheduler notifies, so this bounds only the effect of its failure. */
const REST_MS = 2_000;

const FIND = `select exists (select from bulk_jobs where status in ('pending', 'running', 'paused')) as is_any`;

export function createActiveJobs(db: Queryable): ActiveJobs {
  const notifiers: Notifier[] = [];
  // Until the first query, workers look for work.
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
