/** Mistakes of a user: exit code 2, one sentence with the cure, and nothing made that would be in the way of the next try. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { missingPackage } from '../../../worker/engines/tfjs/devices.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { runInProcess } from '../../helpers/in-process.ts';

const CERTIFICATE = fileURLToPath(new URL('../../fixtures/tls/certificate.pem', import.meta.url));
const URL_OF_NOBODY = 'ws://127.0.0.1:1';
/** So short a run that one which begins by mistake ends at once. */
const RUN = ['--model', 'dense', '--epochs', '1', '--train-samples', '256', '--test-samples', '16'];

/** Exit 2, this one line, and nothing in the folder that was not there before. */
async function expectRefusal(
  args: readonly string[],
  message: string,
  { folder = temporaryFolder(), env = {} }: { folder?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const before = readdirSync(folder);
  const { code, output } = await runInProcess(args, { GRADSOCK_RUN_DIR: join(folder, 'runs', 'mine'), ...env });
  expect(output.split('\n')).toEqual([expect.stringContaining(`error: ${message}`)]);
  expect(code).toBe(2);
  expect(readdirSync(folder)).toEqual(before);
}

describe('a command line with', () => {
  test.each<[string[], string]>([
    [['sail'], "unknown command 'sail'"],
    [['train', '--frobnicate'], "unknown option '--frobnicate'"],
    [
      ['train', '--epochs', 'many'],
      "option '--epochs <n>' argument 'many' is invalid. Expected a whole number from 1.",
    ],
    [['train', '--model', 'resnet'], '--model resnet: expected dense, conv, conv-pool'],
    [
      ['train', '--model', 'missing.json'],
      '--model missing.json: cannot be read: there is no such file (ENOENT): check the path',
    ],
    [['train', '--workers', '3', '--microbatches', '2'], '--microbatches 2 cannot feed 3 workers: use 3 or more'],
    [
      ['train', '--global-batch', '50', '--microbatches', '64'],
      '--global-batch 50 cannot feed 64 microbatches: use 64 or more',
    ],
    [['baseline', '--train-samples', '60001'], '--train-samples 60001: fashion-mnist has 60000: use at most that many'],
    [['baseline', '--momentum', '0', '--nesterov'], '--nesterov needs --momentum above 0'],
  ])('%j', (args, message) => expectRefusal(args, message));

  test('--data-dir without the data', async () => {
    const { code, output } = await runInProcess(['baseline', '--data-dir', '/nowhere']);
    expect(output).toContain('not found in --data-dir, expected the four files of Fashion-MNIST, missing 4');
    expect(code).toBe(2);
  });

  test('a ModelSpec that is none', async () => {
    const path = join(temporaryFolder(), 'bad.json');
    const input = [1, 28, 28];
    writeFileSync(path, JSON.stringify({ name: 'bad', input, numClasses: 10, layers: [{ kind: 'lstm' }] }));
    const { code, output } = await runInProcess(['baseline', '--model', path]);
    expect(output).toContain(`--model ${path}: not a ModelSpec:\n  layers.0.kind:`);
    expect(code).toBe(2);
  });
});

describe('a run directory', () => {
  test('that holds a run already', async () => {
    const runDir = join(temporaryFolder(), 'run');
    mkdirSync(runDir);
    writeFileSync(join(runDir, 'config.json'), '{}');
    await expectRefusal(['baseline', ...RUN, '--run-dir', runDir], `--run-dir ${runDir}: holds a run already`);
  });

  test('below a file', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'runs'), 'a file');
    const problem = `--run-dir ${join(folder, 'runs', 'mine')}: cannot be made: a part of the path is a file`;
    await expectRefusal(['train', ...RUN], problem, { folder });
  });

  test('without a run, for --resume', async () => {
    const folder = temporaryFolder();
    await expectRefusal(
      ['baseline', '--resume', folder],
      `--resume ${folder}: expected a run directory, got no config.json`,
    );
  });
});

describe('an engine or a device', () => {
  test.each<[string[], string]>([
    [['train', '--engine', 'pytorch'], '--engine pytorch: no such engine; use auto, native, onnx, tfjs, reference'],
    [['baseline', '--engine', 'pytorch'], '--engine pytorch: no such engine'],
    [['train', '--device', 'nowhere'], '--device nowhere: no engine has it'],
    [['baseline', '--device', 'abacus'], '--device abacus: no engine has it; there are tensorflow-gpu'],
    [['baseline', '--device', 'cpu:1'], '--device cpu:1: cpu has no number, only GPUs have; use --device cpu'],
    [
      ['baseline', '--engine', 'native', '--device', '0'],
      '--device 0: the number of an NVIDIA GPU, which --engine native does not',
    ],
    [['train', '--engine', 'native', '--device', 'cuda'], '--device cuda: the native engine has cpu'],
    [['train', '--engine', 'tfjs', '--device', 'cuda'], '--device cuda: the tfjs engine runs on'],
    [['train', '--engine', 'onnx', '--device', 'tensorflow'], '--device tensorflow: the onnx engine runs on'],
    [['train', '--engine', 'reference', '--device', 'wasm'], '--device wasm: the reference engine runs on cpu only'],
  ])('%j is refused', (args, message) => expectRefusal([...args, ...RUN], message));

  test('a GPU by a number that this machine does not have is refused', async () => {
    const problem = 'there is no GPU 2: CUDA_VISIBLE_DEVICES=0,1 leaves 2, GPU 0 to 1; choose one of them';
    await expectRefusal(['baseline', ...RUN, '--device', 'cuda:2'], `--device cuda:2: ${problem}`, {
      env: { CUDA_VISIBLE_DEVICES: '0,1' },
    });
  });

  test.skipIf(!missingPackage('tensorflow-gpu')).each([['train'], ['baseline']])(
    'tensorflow-gpu where its package is not installed is refused by %s',
    async (command) => {
      await expectRefusal(
        [command, ...RUN, '--engine', 'tfjs', '--device', 'tensorflow-gpu'],
        '--engine tfjs: @tensorflow/tfjs-node-gpu cannot be used: it is not installed; run npm install @tensorflow/tfjs-node-gpu@',
      );
    },
  );
});

describe('an address', () => {
  test.each<[string[], string]>([
    [['--listen', 'here'], '--listen here: expected HOST:PORT'],
    [['--listen', '*:7878'], '--listen *:7878: expected an address, got *: use 0.0.0.0:7878'],
    [['--listen', '192.0.2.1:0'], '--listen 192.0.2.1:0: this machine has no such address'],
    [['--public-url', 'trainer:80'], '--public-url trainer:80: expected the http:// or https:// URL by which people'],
    [['--advertise', 'no:where:1'], '--advertise no:where:1: expected HOST or HOST:PORT'],
    [['--listen', '0.0.0.0:0', '--no-token'], '--no-token with --listen 0.0.0.0:0: expected a loopback'],
  ])('%j is refused', (flags, message) => expectRefusal(['coordinator', ...RUN, ...flags], message));

  test('where another program listens is refused', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await expectRefusal(
      ['coordinator', ...RUN, '--listen', `127.0.0.1:${port}`],
      `--listen 127.0.0.1:${port}: another program listens there: choose another port, or 0 for any free one`,
    );
  });
});

describe("a coordinator's file", () => {
  const command = ['coordinator', '--listen', '127.0.0.1:0', ...RUN];

  test.each<[string[], string]>([
    [
      ['--join-file', '/nowhere/join'],
      '--join-file /nowhere/join: cannot be written: the folder that it is to be in is not there (ENOENT)',
    ],
    [['--join-file', '/tmp'], '--join-file /tmp: cannot be written: it is a folder'],
    [['--tls-cert', CERTIFICATE], `--tls-cert ${CERTIFICATE} needs --tls-key`],
    [['--tls-key', CERTIFICATE], `--tls-key ${CERTIFICATE} needs --tls-cert`],
    [
      ['--tls-cert', CERTIFICATE, '--tls-key', CERTIFICATE],
      `--tls-cert ${CERTIFICATE} and --tls-key ${CERTIFICATE}: no certificate with its key`,
    ],
    [
      ['--tls-cert', '/nowhere', '--tls-key', '/nowhere'],
      '--tls-cert /nowhere: cannot be read: there is no such file (ENOENT)',
    ],
    [['--token-file', '/nowhere'], '--token-file /nowhere: cannot be read: there is no such file (ENOENT)'],
  ])('%j is refused', (flags, message) => expectRefusal([...command, ...flags], message));

  test('a certificate that is none is refused', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'certificate.pem');
    writeFileSync(file, 'no certificate');
    const flags = ['--tls-cert', file, '--tls-key', file];
    await expectRefusal([...command, ...flags], `--tls-cert ${file} and --tls-key ${file}: no certificate`, { folder });
  });
});

describe('a worker', () => {
  test.each<[string[], string]>([
    [[], 'worker: nothing to join: give the URL that the coordinator printed, --join-file, --join-stdin or --discover'],
    [['http://localhost'], 'http://localhost: not a join URL: expected ws://HOST:PORT or wss://'],
    [['--join-file', '/'], '--join-file /: cannot be read: it is a folder, not a file (EISDIR)'],
    [[URL_OF_NOBODY, '--join-stdin'], 'worker: expected one run to join, got a URL and --join-stdin: give one'],
    [
      [URL_OF_NOBODY, '--tls-fingerprint', 'ab'.repeat(32)],
      `--tls-fingerprint with ${URL_OF_NOBODY}: expected a wss:// URL`,
    ],
    [['wss://127.0.0.1:1', '--tls-fingerprint', 'abc'], '--tls-fingerprint abc: expected the 64 hexadecimal'],
    [
      ['wss://127.0.0.1:1', '--tls-ca', '/nowhere'],
      '--tls-ca /nowhere: cannot be read: there is no such file (ENOENT)',
    ],
  ])('with %j is refused', (args, message) => expectRefusal(['worker', ...args], message));

  test.each<[string[], string]>([
    [[`${URL_OF_NOBODY}#short`], `${URL_OF_NOBODY}: its #token: not a token: expected 22 to 200 letters`],
    [[`${URL_OF_NOBODY}#${'a'.repeat(22)}`, '--no-token'], 'expected a URL without #TOKEN, as --no-token says'],
  ])('with the URL and token %j is refused, and the token is not shown', async (args, message) => {
    const { code, output } = await runInProcess(['worker', ...args]);
    expect(output).toContain(message);
    expect(output).not.toMatch(/#short|#aaa/);
    expect(code).toBe(2);
  });
});

test('a token in the environment that is too short is refused, and not shown', async () => {
  const folder = temporaryFolder();
  const env = { GRADSOCK_TOKEN: 'hush', GRADSOCK_RUN_DIR: join(folder, 'run') };
  const { code, output } = await runInProcess(['train', ...RUN], env);
  expect(output).toContain('$GRADSOCK_TOKEN: not a token: expected 22 to 200 letters');
  expect(output).not.toContain('hush');
  expect(code).toBe(2);
  expect(existsSync(join(folder, 'run'))).toBe(false);
});
