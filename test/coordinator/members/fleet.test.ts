/** Spare members: workers that stand by and are asked for a second opinion. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { WorkerEvent } from '../../../coordinator/reporting/reported-event.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import { createFleet } from '../../../coordinator/members/fleet.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../protocol/state/replica.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { TINY_MODEL } from '../../helpers/cluster.ts';
import { createTestMember } from '../../helpers/members.ts';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';

const STEP_TIMEOUT_MS = 5000;
const replica = createReplica(planModel(TINY_MODEL), PLAIN_SGD, 1);
const parametersSha256 = replica.parametersSha256();

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Proves the state after a snapshot. */
async function prove(worker: Transport): Promise<void> {
  await receiveKind(worker, 1e9, 'snapshot');
  worker.send({ kind: 'applied', step: 0, parametersSha256, applyMs: 0, hashMs: 0 });
}

/** A fleet with work for one member, and a worker that stands by. */
async function createWithStandBy() {
  const [busy, idle] = [createTestMember('busy'), createTestMember('idle')];
  const fleet = createFleet([busy.member], { replica, stepTimeoutMs: STEP_TIMEOUT_MS, waitMs: 0, maxMembers: 1 });
  fleet.join(idle.member);
  await prove(idle.worker);
  await receiveKind(idle.worker, 1e9, 'standBy');
  return { fleet, busy: busy.member, idle };
}

test('a worker that stands by is taken in when it has proved its state once more, and stands by again', async () => {
  const { fleet, busy, idle } = await createWithStandBy();
  expect(fleet.census()).toEqual({ working: 1, catching_up: 0, standing_by: 1, waiting: 0 });
  const taken = fleet.takeInSpare();
  expect(fleet.census()).toEqual({ working: 1, catching_up: 1, standing_by: 0, waiting: 0 });
  await prove(idle.worker);
  await taken;
  expect(fleet.members).toEqual([busy, idle.member]);
  expect(fleet.census()).toEqual({ working: 2, catching_up: 0, standing_by: 0, waiting: 0 });
  fleet.dismissSpare();
  expect(fleet.members).toEqual([busy]);
  await prove(idle.worker);
  await receiveKind(idle.worker, 1e9, 'standBy');
  expect(fleet.members).toEqual([busy]);
});

test('workers that join at the same step are sent one copy of the state', async () => {
  const fleet = createFleet([], { replica, stepTimeoutMs: STEP_TIMEOUT_MS, waitMs: 0, maxMembers: 30 });
  const crowd = Array.from({ length: 30 }, (_, i) => createTestMember(`worker ${i}`));
  for (const { member } of crowd) fleet.join(member);
  const payloads = await Promise.all(
    crowd.map(async ({ worker }) => (await receiveKind(worker, 1e9, 'snapshot')).payload),
  );
  expect(new Set(payloads).size).toBe(1);
  expect(payloads[0]).not.toBe(replica.state);
});

test('one that does not answer is waited for no longer than a step may take', async () => {
  const { fleet, busy } = await createWithStandBy();
  let isOver = false;
  void fleet.takeInSpare().then(() => (isOver = true));
  await vi.advanceTimersByTimeAsync(STEP_TIMEOUT_MS - 1);
  expect(isOver).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(isOver).toBe(true);
  expect(fleet.members).toEqual([busy]);
});

test('one whose connection ends is not waited for', async () => {
  const { fleet, busy, idle } = await createWithStandBy();
  const taken = fleet.takeInSpare();
  idle.worker.close();
  await taken;
  expect(fleet.members).toEqual([busy]);
});

test('where no other worker is there, nothing is waited for', async () => {
  const { member } = createTestMember('busy');
  const fleet = createFleet([member], { replica, stepTimeoutMs: STEP_TIMEOUT_MS, waitMs: 0, maxMembers: 1 });
  await fleet.takeInSpare();
  expect(fleet.members).toEqual([member]);
});

test('a loss and a lateness are told as data: who, from where, at which step, and why', () => {
  const told: WorkerEvent[] = [];
  const [late, lost] = ['late', 'lost'].map((name) => createTestMember(name).member);
  const sizes = { stepTimeoutMs: STEP_TIMEOUT_MS, waitMs: 0, maxMembers: 2 };
  const fleet = createFleet([late!, lost!], { replica, ...sizes, onWorker: (event) => told.push(event) });
  fleet.setAside(late!, 3);
  fleet.lose(lost!, 4, new ProtocolError('ERR_CLOSED', 'the cable was cut'));
  fleet.lose(lost!, 4, new ProtocolError('ERR_CLOSED', 'told once'));
  fleet.close();
  const reason = `worker lost (${lost!.id}), step 4: the cable was cut`;
  expect(told).toEqual([
    { change: 'late', id: late!.id, name: 'late', host: late!.transport.peer, step: 3 },
    { change: 'lost', id: lost!.id, name: 'lost', host: lost!.transport.peer, step: 4, code: 'ERR_CLOSED', reason },
  ]);
});

test('that no worker is left is told with the step and the wait, and only where that is so', async () => {
  const told: number[][] = [];
  const { member } = createTestMember('last');
  const sizes = { stepTimeoutMs: STEP_TIMEOUT_MS, waitMs: 20, maxMembers: 1 };
  const onAlone = (...facts: number[]) => void told.push(facts);
  const fleet = createFleet([member], { replica, ...sizes, onAlone });
  await fleet.whenAny();
  expect(told).toEqual([]);
  fleet.lose(member, 1, new ProtocolError('ERR_CLOSED', 'the cable was cut'));
  const refused = expect(fleet.whenAny()).rejects.toThrow('the cable was cut');
  await vi.advanceTimersByTimeAsync(20);
  await refused;
  expect(told).toEqual([[replica.step, 0.02]]);
  fleet.close();
});
