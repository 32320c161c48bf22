/** This machine: whether it can compute, has the data or room for it, and can listen for other workers. */
import { constants, existsSync, readFileSync } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatBytes, formatDuration } from '../../coordinator/reporting/text.ts';
import { userCacheFolder } from '../../protocol/data/cache-folder.ts';
import { openCached } from '../../protocol/data/dataset-cache.ts';
import { FASHION_MNIST_SHA256 } from '../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, openDatasetFiles } from '../../protocol/data/fashion-mnist-files.ts';
import { describeError } from '../../protocol/errors.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { peerSockets } from '../../worker/connection/peer-server.ts';
import type { PortRange } from '../../worker/connection/peer-server.ts';
import type { Finding, SurveyJob } from '../survey/survey-process.ts';
import { checksOf } from './check.ts';
import type { Tell } from './check.ts';
import { splitCure } from './examine-way.ts';
import { formatRate } from './examine-run.ts';

/** A dataset of some 50 MB, and a run's records. */
const LITTLE_ROOM_BYTES = 1e9;
const NO_ROOM_BYTES = 1e8;
/** Waiting for the data longer than this is worth a word. */
const LONG_TRANSFER_SECONDS = 60;
/** Reading them costs microseconds, and each step reads the clock many times. */
const SLOW_CLOCKS = ['hpet', 'acpi_pm', 'jiffies', 'refined-jiffies'];
const CLOCK_SOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource';

export interface EngineChoice {
  readonly engine: string;
  readonly device: string | undefined;
}

/** `survey`: as `surveyOne`, which has a deadline. */
export async function examineEngine(
  { engine, device }: EngineChoice,
  model: ModelSpec,
  survey: (job: SurveyJob) => Promise<Finding[]>,
  tell: Tell,
): Promise<void> {
  const { ok, fail } = checksOf('machine', tell);
  const [finding] = await survey({ engine, device, models: [model], samples: undefined });
  if (!finding?.isUsable) {
    const cure = '`gradsock engines` lists what can be used here, and why not the others';
    fail('engine', `--engine ${engine} cannot be used: ${finding?.reason ?? 'it gave no answer'}`, { cure });
    return;
  }
  const { probe } = finding;
  const probed = probe ? `, computes ${model.name} as the reference does, to ${probe.error.toExponential(1)}` : '';
  ok('engine', `${finding.engine} on ${finding.device}${probed}`, {
    figures: { engine: finding.engine, device: finding.device, ...(probe && { probeError: probe.error }) },
  });
}

/** The data of a run, or without one Fashion-MNIST. `downBytesPerSecond`: from the coordinator, where it was measured. */
export async function examineData(
  dataset: MessageOf<'examined'>['dataset'] | undefined,
  dataDir: string | undefined,
  downBytesPerSecond: number | undefined,
  tell: Tell,
): Promise<void> {
  const { ok, warn, fail } = checksOf('machine', tell);
  const { name, sha256, totalBytes } = dataset ?? {
    name: 'Fashion-MNIST',
    sha256: FASHION_MNIST_SHA256,
    totalBytes: 0,
  };
  try {
    const files = sha256 === FASHION_MNIST_SHA256 ? await openDatasetFiles(datasetPlaces(dataDir)) : undefined;
    const found = files ?? (await openCached(sha256, () => {}));
    if (found) {
      found.bytes.close();
      ok('data', `${name} is on this machine, whole`);
      return;
    }
  } catch (error) {
    const [text, cure] = splitCure(error);
    fail('data', text, { cure });
    return;
  }
  if (!dataset) {
    const cure = '`gradsock data fetch` gets it; a worker without it is sent it by the coordinator, once';
    warn('data', `${name} is not on this machine`, { cure });
    return;
  }
  const size = formatBytes(totalBytes);
  if (downBytesPerSecond === undefined) {
    ok('data', `${name} is not here: the coordinator will send it once, ${size}`, { figures: { totalBytes } });
    return;
  }
  const seconds = totalBytes / downBytesPerSecond;
  const text = `${name} is not here: the coordinator will send it once, ${size} in ${formatDuration(seconds)}`;
  const rest = {
    figures: { totalBytes, transferSeconds: seconds },
    cure: 'bring it here another way: `gradsock data fetch`',
  };
  const pieceMs = (1000 * Math.min(totalBytes, LIMITS.datasetChunkBytes)) / downBytesPerSecond;
  if (pieceMs > LIMITS.prepareMs) fail('data', `${text}: too slow at ${formatRate(downBytesPerSecond)}`, rest);
  else if (seconds > LONG_TRANSFER_SECONDS) warn('data', text, rest);
  else ok('data', text, { figures: rest.figures });
}

/** Whether data can be kept, and how much room there is for it. Nothing is written. */
export async function examineCache(tell: Tell, folder = userCacheFolder()): Promise<void> {
  const { ok, warn, fail } = checksOf('machine', tell);
  if (folder === undefined) {
    warn('cache', 'this user has no home folder: nothing that is received is kept', {
      cure: 'set $HOME or $XDG_CACHE_HOME',
    });
    return;
  }
  // What is not there yet is made in the nearest folder that is.
  let there = folder;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  try {
    await access(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    const cure = 'make it writable, or set $XDG_CACHE_HOME to another folder: else data is received anew each time';
    warn('cache', `${folder} cannot be written (${describeError(error)})`, { cure });
    return;
  }
  const { bavail, bsize } = await statfs(there);
  const freeBytes = bavail * bsize;
  const room = freeBytes < 1e9 ? formatBytes(freeBytes) : `${(freeBytes / 1e9).toFixed(1)} GB`;
  const text = `${folder}, ${room} free`;
  const rest = { figures: { folder, freeBytes }, cure: 'make room on that disk, or set $XDG_CACHE_HOME to another' };
  if (freeBytes < NO_ROOM_BYTES) fail('cache', text, rest);
  else if (freeBytes < LITTLE_ROOM_BYTES) warn('cache', text, rest);
  else ok('cache', text, { figures: rest.figures });
}

/** The clock that times are measured by: Linux alone tells which one that is. */
export function examineClockSource(tell: Tell, path = CLOCK_SOURCE): void {
  const { ok, warn, skip } = checksOf('machine', tell);
  let source: string;
  try {
    source = readFileSync(path, 'utf8').trim();
  } catch {
    skip('clock source', 'this system does not tell it');
    return;
  }
  const figures = { clockSource: source };
  if (!SLOW_CLOCKS.includes(source)) ok('clock source', source, { figures });
  else
    warn('clock source', `${source}, which is slow to read`, {
      cure: 'boot with clocksource=tsc, where it is stable',
      figures,
    });
}

/** Whether another worker of a ring could be listened for, on `address`. Whether it gets through is not known. */
export async function examineRingPorts(address: string, ports: PortRange | undefined, tell: Tell): Promise<void> {
  const { ok, warn } = checksOf('machine', tell);
  try {
    const listener = await peerSockets(address, ports).listen((transport) => transport.close());
    const { port } = new URL(listener.url);
    listener.close();
    ok(
      'ring ports',
      ports
        ? `${port} of ${ports.first}-${ports.last} is free on ${address}; the other workers must reach it`
        : `any port of ${address}, which the other workers must reach; --peer-ports A-B chooses`,
    );
  } catch (error) {
    const [text, cure = 'without it the run takes the star'] = splitCure(error);
    warn('ring ports', text, { cure: `${cure}; without one the run takes the star` });
  }
}
