import { expect, test } from 'vitest';
import { groupSizeOf } from '../../../scripts/run/worker-group.ts';

const size = (engine: string, device: string | undefined, threads: number, numGpus: number) =>
  groupSizeOf(
    { engine, device, threads },
    { numCores: 8, gpus: () => Promise.resolve(Array.from({ length: numGpus }, (_, index) => String(index))) },
  );

test.each([
  ['auto', undefined, 1, 0, 8],
  ['auto', undefined, 3, 0, 2],
  ['native', undefined, 16, 0, 1],
  ['auto', undefined, 1, 4, 4],
  ['onnx', 'cuda', 1, 4, 4],
  ['native', undefined, 1, 4, 8],
  ['onnx', 'cpu', 2, 4, 4],
])(
  '--workers 0 with engine %s, device %s, %i threads and %i GPUs beside 8 cores is %i',
  async (engine, device, threads, numGpus, expected) => {
    expect(await size(engine, device, threads, numGpus)).toBe(expected);
  },
);
