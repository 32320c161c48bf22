/** What a rank says of its part: which launcher gave it, what was read, and how the ranks meet. */
import type { FoundPart } from './families.ts';
import type { Meeting } from './meeting.ts';

/** The lines, without a secret. */
export function describeRank(part: FoundPart, { listen, address, joinFile }: Meeting): string[] {
  const { rank, size, family, read, ignored } = part;
  const which = size === undefined ? `rank ${rank}` : `rank ${rank} of ${size}`;
  const coordinates = rank === 0 ? `coordinates at ${listen}, and ` : '';
  const way = joinFile === undefined ? `at ${address ?? listen}` : `by ${joinFile}, a file that all ranks must see`;
  return [
    `${which}, by ${family}: ${read}`,
    ...ignored.map((other) => `${which}: not followed: ${other}, because ${family} has started this process`),
    `${which}: ${coordinates}joins ${way}`,
  ];
}
