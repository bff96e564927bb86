import type { Env } from '../../../shared/runtime/env.ts';
import { envReader } from '../../../shared/runtime/env.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { readLogLevel } from '../../../shared/runtime/log.ts';
import { isSecretName, maskUrl } from '../../../shared/runtime/redact.ts';
import { SETTINGS, type SettingName } from '../../../shared/runtime/settings.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import type { Command, CommandContext } from '../command.ts';
import { type DeclaredSetting, readServiceSettings, type ServiceSettings } from '../declared-settings.ts';

/** Reads the environment alone, so it works where nothing else does. */
export const configListCommand: Command = {
  name: 'config list',
  showsSettings: true,
  summary: 'show every setting as the services read it, and what is wrong with it',
  examples: ['tandem config list --service writer', 'tandem config list --set --json'],
  notes: `Exits 0 when every service accepts its settings, 1 when not. Reads the environment and .env, as the services do;
where a Tandem runs here, its servers too. Values of secrets are not shown.`,
  declare(program, perform) {
    program
      .option('--service <name>', 'only settings that this service reads')
      .option('--set', 'only settings that are set or wrong', false)
      .option('--json', 'print one JSON object instead of lines', false)
      .action((options: ListOptions) => perform((context) => Promise.resolve(list(context, options))));
  },
};

interface ListOptions {
  readonly service?: string;
  readonly set: boolean;
  readonly json: boolean;
}

/** A setting as it applies. */
interface ListedSetting {
  readonly name: string;
  /** As it may be shown. Null: none. */
  readonly value: string | null;
  /** `missing`: a service needs it. `stack`: the Tandem that runs here sets it. */
  readonly origin: 'set' | 'stack' | 'default' | 'unset' | 'missing';
  /** Who reads it. */
  readonly readBy: readonly string[];
  readonly problems: readonly string[];
}

const HIDDEN = '***';

function list({ env, home, say }: CommandContext, { service, set, json }: ListOptions): number {
  const running = findRunningTandem(home);
  // Its services have a secret of their own, which is not shown either.
  const keys = { ADMIN_KEY: running?.adminKey, SECRET_KEY: running?.adminKey };
  const stack: Env = running === null ? {} : { ...running.parts, ...keys };
  const services = readServiceSettings({ ...stack, ...env });
  if (service !== undefined && !services.some((one) => one.service === service)) {
    throw new SetupError(
      `there is no service "${service}": it is one of ${services.map((one) => one.service).join(', ')}`,
    );
  }
  const wanted = (Object.keys(SETTINGS) as SettingName[])
    .map((name) => describe(name, services, env, stack))
    .filter(({ readBy }) => service === undefined || readBy.includes(service) || readBy.includes('all'))
    .filter(({ origin, problems }) => !set || problems.length > 0 || ['set', 'stack'].includes(origin));
  const isValid = wanted.every(({ problems }) => problems.length === 0);
  if (json) {
    const settings = wanted.map(({ readBy, ...rest }) => ({ ...rest, read_by: readBy }));
    say(JSON.stringify({ valid: isValid, settings }));
  } else {
    for (const line of lines(wanted)) say(line);
    say(isValid ? 'every service accepts these settings' : 'a service with a wrong setting does not start');
  }
  return isValid ? 0 : 1;
}

function describe(
  name: SettingName,
  services: readonly ServiceSettings[],
  env: Env,
  stack: Env,
): ListedSetting {
  const { readBy } = SETTINGS[name] as { readonly readBy?: string };
  const declared = services.flatMap((one) => one.declared.filter((setting) => setting.name === name));
  const problems = new Set(services.flatMap((one) => one.problems).filter((problem) => isOf(name, problem)));
  if (name === 'LOG_LEVEL') for (const problem of logLevelProblems(env)) problems.add(problem);
  const own = env[name]?.trim() || undefined;
  const given = own ?? stack[name];
  const origin = own !== undefined ? 'set' : given !== undefined ? 'stack' : originOf(declared[0], problems);
  return {
    name,
    value: given === undefined ? shownDefault(name, declared[0]) : shown(name, given, declared[0]),
    origin,
    readBy: readBy?.split(', ') ?? declared.map((one) => one.service),
    problems: [...problems],
  };
}

/** A problem begins with the name of its setting. */
const isOf = (name: string, problem: string) => /^[A-Z_]+/.exec(problem)?.[0] === name;

function originOf(
  declared: DeclaredSetting | undefined,
  problems: ReadonlySet<string>,
): ListedSetting['origin'] {
  if (problems.size > 0) return 'missing';
  return declared?.fallback == null ? 'unset' : 'default';
}

function shown(name: SettingName, value: string, declared: DeclaredSetting | undefined): string {
  const kind = declared?.kind ?? (isSecretName(name) ? 'secret' : 'plain');
  if (kind === 'secret') return HIDDEN;
  if (kind === 'url') return maskUrl(value);
  // A list may hold URLs, each with a login of its own.
  const parts = value.split(',').map((part) => part.trim());
  return parts.map((part) => (hasMoreThanAddress(part) ? maskUrl(part) : part)).join(',');
}

/** Whether a text is a URL with a login, a query or a fragment. */
const hasMoreThanAddress = (text: string) => text.includes('://') && /[@?#]/.test(text);

function shownDefault(name: SettingName, declared: DeclaredSetting | undefined): string | null {
  const { fallback } = declared ?? {};
  if (fallback == null) return null;
  return fallback in SETTINGS && name !== fallback ? `as ${fallback}` : fallback;
}

function logLevelProblems(env: Env): readonly string[] {
  const read = envReader(env);
  const level = readLogLevel(read, 'info');
  try {
    read.done({ level });
    return [];
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return error.findings;
  }
}

function lines(settings: readonly ListedSetting[]): string[] {
  const width = Math.max(0, ...settings.map(({ name }) => name.length));
  return settings.flatMap(({ name, value, origin, readBy, problems }) => [
    `${name.padEnd(width)}  ${origin.padEnd(7)}  ${value ?? '–'}  (${readBy.join(', ')})`,
    ...problems.map((problem) => `  - ${problem}`),
  ]);
}
