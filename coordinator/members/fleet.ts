/**
 * Fleet: the members that a run has now. Workers are lost and join while it goes on; whoever needs members asks here.
 *
 * A newcomer is given a copy of the state, and of every average after it, while the others go on. When it has proved the
 * state that the replica has, it is a member, unless there is no work for one more: then it stands by, up to date, until
 * a member is lost. Where the coordinator does not see the averages, newcomers wait until it has the state that they need.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { asBlame } from './blame.ts';
import type { Member } from './member.ts';
import { giveState } from './state-proof.ts';
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
  readonly signal?: AbortSignal;
  /** Told what the user should know: who was lost, and who has joined. */
  readonly say?: (line: string) => void;
}

/**
 * A newcomer that has not answered so many messages, or averages of so many bytes, is sent no more; when it has caught up,
 * the state again. Less than may be queued for it, see `limits.ts`.
 */
const MAX_UNANSWERED = 16;
const MAX_UNANSWERED_BYTES = 16 * 2 ** 20;

const NOT_PROVEN = -2;

/** What may come before the proof of one that was set aside. */
const LATE_KINDS = ['applied', 'gradientBucket', 'gradient', 'notFinite', 'evaluation'] as const;

interface Newcomer {
  readonly member: Member;
  /** Whether it has been a member, and may still send results. */
  readonly wasSetAside: boolean;
  /** The last step that it was sent, and that it has proved. */
  sentStep: number;
  provenStep: number;
  numUnanswered: number;
}

export function createFleet(initial: readonly Member[], options: FleetOptions): Fleet {
  const { replica, stepTimeoutMs, waitMs, maxMembers, signal, say = () => {} } = options;
  const members = [...initial];
  const newcomers = new Set<Newcomer>();
  const waitingRoom = createWaitingRoom();
  let waitedMs = 0;
  /** What those who stand by have been told of why, by connection. */
  const toldWhy = new WeakMap<Transport, string>();
  let service: FleetService = { numBuckets: 1, onMember: () => {} };
  let lastLoss: ProtocolError | undefined;
  let arrived = () => {};
  /** Called when a newcomer has failed. */
  let failed = () => {};
  let isClosed = false;
  /** Newcomers are made members up to this number: one more than `maxMembers` while a spare one is taken in. */
  let mostMembers = maxMembers;

  const refuse = (member: Member, error: unknown) => {
    const blamed = asBlame(member, replica.step, error);
    if (!(blamed instanceof ProtocolError)) throw blamed;
    say(`${member.name} has not joined: ${blamed.message}`);
  };

  const fail = (newcomer: Newcomer, error: unknown) => {
    if (!newcomers.delete(newcomer)) return;
    refuse(newcomer.member, error);
    failed();
  };

  const isHolding = (): boolean => service.holdsNewcomers === true && members.length > 0;

  const welcome = (member: Member) => {
    toldWhy.delete(member.transport);
    members.push(member);
    say(`${member.name} (${member.id}) takes part from step ${replica.step + 1} on`);
    service.onMember(member);
    arrived();
  };

  /** Tells a worker without work, and the user, why that is. */
  const standBy = ({ name, id, transport }: Member, reason: string) => {
    if (toldWhy.get(transport) === reason) return;
    toldWhy.set(transport, reason);
    say(`${name} (${id}) stands by: ${reason}`);
    transport.send({ kind: 'standBy', reason });
  };

  const fullReason = () => {
    if (maxMembers === 1) return 'the only microbatch of a step has a worker; it takes its place when that is lost';
    return `each of the ${maxMembers} microbatches of a step has a worker; it takes the place of one that is lost`;
  };

  /** A newcomer that is where the replica is becomes a member, if there is work for it. */
  const promote = () => {
    for (const newcomer of newcomers) {
      if (members.length >= mostMembers || isHolding()) return;
      if (newcomer.provenStep !== replica.step || newcomer.sentStep !== replica.step) continue;
      newcomers.delete(newcomer);
      welcome(newcomer.member);
    }
  };

  const sendState = (newcomer: Newcomer) => {
    const { step } = replica;
    newcomer.sentStep = step;
    newcomer.numUnanswered++;
    newcomer.member.transport.send({
      kind: 'snapshot',
      step,
      numBuckets: service.numBuckets,
      parametersSha256: replica.parametersSha256(),
      payload: replica.state.slice(),
    });
  };

  /** Has those who stand by prove their state once more: their answer makes them members. */
  const recall = () => {
    for (const newcomer of newcomers) {
      if (newcomer.provenStep !== newcomer.sentStep) continue;
      try {
        sendState(newcomer);
        newcomer.provenStep = NOT_PROVEN;
      } catch (error) {
        fail(newcomer, error);
      }
    }
  };

  /** Has a worker wait for `admit`. */
  const hold = (member: Member) => {
    const isSurplus = members.length + waitingRoom.size >= maxMembers;
    waitingRoom.enter(member);
    try {
      standBy(member, isSurplus ? fullReason() : 'the ring takes in workers between epochs');
    } catch (error) {
      refuse(member, error);
    }
  };

  const catchUp = async (newcomer: Newcomer) => {
    sendState(newcomer);
    while (newcomers.has(newcomer)) {
      const { transport } = newcomer.member;
      const isIdle = newcomer.provenStep === newcomer.sentStep;
      // One that stands by has nothing to answer until a step ends.
      const timeoutMs = isIdle ? LIMITS.longestWaitMs : stepTimeoutMs;
      const kinds = newcomer.wasSetAside ? LATE_KINDS : (['applied'] as const);
      const answer = await receiveKind(transport, timeoutMs, ...kinds);
      if (answer.kind !== 'applied') {
        if ('payload' in answer) transport.recycle(answer.payload);
        continue;
      }
      const { step, parametersSha256 } = answer;
      newcomer.provenStep = step;
      newcomer.numUnanswered--;
      if (step === replica.step && parametersSha256 !== replica.parametersSha256()) {
        throw new ProtocolError('ERR_STATE_MISMATCH', `its parameters at step ${step} are not the coordinator's`);
      }
      if (isHolding() && step === newcomer.sentStep) {
        newcomers.delete(newcomer);
        hold(newcomer.member);
        return;
      }
      if (step === newcomer.sentStep && step < replica.step) sendState(newcomer);
      promote();
      if (newcomers.has(newcomer) && step === replica.step && members.length >= maxMembers) {
        standBy(newcomer.member, fullReason());
      }
      // A member's answers are for whoever gives it work.
      if (members.includes(newcomer.member)) return;
    }
  };

  const bringUp = (member: Member, wasSetAside: boolean) => {
    const newcomer = { member, wasSetAside, sentStep: -1, provenStep: NOT_PROVEN, numUnanswered: 0 };
    newcomers.add(newcomer);
    catchUp(newcomer).catch((error: unknown) => fail(newcomer, error));
  };

  const join = (member: Member) => {
    if (isHolding()) hold(member);
    else bringUp(member, false);
  };

  /** Those who wait need wait no longer, unless there is still a reason to. */
  const release = () => {
    for (const member of waitingRoom.leave()) join(member);
  };

  /** Gives the state to `most` of the workers in the waiting room, those that came first, and makes members of them. */
  const admitWaiting = async (most: number) => {
    await Promise.all(
      waitingRoom.leave(most).map((member) =>
        giveState(member, replica, stepTimeoutMs).then(
          () => welcome(member),
          (error: unknown) => refuse(member, error),
        ),
      ),
    );
  };

  /** Returns whether it was one. */
  const takeOut = (member: Member): boolean => {
    const at = members.indexOf(member);
    if (at === -1) return false;
    members.splice(at, 1);
    if (members.length < maxMembers) recall();
    if (members.length === 0) release();
    return true;
  };

  return {
    members,
    get canAdmit() {
      return waitingRoom.size > 0 && members.length < maxMembers;
    },
    lose(member, step, error) {
      const blamed = asBlame(member, step, error);
      if (!(blamed instanceof ProtocolError)) throw blamed;
      if (!members.includes(member) || isClosed) return;
      lastLoss = blamed;
      say(`lost ${blamed.message}`);
      takeOut(member);
    },
    setAside(member, step) {
      if (!takeOut(member)) return;
      const { name, id } = member;
      const when = step === undefined ? 'in evaluation' : `in step ${step}`;
      say(`${name} (${id}) is late ${when}: others do its work; it takes part again when it has caught up`);
      bringUp(member, true);
    },
    get waitedMs() {
      return waitedMs;
    },
    async whenAny() {
      if (members.length > 0) return;
      const sinceMs = performance.now();
      say(`no worker is left at step ${replica.step}: waiting ${Math.round(waitMs / 1000)} s for one to join`);
      await new Promise<void>((resolve, reject) => {
        const stop = (settle: () => void) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
          arrived = () => {};
          waitedMs += performance.now() - sinceMs;
          settle();
        };
        const timer = setTimeout(() => {
          stop(() => reject(lastLoss ?? new ProtocolError('ERR_TIMEOUT', 'no worker is left, and none has joined')));
        }, waitMs);
        const abort = () => stop(() => reject(signal!.reason as Error));
        signal?.addEventListener('abort', abort);
        arrived = () => stop(resolve);
        if (signal?.aborted) abort();
      });
    },
    join,
    admit: () => admitWaiting(maxMembers - members.length),
    async takeInSpare() {
      if (waitingRoom.size > 0) {
        await admitWaiting(1);
        return;
      }
      if (newcomers.size === 0) return;
      mostMembers = members.length + 1;
      recall();
      await new Promise<void>((resolve) => {
        const stop = () => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(stop, stepTimeoutMs);
        arrived = stop;
        failed = () => {
          if (newcomers.size === 0) stop();
        };
        failed();
      });
      arrived = () => {};
      failed = () => {};
      mostMembers = maxMembers;
    },
    dismissSpare() {
      while (members.length > maxMembers) bringUp(members.pop()!, true);
    },
    follow(lastStep, messages) {
      if (newcomers.size === 0) return;
      const copies = messages().map((message) => {
        return 'payload' in message ? ({ ...message, payload: message.payload.slice() } as Message) : message;
      });
      const numBytes = copies.reduce(
        (sum, message) => sum + ('payload' in message ? message.payload.byteLength : 0),
        0,
      );
      const mostUnanswered = Math.min(MAX_UNANSWERED, Math.max(2, Math.floor(MAX_UNANSWERED_BYTES / numBytes)));
      for (const newcomer of newcomers) {
        const { sentStep, numUnanswered, member } = newcomer;
        // Too far behind, or the state that it has been sent is not the one that this average is for.
        if (sentStep !== replica.step || numUnanswered >= mostUnanswered) continue;
        try {
          for (const message of copies) member.transport.send(message);
          newcomer.sentStep = lastStep;
          newcomer.numUnanswered++;
        } catch (error) {
          fail(newcomer, error);
        }
      }
    },
    serve(given) {
      service = given;
      // Those who stand by answer once more, and then wait like others.
      if (isHolding()) recall();
      else release();
    },
    close() {
      isClosed = true;
      newcomers.clear();
      waitingRoom.leave();
      failed();
    },
  };
}

/** Gives every member the whole state, and waits for the proof that it has it. One that fails is lost. */
export async function synchronise(fleet: Fleet, replica: Replica, timeoutMs: number): Promise<void> {
  await Promise.all(
    [...fleet.members].map((member) =>
      giveState(member, replica, timeoutMs).catch((error: unknown) => fleet.lose(member, undefined, error)),
    ),
  );
}
