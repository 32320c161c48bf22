/** Images for a model: from any file, brought to its shape where that was asked for, and said what was done. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fit, readImages } from '../../../scripts/inference/read-images.ts';
import { centre } from '../../../scripts/inference/centre.ts';
import type { ImageShape } from '../../../protocol/data/dataset.ts';
import { channelsLast, idxFile, npyFile, pngOf } from '../../helpers/data-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const NONE = { isInverted: false, isResized: false, isCentred: false };
const shape: ImageShape = [1, 4, 3];
const grey = Uint8Array.from({ length: 12 }, (_, at) => 20 * at);
const colour = Uint8Array.from({ length: 36 }, (_, at) => 7 * at);

const write = (name: string, bytes: Uint8Array) => {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
};

describe('are read from', () => {
  test.each<[string, () => string]>([
    ['a PNG', () => write('a.png', pngOf(grey, shape))],
    ['a .npy of one image', () => write('a.npy', npyFile('|u1', [4, 3], grey))],
    ['a .npy of several', () => write('a.npy', npyFile('|u1', [1, 4, 3], grey))],
    ['an IDX file', () => write('t10k-images-idx3-ubyte', idxFile([1, 4, 3], grey))],
  ])('%s', async (_, make) => {
    const path = make();
    const [image] = await readImages(path, shape, NONE);
    expect(image).toEqual({ name: path, planes: grey, changes: [] });
  });

  test('a .npy of coloured images, each by its number', async () => {
    const two = new Uint8Array([...colour, ...colour.map((pixel) => 255 - pixel)]);
    const path = write('a.npy', npyFile('|u1', [2, 4, 3, 3], channelsLast(two, [3, 4, 3])));
    const images = await readImages(path, [3, 4, 3], NONE);
    expect(images.map(({ name }) => name)).toEqual([`${path} 0`, `${path} 1`]);
    expect(images[0]!.planes).toEqual(colour);
  });

  test.each<[string, () => string, string]>([
    [
      'floats',
      () => write('a.npy', npyFile('<f4', [4, 3], new Uint8Array(48))),
      'expected bytes (uint8), 0 to 255, got <f4',
    ],
    ['text', () => write('a.png', Buffer.from('no image')), 'cannot be decoded: it is neither a PNG nor a JPEG file'],
    ['nothing', () => join(temporaryFolder(), 'none.png'), 'cannot be read: there is no such file'],
    ['another size', () => write('a.png', pngOf(grey, [1, 3, 4])), 'expected an image of 4x3 pixels (height x width)'],
  ])('not from %s', async (_, make, message) => {
    const path = make();
    await expect(readImages(path, shape, NONE)).rejects.toThrow(`${path}: ${message}`);
  });
});

describe('are fitted', () => {
  test('in colour and in grey', () => {
    const toColour = fit('it', { shape, planes: grey }, [3, 4, 3], NONE);
    expect(toColour).toEqual({
      planes: new Uint8Array([...grey, ...grey, ...grey]),
      changes: ['grey, repeated in 3 channels'],
    });
    const toGrey = fit('it', { shape: [3, 4, 3], planes: colour }, shape, NONE);
    expect(toGrey.changes).toEqual(['made grey']);
    expect(toGrey.planes[1]).toBe(Math.round(0.299 * colour[1]! + 0.587 * colour[13]! + 0.114 * colour[25]!));
  });

  test('without the transparency that a file has', () => {
    const opaque = new Uint8Array([...colour, ...grey]);
    expect(fit('it', { shape: [4, 4, 3], planes: opaque }, [3, 4, 3], NONE)).toEqual({
      planes: colour,
      changes: ['without transparency'],
    });
    expect(fit('it', { shape: [4, 4, 3], planes: opaque }, shape, NONE).changes).toEqual(['made grey']);
    const greyAndAlpha = { shape: [2, 4, 3] as const, planes: new Uint8Array([...grey, ...grey]) };
    expect(fit('it', greyAndAlpha, shape, NONE)).toEqual({ planes: grey, changes: ['without transparency'] });
    expect(() => fit('it', greyAndAlpha, [5, 4, 3], NONE)).toThrow(
      'it: expected 5 channels, which the model takes, got 2',
    );
  });

  test('inverted, then resized, and it is said', () => {
    const white = { shape: [1, 8, 6] as const, planes: new Uint8Array(48).fill(250) };
    const { planes, changes } = fit('it', white, shape, { ...NONE, isInverted: true, isResized: true });
    expect(changes).toEqual(['inverted', 'resized from 8x6 to 4x3']);
    expect([...planes]).toEqual(Array<number>(12).fill(5));
  });

  test('centred: what is drawn fills five sevenths, its centre of mass in the middle', () => {
    const planes = new Uint8Array(100 * 60);
    for (let row = 10; row < 50; row++) planes.fill(255, row * 60 + 5, row * 60 + 25);
    const result = centre({ shape: [1, 100, 60], planes }, { height: 28, width: 28 });
    const lit = [...result.keys()].filter((at) => result[at]! > 127);
    const rows = lit.map((at) => Math.floor(at / 28));
    const columns = lit.map((at) => at % 28);
    expect([Math.min(...rows), Math.max(...rows)]).toEqual([4, 23]);
    expect([Math.min(...columns), Math.max(...columns)]).toEqual([9, 18]);
    expect(centre({ shape: [1, 9, 9], planes: new Uint8Array(81).fill(20) }, { height: 3, width: 3 })).toEqual(
      new Uint8Array(9),
    );
  });
});
