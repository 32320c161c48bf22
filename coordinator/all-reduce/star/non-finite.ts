/**
 * Second opinions: when a step is computed once more because its average was not finite, whose fault it is. Where two
 * workers find the same, it is the model's own; where another's sum is finite, the first worker's engine or device is.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import type { Member } from '../../members/member.ts';
import type { NotFinite } from './incoming-parts.ts';

/** What follows from a sum that a member found not finite. */
export type Verdict =
  /** The part is to be computed by this member: another one or, where there is none, the same once more. */
  | { readonly recomputedBy: Member }
  /** The model's own numbers are not finite: which, and who found it. */
  | { readonly diverged: string };

export interface SecondOpinions {
  /**
   * Judges a finding. A member's own second finding, when it was asked for the part again in place of a slow member, is no
   * second opinion as long as there are others.
   */
  judge(found: NotFinite, members: readonly Member[]): Verdict;
  /** The sum over the node is finite: who said otherwise, with what is to be held against each. */
  refuted(node: TreeNode, by: Member): (readonly [Member, ProtocolError])[];
}

export function createSecondOpinions(): SecondOpinions {
  const findings = new Map<string, NotFinite[]>();
  const keyOf = ({ first, count }: TreeNode) => `${first}+${count}`;
  return {
    judge(found, members) {
      const key = keyOf(found.node);
      const before = findings.get(key) ?? [];
      const other = members.find((member) => member !== found.member);
      const isSecond = before.some(({ member }) => member !== found.member) || (!other && before.length > 0);
      if (isSecond) {
        const names = new Set([...before, found].map(({ member }) => member.name));
        return { diverged: `${found.what}, as ${[...names].join(' and ')} found` };
      }
      findings.set(key, [found]);
      return { recomputedBy: other ?? found.member };
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
