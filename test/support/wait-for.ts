import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

/** Waits until the condition gives something truthy and returns it. @throws Error naming what was waited for, when it never came */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = 30_000,
): Promise<NonNullable<T>> {
  const deadlineAtMs = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadlineAtMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await delay(POLL_MS);
  }
}
