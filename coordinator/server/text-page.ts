/** Text page: a page that is made anew as it is asked for, by those who may look at the run. */
import type { Page } from './server.ts';
import { refuseView } from './view-access.ts';
import type { ViewRule } from './view-access.ts';

export interface TextPageOptions {
  readonly contentType: string;
  readonly text: () => Promise<string>;
  readonly rule: ViewRule;
  /** Milliseconds for which a text serves all requests: many of them cost no more than one. Default: 100. */
  readonly keepMs?: number;
}

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

export function textPage({ contentType, text, rule, keepMs = 100 }: TextPageOptions): Page {
  let kept: { readonly untilMs: number; readonly text: Promise<string> } | undefined;
  const currentText = () => {
    const nowMs = performance.now();
    if (!kept || nowMs >= kept.untilMs) kept = { untilMs: nowMs + keepMs, text: text() };
    return kept.text;
  };

  return (request, response, own) => {
    const refusal = refuseView(request, own, rule);
    if (refusal) {
      const { status, headers, reason } = refusal;
      response.writeHead(status, { ...HEADERS, ...headers, 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ error: reason })}\n`);
      return;
    }
    void currentText().then(
      (body) => {
        const length = Buffer.byteLength(body);
        response.writeHead(200, { ...HEADERS, 'content-type': contentType, 'content-length': length });
        response.end(request.method === 'HEAD' ? undefined : body);
      },
      () => response.destroy(),
    );
  };
}
