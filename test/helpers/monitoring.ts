/** What the documentation has for Prometheus and Grafana. */
import { readFileSync } from 'node:fs';

const docs = (path: string) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8');

export const monitoringGuide = (): string => docs('guide/monitoring.md');

/** The alerts of the guide, a file of rules. */
export const guideRules = (): string => /```yaml\n(groups:\n[^]*?)```/.exec(monitoringGuide())![1]!;

/** The expressions of the dashboard, with what Grafana puts in for its variables. */
export function dashboardExpressions(): string[] {
  const { panels } = JSON.parse(docs('examples/grafana.json')) as {
    panels: readonly { targets: readonly { expr: string }[] }[];
  };
  return panels.flatMap(({ targets }) =>
    targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')),
  );
}

/** The metrics that an expression asks for, a histogram by its own name. */
export const metricsNamedIn = (expression: string): string[] =>
  [...expression.matchAll(/gradsock_\w+/g)].map(([name]) =>
    name.replace(/^(gradsock_step_duration_seconds)_(bucket|sum|count)$/, '$1'),
  );
