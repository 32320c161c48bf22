import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { seededWords } from '../../../protocol/data/random.ts';

const wordsOf = (seed: number, epoch: number, sample: number, count: number): number[] => {
  const next = seededWords(seed, epoch, sample);
  return Array.from({ length: count }, () => next());
};

test('a stream of words is a function of seed, epoch and sample, each of which makes another', () => {
  expect(wordsOf(1, 2, 3, 8)).toEqual(wordsOf(1, 2, 3, 8));
  for (const other of [wordsOf(2, 2, 3, 8), wordsOf(1, 3, 3, 8), wordsOf(1, 2, 4, 8), wordsOf(-1, 2, 3, 8)]) {
    expect(other.filter((word, i) => word === wordsOf(1, 2, 3, 8)[i])).toEqual([]);
  }
});

test('words are whole, from 0 to 2^32 - 1, and every bit of each of the first ones is set in half of the cases', () => {
  const streams = Array.from({ length: 4096 }, (_, sample) => wordsOf(-5, 9, sample, 6));
  for (const word of streams.flat()) expect(Number.isInteger(word) && word >= 0 && word < 2 ** 32).toBe(true);
  for (let at = 0; at < 6; at++) {
    for (let bit = 0; bit < 32; bit++) {
      const share = streams.filter((words) => (words[at]! >>> bit) & 1).length / streams.length;
      // The deviation is 1 in 128; this is five times as much.
      expect(Math.abs(share - 0.5), `bit ${bit} of word ${at}`).toBeLessThan(0.04);
    }
  }
});

test('samples that follow each other, and words of one stream, are not alike', () => {
  const first = Array.from({ length: 2000 }, (_, sample) => wordsOf(1, 1, sample, 1)[0]!);
  expect(new Set(first).size).toBe(2000);
  for (const words of [first, wordsOf(1, 1, 0, 2000)]) {
    const centred = words.map((word) => word / 2 ** 32 - 0.5);
    const pairs = centred.slice(1).map((value, i) => value * centred[i]!);
    // Correlation of neighbours: the variance of a uniform number is 1/12.
    expect(Math.abs((12 * pairs.reduce((sum, value) => sum + value)) / pairs.length)).toBeLessThan(0.1);
  }
});

test('golden bits: no stream ever changes', () => {
  const words = [0, 1, 59_999].flatMap((sample) => wordsOf(7, 3, sample, 5));
  expect(createHash('sha256').update(words.join()).digest('hex')).toBe(
    'b2918e55d9da5969ec95290f0b442d5bebafa858d2fa5ac77d54fd41f2810a2c',
  );
});
