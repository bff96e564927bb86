import { setTimeout as delay } from 'node:timers/promises';

const MIN_POLL_MS = 20;
const MAX_POLL_MS = 100;
/** Of the time waited so far: what is added to it at most by noticing late. */
const POLL_SHARE = 0.05;

/** What is left of a type when it is known to be truthy. */
type Truthy<T> = Exclude<T, false | null | undefined | 0 | ''>;

/** Waits until the condition gives something truthy and returns it. @throws Error naming what was waited for, when it never came */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = 200_000,
): Promise<Truthy<T>> {
  const startedAtMs = Date.now();
  for (;;) {
    const askedAtMs = Date.now();
    const value = await condition();
    if (value) return value as Truthy<T>;
    const waitedMs = Date.now() - startedAtMs;
    if (waitedMs > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    // Whoever asks all the time takes the processor from what is waited for.
    const askingMs = Date.now() - askedAtMs;
    await delay(Math.max(askingMs, Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, waitedMs * POLL_SHARE))));
  }
}
