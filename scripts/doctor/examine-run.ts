/** A coordinator's run, asked through the WebSocket that a worker would use: token, versions, and how fast the link is. */
import { formatBytes, formatDuration, formatMs } from '../../coordinator/reporting/text.ts';
import { countOf } from '../../protocol/counts.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { AUTHENTICATION_CURE } from '../../protocol/wire/authentication.ts';
import { PROTOCOL_VERSION } from '../../protocol/wire/messages.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { RunEnded } from '../../protocol/wire/transport.ts';
import { openAddress } from '../../worker/connection/client.ts';
import type { ClientTransport } from '../../worker/connection/client.ts';
import { beginExamination, measureEchoes, measureThroughput } from '../../worker/connection/examine.ts';
import type { Throughput } from '../../worker/connection/examine.ts';
import type { TlsTrust } from '../../worker/connection/tls.ts';
import { packageVersion } from '../process.ts';
import { quantile } from '../tables/statistics.ts';
import { checksOf } from './check.ts';
import type { Tell } from './check.ts';
import { splitCure } from './examine-way.ts';
import type { OpenWay } from './examine-way.ts';

const NUM_ECHOES = 100;
const ECHOES_MS = 3000;
/** For each sample of the throughput. */
const SAMPLE_MS = 10_000;
/** A round trip, and a step's bytes, that training feels. */
const LONG_ROUND_TRIP_MS = 50;
const LONG_STEP_MS = 1000;

const SAME_VERSION = 'run the same gradsock on both sides';
const SMALLER =
  'have less sent: --wire bf16 or int8, --local-steps, --accumulate, a smaller model; or find a faster link';

export interface RunOptions {
  readonly token: string | undefined;
  readonly trust: TlsTrust | undefined;
  readonly signal: AbortSignal;
  readonly tell: Tell;
}

/** What was found out about the run and the link to it. */
export interface ExaminedRun {
  readonly facts: MessageOf<'examined'>;
  /** This machine's address on the way to the coordinator. */
  readonly localAddress: string;
  readonly downBytesPerSecond: number | undefined;
}

/** Undefined where the run cannot be asked. */
export async function examineRun({ url, address }: OpenWay, options: RunOptions): Promise<ExaminedRun | undefined> {
  const { fail } = checksOf('run', options.tell);
  let transport: ClientTransport;
  try {
    transport = await openAddress(url, address, options.signal, options.trust);
  } catch (error) {
    const [text, cure = 'is that a coordinator? a proxy before it must pass WebSocket upgrades'] = splitCure(error);
    fail('WebSocket', text, { cure });
    return undefined;
  }
  try {
    const facts = await beginExamination(transport, options.token, packageVersion());
    tellFacts(facts, options);
    const downBytesPerSecond = await examineLink(transport, facts, options.tell);
    return { facts, localAddress: transport.localAddress, downBytesPerSecond };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    tellFailure(error, options.tell);
    return undefined;
  } finally {
    transport.close();
  }
}

function tellFacts(facts: MessageOf<'examined'>, { token, tell }: RunOptions): void {
  const { ok, warn } = checksOf('run', tell);
  ok('token', token === undefined ? 'the run has none' : 'both sides know it');
  const [own, theirs] = [packageVersion(), facts.program];
  const figures = { program: theirs, protocol: PROTOCOL_VERSION };
  if (own === theirs) ok('version', `gradsock ${own}, protocol ${PROTOCOL_VERSION} on both sides`, { figures });
  else {
    const text = `gradsock ${theirs} there, ${own} here; protocol ${PROTOCOL_VERSION} on both sides`;
    warn('version', text, { cure: `${SAME_VERSION}, for equal results`, figures });
  }
  const { model, numWorkers, numReady } = facts;
  const text = `${model.name}, for ${countOf(numWorkers, 'worker')}, of which ${numReady} ${numReady === 1 ? 'is' : 'are'} ready`;
  ok('run', text, { figures: { model: model.name, numWorkers, numReady } });
}

/** An examination that did not come to its end. */
function tellFailure(error: ProtocolError, tell: Tell): void {
  const { fail, warn } = checksOf('run', tell);
  const { code, message } = error;
  if (code === 'ERR_UNAUTHENTICATED') {
    const [text] = message.replace(/^.* reports ERR_UNAUTHENTICATED: /, '').split(`: ${AUTHENTICATION_CURE}`);
    const isAsked = text !== message;
    const cure = isAsked
      ? AUTHENTICATION_CURE.replace('the worker', 'doctor and worker')
      : 'if it is the right one, use --no-token';
    fail('token', text!, { cure });
  } else if (code === 'ERR_VERSION_MISMATCH') {
    fail('version', message.replace(`: ${SAME_VERSION}`, ''), { cure: SAME_VERSION });
  } else if (code === 'ERR_UNKNOWN_KIND') {
    fail('version', 'the coordinator is of a version that cannot be examined', { cure: SAME_VERSION });
  } else if (code === 'ERR_BAD_MAGIC') {
    fail('version', `the server is no coordinator of gradsock (${message})`, { cure: 'compare the address' });
  } else if (error instanceof RunEnded || code === 'ERR_RUN_FULL') {
    warn('run', message, { cure: 'start another run' });
  } else {
    fail('run', message, { cure: "look at the coordinator's log" });
  }
}

/** Round trips, and bytes in both directions. Returns the rate from the coordinator, in bytes a second. */
async function examineLink(
  transport: ClientTransport,
  facts: MessageOf<'examined'>,
  tell: Tell,
): Promise<number | undefined> {
  const { ok, warn, fail } = checksOf('run', tell);
  const echoes = await measureEchoes(transport, NUM_ECHOES, ECHOES_MS);
  const [median, p99] = [quantile(echoes, 0.5), quantile(echoes, 0.99)];
  const say = median > LONG_ROUND_TRIP_MS ? warn : ok;
  say('round trip', `median ${formatMs(median)}, p99 ${formatMs(p99)}, of ${echoes.length}`, {
    figures: { medianMs: median, p99Ms: p99, numEchoes: echoes.length },
    ...(say === warn && { cure: 'a step takes one at least: larger --global-batch, --accumulate or --local-steps' }),
  });
  const how = { echoMs: median, deadlineMs: SAMPLE_MS };
  const down = await measureThroughput(transport, 'down', how);
  const up = down?.isBound ? undefined : await measureThroughput(transport, 'up', how);
  const figures = {
    ...(down && { downBytesPerSecond: down.bytesPerSecond }),
    ...(up && { upBytesPerSecond: up.bytesPerSecond }),
  };
  if (!down && !up)
    warn('bandwidth', 'not measured: others have just measured theirs', { cure: 'try again in a minute' });
  else ok('bandwidth', `${rateOf(down)} from the coordinator, ${rateOf(up)} to it`, { figures });
  if (!down) return undefined;
  const slow = up ?? down;
  const bytes = facts.stepBytes;
  const stepMs = median + (1000 * bytes) / down.bytesPerSecond + (1000 * bytes) / slow.bytesPerSecond;
  const text = `${formatBytes(bytes)} each way: at least ${duration(stepMs)} of each step over this link, with the star`;
  const rest = { figures: { stepBytes: bytes, stepMs } };
  if (stepMs > facts.stepTimeoutMs / 2) {
    const limit = `--step-timeout ${facts.stepTimeoutMs / 1000}`;
    fail('step', text, { ...rest, cure: `the worker would be lost by ${limit}: ${SMALLER}` });
  } else if (stepMs > LONG_STEP_MS) warn('step', text, { ...rest, cure: SMALLER });
  else ok('step', text, rest);
  return down.bytesPerSecond;
}

const duration = (ms: number): string => (ms < 10_000 ? formatMs(ms) : formatDuration(ms / 1000));

function rateOf(throughput: Throughput | undefined): string {
  if (!throughput) return 'not measured';
  const text = formatRate(throughput.bytesPerSecond);
  return throughput.isBound ? `less than ${text}` : text;
}

/** "64 kbit/s", "940 Mbit/s", "12.3 Gbit/s". */
export function formatRate(bytesPerSecond: number): string {
  const bits = 8 * bytesPerSecond;
  const [unit, size] =
    bits >= 1e9 ? (['Gbit/s', 1e9] as const) : bits >= 1e6 ? (['Mbit/s', 1e6] as const) : (['kbit/s', 1e3] as const);
  const value = bits / size;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}
