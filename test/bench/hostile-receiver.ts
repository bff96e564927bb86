import { once } from 'node:events';
import { forkApart } from './fork-apart.ts';
import type { Attack, ReceiverPorts } from './pour-responses.ts';

/** `answer`: as a receiver should, for comparison. */
export type Behaviour = Attack | 'answer';

export interface HostileReceiver extends AsyncDisposable {
  urlOf(behaviour: Behaviour, name: string): string;
}

/**
 * A receiver that harms who sends to it: it never answers, or answers without an end. In a process of its own that yields to those
 * who are measured.
 */
export async function openHostileReceiver(): Promise<HostileReceiver> {
  const receiver = await forkApart(new URL('./pour-responses.ts', import.meta.url));
  const [{ hostile, answering }] = (await once(receiver, 'message')) as [ReceiverPorts];
  return {
    urlOf: (behaviour, name) =>
      `http://127.0.0.1:${behaviour === 'answer' ? answering : hostile}/${behaviour}/${name}`,
    [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
  };
}
