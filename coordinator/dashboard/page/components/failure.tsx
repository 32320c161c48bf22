/** Failure: why a run failed, where, and what the worker said last. */
import type { RunResult } from '../../../reporting/reporter.ts';
import { formatCount } from '../format.ts';

export function Failure({ error }: { readonly error: NonNullable<RunResult['error']> }) {
  const { code, message, worker, host, step, lastLines = [] } = error;
  return (
    <section class="failure" aria-label="Why the run failed">
      <h2>The run failed</h2>
      <p class="message">{message}</p>
      <dl class="facts">
        {worker !== undefined && <Fact name="Worker" value={worker} />}
        {host !== undefined && <Fact name="Host" value={host} />}
        {step !== undefined && <Fact name="Step" value={formatCount(step)} />}
        <Fact name="Code" value={code} />
      </dl>
      {lastLines.length > 0 && (
        <>
          <h3>What the worker said last</h3>
          <pre tabIndex={0}>{lastLines.join('\n')}</pre>
        </>
      )}
    </section>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
