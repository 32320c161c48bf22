/**
 * Membership: who takes part in the run. Admits workers, hands them what they need, and knows who is there.
 *
 * A connection becomes a member by a handshake: hello, in a run with a token challenge and proof, welcome, dataset files if
 * asked for, ready. Whatever goes wrong on the way ends that connection with a coded error and touches nothing else.
 */
import { countOf } from '../../protocol/counts.ts';
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import { DATASET_SHA256 } from '../../protocol/data/dataset.ts';
import type { DatasetBytes } from '../../protocol/data/dataset.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { NO_PEER_LIMITS, STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { greetWorker } from './authenticate.ts';
import { createIdentities } from './identities.ts';
import { createRefusalLog } from '../server/refusal-log.ts';
import type { MemoryPool } from './shared-memory.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import type { Member } from './member.ts';

export interface Membership {
  /** Members in the order in which they became ready; those that left before the start are not among them. */
  readonly members: readonly Member[];
  /**
   * Leads a new connection through the handshake. Never rejects: what fails is logged, and that connection ended. A
   * worker on the same machine is offered memory to share, if there is any. One that proves to have had an id gets it
   * again, and its connection before is ended with ERR_REPLACED if that is open.
   */
  admit(transport: Transport, isSameMachine?: boolean): Promise<void>;
  /**
   * Resolves with the members when `numWorkers` are ready; who comes later is a newcomer. Rejects with
   * `ProtocolError` ERR_TIMEOUT after `timeoutMs`, or with the signal's reason.
   */
  waitForWorkers(numWorkers: number, timeoutMs: number, signal: AbortSignal): Promise<readonly Member[]>;
  /**
   * Gives newcomers to `join` from here on, those that are ready already among them. Until then they wait.
   */
  passNewcomers(join: (member: Member) => void): void;
  /** Tells everyone that the run is over, and ends all connections. */
  dismiss(reason: string): void;
}

export interface MembershipOptions {
  readonly welcome: Omit<MessageOf<'welcome'>, 'kind' | 'workerId' | 'returnKey' | 'dataset'>;
  /** What a worker must prove to know before it is told anything; whoever says hello is welcome when left out. */
  readonly token?: string | undefined;
  /** For members; no more than frames have anyway when left out. */
  readonly limits?: PeerLimits;
  /** Read when a worker asks for a file; undefined where workers always have their own. */
  readonly datasetBytes?: DatasetBytes;
  /** Memory for workers on this machine; none is offered when left out. */
  readonly memory?: Pick<MemoryPool, 'offer'>;
  /** How long a connection has for its hello, and for its proof; that of `LIMITS` when left out. */
  readonly handshakeMs?: number;
  readonly log: (level: 'info' | 'warn', line: string, fields?: object) => void;
  /** Called when a worker has become ready. */
  readonly onReady?: (member: Member, numReady: number) => void;
}

export function createMembership(options: MembershipOptions): Membership {
  const { welcome, token, limits = NO_PEER_LIMITS, datasetBytes, memory, log, onReady } = options;
  const { handshakeMs = LIMITS.handshakeMs } = options;
  const identities = createIdentities();
  const refusals = createRefusalLog((line, fields) => log('warn', line, fields));
  const connections = new Set<Transport>();
  /** By the id of the worker at the other end. */
  const connectionOf = new Map<string, Transport>();
  const members: Member[] = [];
  let isOpen = true;
  let isOver = false;
  /** Of those who are ready before it is known what becomes of them. */
  const newcomers: Member[] = [];
  let passOn: (member: Member) => void = (member) => newcomers.push(member);
  let changed = () => {};

  const handshake = async (transport: Transport, isSameMachine: boolean): Promise<Member> => {
    transport.limit(STRANGER_LIMITS);
    const { name, returningAs } = await greetWorker(transport, {
      token,
      keyOf: identities.keyOf,
      handshakeMs,
    });
    // It may be silent for as long as it may prepare: a large model takes its time.
    const { maxQueuedBytes } = limits;
    transport.limit({ ...STRANGER_LIMITS, maxQueuedBytes, maxSilenceMs: LIMITS.prepareMs });
    if (isOver) throw runOver();
    const id = returningAs ?? identities.give();
    connectionOf.get(id)?.close(new ProtocolError('ERR_REPLACED', 'it has come back on another connection'));
    connectionOf.set(id, transport);
    const shared = isSameMachine ? memory?.offer() : undefined;
    const key = returningAs === undefined ? { returnKey: identities.keyOf(id) } : {};
    const offer = shared ? { sharedMemory: shared.offer } : {};
    transport.send({ kind: 'welcome', ...welcome, workerId: id, ...key, dataset: DATASET_SHA256, ...offer });
    // Files are long, and lie in memory until they are read at the other end.
    const filesSent = new Set<string>();
    for (;;) {
      const message = await receiveKind(transport, LIMITS.prepareMs, 'datasetRequest', 'ready');
      if (message.kind === 'datasetRequest') {
        if (filesSent.has(message.file)) {
          throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `a second request for ${message.file}`);
        }
        filesSent.add(message.file);
        sendDatasetFile(transport, message.file, datasetBytes);
      } else {
        const { engine, device, threads } = message;
        transport.limit(limits);
        if (message.sharesMemory && shared) transport.shareMemory(shared.memories);
        return { id, name, engine, device, threads, transport };
      }
    }
  };

  const forget = (transport: Transport) => {
    connections.delete(transport);
    for (const [id, connection] of connectionOf) if (connection === transport) connectionOf.delete(id);
    const at = members.findIndex((member) => member.transport === transport);
    if (at !== -1 && isOpen) members.splice(at, 1);
    changed();
  };

  return {
    members,
    async admit(transport, isSameMachine = false) {
      connections.add(transport);
      let isAdmitted = false;
      void transport.closed.then((reason) => {
        // Why another was not admitted is said below.
        if (isAdmitted) log('info', `${transport.peer}: ${reason.message}`, { code: reason.code });
        forget(transport);
      });
      try {
        const member = await handshake(transport, isSameMachine);
        if (isOver) throw runOver();
        isAdmitted = true;
        if (isOpen) members.push(member);
        else passOn(member);
        const { id, name, engine, device, threads } = member;
        const about = { worker: id, name, engine, device, threads };
        const { peer, sharesMemory } = transport;
        log('info', `${id} (${name}) is ready`, { ...about, peer, sharesMemory });
        if (isOpen) onReady?.(member, members.length);
        changed();
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        refusals.add(`${transport.peer} was not admitted: ${error.message}`, { code: error.code });
        transport.close(error);
      }
    },
    async waitForWorkers(numWorkers, timeoutMs, signal) {
      await new Promise<void>((resolve, reject) => {
        const stop = (settle: () => void) => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          changed = () => {};
          settle();
        };
        const timer = setTimeout(() => {
          const message = `${members.length} of ${countOf(numWorkers, 'worker')} joined within ${timeoutMs / 1000} s`;
          stop(() => reject(new ProtocolError('ERR_TIMEOUT', message)));
        }, timeoutMs);
        const abort = () => stop(() => reject(signal.reason as Error));
        signal.addEventListener('abort', abort);
        changed = () => {
          if (members.length < numWorkers) return;
          isOpen = false; // at once: a worker that becomes ready in this very tick is one too many
          stop(resolve);
        };
        if (signal.aborted) abort();
        else changed();
      });
      return members;
    },
    passNewcomers(join) {
      passOn = join;
      for (const member of newcomers.splice(0)) join(member);
    },
    dismiss(reason) {
      isOpen = false;
      isOver = true;
      refusals.flush();
      for (const transport of connections) {
        try {
          transport.send({ kind: 'shutdown', reason });
        } catch (error) {
          log('info', `${transport.peer}: ${describeError(error)}`);
        }
        transport.close();
      }
    },
  };
}

const runOver = () => new ProtocolError('ERR_RUN_FULL', 'the run is over');

function sendDatasetFile(transport: Transport, file: string, datasetBytes?: DatasetBytes): void {
  const bytes = (datasetBytes as Record<string, Uint8Array<ArrayBuffer>> | undefined)?.[file];
  if (!bytes) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `a request for ${file}, which is no file of the run`);
  for (let offsetBytes = 0; offsetBytes < bytes.length; offsetBytes += LIMITS.datasetChunkBytes) {
    const payload = bytes.subarray(offsetBytes, offsetBytes + LIMITS.datasetChunkBytes);
    transport.send({ kind: 'datasetChunk', file, offsetBytes, totalBytes: bytes.length, payload });
  }
}
