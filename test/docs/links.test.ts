/** Every relative link in the documents leads somewhere, its anchor included. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = ['docs', 'protocol', 'coordinator', 'worker', 'scripts', 'test'];

const isPage = (path: string): boolean => path.endsWith('.md');
const pages = [
  ...readdirSync(ROOT).filter(isPage),
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(isPage)
      .map((path) => join(folder, path)),
  ),
];

const withoutCode = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '');

/** The name that a heading has in links, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

/** A name that comes again has a number after it. */
const anchorsOf = (text: string): readonly string[] => {
  const names = [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!));
  return names.map((name, i) => {
    const numBefore = names.slice(0, i).filter((other) => other === name).length;
    return numBefore === 0 ? name : `${name}-${numBefore}`;
  });
};

/** Links and pictures: in brackets, defined apart, and those of HTML. */
const linksOf = (text: string): readonly string[] =>
  [
    ...withoutCode(text).matchAll(
      /\]\(([^)\s]+)(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s*(\S+)|<[^>]*\b(?:href|src)="([^"]+)"/gm,
    ),
  ].map(([, inline, defined, html]) => (inline ?? defined ?? html)!);

describe('links', () => {
  test('are looked for in the pages that there are', () => {
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/README.md', 'protocol/README.md']));
  });

  test('have the anchors that GitHub makes', () => {
    expect(anchorOf('Who is `late`, and why?')).toBe('who-is-late-and-why');
    expect(anchorsOf('# One\n\n## A [link](x.md)\n\n## One\n\n```\n# none\n```\n')).toEqual(['one', 'a-link', 'one-1']);
  });

  test('are found in brackets, in definitions and in HTML', () => {
    const text = '[a](x.md#b) ![p](y.svg "Title")\n\n[c]: z.md\n\n<img src="w.svg">\n\n```\n[no](n.md)\n```\n';
    expect(linksOf(text)).toEqual(['x.md#b', 'y.svg', 'z.md', 'w.svg']);
  });

  test.each(pages)('of %s lead somewhere', (page) => {
    const broken: string[] = [];
    for (const link of linksOf(readFileSync(join(ROOT, page), 'utf8'))) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split('#') as [string, string?];
      const target = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path);
      const isFound =
        existsSync(target) &&
        !relative(ROOT, target).startsWith('..') &&
        (anchor === undefined ||
          (statSync(target).isFile() && anchorsOf(readFileSync(target, 'utf8')).includes(anchor)));
      if (!isFound) broken.push(link);
    }
    expect(broken).toEqual([]);
  });
});
