/** Cutting off the records that are newer than the checkpoint a run is resumed from: they will be made again. */
import { createReadStream, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { readTextFile } from '../../protocol/text-files.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { storing } from './storage-error.ts';

/**
 * Leaves the records of epochs 1 to `numEpochs`; what follows, a torn line too, is cut off. Throws `ConfigError` where one of
 * these is missing.
 */
export async function cutEpochs(path: string, numEpochs: number): Promise<void> {
  if (!existsSync(path) && numEpochs === 0) return;
  const text = existsSync(path) ? readTextFile(path, path) : '';
  const kept = text.split('\n').slice(0, numEpochs);
  const numWhole = kept.findIndex((line, index) => numberOf(line, 'epoch') !== index + 1);
  if (numWhole !== -1 || kept.length < numEpochs) {
    const whole = numWhole === -1 ? kept.length : numWhole;
    throw new ConfigError(
      `--resume: ${path}: expected the records of epochs 1 to ${numEpochs}, as the checkpoint has them, got ${whole}: ` +
        'put the file back from a copy, or start the run anew',
    );
  }
  const whole = kept.map((line) => `${line}\n`).join('');
  if (whole !== text) await storing(path, () => writeFileAtomically(path, whole));
}

/**
 * Leaves the records of steps up to `lastStep`, in their order; what follows, a torn line too, is cut off. None need be
 * there: a run may have recorded no steps so far. The file is read line by line, for it may be large. Throws `ConfigError`
 * where it cannot be read.
 */
export async function cutSteps(path: string, lastStep: number): Promise<void> {
  if (!existsSync(path)) return;
  let keptBytes = 0;
  let before = 0;
  try {
    for await (const line of wholeLinesOf(path)) {
      const step = numberOf(line.toString(), 'step');
      if (step === undefined || step <= before || step > lastStep) break;
      before = step;
      keptBytes += line.length + 1;
    }
  } catch (error) {
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
  await storing(path, async () => {
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      if (size === keptBytes) return;
      await file.truncate(keptBytes);
      await file.datasync();
    } finally {
      await file.close();
    }
  });
}

/** Without their ends; a last line that has none is not whole. */
async function* wholeLinesOf(path: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n', start)) {
      yield rest.subarray(start, end);
      start = end + 1;
    }
    rest = rest.subarray(start);
  }
}

/** A field of a line; undefined where the line is no whole record. */
function numberOf(line: string, field: string): number | undefined {
  try {
    const value = (JSON.parse(line) as Record<string, unknown>)[field];
    return typeof value === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}
