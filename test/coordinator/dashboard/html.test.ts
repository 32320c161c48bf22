import { createHash } from 'node:crypto';
import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { contentSecurityPolicy, pageHtml } from '../../../coordinator/dashboard/html.ts';

const ASSETS = { script: 'start()', style: 'p{color:red}' };
const HOSTILE = '</script><script>alert(1)</script><!-- "&\u2028';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64');

describe('the page as one HTML file', () => {
  test('holds its data as it was given, whatever is in it', () => {
    const html = pageHtml({ title: HOSTILE, data: { name: HOSTILE } }, ASSETS);
    const { document } = parseHTML(html);
    expect(document.querySelectorAll('script')).toHaveLength(2);
    expect(JSON.parse(document.getElementById('gradsock-data')!.textContent)).toEqual({ name: HOSTILE });
    expect(document.querySelector('title')!.textContent).toBe(HOSTILE);
    expect(html.match(/<!--/g)).toBeNull();
  });

  test('holds what is shown before the script, and the script and styles themselves', () => {
    const { document } = parseHTML(pageHtml({ title: 'run', body: '<h1>run</h1>' }, ASSETS));
    expect(document.querySelector('#root > h1')!.textContent).toBe('run');
    expect(document.getElementById('gradsock-data')!.textContent).toBe('null');
    expect(document.querySelector('script:not([type])')!.textContent).toBe(ASSETS.script);
    expect(document.querySelector('style')!.textContent).toBe(ASSETS.style);
  });

  test('has a policy that allows its own script and styles by their hashes, and nothing from elsewhere', () => {
    const policy = contentSecurityPolicy(ASSETS).split('; ');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`script-src 'sha256-${sha256(ASSETS.script)}'`);
    expect(policy).toContain(`style-src 'sha256-${sha256(ASSETS.style)}'`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy.join()).not.toMatch(/unsafe|https?:|\*/);
  });
});
