/** Engines and devices as a user meets them: listed, named, mixed in one run, and missing. */
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { nativeAvailability } from '../../worker/engines/native/loader.ts';
import { missingPackage } from '../../worker/engines/tfjs/devices.ts';
import { childrenOf, readEpochs, readResult, runCli, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SHORT = ['--model', 'dense', '--epochs', '3', ...SMALL];

/** What runs everywhere, and where a compiler was found. */
const TRAINERS: [string, string][] = [
  ...(nativeAvailability().available ? [['native', 'cpu'] as [string, string]] : []),
  ['onnx', 'cpu'],
  ['tfjs', 'wasm'],
];

describe('an engine by name', () => {
  test('and a device are taken by local workers, and said once', async () => {
    const [engine, device] = TRAINERS[0]!;
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--engine', engine, '--device', device, '--workers', '2', '--run-dir', runDir];
    const { code, output } = await runCli(['train', ...SHORT, ...flags]);
    expect(code, output).toBe(0);
    const [first, , last] = readEpochs(runDir);
    expect(last!.loss).toBeLessThan(first!.loss);
    expect(last!.testAccuracy).toBeGreaterThan(0.7);
    for (const worker of last!.workers) expect(worker).toMatchObject({ engine, device: expect.stringMatching(device) });
    // Of the machine, each thing is said once, though two workers have it to say.
    expect(output.match(new RegExp(`^local-[12]: engine ${engine} on ${device}.*$`, 'gm'))).toHaveLength(1);
  });

  test('three workers on different engines train one model together, and their replicas stay equal', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { coordinator, url } = await startCoordinator(['--workers', '3', '--run-dir', runDir, ...SHORT]);
    const workers = [...TRAINERS, ['onnx', 'cpu']].slice(0, 3).map(([engine, device], index) => {
      return startCli(['worker', url, '--name', `w${index}`, '--engine', engine!, '--device', device!]);
    });
    // Ends well only if, after every epoch, the hash of each worker's parameters was the coordinator's.
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    for (const worker of workers) expect(await worker.exit, worker.output()).toBe(0);

    const epochs = readEpochs(runDir);
    expect(new Set(epochs[0]!.workers.map(({ engine }) => engine)).size).toBe(TRAINERS.length);
    expect(epochs[2]!.loss).toBeLessThan(epochs[0]!.loss);
    expect(readResult(runDir).testAccuracy).toBeGreaterThan(0.7);
  });
});

describe('a device that is not here', () => {
  const missing = missingPackage('tensorflow-gpu');
  const flags = ['--engine', 'tfjs', '--device', 'tensorflow-gpu'];

  /** Exit 2, and the last word is what is missing and how to get it. */
  function expectCure({ code, output }: { code: number | string; output: string }): void {
    expect(output).toMatch(
      /^error: --engine tfjs: @tensorflow\/tfjs-node-gpu cannot be used: it is not installed; run npm install @tensorflow\/tfjs-node-gpu@[\d.]+ where storage\.googleapis\.com can be reached/m,
    );
    expect(code).toBe(2);
  }

  test.skipIf(!missing)('tensorflow-gpu, for a worker: the coordinator goes on waiting for another', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { coordinator, url } = await startCoordinator(['--workers', '1', '--run-dir', runDir, ...SHORT]);
    expectCure(await runCli(['worker', url, ...flags]));
    expect((await runCli(['worker', url])).code).toBe(0);
    expect(await coordinator.exit).toBe(0);
  });
});

test.skipIf(existsSync('/proc/driver/nvidia/gpus'))('GPUs are counted by nvidia-smi, if need be', async () => {
  const folder = temporaryFolder();
  const smi = `#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: NVIDIA A100 (UUID: GPU-5d)" && echo "GPU 1: NVIDIA A100 (UUID: GPU-9e)"\n`;
  writeFileSync(join(folder, 'nvidia-smi'), smi, { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env['PATH'] ?? ''}` };
  const flags = ['--device', 'tensorflow-gpu:2', '--run-dir', join(folder, 'run')];
  const { code, output } = await runCli(['baseline', ...SHORT, ...flags], env);
  expect(output).toContain('there is no GPU 2: this machine has 2, GPU 0 to 1; choose one of them');
  expect(code).toBe(2);
});

describe('local workers', () => {
  test('are numbered from 0 for the GPUs of the machine, whatever number the launcher itself has', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--workers', '3', ...SHORT, '--epochs', '1000', '--run-dir', runDir];
    const cli = startCli(['train', ...flags], { LOCAL_RANK: '7' });
    await cli.line(/^training dense/);
    const ranks = childrenOf(cli.pid).map((pid) => {
      return /(?:^|\0)LOCAL_RANK=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, 'latin1'))?.[1];
    });
    expect(ranks.sort()).toEqual(['0', '1', '2']);
    cli.kill('SIGTERM');
    expect(await cli.exit).toBe(130);
  });
});

describe('auto', () => {
  test('says once what was passed over, and nothing when quiet', async () => {
    const env = { CUDA_VISIBLE_DEVICES: '' };
    const command = ['train', '--workers', '2', ...SHORT, '--max-steps', '2'];
    const loud = await runCli([...command, '--run-dir', join(temporaryFolder(), 'run')], env);
    const lines = loud.output.match(/^local-[12]: engine .*; passed over: .*$/gm);
    expect(lines, loud.output).toHaveLength(1);
    expect(lines![0]).toMatch(/ tfjs on tensorflow-gpu \(.+\), onnx on cuda \(no NVIDIA GPU\)/);

    const quiet = await runCli([...command, '--quiet', '--run-dir', join(temporaryFolder(), 'run')], env);
    expect(quiet.output).not.toContain('onnx on cuda');
  });

  test('without the native kernels, says so once, also when quiet', async () => {
    const program = freshInstallation();
    const command = ['train', '--workers', '2', ...SHORT, '--max-steps', '2', '--quiet'];
    const env = { CUDA_VISIBLE_DEVICES: '', ...WITHOUT_COMPILER, XDG_CACHE_HOME: temporaryFolder() };
    const runDir = join(temporaryFolder(), 'run');
    const { code, output } = await runCli([...command, '--run-dir', runDir], env, program);
    expect(code, output).toBe(0);
    const lines = output.split('\n').filter((line) => line.includes('native on cpu'));
    expect(lines, output).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^local-[12]: engine onnx on cpu; .*native on cpu \(no C\+\+ compiler was found\).*gradsock engines$/,
    );
  });
});

test('native, asked for by name without its addon, is refused before anything is made', async () => {
  const program = freshInstallation();
  const runDir = join(temporaryFolder(), 'run');
  const env = { ...WITHOUT_COMPILER, XDG_CACHE_HOME: temporaryFolder() };
  const { code, output } = await runCli(
    ['baseline', ...SHORT, '--engine', 'native', '--run-dir', runDir],
    env,
    program,
  );
  expect(output).toMatch(/^error: --engine native: no C\+\+ compiler was found; install g\+\+ .*$/);
  expect(code).toBe(2);
  expect(existsSync(runDir)).toBe(false);
});

/** For a user of a machine without a C++ compiler. */
const WITHOUT_COMPILER = { PATH: '/nowhere', CXX: '' };

/** The program as it is installed, before its native engine is built. */
function freshInstallation(): string {
  const folder = temporaryFolder();
  const kernels = join(ROOT, 'dist/worker/engines/native');
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), {
    recursive: true,
    filter: (path) => !path.startsWith(kernels) || !/\.node$|build-report|build\.log|build-in-/.test(path),
  });
  cpSync(join(ROOT, 'worker/engines/native'), join(folder, 'worker/engines/native'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), readFileSync(join(ROOT, 'package.json')));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'dist/scripts/cli.js');
}
