/** A thread that computes: started for its first engine, kept for the next one. It keeps no process alive that asks it nothing. */
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { internalError } from '../../../protocol/errors.ts';
import { threadFlags } from '../../../protocol/thread-flags.ts';
import { decodeError } from './messages.ts';
import type { EngineAnswers, EngineCall, EngineReply, EngineRequest } from './messages.ts';

export interface EngineThread {
  /**
   * Has the thread answer a request about the engine `engineId`. Rejects with the error that the engine threw, or with the
   * one that ended the thread. To create another engine starts another thread; there is nothing left to dispose of.
   */
  call<K extends EngineRequest['kind']>(
    engineId: number,
    request: Extract<EngineRequest, { kind: K }>,
  ): Promise<EngineAnswers[K]>;
  /** Ends the thread, whatever it computes; calls under way are rejected. */
  end(): Promise<void>;
}

interface Pending {
  readonly resolve: (answer: EngineAnswers[keyof EngineAnswers]) => void;
  readonly reject: (error: Error) => void;
}

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './from-sources.mjs' : './entry.js', import.meta.url);

export interface EngineThreadOptions {
  /** Of its JavaScript heap. Default: what Node gives a thread. Vectors lie outside of it. */
  readonly maxHeapMb?: number;
}

/** `name` is for people; `entry`: the module that calls `serveEngines`. */
export function createEngineThread(
  name: string,
  entry: URL = ENTRY,
  { maxHeapMb }: EngineThreadOptions = {},
): EngineThread {
  let running: { readonly worker: Worker; readonly pending: Map<number, Pending> } | undefined;
  let numCalls = 0;
  let end: Error | undefined;

  const start = () => {
    // Libraries read the environment for themselves, the process's own: what an engine sets for them must be there.
    const resourceLimits = maxHeapMb === undefined ? {} : { maxOldGenerationSizeMb: maxHeapMb };
    const worker = new Worker(entry, { ...threadFlags(), env: SHARE_ENV, name: `engine ${name}`, resourceLimits });
    const pending = new Map<number, Pending>();
    const started = { worker, pending };
    const fail = (error: Error) => {
      // The first error says why; what follows is that the thread has ended.
      if (running === started) {
        running = undefined;
        end = error;
      }
      for (const { reject } of pending.values()) reject(error);
      pending.clear();
    };
    worker.on('message', (reply: EngineReply) => {
      const found = pending.get(reply.call);
      pending.delete(reply.call);
      if (pending.size === 0) worker.unref();
      if ('error' in reply) found?.reject(decodeError(reply.error));
      else found?.resolve(reply.answer);
    });
    worker.on('error', fail);
    worker.on('exit', (code) => fail(new Error(`the thread of the engine ${name} ended with code ${code}`)));
    return started;
  };

  return {
    call<K extends EngineRequest['kind']>(engineId: number, request: Extract<EngineRequest, { kind: K }>) {
      if (request.kind === 'create') running ??= start();
      if (!running) {
        if (request.kind === 'dispose') return Promise.resolve(null as EngineAnswers[K]);
        return Promise.reject(end ?? internalError(`the engine ${name} has not been created`));
      }
      const { worker, pending } = running;
      const call = ++numCalls;
      return new Promise<EngineAnswers[K]>((resolve, reject) => {
        pending.set(call, { resolve: resolve as Pending['resolve'], reject });
        worker.ref();
        worker.postMessage({ call, engineId, request } satisfies EngineCall);
      });
    },
    async end() {
      await running?.worker.terminate();
    },
  };
}
