/** The built library, imported by the package's name: its example, and an installation without the engines' packages. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { instructionSetsOf } from '../../worker/engines/native/build-output.ts';
import { writeStandInCompiler } from '../helpers/stand-in-compiler.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

test('the example in docs trains in memory, says how it goes, and ends by itself', async () => {
  const { stdout, stderr } = await run(process.execPath, [join(ROOT, 'docs/examples/train-in-memory.mjs')]);
  const accuracies = [...stdout.matchAll(/^epoch \d: loss [\d.]+, test accuracy ([\d.]+)$/gm)].map(([, text]) =>
    Number(text),
  );
  expect(accuracies).toHaveLength(8);
  expect(accuracies.at(-1)).toBeGreaterThan(0.9);
  expect(stdout).toContain('\ncompleted after 256 steps\n');
  expect(stderr).toBe('');
});

/** Installs the package with `--omit=optional` into a project: its files, and links to what it depends on. */
function installWithoutOptional(project: string): void {
  const modules = join(project, 'node_modules');
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  cpSync(join(ROOT, 'dist'), join(modules, 'gradsock/dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(modules, 'gradsock/package.json'));
  const sources = 'worker/engines/native';
  cpSync(join(ROOT, sources), join(modules, 'gradsock', sources), { recursive: true });
}

/** What a program of these lines says, as JSON, when it has ended by itself. */
async function say(project: string, program: string, environment: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const script = `
    import { train } from 'gradsock';
    const images = new Uint8Array(64 * 4).map((_, i) => (Math.floor(i / 4) % 2) * 200 + (i % 7));
    const labels = Array.from({ length: 64 }, (_, i) => i % 2);
    const run = {
      model: { name: 'tiny', input: [1, 2, 2], numClasses: 2, layers: [{ kind: 'flatten' }, { kind: 'dense', units: 2, activation: 'none' }] },
      data: { shape: [1, 2, 2], classes: ['dark', 'bright'], train: { images, labels }, test: { images, labels } },
      epochs: 2, globalBatch: 8,
    };
    const refusal = (options) => train({ ...run, ...options }).then(() => 'none', (error) => error.name + ': ' + error.message);
    const said = {};
    ${program}
    console.log(JSON.stringify(said));`;
  const env = { ...process.env, XDG_CACHE_HOME: join(project, 'cache'), ...environment };
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: project,
    env,
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

describe('an installation without ONNX Runtime and TensorFlow.js', () => {
  let project: string;

  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'gradsock-test-'));
    installWithoutOptional(project);
  });

  afterAll(() => rmSync(project, { recursive: true, force: true }));

  const hasNative = readdirSync(join(ROOT, 'dist/worker/engines/native')).some((name) => name.endsWith('.node'));

  test.skipIf(!hasNative)('trains by the native engine, here and in processes, and leaves nothing open', async () => {
    const program = `
      const lines = [];
      const alone = await train({ ...run, logger: { info: (line) => lines.push(line) } });
      said.alone = alone.result.status;
      said.choice = lines.find((line) => line.startsWith('engine '));
      said.onnx = await refusal({ engine: 'onnx' });
      said.tfjs = await refusal({ engine: 'tfjs' });
      const user = new AbortController();
      const onStep = ({ epoch }) => epoch === 2 && user.abort();
      const two = await train({ ...run, workers: 2, microbatches: 2, epochs: 1000, onStep, signal: user.signal });
      said.two = [two.result.status, two.result.epochs >= 1];`;
    expect(await say(project, program)).toEqual({
      alone: 'completed',
      choice: expect.stringMatching(/^engine native on cpu/) as string,
      onnx: expect.stringMatching(
        /^ConfigError: --engine onnx: onnxruntime-node is not installed; run npm install onnxruntime-node@[\d.]+, or choose another --engine$/,
      ) as string,
      tfjs: expect.stringMatching(
        /^ConfigError: --engine tfjs: @tensorflow\/tfjs and @tensorflow\/tfjs-backend-wasm are not installed; run npm install/,
      ) as string,
      two: ['interrupted', true],
    });
    expect(readdirSync(project)).toEqual(['node_modules']);
  });

  const removeBuild = () => {
    const built = join(project, 'node_modules/gradsock/dist/worker/engines/native');
    for (const name of readdirSync(built)) if (/\.node$|report/.test(name)) rmSync(join(built, name));
  };

  test.skipIf(!hasNative)('builds the native engine on first use, once for all its workers, and says so', async () => {
    removeBuild();
    const compiler = writeStandInCompiler(project, join(ROOT, 'dist/worker/engines/native'));
    const program = `
      const lines = [];
      const logger = { info: (line) => lines.push(line), warn: (line) => lines.push('warning: ' + line) };
      for (const workers of [2, undefined]) {
        const { result } = await train({ ...run, workers, microbatches: 2, engine: 'native', logger });
        said[workers ?? 1] = result.status;
      }
      said.lines = lines.filter((line) => /native engine|warning/.test(line));`;
    expect(await say(project, program, { CXX: compiler.path })).toEqual({
      1: 'completed',
      2: 'completed',
      lines: [
        expect.stringMatching(`^native engine: compiling it .*; kept in ${join(project, 'cache/gradsock/native/')}`),
        expect.stringMatching(/^native engine: built for .* in .* s with stand-in 1.0$/),
      ],
    });
    expect(compiler.numAddons()).toBe(instructionSetsOf(process.arch).length);
    rmSync(join(project, 'cache'), { recursive: true });
  });

  test('without a compiler either says both cures, and trains by the reference where that is asked for', async () => {
    removeBuild();
    const program = `
      said.auto = await refusal({});
      const { result } = await train({ ...run, engine: 'reference' });
      said.reference = [result.status, result.testAccuracy];`;
    const without = { CXX: '', PATH: project };
    const { auto, reference } = (await say(project, program, without)) as { auto: string; reference: unknown };
    expect(auto).toMatch(/^ConfigError: --engine auto: no engine can be used here: /);
    expect(auto).toMatch(/native on cpu: no C\+\+ compiler was found; install g\+\+ or clang\+\+/);
    expect(auto).toMatch(/onnx on cpu: onnxruntime-node is not installed; run npm install onnxruntime-node@/);
    expect(reference).toEqual(['completed', 1]);
    expect(existsSync(join(project, 'cache'))).toBe(false);
  });
});
