/** HtmlPage: a page of the program's own, which is the same for everybody: what it shows, it asks for by its WebSocket. */
import { gzipSync } from 'node:zlib';
import type { Page } from '../server/server.ts';
import { refuseView } from '../server/view-access.ts';
import { contentSecurityPolicy, pageHtml } from './html.ts';
import type { PageParts } from './html.ts';

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // A connection that stays open would count as a stranger's.
  connection: 'close',
};

/** Made when it is asked for first. It needs no view key: it holds nothing of the run. */
export function htmlPage(parts: PageParts): Page {
  let made: { readonly policy: string; readonly plain: Buffer; readonly zipped: Buffer } | undefined;
  const make = () => {
    const plain = Buffer.from(pageHtml(parts));
    return { policy: contentSecurityPolicy(), plain, zipped: gzipSync(plain) };
  };

  return (request, response, own) => {
    const refusal = refuseView(request, own, 'anyone');
    if (refusal) {
      response.writeHead(refusal.status, { ...HEADERS, ...refusal.headers, 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ error: refusal.reason })}\n`);
      return;
    }
    made ??= make();
    const isZipped = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    const body = isZipped ? made.zipped : made.plain;
    response.writeHead(200, {
      ...HEADERS,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': made.policy,
      'content-length': body.length,
      ...(isZipped && { 'content-encoding': 'gzip' }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
}
