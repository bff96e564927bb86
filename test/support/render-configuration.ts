import type { DeclaredSetting } from '../../deploy/cli/declared-settings.ts';
import { SETTING_GROUPS } from '../../shared/runtime/setting-text.ts';
import { SETTINGS, type SettingName } from '../../shared/runtime/settings.ts';

const HEAD = `<!-- Made from shared/runtime/settings.ts and the services' config.ts by test/configuration.test.ts; UPDATE_GOLDEN=1 rewrites it. -->

# Configuration

Everything is set by environment variables. An empty one counts as not set, and a wrong one ends the start with what is wrong.
\`npm start\` and the other commands read \`.env\` when it is there, and set whatever is not set: each variable that you set for
a server (\`DATABASE_URL\`, \`KAFKA_BROKERS\`, \`SCHEMA_REGISTRY_URL\`, \`STORAGE_URL\`) replaces one that they would start.

The services take the same variables. \`npm run start:api\`, \`start:extractor\`, \`start:writer\`, \`start:capture\`, \`start:dispatcher\` and
\`start:bulk\` run one each, as often as you like.
`;

interface Described {
  readonly name: SettingName;
  readonly means: string;
  readonly group: string;
  readonly defaultText?: string;
  readonly local?: string;
  readonly readBy?: string;
}

/** The text of `deploy/configuration.md`. */
export function renderConfiguration(declared: readonly DeclaredSetting[]): string {
  const all = Object.entries(SETTINGS).map(([name, text]) => ({ name, ...text }) as Described);
  const groups = Object.entries(SETTING_GROUPS).map(([group, title]) => {
    const rows = all.filter((setting) => setting.group === group).map((setting) => row(setting, declared));
    return [
      `## ${title}`,
      '',
      '| Variable | Default | Range | Read by | What it does |',
      '|---|---|---|---|---|',
      ...rows,
    ].join('\n');
  });
  return `${[HEAD, ...groups].join('\n\n').replace(/\n{3,}/g, '\n\n')}\n`;
}

function row(setting: Described, declared: readonly DeclaredSetting[]): string {
  const mine = declared.filter(({ name }) => name === setting.name);
  const readBy = setting.readBy ?? mine.map(({ service }) => service).join(', ');
  const cells = [
    `\`${setting.name}\``,
    showDefault(setting, mine),
    showRange(setting.name, mine),
    readBy,
    setting.means,
  ];
  return `| ${cells.join(' | ')} |`;
}

function showDefault({ name, defaultText, local }: Described, mine: readonly DeclaredSetting[]): string {
  if (defaultText !== undefined) return defaultText;
  const fallback = mine[0]?.fallback;
  if (fallback === null) return '–';
  if (fallback !== undefined) return `\`${fallback}\`${inWords(name, Number(fallback))}`;
  return local === undefined ? 'required' : `required; \`npm start\`: ${local}`;
}

/** Where services differ, what all of them take. */
function showRange(name: SettingName, mine: readonly DeclaredSetting[]): string {
  const allowed = mine[0]?.allowed;
  if (allowed !== undefined) return allowed.map((value) => `\`${value}\``).join(', ');
  const min = Math.max(...mine.map((one) => one.min ?? Number.NEGATIVE_INFINITY));
  const max = Math.min(...mine.map((one) => one.max ?? Number.POSITIVE_INFINITY));
  if (!Number.isFinite(min) && !Number.isFinite(max)) return '–';
  if (!Number.isFinite(max) || max === 2 ** 31 - 1) return `from ${min}`;
  return `${min} to ${max}${inWords(name, max)}`;
}

const DURATIONS = [
  { unit: 'd', seconds: 86_400 },
  { unit: 'h', seconds: 3_600 },
  { unit: 'min', seconds: 60 },
];

const SIZES = [
  { unit: 'GiB', bytes: 1_024 ** 3 },
  { unit: 'MiB', bytes: 1_024 ** 2 },
  { unit: 'KiB', bytes: 1_024 },
  { unit: 'MB', bytes: 1_000_000 },
];

/** A long count of milliseconds, seconds or bytes in a unit that makes it short: ` (6 h)`; empty when there is none. */
function inWords(name: SettingName, value: number): string {
  const seconds = name.endsWith('_MS') ? value / 1_000 : name.endsWith('_SECONDS') ? value : 0;
  const duration = DURATIONS.find((one) => seconds >= one.seconds && seconds % one.seconds === 0);
  if (duration !== undefined) return ` (${seconds / duration.seconds} ${duration.unit})`;
  const size = name.endsWith('_BYTES')
    ? SIZES.find(({ bytes }) => value >= bytes && value % bytes === 0)
    : undefined;
  return size === undefined ? '' : ` (${value / size.bytes} ${size.unit})`;
}
