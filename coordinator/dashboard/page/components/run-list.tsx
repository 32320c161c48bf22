/** RunList: the runs of a folder in a table that is searched and sorted, with some chosen to compare. */
import { useState } from 'preact/hooks';
import { countOf } from '../../../../protocol/counts.ts';
import { MOST_COMPARED } from '../../runs-messages.ts';
import type { RunRow } from '../../runs-messages.ts';
import { formatCount, formatDate, formatDuration, formatNumber, formatPercent } from '../format.ts';
import { NEWEST_FIRST, orderAfter, RUN_COLUMNS, searchRuns, sortRuns } from '../run-list-facts.ts';
import type { RunColumn, RunOrder } from '../run-list-facts.ts';
import { Scrolling } from './section.tsx';

export interface RunListProps {
  readonly runs: readonly RunRow[];
  /** The address of a run's page. */
  readonly linkOf: (name: string) => string;
  /** The address of the comparison of several. */
  readonly compareLink: (names: readonly string[]) => string;
}

export function RunList({ runs, linkOf, compareLink }: RunListProps) {
  const [search, setSearch] = useState('');
  const [order, setOrder] = useState<RunOrder>(NEWEST_FIRST);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const shown = sortRuns(searchRuns(runs, search), order);
  const here = chosen.filter((name) => runs.some((run) => run.name === name));
  const toggle = (name: string) =>
    setChosen(here.includes(name) ? here.filter((one) => one !== name) : [...here, name]);
  return (
    <>
      <div class="list-tools">
        <label class="search">
          <span class="hidden">Search the runs</span>
          <input
            type="search"
            placeholder="Search by name, model, data or state"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </label>
        <p class="note" role="status">
          {shown.length === runs.length
            ? countOf(runs.length, 'run')
            : `${shown.length} of ${countOf(runs.length, 'run')}`}
        </p>
        <CompareLink names={here} compareLink={compareLink} />
      </div>
      <section class="section section-runs" aria-label="Runs">
        {shown.length === 0 ? (
          <p class="empty">
            {runs.length === 0 ? 'There is no run in this folder yet.' : 'No run has all these words.'}
          </p>
        ) : (
          <Scrolling label="Table of runs">
            <table>
              <thead>
                <tr>
                  <td class="choice" />
                  {RUN_COLUMNS.map((column) => (
                    <Heading key={column.name} column={column} order={order} onOrder={setOrder} />
                  ))}
                </tr>
              </thead>
              <tbody>
                {shown.map((run) => (
                  <Row
                    key={run.name}
                    run={run}
                    link={linkOf(run.name)}
                    isChosen={here.includes(run.name)}
                    canChoose={here.length < MOST_COMPARED}
                    onToggle={toggle}
                  />
                ))}
              </tbody>
            </table>
          </Scrolling>
        )}
      </section>
    </>
  );
}

function CompareLink({
  names,
  compareLink,
}: { readonly names: readonly string[] } & Pick<RunListProps, 'compareLink'>) {
  if (names.length < 2) return <p class="note compare">Choose two runs or more to compare them.</p>;
  return (
    <a class="button primary compare" href={compareLink(names)}>
      Compare {countOf(names.length, 'run')}
    </a>
  );
}

interface HeadingProps {
  readonly column: RunColumn;
  readonly order: RunOrder;
  readonly onOrder: (order: RunOrder) => void;
}

function Heading({ column, order, onOrder }: HeadingProps) {
  const isOrdered = order.by === column.name;
  const direction = order.isDescending ? 'descending' : 'ascending';
  return (
    <th scope="col" class={column.isNumber ? 'number' : undefined} aria-sort={isOrdered ? direction : undefined}>
      <button type="button" class="sort" onClick={() => onOrder(orderAfter(order, column))}>
        {column.title}
        <span class="arrow" aria-hidden="true">
          {isOrdered ? (order.isDescending ? '▼' : '▲') : ''}
        </span>
      </button>
    </th>
  );
}

interface RowProps {
  readonly run: RunRow;
  readonly link: string;
  readonly isChosen: boolean;
  readonly canChoose: boolean;
  readonly onToggle: (name: string) => void;
}

function Row({ run, link, isChosen, canChoose, onToggle }: RowProps) {
  const { name, state, startedAt, epochs, plannedEpochs } = run;
  return (
    <tr>
      <td class="choice">
        <input
          type="checkbox"
          aria-label={`Compare ${name}`}
          checked={isChosen}
          disabled={!isChosen && !canChoose}
          onChange={() => onToggle(name)}
        />
      </td>
      <th scope="row">
        <a href={link}>{name}</a>
      </th>
      <td>
        <span class={`state state-${state}`}>{state}</span>
      </td>
      <td>{run.model}</td>
      <td>{run.data}</td>
      <td>{run.recipe}</td>
      <td class="number">{epochs === plannedEpochs ? epochs : `${epochs} of ${plannedEpochs}`}</td>
      <td class="number strong">{formatPercent(run.bestAccuracy)}</td>
      <td class="number">{formatNumber(run.loss)}</td>
      <td class="number">{formatDuration(run.seconds)}</td>
      <td class="number">{run.workers}</td>
      <td class="number">{formatCount(run.samplesPerSecond)}</td>
      <td>{startedAt === null ? '–' : <time dateTime={startedAt}>{formatDate(startedAt)}</time>}</td>
    </tr>
  );
}
