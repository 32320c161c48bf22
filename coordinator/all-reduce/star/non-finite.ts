/**
 * Second opinions: when a step is computed once more because its average was not finite, whose fault it is. Where two
 * workers find the same, it is the model's own; where another's sum is finite, the first worker's engine or device is.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import type { Member } from '../../members/member.ts';
import { NotTaken } from './collect-step.ts';

/** The model's own numbers are not finite. */
export class Diverged extends Error {
  /** Which numbers, and who found it. */
  readonly what: string;

  constructor(what: string) {
    super(what);
    this.what = what;
  }
}

interface Finding {
  readonly member: Member;
  readonly what: string;
}

export interface SecondOpinions {
  /**
   * A member has found the sum over a node not finite. Throws `NotTaken`, naming who is to compute it now: another member
   * or, where there is none, the same once more; and `Diverged` when it is the second opinion that says so. A member's own
   * second finding, when it was asked for the node again in place of a slow member, is no second opinion as long as there
   * are others.
   */
  found(finding: Finding, node: TreeNode, members: readonly Member[]): never;
  /** The sum over the node is finite: who said otherwise, with what is to be held against each. */
  refuted(node: TreeNode, by: Member): (readonly [Member, ProtocolError])[];
}

export function createSecondOpinions(): SecondOpinions {
  const findings = new Map<string, Finding[]>();
  const keyOf = ({ first, count }: TreeNode) => `${first}+${count}`;
  return {
    found(finding, node, members) {
      const before = findings.get(keyOf(node)) ?? [];
      const other = members.find((member) => member !== finding.member);
      const isSecond = before.some(({ member }) => member !== finding.member) || (!other && before.length > 0);
      if (isSecond) {
        const names = new Set([...before, finding].map(({ member }) => member.name));
        throw new Diverged(`${finding.what}, as ${[...names].join(' and ')} found`);
      }
      findings.set(keyOf(node), [finding]);
      throw new NotTaken(node, other ?? finding.member);
    },
    refuted(node, by) {
      const before = findings.get(keyOf(node)) ?? [];
      findings.delete(keyOf(node));
      return before
        .filter(({ member }) => member !== by)
        .map(({ member, what }) => {
          const message = `${what} here is not finite, but is on worker ${by.name}: its engine or device computes wrongly`;
          return [member, new ProtocolError('ERR_ENGINE', message)] as const;
        });
    },
  };
}
