/**
 * The directory of a sweep: what it is to do, what became of its trials, and their run directories. While a sweep lasts
 * its process has the directory to itself.
 */
import { existsSync } from 'node:fs';
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { canonical } from '../../coordinator/run-directory/checkpoint.ts';
import { lockRunDirectory } from '../../coordinator/run-directory/run-lock.ts';
import { storing } from '../../coordinator/run-directory/storage-error.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { readWholeLines } from './curve.ts';
import type { SweepSpec } from './spec.ts';

const recordSchema = z.object({
  trial: z.int(),
  status: z.enum(['completed', 'stopped', 'failed']),
  /** Why it failed. */
  reason: z.string().optional(),
  /** Whether it would fail in the same way again. */
  isFinal: z.boolean(),
  flags: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  seed: z.int().optional(),
  epochs: z.int(),
  /** Of the objective; null where no epoch was recorded. */
  last: z.number().nullable(),
  best: z.number().nullable(),
  bestEpoch: z.int().nullable(),
  seconds: z.number(),
});

/** What became of a trial: a line of `trials.jsonl`. */
export type TrialRecord = Readonly<z.infer<typeof recordSchema>>;

export interface SweepDirectory {
  readonly path: string;
  /** By the trial's number; of several lines the last. */
  readonly records: ReadonlyMap<number, TrialRecord>;
  trialPath(number: number): string;
  append(record: TrialRecord): Promise<void>;
  write(name: string, content: string | Uint8Array): Promise<void>;
  release(): Promise<void>;
}

/**
 * Makes the directory, or opens that of the same sweep. Throws `ConfigError` when it holds another sweep or another
 * process has it. `parallel` changes no run, and may differ.
 */
export async function openSweepDirectory(
  path: string,
  spec: SweepSpec,
  say: (line: string) => void = () => {},
): Promise<SweepDirectory> {
  const subject = `--sweep-dir ${path}`;
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new ConfigError(describeSystemError(subject, 'made', error), { cause: error });
  }
  const { confirm, release } = await lockRunDirectory(path, subject, { say });
  const file = (name: string) => join(path, name);
  const write = (name: string, content: string | Uint8Array) =>
    storing(file(name), async () => {
      await confirm();
      await writeFileAtomically(file(name), content);
    });
  try {
    const decisive = { ...spec };
    delete decisive.parallel;
    if (!existsSync(file('sweep.json'))) {
      await write('sweep.json', `${JSON.stringify(decisive, undefined, 2)}\n`);
    } else if (
      canonical(readJsonFile(`${subject}: ${file('sweep.json')}`, file('sweep.json'), 'remove the directory')) !==
      canonical(decisive)
    ) {
      throw new ConfigError(
        `${subject}: expected the sweep that was begun there (${file('sweep.json')}), got another: name another ` +
          '--sweep-dir, or remove this one',
      );
    }
    const lines = readWholeLines(file('trials.jsonl'));
    const place = (index: number) => `${file('trials.jsonl')}: line ${index + 1}`;
    const records = new Map<number, TrialRecord>();
    for (const record of lines.map((line, index) => parseRecord(line, place(index)))) records.set(record.trial, record);
    // Without what a crash may have left of a last line: the next one would be glued to it.
    if (lines.length > 0) await write('trials.jsonl', lines.map((line) => `${line}\n`).join(''));
    return {
      path,
      records,
      trialPath: (number) => file(`trial-${String(number).padStart(3, '0')}`),
      async append(record) {
        records.set(record.trial, record);
        await storing(file('trials.jsonl'), async () => {
          await confirm();
          await appendFile(file('trials.jsonl'), `${JSON.stringify(record)}\n`);
        });
      },
      write,
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

function parseRecord(line: string, place: string): TrialRecord {
  try {
    return recordSchema.parse(JSON.parse(line));
  } catch {
    throw new ConfigError(`${place}: expected the record of a trial, got something else: delete that line`);
  }
}
