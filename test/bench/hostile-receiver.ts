import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Attack } from './pour-responses.ts';

export type { Attack };

export interface HostileReceiver extends AsyncDisposable {
  urlOf(attack: Attack, name: string): string;
}

/**
 * A receiver that harms who sends to it: it never answers, or answers without an end. In a thread of its own, so that what it does
 * delays nobody who measures.
 */
export async function openHostileReceiver(): Promise<HostileReceiver> {
  const worker = new Worker(new URL('./pour-responses.ts', import.meta.url));
  const [port] = (await once(worker, 'message')) as [number];
  return {
    urlOf: (attack, name) => `http://127.0.0.1:${port}/${attack}/${name}`,
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}
