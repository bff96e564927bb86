// Loaded ahead of every program (`node -r`). Keeps what Node has compiled for the next start, which takes half of the CPU of
// a start. Where nothing can be written, nothing is kept.
const { enableCompileCache, flushCompileCache } = require('node:module');
const { homedir } = require('node:os');
const { join } = require('node:path');

/** A service that is killed has written it before. */
const FLUSH_MS = 5_000;

/** As `cacheDirectory` of `fetch-jars.ts` has it. */
function directory() {
  try {
    return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tandem', 'compiled');
  } catch {
    // A user without a home directory.
    return undefined;
  }
}

const path = directory();
if (path !== undefined && enableCompileCache !== undefined) {
  enableCompileCache(path);
  setTimeout(() => flushCompileCache?.(), FLUSH_MS).unref();
}
