/**
 * Collection: waits until every part of a step is here, no matter which member computed it. What a lost member had not
 * finished is given to the others. What a member is late with is asked of others as well when they are idle. The first
 * answer counts: the answers are the same.
 */
import { part } from '../../../protocol/data/sharding.ts';
import type { Range } from '../../../protocol/data/sharding.ts';
import type { Fleet } from '../../members/fleet.ts';
import type { Member } from '../../members/member.ts';
import type { Ledger, UnassignedPart } from '../../step/ledger.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { OnReissue, ReissueReason } from '../../reporting/reported-event.ts';
import { createAlarm } from '../../step/alarm.ts';
import type { IncomingParts, NotFinite } from './incoming-parts.ts';
import type { Verdict } from './non-finite.ts';

export interface CollectionOptions {
  readonly plan: StepPlan;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  readonly incoming: IncomingParts;
  /** Tells a member to compute these microbatches too; one that cannot be told is lost. */
  readonly ask: (member: Member, range: Range) => void;
  readonly judge: (found: NotFinite) => Verdict;
  /** Settles when no member owes anything else: before that it must not be asked for more. */
  readonly isFree: Promise<unknown>;
  /** Told of microbatches that are asked for again. */
  readonly onReissue?: OnReissue | undefined;
  /** Members that are not done so long after the beginning are late. Default: nobody is. */
  readonly lateAfterMs?: number | undefined;
}

export interface Collected {
  /** Members that were late. */
  readonly late: ReadonlySet<Member>;
  /** Which numbers are the model's own and not finite: then not every part is here. */
  readonly diverged?: string;
}

/** Rejects when no member is left and none joins, see `Fleet`. */
export function collectStep(options: CollectionOptions): Promise<Collected> {
  return new Collection(options).run();
}

class Collection {
  readonly #options: CollectionOptions;
  /** The members that are received from. */
  readonly #receiving = new Set<Member>();
  readonly #news = createNews();
  readonly #late = new Set<Member>();
  #diverged: string | undefined;
  /** Whether the parts that are unassigned were given to a member before: a step may begin when there is none. */
  #wasAssigned: boolean;

  constructor(options: CollectionOptions) {
    this.#options = options;
    this.#wasAssigned = options.plan.shares.size > 0;
  }

  async run(): Promise<Collected> {
    const { plan, fleet, ledger, isFree, lateAfterMs } = this.#options;
    const alarm = lateAfterMs === undefined ? undefined : createAlarm(lateAfterMs, () => this.#news.tell());
    try {
      for (const member of plan.shares.keys()) this.#receiveOrRelease(member);
      while (!ledger.isComplete() && this.#diverged === undefined) {
        if (ledger.hasUnassigned()) {
          await isFree;
          // The last member may be lost while this wait ends.
          while (fleet.members.length === 0) await fleet.whenAny();
          this.#placeUnassigned();
          continue;
        }
        await this.#news.next();
        if (!alarm?.isRinging()) continue;
        await isFree;
        if (!ledger.hasUnassigned() && !ledger.isComplete()) this.#overtake();
        alarm.set();
      }
    } finally {
      alarm?.stop();
    }
    return { late: this.#late, ...(this.#diverged !== undefined && { diverged: this.#diverged }) };
  }

  #receive(member: Member): void {
    if (this.#receiving.has(member)) return;
    this.#receiving.add(member);
    const over = () => {
      this.#receiving.delete(member);
      // It may have been asked for more after its last answer was taken and before this.
      if (this.#diverged === undefined && !this.#options.ledger.isDone(member)) this.#receive(member);
    };
    this.#receiveAll(member)
      .finally(over)
      .then(() => this.#news.tell(), this.#news.fail);
  }

  async #receiveAll(member: Member): Promise<void> {
    const { plan, fleet, ledger, incoming } = this.#options;
    let found: NotFinite | undefined;
    try {
      found = await incoming.receiveFrom(member);
    } catch (error) {
      fleet.lose(member, plan.step, error);
      ledger.release(member);
    }
    if (found) this.#recompute(found);
  }

  /** Has a part that is not finite computed once more, unless that is the model's own doing. */
  #recompute(found: NotFinite): void {
    const { ledger, judge } = this.#options;
    const verdict = judge(found);
    if ('diverged' in verdict) {
      this.#diverged = verdict.diverged;
      return;
    }
    ledger.withdraw(found.member, found.node);
    // Another may be asked for it already: then that one's answer is waited for.
    if (ledger.askedFor(found.node).length === 0) this.#give(verdict.recomputedBy, found.node, 'not_finite');
  }

  #receiveOrRelease(member: Member): void {
    const { fleet, ledger } = this.#options;
    if (fleet.members.includes(member)) this.#receive(member);
    else ledger.release(member);
  }

  #give(member: Member, range: Range, reason: ReissueReason): void {
    this.#options.onReissue?.(reason, range.count);
    this.#options.ledger.ask(member, range);
    this.#options.ask(member, range);
    this.#receiveOrRelease(member);
  }

  /** Gives unassigned parts to members, in equal numbers. */
  #placeUnassigned(): void {
    const { fleet, ledger, ask } = this.#options;
    const pieces = ledger.takeUnassigned().flatMap(piecesOf);
    const numMicrobatches = pieces.reduce((sum, { range }) => sum + range.count, 0);
    if (this.#wasAssigned) this.#options.onReissue?.('lost', numMicrobatches);
    this.#wasAssigned = true;
    const takers = [...fleet.members];
    for (const [index, member] of takers.entries()) {
      const { first, count } = part({ first: 0, count: pieces.length }, takers.length, index);
      for (const range of joinPieces(pieces.slice(first, first + count))) {
        ledger.ask(member, range);
        ask(member, range);
      }
      this.#receiveOrRelease(member);
    }
  }

  /** Asks those that are idle for what others are late with; not where most are late: then it is the machine's doing. */
  #overtake(): void {
    const { fleet, ledger, incoming } = this.#options;
    const slow = [...this.#receiving].filter((member) => !incoming.isHeldBack(member));
    const idle = fleet.members.filter((member) => !slow.includes(member));
    if (slow.length > idle.length) return;
    for (const member of slow) this.#late.add(member);
    const nodes = slow.flatMap((member) => ledger.owedBy(member).filter((node) => ledger.askedFor(node).length === 1));
    for (const [i, node] of nodes.entries()) this.#give(idle[i % idle.length]!, node, 'late');
  }
}

interface News {
  /** Something has happened. */
  tell(): void;
  /** What `next` rejects with from here on. */
  readonly fail: (error: unknown) => void;
  /** Resolves when something has happened since the last call was settled. One call at a time. */
  next(): Promise<void>;
}

/** One promise for whatever happens: a race of a promise for each member would cost a step the square of their number. */
function createNews(): News {
  let hasNews = false;
  let failure: { readonly error: Error } | undefined;
  let wake = () => {};
  const tell = () => {
    hasNews = true;
    wake();
  };
  return {
    tell,
    fail(error) {
      failure ??= { error: error as Error };
      tell();
    },
    async next() {
      if (!hasNews) await new Promise<void>((resolve) => (wake = resolve));
      hasNews = false;
      if (failure) throw failure.error;
    },
  };
}

/** Microbatches that go to one member together. */
interface Piece {
  readonly range: Range;
  /** Whether it must stay as it is: a bucket of its sum is here. */
  readonly isWhole: boolean;
}

/** A part as it is if it has begun to arrive, else its microbatches one by one. */
function piecesOf({ node, hasBegun }: UnassignedPart): Piece[] {
  if (hasBegun) return [{ range: node, isWhole: true }];
  return Array.from({ length: node.count }, (_, i) => ({
    range: { first: node.first + i, count: 1 },
    isWhole: false,
  }));
}

/** Their ranges in order, each joined to the one before where they meet and neither must stay as it is. */
function joinPieces(pieces: readonly Piece[]): Range[] {
  const joined: Piece[] = [];
  for (const piece of [...pieces].sort((a, b) => a.range.first - b.range.first)) {
    const before = joined.at(-1);
    const meets = before && before.range.first + before.range.count === piece.range.first;
    if (meets && !before.isWhole && !piece.isWhole) {
      const range = { first: before.range.first, count: before.range.count + piece.range.count };
      joined[joined.length - 1] = { range, isWhole: false };
    } else {
      joined.push(piece);
    }
  }
  return joined.map(({ range }) => range);
}
