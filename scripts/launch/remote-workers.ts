/** Workers on other hosts: started for a run, started again when they are lost, and gone with the run. */
import type { WorkerSource } from '../../coordinator/run-options.ts';
import { adviceOn } from '../../coordinator/reporting/cures.ts';
import { countOf } from '../../protocol/counts.ts';
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { HostGroup } from './hosts.ts';
import { createRetries } from './retries.ts';
import type { Session } from './session.ts';
import type { RemoteProgram } from './start-script.ts';
import { startWorkerLife } from './worker-session.ts';
import type { WorkerSetting } from './worker-session.ts';
import type { WorkerEnd } from './worker-end.ts';

/** Workers that were dismissed have this long, then their standard input ends, then their connection. */
const LEAVE_MS = 2000;
const END_MS = 6000;
/** Of each worker so many lines are kept over all its lives. */
const MOST_LAST_LINES = 10;

/** How the program's last line begins when it fails. */
const LAST_WORDS = /^error: /;

export interface RemoteWorkersOptions {
  readonly groups: readonly HostGroup[];
  readonly setting: WorkerSetting;
  /** How the program is started on a host, or why it cannot be; may take long the first time. */
  readonly programOn: (group: HostGroup, signal: AbortSignal) => Promise<ReadyProgram>;
  /** How many of the workers the run cannot begin without. */
  readonly numNeeded: number;
  readonly stepTimeoutMs: number;
  /** How long a host that was lost is waited for. */
  readonly patienceMs: number;
  readonly log: (line: string) => void;
  /** The run cannot go on with the workers that are left: told the first failure. */
  readonly onFailure: (error: Error) => void;
}

export type ReadyProgram = { readonly program: RemoteProgram } | { readonly end: WorkerEnd };

export interface RemoteWorkers extends WorkerSource {
  /** The run has begun: from now on it goes on with any worker that is left. */
  hasBegun(): void;
  /** What was said last in the group of the worker of this name, or in the group of this name. */
  lastLinesOf(worker: string): readonly string[];
}

export function startRemoteWorkers(options: RemoteWorkersOptions): RemoteWorkers {
  const { groups, setting, programOn, numNeeded, stepTimeoutMs, patienceMs, log, onFailure } = options;
  const stopping = new AbortController();
  const isStopping = () => stopping.signal.aborted;
  const sessions = new Map<string, Session>();
  const lastLines = new Map<string, string[]>();
  const said = new Set<string>();
  let begun = false;
  const givenUp = new Set<string>();
  let first: Error | undefined;

  /** What the workers of a host have in common to say, such as its engines, is said once. */
  const say = (group: HostGroup, line: string) => {
    // How the run ended, the launcher says itself.
    if (isStopping()) return;
    // A group names its workers itself.
    const text = line.startsWith(`${group.name}-`) ? line : `${group.label}: ${line}`;
    if (!said.has(text)) log(text);
    said.add(text);
  };
  const keep = (name: string, line: string) => {
    const text = line.replace(LAST_WORDS, '');
    const others = (lastLines.get(name) ?? []).filter((other) => other !== text);
    lastLines.set(name, [...others, text].slice(-MOST_LAST_LINES));
  };
  const giveUp = (group: HostGroup, error: Error) => {
    first ??= error;
    givenUp.add(group.name);
    const numLeft = groups.reduce((sum, { name, numWorkers }) => sum + (givenUp.has(name) ? 0 : numWorkers), 0);
    if (numLeft < (begun ? 1 : numNeeded)) onFailure(first);
    else log(`${error.message}; the run goes on with ${countOf(numLeft, 'worker')}`);
  };
  /** One life of a worker, from the connection to its end. */
  const live = async (group: HostGroup): Promise<WorkerEnd & { readonly lifeMs: number }> => {
    const ready = await programOn(group, stopping.signal);
    if ('end' in ready) return { ...ready.end, lifeMs: 0 };
    stopping.signal.throwIfAborted();
    const life = startWorkerLife(group, ready.program, setting, (line) => {
      keep(group.name, line);
      // Its last words are told by how it ended.
      if (!LAST_WORDS.test(line)) say(group, line);
    });
    sessions.set(group.name, life.session);
    return life.ended.finally(() => sessions.delete(group.name));
  };
  const keepWorking = async (group: HostGroup) => {
    const retries = createRetries({ stepTimeoutMs, patienceMs });
    for (;;) {
      const { kind, error, lifeMs } = await live(group);
      if (isStopping() || kind === 'done') return;
      const verdict = retries.ended(kind, performance.now(), lifeMs);
      if ('givenUp' in verdict) {
        giveUp(group, kind === 'hopeless' ? error : afterRetries(group, verdict.givenUp, error));
        return;
      }
      log(`${error.message}; it is started again${verdict.pauseMs > 0 ? ` in ${verdict.pauseMs / 1000} s` : ''}`);
      await pause(verdict.pauseMs, stopping.signal);
      if (isStopping()) return;
    }
  };
  const working = groups.map((group) =>
    keepWorking(group).catch((error: unknown) => {
      if (!isStopping()) giveUp(group, error instanceof Error ? error : new Error(describeError(error)));
    }),
  );
  return {
    hasBegun: () => void (begun = true),
    lastLinesOf: (worker) => lastLines.get(worker) ?? lastLines.get(worker.replace(/-\d+$/, '')) ?? [],
    async stop() {
      stopping.abort(new Error('the run is over'));
      const timers = [
        setTimeout(() => sessions.forEach((session) => session.endInput()), LEAVE_MS),
        setTimeout(() => sessions.forEach((session) => session.kill()), END_MS),
      ];
      await Promise.all(working);
      timers.forEach(clearTimeout);
    },
  };
}

function afterRetries({ name }: HostGroup, verdict: string, error: ProtocolError): ProtocolError {
  const advice = adviceOn(error.message);
  const whole = `${name} ${verdict}, and is not started again; the last time: ${error.message}`;
  return new ProtocolError('ERR_PEER_LOST', advice === undefined ? whole : `${whole}: ${advice}`, { worker: name });
}

/** Ends early when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}
