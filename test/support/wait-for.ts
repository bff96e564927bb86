import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

/** What is left of a type when it is known to be truthy. */
type Truthy<T> = Exclude<T, false | null | undefined | 0 | ''>;

/** Waits until the condition gives something truthy and returns it. @throws Error naming what was waited for, when it never came */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = 200_000,
): Promise<Truthy<T>> {
  const deadlineAtMs = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value as Truthy<T>;
    if (Date.now() > deadlineAtMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await delay(POLL_MS);
  }
}
