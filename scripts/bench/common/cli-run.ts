/** Whole runs of the built program, started as a user would, for scripts that keep what comes out of them. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EpochRecord, RunResult } from '../../../coordinator/reporting/reporter.ts';
import { packageVersion } from '../../process.ts';
import { countOf } from '../../../protocol/counts.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/scripts/cli.js', import.meta.url));

export interface CliRun {
  /** All of the run's epochs, one at least. */
  readonly epochs: readonly EpochRecord[];
  readonly result: RunResult;
}

/** What a kept record says of its run beside the figures: on what it was made, when, and with which outcome. */
export interface Provenance {
  readonly engine: string;
  readonly date: string;
  readonly hardware: string;
  readonly node: string;
  readonly gradsock: string;
  readonly parametersSha256: string;
}

/**
 * Runs `gradsock <args>`, a command that trains, to its end; its output is this process's. The run is recorded in
 * `runs/<name>-<time>`. Rejects when it does not end with exit code 0.
 */
export async function runCli(name: string, args: readonly string[]): Promise<CliRun> {
  const runDir = join('runs', `${name}-${Date.now()}`);
  const allArgs = [...args, '--run-dir', runDir];
  await new Promise<void>((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...allArgs], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${allArgs.join(' ')} ended with ${code}`)),
    );
  });
  const lines = readFileSync(join(runDir, 'epochs.jsonl'), 'utf8').trimEnd().split('\n');
  return {
    epochs: lines.map((line) => JSON.parse(line) as EpochRecord),
    result: JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as RunResult,
  };
}

/** The provenance of a run that has just ended on this machine. */
export function provenanceOf({ epochs, result }: CliRun): Provenance {
  const [worker] = epochs[0]!.workers;
  return {
    engine: `${worker!.engine} on ${worker!.device}, ${worker!.threads} thread a worker`,
    date: new Date().toISOString().slice(0, 10),
    hardware: `${countOf(availableParallelism(), 'core')} of ${cpus()[0]?.model.trim() ?? 'an unknown processor'}`,
    node: process.version,
    gradsock: packageVersion(),
    parametersSha256: result.parametersSha256,
  };
}

/** An epoch's loss and accuracies, to four decimal places. */
export function figuresOf({ loss, trainAccuracy, testAccuracy }: EpochRecord) {
  return { loss: round(loss), trainAccuracy: round(trainAccuracy), testAccuracy: round(testAccuracy ?? NaN) };
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
