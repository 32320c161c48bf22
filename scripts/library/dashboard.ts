/** The dashboard of a run of the library: its page on the run's port, and the link to it. */
import { cpus, release, type } from 'node:os';
import { basename } from 'node:path';
import type { Reporter } from '../../coordinator/reporting/reporter.ts';
import { createRunControl } from '../../coordinator/run-control.ts';
import type { RunControl } from '../../coordinator/run-control.ts';
import type { RunOptions, SummonContext } from '../../coordinator/run-options.ts';
import type { OnPageSocket, Page } from '../../coordinator/server/server.ts';
import type { ViewRule } from '../../coordinator/server/view-access.ts';
import { packageVersion } from '../process.ts';

export interface RunDashboard {
  readonly subscriber: Reporter;
  readonly control: RunControl;
  /** What the server is to serve besides. */
  readonly pages: ReadonlyMap<string, Page>;
  readonly pageSockets: ReadonlyMap<string, OnPageSocket>;
  /** The run has its directory and its data. */
  begin(context: Pick<SummonContext, 'runDir' | 'samples'>): Promise<void>;
  /** Sends pages what has changed last, and lets them go. */
  close(): void;
}

export interface RunDashboardOptions extends Pick<RunOptions, 'config' | 'resumed'> {
  readonly rule: ViewRule;
  readonly token: string | undefined;
  /** The command line that began the run, where one did. */
  readonly command: string | undefined;
}

/** Its modules are loaded here: a run without a dashboard starts sooner. */
export async function openRunDashboard(options: RunDashboardOptions): Promise<RunDashboard> {
  const { createDashboard } = await import('../../coordinator/dashboard/dashboard.ts');
  const { tellRecords } = await import('../../coordinator/dashboard/view-of-folder.ts');
  const { createSampleImages } = await import('../../coordinator/dashboard/sample-images.ts');
  const { config, rule, token, command, resumed } = options;
  const control = createRunControl();
  const facts = {
    name: config.model.name,
    startedAt: resumed?.startedAt ?? new Date().toISOString(),
    ...(command !== undefined && { command: `gradsock ${command}` }),
    environment: environment(),
  };
  const dashboard = createDashboard({ facts, rule, token, control });
  return {
    subscriber: dashboard.reporter,
    control,
    pages: dashboard.pages,
    pageSockets: dashboard.pageSockets,
    async begin({ runDir, samples }) {
      dashboard.builder.configure(config, runDir === undefined ? {} : { name: basename(runDir) });
      // What a resumed run has done before. Its folder is cut back to the checkpoint by now.
      if (resumed && runDir !== undefined) await tellRecords(runDir, dashboard.builder);
      dashboard.showImages(createSampleImages(samples.evaluation, config.model.input));
    },
    close: () => dashboard.close(),
  };
}

/** Where people find the page: by the public URL, else beside the workers' URL, "ws://127.0.0.1:7878". */
export const pageUrlOf = (joinUrl: string, publicUrl?: { readonly href: string }): string =>
  publicUrl?.href ?? `${joinUrl.replace(/^ws/, 'http')}/`;

function environment(): Readonly<Record<string, string>> {
  const [first] = cpus();
  return {
    gradsock: packageVersion(),
    'Node.js': process.version,
    system: `${type()} ${release()} ${process.arch}`,
    processor: `${first?.model.trim() ?? 'unknown'}, ${cpus().length} logical cores`,
  };
}
