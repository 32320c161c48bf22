/** A worker process: connects to a coordinator, takes part in its run, and tells how it ended. */
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { datasetPlaces } from '../protocol/state/dataset-files.ts';
import { connectToCoordinator } from './client.ts';
import { loadDataset } from './dataset.ts';
import { announceChoice } from './engines/passed-over.ts';
import { createEngine } from './engines/registry.ts';
import { peerSockets } from './peer-server.ts';
import { runWorkerSession } from './session.ts';
import { sharedMemorySystem } from './shared-memory.ts';
import { keepFreedMemory } from './memory.ts';
import type { TlsTrust } from './tls.ts';
import { fastestVectorMath } from './vector-math.ts';

export interface WorkerProcessOptions {
  /** As the coordinator printed it, without the token: "ws://HOST:PORT". */
  readonly url: string;
  /** The run's; for a run without one undefined. */
  readonly token?: string | undefined;
  /** Which certificate to accept at a wss:// URL: one of a known authority when left out. */
  readonly tls?: TlsTrust | undefined;
  readonly name: string;
  readonly engine: string;
  readonly device?: string | undefined;
  readonly threads: number;
  readonly dataDir?: string | undefined;
  /** Aborted by the user: the worker leaves the run. */
  readonly signal: AbortSignal;
  /** What goes as it should, and what the user should know. */
  readonly log: (line: string) => void;
  readonly warn: (line: string) => void;
}

/**
 * Works until the run is over; returns the reason that the coordinator gave, or undefined when the user's signal ended it.
 *
 * Rejects with `ConfigError` when this machine cannot do what was asked, with `ProtocolError` when the run was lost.
 */
export async function runWorker(options: WorkerProcessOptions): Promise<string | undefined> {
  const { url, name, threads, device, dataDir, signal, log, warn } = options;
  keepFreedMemory();
  try {
    const transport = await connectToCoordinator(url, signal, options.tls);
    signal.addEventListener('abort', () => {
      try {
        transport.send({ kind: 'leave', reason: 'the user stopped this worker' });
      } catch (error) {
        log(describeError(error));
      }
      transport.close();
    });
    return await runWorkerSession(transport, {
      name,
      token: options.token,
      vectorMath: fastestVectorMath(),
      sharedMemory: sharedMemorySystem(),
      log: warn,
      peers: peerSockets(transport.localAddress),
      loadDataset: (welcome) => loadDataset(welcome, transport, { places: datasetPlaces(dataDir), log: warn }),
      createEngine: async (engineOptions) => {
        const chosen = await createEngine(options.engine, { ...engineOptions, threads, device });
        announceChoice(chosen, { log, warn });
        return chosen.engine;
      },
    });
  } catch (error) {
    if (signal.aborted) return undefined;
    if (error instanceof ConfigError || error instanceof ProtocolError) throw error;
    throw new ProtocolError('ERR_ENGINE', describeError(error), { cause: error });
  }
}
