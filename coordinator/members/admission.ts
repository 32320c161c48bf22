/**
 * Admission: the handshake by which a connection becomes a member's. hello, in a run with a token challenge and proof,
 * welcome, dataset files if asked for, ready.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { DATASET_SHA256 } from '../../protocol/data/dataset.ts';
import type { DatasetBytes } from '../../protocol/data/dataset.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { greetWorker } from './authenticate.ts';
import { createIdentities } from './identities.ts';
import type { Member } from './member.ts';
import type { MemoryPool } from './shared-memory.ts';

export interface AdmissionOptions {
  readonly welcome: Omit<MessageOf<'welcome'>, 'kind' | 'workerId' | 'returnKey' | 'dataset'>;
  /** What a worker must prove to know before it is told anything. Default: every worker that says hello is welcome. */
  readonly token?: string | undefined;
  /** Of members. */
  readonly limits: PeerLimits;
  /** Read when a worker asks for a file; undefined where workers always have their own. */
  readonly datasetBytes?: DatasetBytes | undefined;
  /** Memory for workers on this machine. Default: none is offered. */
  readonly memory?: Pick<MemoryPool, 'offer'> | undefined;
  /** Milliseconds that a connection has for its hello, and for its proof. */
  readonly handshakeMs: number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #identities = createIdentities();
  /** By the id of the worker at the other end. */
  readonly #connectionOf = new Map<string, Transport>();
  #isOver = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Nobody is welcome any more. */
  end(): void {
    this.#isOver = true;
  }

  /** A connection has ended. */
  forget(transport: Transport): void {
    for (const [id, connection] of this.#connectionOf) if (connection === transport) this.#connectionOf.delete(id);
  }

  /** Leads a connection through the handshake. Rejects with a `ProtocolError`. */
  async admit(transport: Transport, isSameMachine: boolean): Promise<Member> {
    const { token, limits, handshakeMs, memory } = this.#options;
    transport.limit(STRANGER_LIMITS);
    const keyOf = (id: string) => this.#identities.keyOf(id);
    const { name, returningAs } = await greetWorker(transport, { token, keyOf, handshakeMs });
    // It may be silent for as long as it may prepare: a large model takes its time.
    const { maxQueuedBytes } = limits;
    transport.limit({ ...STRANGER_LIMITS, maxQueuedBytes, maxSilenceMs: LIMITS.prepareMs });
    this.#refuseWhenOver();
    const id = this.#identify(transport, returningAs);
    const shared = isSameMachine ? memory?.offer() : undefined;
    const key = returningAs === undefined ? { returnKey: keyOf(id) } : {};
    const offer = shared ? { sharedMemory: shared.offer } : {};
    const { welcome } = this.#options;
    transport.send({ kind: 'welcome', ...welcome, workerId: id, ...key, dataset: DATASET_SHA256, ...offer });
    const { engine, device, threads, sharesMemory } = await this.#prepare(transport);
    this.#refuseWhenOver();
    transport.limit(limits);
    if (sharesMemory && shared) transport.shareMemory(shared.memories);
    return { id, name, engine, device, threads, transport };
  }

  #refuseWhenOver(): void {
    if (this.#isOver) throw new ProtocolError('ERR_RUN_FULL', 'the run is over');
  }

  /** The worker's id: a new one, or the one that it has proved to have had, whose connection before is ended. */
  #identify(transport: Transport, returningAs: string | undefined): string {
    const id = returningAs ?? this.#identities.give();
    this.#connectionOf.get(id)?.close(new ProtocolError('ERR_REPLACED', 'it has come back on another connection'));
    this.#connectionOf.set(id, transport);
    return id;
  }

  /** Sends the worker the files that it asks for, each once, until it is ready. */
  async #prepare(transport: Transport): Promise<MessageOf<'ready'>> {
    // Files are long, and lie in memory until they are read at the other end.
    const filesSent = new Set<string>();
    for (;;) {
      const message = await receiveKind(transport, LIMITS.prepareMs, 'datasetRequest', 'ready');
      if (message.kind === 'ready') return message;
      if (filesSent.has(message.file)) {
        throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `a second request for ${message.file}`);
      }
      filesSent.add(message.file);
      sendDatasetFile(transport, message.file, this.#options.datasetBytes);
    }
  }
}

function sendDatasetFile(transport: Transport, file: string, datasetBytes?: DatasetBytes): void {
  const bytes = (datasetBytes as Record<string, Uint8Array<ArrayBuffer>> | undefined)?.[file];
  if (!bytes) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `a request for ${file}, which is no file of the run`);
  for (let offsetBytes = 0; offsetBytes < bytes.length; offsetBytes += LIMITS.datasetChunkBytes) {
    const payload = bytes.subarray(offsetBytes, offsetBytes + LIMITS.datasetChunkBytes);
    transport.send({ kind: 'datasetChunk', file, offsetBytes, totalBytes: bytes.length, payload });
  }
}
