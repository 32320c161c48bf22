/** A worker process: connects to a coordinator, takes part in its run, and tells how it ended. */
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { datasetPlaces } from '../protocol/data/fashion-mnist-files.ts';
import type { Dataset } from '../protocol/data/dataset.ts';
import type { MessageOf, RunOutcome } from '../protocol/wire/messages.ts';
import type { WorkerIdentity } from '../protocol/wire/authentication.ts';
import type { Transport } from '../protocol/wire/transport.ts';
import { findCoordinator } from './connection/find-coordinator.ts';
import type { FoundCoordinator } from './connection/find-coordinator.ts';
import { greetCoordinator } from './connection/join.ts';
import { loadDataset } from './dataset.ts';
import { announceChoice } from './engines/passed-over.ts';
import { createEngine } from './engines/choose-engine.ts';
import { prepareNative } from './engines/native/build/prepare-native.ts';
import { followTarget, urlsOf } from './connection/join-target.ts';
import type { FollowedTarget, TargetSource } from './connection/join-target.ts';
import { createWorkerProgress } from './progress.ts';
import { peerSockets } from './connection/peer-server.ts';
import type { PortRange } from './connection/peer-server.ts';
import { isRefused, workAndRejoin } from './connection/reconnect.ts';
import { runWorkerSession } from './session.ts';
import { sharedMemorySystem } from './machine/shared-memory.ts';
import { keepFreedMemory } from './machine/memory.ts';
import type { TlsTrust } from './connection/tls.ts';
import { fastestVectorMath } from './machine/vector-math.ts';
import { waitFor } from './connection/waiting.ts';

export interface WorkerProcessOptions {
  /** Where to join. */
  readonly target: TargetSource;
  /** Which certificate to accept at a URL: one of a known authority when undefined. Throws `ConfigError` for a wrong URL. */
  readonly tlsOf: (url: string) => TlsTrust | undefined;
  readonly name: string;
  readonly engine: string;
  readonly device?: string | undefined;
  readonly threads: number;
  readonly dataDir?: string | undefined;
  /** Whether a dataset that is received is kept in the user's cache. Default: true. */
  readonly keepData?: boolean | undefined;
  /** How long to wait, in all, for a join URL and a coordinator that are not there yet; 0: one attempt. */
  readonly waitSeconds: number;
  /** How long to wait for a coordinator that was lost; 0: not at all. */
  readonly reconnectSeconds: number;
  /** Where to listen for another worker of a ring. Default: on any free port. */
  readonly peerPorts?: PortRange | undefined;
  /** Aborted by the user: the worker leaves the run. */
  readonly signal: AbortSignal;
  /** Told how the run goes for this worker. Default: nobody. */
  readonly tell?: ((line: string) => void) | undefined;
  /** Told how the run ended, where the coordinator says so. */
  readonly onOutcome?: ((outcome: RunOutcome) => void) | undefined;
  /** What goes as it should, and what the user should know. */
  readonly log: (line: string) => void;
  readonly warn: (line: string) => void;
}

/**
 * Works until the run is over; returns the reason that the coordinator gave, or undefined when the user's signal ended it.
 *
 * When the connection is lost it waits for the coordinator and joins again, as the worker that it was and with the samples
 * that it has. Rejects with
 * `ConfigError` when this machine cannot do what was asked, with `ProtocolError` when the run was lost for good.
 */
export async function runWorker(options: WorkerProcessOptions): Promise<string | undefined> {
  const { signal, log, warn } = options;
  const kept: Kept = { loadSamples: rememberSamples(options) };
  const target = followTarget(options.target);
  try {
    await prepareNative({ log, warn, signal });
    keepFreedMemory();
    const deadlineMs = performance.now() + options.waitSeconds * 1000;
    return await workAndRejoin({
      patienceMs: options.reconnectSeconds * 1000,
      connect: (patienceMs = deadlineMs - performance.now()) =>
        waitFor(() => openTarget(target, options, kept), { patienceMs, signal, say: log }),
      looksFurther: (refusal) => target.refused(refusal) !== undefined,
      work: (joining, onReady) =>
        takePart(joining, options, kept, () => {
          target.isRight();
          onReady();
        }),
      signal,
      warn,
    });
  } catch (error) {
    if (signal.aborted) return undefined;
    if (error instanceof ConfigError || error instanceof ProtocolError) throw error;
    throw new ProtocolError('ERR_ENGINE', describeError(error), { cause: error });
  }
}

interface Joining extends FoundCoordinator {
  readonly token: string | undefined;
}

/** One attempt to connect to the target as it is now. Where it may be another later, nothing about it is a last word. */
async function openTarget(target: FollowedTarget, options: WorkerProcessOptions, kept: Kept): Promise<Joining> {
  const { name, signal, tlsOf } = options;
  const joined = target.next();
  const { token } = joined;
  const greet = (transport: Transport) => greetCoordinator(transport, name, token, kept.identity);
  try {
    const found = await findCoordinator(urlsOf(joined), {
      signal,
      tlsOf,
      greet: token === undefined ? undefined : greet,
    });
    return { ...found, token };
  } catch (error) {
    if (!(error instanceof ConfigError || isRefused(error))) throw error;
    throw target.refused(error) ?? error;
  }
}

/** What outlives a connection. */
interface Kept {
  readonly loadSamples: ReturnType<typeof rememberSamples>;
  identity?: WorkerIdentity;
}

/** One connection's part in a run; `onReady` is called when the engine is made. */
async function takePart(
  { transport, greeted, token }: Joining,
  options: WorkerProcessOptions,
  kept: Kept,
  onReady: () => void,
): Promise<string> {
  const { name, threads, device, signal, log, warn } = options;
  const leave = () => {
    try {
      transport.send({ kind: 'leave', reason: 'the user stopped this worker' });
    } catch (error) {
      log(describeError(error));
    }
    transport.close();
  };
  signal.addEventListener('abort', leave);
  const progress = options.tell && createWorkerProgress({ tell: options.tell });
  try {
    return await runWorkerSession(transport, {
      name,
      token,
      greeted,
      identity: kept.identity,
      onIdentity: (identity) => (kept.identity = identity),
      vectorMath: fastestVectorMath(),
      sharedMemory: sharedMemorySystem(),
      log: warn,
      progress,
      onOutcome: options.onOutcome,
      peers: peerSockets(transport.localAddress, options.peerPorts),
      loadDataset: kept.loadSamples,
      createEngine: async (engineOptions) => {
        const chosen = await createEngine(options.engine, { ...engineOptions, threads, device });
        announceChoice(chosen, { log, warn });
        onReady();
        return chosen.engine;
      },
    });
  } finally {
    progress?.end();
    signal.removeEventListener('abort', leave);
  }
}

/** Loads the samples of a run; those of the last one are kept for a run that has the same. */
function rememberSamples({ dataDir, keepData, warn }: WorkerProcessOptions) {
  let kept: { of: string; dataset: Dataset } | undefined;
  return async (welcome: MessageOf<'welcome'>, transport: Transport): Promise<Dataset> => {
    const { dataset: named, numTrainSamples, numTestSamples, numValidationSamples } = welcome;
    const of = JSON.stringify([named.sha256, numTrainSamples, numTestSamples, numValidationSamples]);
    if (kept?.of !== of) {
      const where = {
        places: datasetPlaces(dataDir),
        log: warn,
        ...(keepData === false && { keep: 'nowhere' as const }),
      };
      const dataset = await loadDataset(welcome, transport, where);
      kept = { of, dataset };
    }
    return kept.dataset;
  };
}
