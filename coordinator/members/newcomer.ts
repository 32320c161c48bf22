/**
 * Newcomer: a worker that was given a copy of the state, and is given every average after it, until it is a member.
 *
 *     catchingUp --proves the last state that it was sent--> upToDate --there is work--> a member
 *         ^                                                      |
 *         +------------- an average, or the state anew -----------+
 *
 * One that is up to date and has no work stands by. Where the coordinator does not see the averages, newcomers wait instead:
 * see `waiting-room.ts`.
 */
import type { Member } from './member.ts';

export type NewcomerState = 'catchingUp' | 'upToDate';

const NEVER = -1;

export class Newcomer {
  readonly member: Member;
  /** Whether it has been a member, and may still send results. */
  readonly wasSetAside: boolean;
  #sentStep = NEVER;
  #provenStep: number | undefined;
  #numUnanswered = 0;

  constructor(member: Member, wasSetAside: boolean) {
    this.member = member;
    this.wasSetAside = wasSetAside;
  }

  get state(): NewcomerState {
    return this.#provenStep === this.#sentStep ? 'upToDate' : 'catchingUp';
  }

  /** Whether it has proved that it holds the state of this step, and was sent nothing after it. */
  isAt(step: number): boolean {
    return this.state === 'upToDate' && this.#sentStep === step;
  }

  /** The last step whose state it was sent, or led to by averages. */
  get sentStep(): number {
    return this.#sentStep;
  }

  /** Messages that it has not answered yet. */
  get numUnanswered(): number {
    return this.#numUnanswered;
  }

  /** It was sent the state of a step, or what leads to it. */
  sent(step: number): void {
    this.#sentStep = step;
    this.#numUnanswered++;
  }

  /** It was sent the state that it has proved already, to answer once more. */
  sentAgain(step: number): void {
    this.sent(step);
    this.#provenStep = undefined;
  }

  /** It has proved that it holds the state of a step. */
  proved(step: number): void {
    this.#provenStep = step;
    this.#numUnanswered--;
  }
}
