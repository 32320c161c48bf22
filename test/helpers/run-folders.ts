/** Folders of runs, as runs leave them, without running any. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EpochRecord, RunResult } from '../../coordinator/reporting/reporter.ts';
import type { StepRecord } from '../../coordinator/reporting/step-record.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { createHolder, encodeHolder } from '../../coordinator/run-directory/lock-holder.ts';
import { runConfig } from './cluster.ts';
import { epochRecord, runResult } from './records.ts';

export interface MadeRun {
  readonly config?: { readonly [K in keyof RunConfig]?: RunConfig[K] | undefined } & Readonly<Record<string, unknown>>;
  /** Default: two. */
  readonly epochs?: readonly object[];
  readonly steps?: readonly StepRecord[];
  /** null: none, as of a run that was killed. Default: completed. */
  readonly result?: Partial<RunResult> | null;
  /** `held`: by this process; `left`: by one that is gone. Default: none. */
  readonly lock?: 'held' | 'left';
}

const lines = (records: readonly object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join('');

export function makeRunFolder(path: string, made: MadeRun = {}): string {
  const { config = {}, epochs = [epochRecord(1), epochRecord(2)], steps, result = {}, lock } = made;
  mkdirSync(path, { recursive: true });
  const origin = { gradsock: '1.0.0', node: 'v20', command: 'train --workers 2' };
  const recorded = {
    runId: 'abc',
    ...runConfig({ epochs: 2 }),
    startedAt: '2026-11-29T10:00:00.000Z',
    origin,
    ...config,
  };
  writeFileSync(join(path, 'config.json'), JSON.stringify(recorded));
  writeFileSync(join(path, 'epochs.jsonl'), lines(epochs));
  if (steps) writeFileSync(join(path, 'steps.jsonl'), lines(steps));
  if (result) writeFileSync(join(path, 'result.json'), JSON.stringify(runResult(result)));
  // The first process of all never ended, or is not of this boot.
  const gone = { ...createHolder(), processStart: '1' };
  if (lock) writeFileSync(join(path, 'lock'), encodeHolder(lock === 'held' ? createHolder() : gone));
  return path;
}

export function appendEpoch(path: string, record: EpochRecord): void {
  appendFileSync(join(path, 'epochs.jsonl'), lines([record]));
}
