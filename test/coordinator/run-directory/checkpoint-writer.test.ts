import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  BEST_NAME,
  checkpointName,
  createCheckpointWriter,
  listCheckpoints,
} from '../../../coordinator/run-directory/checkpoint-writer.ts';
import { decodeCheckpoint } from '../../../coordinator/run-directory/checkpoint.ts';
import { StorageError } from '../../../coordinator/run-directory/storage-error.ts';
import { writeFileAtomically } from '../../../protocol/atomic-file.ts';
import { headerAt, replicaAt, RUN_ID } from '../../helpers/checkpoints.ts';
import { runConfig } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const owner = { runId: RUN_ID, config: runConfig(), stateLength: replicaAt(0).state.length };
const stepIn = (folder: string, name: string) => {
  const { header, state } = decodeCheckpoint(name, readFileSync(join(folder, name)), owner);
  // Its values tell the step that they are of.
  expect(state).toEqual(replicaAt(header.point.step).state);
  return header.point.step;
};

/** A writer whose writes each wait to be let go. */
function heldWriter(folder: string, keep = 10) {
  const written: string[] = [];
  const held: (() => void)[] = [];
  let began = () => {};
  const writer = createCheckpointWriter({
    folder,
    keep,
    async write(path, file) {
      await new Promise<void>((resolve) => {
        held.push(resolve);
        began();
      });
      await writeFileAtomically(path, file);
      written.push(basename(path));
    },
  });
  const nextWrite = async () => {
    if (held.length === 0) await new Promise<void>((resolve) => (began = resolve));
    held.shift()!();
  };
  return { writer, written, nextWrite };
}

describe('checkpoints are', () => {
  test('kept, the last N and the best', async () => {
    const folder = join(temporaryFolder(), 'checkpoints');
    const written: number[] = [];
    const writer = createCheckpointWriter({ folder, keep: 2, onWritten: (step) => written.push(step) });
    for (const step of [1, 2, 3, 100_000_000]) {
      writer.save(headerAt({ step }), replicaAt(step).state, step === 2);
      await writer.finish();
    }
    expect(await listCheckpoints(folder)).toEqual([checkpointName(3), checkpointName(100_000_000)]);
    expect(written).toEqual([1, 2, 3, 100_000_000]);
    expect(readdirSync(folder).length).toBe(3);
    expect(stepIn(folder, BEST_NAME)).toBe(2);
    expect(stepIn(folder, checkpointName(3))).toBe(3);
  });

  test('of the state at the time of the call, also when it is changed right after', async () => {
    const folder = temporaryFolder();
    const writer = createCheckpointWriter({ folder, keep: 1 });
    const { state } = replicaAt(4);
    writer.save(headerAt({ step: 4 }), state, false);
    state.fill(0);
    await writer.finish();
    expect(stepIn(folder, checkpointName(4))).toBe(4);
  });

  test('left out for newer ones while one is being written, but for the best', async () => {
    const folder = temporaryFolder();
    const { writer, written, nextWrite } = heldWriter(folder);
    for (const step of [1, 2, 3, 4, 5, 6]) writer.save(headerAt({ step }), replicaAt(step).state, step === 4);
    for (let i = 0; i < 3; i++) await nextWrite();
    await writer.finish();
    expect(written).toEqual([checkpointName(1), BEST_NAME, checkpointName(6)]);
    expect(written.map((name) => stepIn(folder, name))).toEqual([1, 4, 6]);
    expect(await listCheckpoints(folder)).toEqual([1, 4, 6].map(checkpointName));
    expect(stepIn(folder, checkpointName(4))).toBe(4);
  });
});

test('a checkpoint that cannot be written is told in words, leaves those before, and ends the writing', async () => {
  const folder = temporaryFolder();
  let isFull = false;
  const writer = createCheckpointWriter({
    folder,
    keep: 1,
    write: (path, file) => {
      if (!isFull) return writeFileAtomically(path, file);
      return Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
    },
  });
  writer.save(headerAt({ step: 1 }), replicaAt(1).state, false);
  await writer.finish();
  isFull = true;
  writer.save(headerAt({ step: 2 }), replicaAt(2).state, false);
  await expect(writer.finish()).rejects.toThrow(
    `${join(folder, checkpointName(2))}: cannot be written: no space is left on that disk (ENOSPC): ` +
      'make room on that disk, then continue with --resume',
  );
  await expect(writer.proceed()).rejects.toThrow(StorageError);
  expect(() => writer.save(headerAt({ step: 3 }), replicaAt(3).state, false)).toThrow(StorageError);
  expect(readdirSync(folder)).toEqual([checkpointName(1)]);
  expect(stepIn(folder, checkpointName(1))).toBe(1);
});

test('a folder that cannot be made is an error in words', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, checkpointName(1)));
  const writer = createCheckpointWriter({ folder, keep: 1 });
  writer.save(headerAt({ step: 1 }), replicaAt(1).state, false);
  await expect(writer.finish()).rejects.toThrow(StorageError);
});
