/** Python's libraries load what is exported, and give the reference engine's probabilities. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { npyFile } from '../../helpers/data-files.ts';
import {
  EXPORTED_MODELS,
  judgedBlack,
  judgedFashionMnist,
  judgedSynthetic,
  LIMIT,
  worstDifference,
  writeExports,
} from '../../helpers/exports.ts';
import type { Judged } from '../../helpers/exports.ts';
import { QUICK_MODEL } from '../../helpers/models.ts';
import { findPython } from '../../helpers/python.ts';

const PROGRAM = fileURLToPath(new URL('predict.py', import.meta.url));
/** Those of Python. */
const FORMATS = ['onnx', 'pytorch', 'safetensors'] as const;

const python = findPython(['numpy', 'onnx', 'onnxruntime', 'safetensors', 'torch']);
/** By the model's name; the real images are those of conv-pool. */
const judged = new Map<string, Judged>();
let folder = '';

async function write(one: Judged): Promise<void> {
  const { spec } = one.exported.model.plan;
  const place = join(folder, spec.name);
  mkdirSync(place);
  judged.set(spec.name, one);
  writeFileSync(join(place, 'images.npy'), npyFile('|u1', [one.numSamples, ...spec.input], one.images));
  await writeExports(place, one.exported);
}

describe.skipIf(python === undefined)('in Python', () => {
  // One process for all: to load the libraries takes seconds.
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gradsock-test-'));
    for (const spec of [QUICK_MODEL, ...EXPORTED_MODELS]) await write(await judgedSynthetic(spec));
    await write(await judgedFashionMnist());
    await promisify(execFile)(python!, [PROGRAM, ...[...judged.keys()].map((name) => join(folder, name))]);
    return () => rmSync(folder, { recursive: true, force: true });
  });

  test.each(FORMATS)('%s has the same probabilities, for real images and for every model', (format) => {
    const worst = [...judged].map(([name, { probabilities }]) => {
      const bytes = new Uint8Array(readFileSync(join(folder, name, `${format}.f32`)));
      return { name, worst: worstDifference(new Float32Array(bytes.buffer), probabilities) };
    });
    for (const { name, worst: difference } of worst) expect(difference, name).toBeLessThan(LIMIT);
    expect(worst).toHaveLength(EXPORTED_MODELS.length + 2);
  });

  test.each(['onnx', 'pytorch'])("the code of %s's card predicts", async (format) => {
    for (const [name, { exported }] of judged) {
      const { probabilities } = await judgedBlack(exported);
      const largest = Math.max(...probabilities);
      const words = readFileSync(join(folder, name, `${format}.txt`), 'utf8')
        .trimEnd()
        .split(' ');
      expect(Number(words.pop())).toBeCloseTo(largest, 5);
      expect(words.join(' ')).toBe(`class ${probabilities.indexOf(largest)}`);
    }
  });
});
