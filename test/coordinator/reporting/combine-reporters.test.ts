import { join } from 'node:path';
import { expect, test } from 'vitest';
import { combineReporters } from '../../../coordinator/reporting/combine-reporters.ts';
import type { Reporter } from '../../../coordinator/reporting/reporter.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume, epochRecordsOf } from '../../helpers/small-run.ts';

test('all hear the same calls in the same order, and the first keeps what is its own', () => {
  const heard: string[] = [];
  const named = (name: string) => ({ onPhase: (doing: string) => void heard.push(`${name}: ${doing}`) });
  const first = { ...named('first'), line: () => 'its own' };
  const combined = combineReporters(first, [named('second'), {}, named('third')]);
  combined.onPhase('waiting');
  expect(heard).toEqual(['first: waiting', 'second: waiting', 'third: waiting']);
  expect(combined.line()).toBe('its own');
  expect('onStep' in combined, 'nobody hears of steps').toBe(false);
  expect('onConfusion' in combined, 'nor of confusion').toBe(false);
});

test('a subscriber hears of every step and epoch of a run, and of its confusion', async () => {
  const heard: string[] = [];
  const subscriber: Reporter = {
    onStart: () => void heard.push('start'),
    onStep: ({ epoch, stepInEpoch }) => void heard.push(`step ${epoch}.${stepInEpoch}`),
    onConfusion: ({ epoch }) => void heard.push(`confusion ${epoch}`),
    onEpoch: ({ epoch, steps }) => void heard.push(`epoch ${epoch} of ${steps} steps`),
    onEnd: ({ status }) => void heard.push(status),
  };
  const runDir = join(temporaryFolder(), 'run');
  await beginOrResume(runDir, { subscribers: [subscriber] });
  const expected = epochRecordsOf(runDir).flatMap(({ epoch, steps }) => [
    ...Array.from({ length: steps }, (_, step) => `step ${epoch}.${step + 1}`),
    `confusion ${epoch}`,
    `epoch ${epoch} of ${steps} steps`,
  ]);
  expect(heard).toEqual(['start', ...expected, 'completed']);
});
