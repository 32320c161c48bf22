/**
 * Every message: who sends it, when, and why. The one list that both sides share.
 *
 * A message is a small header, checked by its schema wherever it arrives, and for some kinds a tensor payload, which
 * never goes through the header's encoding. Fields are in samples, bytes or milliseconds as their names say.
 */
import { z } from 'zod';
import { WIRE_FORMATS } from '../vectors/encoding.ts';
import { PROTOCOL_ERROR_CODES } from '../errors.ts';
import { augmentationSchema } from '../data/augmentation.ts';
import { modelSpecSchema } from '../state/model-spec.ts';
import { sharedMemoryOfferSchema } from './shared-memory.ts';
import { optimizerConfigSchema, updateRatesSchema } from '../vectors/optimizer.ts';
import { momentsSchema, tracedStepsSchema } from './moments.ts';
import { ringMessages } from './ring-messages.ts';
import { EXAMINATION_MESSAGES } from './examination-messages.ts';

/** Raised whenever two builds could misunderstand each other. Travels in every frame. */
export const PROTOCOL_VERSION = 9;

/** How a run may end. */
const RUN_OUTCOMES = ['completed', 'interrupted', 'failed'] as const;
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

const index = z.int().min(0);
const count = z.int().min(1);
const durationMs = z.number().min(0);
const text = z.string().max(500);
/** Hexadecimal: hashes, and nonces and proofs of that length. */
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** A loss may be NaN or infinite: the trainer decides what that means, not the decoder. */
const anyNumber = z.union([z.number(), z.nan(), z.literal(Infinity), z.literal(-Infinity)]);

/** A run of microbatches of one step. */
const microbatchRange = { firstMicrobatch: index, numMicrobatches: count };

/** The work of one worker in one step. Which samples these are follows from the seed: see `data/sharding.ts`. */
const assignmentSchema = z.strictObject({
  step: count,
  epoch: count,
  stepInEpoch: index,
  ...microbatchRange,
  /** How many buckets vectors are cut into: see `buckets.ts`. */
  numBuckets: count,
  /** In a run with local steps: the rates of each step of the round that begins with this one. */
  localRates: z.array(updateRatesSchema).min(1).optional(),
  /** The step is computed once more, its average was not finite: a sum that is not finite is told, and not sent. */
  isRepeat: z.literal(true).optional(),
});

const sumsSchema = z.strictObject({ lossSum: anyNumber, numCorrect: index, numSamples: count });

export const MESSAGES = {
  /** From the worker. The first frame on a connection: who the worker is. */
  hello: {
    code: 1,
    payload: 'none',
    /**
     * `nonce`: of a worker that has something to prove, and if that is a token, demands proof of it. `returningAs`: the
     * id that it had on a connection before. See `authentication.ts`.
     */
    header: z.strictObject({ name: text, nonce: sha256.optional(), returningAs: text.optional() }),
  },

  /**
   * From the coordinator. Answers hello where there is something to prove: what is to be proved with it, and in a run
   * with a token proof that this coordinator knows it.
   */
  challenge: {
    code: 48,
    payload: 'none',
    header: z.strictObject({ nonce: sha256, proof: sha256.optional() }),
  },

  /**
   * From the worker. Answers a challenge: proof that the worker knows the token, and that it is the one that it said it
   * was.
   */
  proof: {
    code: 49,
    payload: 'none',
    header: z.strictObject({ proof: sha256.optional(), returnProof: sha256.optional() }),
  },

  /**
   * From the coordinator. Answers hello, or proof: the run that the worker has joined, and all that it needs to build
   * its replica and its engine.
   */
  welcome: {
    code: 2,
    payload: 'none',
    header: z.strictObject({
      runId: text,
      workerId: text,
      /**
       * With a new id: a secret between the coordinator and this worker, by which it proves its id when it has to come
       * back. Absent for one that has just done so.
       */
      returnKey: sha256.optional(),
      model: modelSpecSchema,
      seed: z.int(),
      optimizer: optimizerConfigSchema,
      globalBatch: count,
      numMicrobatches: count,
      /** Steps of each worker's own between averages; absent where every step is averaged. */
      localSteps: count.optional(),
      evaluationBatch: count,
      /** How gradients and averages travel. */
      wire: z.enum(WIRE_FORMATS),
      numTrainSamples: count,
      numTestSamples: index,
      /**
       * Training samples after those that are trained on: evaluated in place of test samples. Absent where there are
       * none.
       */
      numValidationSamples: count.optional(),
      /** See `EngineOptions.labelSmoothing`; absent for none. */
      labelSmoothing: z.number().min(0).lt(1).optional(),
      /** What every worker does to training images, see `augmentation.ts`; absent for nothing. */
      augmentation: augmentationSchema.optional(),
      /**
       * The longest that the coordinator may be silent, pings apart: it may be waiting for other workers. Where it waits for
       * a person, it sends `hold`.
       */
      patienceMs: count,
      /** The data, by the sha256 of its canonical form, see `data/canonical.ts`: a worker with other bytes has no part. */
      dataset: z.strictObject({ name: text, sha256, totalBytes: count }),
      /** For a worker on the coordinator's machine: memory that both may use. See `shared-memory.ts`. */
      sharedMemory: sharedMemoryOfferSchema.optional(),
      /** In a run that is traced: the steps of which the worker tells its moments. */
      trace: tracedStepsSchema.optional(),
    }),
  },

  /**
   * From the worker. Before ready, where it lacks the dataset: the next bytes of its canonical form, from the first to the
   * last, at most `LIMITS.datasetRangeBytes` at a time.
   */
  datasetRequest: { code: 3, payload: 'none', header: z.strictObject({ offsetBytes: index, numBytes: count }) },

  /** From the coordinator. Answers datasetRequest: a piece of those bytes; pieces come in order until all are there. */
  datasetChunk: { code: 4, payload: 'bytes', header: z.strictObject({ offsetBytes: index }) },

  /** From the worker. The dataset is at hand, the engine built and probed: the worker can take a snapshot. */
  ready: {
    code: 5,
    payload: 'none',
    header: z.strictObject({
      engine: text,
      device: text,
      threads: count,
      /** Whether the worker has mapped the memory that it was offered: from here on payloads may lie in it. */
      sharesMemory: z.boolean(),
    }),
  },

  /**
   * From either end. Answers ready when training starts: the whole replica, [parameters | buffers | optimizer state |
   * averages]. In a ring also the other way, at the end of an epoch and when the ring has broken: the coordinator's
   * replica follows.
   */
  snapshot: {
    code: 6,
    payload: 'float32',
    header: z.strictObject({
      step: index,
      parametersSha256: sha256,
      /** Into how many buckets the averages are cut that follow without an assignment. Default: one. */
      numBuckets: count.optional(),
    }),
  },

  /**
   * From the worker. Answers a snapshot, and an update without a next assignment: proof that the replicas are equal
   * after `step`.
   */
  applied: {
    code: 7,
    payload: 'none',
    header: z.strictObject({
      step: index,
      parametersSha256: sha256,
      applyMs: durationMs,
      hashMs: durationMs,
      /** After a step that is traced. */
      moments: momentsSchema.optional(),
    }),
  },

  /**
   * From the coordinator. Opens the first step of an epoch for a worker. Later steps are opened by the update before
   * them.
   */
  step: { code: 8, payload: 'none', header: z.strictObject({ assignment: assignmentSchema }) },

  /**
   * From the worker. Answers an assignment, once for each subtree of the reduction tree that the worker holds whole:
   * the sum over those microbatches of [gradient | statistics x samples] in the run's wire format, or the last bucket
   * of it, and what was counted on the way. With local steps, of the changes of the whole state that each microbatch's
   * steps made, in the order that `state/exchange.ts` has.
   */
  gradient: {
    code: 9,
    payload: 'bytes',
    header: z.strictObject({
      step: count,
      ...microbatchRange,
      microbatches: z.array(sumsSchema).min(1),
      /** Since the previous gradient of this step: engine time, and time spent on summing and packing. */
      computeMs: durationMs,
      encodeMs: durationMs,
      /** Time spent applying the update that opened this step. */
      applyMs: durationMs,
      /** Of a step that is traced, and of the one after it, which has the end of it. */
      moments: momentsSchema.optional(),
    }),
  },

  /**
   * From the worker. Before a gradient, where vectors travel in several buckets: each bucket but the last, which the
   * gradient itself carries. In order, those of one subtree after each other.
   */
  gradientBucket: {
    code: 16,
    payload: 'bytes',
    header: z.strictObject({ step: count, ...microbatchRange, bucket: index }),
  },

  /**
   * From the worker. In place of a gradient, of a step that is computed once more: the sum over these microbatches is
   * not finite.
   */
  notFinite: {
    code: 18,
    payload: 'none',
    header: z.strictObject({ step: count, ...microbatchRange, what: text }),
  },

  /**
   * From the coordinator. Before an update, in the same way: a bucket of the average, as soon as all have sent theirs.
   */
  averageBucket: {
    code: 17,
    payload: 'bytes',
    header: z.strictObject({ step: count, bucket: index }),
  },

  /**
   * From the coordinator. Ends a step: the averaged [gradient | statistics] in the run's wire format, or the last
   * bucket of it, decoded and applied by everyone alike; and the next assignment with it. With local steps, it ends a
   * round: the average change, which is added.
   */
  update: {
    code: 10,
    payload: 'bytes',
    header: z.strictObject({
      /** Of a round: its first step. */
      step: count,
      rates: updateRatesSchema,
      /** Of a round of several steps: how many. */
      numSteps: count.optional(),
      /**
       * Opens the next step, which the worker answers with gradients. Absent at the end of an epoch, and for a worker
       * that has no part in a short last step: it answers with `applied`.
       */
      next: assignmentSchema.optional(),
    }),
  },

  /**
   * From the coordinator. To a worker that is ready and has no work, once: why, and until when. It follows along where
   * it is sent averages.
   */
  standBy: { code: 19, payload: 'none', header: z.strictObject({ reason: text }) },

  /**
   * From the coordinator. At any time after ready, to a worker that waits for its next message: the run is paused, or waits,
   * and the coordinator lives. The worker's patience begins anew; nothing else changes, and nothing is answered.
   */
  hold: { code: 20, payload: 'none', header: z.strictObject({}) },

  /**
   * From the coordinator. Between epochs: evaluate these chunks of `evaluationBatch` samples, on the averages of the
   * weights where there are any.
   */
  evaluate: {
    code: 11,
    payload: 'none',
    header: z.strictObject({
      epoch: index,
      firstChunk: index,
      numChunks: count,
      /** The answer is to say of each sample what it was predicted as. Default: it does not. */
      predictions: z.literal(true).optional(),
    }),
  },

  /**
   * From the worker. Answers evaluate: one entry a chunk, so that the total does not depend on who evaluated it. Where
   * predictions were asked for, the payload has two numbers for each sample of the chunks: first the predicted classes of
   * all samples, then their losses in nats, which may be no numbers. Else it is empty.
   */
  evaluation: {
    code: 12,
    payload: 'float32',
    header: z.strictObject({ epoch: index, chunks: z.array(sumsSchema).min(1), computeMs: durationMs }),
  },

  /**
   * From the coordinator. The run is over, or answers proof or hello when it was over before; the worker closes the
   * connection and ends. `reason` is for people, `outcome` for launchers of workers, which end as the run does.
   */
  shutdown: {
    code: 13,
    payload: 'none',
    header: z.strictObject({ reason: text, outcome: z.enum(RUN_OUTCOMES).optional() }),
  },

  /** From the worker. The worker was asked by its user to stop: it leaves now. */
  leave: { code: 14, payload: 'none', header: z.strictObject({ reason: text }) },

  /** From either end. The last frame before the sender closes: what was wrong, by code. */
  error: {
    code: 15,
    payload: 'none',
    header: z.strictObject({ code: z.enum(PROTOCOL_ERROR_CODES), message: z.string().max(2000) }),
  },

  ...EXAMINATION_MESSAGES,
  ...ringMessages(assignmentSchema, sumsSchema),
} as const satisfies Record<string, MessageDefinition>;

interface MessageDefinition {
  /** Identifies the kind in a frame; never reused. */
  readonly code: number;
  readonly payload: PayloadType;
  readonly header: z.ZodObject;
}

export type PayloadType = 'none' | 'float32' | 'bytes';

interface Payloads {
  none: unknown;
  float32: { readonly payload: Float32Array<ArrayBuffer> };
  bytes: { readonly payload: Uint8Array<ArrayBuffer> };
}

export type MessageKind = keyof typeof MESSAGES;

/** A header's fields. The schema of a header without any stands for a record whose every field is never there. */
type FieldsOf<Header> = { readonly [F in keyof Header as string extends F ? never : F]: Header[F] };

/** A message of kind K: its kind, its header's fields, and its payload if the kind has one. */
export type MessageOf<K extends MessageKind> = {
  [Kind in K]: { readonly kind: Kind } & FieldsOf<z.infer<(typeof MESSAGES)[Kind]['header']>> &
    Payloads[(typeof MESSAGES)[Kind]['payload']];
}[K];

export type Message = MessageOf<MessageKind>;

export type Assignment = Readonly<z.infer<typeof assignmentSchema>>;
export type Sums = Readonly<z.infer<typeof sumsSchema>>;
