import { benchBulk } from './bench-bulk.ts';
import { benchBulkFile } from './bench-bulk-file.ts';
import { benchChunked } from './bench-chunked.ts';
import { benchDashboard } from './bench-dashboard.ts';
import { benchEndpoints } from './bench-endpoints.ts';
import { type BenchOptions, benchExports } from './bench-exports.ts';
import { benchExtractors } from './bench-extractors.ts';
import { benchFairApi } from './bench-fair-api.ts';
import { benchFeed } from './bench-feed.ts';
import { benchFormats } from './bench-formats.ts';
import { benchIdle } from './bench-idle.ts';
import { benchLargeTransaction } from './bench-large-transaction.ts';
import { benchManyExports } from './bench-many-exports.ts';
import { benchManyResources } from './bench-many-resources.ts';
import { benchMixed } from './bench-mixed.ts';
import { benchNeighbours } from './bench-neighbours.ts';
import { benchRoutes } from './bench-routes.ts';
import { benchScale } from './bench-scale.ts';
import { benchScaleOut } from './bench-scale-out.ts';
import { benchSimulate } from './bench-simulate.ts';

/** Every benchmark by its name in `npm run bench -- NAME`, in the order in which they run. */
export const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<void>>> = {
  exports: benchExports,
  formats: benchFormats,
  'many-exports': benchManyExports,
  chunked: benchChunked,
  scale: benchScale,
  extractors: benchExtractors,
  'many-resources': benchManyResources,
  feed: benchFeed,
  neighbours: benchNeighbours,
  'large-transaction': benchLargeTransaction,
  routes: benchRoutes,
  'fair-api': benchFairApi,
  bulk: benchBulk,
  mixed: benchMixed,
  dashboard: benchDashboard,
  'bulk-file': benchBulkFile,
  idle: benchIdle,
  'scale-out': benchScaleOut,
  endpoints: benchEndpoints,
  simulate: benchSimulate,
};
