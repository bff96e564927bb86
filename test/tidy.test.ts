import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { nodeFlagsOf } from '../deploy/local/supervise.ts';
import { FILES, isTest, ROOT, read, SOURCES } from './support/project-files.ts';

/** Of source files, tests aside. A longer one holds two ideas. */
const MAX_LINES = 365;

function importsOf({ path, text }: { path: string; text: string }): string[] {
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target]) =>
    relative(ROOT, resolve(ROOT, dirname(path), target ?? '')),
  );
}

test('services never import each other', () => {
  const offences = SOURCES.filter(({ path }) => path.startsWith('services/') && !isTest(path)).flatMap(
    (file) => {
      const own = file.path.split('/').slice(0, 2).join('/');
      return importsOf(file)
        .filter((target) => !target.startsWith(`${own}/`) && !target.startsWith('shared/'))
        .map((target) => `${file.path} imports ${target}`);
    },
  );
  expect(offences).toEqual([]);
});

test('shared code imports shared code only, and the domain nothing but itself and the runtime’s errors', () => {
  const offences = SOURCES.filter(({ path }) => path.startsWith('shared/') && !isTest(path)).flatMap(
    (file) => {
      const allowed = file.path.startsWith('shared/domain/')
        ? ['shared/domain/', 'shared/runtime/errors.ts']
        : ['shared/'];
      return importsOf(file)
        .filter((target) => !allowed.some((prefix) => target.startsWith(prefix)))
        .map((target) => `${file.path} imports ${target}`);
    },
  );
  expect(offences).toEqual([]);
});

test('the environment is read in one place a process', () => {
  const mayRead = (path: string) =>
    /^services\/[a-z]+\/main\.ts$/.test(path) ||
    path === 'shared/runtime/run-service.ts' ||
    path.startsWith('deploy/local/') ||
    // The examples that it writes are run elsewhere.
    path === 'services/api/docs/snippets.ts' ||
    path === 'services/api/dashboard/exports/export-files.ts' ||
    path.startsWith('test/');
  const offences = SOURCES.filter(({ path, text }) => !mayRead(path) && /\bprocess\.env\b/.test(text));
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('a file can be read in one sitting', () => {
  const offences = SOURCES.filter(
    ({ path, text }) =>
      /^(services|shared|deploy)\//.test(path) && !isTest(path) && text.split('\n').length > MAX_LINES,
  );
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('what reaches into a client stands in its room of internals, and few may use that', () => {
  const users = [
    'shared/kafka/kafkajs/kafkajs-client.ts',
    'services/extractor/chunk/copy-chunk.ts',
    'services/extractor/chunk/send-rows.ts',
    'services/extractor/chunk/read-rows.ts',
    'services/writer/parts/batch-writer.ts',
  ];
  // pg has no public interface for these two; see shared/postgres/internals/README.md.
  const without = ['services/capture/replication/stream.ts', 'shared/postgres/session.ts'];
  const outside = SOURCES.filter(
    ({ path }) => /^(services|shared)\//.test(path) && !isTest(path) && !path.includes('/internals/'),
  );
  const reaching = /kafkajs\/src|createRequire|getOwnPropertySymbols|\.connection\b/;
  const offences = outside.filter(
    (file) =>
      (reaching.test(file.text) && !without.includes(file.path)) ||
      (importsOf(file).some((target) => target.includes('/internals/')) && !users.includes(file.path)),
  );
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('every connection to a database is a session of ours, with limits of its own', () => {
  const isMain = (path: string) =>
    /^(services|shared)\//.test(path) || /^deploy\/(cli\/|local\/[a-z-]+\.ts)/.test(path);
  const mayOpen = ['deploy/local/postgres.ts', 'deploy/local/scratch-database.ts'];
  const offences = SOURCES.filter(
    ({ path, text }) =>
      isMain(path) && !isTest(path) && !mayOpen.includes(path) && /new pg\.(Client|Pool)\(/.test(text),
  );
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('a process that runs for months combines signals by anySignal, which keeps nothing', () => {
  const offences = SOURCES.filter(({ path }) => /^(services|shared)\//.test(path) && !isTest(path)).filter(
    ({ text }) => text.includes('AbortSignal.any('),
  );
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('nothing is left behind: no focused or skipped test, no note to self, no unchecked type', () => {
  const words = new RegExp(`\\b(${['TO', 'FIX'].join('DO|')}ME)\\b|\\.(only)\\(|@ts-(ignore|nocheck)`);
  const offences = SOURCES.filter(({ path, text }) => path !== 'test/tidy.test.ts' && words.test(text));
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('no configuration is logged whole: a line shows chosen fields', () => {
  const offences = SOURCES.filter(
    ({ path }) => /^(services|shared|deploy)\//.test(path) && !isTest(path),
  ).flatMap(({ path, text }) => {
    const calls = text.matchAll(/\blog\.(?:debug|info|warn|error|child)\(([^;]*?)\);?\n/g);
    return [...calls].flatMap(([call, fields = '']) => {
      // What is left of `config.port` once fields are taken out of it is a whole object.
      const isWhole = /\b(config|settings|env)\b(?![.?\w:'])|\.\.\.\w*[cC]onfig\b(?!\.)/.test(
        fields.replaceAll(/'[^'\n]*'|describeConfig\([^)]*\)/g, ''),
      );
      return isWhole ? [`${path}: ${call.trim()}`] : [];
    });
  });
  expect(offences).toEqual([]);
});

test('a secret is taken out of its wrapper only by the client that needs it', () => {
  const clients = [
    /^shared\/(runtime|postgres|kafka|storage)\//,
    /^shared\/bulk\/(source-pool|handler-secrets)\.ts$/,
    // Sessions of their own kind.
    /^services\/capture\/(build|replication\/stream)\.ts$/,
    /^services\/extractor\/(build|source\/source-session)\.ts$/,
    // The operator's key, and the connection that estimates are asked on.
    /^services\/api\/(config|build|http\/caller)\.ts$/,
  ];
  const offences = SOURCES.filter(
    ({ path, text }) =>
      /^(services|shared)\//.test(path) &&
      !isTest(path) &&
      /\breveal\(/.test(text) &&
      !clients.some((client) => client.test(path)),
  );
  expect(offences.map(({ path }) => path)).toEqual([]);
});

test('every topic has a row in the topic catalogue, and every Avro schema is named there', () => {
  const catalogue = read('schemas/README.md');
  const topics = [...read('shared/kafka/topics.ts').matchAll(/`\$\{prefix\}\.([a-z]+)/g)].map(
    ([, name]) => name,
  );
  expect(topics.length).toBeGreaterThan(3);
  expect(topics.filter((name) => !catalogue.includes(`tandem.${name}`))).toEqual([]);
  const schemas = FILES.filter((path) => path.endsWith('.avsc'));
  const missing = schemas.filter(
    (path) => !catalogue.includes((JSON.parse(read(path)) as { name: string }).name),
  );
  expect(missing).toEqual([]);
});

test('what crosses services is named in shared/protocol alone', () => {
  const named: readonly (readonly [RegExp, string])[] = [
    [/['"`]tandem\.(seal|heartbeat|bulk|account|reset|aside|skip)['"`]/, 'a WAL message'],
    [/['"`]tandem_(events|webhooks|seals|assemblies)['"`]/, 'a channel of the control store'],
    [/['"`](exports|parts)\/\$\{/, 'a path in storage'],
    [/\}-value`/, 'a subject of the registry'],
    [/\$\{[\w.]*[pP]refix\}\.(api|bulk|capture|dispatcher|extractor|writer)\b/, 'a consumer group'],
    [
      /headers\??\.(type|account|op|resource|export|chunk|attempt|seq|last|chain|traceparent)\b(?! =[^=])/,
      'a Kafka header',
    ],
    [/headers: \{ (type|account|op|resource|export|chunk)\b/, 'a Kafka header'],
  ];
  // The topic `<prefix>.capture` has a home of its own.
  const mayName = (path: string) => path.startsWith('shared/protocol/') || path === 'shared/kafka/topics.ts';
  const offences = SOURCES.filter(
    ({ path }) => /^(services|shared|deploy)\//.test(path) && !isTest(path) && !mayName(path),
  ).flatMap(({ path, text }) =>
    named.flatMap(([pattern, what]) => {
      const found = pattern.exec(text)?.[0];
      return found === undefined ? [] : [`${path} names ${what}: ${found}`];
    }),
  );
  expect(offences).toEqual([]);
  const codecs = SOURCES.filter(
    ({ path, text }) => !isTest(path) && /= createMessageCodec\(|[^n] createMessageCodec\(/.test(text),
  );
  expect(codecs.map(({ path }) => path)).toEqual(['shared/service/open-parts.ts']);
});

test('every setting that a service reads is in deploy/configuration.md', () => {
  const document = read('deploy/configuration.md');
  const names = SOURCES.filter(({ path }) => /^(services|shared)\//.test(path) && !isTest(path)).flatMap(
    ({ text }) =>
      [
        ...text.matchAll(/read\.(?:string|optional|secret|integer|boolean|list|oneOf|url)\(\s*'([A-Z_]+)'/g),
      ].map(([, name]) => name ?? ''),
  );
  expect(names.length).toBeGreaterThan(5);
  expect([...new Set(names)].filter((name) => !document.includes(`\`${name}\``))).toEqual([]);
});

/** Events that a file logs as a warning or an error: by `log.warn('…')`, `log[level]('…')`, or by either in a variable. */
function loudEvents(text: string): string[] {
  const variables = text.matchAll(/\bconst (\w+) =(?:(?!\bconst\b)[^;])*\blog\.(?:warn|error)\b(?!\()/g);
  const callees = [
    'log\\.(?:warn|error)\\)?',
    'log\\[[^\\]]*\\]',
    ...[...variables].map(([, name]) => `\\b${name}`),
  ];
  const calls = text.matchAll(new RegExp(`(?:${callees.join('|')})\\(\\s*(['\`])(.+?)\\1`, 'g'));
  return [...calls].map(([, , event = '']) => event.replace(/\$\{[^}]*\}/, 'any'));
}

test('every warning and error that a log may hold is in the runbook, by its name or by a pattern', () => {
  const named = [...read('deploy/README.md').matchAll(/`([a-z_*]+\.[a-z_*]+)`/g)].map(
    ([, name = '']) => name,
  );
  const patterns = named.map((name) => new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('*', '.*')}$`));
  const events = SOURCES.filter(({ path }) => /^(services|shared)\//.test(path) && !isTest(path)).flatMap(
    ({ text }) => loudEvents(text),
  );
  expect(events.length).toBeGreaterThan(50);
  expect(events).toEqual(
    expect.arrayContaining([
      'outbox.relay_failed',
      'slot.state_changed',
      'session.failed',
      'any.claim_failed',
    ]),
  );
  const missing = events.filter((event) => !patterns.some((pattern) => pattern.test(event)));
  expect([...new Set(missing)].sort()).toEqual([]);
});

test('the tests that run against each major of PostgreSQL exist', () => {
  const named = [...read('test/postgres-major.ts').matchAll(/^ {2}'([a-z/.-]+)',$/gm)].map(
    ([, name]) => name,
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !FILES.includes(`test/integration/${name}.test.ts`))).toEqual([]);
});

test('the top level holds what was agreed and nothing else', () => {
  const agreed = [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'services',
    'shared',
    'schemas',
    'deploy',
    'test',
  ];
  const top = new Set(FILES.map((path) => path.split('/')[0] ?? ''));
  expect([...top].filter((name) => !name.startsWith('.') && !agreed.includes(name))).toEqual([]);
});

test('the licence is there in full, and package.json names it', () => {
  const licence = read('LICENSE');
  expect(licence).toContain('Apache License');
  expect(licence).toContain('END OF TERMS AND CONDITIONS');
  expect((JSON.parse(read('package.json')) as { license: string }).license).toBe('Apache-2.0');
});

test('a service has the same space for young objects by itself, in an image and with all others', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const image = read('deploy/image/run.sh');
  const [, usual] = /^semi_space=(\d+)$/m.exec(image) ?? [];
  for (const name of ['api', 'extractor', 'writer', 'capture', 'dispatcher', 'bulk'] as const) {
    const [, own = usual] = new RegExp(`^  ${name}\\) semi_space=(\\d+) ;;$`, 'm').exec(image) ?? [];
    const flag = `--max-semi-space-size=${own}`;
    expect(nodeFlagsOf(name).findLast((each) => each.startsWith('--max-semi'))).toBe(flag);
    expect(scripts[`start:${name}`]).toContain(`${flag} `);
  }
});

test('the version is written in package.json alone', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const quoted = new RegExp(`['"]${version.replaceAll('.', '\\.')}['"]`);
  expect(SOURCES.filter(({ text }) => quoted.test(text)).map(({ path }) => path)).toEqual([]);
});
