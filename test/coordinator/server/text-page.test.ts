/** Who may read a page of a run, over real sockets. */
import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { hostname } from 'node:os';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isOwnHost } from '../../../coordinator/server/origin.ts';
import { parsePublicUrl } from '../../../coordinator/server/public-url.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import { textPage } from '../../../coordinator/server/text-page.ts';
import type { TextPageOptions } from '../../../coordinator/server/text-page.ts';
import { viewKeyOf } from '../../../coordinator/server/view-access.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { createToken } from '../../../protocol/wire/authentication.ts';

const TOKEN = createToken();

/** A page "/metrics" of a server, and what a request for it is answered with. */
async function startPage(options: Partial<TextPageOptions> = {}) {
  const page = textPage({
    contentType: 'text/plain',
    text: () => Promise.resolve('grüße\n'),
    rule: 'anyone',
    keepMs: 0,
    ...options,
  });
  const address = { host: '127.0.0.1', port: 0 };
  const advertised = { host: 'trainer.example', port: 7878 };
  const publicUrl = parsePublicUrl('https://runs.example:8443/seven');
  const never = () => new Promise(() => {});
  const pages = new Map([['/metrics', page]]);
  const server = await startServer(address, () => ({}), never, { pages, advertised, publicUrl });
  onTestFinished(() => server.close());
  return (headers: Record<string, string> = {}, method = 'GET', path = '/metrics') =>
    new Promise<{ status: number; body: string; headers: Record<string, unknown> }>((resolve, reject) => {
      const asked = request({ port: server.port, host: '127.0.0.1', method, path, headers }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }));
      });
      asked.on('error', reject);
      asked.end();
    });
}

test('the view key is an HMAC of the token, and does not tell it', () => {
  const key = createHmac('sha256', 'secret').update('gradsock view').digest('hex');
  expect(viewKeyOf('secret')).toBe(key);
});

describe('a page on loopback', () => {
  test('answers GET and HEAD with the text, and other methods with 405', async () => {
    const ask = await startPage();
    expect(await ask()).toMatchObject({
      status: 200,
      body: 'grüße\n',
      headers: { 'content-type': 'text/plain', 'content-length': '8', 'cache-control': 'no-store' },
    });
    expect(await ask({}, 'GET', '/metrics?a=b')).toMatchObject({ status: 200 });
    expect(await ask({}, 'HEAD')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '8' } });
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      expect(await ask({}, method)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    }
    expect(await ask({}, 'GET', '/metric')).toMatchObject({ status: 404 });
  });

  test('answers to names of this machine, to the advertised one and that of the public URL, through a tunnel too', async () => {
    const ask = await startPage();
    for (const host of [
      'localhost',
      '127.0.0.1:1',
      '[::1]:9090',
      hostname(),
      'trainer.example',
      'TRAINER.example:80',
      'runs.example:8443',
      'RUNS.example',
    ]) {
      expect(await ask({ host }), host).toMatchObject({ status: 200 });
    }
  });

  test('refuses a name that somebody else may have pointed here', async () => {
    const ask = await startPage();
    const names = ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:7878', '203.0.113.9', 'a b'];
    for (const host of names) expect(await ask({ host }), host).toMatchObject({ status: 421 });
    expect(await ask({ host: 'a@localhost' })).toMatchObject({ status: 421 });
    for (const host of [undefined, '', '/', '[']) expect(isOwnHost(host, { listenHost: '127.0.0.1' })).toBe(false);
  });
});

describe('a page elsewhere', () => {
  const rule = { viewKey: viewKeyOf(TOKEN) };

  test('answers those alone who show the view key', async () => {
    const ask = await startPage({ rule });
    const bearing = (key: string, scheme = 'Bearer') => ask({ authorization: `${scheme} ${key}` });
    expect(await ask()).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer realm="gradsock view"' } });
    for (const key of ['', 'x', TOKEN, rule.viewKey.slice(1), `${rule.viewKey}0`, viewKeyOf(createToken())]) {
      const { status, body } = await bearing(key);
      expect(status).toBe(401);
      expect(body).not.toContain(rule.viewKey);
    }
    expect(await bearing(rule.viewKey, 'Basic')).toMatchObject({ status: 401 });
    expect(await bearing(rule.viewKey)).toMatchObject({ status: 200, body: 'grüße\n' });
  });

  test('does not tell whether a key is right to those who ask by another name', async () => {
    const ask = await startPage({ rule });
    const authorization = `Bearer ${rule.viewKey}`;
    expect(await ask({ authorization, host: 'evil.example' })).toMatchObject({ status: 421 });
  });
});

test('many requests at once cost one text', async () => {
  let count = 0;
  const ask = await startPage({ text: () => Promise.resolve(String(++count)), keepMs: 60_000 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
  expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['1']));
});

test('a page that cannot be made is answered with status 500, and the server goes on', async () => {
  const broken = () => {
    throw new ConfigError('page: no build');
  };
  const pages = new Map([['/', broken]]);
  const server = await startServer(
    { host: '127.0.0.1', port: 0 },
    () => ({}),
    () => {},
    { pages },
  );
  onTestFinished(() => server.close());
  const url = server.joinUrl.replace('ws', 'http');
  for (let i = 0; i < 2; i++) {
    const response = await fetch(`${url}/`);
    expect([response.status, await response.json()]).toEqual([500, { error: 'page: no build' }]);
  }
});
