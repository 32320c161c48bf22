/** The monitoring guide and the Grafana dashboard name the metrics that there are, and no other. */
import { expect, test } from 'vitest';
import { createRunMetrics } from '../../coordinator/reporting/prometheus-metrics.ts';
import { NO_WORKERS } from '../../coordinator/reporting/reported-event.ts';
import { dashboardExpressions, guideRules, metricsNamedIn, monitoringGuide } from '../helpers/monitoring.ts';

interface Described {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** Of the registry, in order of names. */
async function registered(): Promise<Described[]> {
  const { registry } = createRunMetrics({ state: () => 'waiting', census: () => NO_WORKERS });
  const all = await registry.getMetricsAsJSON();
  const labelsOf = (name: string) =>
    (registry.getSingleMetric(name) as unknown as { labelNames: readonly string[] }).labelNames;
  return all
    .map(({ name, type }) => ({ name, type: String(type), labels: labelsOf(name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The table of the guide, in order of names. */
const described: Described[] = monitoringGuide()
  .split('\n')
  .filter((line) => line.startsWith('| `gradsock_'))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, name, type, labels]) => ({
    name: name!.replaceAll('`', ''),
    type: type!,
    labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!),
  }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

test('the guide has a table of all metrics, with their types and labels', async () => {
  expect(described).toEqual(await registered());
});

test('the dashboard and the alerts ask for metrics that there are; the dashboard for all of them', async () => {
  const known = new Set((await registered()).map(({ name }) => name));
  const asked = new Set(dashboardExpressions().flatMap(metricsNamedIn));
  expect([...asked].sort()).toEqual([...known].sort());
  for (const name of metricsNamedIn(guideRules())) expect(known).toContain(name);
});
