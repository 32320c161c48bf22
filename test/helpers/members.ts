/** Members of a run without their workers: the other end of each connection is the test's. */
import type { Member } from '../../coordinator/members/member.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

/** A member, and the worker's end of its connection. */
export function createTestMember(name: string): { member: Member; worker: Transport } {
  const [transport, worker] = memoryTransportPair(['coordinator', name]);
  const member = { id: `id of ${name}`, name, engine: 'none', device: 'cpu', threads: 1, transport };
  return { member, worker };
}
