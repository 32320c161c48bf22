/** Whole runs: real processes, real sockets, the real engine, a slice of the real data. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeSafetensors } from '../../protocol/state/safetensors.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { readEpochs, readResult, runCli, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { sharedMemorySystem } from '../../worker/machine/shared-memory.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';
import { sumOfParts } from '../helpers/parts.ts';

const hasAddon = sharedMemorySystem() !== undefined;
const run = ['--model', 'dense', '--microbatches', '4', '--epochs', '1', '--seed', '7', ...SMALL];

/** Of the same run in one process, to compare with. */
async function runBaseline(runDir: string, ...flags: string[]): Promise<void> {
  const { code, output } = await runInProcess(['baseline', ...run, ...flags, '--run-dir', runDir]);
  expect(code, output).toBe(0);
}

/** Which samples are taken for what, after the first epoch. */
const confusionOf = (runDir: string): string => readFileSync(join(runDir, 'confusion', 'epoch-0001.json'), 'utf8');

describe('gradsock', () => {
  // Other numbers of workers, and the baseline beside them: test/coordinator/trainer.test.ts.
  test('ends on 3 workers with the parameters of the baseline, and the same confusion', async () => {
    const folder = temporaryFolder();
    const train = await runCli(['train', '--workers', '3', ...run, '--run-dir', join(folder, 'train')]);
    expect(train.code, train.output).toBe(0);
    await runBaseline(join(folder, 'baseline'));
    const { status, steps, epochs, parametersSha256 } = readResult(join(folder, 'train'));
    expect({ status, steps, epochs }).toEqual({ status: 'completed', steps: 4096 / 256, epochs: 1 });
    expect(parametersSha256).toBe(readResult(join(folder, 'baseline')).parametersSha256);
    expect(confusionOf(join(folder, 'train'))).toBe(confusionOf(join(folder, 'baseline')));
  });

  test('averages states with --local-steps as the baseline does, in a fraction of the bytes', async () => {
    const folder = temporaryFolder();
    const flags = ['--max-steps', '14', '--local-steps', '4'];
    // Shares that follow the speed would be sent in other numbers of vectors.
    const workers = ['--workers', '2', '--shares', 'equal'];
    const train = await runCli(['train', ...workers, ...run, ...flags, '--run-dir', join(folder, 'train')]);
    expect(train.code, train.output).toBe(0);
    await runBaseline(join(folder, 'baseline'), ...flags);
    const { status, steps, parametersSha256 } = readResult(join(folder, 'train'));
    expect({ status, steps }).toEqual({ status: 'completed', steps: 14 });
    expect(parametersSha256).toBe(readResult(join(folder, 'baseline')).parametersSha256);
    expect(confusionOf(join(folder, 'train'))).toBe(confusionOf(join(folder, 'baseline')));

    // Rounds of 4, 4, 4 and 2 steps; each moves parameters, velocity and buffers of two workers once each way.
    const { numParameters, numBuffers } = planModel(MODELS.dense);
    const vectors = 2 * 4 * 4 * (2 * numParameters + numBuffers);
    const [record] = readEpochs(join(folder, 'train'));
    expect(record).toMatchObject({ samples: 14 * 256, steps: 14 });
    for (const bytes of [record!.bytesSent, record!.bytesReceived]) {
      expect(bytes).toBeGreaterThan(vectors);
      expect(bytes).toBeLessThan(vectors + 2 * 4 * 8192);
    }
  });

  test('--accumulate is a larger batch in more microbatches', async () => {
    const folder = temporaryFolder();
    const sums = [];
    for (const [index, sizes] of [
      ['--global-batch', '64', '--microbatches', '2', '--accumulate', '4'],
      ['--global-batch', '256', '--microbatches', '8'],
    ].entries()) {
      await runBaseline(join(folder, String(index)), ...sizes);
      sums.push(readResult(join(folder, String(index))).parametersSha256);
    }
    expect(sums[0]).toBe(sums[1]);
  });

  test.each([
    ['f32', 4, []],
    ['int8', 1, ['--no-shared-memory']],
  ])('moves no more than its parameters as %s, %i bytes each, and 4 kB (%j)', async (wire, valueBytes, flags) => {
    const size = ['--model', 'conv', '--max-steps', '10', '--train-samples', '640', '--global-batch', '64'];
    const args = ['train', '--workers', '2', ...size, '--test-samples', '10', '--wire', wire, ...flags];
    const numBytes = planModel(MODELS.conv).numParameters * valueBytes;
    const run = async () => {
      const runDir = join(temporaryFolder(), 'run');
      const { code, output } = await runCli([...args, '--run-dir', runDir]);
      expect(code, output).toBe(0);
      const [record] = readEpochs(runDir) as [ReturnType<typeof readEpochs>[number]];
      return { runDir, ...record };
    };
    let { runDir, bytesSentPerStep, bytesReceivedPerStep, wireRatio } = await run();
    // A worker that a busy machine holds up is helped by the other: that run has moved a gradient twice.
    for (let again = 0; again < 2 && bytesReceivedPerStep >= numBytes + 4000; again++) {
      ({ runDir, bytesSentPerStep, bytesReceivedPerStep, wireRatio } = await run());
    }
    for (const bytes of [bytesSentPerStep, bytesReceivedPerStep]) {
      expect(bytes).toBeGreaterThan(numBytes);
      expect(bytes).toBeLessThan(numBytes + 4000);
    }
    expect(wireRatio).toBeCloseTo(4 / valueBytes, 1);
    const shares = readFileSync(join(runDir, 'log.jsonl'), 'utf8').match(/"sharesMemory":(true|false)/g);
    expect(shares).toEqual(Array.from({ length: 2 }, () => `"sharesMemory":${flags.length === 0 && hasAddon}`));
  });

  // A sum of two does not depend on the order, so here the ring's bits are the star's.
  test.each([[[]], [['--local-steps', '4']]])('a ring of two ends where the baseline does (%j)', async (flags) => {
    const folder = temporaryFolder();
    const runDir = join(folder, 'ring');
    const sizes = ['--microbatches', '2', ...flags];
    const ring = ['train', '--workers', '2', '--all-reduce', 'ring', ...run, ...sizes, '--run-dir', runDir];
    const { code, output } = await runCli(ring);
    expect(code, output).toBe(0);
    expect(output).toContain('all-reduce: ring of 2 workers');
    // A ring of two moves a whole vector each way, between workers, and its record says so.
    const [{ bytesSentPerStep, bytesReceivedPerStep }] = readEpochs(runDir) as [ReturnType<typeof readEpochs>[number]];
    const { numParameters } = planModel(MODELS.dense);
    const payloadsPerStep = flags.length === 0 ? 1 : 2 / 4;
    for (const bytes of [bytesSentPerStep, bytesReceivedPerStep]) {
      expect(bytes).toBeGreaterThan(4 * numParameters * payloadsPerStep);
    }
    await runBaseline(join(folder, 'baseline'), ...sizes);
    expect(readResult(runDir).parametersSha256).toBe(readResult(join(folder, 'baseline')).parametersSha256);
  });

  test('learns with conv-matched across two workers', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--model', 'conv-matched', '--epochs', '3', ...SMALL, '--run-dir', runDir];
    const { code, output } = await runCli(['train', '--workers', '2', ...flags]);
    expect(code, output).toBe(0);
    const [first, , last] = readEpochs(runDir);
    expect(last!.loss).toBeLessThan(first!.loss);
    expect(last!.trainAccuracy).toBeGreaterThan(0.7);
  });

  test('ends in a ring of three with replicas proven equal, and close to where the baseline does', async () => {
    const folder = temporaryFolder();
    const runDir = join(folder, 'ring');
    const flags = ['--workers', '3', '--all-reduce', 'ring', ...run, '--max-steps', '6', '--run-dir', runDir];
    const { code, output } = await runCli(['train', ...flags]);
    expect(code, output).toBe(0);
    expect(output).toContain('all-reduce: ring of 3 workers');
    expect(readResult(runDir)).toMatchObject({ status: 'completed', steps: 6 });
    const ring = readEpochs(runDir)[0]!;
    expect(Math.abs(sumOfParts(ring) / ring.seconds - 1)).toBeLessThan(0.02);
    expect(ring.samples).toBe(6 * 256);
    await runBaseline(join(folder, 'baseline'), '--max-steps', '6');
    const baseline = readEpochs(join(folder, 'baseline'))[0]!;
    expect(ring.loss).toBeCloseTo(baseline.loss, 4);
    expect(ring.testLoss!).toBeCloseTo(baseline.testLoss!, 3);
  });

  test('leaves a run directory as promised', async () => {
    const runDir = join(temporaryFolder(), 'run');
    // On a busy machine a worker may be slower than the other, and late; then the other does its part.
    const train = ['train', '--workers', '2', '--shares', 'equal', ...run, '--epochs', '2'];
    const { output } = await runCli([...train, '--run-dir', runDir]);
    const result = readResult(runDir);
    const isAnyLate = output.includes(' is late in step ');

    const epochs = readEpochs(runDir);
    expect(epochs.length).toBe(2);
    for (const record of epochs) {
      const { seconds, workers } = record;
      expect(Math.abs(sumOfParts(record) / seconds - 1)).toBeLessThan(0.02);
      expect(
        Math.abs((record.computeSeconds + record.communicationSeconds + record.otherSeconds) / seconds - 1),
      ).toBeLessThan(0.02);
      expect(record.samples).toBe(4096);
      const samples = workers.map((worker) => worker.workerSamples);
      expect(samples.reduce((a, b) => a + b, 0)).toBe(4096);
      if (!isAnyLate) expect(samples).toEqual([2048, 2048]);
      expect(['local-1', 'local-2']).toContain(record.slowestWorker);
      // One update down and one gradient up a worker and step, and little else.
      const vectors = 2 * 16 * 4 * (105_642 + 428);
      for (const bytes of [record.bytesSent, record.bytesReceived]) {
        expect(bytes).toBeGreaterThan(isAnyLate ? vectors / 2 : vectors);
        if (!isAnyLate) expect(bytes).toBeLessThan(vectors + 2 * 16 * 4096);
      }
    }
    expect(result.testAccuracy).toBe(epochs[1]!.testAccuracy);

    const model = decodeSafetensors(readFileSync(join(runDir, 'model.safetensors')), 'model.safetensors');
    const plan = planModel(MODELS.dense);
    expect([...model.tensors.keys()]).toEqual([...plan.parameters, ...plan.buffers].map(({ name }) => name));
    const hash = createHash('sha256');
    for (const { name } of plan.parameters) hash.update(new Uint8Array(model.tensors.get(name)!.values.buffer));
    expect(hash.digest('hex')).toBe(result.parametersSha256);

    const config = JSON.parse(readFileSync(join(runDir, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ seed: 7, microbatches: 4, workers: 2, model: { name: 'dense' } });
    const log = readFileSync(join(runDir, 'log.jsonl'), 'utf8').trimEnd().split('\n');
    expect(log.every((line) => typeof JSON.parse(line) === 'object')).toBe(true);

    expect(output).toMatch(/^epoch 1, loss \d\.\d{4}, train acc 0\.\d{3}, test acc 0\.\d{3}, time \d+\.\d sec$/m);
    expect(output).toMatch(
      /^ {2}compute \d+\.\d %, encode .*, wire .*, wait .*, reduce .*, apply .*, other .*samples\/s/m,
    );
    expect(output).toContain(`run directory ${runDir}`);
    // Piped: no progress line, no cursor movements.
    expect(output).not.toContain('s left');
    expect(output).not.toContain('\u001b');
  });

  test('coordinator and workers, started apart, train together', async () => {
    const folder = temporaryFolder();
    const [runDir, joinFile] = [join(folder, 'run'), join(folder, 'join')];
    const { coordinator, url } = await startCoordinator([
      '--workers',
      '2',
      '--join-file',
      joinFile,
      '--run-dir',
      runDir,
      ...run,
    ]);
    expect(readFileSync(joinFile, 'utf8')).toBe(`${url}\n`);
    const workers = ['a', 'b'].map((name) => startCli(['worker', url, '--name', name]));
    expect(await coordinator.exit).toBe(0);
    for (const worker of workers) expect(await worker.exit, worker.output()).toBe(0);
    expect(
      readEpochs(runDir)[0]!
        .workers.map(({ name }) => name)
        .sort(),
    ).toEqual(['a', 'b']);
  });

  test('a worker that comes late to a ring takes part from the next epoch on', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const ring = ['--workers', '2', '--all-reduce', 'ring', '--microbatches', '4'];
    const { coordinator, url } = await startCoordinator([...ring, '--run-dir', runDir, ...run, '--epochs', '10000']);
    for (let i = 0; i < 2; i++) startCli(['worker', url]);
    await coordinator.line(/all-reduce: ring of 2 workers/);
    startCli(['worker', url, '--name', 'late']);
    await coordinator.line(/late \(w3\) takes part from step \d+ on/);
    await coordinator.line(/all-reduce: ring of 3 workers/);
    coordinator.kill('SIGINT');
    expect(await coordinator.exit, coordinator.output()).toBe(130);
  });

  test('--max-steps 0 writes the initial model of the seed, without workers', async () => {
    const folder = temporaryFolder();
    const sums = [];
    for (const [index, command] of [['train'], ['baseline']].entries()) {
      const runDir = join(folder, String(index));
      const { code, output } = await runInProcess([...command, ...run, '--max-steps', '0', '--run-dir', runDir]);
      expect(code, output).toBe(0);
      const { steps, parametersSha256, testAccuracy } = readResult(runDir);
      expect([steps, testAccuracy]).toEqual([0, null]);
      sums.push(parametersSha256);
    }
    expect(sums[0]).toBe(sums[1]);
  });

  test('takes a ModelSpec from a file, and flags from the environment', async () => {
    const folder = temporaryFolder();
    const spec = {
      name: 'mine',
      input: [1, 28, 28],
      numClasses: 10,
      layers: [
        { kind: 'conv', filters: 3, kernel: 4 },
        { kind: 'maxPool', size: 3 },
        { kind: 'batchNorm' },
        { kind: 'flatten' },
        { kind: 'dense', units: 10, activation: 'none' },
      ],
    };
    writeFileSync(join(folder, 'mine.json'), JSON.stringify(spec));
    const env = {
      GRADSOCK_MODEL: join(folder, 'mine.json'),
      GRADSOCK_RUN_DIR: join(folder, 'run'),
      GRADSOCK_EPOCHS: '2',
    };
    const { code, output } = await runInProcess(['baseline', ...SMALL], env);
    expect(code, output).toBe(0);
    expect(readEpochs(join(folder, 'run')).at(-1)!.trainAccuracy).toBeGreaterThan(0.6);
  });
});
