import { describe, expect, it } from 'vitest';
import type { Message } from '../../../protocol/wire/messages.ts';
import { BUCKETS_AHEAD } from '../../../protocol/vectors/buckets.ts';
import { createGradientSender } from '../../../worker/step/gradient-sender.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';

const partsOf = (firstMicrobatch: number, count: number) => [
  ...Array.from({ length: count - 1 }, (_, bucket) => ({ ...SAMPLE_MESSAGES.gradientBucket, firstMicrobatch, bucket })),
  { ...SAMPLE_MESSAGES.gradient, firstMicrobatch },
];

function senderToList() {
  const sent: Message[] = [];
  return { sent, sender: createGradientSender({ send: (message) => void sent.push(message) }) };
}

describe('the gradient sender', () => {
  it("sends the last sum's parts a few ahead of the averages, one more for each that arrives", () => {
    const { sent, sender } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 2);
    sender.send(parts, true);
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD));
    sender.averagesArrived(1);
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD + 1));
    sender.averagesArrived(2);
    expect(sent).toEqual(parts);
  });

  it('counts averages that came before the sum was there: it never waits for one that it has', () => {
    const { sent, sender } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 3);
    sender.averagesArrived(1);
    sender.averagesArrived(2);
    sender.send(parts, true);
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD + 2));
  });

  it('counts averages anew in the next step, and drops what it held', () => {
    const { sent, sender } = senderToList();
    sender.send(partsOf(0, BUCKETS_AHEAD + 3), true);
    sender.averagesArrived(2);
    sender.forget();
    sent.length = 0;
    const parts = partsOf(0, BUCKETS_AHEAD + 3);
    sender.send(parts, true);
    expect(sent).toEqual(parts.slice(0, BUCKETS_AHEAD));
  });

  it('sends earlier sums at once: no average can come before the last one', () => {
    const { sent, sender } = senderToList();
    const parts = partsOf(0, BUCKETS_AHEAD + 4);
    sender.send(parts, false);
    expect(sent).toEqual(parts);
  });

  it('sends a whole vector at once', () => {
    const { sent, sender } = senderToList();
    sender.send(partsOf(0, 1), true);
    sender.send(partsOf(1, 1), true);
    expect(sent).toHaveLength(2);
  });
});
