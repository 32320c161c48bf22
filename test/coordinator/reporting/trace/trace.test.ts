/** Traces of whole runs, in a star and in a ring, read by the format's rules. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RunOptions } from '../../../../coordinator/run-options.ts';
import { createTrace } from '../../../../coordinator/reporting/trace/trace.ts';
import { memoryTransportPair } from '../../../../protocol/wire/transport.ts';
import type { Transport } from '../../../../protocol/wire/transport.ts';
import { createReferenceEngine } from '../../../../worker/engines/reference/reference-engine.ts';
import { runWorkerSession } from '../../../../worker/session.ts';
import { temporaryFolder } from '../../../helpers/folder.ts';
import { createMemoryPeers } from '../../../helpers/memory-peers.ts';
import { beginOrResume } from '../../../helpers/small-run.ts';
import type { SmallRunOptions } from '../../../helpers/small-run.ts';
import { readTrace } from '../../../helpers/trace-file.ts';
import type { ReadTrace } from '../../../helpers/trace-file.ts';

const newRunDir = () => join(temporaryFolder(), 'run');
const traceOf = (runDir: string, name = 'trace.json.gz') => readTrace(join(runDir, name));
const tracesOf = (runDir: string) => readdirSync(runDir).filter((name) => name.startsWith('trace'));
const STEPS_PER_EPOCH = 3;

/** Two workers of this process, each with a replica of its own; to the coordinator their clocks are strangers. */
const twoWorkers =
  (onSend: (message: Parameters<Transport['send']>[0]) => void = () => {}): RunOptions['summonWorkers'] =>
  ({ membership, samples }) => {
    const peers = createMemoryPeers();
    const sessions = ['left', 'right'].map((name) => {
      const [coordinatorEnd, workerEnd] = memoryTransportPair();
      const watched = (end: Transport): Transport => ({
        ...end,
        bytesSent: 1,
        send(message) {
          onSend(message);
          end.send(message);
        },
      });
      void membership.admit(watched(coordinatorEnd));
      return runWorkerSession(watched(workerEnd), {
        ...{ name, peers },
        loadDataset: () => Promise.resolve(samples),
        createEngine: (options) => createReferenceEngine({ ...options, threads: 1 }),
      });
    });
    const ended = Promise.allSettled(sessions).then(() => {});
    return Promise.resolve({ stop: () => ended });
  };

/** A traced run of two epochs; returns its warnings. */
async function traceRun(
  runDir: string,
  options: SmallRunOptions & { readonly steps?: readonly [number, number] } = {},
) {
  const { steps, changes, subscribers = [], ...others } = options;
  const warnings: string[] = [];
  const trace = steps ? { steps: { firstStep: steps[0], lastStep: steps[1] } } : {};
  const result = await beginOrResume(runDir, {
    ...{ stepsPerEpoch: STEPS_PER_EPOCH, summonWorkers: twoWorkers(), checkpointSettings: { keep: 1 } },
    ...others,
    changes: { workers: 2, allReduce: 'star', ...changes },
    trace,
    subscribers: [createTrace({ version: '1.2.3', warn: (line) => warnings.push(line) }), ...subscribers],
  });
  return { result, warnings };
}

/** The spans of a process called `name`. */
const spansOf = ({ spans }: ReadTrace, process: string, name: string) =>
  spans.filter((span) => span.process.startsWith(process) && span.name === name);
const only = <T>(items: readonly T[]): T => {
  expect(items).toHaveLength(1);
  return items[0]!;
};
const arrowsBetween = ({ arrows }: ReadTrace) =>
  arrows.map((points) => points.map(({ span }) => `${span.process.split(' ').at(1) ?? 'coordinator'}: ${span.name}`));

test('in a star every step has its parts on each worker, within the step, and arrows from assignment to update', async () => {
  const runDir = newRunDir();
  const { warnings } = await traceRun(runDir);
  expect(warnings).toEqual([]);
  const trace = traceOf(runDir);
  expect(trace.otherData).toMatchObject({ run: 'run', version: '1.2.3', firstStep: 1, lastStep: 6 });
  const arrows = arrowsBetween(trace);
  for (let step = 1; step <= 2 * STEPS_PER_EPOCH; step++) {
    const whole = only(spansOf(trace, 'coordinator', `step ${step}`));
    const opens = step % STEPS_PER_EPOCH === 1;
    const opening = only(spansOf(trace, 'coordinator', opens ? `step ${step} assign` : `step ${step - 1} update`));
    for (const worker of ['left', 'right']) {
      const [compute, encode, send] = ['compute', 'encode', 'send'].map((part) =>
        only(spansOf(trace, `worker ${worker}`, `step ${step} ${part}`)),
      ) as [never, never, never];
      expect(compute).toMatchObject({ lane: 'computing', args: { samples: 4, microbatches: 1 } });
      for (const part of [compute, encode, send] as { beginNs: number; endNs: number }[]) {
        expect(part.beginNs).toBeGreaterThanOrEqual(opening.beginNs);
        expect(part.endNs).toBeLessThanOrEqual(whole.endNs);
      }
      expect(arrows).toContainEqual([
        `coordinator: ${opening.name}`,
        `${worker}: step ${step} compute`,
        `${worker}: step ${step} send`,
        `coordinator: step ${step} reduce`,
      ]);
      expect(arrows).toContainEqual([`coordinator: step ${step} update`, `${worker}: step ${step} apply`]);
      expect(spansOf(trace, `worker ${worker}`, `step ${step} wait`)).toHaveLength(1);
    }
  }
  expect(arrows).toHaveLength(2 * 2 * 2 * STEPS_PER_EPOCH);
  expect(spansOf(trace, 'coordinator', 'epoch 1 evaluation and records')).toHaveLength(1);
});

test('a clock that is in truth the same is estimated within its plus-minus; that of this process is not estimated', async () => {
  const runDir = newRunDir();
  await traceRun(runDir);
  const { clocks } = traceOf(runDir).otherData;
  expect(Object.keys(clocks).sort()).toEqual(['left', 'right']);
  for (const { offsetMs, plusMinusMs } of Object.values(clocks)) {
    expect(plusMinusMs).toBeGreaterThan(0);
    expect(Math.abs(offsetMs)).toBeLessThanOrEqual(plusMinusMs);
  }
  const own = newRunDir();
  await beginOrResume(own, { trace: {}, subscribers: [createTrace({ version: '', warn: () => {} })] });
  expect(traceOf(own).otherData.clocks.worker).toMatchObject({ offsetMs: 0, plusMinusMs: 0 });
  expect(spansOf(traceOf(own), 'worker', 'microbatch 2').length).toBe(4);
});

test('in a ring every worker exchanges after it has computed, and applies what came of that', async () => {
  const runDir = newRunDir();
  await traceRun(runDir, { changes: { workers: 2, allReduce: 'ring' } });
  const trace = traceOf(runDir);
  const arrows = arrowsBetween(trace);
  for (let step = 1; step <= 2 * STEPS_PER_EPOCH; step++) {
    for (const worker of ['left', 'right']) {
      only(spansOf(trace, `worker ${worker}`, `step ${step} exchange`));
      const ofStep = arrows.filter((points) => points.includes(`${worker}: step ${step} exchange`));
      expect(ofStep).toHaveLength(2);
      expect(ofStep[0]!.slice(1)).toEqual([`${worker}: step ${step} compute`, `${worker}: step ${step} exchange`]);
      expect(ofStep[1]).toEqual([`${worker}: step ${step} exchange`, `${worker}: step ${step} apply`]);
    }
  }
});

test('with local steps a round is traced as what it is', async () => {
  const runDir = newRunDir();
  await traceRun(runDir, { changes: { localSteps: 2 } });
  const trace = traceOf(runDir);
  expect(spansOf(trace, 'coordinator', 'steps 1 to 2')).toHaveLength(1);
  expect(spansOf(trace, 'worker left', 'steps 1 to 2 compute')).toHaveLength(1);
});

describe('steps to trace', () => {
  test('only those are in the file, with the updates that end them', async () => {
    const runDir = newRunDir();
    await traceRun(runDir, { steps: [2, 4] });
    const trace = traceOf(runDir);
    expect(trace.otherData).toMatchObject({ firstStep: 2, lastStep: 4 });
    const steps = trace.spans.filter(({ lane, name }) => lane === 'steps' && name.startsWith('step'));
    expect(steps.map(({ name }) => name)).toEqual(['step 2', 'step 3', 'step 4']);
    expect(spansOf(trace, 'worker left', 'step 4 apply')).toHaveLength(1);
    expect(spansOf(trace, 'worker left', 'step 5 compute')).toEqual([]);
    expect(spansOf(trace, 'worker left', 'step 1 apply')).toEqual([]);
  });

  test('that the run does not take leave no file, which is told', async () => {
    const runDir = newRunDir();
    const { warnings } = await traceRun(runDir, { steps: [100, 200] });
    expect(warnings).toEqual(['warning: no trace was written: the run took none of the steps to trace']);
    expect(tracesOf(runDir)).toEqual([]);
  });
});

test('the file is whole after every epoch, as a killed run leaves it, and a resumed run writes another', async () => {
  const runDir = newRunDir();
  const failed = new Error('the end');
  const numSteps: number[] = [];
  const reader = {
    onEpoch() {
      numSteps.push(traceOf(runDir).otherData.lastStep);
      throw failed;
    },
  };
  await expect(traceRun(runDir, { subscribers: [reader] })).rejects.toBe(failed);
  expect(numSteps).toEqual([STEPS_PER_EPOCH]);
  await traceRun(runDir);
  expect(tracesOf(runDir)).toEqual(['trace-2.json.gz', 'trace.json.gz']);
  expect(traceOf(runDir).otherData).toMatchObject({ firstStep: 1, lastStep: 3 });
  expect(traceOf(runDir, 'trace-2.json.gz').otherData).toMatchObject({ firstStep: 4, lastStep: 6 });
});

test('a file that cannot be written ends no run, and is told once', () => {
  const runDir = newRunDir();
  const warnings: string[] = [];
  const trace = createTrace({ version: '', warn: (line) => warnings.push(line) });
  trace.onStart?.({} as never, [], join(runDir, 'gone'), 0);
  const step = { kind: 'step', step: 1, numSteps: 1, epoch: 1, numSamples: 1, isTraced: true, isRing: false } as const;
  const times = { opening: [0, 1], reducedMs: 2, sentMs: 3, appliedMs: 4, parts: [] } as const;
  for (let i = 0; i < 2; i++) {
    trace.onTrace?.({ ...step, ...times });
    trace.onEpoch?.({} as never);
  }
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^warning: the run goes on without its trace: .*gone/);
});

test('what travels in a run that is not traced has no moments, nor asks for them', async () => {
  const runDir = newRunDir();
  const extra: string[] = [];
  const kinds = new Set<string>();
  const watch = twoWorkers((message) => {
    kinds.add(message.kind);
    if ('moments' in message || 'trace' in message) extra.push(message.kind);
  });
  for (const allReduce of ['star', 'ring'] as const) {
    rmSync(runDir, { recursive: true, force: true });
    await beginOrResume(runDir, { summonWorkers: watch, changes: { workers: 2, allReduce } });
  }
  expect([...kinds]).toEqual(expect.arrayContaining(['welcome', 'gradient', 'applied', 'ringSum', 'ringDone']));
  expect(extra).toEqual([]);
  expect(existsSync(join(runDir, 'trace.json.gz'))).toBe(false);
});
