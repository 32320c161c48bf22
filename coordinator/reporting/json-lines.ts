/** The reporter for programs: what a run tells, as JSON lines. Each object has a `kind`. */
import type { Reporter } from './reporter.ts';

export interface JsonReporter extends Reporter {
  /** For what is out of the ordinary, in words. */
  readonly warn: (text: string) => void;
}

/**
 * Writes a line for each: `start`, `phase`, `worker`, `control`, `epoch`, `warning`, `end`. An epoch is the record that `epochs.jsonl`
 * has, an end what `result.json` says.
 */
export function createJsonReporter(stream: { write(text: string): unknown }): JsonReporter {
  const write = (kind: string, fields: object) => stream.write(`${JSON.stringify({ kind, ...fields })}\n`);
  return {
    onStart(config, members, runDir) {
      // A member has more than can be told, such as its connection.
      const workers = members.map(({ name, engine, device, threads }) => ({ name, engine, device, threads }));
      write('start', { at: now(), runDir, workers, config });
    },
    onPhase: (doing) => write('phase', { at: now(), doing }),
    onEvent(event) {
      if (event.kind === 'worker' || event.kind === 'control') write(event.kind, { at: now(), ...event });
    },
    onEpoch: (record) => write('epoch', record),
    warn: (text) => write('warning', { at: now(), text }),
    onEnd: (result, runDir) => write('end', { ...result, runDir }),
  };
}

/** In ISO 8601. */
const now = () => new Date().toISOString();
