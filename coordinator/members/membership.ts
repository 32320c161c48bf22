/**
 * Membership: who takes part in the run. Admits workers, hands them what they need, and knows who is there.
 *
 * A connection becomes a member by a handshake, see `admission.ts`. Whatever goes wrong on the way ends that connection
 * with a coded error and touches nothing else.
 */
import { memoryBytes } from '../../protocol/data/byte-source.ts';
import { countOf } from '../../protocol/counts.ts';
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { ProtocolErrorCode } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { RunOutcome } from '../../protocol/wire/messages.ts';
import { NO_PEER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createRefusalLog } from '../server/refusal-log.ts';
import { Admission, ExaminerLeft } from './admission.ts';
import type { AdmissionOptions, ServedDataset } from './admission.ts';
import { awaitEvent } from '../await-event.ts';
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
  /** Tells everyone that the run is over, and how it ended, and ends all connections. */
  dismiss(reason: string, outcome?: RunOutcome): void;
}

export interface MembershipOptions extends Omit<AdmissionOptions, 'limits' | 'handshakeMs' | 'dataset'> {
  /** What the run trains on. Default: a dataset that every worker has by itself. */
  readonly dataset?: ServedDataset;
  /** Of members. Default: no more than frames have anyway. */
  readonly limits?: PeerLimits;
  /** Milliseconds that a connection has for its hello, and for its proof. Default: that of `LIMITS`. */
  readonly handshakeMs?: number;
  readonly log: (level: 'info' | 'warn', line: string, fields?: object) => void;
  /** Called when a worker has become ready. */
  readonly onReady?: (member: Member, numReady: number) => void;
  /** Called with every worker that is ready, newcomers too. `isBack`: it was ready before, on another connection. */
  readonly onMember?: (member: Member, isBack: boolean) => void;
  /** Called with every connection that is refused, those too that the log only counts. */
  readonly onRefused?: (reason: ProtocolErrorCode) => void;
}

/** Stands for samples that workers come by in a way of their own. */
const WORKERS_OWN: ServedDataset = {
  name: 'samples of its own',
  sha256: '0'.repeat(64),
  bytes: memoryBytes([new Uint8Array(1)]),
};

export function createMembership(options: MembershipOptions): Membership {
  return new RunMembership(options);
}

class RunMembership implements Membership {
  readonly members: Member[] = [];
  readonly #log: MembershipOptions['log'];
  readonly #onReady: MembershipOptions['onReady'];
  readonly #onMember: MembershipOptions['onMember'];
  readonly #onRefused: MembershipOptions['onRefused'];
  /** Ids of all that were ever ready. */
  readonly #known = new Set<string>();
  readonly #admission: Admission;
  readonly #refusals;
  readonly #connections = new Set<Transport>();
  /** Whether those who are ready become members; else they are newcomers. */
  #isOpen = true;
  /** Newcomers, before it is known what becomes of them. */
  readonly #newcomers: Member[] = [];
  #passOn = (member: Member): void => void this.#newcomers.push(member);
  /** Called when members have changed. */
  #onChange = () => {};

  constructor(options: MembershipOptions) {
    const { limits = NO_PEER_LIMITS, handshakeMs = LIMITS.handshakeMs, dataset = WORKERS_OWN, log, onReady } = options;
    this.#log = log;
    this.#onReady = onReady;
    this.#onMember = options.onMember;
    this.#onRefused = options.onRefused;
    this.#admission = new Admission({ ...options, limits, handshakeMs, dataset });
    this.#refusals = createRefusalLog((line, fields) => log('warn', line, fields));
  }

  async admit(transport: Transport, isSameMachine = false): Promise<void> {
    this.#connections.add(transport);
    let isAdmitted = false;
    void transport.closed.then((reason) => {
      // Why another was not admitted is said below.
      if (isAdmitted) this.#log('info', `${transport.peer}: ${reason.message}`, { code: reason.code });
      this.#forget(transport);
    });
    try {
      const member = await this.#admission.admit(transport, isSameMachine);
      isAdmitted = true;
      this.#takeIn(member);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (error instanceof ExaminerLeft) {
        this.#log('info', `${transport.peer}: ${error.message}`);
        return;
      }
      this.#onRefused?.(error.code);
      this.#refusals.add(`${transport.peer} was not admitted: ${error.message}`, { code: error.code });
      transport.close(error);
    }
  }

  async waitForWorkers(numWorkers: number, timeoutMs: number, signal: AbortSignal): Promise<readonly Member[]> {
    const hasCome = await awaitEvent(
      (happened) => {
        this.#onChange = () => {
          if (this.members.length < numWorkers) return;
          this.#isOpen = false; // at once: a worker that becomes ready in this very tick is one too many
          happened();
        };
        if (!signal.aborted) this.#onChange();
      },
      timeoutMs,
      signal,
    ).finally(() => (this.#onChange = () => {}));
    if (hasCome) return this.members;
    const count = `${this.members.length} of ${countOf(numWorkers, 'worker')}`;
    throw new ProtocolError('ERR_TIMEOUT', `${count} joined within ${timeoutMs / 1000} s`);
  }

  passNewcomers(join: (member: Member) => void): void {
    this.#passOn = join;
    for (const member of this.#newcomers.splice(0)) join(member);
  }

  dismiss(reason: string, outcome?: RunOutcome): void {
    this.#isOpen = false;
    this.#admission.end();
    this.#refusals.flush();
    for (const transport of this.#connections) {
      try {
        transport.send({ kind: 'shutdown', reason, ...(outcome && { outcome }) });
      } catch (error) {
        this.#log('info', `${transport.peer}: ${describeError(error)}`);
      }
      transport.close();
    }
  }

  #takeIn(member: Member): void {
    if (this.#isOpen) this.members.push(member);
    else this.#passOn(member);
    const { id, name, engine, device, threads, transport } = member;
    const { peer, sharesMemory } = transport;
    this.#log('info', `${id} (${name}) is ready`, { worker: id, name, engine, device, threads, peer, sharesMemory });
    this.#onMember?.(member, this.#known.has(id));
    this.#known.add(id);
    if (this.#isOpen) this.#onReady?.(member, this.members.length);
    this.#onChange();
  }

  #forget(transport: Transport): void {
    this.#connections.delete(transport);
    this.#admission.forget(transport);
    const at = this.members.findIndex((member) => member.transport === transport);
    if (at !== -1 && this.#isOpen) this.members.splice(at, 1);
    this.#onChange();
  }
}
