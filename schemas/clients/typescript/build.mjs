// Builds what the package holds: Node runs no TypeScript from node_modules.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

rmSync(path('dist'), { recursive: true, force: true });
execFileSync(path('../../../node_modules/.bin/tsc'), ['-p', path('tsconfig.json')], { stdio: 'inherit' });

const { version } = JSON.parse(readFileSync(path('package.json'), 'utf8'));
const source = readFileSync(path('dist/version.js'), 'utf8');
writeFileSync(path('dist/version.js'), source.replace("'development'", JSON.stringify(version)));
copyFileSync(path('../../../LICENSE'), path('LICENSE'));
