/**
 * The runs of a folder, as rows of the list. A run is read again only when its files have changed, so that a list of many
 * finished runs costs a look at each folder.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { RunRow } from '../../coordinator/dashboard/runs-messages.ts';
import { stateOf } from '../../coordinator/dashboard/view-of-folder.ts';
import type { RunResult } from '../../coordinator/reporting/reporter.ts';
import { lockPresence } from '../../coordinator/run-directory/lock-presence.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { readRunRecords, rowOf } from './run-records.ts';

export interface RunListing {
  /** The newest first. */
  rows(): Promise<RunRow[]>;
  /** The directory of a run of the list, by its name; undefined for any other name. */
  pathOf(name: string): Promise<string | undefined>;
}

/** What says that a run has changed. */
const RECORDS = ['config.json', 'epochs.jsonl', 'result.json'];
/** More are not listed: a page with them could not be used. */
const MOST_RUNS = 5000;

interface KnownRun {
  readonly signature: string;
  readonly row: RunRow;
  readonly result: RunResult | undefined;
}

/** `folder`: one that holds run directories, or is one. Rejects with `ConfigError` where it cannot be read. */
export async function openRunListing(folder: string): Promise<RunListing> {
  const isSingle = await isRun(folder);
  const known = new Map<string, KnownRun>();
  const placeOf = (name: string) => (isSingle ? folder : join(folder, name));
  const names = async (): Promise<string[]> => {
    if (isSingle) return [basename(resolve(folder))];
    // Links are passed over: they name a run twice, or lead elsewhere.
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  };
  const rowNow = async (name: string): Promise<RunRow[]> => {
    const path = placeOf(name);
    const signature = await signatureOf(path);
    if (signature === undefined) {
      known.delete(name);
      return [];
    }
    let run = known.get(name);
    if (run?.signature !== signature) {
      const records = await readRunRecords(path);
      run = { signature, row: rowOf(name, records), result: records.result };
      known.set(name, run);
    }
    return [{ ...run.row, state: stateOf(await lockPresence(path), run.result) }];
  };
  await names().catch((error: unknown) => {
    throw new ConfigError(describeSystemError(folder, 'read', error), { cause: error });
  });
  return {
    async rows() {
      const rows: RunRow[] = [];
      for (const name of await names().catch(() => [])) {
        if (rows.length < MOST_RUNS) rows.push(...(await rowNow(name)));
      }
      return rows.sort((a, b) => (b.startedAt ?? '').localeCompare(a.startedAt ?? '') || a.name.localeCompare(b.name));
    },
    async pathOf(name) {
      // By comparing names: nothing of what was asked for becomes part of a path.
      const own = (await names().catch(() => [])).find((one) => one === name);
      return own !== undefined && (await isRun(placeOf(own))) ? placeOf(own) : undefined;
    },
  };
}

const isRun = async (path: string): Promise<boolean> => (await signatureOf(path)) !== undefined;

/** Undefined of a folder that holds no run. */
async function signatureOf(path: string): Promise<string | undefined> {
  const found = await Promise.all(RECORDS.map((name) => stat(join(path, name)).catch(() => undefined)));
  if (!found[0]?.isFile()) return undefined;
  return found.map((file) => (file ? `${file.ino} ${file.size} ${file.mtimeMs}` : '-')).join('|');
}
