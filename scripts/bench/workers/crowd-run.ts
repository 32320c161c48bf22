/** One run with many workers, which a few processes hold. Its deaths, where it has some, are of whole processes. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtFile } from '../../network/built-file.ts';
import { quantile } from '../../tables/statistics.ts';
import type { CoordinatorOrder, CoordinatorReport, StepCost, WorkersOrder, WorkersUsage } from './messages.ts';

export interface CrowdOptions {
  readonly numWorkers: number;
  readonly model: string;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly samplesPerWorker: number;
  readonly allReduce: CoordinatorOrder['allReduce'];
  /** Whether a tenth of the workers is killed at a third of the steps, and started again at half of them. */
  readonly hasDeaths: boolean;
  /** Flags for the coordinator's Node.js, such as those of a profile. */
  readonly nodeFlags: readonly string[];
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface CrowdFigures {
  readonly status: string;
  readonly parametersSha256: string;
  /** From the coordinator's listening to the first step. */
  readonly joinSeconds: number;
  /** Medians over the later half of the steps; of the coordinator's process. */
  readonly step: StepCost;
  readonly longestStepMs: number;
  readonly peakMegabytes: number;
  /** Of all workers together: a step's processor time, and memory. */
  readonly workersCpuMs: number;
  readonly workersMegabytes: number;
  /** Workers that were lost and that were late, by the lines of the run. */
  readonly numLost: number;
  readonly numLate: number;
  /** How often a worker that was lost or late took part again. */
  readonly numReturned: number;
}

/** Carries it out, and leaves no process and no file behind. Rejects when a process fails, or with the signal's reason. */
export async function runCrowd(options: CrowdOptions): Promise<CrowdFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-crowd-'));
  const children = new Set<ChildProcess>();
  const stop = () => children.forEach((child) => child.kill('SIGKILL'));
  options.signal.addEventListener('abort', stop);
  try {
    return await new Crowd(options, join(folder, 'run'), children).run();
  } finally {
    options.signal.removeEventListener('abort', stop);
    stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Crowd {
  readonly #options: CrowdOptions;
  readonly #runDir: string;
  readonly #children: Set<ChildProcess>;
  readonly #steps: StepCost[] = [];
  readonly #groups: string[][];
  readonly #processes: ChildProcess[] = [];
  #joinUrl = '';
  #joinSeconds = 0;
  #numLost = 0;
  #numLate = 0;
  #numReturned = 0;
  #usageBefore: WorkersUsage | undefined;
  #usageAfter: WorkersUsage | undefined;

  constructor(options: CrowdOptions, runDir: string, children: Set<ChildProcess>) {
    this.#options = options;
    this.#runDir = runDir;
    this.#children = children;
    this.#groups = groupsOf(options.numWorkers);
  }

  run(): Promise<CrowdFigures> {
    const { numWorkers, model, steps, stepsPerEpoch, samplesPerWorker, allReduce, signal, nodeFlags } = this.#options;
    const order = { numWorkers, model, steps, stepsPerEpoch, samplesPerWorker, allReduce, runDir: this.#runDir };
    return new Promise((resolve, reject) => {
      const coordinator = this.#fork('coordinator-process', order, nodeFlags);
      let figures: CrowdFigures | undefined;
      coordinator.on('message', (report: CoordinatorReport) => {
        if (report.kind === 'ended') figures = this.#figures(report);
        else this.#hear(report).catch(reject);
      });
      // A profile is written as the process ends.
      coordinator.on('close', (code) => {
        if (figures) resolve(figures);
        else reject(new Error(`the coordinator ended with ${code}`));
      });
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      if (signal.aborted) reject(signal.reason as Error);
    });
  }

  async #hear(report: Exclude<CoordinatorReport, { kind: 'ended' }>): Promise<void> {
    switch (report.kind) {
      case 'listening':
        this.#joinUrl = report.joinUrl;
        for (const index of this.#groups.keys()) this.#startGroup(index);
        return;
      case 'started':
        this.#joinSeconds = report.joinSeconds;
        return;
      case 'line':
        if (report.text.startsWith('lost ')) this.#numLost++;
        if (/ is late /.test(report.text)) this.#numLate++;
        if (/ takes part from step /.test(report.text)) this.#numReturned++;
        this.#options.log(report.text);
        return;
      case 'step':
        await this.#stepDone(report.step, report);
        return;
    }
  }

  async #stepDone(step: number, { wallMs, cpuMs, busyMs }: StepCost): Promise<void> {
    const { steps, hasDeaths } = this.#options;
    this.#steps.push({ wallMs, cpuMs, busyMs });
    if (hasDeaths && step === Math.floor(steps / 3)) this.#processes[0]!.kill('SIGKILL');
    if (hasDeaths && step === Math.floor(steps / 2)) this.#startGroup(0);
    if (step === Math.floor(steps / 2)) this.#usageBefore = await this.#usage();
    if (step === steps - 1) this.#usageAfter = await this.#usage();
  }

  #figures(ended: Extract<CoordinatorReport, { kind: 'ended' }>): CrowdFigures {
    const { steps } = this.#options;
    const later = this.#steps.slice(Math.floor(steps / 2));
    const median = (of: (cost: StepCost) => number) => quantile(later.map(of), 0.5);
    const [before, after] = [this.#usageBefore, this.#usageAfter];
    const { status, parametersSha256, peakMegabytes } = ended;
    return {
      ...{ status, parametersSha256, peakMegabytes, joinSeconds: this.#joinSeconds },
      step: {
        wallMs: median(({ wallMs }) => wallMs),
        cpuMs: median(({ cpuMs }) => cpuMs),
        busyMs: median(({ busyMs }) => busyMs),
      },
      longestStepMs: Math.max(...this.#steps.map(({ wallMs }) => wallMs)),
      workersCpuMs: ((after?.cpuMs ?? NaN) - (before?.cpuMs ?? NaN)) / (steps - 1 - Math.floor(steps / 2)),
      workersMegabytes: after?.megabytes ?? NaN,
      ...{ numLost: this.#numLost, numLate: this.#numLate, numReturned: this.#numReturned },
    };
  }

  #startGroup(index: number): void {
    const order: WorkersOrder = { joinUrl: this.#joinUrl, names: this.#groups[index]! };
    this.#processes[index] = this.#fork('workers-process', order);
  }

  /** Of all processes that hold workers; one that is gone by now had no more to say. */
  async #usage(): Promise<WorkersUsage> {
    const all = await Promise.all(
      this.#processes.map(async (child) => {
        if (!child.connected) return { cpuMs: 0, megabytes: 0 };
        const answer = new Promise<WorkersUsage>((resolve) => {
          child.once('message', resolve);
          child.once('close', () => resolve({ cpuMs: 0, megabytes: 0 }));
        });
        child.send('usage', () => {});
        return answer;
      }),
    );
    const sum = (of: (usage: WorkersUsage) => number) => all.reduce((total, usage) => total + of(usage), 0);
    return { cpuMs: sum(({ cpuMs }) => cpuMs), megabytes: sum(({ megabytes }) => megabytes) };
  }

  #fork(name: string, order: object, execArgv: readonly string[] = []): ChildProcess {
    const child = fork(builtFile(`bench/workers/${name}.js`), {
      execArgv: [...execArgv],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    child.send(order);
    return child;
  }
}

/** Names of the workers of each process: a tenth of all in the first, which may be killed, the others one process a core. */
function groupsOf(numWorkers: number): string[][] {
  const names = Array.from({ length: numWorkers }, (_, i) => `worker-${i + 1}`);
  const numFirst = Math.max(1, Math.round(numWorkers / 10));
  const others = names.slice(numFirst);
  const numProcesses = availableParallelism();
  const groups = Array.from({ length: numProcesses }, (_, at) => others.filter((__, i) => i % numProcesses === at));
  return [names.slice(0, numFirst), ...groups];
}
