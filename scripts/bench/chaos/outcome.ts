/** What a run ended with, from its directory, and the table of several. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EpochRecord, RunResult } from '../../../coordinator/reporting/reporter.ts';
import { formatTable } from '../../tables/table.ts';
import type { Deed } from './deeds.ts';
import { countOf } from '../../../protocol/counts.ts';

export interface Outcome {
  readonly name: string;
  readonly deeds: ReadonlyMap<Deed, number>;
  /** Of the deeds that were done to workers: to how many, and how many of those had a part in the run just then. */
  readonly membersMet?: { readonly workers: number; readonly members: number } | undefined;
  readonly result: RunResult;
  /** Samples that each epoch counted. */
  readonly samples: ReadonlySet<number>;
  /** How often the coordinator lost a worker that had a part in the run. */
  readonly numLost: number;
  readonly seconds: number;
}

export function readOutcome(runDir: string): Pick<Outcome, 'result' | 'samples' | 'numLost'> {
  const log = readFileSync(join(runDir, 'log.jsonl'), 'utf8');
  return {
    result: JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as RunResult,
    samples: new Set(readEpochs(runDir).map(({ samples }) => samples)),
    numLost: log.match(/"msg":"lost worker /g)?.length ?? 0,
  };
}

/** Those that are whole: the last line may be being written. */
export function readEpochs(runDir: string): EpochRecord[] {
  const path = join(runDir, 'epochs.jsonl');
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  return lines.map((line) => JSON.parse(line) as EpochRecord);
}

export function formatOutcomes(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ name, deeds, membersMet, result, samples, seconds }) => [
    name,
    [...deeds].map(([deed, count]) => `${countOf(count, 'time')} ${deed}`).join(', ') || '-',
    membersMet ? `${membersMet.members} of ${membersMet.workers}` : '-',
    result.parametersSha256.slice(0, 12),
    [...samples].join(', '),
    String(result.steps),
    seconds.toFixed(1),
  ]);
  return formatTable(
    ['run', 'what was done', 'met a member', 'parameters', 'samples an epoch', 'steps', 'seconds'],
    4,
    rows,
  );
}
