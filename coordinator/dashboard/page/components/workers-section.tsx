/** WorkersSection: a row for each worker. */
import { countOf } from '../../../../protocol/counts.ts';
import type { WorkerView } from '../../run-view.ts';
import { formatCount, formatMs, formatPercent } from '../format.ts';
import { Scrolling, Section } from './section.tsx';

export function WorkersSection({ workers }: { readonly workers: readonly WorkerView[] }) {
  if (workers.length === 0) {
    return (
      <Section name="workers" title="Workers">
        <p class="empty">No worker has joined yet.</p>
      </Section>
    );
  }
  const numHere = workers.filter(({ state }) => state !== 'lost').length;
  const note =
    numHere === workers.length
      ? countOf(numHere, 'worker')
      : `${numHere} of ${countOf(workers.length, 'worker')} at work`;
  return (
    <Section name="workers" title="Workers" note={note}>
      <Scrolling label="Table of workers">
        <table>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Compute
              </th>
              <th
                scope="col"
                class="number"
                title="Time of a step in which all other workers waited for this one alone"
              >
                Delay
              </th>
              <th scope="col">Share</th>
              <th scope="col" class="number">
                Samples
              </th>
              <th scope="col">Engine</th>
              <th scope="col">Device</th>
              <th scope="col" class="number">
                Reconnects
              </th>
              <th scope="col">Host</th>
            </tr>
          </thead>
          <tbody>
            {workers.map((worker) => (
              <WorkerRow key={worker.id} worker={worker} />
            ))}
          </tbody>
        </table>
      </Scrolling>
      <p class="note">
        Compute and delay are means of the last steps. Delay is the time for which all other workers waited for this one
        alone.
      </p>
    </Section>
  );
}

function WorkerRow({ worker }: { readonly worker: WorkerView }) {
  const { name, state, engine, device, threads, share, computeMs, delayMs, numSamples, numReconnects, host } = worker;
  return (
    <tr class={`worker-${state}`}>
      <th scope="row">{name}</th>
      <td>
        <span class={`dot dot-${state}`} />
        {state}
      </td>
      <td class="number">{formatMs(computeMs)}</td>
      <td class="number">{formatMs(delayMs)}</td>
      <td class="share">
        <meter min={0} max={1} value={share} aria-label={`Share of the samples of ${name}`} />
        <span>{formatPercent(share, 0)}</span>
      </td>
      <td class="number">{formatCount(numSamples)}</td>
      <td>{engine}</td>
      <td>
        {device}
        {threads !== undefined && <span class="note">, {countOf(threads, 'thread')}</span>}
      </td>
      <td class="number">{formatCount(numReconnects)}</td>
      <td>{host ?? '–'}</td>
    </tr>
  );
}
