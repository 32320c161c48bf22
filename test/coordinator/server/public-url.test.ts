import { describe, expect, test } from 'vitest';
import { isOwnHost, isOwnOrigin } from '../../../coordinator/server/origin.ts';
import { parsePublicUrl } from '../../../coordinator/server/public-url.ts';
import { needsViewKey } from '../../../coordinator/server/view-access.ts';
import { ConfigError } from '../../../protocol/errors.ts';

describe('--public-url', () => {
  test.each([
    ['http://localhost:8080', 'http://localhost:8080/', 'http://localhost:8080', 'localhost'],
    ['https://Trainer.Example/', 'https://trainer.example/', 'https://trainer.example', 'trainer.example'],
    [
      'https://trainer.example:443/runs/7',
      'https://trainer.example/runs/7/',
      'https://trainer.example',
      'trainer.example',
    ],
    ['HTTP://10.0.0.7:80/a/', 'http://10.0.0.7/a/', 'http://10.0.0.7', '10.0.0.7'],
    ['http://[2001:DB8::1]:8080', 'http://[2001:db8::1]:8080/', 'http://[2001:db8::1]:8080', '[2001:db8::1]'],
  ])('%s is %s', (text, href, origin, hostname) => {
    expect(parsePublicUrl(text)).toEqual({ href, origin, hostname });
  });

  test.each([
    '',
    'trainer.example',
    'trainer.example:8080',
    'ws://trainer.example',
    'ftp://trainer.example',
    'javascript://trainer.example/%0aalert(1)',
    'http:/trainer.example',
    'http:///trainer.example',
    'http://',
    'http://a b',
    'http://trainer.example/a b',
    'http://trainer.example\\a',
    ' http://trainer.example',
    'http://trainer.example:0',
    'http://trainer.example:70000',
    'http://0.0.0.0:7878',
    'http://[::]:7878',
  ])('refuses %j', (text) => {
    expect(() => parsePublicUrl(text)).toThrow(ConfigError);
    expect(() => parsePublicUrl(text)).toThrow(`--public-url ${text}: expected the http:// or https:// URL`);
  });

  test.each(['http://a/?', 'http://a/?b=c', 'http://a/#', 'http://a/b#c'])('refuses %s', (text) => {
    expect(() => parsePublicUrl(text)).toThrow(`--public-url ${text}: expected a URL without ? and #`);
  });

  test.each([
    'http://user:secret@trainer.example',
    'http://secret@trainer.example',
    'http://:secret@a',
    'ws://u:secret@a',
  ])('refuses %s, and does not repeat what is secret in it', (text) => {
    const refusal = () => parsePublicUrl(text);
    expect(refusal).toThrow(/^--public-url.*: expected/);
    expect(refusal).not.toThrow(/secret/);
  });
});

describe('a server with a public URL', () => {
  const own = { listenHost: '127.0.0.1', port: 7878, publicUrl: parsePublicUrl('https://trainer.example:8443/runs/7') };

  test.each([
    ['https://trainer.example:8443', true],
    ['https://TRAINER.example:8443', true],
    ['http://127.0.0.1:7878', true],
    ['http://trainer.example:8443', false],
    ['https://trainer.example', false],
    ['https://trainer.example:7878', false],
    ['https://evil.trainer.example:8443', false],
    ['https://trainer.example.evil:8443', false],
    ['null', false],
  ])('takes the Origin %s: %s', (origin, isTaken) => {
    expect(isOwnOrigin(origin, own)).toBe(isTaken);
    expect(isOwnOrigin('https://trainer.example:8443', { ...own, publicUrl: undefined })).toBe(false);
  });

  test.each([
    ['trainer.example:8443', true],
    ['Trainer.Example', true],
    ['127.0.0.1:7878', true],
    ['evil.trainer.example', false],
    ['user@trainer.example', false],
    ['trainer.example/a', false],
  ])('takes the Host %s: %s', (host, isTaken) => {
    expect(isOwnHost(host, own)).toBe(isTaken);
  });

  test('takes an address in any of its spellings', () => {
    const atAddress = { ...own, publicUrl: parsePublicUrl('http://[2001:db8:0::1]:8080') };
    expect(isOwnHost('[2001:DB8::1]:8080', atAddress)).toBe(true);
    expect(isOwnOrigin('http://[2001:db8::1]:8080', atAddress)).toBe(true);
  });
});

test.each([
  ['127.0.0.1', undefined, false],
  ['::1', undefined, false],
  ['0.0.0.0', undefined, true],
  ['192.168.1.20', undefined, true],
  ['127.0.0.1', 'http://localhost:8080', false],
  ['127.0.0.1', 'https://trainer.example/', true],
  ['192.168.1.20', 'http://localhost:8080', true],
])('pages at %s with the public URL %s ask for a view key: %s', (host, url, expected) => {
  expect(needsViewKey({ host, port: 7878 }, url === undefined ? undefined : parsePublicUrl(url))).toBe(expected);
});
