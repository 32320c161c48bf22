import { describe, expect, it } from 'vitest';
import type { Message } from '../../protocol/wire/messages.ts';
import { BUCKETS_AHEAD } from '../../protocol/wire/buckets.ts';
import { createGradientSender } from '../../worker/gradient-sender.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';

const partsOf = (firstMicrobatch: number, count: number) => [
  ...Array.from({ length: count - 1 }, (_, bucket) => ({ ...SAMPLE_MESSAGES.gradientBucket, firstMicrobatch, bucket })),
  { ...SAMPLE_MESSAGES.gradient, firstMicrobatch },
];

function senderToList() {
  const sent: Message[] = [];
  const sender = createGradientSender({ send: (message) => void sent.push(message) });
  const sendAll = (parts: ReturnType<typeof partsOf>, waits: boolean) => {
    sender.begin(waits);
    for (const part of parts) sender.send(part);
  };
  return { sent, sender, sendAll };
}

describe('the gradient sender', () => {
  it("sends the last sum's parts a few ahead of the averages, one more for each that arrives", () => {
    const { sent, sender, sendAll } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 2);
    sendAll(parts, true);
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD));
    sender.averageArrived();
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD + 1));
    sender.averageArrived();
    sender.averageArrived();
    expect(sent).toEqual(parts);
  });

  it('sends earlier sums at once: no average can come before the last one', () => {
    const { sent, sendAll } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 4);
    sendAll(parts, false);
    expect(sent).toEqual(parts);
  });

  it('sends a whole vector at once', () => {
    const { sent, sendAll } = senderToList();
    sendAll(partsOf(0, 1), true);
    sendAll(partsOf(1, 1), true);
    expect(sent).toHaveLength(2);
  });

  it('lets a part that comes after an average go at once', () => {
    const { sent, sender } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 2);
    sender.begin(true);
    for (const part of parts.slice(0, BUCKETS_AHEAD)) sender.send(part);
    sender.averageArrived();
    for (const part of parts.slice(BUCKETS_AHEAD)) sender.send(part);
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD + 1));
  });

  it('sends what still waits when more of the step is to be computed, before anything of that', () => {
    const { sent, sender, sendAll } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 2);
    sendAll(parts, true);
    sender.begin(false);
    expect(sent).toEqual(parts);
  });
});
