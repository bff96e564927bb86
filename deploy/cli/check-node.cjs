// Loaded ahead of every program (`node -r`), in the words of an old Node: a newer one runs TypeScript, an older one
// would end with an error about a file extension.
const LEAST_MAJOR = 24;

if (Number(process.versions.node.split('.')[0]) < LEAST_MAJOR) {
  console.error(
    `Tandem runs on Node ${LEAST_MAJOR}, and this is ${process.versions.node}. "npm ci" installs the right one: run it without --ignore-scripts, then start with "npm start" or "npm run …".`,
  );
  process.exit(1);
}

require('./compile-cache.cjs');
