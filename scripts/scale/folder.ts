/** The folder of a scaling measurement: its record, and what is made of it. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { storing } from '../../coordinator/run-directory/storage-error.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import type { ScaleRecord } from './record.ts';
import { formatMarkdown, formatScaleCsv } from './report.ts';
import type { ScaleSummary } from './summary.ts';

export const RECORD_FILE = 'scale.json';

/** "scale-2026-11-30-conv"; where that is there already, with a number behind it. */
export function freshFolder(model: string, date: Date): string {
  const name = `scale-${date.toISOString().slice(0, 10)}-${basename(model, '.json')}`;
  for (let number = 1; ; number++) {
    const path = number === 1 ? name : `${name}-${number}`;
    if (!existsSync(path)) return path;
  }
}

/** Throws `ConfigError` where it cannot be made, or holds a measurement already. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new ConfigError(describeSystemError(`--output ${path}`, 'made', error), { cause: error });
  }
  if (existsSync(join(path, RECORD_FILE))) {
    throw new ConfigError(`--output ${path}: expected a new folder, got one with a ${RECORD_FILE}: name another`);
  }
}

export async function writeRecord(folder: string, record: ScaleRecord): Promise<void> {
  await write(folder, RECORD_FILE, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** Writes `scale.csv`, `scale.md`, `scale.svg` and `scale.png`. */
export async function writeReport(
  folder: string,
  record: ScaleRecord,
  summary: ScaleSummary,
  warn: (line: string) => void,
): Promise<void> {
  await write(folder, 'scale.csv', formatScaleCsv(summary));
  await write(folder, 'scale.md', `${formatMarkdown(record, summary)}\n`);
  // Plots take libraries that no other command needs.
  const [{ drawScale }, { toPng }] = await Promise.all([import('./picture.ts'), import('../plots/png.ts')]);
  const svg = drawScale(record, summary);
  const { bytes, warning } = toPng(svg);
  await write(folder, 'scale.svg', svg);
  await write(folder, 'scale.png', bytes);
  if (warning !== undefined) warn(`warning: ${warning}`);
}

const write = (folder: string, name: string, content: string | Uint8Array): Promise<void> =>
  storing(join(folder, name), () => writeFileAtomically(join(folder, name), content));
