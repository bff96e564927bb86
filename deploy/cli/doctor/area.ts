import { SetupError } from '../../../shared/runtime/errors.ts';
import { redact } from '../../../shared/runtime/redact.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

export type Status = 'ok' | 'warning' | 'failure';

/** What one attempt has found. */
export interface Found {
  readonly status: Status;
  readonly detail: string;
  /** What corrects it. */
  readonly fix?: string;
}

export const ok = (detail: string): Found => ({ status: 'ok', detail });
export const warning = (detail: string, fix: string): Found => ({ status: 'warning', detail, fix });
export const failure = (detail: string, fix: string): Found => ({ status: 'failure', detail, fix });

/** One line of the report. */
export interface Finding extends Found {
  readonly area: string;
  /** What was attempted. */
  readonly what: string;
}

/** Checks of one part. They run one after the other, each with a time limit; areas run side by side. */
export class Area {
  readonly name: string;
  readonly findings: Finding[] = [];
  readonly limitMs: number;
  readonly #signal: AbortSignal;

  constructor(name: string, limitMs: number, signal: AbortSignal) {
    this.name = name;
    this.limitMs = limitMs;
    this.#signal = signal;
  }

  add(what: string, found: Found): void {
    const { detail, fix, status } = found;
    const said = { area: this.name, what, status, detail: redact(detail) };
    this.findings.push(fix === undefined ? said : { ...said, fix: redact(fix) });
  }

  /**
   * Does one attempt and adds what `describe` makes of its result. A failed attempt, or one that takes too long, is a failure.
   *
   * @param fix what to do after a failed attempt
   * @returns the result; undefined after a failed attempt
   */
  async attempt<T>(
    what: string,
    fix: string | ((error: unknown) => string),
    work: () => Promise<T>,
    describe: (result: T) => Found | readonly Found[],
  ): Promise<T | undefined> {
    const late = Promise.withResolvers<never>();
    const seconds = this.limitMs / 1_000;
    const timer = setTimeout(() => late.reject(new Error(`no response in ${seconds} s`)), this.limitMs);
    const stop = () => late.reject(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      const result = await Promise.race([work(), late.promise]);
      for (const found of [describe(result)].flat()) this.add(what, found);
      return result;
    } catch (error) {
      if (this.#signal.aborted) throw error;
      this.add(what, failure(messageOf(error), typeof fix === 'string' ? fix : fix(error)));
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', stop);
    }
  }
}

/** A client whose server says nothing closes when its own patience ends. Nothing depends on it here. */
const CLOSE_LIMIT_MS = 500;

/** Closes a client of a server, without waiting for one that says nothing. */
export async function close(work: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const closed = work.then(
    () => late.abort(),
    () => late.abort(),
  );
  await Promise.race([closed, sleep(CLOSE_LIMIT_MS, late.signal)]);
}

/** With the causes, because a client's own message often says only that something failed. */
export function messageOf(error: unknown): string {
  const messages: string[] = [];
  for (let link = error; link instanceof Error && messages.length < 4; link = link.cause) {
    const text =
      link instanceof SetupError && link.findings.length > 0 ? link.findings.join('; ') : link.message;
    const inner = link instanceof AggregateError ? link.errors.map(messageOf).join('; ') : '';
    const said = [text, inner].filter((part) => part !== '').join(': ');
    if (said !== '' && !messages.some((known) => known.includes(said))) messages.push(said);
  }
  return messages.length === 0 ? String(error) : messages.join(': ');
}

/** More is worth a word. Leases are counted by the control store's clock alone, so none is lost by it. */
const CLOCK_WARNING_MS = 1_000;

/** Compares the clock of a server, as it was asked between two moments here, with this machine's. */
export function describeClock(server: number, askedAtMs: number, answeredAtMs: number): Found {
  const aheadMs = Math.round(server - (askedAtMs + answeredAtMs) / 2);
  const uncertainMs = Math.ceil((answeredAtMs - askedAtMs) / 2);
  const detail = `its clock differs by ${aheadMs} ms (measured to ${uncertainMs} ms)`;
  if (Math.abs(aheadMs) <= CLOCK_WARNING_MS + uncertainMs) return ok(detail);
  const harm =
    'times of events, quotas and signatures differ by as much, and tokens are refused early or late';
  return warning(`${detail}: ${harm}`, 'synchronise the clocks of both machines (NTP)');
}
