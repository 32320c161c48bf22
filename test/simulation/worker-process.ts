/** A simulated worker: the product's session, which joins again as the product does, over simulated links. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Dataset } from '../../protocol/data/dataset.ts';
import type { WorkerIdentity } from '../../protocol/wire/authentication.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { workAndRejoin } from '../../worker/connection/reconnect.ts';
import { runWorkerSession } from '../../worker/session.ts';
import type { PeerSockets } from '../../worker/ring/set-up.ts';
import { VECTOR_MATH } from './coordinator-process.ts';
import { createSimulatedEngine } from './engine.ts';
import type { EngineTimes } from './engine.ts';

export interface WorkerLife {
  readonly name: string;
  readonly dataset: Dataset;
  readonly times: EngineTimes;
  /** Connects to the coordinator; undefined while none listens. */
  connect(): Transport | undefined;
  readonly peers: PeerSockets;
  readonly signal: AbortSignal;
  warn(line: string): void;
}

/** How long a worker waits for a coordinator: at first, and for one that it has lost. */
const WAIT_MS = 600_000;
const RECONNECT_MS = 60_000;
const RETRY_MS = 100;

/** Resolves with the coordinator's reason when the run is over; rejects as the product does. */
export async function liveAsWorker(life: WorkerLife): Promise<string> {
  let identity: WorkerIdentity | undefined;
  const connect = async (patienceMs = WAIT_MS): Promise<Transport> => {
    const untilMs = performance.now() + patienceMs;
    for (;;) {
      const transport = life.connect();
      if (transport) return transport;
      if (performance.now() >= untilMs) throw new ProtocolError('ERR_CLOSED', 'no coordinator listens');
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  };
  return workAndRejoin({
    patienceMs: RECONNECT_MS,
    connect,
    work: (transport, onReady) =>
      runWorkerSession(transport, {
        name: life.name,
        identity,
        onIdentity: (given) => (identity = given),
        loadDataset: () => Promise.resolve(life.dataset),
        async createEngine(options) {
          const engine = await createSimulatedEngine({ ...options, threads: 1 }, life.times);
          onReady();
          return engine;
        },
        vectorMath: VECTOR_MATH,
        peers: life.peers,
      }),
    signal: life.signal,
    warn: (line) => life.warn(line),
  });
}
