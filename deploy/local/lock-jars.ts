import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toRepositoryPath } from './jar-lock.ts';

// Writes jars.lock.json from pom.xml, which says the versions wanted: run it after a change there (it needs Maven).

const POM = fileURLToPath(new URL('./pom.xml', import.meta.url));
const LOCK = fileURLToPath(new URL('./jars.lock.json', import.meta.url));

/** The registry's archive: no dependency, because it holds all it needs. */
function readArchive(pom: string): string {
  const item = /<artifactItem>([\s\S]*?)<\/artifactItem>/.exec(pom)?.[1] ?? '';
  const tag = (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(item)?.[1] ?? '';
  return `${tag('groupId')}:${tag('artifactId')}:${tag('version')}:${tag('classifier')}@${tag('type')}`;
}

/** `org/apache/kafka/kafka-clients/4.1.0/kafka-clients-4.1.0.jar` → `org.apache.kafka:kafka-clients:4.1.0`. */
function toArtifact(path: string): string {
  const parts = dirname(path).split('/');
  const version = parts.pop();
  const name = parts.pop();
  const artifact = `${parts.join('.')}:${name}:${version}`;
  if (toRepositoryPath(artifact).path !== path)
    throw new Error(`${path} is no plain jar; name its classifier`);
  return artifact;
}

const directory = mkdtempSync(join(tmpdir(), 'tandem-lock-'));
try {
  const maven = (...args: string[]) =>
    execFileSync('mvn', ['-q', '-B', '-f', POM, `-DoutputDirectory=${directory}`, ...args], {
      stdio: 'inherit',
    });
  maven('dependency:copy-dependencies', '-Dmdep.useRepositoryLayout=true');
  const jars = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.jar'))
    .map((path) => ({ artifact: toArtifact(path), path }));
  maven('dependency:copy');
  const archive = readArchive(readFileSync(POM, 'utf8'));
  const all = [...jars, { artifact: archive, path: toRepositoryPath(archive).fileName }];
  const files = all
    .map(({ artifact, path }) => {
      const bytes = readFileSync(join(directory, path));
      return { artifact, sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
    })
    .sort((a, b) => (a.artifact < b.artifact ? -1 : 1));
  writeFileSync(LOCK, `${JSON.stringify({ files }, null, 2)}\n`);
  console.log(`${files.length} files, ${files.reduce((sum, { size }) => sum + size, 0)} bytes: ${LOCK}`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
