import { availableParallelism, loadavg } from 'node:os';

/** Other work on the machine makes every figure worse; a load above the number of processors says that there was some. */
export function machineLoad(): string {
  return `load ${(loadavg()[0] ?? 0).toFixed(1)} on ${availableParallelism()} processors`;
}
