import type { ServiceName, Services } from '../../deploy/local/supervise.ts';
import { readTreeUsage, resetPeaks, type Usage } from './process-usage.ts';

export interface Meter {
  /** CPU and peak memory since the start, by the name of the process. */
  stop(): Map<string, Usage>;
}

const NAMES: readonly ServiceName[] = ['api', 'extractor', 'writer', 'capture', 'dispatcher', 'bulk'];

/** Meters every process that takes part: the services, and those parts of the stack that run here. */
export function startMeter(services: Services, parts: Readonly<Record<string, number>>): Meter {
  const pids = new Map<string, number>(Object.entries(parts));
  for (const name of NAMES) {
    for (const [index, pid] of services.pids(name).entries()) {
      if (pid !== undefined) pids.set(index === 0 ? name : `${name} ${index + 1}`, pid);
    }
  }
  for (const pid of pids.values()) resetPeaks(pid);
  const before = new Map([...pids].map(([name, pid]) => [name, readTreeUsage(pid)]));
  return {
    stop: () =>
      new Map(
        [...pids].map(([name, pid]) => {
          const { cpuSeconds, peakBytes } = readTreeUsage(pid);
          return [name, { cpuSeconds: cpuSeconds - (before.get(name)?.cpuSeconds ?? 0), peakBytes }];
        }),
      ),
  };
}

/** The same and this process, where the load and its receivers run in it. */
export function startBenchMeter(services: Services, parts: Readonly<Record<string, number>>): Meter {
  const meter = startMeter(services, parts);
  const before = process.cpuUsage();
  return {
    stop() {
      const usage = meter.stop();
      const { user, system } = process.cpuUsage(before);
      const { rss: peakBytes } = process.memoryUsage();
      return usage.set('bench', { cpuSeconds: (user + system) / 1e6, peakBytes });
    },
  };
}

/** One line a process and their sum; `units` (rows, events) gives the CPU of one. */
export function usageLines(usage: ReadonlyMap<string, Usage>, units: number): string[] {
  const total = [...usage.values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  const line = (name: string, cpuSeconds: number, memory: string) =>
    `    ${name.padEnd(14)} ${cpuSeconds.toFixed(2).padStart(8)} s CPU ${((cpuSeconds / units) * 1e6).toFixed(1).padStart(8)} µs each  ${memory}`;
  return [
    ...[...usage].map(([name, { cpuSeconds, peakBytes }]) =>
      line(name, cpuSeconds, `${Math.round(peakBytes / 2 ** 20)} MB peak`),
    ),
    line('all', total, ''),
  ];
}
