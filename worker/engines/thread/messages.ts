/** What an engine's thread and the thread of the event loop say to each other, and how an error crosses between them. */
import { ConfigError, PROTOCOL_ERROR_CODES, ProtocolError } from '../../../protocol/errors.ts';
import type { ProtocolErrorCode } from '../../../protocol/errors.ts';
import type { EngineOptions, MicrobatchResult } from '../engine.ts';

/**
 * Memory that both threads see. It is for crossing only: ONNX Runtime and TensorFlow refuse shared memory, and the caller's
 * vectors may lie in memory that is shared with other processes. So each thread copies to and from its own vectors, which
 * takes about a tenth of a millisecond for each megabyte.
 */
export interface EngineMemory {
  /** [numParameters] and [numBuffers]. */
  readonly parameters: Float32Array<SharedArrayBuffer>;
  readonly buffers: Float32Array<SharedArrayBuffer>;
  /** [maxBatch, inputSize] and [maxBatch]; labels of either width fit. */
  readonly images: Uint8Array<SharedArrayBuffer>;
  readonly labels: Uint16Array<SharedArrayBuffer>;
  /** [numParameters] and [numBuffers]. */
  readonly gradient: Float32Array<SharedArrayBuffer>;
  readonly statistics: Float32Array<SharedArrayBuffer>;
  /** [maxBatch, numClasses] */
  readonly outputs: Float32Array<SharedArrayBuffer>;
}

/** A batch in shared memory: as many bytes and labels as the caller gave, and the samples that it spoke of. */
export interface BatchSize {
  readonly numBytes: number;
  readonly numLabels: number;
  readonly numSamples: number;
  readonly dropoutKeys: Uint32Array<ArrayBuffer> | undefined;
}

export type EngineRequest =
  | {
      readonly kind: 'create';
      readonly engine: string;
      readonly options: Omit<EngineOptions, 'parameters' | 'buffers'>;
      readonly memory: EngineMemory;
    }
  | { readonly kind: 'computeGradient'; readonly batch: BatchSize }
  | { readonly kind: 'evaluate'; readonly batch: BatchSize; readonly hasOutputs: boolean }
  | { readonly kind: 'dispose' };

/** A request, numbered, for one of the engines of a thread. */
export interface EngineCall {
  readonly call: number;
  readonly engineId: number;
  readonly request: EngineRequest;
}

export interface EngineIdentity {
  readonly name: string;
  readonly device: string;
  readonly threads: number;
}

/** What each request is answered with. */
export interface EngineAnswers {
  create: EngineIdentity;
  computeGradient: MicrobatchResult;
  evaluate: MicrobatchResult;
  dispose: null;
}

export type EngineReply =
  | { readonly call: number; readonly answer: EngineAnswers[keyof EngineAnswers] }
  | { readonly call: number; readonly error: EncodedError };

/** An error as plain data: a structured clone would make each of our kinds a plain `Error`, and lose its code. */
export interface EncodedError {
  readonly kind: 'config' | 'protocol' | 'other';
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
}

export function encodeError(error: unknown): EncodedError {
  if (!(error instanceof Error)) {
    return { kind: 'other', name: 'Error', message: String(error), stack: undefined, code: undefined };
  }
  const kind = error instanceof ConfigError ? 'config' : error instanceof ProtocolError ? 'protocol' : 'other';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { kind, name: error.name, message: error.message, stack: error.stack, code };
}

/** The error again, of its kind, with its code; the stack is that of the other thread. */
export function decodeError({ kind, name, message, stack, code }: EncodedError): Error {
  const error =
    kind === 'config'
      ? new ConfigError(message)
      : kind === 'protocol' && isProtocolCode(code)
        ? new ProtocolError(code, message)
        : Object.assign(new Error(message), { name }, code !== undefined && { code });
  if (stack !== undefined) error.stack = stack;
  return error;
}

function isProtocolCode(code: string | undefined): code is ProtocolErrorCode {
  return PROTOCOL_ERROR_CODES.some((known) => known === code);
}
