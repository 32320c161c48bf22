/**
 * The messages of an examination: someone who knows the run's token, `gradsock doctor`, asks what the run is and how fast
 * the link is, and takes no part in it. Part of the one list in `messages.ts`.
 */
import { z } from 'zod';
import { modelSpecSchema } from '../state/model-spec.ts';

const index = z.int().min(0);
const count = z.int().min(1);
const text = z.string().max(500);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const EXAMINATION_MESSAGES = {
  /**
   * From the examiner. The first frame on a connection, in place of hello: it is no worker. A challenge and a proof follow
   * as they do for a worker, where the run has a token.
   */
  examine: {
    code: 50,
    payload: 'none',
    /** `nonce`: of an examiner that has a token. `program`: its version. */
    header: z.strictObject({ program: text, nonce: sha256.optional() }),
  },

  /** From the coordinator. Answers proof, or in a run without a token examine: what the run is. */
  examined: {
    code: 51,
    payload: 'none',
    header: z.strictObject({
      /** The version of the coordinator's program. */
      program: text,
      model: modelSpecSchema,
      dataset: z.strictObject({ name: text, sha256, totalBytes: count }),
      /** Workers that the run waits for, and those that are ready. */
      numWorkers: count,
      numReady: index,
      /** Bytes of one vector in the wire format: a worker of a star sends one and receives one in a step, if it has one microbatch. */
      stepBytes: count,
      /** The longest that the coordinator waits for a worker's gradient. */
      stepTimeoutMs: count,
      /** Whether workers may be asked to connect to each other. */
      mayBeRing: z.boolean(),
    }),
  },

  /**
   * From the examiner, as often as it likes, one at a time: an `echo`, for the time that it takes; bytes from the
   * coordinator, `down`; or leave to send as many, `up`.
   */
  measure: {
    code: 52,
    payload: 'none',
    header: z.strictObject({ what: z.enum(['echo', 'down', 'up']), numBytes: index }),
  },

  /**
   * From the coordinator. Answers measure: to `echo` at once with 0; to `up` how many bytes may be sent, and when they have
   * come how many those were; to `down` only where none are to be had: 0.
   */
  measured: { code: 53, payload: 'none', header: z.strictObject({ numBytes: index }) },

  /** From the coordinator, answers measure `down`; from the examiner after leave to send: bytes that mean nothing. */
  sample: { code: 54, payload: 'bytes', header: z.strictObject({}) },
} as const;
