/**
 * Checkpoint: the whole state of a run after one of its steps, as one self-describing file.
 *
 *     bytes 0-7     "gradsckp"
 *     8-11, 12-15   version of this layout; length h of the header in bytes, a multiple of 8: uint32
 *     16-23         length s of the state in bytes: uint64
 *     24 .. 24+h    the header: JSON, spaces at its end
 *     .. 24+h+s     the state: float32, [parameters | buffers | optimizer state | averages]
 *     32 bytes      sha256 of everything before
 *
 * Numbers are little-endian. What a step's work depends on besides is in the header or follows from the configuration:
 * orders of samples and rates are functions of seed, epoch and step. What workers keep to themselves, the rounding
 * errors that `int8` carries over, is not in it.
 */
import { createHash, webcrypto } from 'node:crypto';
import { z } from 'zod';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { modelSpecSchema } from '../../protocol/state/model-spec.ts';
import { runConfigSchema } from '../run-config.ts';
import type { RunConfig } from '../run-config.ts';

const MAGIC = 'gradsckp';
const VERSION = 1;
const HEAD_BYTES = 24;
const HASH_BYTES = 32;
/** Headers of one run differ by some digits: memory with this much to spare fits the next file too. */
const SLACK_BYTES = 256;

/** Of a configuration: what does not change what the run computes. */
const WITHOUT_EFFECT: readonly string[] = [
  'workers',
  'dataset',
  'initFrom',
  'joinTimeoutSeconds',
  'stepTimeoutSeconds',
] satisfies (keyof RunConfig)[];

const count = z.int().min(0);

/** Sums over the steps of an epoch so far: what its record is made of. */
const epochSumsSchema = z.strictObject({
  lossSum: z.number(),
  numCorrect: count,
  numSamples: count,
  steps: count,
});

export type EpochSums = Readonly<z.infer<typeof epochSumsSchema>>;

/** Where a run stands beside its state. */
const runPointSchema = z.strictObject({
  /** Steps applied. */
  step: count,
  /** Epochs that are whole, evaluated and recorded. */
  epochsDone: count,
  /** Of the epoch after those, when some of its steps are done. */
  unfinished: epochSumsSchema.optional(),
  /** After the last epoch, and the best of all; of held-back samples with validation. null where nothing was evaluated. */
  testAccuracy: z.number().nullable(),
  bestTestAccuracy: z.number().nullable(),
  /** The epoch of the best; absent in older files. */
  bestEpoch: count.optional(),
  /** The run's wall time so far, and how much of it was waiting for workers, or paused; absent in older files. */
  seconds: z.number(),
  waitingSeconds: z.number().optional(),
});

export type RunPoint = Readonly<z.infer<typeof runPointSchema>>;

const headerSchema = z.strictObject({
  runId: z.string(),
  model: modelSpecSchema,
  /** See {@link outcomeSha256}. */
  configSha256: z.string(),
  point: runPointSchema,
});

export type CheckpointHeader = Readonly<z.infer<typeof headerSchema>>;

export interface Checkpoint {
  readonly header: CheckpointHeader;
  readonly state: Float32Array<ArrayBuffer>;
}

/** The run that a checkpoint must be of. */
export interface CheckpointOwner {
  readonly runId: string;
  readonly config: RunConfig;
  /** Numbers of epochs that it had before it was made longer. Default: none. */
  readonly earlierEpochs?: readonly number[];
  /** Length of its state, in values. */
  readonly stateLength: number;
}

/**
 * The file except for its hash: a copy of the state, in `memory` if that is large enough, else in fresh memory with a
 * little to spare. {@link sealCheckpoint} completes it.
 */
export function encodeCheckpoint(
  header: CheckpointHeader,
  state: Float32Array<ArrayBuffer>,
  memory?: ArrayBuffer,
): Uint8Array<ArrayBuffer> {
  const stateBytes = new Uint8Array(state.buffer, state.byteOffset, state.byteLength);
  const head = encodeHead(header, stateBytes.length);
  const numBytes = head.length + stateBytes.length + HASH_BYTES;
  const isEnough = memory !== undefined && memory.byteLength >= numBytes;
  const file = new Uint8Array(isEnough ? memory : new ArrayBuffer(numBytes + SLACK_BYTES), 0, numBytes);
  file.set(head);
  file.set(stateBytes, head.length);
  return file;
}

/** Enters the hash; it is computed by another thread, for a step would feel the milliseconds that it takes. */
export async function sealCheckpoint(file: Uint8Array<ArrayBuffer>): Promise<void> {
  const hashAt = file.length - HASH_BYTES;
  file.set(new Uint8Array(await webcrypto.subtle.digest('SHA-256', file.subarray(0, hashAt))), hashAt);
}

function encodeHead(header: CheckpointHeader, stateBytes: number): Uint8Array {
  const json = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const head = Buffer.alloc(HEAD_BYTES + headerBytes, ' ');
  head.write(MAGIC, 0, 'latin1');
  head.writeUInt32LE(VERSION, 8);
  head.writeUInt32LE(headerBytes, 12);
  head.writeBigUInt64LE(BigInt(stateBytes), 16);
  json.copy(head, HEAD_BYTES);
  return head;
}

/**
 * The checkpoint that a file holds. Throws `ConfigError`, which begins with `name`, for one that is torn, damaged, of
 * another version, run, model or configuration.
 */
export function decodeCheckpoint(name: string, file: Buffer<ArrayBuffer>, owner: CheckpointOwner): Checkpoint {
  const refuse = (why: string) => new ConfigError(`${name}: ${why}`);
  if (file.length < HEAD_BYTES) throw refuse(`torn: ${countOf(file.length, 'byte')}, expected ${HEAD_BYTES} or more`);
  if (file.toString('latin1', 0, MAGIC.length) !== MAGIC) throw refuse(`no checkpoint: it does not begin ${MAGIC}`);
  const version = file.readUInt32LE(8);
  if (version !== VERSION) throw refuse(`of version ${version}, expected ${VERSION}`);
  const stateAt = HEAD_BYTES + file.readUInt32LE(12);
  const hashAt = stateAt + Number(file.readBigUInt64LE(16));
  const totalBytes = hashAt + HASH_BYTES;
  if (file.length !== totalBytes) throw refuse(`torn: ${countOf(file.length, 'byte')}, expected ${totalBytes}`);
  const hash = createHash('sha256').update(file.subarray(0, hashAt)).digest();
  if (!hash.equals(file.subarray(hashAt))) throw refuse('damaged: its content does not have its sha256');

  let header: CheckpointHeader;
  try {
    header = headerSchema.parse(JSON.parse(file.toString('utf8', HEAD_BYTES, stateAt)));
  } catch (error) {
    throw refuse(`its header cannot be read: ${describeError(error)}`);
  }
  const { runId, config, earlierEpochs = [], stateLength } = owner;
  const configs = [config, ...earlierEpochs.map((epochs) => ({ ...config, epochs }))];
  if (header.runId !== runId) throw refuse(`of run ${header.runId}, expected run ${runId}`);
  if (canonical(header.model) !== canonical(modelSpecSchema.parse(config.model))) {
    throw refuse(`of another model, ${header.model.name}, expected that of config.json, ${config.model.name}`);
  }
  if (!configs.some((known) => header.configSha256 === outcomeSha256(known)))
    throw refuse('of another configuration than config.json has');
  const stateBytes = file.subarray(stateAt, hashAt);
  if (stateBytes.length !== stateLength * Float32Array.BYTES_PER_ELEMENT) {
    throw refuse(`a state of ${countOf(stateBytes.length, 'byte')}, expected ${stateLength} values of 4`);
  }
  // A copy: the file's bytes need not lie at a multiple of 4.
  return { header, state: new Float32Array(Uint8Array.from(stateBytes).buffer) };
}

/** sha256, in hex, of all of a configuration that the outcome depends on: not who computes it, nor how long one waits. */
export function outcomeSha256(config: RunConfig): string {
  const fields: [string, unknown][] = Object.entries(runConfigSchema.parse(config));
  const outcome = fields.filter(([name]) => !WITHOUT_EFFECT.includes(name));
  // Of the data, what it is counts, not where it was found.
  if (config.dataset) outcome.push(['dataset', config.dataset.sha256]);
  if (config.initFrom) outcome.push(['initFrom', config.initFrom.sha256]);
  return createHash('sha256')
    .update(canonical(Object.fromEntries(outcome)))
    .digest('hex');
}

/** JSON with the keys of every object in order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
