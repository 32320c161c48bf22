/**
 * The surveying process: one engine on one device. It is sent its job, answers with a finding for each model in turn,
 * and ends. What kills it, kills no more than that: see `survey.ts`.
 */
import { describeError } from '../../protocol/errors.ts';
import { initialBuffers, initialParameters, planModel } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import type { SampleSet } from '../../protocol/data/dataset.ts';
import { withoutFlag } from '../../worker/engines/passed-over.ts';
import { createEngine } from '../../worker/engines/choose-engine.ts';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';
import type { ChosenEngine } from '../../worker/engines/choose-engine.ts';
import type { TensorError } from '../../worker/engines/probe.ts';
import { BENCH_SEED } from './settings.ts';
import { createTrainingStep } from './training-step.ts';
import { DEFAULT_RECIPE } from '../flags/recipe.ts';
import { timeStep } from './step-timing.ts';
import type { StepTiming } from './step-timing.ts';

// A terminal that goes away is the concern of the process that started this one.
process.on('SIGHUP', () => {});

const { globalBatch, learningRate } = DEFAULT_RECIPE;

export interface SurveyJob {
  /** A name of the registry, or auto. */
  readonly engine: string;
  readonly device: string | undefined;
  readonly models: readonly ModelSpec[];
  /** Samples to time steps with; undefined: steps are not timed. */
  readonly samples: SampleSet | undefined;
}

/** What was found about one model. */
export type Finding =
  | ({
      readonly model: string;
      readonly isUsable: true;
      /** As the engine calls itself and its device. */
      readonly engine: string;
      readonly device: string;
      /** Null for the engine that judges. */
      readonly probe: TensorError | null;
    } & StepTiming)
  | {
      readonly model: string;
      readonly isUsable: false;
      /** Why not, with the cure. */
      readonly reason: string;
    };

process.on('disconnect', () => process.exit());
process.once('message', (job: SurveyJob) => {
  void survey(job).then(() => process.exit());
});

async function survey(job: SurveyJob): Promise<void> {
  // Done by the process that started this one: here it tells why, where it could not be done.
  await prepareNative();
  for (const model of job.models) await say(await findingOf(model, job));
}

async function findingOf(model: ModelSpec, job: SurveyJob): Promise<Finding> {
  try {
    const { chosen, timing } = job.samples ? await timed(model, job, job.samples) : await untimed(model, job);
    const { engine, probe = null } = chosen;
    await engine.dispose();
    return { model: model.name, isUsable: true, engine: engine.name, device: engine.device, probe, ...timing };
  } catch (error) {
    return { model: model.name, isUsable: false, reason: withoutFlag(describeError(error)) };
  }
}

interface Surveyed {
  readonly chosen: ChosenEngine;
  readonly timing: StepTiming;
}

async function untimed(model: ModelSpec, { engine, device }: SurveyJob): Promise<Surveyed> {
  const plan = planModel(model);
  const state = { parameters: initialParameters(plan, BENCH_SEED), buffers: initialBuffers(plan) };
  const chosen = await createEngine(engine, { plan, ...state, maxBatch: globalBatch, threads: 1, device });
  return { chosen, timing: { stepMs: null } };
}

async function timed(model: ModelSpec, { engine, device }: SurveyJob, samples: SampleSet): Promise<Surveyed> {
  const dataset = { train: samples, evaluation: samples };
  const training = await createTrainingStep({ model, engine, device, dataset, globalBatch, learningRate });
  return { chosen: training.chosen, timing: await timeStep(training) };
}

function say(finding: Finding): Promise<void> {
  return new Promise((resolve) => process.send!(finding, () => resolve()));
}
