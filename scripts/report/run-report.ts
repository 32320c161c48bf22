/**
 * RunReport: hears of a run's end, and then writes what can be read of it afterwards: `report.html`, `curves.svg` and
 * `curves.png`. The run has its result by then; whatever goes wrong here is a warning.
 */
import { describeError, printableLines } from '../../protocol/errors.ts';
import type { Reporter } from '../../coordinator/reporting/reporter.ts';
import type { HeldData } from './held-data.ts';

export interface RunReportOptions {
  readonly data: HeldData;
  readonly warn: (line: string) => void;
}

export function createRunReport({ data, warn }: RunReportOptions): Reporter {
  let folder: string | undefined;
  data.hold();
  return {
    onEnd(result, runDir) {
      // Without a step there is nothing to show.
      if (result.steps > 0) folder = runDir;
    },
    async close() {
      try {
        // Loaded once there is something to write: the program starts without it.
        if (folder !== undefined)
          await (await import('./write-report.ts')).writeRunReport(folder, { dataset: data.opened() });
      } catch (error) {
        warn(`warning: no report was written: ${printableLines(describeError(error))}`);
      } finally {
        data.release();
      }
    },
  };
}
