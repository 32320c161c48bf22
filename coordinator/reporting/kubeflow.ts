/**
 * Progress for Kubeflow Trainer: in a pod of a TrainJob, the job's status shows how far the run is, how long it will still
 * take, and its figures. Kubeflow names its server in the pod's environment where its feature gate TrainJobStatus is on.
 * Source: KEP-2779 of kubeflow/trainer, version 2.2.
 *
 * Only the newest status counts: one request at a time, at most one in 5 s. A status that cannot be delivered is given up;
 * the run goes on, and says so once.
 */
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ConfigError } from '../../protocol/errors.ts';
import { accuracyOf } from './reporter.ts';
import type { EpochRecord, Progress, Reporter } from './reporter.ts';
import { LONGEST_REQUEST_MS, NO_ANSWER, reasonOf } from './request-failure.ts';

/** Kubeflow asks clients to wait that long between two requests. */
const SHORTEST_INTERVAL_MS = 5_000;

const URL_VARIABLE = 'KUBEFLOW_TRAINER_SERVER_URL';

/** Where a status is sent. */
export interface KubeflowServer {
  readonly url: URL;
  /** Files in the pod: the authority of the server's certificate, in PEM, and the token. Both are replaced now and then. */
  readonly caFile: string | undefined;
  readonly tokenFile: string | undefined;
}

/** The server that Kubeflow names in this environment, if it does. Throws `ConfigError` for a URL that is none. */
export function kubeflowServerOf(environment: NodeJS.ProcessEnv): KubeflowServer | undefined {
  const text = environment[URL_VARIABLE] ?? '';
  if (text === '') return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw new ConfigError(`${URL_VARIABLE}=${text}: expected a URL that begins with https://: correct it, or unset it`);
  }
  const file = (name: string) => environment[name] || undefined;
  const caFile = file('KUBEFLOW_TRAINER_SERVER_CA_CERT');
  return { url, caFile, tokenFile: file('KUBEFLOW_TRAINER_SERVER_TOKEN') };
}

/** A trainerStatus, as Kubeflow's API has it: metrics are numbers written as text. */
interface TrainerStatus {
  readonly progressPercentage: number;
  readonly estimatedRemainingSeconds?: number;
  readonly metrics: readonly { readonly name: string; readonly value: string }[];
  readonly lastUpdatedTime: string;
}

export interface KubeflowOptions {
  readonly server: KubeflowServer;
  /** Told, once, of a status that could not be delivered. */
  readonly warn: (line: string) => void;
  /** Milliseconds between two requests. Default: 5 s. */
  readonly intervalMs?: number;
}

/** A subscriber that sends the run's status. `close` waits for the last one, 5 s at most. */
export function createKubeflowProgress({ server, warn, intervalMs = SHORTEST_INTERVAL_MS }: KubeflowOptions): Reporter {
  const sender = createSender((status) => post(server, { trainerStatus: status }), {
    intervalMs,
    onFailure: (error) => warn(`Kubeflow at ${server.url.host} was not told how far the run is: ${reasonOf(error)}`),
  });
  let figures: Record<string, number> = {};
  const tell = (progressPercentage: number, secondsLeft?: number) =>
    sender.send(() => ({
      progressPercentage,
      ...(secondsLeft !== undefined &&
        Number.isFinite(secondsLeft) && { estimatedRemainingSeconds: Math.ceil(secondsLeft) }),
      metrics: Object.entries(figures).map(([name, value]) => ({ name, value: String(value) })),
      lastUpdatedTime: new Date().toISOString(),
    }));
  let percentage = 0;
  return {
    onProgress(progress) {
      percentage = percentageOf(progress);
      figures = { ...figures, ...figuresOfProgress(progress) };
      tell(percentage, progress.runSecondsLeft);
    },
    onEpoch(record) {
      figures = { ...figures, ...figuresOfEpoch(record) };
    },
    onEnd({ status, steps, testAccuracy, validationAccuracy = testAccuracy }) {
      figures = { ...figures, steps, ...(validationAccuracy !== null && { accuracy: validationAccuracy }) };
      tell(status === 'completed' ? 100 : percentage, status === 'completed' ? 0 : undefined);
    },
    close: () => sender.close(),
  };
}

/** Of the run, in whole percent. 100 only when it is completed. */
function percentageOf({ epoch, epochs, stepInEpoch, stepsPerEpoch }: Progress): number {
  return Math.min(99, Math.floor((100 * (epoch - 1 + stepInEpoch / stepsPerEpoch)) / epochs));
}

function figuresOfProgress({ epoch, epochs, loss, trainAccuracy, samplesPerSecond }: Progress): Record<string, number> {
  return { epoch, epochs, loss, trainAccuracy, samplesPerSecond: Math.round(samplesPerSecond) };
}

function figuresOfEpoch(record: EpochRecord): Record<string, number> {
  const accuracy = accuracyOf(record);
  return { loss: record.loss, trainAccuracy: record.trainAccuracy, ...(accuracy !== null && { accuracy }) };
}

interface SenderOptions {
  readonly intervalMs: number;
  readonly onFailure: (error: unknown) => void;
}

/** Sends the newest status, and drops those in between. */
function createSender(deliver: (status: TrainerStatus) => Promise<void>, { intervalMs, onFailure }: SenderOptions) {
  /** Made when it is sent: a step may take less than a millisecond. */
  let newest: (() => TrainerStatus) | undefined;
  let underWay: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let hasFailed = false;
  const deliverNewest = (): Promise<void> | undefined => {
    const make = newest;
    newest = undefined;
    if (!make) return undefined;
    underWay = deliver(make())
      .catch((error: unknown) => {
        if (!hasFailed) onFailure(error);
        hasFailed = true;
      })
      .finally(() => {
        underWay = undefined;
        timer = setTimeout(() => {
          timer = undefined;
          void deliverNewest();
        }, intervalMs).unref();
      });
    return underWay;
  };
  return {
    send(make: () => TrainerStatus) {
      newest = make;
      if (!underWay && !timer) void deliverNewest();
    },
    /** The last status goes at once, after one that is under way. Each request has a deadline. */
    async close() {
      await underWay;
      clearTimeout(timer);
      await deliverNewest();
      clearTimeout(timer);
    },
  };
}

/** Rejects where the server does not accept the body within 5 s. */
async function post({ url, caFile, tokenFile }: KubeflowServer, body: object): Promise<void> {
  const contentOf = async (file: string | undefined) => (file === undefined ? undefined : readFile(file, 'utf8'));
  const [ca, token] = await Promise.all([contentOf(caFile), contentOf(tokenFile)]);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  await new Promise<void>((resolve, reject) => {
    const request = send(url, {
      method: 'POST',
      ...(ca && { ca }),
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token.trim()}` }) },
      signal: AbortSignal.timeout(LONGEST_REQUEST_MS),
    });
    request.once('error', (error) => reject(error.name === 'AbortError' ? new Error(NO_ANSWER) : error));
    request.once('response', (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      if (statusCode >= 200 && statusCode < 300) resolve();
      else reject(new Error(`it answered ${statusCode}`));
    });
    request.end(JSON.stringify(body));
  });
}
