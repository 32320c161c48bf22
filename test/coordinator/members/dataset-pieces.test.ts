import { expect, test } from 'vitest';
import { createDatasetPieces } from '../../../coordinator/members/dataset-pieces.ts';
import { memoryBytes } from '../../../protocol/data/byte-source.ts';
import type { ByteSource } from '../../../protocol/data/byte-source.ts';

/** Bytes 0 to 99 that have to be read, as those of a file, with the number of readings. */
function countedBytes(): { bytes: ByteSource; numReadings: () => number } {
  const inMemory = memoryBytes([new Uint8Array(100).map((_, i) => i)]);
  let numReadings = 0;
  const read = (into: Uint8Array, offset: number) => {
    numReadings++;
    inMemory.read(into, offset);
  };
  return { bytes: { ...inMemory, read, view: () => undefined }, numReadings: () => numReadings };
}

test('workers that ask for the same bytes of a file are given the same memory, which is read once', () => {
  const { bytes, numReadings } = countedBytes();
  const pieces = createDatasetPieces(bytes, 100);
  const [first, ...others] = Array.from({ length: 200 }, () => pieces.at(10, 40));
  expect([...first!.subarray(0, 2)]).toEqual([10, 11]);
  expect(others.every((piece) => piece === first)).toBe(true);
  expect(numReadings()).toBe(1);
});

test('of pieces, those asked for last are kept, and no more than fit', () => {
  const { bytes, numReadings } = countedBytes();
  const pieces = createDatasetPieces(bytes, 60);
  const oldest = pieces.at(0, 30);
  pieces.at(30, 30);
  expect(pieces.at(0, 30)).toBe(oldest);
  pieces.at(60, 30);
  expect(pieces.at(0, 30)).toBe(oldest);
  expect(numReadings()).toBe(3);
  pieces.at(30, 30);
  expect(numReadings()).toBe(4);
});

test('bytes that lie in one piece of memory are not copied', () => {
  const piece = new Uint8Array(100);
  const pieces = createDatasetPieces(memoryBytes([piece]), 100);
  expect(pieces.at(10, 40).buffer).toBe(piece.buffer);
});
