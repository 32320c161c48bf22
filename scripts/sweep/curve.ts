/** A run's curve of the objective, from the lines of its `epochs.jsonl` while the run still writes it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import type { Curve } from './median-rule.ts';
import type { Objective } from './spec.ts';

const CURE = 'set an objective that the runs measure';

/**
 * The objective after each whole epoch so far; none where no epoch is recorded. What does not count: a last line that is
 * still being written, and an epoch that an interrupted run broke off, which has null there.
 *
 * Throws `ConfigError` where the lines know no such objective.
 */
export function readCurve(runDir: string, objective: Objective): Curve {
  const path = join(runDir, 'epochs.jsonl');
  const curve: number[] = [];
  for (const line of readWholeLines(path)) {
    const value = (JSON.parse(line) as Partial<Record<Objective, number | null>>)[objective];
    if (value === null) break;
    if (value === undefined) throw new ConfigError(`${path}: expected ${objective} in each line, got none: ${CURE}`);
    curve.push(value);
  }
  return curve;
}

/** The lines of a file, of those that end with a line feed; none where there is no file. */
export function readWholeLines(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
  return text.split('\n').slice(0, -1);
}
