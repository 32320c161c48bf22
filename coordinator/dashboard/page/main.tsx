/** What runs in the browser: reads what the page is given, and starts that kind of page. `npm run build` bundles it. */
import { startLive } from './live/start.tsx';
import { restoreTheme } from './live/theme.ts';
import { DATA_ELEMENT, ROOT_ELEMENT } from './page-data.ts';
import type { LivePageData } from './page-data.ts';

restoreTheme();
const data = JSON.parse(document.getElementById(DATA_ELEMENT)?.textContent ?? '{}') as Partial<LivePageData>;
const root = document.getElementById(ROOT_ELEMENT);
if (root && data.mode === 'live') startLive({ ...data, mode: 'live' }, root);
