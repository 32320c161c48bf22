/** ComparisonPage: runs side by side: their figures, their curves over each other, what differs, and what more workers gave. */
import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Comparison } from '../../runs-messages.ts';
import type { ChartId, ChartSpec } from '../chart-spec.ts';
import { COMPARED_FIGURES, comparisonCharts, lookOf, scalingCharts, scalingOf } from '../comparison-charts.ts';
import type { ComparisonAxis } from '../comparison-charts.ts';
import { formatCount, formatNumber, formatPercent } from '../format.ts';
import { Chart } from './chart.tsx';
import { Scrolling, Section } from './section.tsx';

export interface ComparisonPageProps {
  readonly comparison: Comparison;
  /** What curves are drawn over. Default: epochs. */
  readonly axis?: ComparisonAxis;
  /** Absent where nothing can be chosen. */
  readonly onAxis?: ((axis: ComparisonAxis) => void) | undefined;
  /** The address of a run's page; absent where there is none. */
  readonly linkOf?: ((name: string) => string) | undefined;
  /** Charts as SVG, for where nothing draws. They are not escaped. */
  readonly svgs?: Partial<Record<ChartId, string>>;
}

const AXIS_TEXTS = { epochs: 'by epoch', seconds: 'by time' } as const;
const NO_SVGS = {};

export function ComparisonPage({ comparison, axis = 'epochs', onAxis, linkOf, svgs = NO_SVGS }: ComparisonPageProps) {
  const charts = useMemo(() => comparisonCharts(comparison, axis), [comparison, axis]);
  const scaling = useMemo(() => scalingOf(comparison.runs), [comparison]);
  return (
    <>
      <Section name="figures" title="Results">
        <Figures comparison={comparison} linkOf={linkOf} />
      </Section>
      <Section name="learning" title="Curves" note={onAxis ? undefined : AXIS_TEXTS[axis]}>
        {onAxis && <AxisChoice axis={axis} onAxis={onAxis} />}
        <Charts charts={charts} svgs={svgs} />
      </Section>
      {scaling.length > 0 && (
        <Section name="scaling" title="Workers" note="against the fewest workers among these runs">
          <Charts charts={scalingCharts(scaling)} svgs={svgs} />
          <ScalingTable scaling={scaling} />
        </Section>
      )}
      <Section name="differences" title="What differs">
        <Differences comparison={comparison} />
      </Section>
    </>
  );
}

function Charts({
  charts,
  svgs,
}: {
  readonly charts: readonly ChartSpec[];
  readonly svgs: Partial<Record<ChartId, string>>;
}) {
  return (
    <div class="charts">
      {charts.map((chart) => (
        <Chart key={chart.id} chart={chart} svg={svgs[chart.id]} />
      ))}
    </div>
  );
}

function AxisChoice({
  axis,
  onAxis,
}: {
  readonly axis: ComparisonAxis;
  readonly onAxis: (axis: ComparisonAxis) => void;
}) {
  return (
    <fieldset class="axis-choice">
      <legend class="hidden">What curves are drawn over</legend>
      {(['epochs', 'seconds'] as const).map((one) => (
        <label key={one}>
          <input type="radio" name="axis" checked={one === axis} onChange={() => onAxis(one)} /> {AXIS_TEXTS[one]}
        </label>
      ))}
    </fieldset>
  );
}

function RunHeads({ runs, linkOf }: Pick<Comparison, 'runs'> & Pick<ComparisonPageProps, 'linkOf'>) {
  return (
    <>
      {runs.map(({ name }, index) => (
        <th scope="col" key={name}>
          <span class={`swatch ${lookOf(index).colour} ${lookOf(index).style}`} />
          {linkOf ? <a href={linkOf(name)}>{name}</a> : name}
        </th>
      ))}
    </>
  );
}

function Figures({ comparison: { runs }, linkOf }: Pick<ComparisonPageProps, 'comparison' | 'linkOf'>) {
  const names: readonly (readonly [string, (run: (typeof runs)[number]) => ComponentChildren])[] = [
    ['Model', ({ model }) => model],
    ['Data', ({ data }) => data],
    ...COMPARED_FIGURES,
  ];
  return (
    <CompareTable label="Figures of each run" runs={runs} linkOf={linkOf}>
      {names.map(([title, textOf]) => (
        <tr key={title}>
          <th scope="row">{title}</th>
          {runs.map((run) => (
            <td key={run.name}>{textOf(run)}</td>
          ))}
        </tr>
      ))}
    </CompareTable>
  );
}

function Differences({ comparison: { runs, differences } }: Pick<ComparisonPageProps, 'comparison'>) {
  if (differences.length === 0) return <p class="empty">The configurations are the same.</p>;
  return (
    <CompareTable label="Values that differ" runs={runs} linkOf={undefined}>
      {differences.map(({ field, values }) => (
        <tr key={field}>
          <th scope="row">{field}</th>
          {values.map((value, i) => (
            <td key={i} title={value ?? undefined}>
              {valueText(value)}
            </td>
          ))}
        </tr>
      ))}
    </CompareTable>
  );
}

const MOST_CHARACTERS = 60;

/** A value that is JSON: texts without quotes, and long ones shortened. */
function valueText(value: string | null): string {
  if (value === null) return '–';
  const text = /^"[^"\\]*"$/.test(value) ? value.slice(1, -1) : value;
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS - 1)}…` : text;
}

interface CompareTableProps extends Pick<Comparison, 'runs'>, Pick<ComparisonPageProps, 'linkOf'> {
  readonly label: string;
  readonly children: ComponentChildren;
}

function CompareTable({ label, runs, linkOf, children }: CompareTableProps) {
  return (
    <Scrolling label={label}>
      <table class="compared">
        <thead>
          <tr>
            <td />
            <RunHeads runs={runs} linkOf={linkOf} />
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scrolling>
  );
}

function ScalingTable({ scaling }: { readonly scaling: ReturnType<typeof scalingOf> }) {
  return (
    <Scrolling label="What more workers gave">
      <table class="figures">
        <thead>
          <tr>
            {['Run', 'Workers', 'Samples per second', 'Speedup', 'Efficiency'].map((title) => (
              <th scope="col" key={title}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {scaling.map(({ name, workers, samplesPerSecond, speedup, efficiency }) => (
            <tr key={name}>
              <td>{name}</td>
              <td>{workers}</td>
              <td>{formatCount(samplesPerSecond)}</td>
              <td>{formatNumber(speedup)} x</td>
              <td>{formatPercent(efficiency, 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}
