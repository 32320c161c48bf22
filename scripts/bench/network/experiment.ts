/** Experiment: the training runs behind the tables, each carried out once, and what the model makes of them. */
import { availableParallelism } from 'node:os';
import { planModel } from '../../../protocol/state/model-spec.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { createVectorCodec } from '../../../protocol/vectors/vector-codec.ts';
import { bucketsOf } from '../../../protocol/vectors/buckets.ts';
import { PIECE_VALUES } from '../../../worker/ring/pieces.ts';
import { loadModel } from '../../flags/run-flags.ts';
import { calibrateHandling } from './calibration.ts';
import type { Algorithm, Handling, StepInput } from '../../network/cost-model.ts';
import { predictStep } from '../../network/cost-model.ts';
import type { Link } from '../../network/link.ts';
import { describeLink, UNLIMITED } from '../../network/link.ts';
import type { Emulation } from '../../network/place.ts';
import { loopbackPlace, makePlace } from '../../network/place.ts';
import type { Place } from '../../network/place.ts';
import { figuresOf } from '../../network/records.ts';
import type { EpochFigures, StepFigures } from '../../network/records.ts';
import { trainAcross, trainAlone } from './training-run.ts';
import type { TrainingRun } from './training-run.ts';
import type { Undisturbed } from './undisturbed.ts';
import { countOf } from '../../../protocol/counts.ts';

/** The models whose payloads calibrate: the smallest and the largest. */
const CALIBRATING_MODELS = ['conv-pool', 'conv'] as const;

/** Fewer steps would be mostly the beginning and the end of an epoch; more epochs would say nothing new. */
const MIN_STEPS = 3;
const MAX_MEASURED_EPOCHS = 8;

/** By experience: a step across hosts without a limit, in steps of one worker alone, for each worker. */
const FREE_STEP_OVER_ALONE = 3;

export interface ExperimentOptions {
  readonly emulation: Emulation;
  readonly algorithm: Algorithm;
  readonly batchPerWorker: number;
  /** The most steps of an epoch. The measured steps of a run take `seconds`, as far as the model can tell. */
  readonly maxSteps: number;
  readonly seconds: number;
  /** More flags for the coordinator of runs across hosts. */
  readonly extra: readonly string[];
  readonly dataDir: string;
  readonly signal: AbortSignal;
  readonly undisturbed: Undisturbed;
}

export interface Case {
  readonly model: string;
  readonly numWorkers: number;
  readonly link: Link;
  readonly wire: WireFormat;
}

export interface Measured {
  readonly figures: StepFigures;
  readonly stepsPerEpoch: number;
  /** The part of the processors that others had. */
  readonly otherLoad: number;
}

export interface Experiment {
  /** One worker without a network, with as many samples a step as each worker has. */
  alone(model: string): Promise<Measured>;
  /** Handling where this many workers' hosts share this machine's cores. */
  shared(numWorkers: number, wire: WireFormat): Promise<Handling>;
  /** Handling of one worker and a coordinator over loopback, each with a core: as hosts of their own would need. */
  own(wire: WireFormat): Promise<Handling>;
  /** What the model is told of a case on this machine. */
  inputOf(oneCase: Case, stepsPerEpoch: number): Promise<StepInput>;
  measure(oneCase: Case): Promise<Measured>;
}

export function createExperiment(options: ExperimentOptions): Experiment {
  const { emulation, algorithm, batchPerWorker, maxSteps, seconds, extra, dataDir, signal } = options;
  const cores = availableParallelism();
  /** What passes between hosts must be sent, over loopback too. */
  const flagsOf = (how: Algorithm) => ['--all-reduce', how, '--no-shared-memory', ...extra];

  const carryOut = async (
    name: string,
    run: TrainingRun,
    train: (run: TrainingRun, signal: AbortSignal) => Promise<EpochFigures[]>,
  ): Promise<Measured> => {
    const { result, otherLoad } = await options.undisturbed(name, () => train(run, signal));
    return { figures: figuresOf(result), stepsPerEpoch: run.stepsPerEpoch, otherLoad };
  };

  /** Steps and epochs for steps of about `stepMs` milliseconds; half of the epochs are warm-up. */
  const lengthFor = (stepMs: number) => {
    const stepsPerEpoch = clamp(Math.floor((1000 * seconds) / stepMs), MIN_STEPS, maxSteps);
    const epochs = 2 * clamp(Math.floor((1000 * seconds) / (stepsPerEpoch * stepMs)), 1, MAX_MEASURED_EPOCHS);
    return { stepsPerEpoch, epochs, deadlineSeconds: 60 + (10 * epochs * stepsPerEpoch * stepMs) / 1000 };
  };

  const alone = remember((model: string) => {
    const sizes = { model, numWorkers: 1, wire: 'f32', batchPerWorker, dataDir, extra: [] };
    const length = { stepsPerEpoch: maxSteps, epochs: 2 * MAX_MEASURED_EPOCHS, deadlineSeconds: 300 };
    return carryOut(`${model} alone`, { ...sizes, ...length }, trainAlone);
  });

  const calibrate = async (how: Algorithm, numWorkers: number, wire: WireFormat, place: () => Place, name: string) => {
    const runs = [];
    for (const model of CALIBRATING_MODELS) {
      const { computeMs, applyMs, stepMs } = (await alone(model)).figures;
      const run = {
        ...{ model, numWorkers, wire, batchPerWorker, dataDir, extra: flagsOf(how) },
        ...lengthFor(FREE_STEP_OVER_ALONE * numWorkers * stepMs),
      };
      const { figures } = await carryOut(`${name}: ${model}, ${wire}`, run, trainAt(place));
      runs.push({ payloadBytes: payloadBytesOf(model, wire), stepMs: figures.stepMs, computeMs: computeMs + applyMs });
    }
    return calibrateHandling(how, numWorkers, cores, runs);
  };
  const shared = remember((numWorkers: number, wire: WireFormat) => {
    const place = () => makePlace(numWorkers, UNLIMITED, emulation);
    return calibrate(algorithm, numWorkers, wire, place, `calibration, ${countOf(numWorkers, 'host')} without a limit`);
  });
  const own = remember((wire: WireFormat) => calibrate('star', 1, wire, loopbackPlace, 'calibration, one worker'));

  const inputOf = async ({ model, numWorkers, link, wire }: Case, stepsPerEpoch: number): Promise<StepInput> => {
    const { computeMs, applyMs } = (await alone(model)).figures;
    return {
      ...{ algorithm, numWorkers, link, cores, stepsPerEpoch },
      // A relay stands between a worker and the coordinator only.
      ...(emulation.delay === 'relay' && { peerRoundTripMs: 0 }),
      buckets: bucketsOfModel(model, algorithm, numWorkers),
      ...{ payloadBytes: payloadBytesOf(model, wire), computeMs: computeMs + applyMs },
      handling: await shared(numWorkers, wire),
    };
  };

  return {
    ...{ alone, shared, own, inputOf },
    async measure(oneCase) {
      const { model, numWorkers, link, wire } = oneCase;
      const { stepMs } = predictStep(await inputOf(oneCase, maxSteps));
      const name = `${model}, ${countOf(numWorkers, 'host')}, ${describeLink(link)}, ${wire}`;
      const extra = flagsOf(algorithm);
      const run = { model, numWorkers, wire, batchPerWorker, dataDir, extra, ...lengthFor(stepMs) };
      return carryOut(
        name,
        run,
        trainAt(() => makePlace(numWorkers, link, emulation)),
      );
    },
  };
}

/** Trains across a place that is made for the run, and removed after it. */
function trainAt(makeOne: () => Place) {
  return async (run: TrainingRun, signal: AbortSignal): Promise<EpochFigures[]> => {
    const place = makeOne();
    try {
      return await trainAcross(place, run, signal);
    } finally {
      place.remove();
    }
  };
}

/** Of one gradient of a model, as it travels. */
export function payloadBytesOf(model: string, wire: WireFormat): number {
  return createVectorCodec(wire, planModel(loadModel(model))).payloadBytes;
}

/** Into how many parts, reduced and sent on one by one, a run cuts what one link carries at a time. */
export function bucketsOfModel(model: string, algorithm: Algorithm, numWorkers: number): number {
  const plan = planModel(loadModel(model));
  return algorithm === 'star' ? bucketsOf(plan) : Math.ceil(plan.numParameters / numWorkers / PIECE_VALUES);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** The function with its results kept, also those still awaited. */
function remember<A extends readonly (string | number)[], R>(compute: (...args: A) => R): (...args: A) => R {
  const results = new Map<string, R>();
  return (...args) => {
    const key = JSON.stringify(args);
    if (!results.has(key)) results.set(key, compute(...args));
    return results.get(key)!;
  };
}
