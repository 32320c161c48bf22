/**
 * The messages of a ring: how it is set up, a step in it, and what travels between two workers. Part of the one list in
 * `messages.ts`, which hands in the schemas that both share.
 */
import { z } from 'zod';
import { updateRatesSchema } from '../vectors/optimizer.ts';
import { momentsSchema } from './moments.ts';

const index = z.int().min(0);
const count = z.int().min(1);
const durationMs = z.number().min(0);
const text = z.string().max(500);
const token = z.string().regex(/^[0-9a-f]{64}$/);

export function ringMessages<Assignment extends z.ZodObject, Sums extends z.ZodObject>(
  assignment: Assignment,
  sums: Sums,
) {
  return {
    /**
     * From the coordinator. After the snapshot: the worker is to listen for one other worker, which will show the
     * token.
     */
    ringPrepare: { code: 32, payload: 'none', header: z.strictObject({ token }) },

    /** From the worker. Answers ringPrepare: where this worker's predecessor reaches it. */
    ringListening: { code: 33, payload: 'none', header: z.strictObject({ url: text }) },

    /** From the worker. Answers ringPrepare or ringConnect: this worker cannot be in a ring, and because of whom. */
    ringUnavailable: {
      code: 34,
      payload: 'none',
      header: z.strictObject({ because: z.enum(['itself', 'successor', 'predecessor']), reason: z.string().max(2000) }),
    },

    /**
     * From the coordinator. When everyone listens: the worker's place, whom it has to connect to, and who will connect
     * to it.
     */
    ringConnect: {
      code: 35,
      payload: 'none',
      header: z.strictObject({
        rank: index,
        size: z.int().min(2),
        successorUrl: text,
        /** Names, for messages to people. */
        successor: text,
        predecessor: text,
        /** The longest that a neighbour may take for a step. */
        stepTimeoutMs: count,
      }),
    },

    /** From the worker. Answers ringConnect: both neighbours are connected. */
    ringReady: { code: 36, payload: 'none', header: z.strictObject({ rank: index }) },

    /**
     * From the coordinator. The ring is dissolved, or cannot be formed. It overtakes whatever the worker is doing for
     * it: the worker ends its links, and drops an average that it was not told to apply.
     */
    ringClose: {
      code: 37,
      payload: 'none',
      header: z.strictObject({ reason: z.string().max(5000) }),
    },

    /** From the worker. The first message on a link, from the one that connected: proof that it is the predecessor. */
    peerHello: { code: 38, payload: 'none', header: z.strictObject({ token, rank: index }) },

    /**
     * From the coordinator. Opens a step for a worker, and tells it that everyone has the whole average of the step
     * before: only now it applies that one. So a ring that breaks leaves all replicas at the same step.
     */
    ringStep: {
      code: 39,
      payload: 'none',
      header: z.strictObject({
        step: count,
        /** Of the whole step: what a sum of gradients is divided by. */
        numSamples: count,
        /** Of a round of several local steps: how many. */
        numSteps: count.optional(),
        /** At which everyone is to apply the average. */
        rates: updateRatesSchema,
        /** Absent for a worker without a part in a short last step: it takes part in the sum with zeros. */
        assignment: assignment.optional(),
      }),
    },

    /** From the worker. Answers ringStep: the worker's own sum is there and the exchange begins. */
    ringSum: {
      code: 40,
      payload: 'none',
      header: z.strictObject({
        step: count,
        firstMicrobatch: index,
        microbatches: z.array(sums),
        /** Engine time, and time spent on summing. */
        computeMs: durationMs,
        encodeMs: durationMs,
        /** Time spent applying the average of the step before, on receipt of this one's opening. */
        applyMs: durationMs,
        /** Of a step that is traced, and of the one after it, which has the end of it. */
        moments: momentsSchema.optional(),
      }),
    },

    /**
     * From a worker to its successor: a piece of [gradient | statistics x samples | loss], summed over all workers that
     * it has passed (reduce), or averaged over all (gather). Which piece comes next is known to both.
     */
    ringChunk: {
      code: 41,
      payload: 'bytes',
      header: z.strictObject({ step: count, phase: z.enum(['reduce', 'gather']), piece: index }),
    },

    /**
     * From the worker. The worker has the whole average. One that is not finite, as everyone else sees too, is not
     * kept.
     */
    ringDone: {
      code: 42,
      payload: 'none',
      header: z.strictObject({
        step: count,
        isFinite: z.boolean(),
        /** Time spent on packing and unpacking, and on adding up. */
        encodeMs: durationMs,
        reduceMs: durationMs,
        /** Of frames on the links to both neighbours, since the last ringDone. */
        bytesSent: index,
        bytesReceived: index,
        /** As in ringSum. */
        moments: momentsSchema.optional(),
      }),
    },

    /**
     * From the coordinator. At the end of an epoch, when everyone has the whole average of its last step: the worker
     * applies that one. Also when a ring has broken. Answered by `applied`, and before it by a `snapshot` if the state
     * is asked for.
     */
    ringProve: { code: 43, payload: 'none', header: z.strictObject({ sendState: z.boolean() }) },

    /**
     * From the worker. In place of ringDone: the link to a neighbour has failed. The worker waits for the coordinator's
     * word.
     */
    ringBroken: {
      code: 44,
      payload: 'none',
      header: z.strictObject({
        step: count,
        neighbour: z.enum(['successor', 'predecessor']),
        reason: z.string().max(2000),
      }),
    },

    /**
     * From the worker. Answers ringClose: the step at which the worker's replica stands. It is the last word of that
     * ring.
     */
    ringClosed: { code: 45, payload: 'none', header: z.strictObject({ step: index }) },
  } as const;
}
