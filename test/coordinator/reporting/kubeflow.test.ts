import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { createKubeflowProgress, kubeflowServerOf } from '../../../coordinator/reporting/kubeflow.ts';
import type { Progress, RunResult } from '../../../coordinator/reporting/reporter.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const TLS = new URL('../../fixtures/tls/', import.meta.url);
const CERTIFICATE = new URL('certificate.pem', TLS);

interface Status {
  readonly token: string | undefined;
  readonly progressPercentage: number;
  readonly estimatedRemainingSeconds?: number;
  readonly metrics: readonly { readonly name: string; readonly value: string }[];
}

/** A stand-in for Kubeflow's server, which keeps what it is sent. `hold`: answers wait for it. */
async function kubeflow({ isSecure = false, code = 200, hold = Promise.resolve() } = {}) {
  const statuses: Status[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    void text(request).then(async (body) => {
      const { trainerStatus } = JSON.parse(body) as { trainerStatus: Omit<Status, 'token'> };
      statuses.push({ token: request.headers.authorization, ...trainerStatus });
      await hold;
      response.writeHead(code).end();
    });
  };
  const tls = isSecure && { cert: readFileSync(CERTIFICATE), key: readFileSync(new URL('key.pem', TLS)) };
  const server = tls ? createHttpsServer(tls, answer) : createHttpServer(answer);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const tokenFile = join(temporaryFolder(), 'token');
  writeFileSync(tokenFile, 'first\n');
  const warnings: string[] = [];
  const open = (intervalMs = 1) =>
    createKubeflowProgress({
      server: kubeflowServerOf({
        KUBEFLOW_TRAINER_SERVER_URL: `${isSecure ? 'https' : 'http'}://localhost:${port}/jobs/one/status`,
        KUBEFLOW_TRAINER_SERVER_TOKEN: tokenFile,
        ...(isSecure && { KUBEFLOW_TRAINER_SERVER_CA_CERT: CERTIFICATE.pathname }),
      })!,
      intervalMs,
      warn: (line) => warnings.push(line),
    });
  return { statuses, warnings, tokenFile, open };
}

const progress = (epoch: number, stepInEpoch: number): Progress => ({
  ...{ epoch, epochs: 4, stepInEpoch, stepsPerEpoch: 10, loss: 0.5, trainAccuracy: 0.75 },
  ...{ samplesPerSecond: 1000.4, runSecondsLeft: 12.3 },
});

const completed = {
  ...{ status: 'completed', steps: 40, epochs: 4, testAccuracy: 0.875 },
  ...{ seconds: 3, trainingSeconds: 2, waitingSeconds: 1, parametersSha256: '' },
} as RunResult;

test('a run in a TrainJob sends progress, time left and figures as text, with the token, and ends at 100 percent', async () => {
  const { statuses, warnings, open } = await kubeflow({ isSecure: true });
  const reporter = open();
  reporter.onProgress!(progress(2, 5));
  await expect.poll(() => statuses).toHaveLength(1);
  reporter.onEnd!(completed, undefined);
  await reporter.close!();
  expect(warnings).toEqual([]);
  expect(statuses[0]).toMatchObject({ token: 'Bearer first', progressPercentage: 37, estimatedRemainingSeconds: 13 });
  expect(statuses[0]!.metrics).toContainEqual({ name: 'trainAccuracy', value: '0.75' });
  expect(statuses.at(-1)).toMatchObject({ progressPercentage: 100, estimatedRemainingSeconds: 0 });
  expect(statuses.at(-1)!.metrics).toContainEqual({ name: 'accuracy', value: '0.875' });
});

test('only the newest status is sent while a request is under way, and the token is read anew for each', async () => {
  let answer!: () => void;
  const { statuses, tokenFile, open } = await kubeflow({ hold: new Promise((resolve) => (answer = () => resolve())) });
  const reporter = open();
  for (let step = 0; step < 10; step++) reporter.onProgress!(progress(1, step));
  await expect.poll(() => statuses).toHaveLength(1);
  writeFileSync(tokenFile, 'second\n');
  answer();
  await expect.poll(() => statuses).toHaveLength(2);
  expect(statuses.map(({ token, progressPercentage }) => [token, progressPercentage])).toEqual([
    ['Bearer first', 0],
    ['Bearer second', 22],
  ]);
  await reporter.close!();
});

test('a server that refuses, or cannot be reached, costs one warning', async () => {
  const { warnings, statuses, open } = await kubeflow({ code: 403 });
  const reporter = open();
  reporter.onProgress!(progress(1, 1));
  await expect.poll(() => statuses).toHaveLength(1);
  reporter.onEnd!({ ...completed, status: 'interrupted' }, undefined);
  await reporter.close!();
  expect(statuses.at(-1)).toMatchObject({ progressPercentage: 2 });
  expect(warnings).toEqual([
    expect.stringMatching(/^Kubeflow at localhost:\d+ was not told how far the run is: it answered 403$/),
  ]);
});

test('nothing is sent where Kubeflow names no server, and a URL that is none is refused', () => {
  expect(kubeflowServerOf({})).toBeUndefined();
  expect(() => kubeflowServerOf({ KUBEFLOW_TRAINER_SERVER_URL: 'trainer:8082' })).toThrow(
    'KUBEFLOW_TRAINER_SERVER_URL=trainer:8082: expected a URL that begins with https://',
  );
});
