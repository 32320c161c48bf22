/** What differs between two runs: field by field of their configurations, and what came out. */
import { readRunConfig, summariseRun } from './run-summary.ts';

export interface Difference {
  /** "optimizer.name" */
  readonly field: string;
  /** As JSON; undefined where a run has no such field. */
  readonly a: string | undefined;
  readonly b: string | undefined;
}

/** Of no interest: they always differ. */
const OWN = ['runId', 'origin', 'startedAt'];
/** Of the results. */
const RESULTS = [
  'status',
  'epochs',
  'bestEpoch',
  'bestAccuracy',
  'lastAccuracy',
  'lastLoss',
  'trainingSeconds',
] as const;

export function diffRuns(a: string, b: string): { configuration: Difference[]; result: Difference[] } {
  const [left, right] = [flatten(readRunConfig(a)), flatten(readRunConfig(b))];
  const fields = [...new Set([...left.keys(), ...right.keys()])].filter((field) => !OWN.includes(field.split('.')[0]!));
  const [one, other] = [summariseRun(a), summariseRun(b)];
  const differing = ({ a: first, b: second }: Difference) => first !== second;
  return {
    configuration: fields.map((field) => ({ field, a: left.get(field), b: right.get(field) })).filter(differing),
    result: RESULTS.map((field) => ({
      field,
      a: JSON.stringify(one[field]),
      b: JSON.stringify(other[field]),
    })).filter(differing),
  };
}

/** Of several configurations, each value that is not the same in all, as JSON; null where one has no such field. */
export function differingFields(configs: readonly object[]): { field: string; values: (string | null)[] }[] {
  const flat = configs.map((config) => flatten(config));
  const fields = [...new Set(flat.flatMap((one) => [...one.keys()]))];
  return fields
    .filter((field) => !OWN.includes(field.split('.')[0]!))
    .map((field) => ({ field, values: flat.map((one) => one.get(field) ?? null) }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

/** Every value under its path. Lists are values. */
function flatten(value: object, path = ''): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [key, part] of Object.entries(value) as [string, unknown][]) {
    const name = path === '' ? key : `${path}.${key}`;
    if (part !== null && typeof part === 'object' && !Array.isArray(part)) {
      for (const entry of flatten(part, name)) fields.set(...entry);
    } else if (part !== undefined) {
      fields.set(name, JSON.stringify(part));
    }
  }
  return fields;
}

export function formatDiff(a: string, b: string, { configuration, result }: ReturnType<typeof diffRuns>): string {
  const rows = (differences: readonly Difference[]) =>
    differences.map(({ field, a: left = 'none', b: right = 'none' }) => [field, left, right]);
  const table = (title: string, differences: readonly Difference[]) => {
    const lines = [[title, a, b], ...rows(differences)];
    const widths = [0, 1].map((column) => Math.max(...lines.map((line) => line[column]!.length)));
    return lines.map(
      ([first, second, third]) => `${first!.padEnd(widths[0]!)}  ${second!.padEnd(widths[1]!)}  ${third!}`,
    );
  };
  const same = (what: string) => [`${what}: no difference`];
  return [
    ...(configuration.length > 0 ? table('configuration', configuration) : same('configuration')),
    '',
    ...(result.length > 0 ? table('result', result) : same('result')),
  ].join('\n');
}
