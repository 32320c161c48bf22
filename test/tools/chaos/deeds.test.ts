import { expect, test } from 'vitest';
import { planDeeds } from '../../../scripts/bench/chaos/deeds.ts';

test('deeds are as many of each as asked for, mixed, and the same for the same seed', () => {
  const counts = { 'kill a worker': 30, 'cut a link': 20 } as const;
  const deeds = planDeeds(counts, 1);
  expect(deeds.filter((deed) => deed === 'kill a worker')).toHaveLength(30);
  expect(deeds.filter((deed) => deed === 'cut a link')).toHaveLength(20);
  expect(deeds).toHaveLength(50);
  expect(new Set(deeds.slice(0, 15)).size).toBe(2);
  expect(planDeeds(counts, 1)).toEqual(deeds);
  expect(planDeeds(counts, 2)).not.toEqual(deeds);
  expect(planDeeds({}, 1)).toEqual([]);
});
