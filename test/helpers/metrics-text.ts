/** The text format of Prometheus, read back. */

/** Values by `name{label="value",...}`, as written. Throws for a line that is none. */
export function parseMetrics(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = /^([a-z_]+(?:\{(?:[a-z]+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)$/.exec(line);
    if (!match || Number.isNaN(Number(match[2]!.replace('Inf', 'Infinity')))) throw new Error(`not a sample: ${line}`);
    values.set(match[1]!, Number(match[2]!.replace('Inf', 'Infinity')));
  }
  return values;
}

/** The values of one metric, by the value of its only label. */
export function byLabel(values: ReadonlyMap<string, number>, name: string): Record<string, number> {
  const found = [...values].flatMap(([key, value]) => {
    const label = new RegExp(`^${name}\\{[a-z]+="([^"]*)"\\}$`).exec(key)?.[1];
    return label === undefined ? [] : [[label, value] as const];
  });
  return Object.fromEntries(found);
}
