import { describe, expect, it } from 'vitest';
import { DEFAULT_RECIPE } from '../../scripts/flags/recipe.ts';
import { parseCounts, parseNames, parseWires } from '../../scripts/flags/lists.ts';
import type { Timed } from '../../scripts/bench/common/pairs.ts';
import { planContests } from '../../scripts/bench/train/contests.ts';
import { configOf, parseTrainJob } from '../../scripts/bench/train/job.ts';
import type { TrainJob } from '../../scripts/bench/train/job.ts';
import { countPageFaults, parseMinorFaults } from '../../scripts/bench/train/page-faults.ts';
import { formatTraining } from '../../scripts/bench/train/report.ts';
import { toScalingRow, toStepRow } from '../../scripts/bench/train/results.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { TINY_MODEL } from '../helpers/cluster.ts';

describe('what is measured', () => {
  it('strong scaling: the batch stays, whatever the number of workers', () => {
    expect(planContests({ workers: [4, 1, 2, 2], globalBatch: 256 })).toEqual({
      singleBatch: 256,
      contests: [1, 2, 4].map((numWorkers) => ({ numWorkers, globalBatch: 256 })),
    });
  });

  it('weak scaling: each worker has as many samples as the one process', () => {
    expect(planContests({ workers: [2, 3], globalBatch: 256, batchPerWorker: 100 })).toEqual({
      singleBatch: 100,
      contests: [
        { numWorkers: 2, globalBatch: 200 },
        { numWorkers: 3, globalBatch: 300 },
      ],
    });
  });

  it('a batch that does not divide among the workers is refused, with the cure', () => {
    expect(() => planContests({ workers: [1, 3], globalBatch: 256 })).toThrow(
      new ConfigError('--global-batch 256 does not divide among 3 workers: use a multiple of 3, or --batch-per-worker'),
    );
  });

  it('lists are separated by commas; a wire format that is none is refused by name', () => {
    expect(parseNames('dense,,conv')).toEqual(['dense', 'conv']);
    expect(parseCounts('1,2,4')).toEqual([1, 2, 4]);
    expect(parseWires('f32,int8')).toEqual(['f32', 'int8']);
    expect(() => parseWires('f32,f8')).toThrow(new ConfigError('--wires f8: expected some of f32,bf16,f16,int8'));
  });
});

describe("a leading process's job", () => {
  const job: TrainJob = {
    model: TINY_MODEL,
    engine: 'native',
    dataFolder: '/data',
    globalBatch: 256,
    numWorkers: 4,
    wire: 'f32',
    sharesMemory: true,
  };

  it('is read from JSON as it was written', () => {
    expect(parseTrainJob(JSON.stringify(job))).toEqual(job);
    expect(parseTrainJob(JSON.stringify({ ...job, numWorkers: 'baseline' })).numWorkers).toBe('baseline');
  });

  it('that is none is refused by the field', () => {
    expect(() => parseTrainJob(JSON.stringify({ ...job, globalBatch: 0 }))).toThrow(/^not a job .*globalBatch/s);
  });

  it('becomes a run of the default recipe in whole batches, a microbatch a worker', () => {
    const { optimizer, ...config } = configOf(job, 60_000);
    expect(config).toMatchObject({ workers: 4, microbatches: 4, globalBatch: 256, trainSamples: 59_904, wire: 'f32' });
    expect(config.schedule).toMatchObject({ name: 'constant', learningRate: DEFAULT_RECIPE.learningRate });
    expect(optimizer).toMatchObject({ name: DEFAULT_RECIPE.optimizer, momentum: DEFAULT_RECIPE.momentum });
    expect(configOf({ ...job, numWorkers: 'baseline' }, 60_000)).toMatchObject({ workers: 1, microbatches: 1 });
  });

  it('with more samples a batch than there are is refused', () => {
    expect(() => configOf(job, 255)).toThrow(
      new ConfigError('a global batch of 256: there are 255 samples: use at most as many'),
    );
  });
});

describe('page faults of other processes', () => {
  it('are the tenth field, whatever the name of the process', () => {
    expect(parseMinorFaults('17 (node) S 1 17 17 0 -1 4194304 8123 5 6 0 90 12 0 0 20')).toBe(8123);
    expect(parseMinorFaults('17 (a b) c) (d) R 1 17 17 0 -1 4194304 42 5 6 0\n')).toBe(42);
  });

  it('are not known from anything else', () => {
    expect(parseMinorFaults('')).toBeUndefined();
    expect(parseMinorFaults('17 (node) S 1')).toBeUndefined();
    expect(parseMinorFaults('17 (node) S 1 17 17 0 -1 4194304 many 5')).toBeUndefined();
  });

  it.runIf(process.platform === 'linux')('are counted together, or not at all when one process is gone', () => {
    expect(countPageFaults([process.pid])).toBeGreaterThan(0);
    expect(countPageFaults([process.pid, 2 ** 30])).toBeUndefined();
    expect(countPageFaults([])).toBe(0);
  });
});

const timing = (milliseconds: number) => ({ milliseconds, shareOfCore: 1, minorPageFaults: 3, loss: 0.5 });
const timed = (description: string): Timed => {
  const unused = () => Promise.reject(new Error('not to be used'));
  return { contender: { description, details: '', run: unused, stop: unused }, repeats: 40 };
};

describe('what measurements of training become', () => {
  const key = { model: 'dense', numWorkers: 2, globalBatch: 200, wire: 'f32' } as const;
  const pairs = [1, 2, 4].map((ms) => ({ ours: { ...timing(ms), workerPageFaults: 12 }, peer: timing(3 * ms) }));
  const measured = { ...key, ours: timed('native on cpu'), pytorch: timed('PyTorch 2.1.0'), pairs };

  it('a row has medians, the ratio within pairs, samples a second, and faults of leader and workers', () => {
    const { ours, pytorch, speedup, pairsMs } = toStepRow(measured);
    expect(ours).toMatchObject({ stepMs: { median: 2 }, samplesPerSecond: 100_000, stepsPerMeasurement: 40 });
    expect(ours.pageFaults).toEqual({ leader: 3, workers: 12 });
    expect(pytorch).toMatchObject({ stepMs: { median: 6 }, pageFaults: { leader: 3 }, lastLoss: 0.5 });
    expect(speedup).toMatchObject({ median: 3, min: 3, max: 3 });
    expect(pairsMs[0]).toEqual({ ours: 1, pytorch: 3 });
  });

  it('a row without PyTorch has neither a ratio nor a second side', () => {
    const alone = pairs.map(({ ours }) => ({ ours, peer: undefined }));
    const row = toStepRow({ ...measured, pytorch: undefined, pairs: alone });
    expect(row.pytorch).toBeUndefined();
    expect(row.speedup).toBeUndefined();
    expect(row.pairsMs).toEqual([{ ours: 1 }, { ours: 2 }, { ours: 4 }]);
  });

  it('what workers gain is a ratio of samples a second: more samples in the same time count', () => {
    // Twice the samples in 1.5 times the time of one process.
    const weak = [2, 4].map((ms) => ({ ours: timing(1.5 * ms), peer: timing(ms) }));
    const row = toScalingRow({ ...key, singleBatch: 100, ourPairs: weak, ddpPairs: undefined });
    expect(row.ours.median).toBeCloseTo(2 / 1.5);
    expect(row.ddp).toBeUndefined();
    const strong = toScalingRow({ ...key, singleBatch: 200, ourPairs: weak, ddpPairs: pairs });
    expect(strong.ours.median).toBeCloseTo(1 / 1.5);
    expect(strong.ddp!.median).toBeCloseTo(3);
  });

  it('the report is two Markdown tables of equal columns with their conditions below', () => {
    const versions = { gradsock: '1.2.3', node: 'v20.0.0', onnxruntime: '1.30.0' };
    const machine = { cpu: 'A CPU', numCores: 2, memoryGiB: 8, platform: 'linux x64' };
    const baseline = { ...measured, numWorkers: 'baseline', wire: null, pytorch: undefined } as const;
    const text = formatTraining({
      benchmark: 'training',
      conditions: { date: '2026-01-02T03:04:05Z', ...machine, versions, loadAverage: 0.5, loadAverageAfter: 1.5 },
      settings: { singleBatch: 200, engine: 'native', threads: 1, pairs: 3 },
      pytorch: { allocator: 'under jemalloc', ways: { 'dense, DDP of 2': 'one bucket' } },
      rows: [toStepRow(measured), toStepRow(baseline)],
      scaling: [toScalingRow({ ...key, singleBatch: 200, ourPairs: pairs, ddpPairs: undefined })],
      notes: ['a note'],
    });
    const [steps, scaling, conditions] = text.split('\n\n').map((block) => block.split('\n'));
    for (const table of [steps!, scaling!]) expect(new Set(table.map(({ length }) => length)).size).toBe(1);
    expect(steps![2]).toMatch(
      /^\| dense \| 2 +\| f32 +\| +200 \| +2\.00 \| +6\.00 \| +3\.00 \| +3\.00 to 3\.00 \| +100000 \| +33333 \| +3\.0 \| +12 \| +3\.0 \|$/,
    );
    expect(steps![3]).toMatch(/^\| dense \| baseline \| - +\| +200 \| +2\.00 \| +- \| +- \| +- \| +100000 \| +- \|/);
    expect(scaling![2]).toMatch(/^\| dense \| 2 +\| f32 +\| +200 \| +3\.00 \| +3\.00 to 3\.00 \| +- \| +- \|$/);
    expect(conditions).toContain('- A CPU, 2 cores, 8 GiB, linux x64');
    expect(conditions).toContain('- PyTorch on dense, DDP of 2: one bucket');
    expect(conditions).toContain('- 2026-01-02, load average 0.5 before, 1.5 after');
    expect(conditions!.at(-1)).toBe('- a note');
  });
});
