import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChildGroup } from '../../deploy/local/child-group.ts';
import { fetchJars } from '../../deploy/local/fetch-jars.ts';
import { findJava } from '../../deploy/local/java.ts';
import { type LocalKafka, startKafka } from '../../deploy/local/kafka.ts';

/** A Kafka broker of a test's own, which it may kill and start again. Nothing is left of it after disposal. */
export interface OwnKafka extends AsyncDisposable {
  readonly brokers: string;
  /** By SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
  /** On its port with its data, after `kill`. */
  start(): Promise<void>;
}

export async function openOwnKafka(): Promise<OwnKafka> {
  const home = mkdtempSync(join(tmpdir(), 'tandem-own-kafka-'));
  await using unlessStarted = new AsyncDisposableStack();
  unlessStarted.defer(() => rmSync(home, { recursive: true, force: true }));
  const group = unlessStarted.use(createChildGroup(join(home, 'run')));
  const { kafkaDirectory } = await fetchJars(process.env, () => undefined);
  const java = findJava(process.env);
  const run = (port?: number): Promise<LocalKafka> =>
    startKafka({
      home,
      group,
      java,
      jarDirectory: kafkaDirectory,
      logPath: join(home, 'kafka.log'),
      ...(port === undefined ? {} : { port }),
    });
  let kafka = await run();
  const owned = unlessStarted.move();
  return {
    brokers: kafka.brokers,
    async kill() {
      kafka.child.kill('SIGKILL');
      await kafka.child.exited;
    },
    async start() {
      kafka = await run(kafka.port);
    },
    async [Symbol.asyncDispose]() {
      kafka.child.kill('SIGKILL');
      await owned.disposeAsync();
    },
  };
}
