/**
 * THE training loop. With one in-process worker it is the single-node baseline; with sockets it is the cluster.
 *
 * For every step: wait for the gradients of all microbatches, average them, send the average to every replica together
 * with the next step's assignment, and apply it here too. After every epoch: prove the replicas equal, evaluate
 * across the workers, report. With local steps, read "round" for step: see `step-plan.ts`.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { Abandoned, unlessAbandoned } from './abandonment.ts';
import { updateRates } from '../protocol/vectors/optimizer.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { learningRateAt } from '../protocol/state/schedule.ts';
import { stepsPerEpoch } from '../protocol/data/sharding.ts';
import type { AllReduce, ReducedStep } from './all-reduce/all-reduce.ts';
import type { EpochSums } from './run-directory/checkpoint.ts';
import { evaluateSamples, NOT_EVALUATED } from './evaluation.ts';
import type { Fleet } from './members/fleet.ts';
import type { Predictions } from './predictions.ts';
import { wireRatioOf } from '../protocol/vectors/vector-codec.ts';
import { createEpochRecorder } from './reporting/epoch-recorder.ts';
import type { EpochRecorder, Pace } from './reporting/epoch-recorder.ts';
import type { EpochRecord, Progress, Reporter } from './reporting/reporter.ts';
import type { StepTracer } from './reporting/trace/step-tracer.ts';
import { lastStepOf, stepSizesOf } from './run-config.ts';
import type { RunConfig } from './run-config.ts';
import { createSpeedShares, EQUAL_SHARES } from './step/shares.ts';
import type { SharesChoice } from './run-config.ts';
import { NO_PAUSES } from './pauses.ts';
import type { Pauses } from './pauses.ts';
import { planStep } from './step/step-plan.ts';
import type { StepPlan } from './step/step-plan.ts';

export interface TrainingContext {
  readonly config: RunConfig;
  readonly numTrainSamples: number;
  readonly numEvaluationSamples: number;
  /** Filled by the evaluation of each epoch, before `onEpoch`. Absent: no predictions are asked for. */
  readonly predictions?: Predictions | undefined;
  readonly fleet: Fleet;
  readonly allReduce: AllReduce;
  /** The coordinator's own; trained in place, by the all-reduce. */
  readonly replica: Replica;
  /** Aborted: the loop ends after the step at hand, with the state sound. */
  readonly signal: AbortSignal;
  /** Aborted after `signal`: the loop leaves the step or the evaluation at hand, and ends with the state of the step before. */
  readonly abandonment?: AbortSignal | undefined;
  /** What a person asks of the run. Default: nothing. */
  readonly pauses?: Pauses;
  onProgress(progress: Progress): void;
  /** Told of every step as it is recorded; absent: no step is. */
  readonly onStepRecord?: Reporter['onStep'];
  /** Told when what happens in a step; absent: nothing is traced. */
  readonly tracer?: StepTracer | undefined;
  /** Told what it does besides steps. */
  onPhase?(doing: string): void;
  /** After every step that does not end an epoch, while workers compute or before a pause; what it rejects with ends the run. */
  onStep?(step: StepDone): Promise<void>;
  /** Awaited before the next epoch begins. `unfinished`: the sums of one that was left before its end. */
  onEpoch(record: EpochRecord, unfinished?: EpochSums): Promise<void>;
  /** Of the steps that the replica has taken in the epoch to begin with, when it stands in the middle of one. */
  readonly carried?: EpochSums | undefined;
}

/** A step, or with local steps a round, that the members have been told of; the replica has it unless in a ring. */
export interface StepDone {
  readonly step: number;
  readonly numSteps: number;
  readonly epoch: number;
  /** Of the epoch so far. */
  readonly sums: () => EpochSums;
}

/**
 * Trains `replica` to the end of the configuration, or until the signal. A pause comes after the step at hand, as if that ended
 * the epoch: every replica has it, and its members have nothing to do; then the epoch goes on.
 *
 * Rejects with `ProtocolError`, naming the worker, when the last worker is lost or misbehaves, and with ERR_NOT_FINITE when the
 * average holds a value that is no number; the replica then stands at the last step that was applied.
 */
export async function train(context: TrainingContext): Promise<'completed' | 'interrupted'> {
  const { config, numTrainSamples, fleet, allReduce, replica, signal, abandonment, pauses = NO_PAUSES } = context;
  const { members } = fleet;
  const stepSizes = stepSizesOf(config);
  const perEpoch = stepsPerEpoch(numTrainSamples, stepSizes.globalBatch);
  const totalSteps = config.epochs * perEpoch;
  const lastStep = lastStepOf(config, numTrainSamples);
  const shares = bySpeed(config.shares, allReduce) ? createSpeedShares() : EQUAL_SHARES;
  const sizes = {
    ...stepSizes,
    numTrainSamples,
    lastStep,
    sharedBy: shares,
    ratesAt: (step: number, epoch: number) =>
      updateRates(config.optimizer, learningRateAt(config.schedule, { step, epoch, totalSteps }), step),
  };
  const isInterrupted = (): boolean => signal.aborted;
  const isToPause = (): boolean => pauses.isPauseDue;

  /** With the time that it takes, also to find a member afterwards, kept out of the epoch's. */
  const standStill = async (recorder: EpochRecorder) => {
    recorder.paused();
    await pauses.standStill();
    while (members.length === 0 && !isInterrupted()) await fleet.whenAny();
    recorder.resumed();
  };

  /** Whether work was left because the run is interrupted: it was abandoned, or no worker is there to do it. */
  const isLeftEarly = (work: Promise<void>): Promise<boolean> =>
    work.then(
      () => false,
      (error: unknown) => {
        if (error instanceof Abandoned || (isInterrupted() && error === signal.reason)) return true;
        throw error;
      },
    );

  /** The steps of an epoch from where the replica stands, or fewer where the run is interrupted or to stop. */
  const takeSteps = async (epoch: number, recorder: EpochRecorder): Promise<void> => {
    let plan = planStep(replica.step + 1, members, sizes);
    allReduce.open(plan);
    recorder.opened();
    for (;;) {
      const openedMs = performance.now();
      const reduced = await unlessAbandoned(allReduce.collect(plan), abandonment);
      recorder.reduced(reduced, plan);
      shares.observe(plan, reduced.arrivals, openedMs);
      if (!reduced.isFinite) throw notFinite(plan, reduced);

      const step = plan.step + plan.numSteps - 1;
      const endsEpoch = step % perEpoch === 0 || step === lastStep || isInterrupted();
      const isPauseDue = isToPause();
      const next = endsEpoch || isPauseDue ? undefined : planStep(step + 1, members, sizes);
      allReduce.distribute(plan, next);
      recorder.distributed(!next);
      // The workers have the update on its way; this replica applies it in the meantime.
      allReduce.apply(plan);
      recorder.applied();
      context.onProgress(recorder.progress());
      if (!next) recorder.confirmed(await unlessAbandoned(allReduce.confirm(), abandonment));
      if (!endsEpoch) await context.onStep?.({ step, numSteps: plan.numSteps, epoch, sums: recorder.sums });
      if (isPauseDue) await standStill(recorder);
      if (endsEpoch || (isPauseDue && isInterrupted())) return;
      plan = next ?? planStep(step + 1, members, sizes);
      if (next) continue;
      allReduce.open(plan);
      recorder.opened();
    }
  };

  const wireRatio = wireRatioOf(config.wire, replica.plan);
  let { carried } = context;
  let pace: Pace = { seconds: 0, steps: 0, evaluationSeconds: 0 };

  /** The run is resumed after the last step of an epoch, whose evaluation was abandoned. */
  let isEvaluationDue = carried !== undefined && (replica.step % perEpoch === 0 || replica.step === lastStep);
  let isLeft = false;

  while ((replica.step < lastStep || isEvaluationDue) && !isInterrupted() && !pauses.isStopDue) {
    if (isToPause()) {
      await pauses.standStill();
      continue;
    }
    while (fleet.members.length === 0) await fleet.whenAny();
    const epoch = Math.ceil((replica.step + (isEvaluationDue ? 0 : 1)) / perEpoch);
    const isValidated = config.validationSamples !== undefined;
    const run = { epochs: config.epochs, stepsPerEpoch: perEpoch, lastStep, isValidated };
    const { onStepRecord, tracer } = context;
    const place = { ...run, epoch, members, wireRatio, carried, pace, onStepRecord, tracer };
    const recorder = createEpochRecorder(place);
    carried = undefined;
    if (!isEvaluationDue) isLeft = await isLeftEarly(takeSteps(epoch, recorder));
    isEvaluationDue = false;
    let figures = NOT_EVALUATED;
    if (!isLeft && (replica.step % perEpoch === 0 || replica.step === lastStep)) {
      context.onPhase?.(`evaluating epoch ${epoch}`);
      const evaluate = async () => void (figures = await unlessAbandoned(evaluateSamples(context, epoch), abandonment));
      isLeft = await isLeftEarly(evaluate());
    }
    if (isLeft) {
      recorder.left();
      // In a ring the steps of the epoch at hand are not in this replica.
      const isHere = replica.step === (epoch - 1) * perEpoch + recorder.sums().steps;
      if (!recorder.hasSteps || !isHere) break;
    }
    const { learningRate } = sizes.ratesAt(replica.step, epoch);
    const record = recorder.close(figures, learningRate);
    const { seconds, steps, stepsBeforeResume = 0, evaluationSeconds } = record;
    pace = { seconds, steps: steps - stepsBeforeResume, evaluationSeconds };
    await context.onEpoch(record, figures === NOT_EVALUATED ? recorder.sums() : undefined);
    if (isLeft) break;
  }
  return isLeft || replica.step < lastStep ? 'interrupted' : 'completed';
}

/** Where an average depends on who computes what, so would a run's outcome on how fast its workers happen to be. */
const bySpeed = (choice: SharesChoice, { isExact }: AllReduce): boolean =>
  choice === 'speed' || (choice === 'auto' && isExact);

function notFinite({ step, epoch }: StepPlan, reduced: ReducedStep): ProtocolError {
  const what = reduced.notFinite ?? 'the loss or the averaged gradient';
  return new ProtocolError(
    'ERR_NOT_FINITE',
    `step ${step} (epoch ${epoch}): not finite: ${what}. It was not applied, nor when it was computed once more. ` +
      'Training has diverged: try a smaller --learning-rate, a warm-up (--warmup-steps), or --clip-norm 1',
    { step },
  );
}
