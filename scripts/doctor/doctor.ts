/** The doctor: one check after the other, each with a deadline, and those that depend on one that failed are not made. */
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import type { Lookup } from '../../worker/connection/host-addresses.ts';
import { urlsOf } from '../../worker/connection/join-target.ts';
import type { TargetSource } from '../../worker/connection/join-target.ts';
import type { PortRange } from '../../worker/connection/peer-server.ts';
import type { TlsTrust } from '../../worker/connection/tls.ts';
import { NotYet } from '../../worker/connection/waiting.ts';
import { surveyOne } from '../survey/survey.ts';
import { checksOf } from './check.ts';
import type { Check } from './check.ts';
import { examineCache, examineClockSource, examineData, examineEngine, examineRingPorts } from './examine-machine.ts';
import type { EngineChoice } from './examine-machine.ts';
import { examineRun } from './examine-run.ts';
import type { ExaminedRun } from './examine-run.ts';
import { examineServer, findWay } from './examine-way.ts';

export interface DoctorOptions extends EngineChoice {
  /** The coordinator to go to; undefined: this machine alone is examined. */
  readonly target: TargetSource | undefined;
  /** Which certificate to accept at a URL. Throws `ConfigError` for a wrong URL. */
  readonly tlsOf: (url: string) => TlsTrust | undefined;
  readonly dataDir: string | undefined;
  readonly peerPorts: PortRange | undefined;
  readonly signal: AbortSignal;
  readonly onCheck: (check: Check) => void;
  /** Told what is about to be checked. */
  readonly onBegin?: (what: string) => void;
  /** Replaced by tests. Defaults: those of this machine. */
  readonly lookup?: Lookup;
  readonly now?: () => number;
  readonly survey?: typeof surveyOne;
  readonly cacheFolder?: string;
}

/** Makes all checks; returns them, and the URLs that were examined. */
export async function examine(options: DoctorOptions): Promise<{ checks: readonly Check[]; urls: readonly string[] }> {
  const { onCheck, onBegin = () => {} } = options;
  const checks: Check[] = [];
  const tell = (check: Check) => {
    checks.push(check);
    onCheck(check);
  };
  const urls: string[] = [];
  const run = options.target && (await examineCoordinator(options.target, options, { tell, urls }));

  onBegin('the engine');
  const model: ModelSpec = run?.facts.model ?? MODELS['conv-pool'];
  await examineEngine(options, model, options.survey ?? surveyOne, tell);
  onBegin('the data');
  await examineData(run?.facts.dataset, options.dataDir, run?.downBytesPerSecond, tell);
  await examineCache(tell, options.cacheFolder);
  examineClockSource(tell);
  const { peerPorts } = options;
  if (run?.facts.mayBeRing || (!run && peerPorts)) {
    await examineRingPorts(run?.localAddress ?? '0.0.0.0', peerPorts, tell);
  }
  return { checks, urls };
}

/** The way to it, and its run. Undefined where the run could not be asked. */
async function examineCoordinator(
  target: TargetSource,
  options: DoctorOptions,
  { tell, urls }: { readonly tell: (check: Check) => void; readonly urls: string[] },
): Promise<ExaminedRun | undefined> {
  const { signal, tlsOf, lookup, now = Date.now, onBegin = () => {} } = options;
  const { fail } = checksOf('way', tell);
  const giveUp = (why: string) => {
    checksOf('run', tell).skip('run', `not asked, for ${why}: token, versions and link are not checked`);
  };
  let joined;
  try {
    joined = target.read();
  } catch (error) {
    if (!(error instanceof NotYet)) throw error;
    fail('join file', `${error.awaited}: ${error.message}`, { cure: error.cure });
    giveUp('no URL is known');
    return undefined;
  }
  urls.push(...urlsOf(joined));
  const trusts = new Map(urls.map((url) => [url, tlsOf(url)]));
  onBegin(`the way to ${urls.join(' or ')}`);
  const way = { tell, signal, lookup, now };
  const found = await findWay(urls, way);
  if (!found) {
    giveUp('no address of the coordinator answers');
    return undefined;
  }
  const trust = trusts.get(found.url);
  if (!(await examineServer(found, trust, way))) {
    giveUp('the server could not be used');
    return undefined;
  }
  onBegin('the run and the link to it');
  return examineRun(found, { token: joined.token, trust, signal, tell });
}
