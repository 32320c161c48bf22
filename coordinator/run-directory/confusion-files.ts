/** The confusion matrices in a run directory: one file for each epoch that was evaluated. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { removeDrafts, syncFolder, writeFileAtomically } from '../../protocol/atomic-file.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import type { Confusion } from '../reporting/confusion.ts';
import { storing } from './storage-error.ts';

/** In the run directory. */
export const CONFUSION_FOLDER = 'confusion';

const index = z.int().min(0);

const confusionSchema = z.object({
  epoch: z.int().min(1),
  split: z.enum(['test', 'validation']),
  numSamples: index,
  cells: z.array(
    z
      .object({
        label: index,
        predicted: index,
        numSamples: z.int().min(1),
        worst: z.array(index),
        losses: z.array(z.number()),
      })
      .refine(({ worst, losses }) => worst.length === losses.length, 'as many losses as samples'),
  ),
});

const folderOf = (runDir: string): string => join(runDir, CONFUSION_FOLDER);
const pathOf = (runDir: string, epoch: number): string =>
  join(folderOf(runDir), `epoch-${String(epoch).padStart(4, '0')}.json`);

/** The epoch of a file's name; undefined of any other file. */
const epochOf = (name: string): number | undefined => {
  const digits = /^epoch-(\d{4,})\.json$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
};

/** Replaces the epoch's file, or makes it; rejects with the system's error. */
export async function writeConfusion(runDir: string, confusion: Confusion): Promise<void> {
  const folder = folderOf(runDir);
  const firstMade = await mkdir(folder, { recursive: true });
  if (firstMade !== undefined) await syncFolder(dirname(folder));
  await writeFileAtomically(pathOf(runDir, confusion.epoch), `${JSON.stringify(confusion)}\n`);
}

/** The epoch's confusion matrix; undefined where there is none. Throws `ConfigError` for a file that is damaged. */
export function readConfusion(runDir: string, epoch: number): Confusion | undefined {
  const path = pathOf(runDir, epoch);
  if (!existsSync(path)) return undefined;
  const checked = confusionSchema.safeParse(readJsonFile(path, path, 'put the file back from a copy, or remove it'));
  if (checked.success && checked.data.epoch === epoch) return checked.data;
  const { path: at = ['epoch'], message = 'another epoch' } = checked.error?.issues[0] ?? {};
  throw new ConfigError(
    `${path}: expected the confusion matrix of epoch ${epoch}, got something else (${at.join('.')}: ${message}): ` +
      'put the file back from a copy, or remove it',
  );
}

/** Epochs that have a confusion matrix, in their order: none of a run of an older version. Throws `ConfigError`. */
export function confusionEpochs(runDir: string): number[] {
  const folder = folderOf(runDir);
  if (!existsSync(folder)) return [];
  try {
    return epochsOf(readdirSync(folder));
  } catch (error) {
    throw new ConfigError(describeSystemError(folder, 'read', error), { cause: error });
  }
}

const epochsOf = (names: readonly string[]): number[] =>
  names.flatMap((name) => epochOf(name) ?? []).sort((a, b) => a - b);

/** Removes what epochs after `numEpochs` have, and drafts: a run that is resumed makes those epochs again. */
export async function cutConfusions(runDir: string, numEpochs: number): Promise<void> {
  const folder = folderOf(runDir);
  if (!existsSync(folder)) return;
  await storing(folder, async () => {
    await removeDrafts(folder);
    for (const epoch of epochsOf(await readdir(folder))) if (epoch > numEpochs) await rm(pathOf(runDir, epoch));
  });
}
