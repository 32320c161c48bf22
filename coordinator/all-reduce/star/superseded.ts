/** Answers that do not count when they come, because another member has answered first. They may come steps later. */
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import type { Member } from '../../members/member.ts';
import type { Part } from '../../members/state-proof.ts';

export class SupersededAnswers {
  readonly #expected = new WeakMap<Member, { readonly step: number; readonly node: TreeNode }[]>();

  /** What the member sends of a part is to be passed over. */
  add(member: Member, step: number, node: TreeNode): void {
    this.#expected.set(member, [...(this.#expected.get(member) ?? []), { step, node }]);
  }

  /** Whether a message is of such an answer. An answer's last message settles it. */
  includes(member: Member, part: Part): boolean {
    const expected = this.#expected.get(member) ?? [];
    const at = expected.findIndex(({ step, node }) => {
      return step === part.step && node.first === part.firstMicrobatch && node.count === part.numMicrobatches;
    });
    if (at !== -1 && part.kind !== 'gradientBucket') expected.splice(at, 1);
    return at !== -1;
  }

  /** Nothing more is expected of the member: its connection is answered by others now. */
  forget(member: Member): void {
    this.#expected.delete(member);
  }
}
