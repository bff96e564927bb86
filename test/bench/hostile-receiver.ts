import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Attack, ReceiverPorts } from './pour-responses.ts';

/** `answer`: as a receiver should, for comparison. */
export type Behaviour = Attack | 'answer';

export interface HostileReceiver extends AsyncDisposable {
  urlOf(behaviour: Behaviour, name: string): string;
}

/**
 * A receiver that harms who sends to it: it never answers, or answers without an end. In a thread of its own, so that what it does
 * delays nobody who measures.
 */
export async function openHostileReceiver(): Promise<HostileReceiver> {
  const worker = new Worker(new URL('./pour-responses.ts', import.meta.url));
  const [{ hostile, answering }] = (await once(worker, 'message')) as [ReceiverPorts];
  return {
    urlOf: (behaviour, name) =>
      `http://127.0.0.1:${behaviour === 'answer' ? answering : hostile}/${behaviour}/${name}`,
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}
