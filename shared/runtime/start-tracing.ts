import type { Log } from './log.ts';
import { turnOn } from './tracing.ts';
import type { TracingConfig } from './tracing-config.ts';

/**
 * Turns tracing on, if there is an address to send spans to. Only then the SDK is loaded.
 *
 * @returns what sends the last spans, within two seconds, and turns it off
 */
export async function startTracing(
  config: TracingConfig,
  service: string,
  log: Log,
): Promise<AsyncDisposable> {
  if (config.url === undefined) return { [Symbol.asyncDispose]: async () => undefined };
  const { openTracing } = await import('./tracing-sdk.ts');
  const tracing = openTracing({ ...config, url: config.url, service }, log);
  const turnOff = turnOn(tracing);
  return {
    async [Symbol.asyncDispose]() {
      turnOff();
      await tracing.close();
    },
  };
}
