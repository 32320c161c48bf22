/**
 * Fleet: the members that a run has now. Workers are lost and join meanwhile; code that needs members asks here.
 *
 * A worker that joins while the run goes on is a newcomer (`newcomer.ts`) until it has the state that the replica has. Then
 * it is a member, unless there is no work for one more: it stands by, up to date, until a member is lost. Where the
 * coordinator does not see the averages, it waits (`waiting-room.ts`) until the coordinator has the state that it needs.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import type { WorkerCensus } from '../reporting/reported-event.ts';
import { asBlame } from './blame.ts';
import { awaitEvent } from '../await-event.ts';
import type { WorkerEvent } from '../reporting/reported-event.ts';
import type { Member } from './member.ts';
import { Newcomers } from './newcomers.ts';
import type { Place } from './newcomers.ts';
import { createStandByNotices, RING_TAKES_IN_LATER, whyNoWork } from './stand-by.ts';
import type { StandByNotices } from './stand-by.ts';
import { giveState, hashedOnce } from './state-proof.ts';
import { createWaitingRoom } from './waiting-room.ts';

export interface Fleet {
  /** Who may be given work: all have the same state, the replica's unless that follows. Others are here after any wait. */
  readonly members: readonly Member[];
  /**
   * Takes out a member that failed, and ends its connection with the reason. What it owed is the caller's to give to
   * others. Throws what is not a `ProtocolError` on.
   */
  lose(member: Member, step: number | undefined, error: unknown): void;
  /**
   * Takes out a member that is late: it is sent the state, as a newcomer is, and is a member again when it has caught up.
   * What it still sends of work that others have done is passed over.
   */
  setAside(member: Member, step: number | undefined): void;
  /**
   * Waits until there is a member, and says so if there is none. Rejects with the error of the last one lost when none
   * has come within `waitMs`, or with the signal's reason.
   */
  whenAny(): Promise<void>;
  /** Takes in a worker that is ready, while the run is under way. */
  join(member: Member): void;
  /** Whether somebody waits for `admit` who would have work. */
  readonly canAdmit: boolean;
  /** Gives the replica's state to those who wait, and resolves when they are members, or have failed. */
  admit(): Promise<void>;
  /**
   * Makes a spare member of a worker that stands by or catches up: there is no work for it, but it can be asked for a
   * second opinion. Resolves when it is a member, when no worker is left to wait for, or after the deadline of a step.
   */
  takeInSpare(): Promise<void>;
  /** Has the spare member stand by again, unless the loss of another has made room for it. */
  dismissSpare(): void;
  /** Gives an average to newcomers too, up to its last step: its messages, whose payloads are copied. */
  follow(lastStep: number, messages: () => readonly Message[]): void;
  /** Tells all workers that the run waits, and that they are to keep waiting. A member that cannot be told is lost. */
  hold(): void;
  /** How many workers there are now, by what they do. */
  census(): WorkerCensus;
  /** Milliseconds that were waited so far because there was no member. */
  readonly waitedMs: number;
  /** Tells into how many buckets averages are cut, and what to do when there is a new member. */
  serve(service: FleetService): void;
  /** The run is over: connections that end from here on are no losses, and are not reported. */
  close(): void;
}

export interface FleetService {
  readonly numBuckets: number;
  readonly onMember: (member: Member) => void;
  /** Newcomers are not given averages, and wait for `admit` as long as there are members. */
  readonly holdsNewcomers?: boolean;
}

export interface FleetOptions {
  /** They have its state. */
  readonly replica: Replica;
  /** For a newcomer's answer. */
  readonly stepTimeoutMs: number;
  /** For a worker, when there is none. */
  readonly waitMs: number;
  /** More have nothing to do: the microbatches of a step. */
  readonly maxMembers: number;
  /** What a worker is told that stands by because the run is full. Default: that each microbatch has a worker. */
  readonly whyFull?: string;
  readonly signal?: AbortSignal;
  /** Told that no member is left, at which step, and how long the fleet waits for one. */
  readonly onAlone?: (step: number, waitSeconds: number) => void;
  /** Told what the user should know: who was lost, and who has joined. */
  readonly say?: (line: string) => void;
  /** Told the same for programs. */
  readonly onWorker?: (event: WorkerEvent) => void;
}

export function createFleet(initial: readonly Member[], options: FleetOptions): Fleet {
  return new RunFleet(initial, options);
}

class RunFleet implements Fleet {
  readonly members: Member[];
  waitedMs = 0;
  readonly #options: FleetOptions;
  readonly #say: (line: string) => void;
  readonly #newcomers: Newcomers;
  readonly #waitingRoom = createWaitingRoom();
  readonly #notices: StandByNotices;
  #service: FleetService = { numBuckets: 1, onMember: () => {} };
  #lastLoss: ProtocolError | undefined;
  #isClosed = false;
  /** Newcomers are made members up to this number: one more than `maxMembers` while a spare one is taken in. */
  #mostMembers: number;
  /** Called when there is a new member, and when a newcomer has failed. */
  #onArrival = () => {};
  #onFailure = () => {};

  constructor(initial: readonly Member[], options: FleetOptions) {
    const { replica, stepTimeoutMs, maxMembers, whyFull = whyNoWork(maxMembers), say = () => {} } = options;
    this.members = [...initial];
    this.#options = options;
    this.#say = say;
    this.#notices = createStandByNotices(say);
    this.#mostMembers = maxMembers;
    this.#newcomers = new Newcomers({
      ...{ replica, stepTimeoutMs },
      numBuckets: () => this.#service.numBuckets,
      placeFor: () => this.#placeForOneMore(),
      handOver: (member, place) => (place === 'member' ? this.#welcome(member) : this.#hold(member)),
      onStandBy: (member) => this.#notices.tell(member, whyFull),
      onFailure: (member, error) => {
        this.#refuse(member, error);
        this.#onFailure();
      },
    });
  }

  get canAdmit(): boolean {
    return this.#waitingRoom.size > 0 && this.members.length < this.#options.maxMembers;
  }

  census(): WorkerCensus {
    const numUpToDate = this.#newcomers.numUpToDate;
    return {
      working: this.members.length,
      catching_up: this.#newcomers.size - numUpToDate,
      standing_by: numUpToDate,
      waiting: this.#waitingRoom.size,
    };
  }

  lose(member: Member, step: number | undefined, error: unknown): void {
    const blamed = asBlame(member, step, error);
    if (!(blamed instanceof ProtocolError)) throw blamed;
    const at = this.members.indexOf(member);
    if (at === -1) return;
    if (this.#isClosed) {
      this.members.splice(at, 1);
      return;
    }
    this.#lastLoss = blamed;
    this.#say(`lost ${blamed.message}`);
    this.#tell('lost', member, step, blamed);
    this.#takeOut(member);
  }

  setAside(member: Member, step: number | undefined): void {
    if (!this.#takeOut(member)) return;
    const { name, id } = member;
    const when = step === undefined ? 'in evaluation' : `in step ${step}`;
    this.#say(`${name} (${id}) is late ${when}: others do its work; it takes part again when it has caught up`);
    this.#tell('late', member, step);
    this.#newcomers.add(member, true);
  }

  async whenAny(): Promise<void> {
    if (this.members.length > 0) return;
    const { replica, waitMs, signal } = this.#options;
    // A step that was abandoned looks for members still.
    if (this.#isClosed) throw this.#lastLoss ?? new ProtocolError('ERR_CLOSED', 'the run is over');
    signal?.throwIfAborted();
    const sinceMs = performance.now();
    this.#say(`no worker is left at step ${replica.step}: waiting ${Math.round(waitMs / 1000)} s for one to join`);
    this.#options.onAlone?.(replica.step, waitMs / 1000);
    try {
      const hasCome = await awaitEvent((happened) => (this.#onArrival = happened), waitMs, signal);
      if (!hasCome) throw this.#lastLoss ?? new ProtocolError('ERR_TIMEOUT', 'no worker is left, and none has joined');
    } finally {
      this.#onArrival = () => {};
      this.waitedMs += performance.now() - sinceMs;
    }
  }

  join(member: Member): void {
    if (this.#isHolding()) this.#hold(member);
    else this.#newcomers.add(member, false);
  }

  admit(): Promise<void> {
    return this.#admitWaiting(this.#options.maxMembers - this.members.length);
  }

  async takeInSpare(): Promise<void> {
    if (this.#waitingRoom.size > 0) return this.#admitWaiting(1);
    if (this.#newcomers.size === 0) return;
    this.#mostMembers = this.members.length + 1;
    this.#newcomers.recall();
    await awaitEvent((happened) => {
      this.#onArrival = happened;
      this.#onFailure = () => {
        if (this.#newcomers.size === 0) happened();
      };
      this.#onFailure();
    }, this.#options.stepTimeoutMs);
    this.#onArrival = () => {};
    this.#onFailure = () => {};
    this.#mostMembers = this.#options.maxMembers;
  }

  dismissSpare(): void {
    while (this.members.length > this.#options.maxMembers) this.#newcomers.add(this.members.pop()!, true);
  }

  follow(lastStep: number, messages: () => readonly Message[]): void {
    this.#newcomers.follow(lastStep, messages);
  }

  hold(): void {
    for (const member of [...this.members]) {
      try {
        member.transport.send({ kind: 'hold' });
      } catch (error) {
        this.lose(member, undefined, error);
      }
    }
    this.#newcomers.hold();
    this.#waitingRoom.hold();
  }

  serve(service: FleetService): void {
    this.#service = service;
    // Those who stand by answer once more, and then wait like others.
    if (this.#isHolding()) this.#newcomers.recall();
    else this.#release();
  }

  close(): void {
    this.#isClosed = true;
    this.#newcomers.clear();
    this.#waitingRoom.leave();
    this.#onFailure();
  }

  #tell(change: WorkerEvent['change'], member: Member, step: number | undefined, loss?: ProtocolError): void {
    const { id, name, transport } = member;
    const why = loss && { code: loss.code, reason: loss.message };
    this.#options.onWorker?.({
      change,
      ...{ id, name },
      host: transport.peer,
      ...(step !== undefined && { step }),
      ...why,
    });
  }

  #isHolding(): boolean {
    return this.#service.holdsNewcomers === true && this.members.length > 0;
  }

  #placeForOneMore(): Place {
    if (this.#isHolding()) return 'waiting';
    return this.members.length < this.#mostMembers ? 'member' : 'standingBy';
  }

  #welcome(member: Member): void {
    this.#notices.forget(member);
    this.members.push(member);
    this.#say(`${member.name} (${member.id}) takes part from step ${this.#options.replica.step + 1} on`);
    this.#tell('joined', member, this.#options.replica.step + 1);
    this.#service.onMember(member);
    this.#onArrival();
  }

  #refuse(member: Member, error: unknown): void {
    const blamed = asBlame(member, this.#options.replica.step, error);
    if (!(blamed instanceof ProtocolError)) throw blamed;
    this.#say(`${member.name} has not joined: ${blamed.message}`);
  }

  /** Has a worker wait for `admit`. */
  #hold(member: Member): void {
    const { maxMembers, whyFull = whyNoWork(maxMembers) } = this.#options;
    const isSurplus = this.members.length + this.#waitingRoom.size >= maxMembers;
    this.#waitingRoom.enter(member);
    try {
      this.#notices.tell(member, isSurplus ? whyFull : RING_TAKES_IN_LATER);
    } catch (error) {
      this.#refuse(member, error);
    }
  }

  /** Those who wait need wait no longer, unless there is still a reason to. */
  #release(): void {
    for (const member of this.#waitingRoom.leave()) this.join(member);
  }

  /** Gives the state to `most` of the workers in the waiting room, those that came first, and makes members of them. */
  async #admitWaiting(most: number): Promise<void> {
    const { replica, stepTimeoutMs } = this.#options;
    const state = hashedOnce(replica);
    await Promise.all(
      this.#waitingRoom.leave(most).map((member) =>
        giveState(member, state, stepTimeoutMs).then(
          () => this.#welcome(member),
          (error: unknown) => this.#refuse(member, error),
        ),
      ),
    );
  }

  /** Returns whether it was one. */
  #takeOut(member: Member): boolean {
    const at = this.members.indexOf(member);
    if (at === -1) return false;
    this.members.splice(at, 1);
    if (this.members.length < this.#options.maxMembers) this.#newcomers.recall();
    if (this.members.length === 0) this.#release();
    return true;
  }
}

/** Gives every member the whole state, and waits for the proof that it has it. One that fails is lost. */
export async function synchronise(fleet: Fleet, replica: Replica, timeoutMs: number): Promise<void> {
  const state = hashedOnce(replica);
  await Promise.all(
    [...fleet.members].map((member) =>
      giveState(member, state, timeoutMs).catch((error: unknown) => fleet.lose(member, undefined, error)),
    ),
  );
}
