/** What runs in the browser: reads what the page is given, and starts that kind of page. `npm run build` bundles it. */
import { startReport } from './live/start-report.tsx';
import { startRuns } from './live/start-runs.tsx';
import { startLive } from './live/start.tsx';
import { restoreTheme } from './live/theme.ts';
import { DATA_ELEMENT, ROOT_ELEMENT } from './page-data.ts';
import type { LivePageData, ReportPageData, RunsPageData } from './page-data.ts';

restoreTheme();
const text = document.getElementById(DATA_ELEMENT)?.textContent ?? 'null';
const data = JSON.parse(text) as LivePageData | RunsPageData | ReportPageData | null;
const root = document.getElementById(ROOT_ELEMENT);
if (root && data) {
  switch (data.mode) {
    case 'live':
      startLive(data, root);
      break;
    case 'runs':
    case 'compare':
      startRuns(data, root);
      break;
    case 'report':
    case 'comparison':
      startReport(data, root);
  }
}
