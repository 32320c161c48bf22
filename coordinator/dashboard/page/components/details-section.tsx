/** How the run is configured; what it runs on, and the command that runs it again. */
import type { RunHead } from '../../run-view.ts';
import { configurationRows } from '../run-facts.ts';
import { Section } from './section.tsx';

export function ConfigurationSection({ head }: { readonly head: RunHead }) {
  const { config } = head;
  return (
    <Section name="configuration" title="Configuration">
      {config ? (
        <Rows label="Configuration" rows={configurationRows(config)} />
      ) : (
        <p class="empty">Known once the run begins.</p>
      )}
    </Section>
  );
}

/** Nothing where neither is recorded. */
export function OriginSection({ head }: { readonly head: RunHead }) {
  const { environment = {}, command } = head;
  const hasEnvironment = Object.keys(environment).length > 0;
  if (!hasEnvironment && command === undefined) return null;
  return (
    <Section name="origin" title={hasEnvironment ? 'Environment' : 'Run it again'}>
      {hasEnvironment && <Rows label="Environment" rows={Object.entries(environment)} />}
      {command !== undefined && (
        <>
          {hasEnvironment && <h3>Run it again</h3>}
          <pre class="command" tabIndex={0} role="region" aria-label="Command that runs it again">
            {command}
          </pre>
        </>
      )}
    </Section>
  );
}

interface RowsProps {
  readonly label: string;
  readonly rows: readonly (readonly [name: string, value: string])[];
}

function Rows({ label, rows }: RowsProps) {
  return (
    <table class="facts" aria-label={label}>
      <tbody>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
