import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { countOf } from '../../protocol/counts.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What lines to people count. */
const COUNTED = 'epochs|steps|workers|threads|samples|microbatches|rings|trials|times|bytes|rounds|pairs|hosts|cores';

/** Their numbers cannot be 1. */
const NEVER_ONE = [
  '${bufferedAmount} bytes are waiting',
  'there are ${numTrainSamples} samples',
  'each of the ${numMicrobatches} microbatches',
  'its ${maxWorkers} workers`;',
  'expected at most ${MOST_WORKERS} workers',
  '${plan.wire} rounds the sum',
  'which ${numTrainSamples} training samples allow',
  'so ${most} workers do at most the work of',
];

test('one of a kind is written as one', () => {
  expect([0, 1, 2].map((count) => countOf(count, 'epoch'))).toEqual(['0 epochs', '1 epoch', '2 epochs']);
  expect(countOf(1, 'microbatch', 'microbatches')).toBe('1 microbatch');
  expect(countOf(3, 'worker was', 'workers were')).toBe('3 workers were');
});

test('no line of the program writes a plural after a number without looking at the number', () => {
  const files = ['coordinator', 'worker', 'protocol', 'scripts'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  const found = files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .filter((line) => new RegExp(`\\$\\{[^{}']*\\} (more |training )?(${COUNTED})\\b(?!/)`).test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  expect(found.filter((line) => !NEVER_ONE.some((text) => line.includes(text)))).toEqual([]);
});
