/** The part of a run that has workers: gathers them, trains, and lets them go. */
import { setMaxListeners } from 'node:events';
import type { Dataset } from '../protocol/data/dataset.ts';
import { createExchange } from '../protocol/state/exchange.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { createVectorCodec } from '../protocol/vectors/vector-codec.ts';
import type { RunOutcome } from '../protocol/wire/messages.ts';
import type { TracedSteps } from '../protocol/wire/moments.ts';
import { Abandoned, createAbandonment, unlessAbandoned } from './abandonment.ts';
import { establishAllReduce } from './all-reduce/establish.ts';
import { createFleet, synchronise } from './members/fleet.ts';
import type { Fleet } from './members/fleet.ts';
import { whyNoPlace, whyNoWork } from './members/stand-by.ts';
import type { ServedDataset } from './members/admission.ts';
import { memberLimitsOf } from './members/limits.ts';
import { createMembership } from './members/membership.ts';
import { createRunMemory } from './members/shared-memory.ts';
import { answerBytesOf, createPredictions } from './predictions.ts';
import { confusionOf } from './reporting/confusion.ts';
import { createPauses } from './pauses.ts';
import { createRunControl } from './run-control.ts';
import type { RunControl } from './run-control.ts';
import { NO_WORKERS } from './reporting/reported-event.ts';
import type { ControlState, OnReissue } from './reporting/reported-event.ts';
import type { WorkerEvent } from './reporting/reported-event.ts';
import { createStepTracer, DEFAULT_TRACED_STEPS } from './reporting/trace/step-tracer.ts';
import { stepSizesOf, welcomeOf } from './run-config.ts';
import type { LockedRecord } from './run-directory/locked-run-directory.ts';
import type { RecordedRun } from './run-directory/resume.ts';
import type { RunCheckpoints } from './run-directory/run-checkpoints.ts';
import type { StepRecords } from './run-directory/step-records.ts';
import type { RunOptions } from './run-options.ts';
import type { RunProgress } from './run-progress.ts';
import { train } from './trainer.ts';

export interface RunParts extends Omit<RunOptions, 'dataset'> {
  /** The dataset, for workers that lack it; and the samples that the run uses. */
  readonly served: ServedDataset;
  readonly samples: Dataset;
  readonly replica: Replica;
  readonly directory: LockedRecord;
  readonly begunWith: RecordedRun['begunWith'];
  readonly checkpoints: RunCheckpoints;
  /** Where steps are to be recorded. */
  readonly stepRecords?: StepRecords | undefined;
  readonly progress: RunProgress;
  readonly waiting: { forFirstMs: number; forAnyMs: () => number };
  /** Replaced by simulations, whose vectors are short and cut into many buckets all the same. */
  readonly establish?: typeof establishAllReduce;
}

/** Gathers the workers, trains, and lets them go. */
export async function trainWithWorkers(parts: RunParts): Promise<'completed' | 'interrupted'> {
  const { config, samples, replica, directory, reporter, checkpoints, stepRecords, progress, waiting } = parts;
  const { establish = establishAllReduce, control = createRunControl() } = parts;
  const failure = new AbortController();
  const signal = AbortSignal.any([parts.signal, failure.signal, directory.lost]);
  setMaxListeners(0, signal);
  /** Between steps: whether the run may go on. */
  const checkIn = () => {
    directory.renewIfDue();
    directory.lost.throwIfAborted();
    failure.signal.throwIfAborted();
  };
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const joinTimeoutMs = config.joinTimeoutSeconds * 1000;

  const exchange = createExchange(replica, config.localSteps, config.microbatches);
  const memory = createRunMemory(config, exchange.layout, parts.sharedMemory, (line) => directory.logger.warn(line));
  const traced = parts.trace && tracedStepsOf(parts.trace, replica.step);
  const tracer = traced && createStepTracer(traced, (moments) => reporter.onTrace?.(moments));
  const { evaluation } = samples;
  const { numClasses } = config.model;
  const split = config.validationSamples === undefined ? 'test' : 'validation';
  const isConfusionTold = reporter.onConfusion !== undefined || directory.path !== undefined;
  const predictions = isConfusionTold ? createPredictions(evaluation.numSamples, numClasses) : undefined;
  const welcome = welcomeOf(config, directory.runId, samples);
  const membership = createMembership({
    memory,
    token: parts.token,
    limits: memberLimitsOf(config, exchange.layout, replica.state, answerBytesOf(predictions)),
    welcome: { ...welcome, ...(traced && { trace: traced }) },
    dataset: parts.served,
    examination: () => ({
      program: parts.program ?? 'unknown',
      numWorkers: config.workers,
      numReady: membership.members.length,
      stepBytes: createVectorCodec(config.wire, exchange.layout).payloadBytes,
      stepTimeoutMs: Math.ceil(stepTimeoutMs),
      mayBeRing: config.allReduce !== 'star' && parts.ringObstacle === undefined,
    }),
    log: (level, line, fields) => {
      directory.logger[level](fields ?? {}, line);
      if (level === 'warn' && !parts.ownsWorkers) reporter.line(line);
    },
    onReady: ({ name }, numReady) => {
      if (config.workers > 1) reporter.line(`${name} is ready, ${numReady} of ${config.workers}`);
      reporter.onPhase?.(waitingFor(numReady));
    },
    onMember: (worker, isBack) => reporter.onEvent?.({ kind: 'ready', worker, isBack, host: worker.transport.peer }),
    onRefused: (reason) => reporter.onEvent?.({ kind: 'refused', reason }),
  });
  const census = () => ({ ...NO_WORKERS, waiting: membership.members.length });
  reporter.onEvent?.({ kind: 'gathering', census });
  const waitingFor = (numReady: number) =>
    `waiting for workers: ${numReady} of ${config.workers} ${numReady === 1 ? 'is' : 'are'} ready`;
  const onFailure = (error: Error) => failure.abort(error);
  followControl(parts, control, failure);
  reporter.onPhase?.(waitingFor(0));
  const waitStartMs = performance.now();
  const source = await parts.summonWorkers({ runDir: directory.path, membership, replica, samples, onFailure });
  let outcome: RunOutcome = 'failed';
  let fleet: Fleet | undefined;
  const abandonment = createAbandonment(parts.signal);
  try {
    const stop = stopSignalOf(control);
    const members = await membership
      .waitForWorkers(config.workers, joinTimeoutMs, AbortSignal.any([signal, stop]))
      .catch((error: unknown) => {
        if (error !== stop.reason) throw error;
      })
      .finally(() => (waiting.forFirstMs = performance.now() - waitStartMs));
    if (!members) {
      return (outcome = 'interrupted');
    }
    reporter.onPhase?.('sending the state to the workers');
    const say = (line: string) => {
      directory.logger.info({}, line);
      reporter.line(line);
    };
    const { microbatches } = stepSizesOf(config);
    const maxMembers = Math.min(config.maxWorkers ?? microbatches, microbatches);
    const whyFull = maxMembers < microbatches ? whyNoPlace(maxMembers) : whyNoWork(microbatches);
    const onAlone = (step: number, waitSeconds: number) => reporter.onEvent?.({ kind: 'alone', step, waitSeconds });
    const onWorker = (event: WorkerEvent) => reporter.onEvent?.({ kind: 'worker', ...event });
    const limits = { stepTimeoutMs, waitMs: joinTimeoutMs, maxMembers, whyFull };
    const gathered = createFleet(members, { replica, ...limits, signal, say, onAlone, onWorker });
    fleet = gathered;
    reporter.onEvent?.({ kind: 'gathering', census: () => gathered.census() });
    const { patienceMs } = welcome;
    const pauses = createPauses({ control, fleet: gathered, patienceMs, checkIn, interruption: parts.signal, signal });
    waiting.forAnyMs = () => gathered.waitedMs + pauses.pausedMs;
    await unlessAbandoned(synchronise(gathered, replica, stepTimeoutMs), abandonment.signal);
    reporter.onStart?.(config, members, directory.path, replica.step);
    const { allocateAverage } = memory;
    const parties = { fleet: gathered, replica, exchange, allocateAverage };
    const { vectorMath, ringObstacle, begunWith } = parts;
    const onReissue: OnReissue = (reason, numMicrobatches) =>
      reporter.onEvent?.({ kind: 'reissued', reason, numMicrobatches });
    const how = { config, begunWith, vectorMath, ringObstacle, say, onReissue, onAsk: tracer?.asked };
    const { allReduce, kind } = await unlessAbandoned(establish({ ...parties, ...how }), abandonment.signal);
    if (!begunWith) await directory.recordAllReduce(kind);
    membership.passNewcomers((member) => gathered.join(member));
    const status = await train({
      config,
      numTrainSamples: samples.train.numSamples,
      numEvaluationSamples: evaluation.numSamples,
      predictions,
      fleet: gathered,
      allReduce,
      replica,
      signal: parts.signal,
      abandonment: abandonment.signal,
      pauses,
      carried: checkpoints.point.unfinished,
      onProgress: (step) => reporter.onProgress?.(step),
      onStepRecord:
        (stepRecords ?? reporter.onStep) &&
        ((record, contributions) => {
          stepRecords?.add(record);
          reporter.onStep?.(record, contributions);
        }),
      tracer,
      onPhase: (doing) => reporter.onPhase?.(doing),
      onStep: async (step) => {
        await checkpoints.stepDone(step);
        checkIn();
      },
      onEpoch: async (record, unfinished) => {
        progress.epochs = record.epoch;
        progress.last = record;
        progress.testAccuracy = record.validationAccuracy ?? record.testAccuracy;
        await stepRecords?.flush();
        await directory.appendEpoch(record);
        // An epoch that was left before its end was not evaluated.
        const confusion =
          predictions && !unfinished
            ? confusionOf({ epoch: record.epoch, split, labels: evaluation.labels, ...predictions })
            : undefined;
        if (confusion) await directory.writeConfusion(confusion);
        const facts = { dataset: config.dataset, epoch: record.epoch, accuracy: progress.testAccuracy };
        // Before the checkpoint: a run that is resumed from that one would not write it again.
        if (checkpoints.isBest(record)) await directory.writeModel(replica, facts, 'best.safetensors');
        checkpoints.epochDone(record, unfinished);
        await directory.writeModel(replica, facts);
        directory.logger.info(record, `epoch ${record.epoch}`);
        if (confusion) reporter.onConfusion?.(confusion);
        reporter.onEpoch?.(record);
        // After the last epoch it does not matter any more.
        if (record.epoch < config.epochs) checkIn();
      },
    });
    // Before workers are told that the run is over: if the coordinator ends while it writes, the resumed run needs them.
    await checkpoints.finish();
    return (outcome = status);
  } catch (error) {
    if (!(error instanceof Abandoned) && (!parts.signal.aborted || error !== parts.signal.reason)) throw error;
    return (outcome = 'interrupted');
  } finally {
    abandonment.end();
    control.training.end();
    fleet?.close();
    membership.dismiss(outcome === 'failed' ? 'the run has failed' : `the run is ${outcome}`, outcome);
    await source.stop();
  }
}

/** Tells the log and the reporter of what a person asks for, from what was asked for already on. What fails ends the run. */
function followControl({ directory, reporter }: RunParts, control: RunControl, failure: AbortController): void {
  const tell = (state: ControlState) => {
    directory.logger.info({}, `control: ${state}`);
    try {
      reporter.onEvent?.({ kind: 'control', state });
    } catch (error) {
      // Whoever has pressed the button is not to blame.
      failure.abort(error);
    }
  };
  control.onChange(tell);
  if (control.state() !== 'running') tell(control.state());
}

/** Aborted when the run is to stop: where no epoch is at hand, that is at once. */
function stopSignalOf(control: RunControl): AbortSignal {
  const stop = new AbortController();
  const check = () => {
    if (control.training.isStopDue) stop.abort(new Error('stopped before the first epoch'));
  };
  control.onChange(check);
  check();
  return stop.signal;
}

/** What is asked for, or the first steps that this process takes. */
const tracedStepsOf = ({ steps }: NonNullable<RunOptions['trace']>, stepsDone: number): TracedSteps =>
  steps ?? { firstStep: stepsDone + 1, lastStep: stepsDone + DEFAULT_TRACED_STEPS };
