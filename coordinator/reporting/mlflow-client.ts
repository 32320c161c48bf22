/**
 * What of MLflow's REST interface a run needs: an experiment, a run in it, parameters, metrics, and how the run ended.
 * Source: https://mlflow.org/docs/latest/rest-api.html, version 2.0 of the interface.
 */
import { ConfigError } from '../../protocol/errors.ts';

/** MLflow's limits on one request, and on a value. */
const MOST_METRICS = 1_000;
const MOST_PARAMETERS = 100;
const LONGEST_PARAMETER = 500;

export interface MlflowMetric {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

export type MlflowStatus = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED';

export interface MlflowClient {
  /** Makes the experiment if there is none of that name, and a run in it; returns the run's id. */
  createRun(experiment: string, name: string, startMs: number): Promise<string>;
  logParameters(runId: string, parameters: Readonly<Record<string, string>>): Promise<void>;
  logMetrics(runId: string, metrics: readonly MlflowMetric[]): Promise<void>;
  update(runId: string, status: MlflowStatus, endMs?: number): Promise<void>;
}

export interface MlflowAddress {
  /** http or https, without `/api`. */
  readonly uri: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Of one request. */
  readonly timeoutMs: number;
}

/** Throws `ConfigError` for a URI that is not one of a server. A request that fails rejects with what the server said. */
export function createMlflowClient({ uri, environment, timeoutMs }: MlflowAddress): MlflowClient {
  const base = URL.canParse(uri) ? new URL(uri) : undefined;
  if (base?.protocol !== 'http:' && base?.protocol !== 'https:') {
    throw new ConfigError(
      `--mlflow ${uri}: expected the URL of a tracking server, http:// or https://: start one by \`mlflow server\``,
    );
  }
  const headers = { 'content-type': 'application/json', ...authorizationOf(base, environment) };
  const root = `${base.origin}${base.pathname.replace(/\/+$/, '')}/api/2.0/mlflow`;

  const request = async (path: string, body?: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${root}/${path}`, {
      method: body ? 'POST' : 'GET',
      headers,
      signal: AbortSignal.timeout(timeoutMs),
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
    if (response.ok) return answer;
    const { error_code: code = response.status, message = '' } = answer;
    throw Object.assign(new Error(`${String(code)} ${String(message)}`.trim().slice(0, 300)), { code });
  };

  const experimentId = async (name: string): Promise<string> => {
    try {
      const { experiment } = await request(`experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`);
      return (experiment as { experiment_id: string }).experiment_id;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'RESOURCE_DOES_NOT_EXIST') throw error;
      return (await request('experiments/create', { name }))['experiment_id'] as string;
    }
  };

  return {
    async createRun(experiment, name, startMs) {
      const { run } = await request('runs/create', {
        experiment_id: await experimentId(experiment),
        run_name: name,
        start_time: startMs,
        tags: [{ key: 'mlflow.source.name', value: 'gradsock' }],
      });
      return (run as { info: { run_id: string } }).info.run_id;
    },
    async logParameters(runId, parameters) {
      const params = Object.entries(parameters).map(([key, value]) => ({
        key,
        value: value.slice(0, LONGEST_PARAMETER),
      }));
      for (const some of inPieces(params, MOST_PARAMETERS))
        await request('runs/log-batch', { run_id: runId, params: some });
    },
    async logMetrics(runId, metrics) {
      for (const some of inPieces(metrics, MOST_METRICS))
        await request('runs/log-batch', { run_id: runId, metrics: some });
    },
    async update(runId, status, endMs) {
      await request('runs/update', { run_id: runId, status, ...(endMs !== undefined && { end_time: endMs }) });
    },
  };
}

/** As MLflow's own client: a token, or a name and a password, from the environment or from the URI. */
function authorizationOf({ username, password }: URL, environment: NodeJS.ProcessEnv): { authorization?: string } {
  const {
    MLFLOW_TRACKING_TOKEN: token,
    MLFLOW_TRACKING_USERNAME: name,
    MLFLOW_TRACKING_PASSWORD: secret,
  } = environment;
  if (token) return { authorization: `Bearer ${token}` };
  const user = name ?? decodeURIComponent(username);
  if (user === '') return {};
  const pair = `${user}:${secret ?? decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function inPieces<T>(items: readonly T[], most: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / most) }, (_, i) => items.slice(i * most, (i + 1) * most));
}
