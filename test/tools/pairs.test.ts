import { describe, expect, it } from 'vitest';
import type { Contender } from '../../scripts/bench/common/contender.ts';
import { startContender } from '../../scripts/bench/common/contender.ts';
import { measurePairs, warmUp } from '../../scripts/bench/common/pairs.ts';
import { formatReport } from '../../scripts/bench/compute/report.ts';
import { toRowResult } from '../../scripts/bench/compute/results.ts';
import { ConfigError } from '../../protocol/errors.ts';

/** A contender whose every repeat takes so long, by its word; it enters its runs into `diary`. */
function pretender(name: string, secondsPerRepeat: number, diary: string[] = []): Contender {
  return {
    description: name,
    details: '',
    run(repeats) {
      diary.push(name);
      return Promise.resolve({
        seconds: repeats * secondsPerRepeat,
        cpuSeconds: 1,
        minorPageFaults: 3 * repeats,
        loss: 0.5,
      });
    },
    stop: () => Promise.resolve(),
  };
}

describe('measuring in pairs', () => {
  it('a contender takes as many repeats as last 0.4 seconds, unless told how many', async () => {
    expect((await warmUp(pretender('quick', 0.001))).repeats).toBe(400);
    expect((await warmUp(pretender('slow', 2))).repeats).toBe(1);
    expect((await warmUp(pretender('told', 0.001), 7)).repeats).toBe(7);
  });

  it('what takes long for one repeat is measured in three pairs, the others in all', async () => {
    const timed = [await warmUp(pretender('slow', 1)), await warmUp(pretender('quick', 0.01))];
    const pairs = await measurePairs(timed, undefined, 5);
    expect(pairs.map(({ length }) => length)).toEqual([3, 5]);
  });

  it('both of a pair run next to each other, and take turns at going first', async () => {
    const diary: string[] = [];
    const timed = (name: string) => ({ contender: pretender(name, 1, diary), repeats: 1 });
    await measurePairs([timed('a'), timed('b')], timed('peer'), 2);
    expect(diary).toEqual(['a', 'peer', 'peer', 'b', 'peer', 'a', 'b', 'peer']);
  });

  it('without a peer ours is measured alone', async () => {
    const pairs = await measurePairs([{ contender: pretender('a', 1), repeats: 1 }], undefined, 3);
    expect(pairs).toHaveLength(1);
    expect(pairs[0]).toHaveLength(3);
    expect(pairs[0]![0]!.peer).toBeUndefined();
  });
});

describe('what measurements become', () => {
  const timing = (milliseconds: number) => ({ milliseconds, shareOfCore: 0.9, minorPageFaults: 3, loss: 0.5 });
  const row = {
    model: 'dense',
    flopsPerStep: 100e6,
    ours: { description: 'native on cpu', repeats: 400 },
    pytorch: { description: 'PyTorch 2.1.0', repeats: 200 },
    pairs: [1, 2, 4].map((ours) => ({ ours: timing(ours), peer: timing(3 * ours) })),
  };
  const peak = { gflops: 100, library: 'a library' };

  it('a row has medians, the ratio within pairs, the rate, and its part of the peak', () => {
    const { ours, pytorch, speedup } = toRowResult(row, peak);
    expect(ours).toMatchObject({ stepMs: { median: 2 }, gflops: 50, fractionOfPeak: 0.5, minorPageFaultsPerStep: 3 });
    expect(pytorch!.stepMs.median).toBe(6);
    expect(speedup).toMatchObject({ median: 3, min: 3, max: 3 });
  });

  it('a row without PyTorch has neither a ratio nor a second side', () => {
    const alone = toRowResult({ ...row, pytorch: undefined }, peak);
    expect(alone.pytorch).toBeUndefined();
    expect(alone.speedup).toBeUndefined();
  });

  it('the report is a Markdown table of equal columns with its conditions below', () => {
    const versions = { gradsock: '1.2.3', node: 'v20.0.0', onnxruntime: '1.30.0' };
    const machine = { cpu: 'A CPU', numCores: 2, memoryGiB: 8, platform: 'linux x64' };
    const text = formatReport({
      benchmark: 'compute',
      conditions: { date: '2026-01-02T03:04:05Z', ...machine, versions, loadAverage: 0.5, loadAverageAfter: 1.5 },
      settings: { globalBatch: 256, threads: 1, pairs: 3, core: 1 },
      pytorch: { description: 'PyTorch 2.1.0', allocator: 'under jemalloc', ways: 'dense contiguous_format' },
      peak,
      rows: [toRowResult(row, peak)],
      notes: ['a note'],
    });
    const table = text.split('\n').filter((line) => line.startsWith('|'));
    expect(new Set(table.map((line) => line.length)).size).toBe(1);
    expect(table[2]).toMatch(
      /^\| dense \| native on cpu \| +2\.00 \| +6\.00 \| +3\.00 \| +3\.00 to 3\.00 \| +50\.0 \| +50 % \|/,
    );
    expect(text).toContain('- A CPU, 2 cores, 8 GiB, linux x64');
    expect(text).toContain('load average 0.5 before, 1.5 after');
    expect(text).toContain('ran for 90 % or more');
    expect(text).toContain('- a note');
  });
});

describe('a contender process', () => {
  const start = (script: string) =>
    startContender({ name: 'it', command: [process.execPath, '-e', script, '--'], env: process.env, job: {} });

  it('that says why it cannot start is a ConfigError with its words', async () => {
    await expect(start(`console.log('{"error": "no such device"}')`)).rejects.toThrow(
      new ConfigError('no such device'),
    );
  });

  it('that dies is a ConfigError with the last it said', async () => {
    await expect(start(`console.error('out of luck'); process.exit(3)`)).rejects.toThrow(
      new ConfigError('it: its process ended: out of luck'),
    );
  });

  it('that is no program is a ConfigError', async () => {
    const options = { name: 'it', command: ['/no/such/program'] as const, env: process.env, job: {} };
    await expect(startContender(options)).rejects.toThrow(/^it: its process ended: .*ENOENT/);
  });

  it('answers a request with a measurement, or with what went wrong', async () => {
    const contender = await start(`console.log('{"description": "x"}');
      process.stdin.on('data', (line) => {
        const { repeats } = JSON.parse(line);
        console.log(JSON.stringify(repeats < 5 ? { seconds: repeats, cpuSeconds: 1, minorPageFaults: 0 } : { error: 'too many' }));
      })`);
    expect(await contender.run(2)).toEqual({ seconds: 2, cpuSeconds: 1, minorPageFaults: 0 });
    await expect(contender.run(5)).rejects.toThrow(new ConfigError('too many'));
    await contender.stop();
  });
});
