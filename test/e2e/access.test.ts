/** Who takes part in a run, and where its token can be seen: real processes. */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createToken } from '../../protocol/wire/authentication.ts';
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { childrenOf, readResult, runCli, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

const run = ['--model', 'dense', '--microbatches', '2', '--epochs', '1', ...SMALL];
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));
const CERTIFICATE = fixture('certificate.pem');
const SERVE_TLS = ['--tls-cert', CERTIFICATE, '--tls-key', fixture('key.pem')];
const isLinux = process.platform === 'linux';

const commandLineOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');

/** All that a run has written, except the parameters, and except the token, which only its owner can read. */
function recordsOf(runDir: string): string {
  const files = readdirSync(runDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const tokenFile = files.find(({ name }) => name === 'token');
  if (tokenFile) expect(statSync(join(runDir, 'token')).mode & 0o777).toBe(0o600);
  const records = files.filter(({ name }) => !['model.safetensors', 'token'].includes(name));
  return records.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1')).join('\n');
}

describe('a run with a token', () => {
  test('refuses who does not have it, and ends with the parameters of a run that nobody disturbed', async () => {
    const folder = temporaryFolder();
    const [runDir, undisturbed] = [join(folder, 'run'), join(folder, 'undisturbed')];
    const { coordinator, url } = await startCoordinator(['--workers', '1', '--run-dir', runDir, ...run]);
    const { url: bare, token } = splitJoinUrl(url);

    const without = await runInProcess(['worker', bare]);
    expect(without.code).toBe(1);
    expect(without.output).toContain(
      "give the worker the run's token: at its prompt, by GRADSOCK_TOKEN, --token-file, --join-file or",
    );
    const wrong = await runInProcess(['worker', `${bare}#${createToken()}`]);
    expect(wrong.code).toBe(1);
    expect(wrong.output).toContain('the coordinator does not know the token that this worker has');

    const worker = await runCli(['worker', url]);
    expect(worker.code, worker.output).toBe(0);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    expect(coordinator.output()).toContain('was not admitted');
    expect(recordsOf(runDir)).not.toContain(token);
    expect(recordsOf(runDir)).toContain('ERR_UNAUTHENTICATED');

    expect((await runInProcess(['baseline', ...run, '--run-dir', undisturbed])).code).toBe(0);
    expect(readResult(runDir).parametersSha256).toBe(readResult(undisturbed).parametersSha256);
  });

  test.runIf(isLinux)('hands it to workers of `train` where no process list and no record shows it', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const token = createToken();
    const long = ['--model', 'dense', '--epochs', '10000', ...SMALL];
    const cli = startCli(['train', '--workers', '2', ...long, '--run-dir', runDir], { GRADSOCK_TOKEN: token });
    await cli.line(/^epoch 1,/);
    const workers = childrenOf(cli.pid);
    expect(workers).toHaveLength(2);
    for (const pid of workers) expect(commandLineOf(pid)).toMatch(/worker ws:\/\/127\.0\.0\.1:\d+ /);
    for (const pid of [cli.pid, ...workers]) expect(commandLineOf(pid)).not.toContain(token);
    cli.kill('SIGINT');
    expect(await cli.exit).toBe(130);
    expect(recordsOf(runDir)).not.toContain(token);
    expect(cli.output()).not.toContain(token);
  });

  test.runIf(isLinux)('is joined by a URL whose token is gone from the process list at once', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { coordinator, url } = await startCoordinator(['--workers', '2', '--run-dir', runDir, ...run]);
    const worker = startCli(['worker', url, '--name', 'first']);
    await coordinator.line(/first is ready/);
    expect(commandLineOf(worker.pid)).toMatch(/^gradsock worker ws:\/\/127\.0\.0\.1/);
    expect(commandLineOf(worker.pid)).not.toContain(splitJoinUrl(url).token);
  });

  test('writes its join file for its owner only, and a worker joins by it', async () => {
    const folder = temporaryFolder();
    const joinFile = join(folder, 'join');
    const flags = ['--workers', '1', '--join-file', joinFile, '--run-dir', join(folder, 'run')];
    const { coordinator, url } = await startCoordinator([...flags, ...run]);
    expect(readFileSync(joinFile, 'utf8')).toBe(`${url}\n`);
    if (process.platform !== 'win32') expect(statSync(joinFile).mode & 0o777).toBe(0o600);
    expect((await runCli(['worker', '--join-file', joinFile])).code).toBe(0);
    expect(await coordinator.exit).toBe(0);
    expect(existsSync(joinFile)).toBe(false);
  });

  test('is joined by a worker that was there first, and by one whose join file is of the run before', async () => {
    const folder = temporaryFolder();
    const joinFile = join(folder, 'join');
    const early = startCli(['worker', '--join-file', joinFile, '--name', 'early']);
    expect(await early.line(/^waiting/)).toMatch(/^waiting for the join file \S+, \d+ s left \(it is not there\)$/);
    const other = await startCoordinator(['--workers', '1', '--run-dir', join(folder, 'other'), ...run]);
    const stale = splitJoinUrl(other.url).url;
    writeFileSync(joinFile, `${stale}/#${createToken()}\n`);
    await other.coordinator.line(/was not admitted/);
    await early.line(/^waiting for a new join URL in the join file/);

    const flags = ['--workers', '1', '--join-file', joinFile, '--run-dir', join(folder, 'run')];
    const { coordinator } = await startCoordinator([...flags, ...run]);
    expect(await early.exit, early.output()).toBe(0);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    other.coordinator.kill('SIGINT');
    expect(await other.coordinator.exit).toBe(130);
  });

  test('leaves a join file alone that another run has written over its own', async () => {
    const folder = temporaryFolder();
    const joinFile = join(folder, 'join');
    const flags = ['--workers', '1', '--join-file', joinFile, '--run-dir', join(folder, 'run')];
    const { coordinator } = await startCoordinator([...flags, ...run]);
    writeFileSync(joinFile, 'ws://127.0.0.1:1\n');
    coordinator.kill('SIGINT');
    expect(await coordinator.exit).toBe(130);
    expect(readFileSync(joinFile, 'utf8')).toBe('ws://127.0.0.1:1\n');
  });

  test('takes it from a file on both sides', async () => {
    const folder = temporaryFolder();
    const [tokenFile, token] = [join(folder, 'token'), createToken()];
    writeFileSync(tokenFile, `${token}\n`);
    const flags = ['--workers', '1', '--token-file', tokenFile, '--run-dir', join(folder, 'run')];
    const { coordinator, url } = await startCoordinator([...flags, ...run]);
    const parts = splitJoinUrl(url);
    expect(parts.token).toBe(token);
    expect((await runCli(['worker', parts.url, '--token-file', tokenFile])).code).toBe(0);
    expect(await coordinator.exit).toBe(0);
  });
});

test('a run with --no-token on loopback is joined by its URL alone', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const flags = ['--listen', '127.0.0.1:0', '--workers', '1', '--no-token', '--run-dir', runDir];
  const coordinator = startCli(['coordinator', ...flags, ...run]);
  const line = await coordinator.line(/npx gradsock worker ws:\/\/127\.0\.0\.1:\d+ --no-token$/);
  expect((await runCli(line.trim().split(' ').slice(2))).code).toBe(0);
  expect(await coordinator.exit).toBe(0);
});

describe('a run over TLS', () => {
  test('is joined by the authority or by the printed fingerprint, and by nobody who trusts another', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--workers', '2', ...SERVE_TLS, '--run-dir', runDir];
    const { coordinator, url } = await startCoordinator([...flags, ...run]);
    expect(url).toMatch(/^wss:/);
    const fingerprint = new X509Certificate(readFileSync(CERTIFICATE)).fingerprint256;
    const wrong = 'ab'.repeat(32);
    for (const trust of [[], ['--tls-fingerprint', wrong]]) {
      const { code, output } = await runInProcess(['worker', url, ...trust]);
      expect(code).toBe(2);
      expect(output).toMatch(/certificate is not trusted|--tls-fingerprint abab.* has a certificate with/);
    }
    const workers = [
      runCli(['worker', url, '--tls-ca', CERTIFICATE]),
      runCli(['worker', url, '--tls-fingerprint', fingerprint]),
    ];
    for (const { code, output } of await Promise.all(workers)) expect(code, output).toBe(0);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    expect(readResult(runDir)).toMatchObject({ status: 'completed' });
  });
});

test('a ring over TLS is a star, and the reason is told', async () => {
  const folder = temporaryFolder();
  const [runDir, undisturbed] = [join(folder, 'run'), join(folder, 'undisturbed')];
  const flags = ['--workers', '2', '--all-reduce', 'ring', ...SERVE_TLS, '--run-dir', runDir];
  const { coordinator, url } = await startCoordinator([...flags, ...run]);
  const workers = await Promise.all([1, 2].map(() => runCli(['worker', url, '--tls-ca', CERTIFICATE])));
  for (const { code, output } of workers) expect(code, output).toBe(0);
  expect(await coordinator.exit, coordinator.output()).toBe(0);
  expect(coordinator.output()).toContain(
    'all-reduce: star, because this run is encrypted, which links between the workers of a ring are not',
  );
  // Equal bits for any number of workers are the star's.
  expect((await runInProcess(['baseline', ...run, '--run-dir', undisturbed])).code).toBe(0);
  expect(readResult(runDir).parametersSha256).toBe(readResult(undisturbed).parametersSha256);
});

test('--join-stdin without a line is refused', async () => {
  const { code, output } = await runCli(['worker', '--join-stdin']);
  expect(output).toContain('error: --join-stdin: expected a line, got the end of the input');
  expect(code).toBe(2);
});
