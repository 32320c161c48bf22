/**
 * Chart: a figure with its legend, its drawing and its data as a table. What draws it comes from outside, so that Node,
 * where nothing can draw, shows the table alone.
 */
import { createContext } from 'preact';
import { useContext, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { lastOf, tableOf } from '../chart-spec.ts';
import type { ChartSpec } from '../chart-spec.ts';
import { Scrolling } from './section.tsx';

/** A chart that is drawn. `update` expects the same series, with other values. */
export interface ChartDrawing {
  update(chart: ChartSpec): void;
  remove(): void;
}

/**
 * Draws into `area`, as large as that is, and writes values into the elements of `legend` that have the class `value`: those
 * at the pointer, else the last.
 */
export type DrawChart = (area: HTMLElement, legend: HTMLElement, chart: ChartSpec) => ChartDrawing;

/** What charts are drawn by; undefined in Node. */
export const ChartDrawer = createContext<DrawChart | undefined>(undefined);

export interface ChartProps {
  readonly chart: ChartSpec;
  /** The chart as SVG, in place of a drawing. It is not escaped. */
  readonly svg?: string | undefined;
}

export function Chart({ chart, svg }: ChartProps) {
  const draw = useContext(ChartDrawer);
  const area = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const drawing = useRef<ChartDrawing>(undefined);
  const seriesNames = chart.series.map(({ label, style }) => `${label} ${style}`).join('\n');
  const isEmpty = chart.x.length === 0;
  const isDrawn = draw !== undefined && svg === undefined && !isEmpty;
  useLayoutEffect(() => {
    if (!isDrawn || !area.current || !legend.current) return;
    const drawn = draw(area.current, legend.current, chart);
    drawing.current = drawn;
    return () => {
      drawing.current = undefined;
      drawn.remove();
    };
  }, [draw, isDrawn, seriesNames]);
  useLayoutEffect(() => drawing.current?.update(chart), [chart]);
  return (
    <figure class={`chart chart-${chart.id}`}>
      <figcaption>
        <h3>{chart.title}</h3>
        <ul class="legend" ref={legend}>
          {(isEmpty ? [] : chart.series).map((series) => (
            <li key={`${series.label} ${series.style}`}>
              <span class={`swatch ${series.colour} ${chart.isStacked ? 'band' : series.style}`} />
              {series.label} <span class="value">{isDrawn ? undefined : chart.format(lastOf(series, chart))}</span>
            </li>
          ))}
        </ul>
      </figcaption>
      {isEmpty ? (
        <p class="empty chart-area">Begins with the first step.</p>
      ) : svg !== undefined ? (
        <div class="chart-area" role="img" aria-label={chart.description} dangerouslySetInnerHTML={{ __html: svg }} />
      ) : (
        draw && <div class="chart-area" role="img" aria-label={chart.description} ref={area} />
      )}
      {!isEmpty && <ChartTable chart={chart} isAlwaysThere={draw === undefined} />}
    </figure>
  );
}

/** The chart's data. Where it changes all the time, the rows are made once they are looked at. */
function ChartTable({ chart, isAlwaysThere }: { readonly chart: ChartSpec; readonly isAlwaysThere: boolean }) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details
      class="chart-table"
      onToggle={(event) => {
        setIsOpen(event.currentTarget.open);
      }}
    >
      <summary>
        Data <span class="hidden">of the chart {chart.title}</span>
      </summary>
      {(isOpen || isAlwaysThere) && <ChartRows chart={chart} />}
    </details>
  );
}

function ChartRows({ chart }: { readonly chart: ChartSpec }) {
  const { head, rows } = tableOf(chart);
  return (
    <Scrolling label={`Data: ${chart.title}`}>
      <table class="figures">
        <thead>
          <tr>
            {head.map((name) => (
              <th scope="col" key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              {row.map((text, column) => (
                <td key={column}>{text}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}
