/**
 * Admission: the handshake by which a connection becomes a member's. hello, in a run with a token challenge and proof,
 * welcome, the dataset if asked for, ready.
 */
import { countOf } from '../../protocol/counts.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { greetWorker } from './authenticate.ts';
import { createByteBudget, serveExaminer } from './examination.ts';
import type { RunFacts } from './examination.ts';
import { createDatasetPieces } from './dataset-pieces.ts';
import type { DatasetPieces } from './dataset-pieces.ts';
import { createIdentities } from './identities.ts';
import type { Member } from './member.ts';
import type { MemoryPool } from './shared-memory.ts';

/** A dataset for workers. */
export interface ServedDataset extends Pick<CanonicalDataset, 'sha256' | 'bytes'> {
  /** For messages to people. */
  readonly name: string;
}

/** A worker whose disk is full receives the dataset again, into memory. */
const MAX_STARTS = 2;

export interface AdmissionOptions {
  readonly welcome: Omit<MessageOf<'welcome'>, 'kind' | 'workerId' | 'returnKey' | 'dataset'>;
  /** What a worker must prove to know before it is told anything. Default: every worker that says hello is welcome. */
  readonly token?: string | undefined;
  /** Of members. */
  readonly limits: PeerLimits;
  /** What the run trains on: named to workers, and sent to those that lack it. */
  readonly dataset: ServedDataset;
  /** Memory for workers on this machine. Default: none is offered. */
  readonly memory?: Pick<MemoryPool, 'offer'> | undefined;
  /** Milliseconds that a connection has for its hello, and for its proof. */
  readonly handshakeMs: number;
  /** What those who examine the run are told besides model and data. Default: nobody may. */
  readonly examination?: (() => Omit<RunFacts, 'model' | 'dataset'>) | undefined;
}

/** Someone who examined the run has gone, as was to be. */
export class ExaminerLeft extends ProtocolError {
  constructor(name: string) {
    super('ERR_CLOSED', `${name} has examined the run`);
  }
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #identities = createIdentities();
  readonly #budget = createByteBudget();
  readonly #pieces: DatasetPieces;
  /** By the id of the worker at the other end. */
  readonly #connectionOf = new Map<string, Transport>();
  #isOver = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#pieces = createDatasetPieces(options.dataset.bytes);
  }

  /** Nobody is welcome any more. */
  end(): void {
    this.#isOver = true;
  }

  /** A connection has ended. */
  forget(transport: Transport): void {
    for (const [id, connection] of this.#connectionOf) if (connection === transport) this.#connectionOf.delete(id);
  }

  /** Leads a connection through the handshake. Rejects with a `ProtocolError`, also when an examiner has gone. */
  async admit(transport: Transport, isSameMachine: boolean): Promise<Member> {
    const { token, limits, handshakeMs, memory } = this.#options;
    transport.limit(STRANGER_LIMITS);
    const keyOf = (id: string) => this.#identities.keyOf(id);
    const greeting = await greetWorker(transport, { token, keyOf, handshakeMs });
    if (greeting.isExaminer) return this.#examine(transport, greeting.name);
    const { name, returningAs } = greeting;
    // It may be silent for as long as it may prepare: a large model takes its time.
    const { maxQueuedBytes } = limits;
    transport.limit({ ...STRANGER_LIMITS, maxQueuedBytes, maxSilenceMs: LIMITS.prepareMs });
    this.#refuseWhenOver();
    const id = this.#identify(transport, returningAs);
    const shared = isSameMachine ? memory?.offer() : undefined;
    const key = returningAs === undefined ? { returnKey: keyOf(id) } : {};
    const offer = shared ? { sharedMemory: shared.offer } : {};
    const { welcome } = this.#options;
    transport.send({ kind: 'welcome', ...welcome, workerId: id, ...key, dataset: this.#namedDataset(), ...offer });
    const { engine, device, threads, sharesMemory } = await this.#prepare(transport);
    this.#refuseWhenOver();
    transport.limit(limits);
    if (sharesMemory && shared) transport.shareMemory(shared.memories);
    return { id, name, engine, device, threads, transport };
  }

  #namedDataset(): MessageOf<'welcome'>['dataset'] {
    const { name, sha256, bytes } = this.#options.dataset;
    return { name, sha256, totalBytes: bytes.byteLength };
  }

  /** Until the examiner goes: then it rejects with {@link ExaminerLeft}. */
  async #examine(transport: Transport, name: string): Promise<never> {
    this.#refuseWhenOver();
    const { welcome, examination } = this.#options;
    if (!examination) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'this run cannot be examined');
    const facts = { ...examination(), model: welcome.model, dataset: this.#namedDataset() };
    return serveExaminer(transport, facts, this.#budget).catch((error: unknown) => {
      throw error instanceof ProtocolError && error.code === 'ERR_CLOSED' ? new ExaminerLeft(name) : error;
    });
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

  /** Sends the worker the dataset as it asks for it, range by range, until it is ready. It may begin anew once. */
  async #prepare(transport: Transport): Promise<MessageOf<'ready'>> {
    const { bytes } = this.#options.dataset;
    let [numSent, numStarts] = [0, 0];
    for (;;) {
      const message = await receiveKind(transport, LIMITS.prepareMs, 'datasetRequest', 'ready');
      if (message.kind === 'ready') return message;
      const { offsetBytes, numBytes } = message;
      if (offsetBytes === 0 && ++numStarts <= MAX_STARTS) numSent = 0;
      const most = Math.min(LIMITS.datasetRangeBytes, bytes.byteLength - numSent);
      if (offsetBytes !== numSent || numBytes > most) {
        const range = `${countOf(numBytes, 'byte')} of the dataset from ${offsetBytes} on`;
        const text = `a request for ${range}, expected at most ${most} from ${numSent} on`;
        throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', text);
      }
      numSent += numBytes;
      for (let offset = offsetBytes; offset < numSent; offset += LIMITS.datasetChunkBytes) {
        const payload = this.#pieces.at(offset, Math.min(LIMITS.datasetChunkBytes, numSent - offset));
        transport.send({ kind: 'datasetChunk', offsetBytes: offset, payload });
      }
    }
  }
}
