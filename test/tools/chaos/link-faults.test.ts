import { expect, test } from 'vitest';
import { createLinkFaults } from '../../../scripts/bench/chaos/link-faults.ts';
import { describeLink, parseLink } from '../../../scripts/network/link.ts';
import type { HostLink } from '../../../scripts/network/namespaces.ts';

const SLOW = parseLink('1mbit/0ms');

/** Links that tell what is done to them. */
function toldLinks(count: number) {
  const told: string[] = [];
  const links: HostLink[] = Array.from({ length: count }, (_, i) => ({
    cut: () => void told.push(`cut ${i}`),
    mend: () => void told.push(`mend ${i}`),
    shape: (link) => void told.push(`${describeLink(link)} ${i}`),
  }));
  return { told, links };
}

test('a link has one fault at a time: the next goes to a link without one, or waits for it', async () => {
  const { told, links } = toldLinks(2);
  const faults = createLinkFaults(links, SLOW);
  await faults.begin('cut', 1, 0.05);
  await faults.begin('slow', 1, 1000);
  expect(told).toEqual(['cut 1', '1 Mbit/s, 0 ms 0']);
  await faults.begin('slow', 0, 1000);
  expect(told.slice(2)).toEqual(['mend 1', '1 Mbit/s, 0 ms 1']);
  await faults.stop();
  expect(told.slice(4).sort()).toEqual(['no limit 0', 'no limit 1']);
});

test('faults that are stopped are over, and a cut link is mended', async () => {
  const { told, links } = toldLinks(1);
  const faults = createLinkFaults(links, SLOW);
  await faults.begin('cut', 0, 1000);
  await faults.stop();
  expect(told).toEqual(['cut 0', 'mend 0']);
});

test('a fault that cannot be ended is told', async () => {
  const { links } = toldLinks(1);
  const mend = () => {
    throw new Error('no such device');
  };
  const faults = createLinkFaults([{ ...links[0]!, mend }], SLOW);
  await faults.begin('cut', 0, 0.001);
  await expect(faults.begin('cut', 0, 0.001)).rejects.toThrow('no such device');
  await expect(faults.stop()).rejects.toThrow('no such device');
});
