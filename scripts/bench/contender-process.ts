/** A contender's process, our side: see `contender.ts` for what it is told and answers. */
import { createInterface } from 'node:readline';
import { describeError } from '../../protocol/errors.ts';
import { parseDataset } from '../../protocol/state/dataset.ts';
import { readDatasetFiles } from '../../protocol/state/dataset-files.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import type { Measurement, ReadyReport } from './contender.ts';
import { createMatrixProduct } from './matrix-product.ts';
import { createTrainingStep } from './training-step.ts';

export type Job =
  | {
      readonly task: 'step';
      readonly model: ModelSpec;
      readonly engine: string;
      readonly device?: string | undefined;
      readonly dataFolder: string;
      readonly globalBatch: number;
      readonly learningRate: number;
      /** Otherwise it is an error that a step takes more than {@link LIMIT_MS}. */
      readonly mayBeSlow: boolean;
    }
  | { readonly task: 'matrix-product' };

/** Slower engines would make a benchmark of minutes one of hours. */
const LIMIT_MS = 2000;

interface Work {
  readonly description: string;
  /** Does it once; resolves with the training loss, if it has one. */
  next(): Promise<number | undefined>;
}

try {
  const work = await prepare(JSON.parse(process.argv.at(-1)!) as Job);
  say({ description: work.description, details: '' });
  for await (const line of createInterface({ input: process.stdin })) {
    const { repeats } = JSON.parse(line) as { repeats: number };
    say(await measure(work, repeats));
  }
} catch (error) {
  say({ error: describeError(error) });
}
process.exit();

async function prepare(job: Job): Promise<Work> {
  if (job.task === 'matrix-product') return createMatrixProduct();
  const { dataFolder, mayBeSlow, ...options } = job;
  const bytes = await readDatasetFiles([{ folder: dataFolder, origin: 'the benchmark', isExplicit: true }]);
  const training = await createTrainingStep({ ...options, dataset: parseDataset(bytes!) });
  const stepMs = mayBeSlow ? 0 : await training.estimateMs();
  if (stepMs > LIMIT_MS)
    throw new Error(`a step of ${job.model.name} takes an estimated ${(stepMs / 1000).toFixed(0)} s`);
  return training;
}

async function measure(work: Work, repeats: number): Promise<Measurement> {
  // The other contenders have had the caches since.
  await work.next();
  let lossSum = 0;
  let hasLoss = true;
  const faultsBefore = process.resourceUsage().minorPageFault;
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  for (let i = 0; i < repeats; i++) {
    const loss = await work.next();
    if (loss === undefined) hasLoss = false;
    else lossSum += loss;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const minorPageFaults = process.resourceUsage().minorPageFault - faultsBefore;
  if (!Number.isFinite(lossSum)) throw new Error(`${work.description}: its loss is ${lossSum}: this is no training`);
  return { seconds, cpuSeconds: (user + system) / 1e6, minorPageFaults, ...(hasLoss && { loss: lossSum / repeats }) };
}

function say(message: Measurement | ReadyReport | { error: string }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
