/**
 * The page as one HTML file: its script, its styles and its data are in it, and nothing is loaded from anywhere. `npm run
 * build` makes script and styles, in `dist/assets`.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { DATA_ELEMENT, ROOT_ELEMENT } from './page/page-data.ts';

export interface PageParts {
  /** Plain text. */
  readonly title: string;
  /** What the script is given: anything that JSON holds. `{ mode: 'live' }` shows a run as it goes. */
  readonly data?: unknown;
  /** HTML that is shown until the script takes over, or for good. It is not escaped. */
  readonly body?: string;
}

/** Script and styles, as they stand in the page: a browser compares the hashes of these texts. */
export interface PageAssets {
  readonly script: string;
  readonly style: string;
}

let built: PageAssets | undefined;

/** The built ones, read once. Throws `ConfigError` where there was no build. */
function pageAssets(): PageAssets {
  if (!built) {
    const folder = join(findPackageRoot(dirname(fileURLToPath(import.meta.url))), 'dist/assets');
    try {
      built = {
        script: inScript(readFileSync(join(folder, 'dashboard.js'), 'utf8')),
        style: readFileSync(join(folder, 'dashboard.css'), 'utf8'),
      };
    } catch (error) {
      throw new ConfigError(
        `the page's script and styles cannot be read in ${folder}: ${describeError(error)}; make them by npm run build`,
      );
    }
  }
  return built;
}

/** The whole file. */
export function pageHtml({ title, data, body = '' }: PageParts, assets = pageAssets()): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="${ICON}">
<title>${escapeHtml(title)}</title>
<style>${assets.style}</style>
</head>
<body>
<div id="${ROOT_ELEMENT}">${body}</div>
<script type="application/json" id="${DATA_ELEMENT}">${inData(data)}</script>
<script>${assets.script}</script>
</body>
</html>
`;
}

/**
 * The value of the header `Content-Security-Policy` for these pages: of scripts and styles the page's own alone, connections to
 * its own server alone, no frame around it.
 */
export function contentSecurityPolicy(assets = pageAssets()): string {
  return [
    "default-src 'none'",
    `script-src '${sha256(assets.script)}'`,
    `style-src '${sha256(assets.style)}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Three nodes that are joined: a data URL, as nothing else may be loaded. */
const ICON =
  'data:image/svg+xml,' +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M8 3 3 12h10z" fill="none" stroke="#2368b0" stroke-width="1.5"/>' +
      '<g fill="#2368b0"><circle cx="8" cy="3" r="2.5"/><circle cx="3" cy="12.5" r="2.5"/><circle cx="13" cy="12.5" r="2.5"/></g></svg>',
  );

const sha256 = (text: string): string => `sha256-${createHash('sha256').update(text).digest('base64')}`;

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** JSON in which nothing ends the element, or begins a comment in it. */
const inData = (data: unknown): string => JSON.stringify(data ?? null).replace(/</g, '\\u003c');

/** A script that can stand in an element: what would end that, or begin a comment in it, occurs in texts alone, escaped. */
const inScript = (script: string): string => script.replace(/<(?=\/script|!--)/gi, '<\\');

function findPackageRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  return parent === directory ? process.cwd() : findPackageRoot(parent);
}
