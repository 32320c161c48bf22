/**
 * What this machine can compute with: every engine on every device, probed and timed. Each has a process of its own, one
 * after the other, with a deadline: a library that crashes or hangs costs its own row.
 */
import { fork } from 'node:child_process';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ENGINE_NAMES, ENGINES } from '../../worker/engines/registry.ts';
import type { EngineEntry } from '../../worker/engines/registry.ts';
import type { Finding, SurveyJob } from './survey-process.ts';

/** From the start of the process, or from one finding, to the next: a GPU's libraries compile kernels when started. */
const FINDING_DEADLINE_MS = 90_000;

/** Beside this file, in the sources or in dist/. */
const PROGRAM = fileURLToPath(new URL(`./survey-process${extname(import.meta.url)}`, import.meta.url));

/** An engine on a device. */
export interface SurveyRow {
  readonly engine: string;
  /** As `--device` names it. */
  readonly device: string;
  /** One for each model, in their order. */
  readonly findings: readonly Finding[];
}

/** Surveys every engine and device of the registry. `onRow` is told of each before it is tried. */
export async function surveyEngines(
  job: Omit<SurveyJob, 'engine' | 'device'>,
  onRow: (engine: string, device: string) => void,
): Promise<SurveyRow[]> {
  const rows: SurveyRow[] = [];
  for (const engine of ENGINE_NAMES) {
    const { devices }: EngineEntry = ENGINES[engine];
    for (const device of devices) {
      onRow(engine, device);
      rows.push({ engine, device, findings: await surveyOne({ ...job, engine, device }) });
    }
  }
  return rows;
}

/** Findings for all models of the job: what ends the process is the finding for the model that it was at. */
export async function surveyOne(
  job: SurveyJob,
  { program = PROGRAM, deadlineMs = FINDING_DEADLINE_MS } = {},
): Promise<Finding[]> {
  const findings: Finding[] = [];
  while (findings.length < job.models.length) {
    const models = job.models.slice(findings.length);
    const end = await runProcess({ ...job, models }, { program, deadlineMs }, (finding) => findings.push(finding));
    const model = job.models[findings.length];
    if (model) findings.push({ model: model.name, isUsable: false, reason: end });
  }
  return findings;
}

/** Resolves when the process is gone, with how it ended. */
function runProcess(
  job: SurveyJob,
  { program, deadlineMs }: { program: string; deadlineMs: number },
  onFinding: (finding: Finding) => void,
): Promise<string> {
  return new Promise((resolve) => {
    const child = fork(program, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let lastWords = '';
    createInterface({ input: child.stderr! }).on('line', (line) => (lastWords = line));
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, deadlineMs);
    const end = (how: string) => {
      clearTimeout(deadline);
      resolve(lastWords === '' ? how : `${how}: ${lastWords}`);
    };
    child.on('message', (finding: Finding) => {
      deadline.refresh();
      onFinding(finding);
    });
    child.on('error', (error) => end(`its process failed: ${error.message}`));
    child.on('close', (code, signal) => {
      if (isLate) end(`its process gave no answer within ${deadlineMs / 1000} s and was ended`);
      else end(signal ? `its process was ended by ${signal}` : `its process exited with code ${code ?? 'none'}`);
    });
    child.send(job, () => {});
  });
}
