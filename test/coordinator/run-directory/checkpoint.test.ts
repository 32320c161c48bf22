import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeCheckpoint } from '../../../coordinator/run-directory/checkpoint.ts';
import { checkpointFile, headerAt, replicaAt, RUN_ID } from '../../helpers/checkpoints.ts';
import { runConfig } from '../../helpers/cluster.ts';

const config = runConfig();
const stateLength = replicaAt(0).state.length;
const owner = { runId: RUN_ID, config, stateLength };
const header = headerAt({ step: 7, unfinished: { lossSum: 0.1 + 0.2, numCorrect: 3, numSamples: 9, steps: 2 } });

describe('a checkpoint', () => {
  test('comes back as it was, bit by bit', () => {
    const values = fc.float32Array({ minLength: stateLength, maxLength: stateLength });
    fc.assert(
      fc.property(values, (state) => {
        const copy = Float32Array.from(state);
        const decoded = decodeCheckpoint('step-7', checkpointFile(header, copy), owner);
        expect(decoded.header).toEqual(header);
        expect(new Uint32Array(decoded.state.buffer)).toEqual(new Uint32Array(copy.buffer));
      }),
      { numRuns: 20 },
    );
  });

  test('fits a run with other workers and deadlines: its outcome is the same', () => {
    const others = runConfig({ workers: 3, stepTimeoutSeconds: 1, joinTimeoutSeconds: 1 });
    expect(decodeCheckpoint('step-7', checkpointFile(header), { ...owner, config: others }).header).toEqual(header);
  });

  test('that was cut anywhere is refused as torn', () => {
    const file = checkpointFile(header);
    fc.assert(
      fc.property(fc.nat(file.length - 1), (length) => {
        expect(() => decodeCheckpoint('step-7', file.subarray(0, length), owner)).toThrow(/^step-7: torn: \d+ bytes?/);
      }),
    );
  });

  test('with any byte changed is refused', () => {
    const file = checkpointFile(header);
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(file);
        changed[at]! ^= change;
        expect(() => decodeCheckpoint('step-7', changed, owner)).toThrow(/^step-7: /);
      }),
    );
  });

  test.each([
    ['of another run', { ...header, runId: 'other' }, 'step-7: of run other, expected run abc123'],
    [
      'of another model',
      { ...header, model: { ...config.model, name: 'dense' } },
      'step-7: of another model, dense, expected that of config.json, tiny',
    ],
    [
      'of another seed',
      headerAt({ step: 7 }, runConfig({ seed: 8 })),
      'step-7: of another configuration than config.json has',
    ],
  ])('%s is refused', (_title, foreign, message) => {
    expect(() => decodeCheckpoint('step-7', checkpointFile(foreign), owner)).toThrow(message);
  });

  test('of a later version is refused by that, and so is what is none', () => {
    const file = checkpointFile(header);
    file.writeUInt32LE(2, 8);
    expect(() => decodeCheckpoint('step-7', file, owner)).toThrow('step-7: of version 2, expected 1');
    expect(() => decodeCheckpoint('step-7', Buffer.alloc(100), owner)).toThrow('step-7: no checkpoint');
  });

  test('whose state has another length is refused', () => {
    const file = checkpointFile(header, new Float32Array(3));
    expect(() => decodeCheckpoint('step-7', file, owner)).toThrow(
      `a state of 12 bytes, expected ${stateLength} values`,
    );
  });

  test('begins with its name and ends with the sha256 of the rest', () => {
    const file = checkpointFile(header);
    expect(file.toString('latin1', 0, 8)).toBe('gradsckp');
    expect(file.subarray(-32)).toEqual(createHash('sha256').update(file.subarray(0, -32)).digest());
  });
});
