import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { createToken } from '../../../protocol/wire/authentication.ts';
import { joinSourceOf, sourceOf } from '../../../scripts/run/join-source.ts';
import type { JoinContext, JoinFlags } from '../../../scripts/run/join-source.ts';
import { NotYet } from '../../../worker/connection/waiting.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

afterEach(() => Reflect.deleteProperty(process.env, 'GRADSOCK_TOKEN'));

const URL_ALONE = 'ws://127.0.0.1:7878';

function source(
  joinUrl: string | readonly string[] | undefined,
  flags: Partial<JoinFlags> = {},
  context: Partial<JoinContext> = {},
) {
  const warned: string[] = [];
  const asked: string[] = [];
  const ask = context.ask && ((url: string) => (asked.push(url), context.ask!(url)));
  const found = joinSourceOf(
    [joinUrl ?? []].flat(),
    { joinStdin: false, wait: 20, ...flags },
    {
      command: 'worker',
      stdin: new PassThrough(),
      isOnCommandLine: () => false,
      warn: (line) => warned.push(line),
      ...context,
      ask,
    },
  ).then(sourceOf);
  return { found, warned, asked };
}

describe('what a worker joins', () => {
  test('is asked for its token on a terminal, once', async () => {
    const token = createToken();
    const { found, asked, warned } = source(URL_ALONE, {}, { ask: () => Promise.resolve(token) });
    expect((await found).read()).toEqual({ url: URL_ALONE, token });
    expect((await found).read()).toEqual({ url: URL_ALONE, token });
    expect({ asked, warned }).toEqual({ asked: [URL_ALONE], warned: [] });
  });

  test.each<[string, Partial<JoinFlags>, string | undefined]>([
    ['it is in the environment', {}, createToken()],
    ['the user says that there is none', { token: false }, undefined],
  ])('is not asked for a token where %s', async (_what, flags, token) => {
    if (token !== undefined) process.env.GRADSOCK_TOKEN = token;
    const { found, asked } = source(URL_ALONE, flags, { ask: () => Promise.resolve('never') });
    expect((await found).read()).toEqual({ url: URL_ALONE, token });
    expect(asked).toEqual([]);
  });

  test('has no token after Enter alone, and is refused, unseen, for what is none', async () => {
    expect((await source(URL_ALONE, {}, { ask: () => Promise.resolve('') }).found).read().token).toBeUndefined();
    const { found } = source(URL_ALONE, {}, { ask: () => Promise.resolve('hush') });
    await expect(found).rejects.toThrow(/^what was entered: not a token(?!.*hush)/);
  });

  test('may have its token in the command line, with a warning that names the other ways', async () => {
    const token = createToken();
    const { found, warned } = source(`${URL_ALONE}/#${token}`);
    expect((await found).read()).toEqual({ url: `${URL_ALONE}/`, token });
    expect(warned.join()).toMatch(
      /^warning: process lists.*GRADSOCK_TOKEN, --token-file, --join-file or --join-stdin$/,
    );
    expect(warned.join()).not.toContain(token);
  });

  test('is the first line of standard input', async () => {
    const token = createToken();
    const stdin = new PassThrough();
    stdin.write(`${URL_ALONE}/#${token}\nmore`);
    const { found, warned } = source(undefined, { joinStdin: true }, { stdin, ask: () => Promise.resolve('never') });
    expect((await found).read()).toEqual({ url: `${URL_ALONE}/`, token });
    expect(warned).toEqual([]);
  });

  test('is a join file, which is read each time and may not be there yet', async () => {
    const joinFile = join(temporaryFolder(), 'join');
    const token = createToken();
    const target = await source(undefined, { joinFile }).found;
    expect(target.canChange).toBe(true);
    expect(() => target.read()).toThrow(NotYet);
    writeFileSync(joinFile, '');
    expect(() => target.read()).toThrow('it is empty');
    writeFileSync(joinFile, `${URL_ALONE}/#${token}\n`);
    expect(target.read()).toEqual({ url: `${URL_ALONE}/`, token });
    writeFileSync(joinFile, 'ws://127.0.0.1:2\n');
    expect(target.read()).toEqual({ url: 'ws://127.0.0.1:2', token: undefined });
  });

  test.each<[string, string]>([
    ['a line', ' '],
    ['a join file', '\n'],
  ])('may be several addresses of one coordinator in %s', async (_what, separator) => {
    const token = createToken();
    const text = [`${URL_ALONE}/#${token}`, 'ws://[::1]:7878', 'ws://[::1]:7878'].join(separator);
    const target = { url: `${URL_ALONE}/`, otherUrls: ['ws://[::1]:7878'], token };
    const stdin = new PassThrough();
    stdin.end(`${text}\n`);
    if (separator === ' ') {
      expect((await source(undefined, { joinStdin: true }, { stdin }).found).read()).toEqual(target);
    } else {
      const joinFile = join(temporaryFolder(), 'join');
      writeFileSync(joinFile, `${text}\n`);
      expect((await source(undefined, { joinFile }).found).read()).toEqual(target);
    }
  });

  test('may be several URLs in a command line, for which one token is asked', async () => {
    const token = createToken();
    const { found, asked } = source([URL_ALONE, 'ws://[::1]:7878'], {}, { ask: () => Promise.resolve(token) });
    expect((await found).read()).toEqual({ url: URL_ALONE, otherUrls: ['ws://[::1]:7878'], token });
    expect(asked).toEqual([URL_ALONE]);
    expect((await found).what).toBe(`${URL_ALONE} or ws://[::1]:7878`);
  });

  test('has one token: two different ones are refused, unseen', async () => {
    const tokens = [createToken(), createToken()];
    const { found } = source(tokens.map((token) => `${URL_ALONE}/#${token}`));
    await expect(found).rejects.toThrow('expected one token, got several: the URLs must be those of one coordinator');
    await expect(found).rejects.not.toThrow(tokens[0]);
  });

  test('that is a token in place of a URL is refused without being shown', async () => {
    const token = createToken();
    const joinFile = join(temporaryFolder(), 'token');
    writeFileSync(joinFile, `${token}\n`);
    const target = await source(undefined, { joinFile }).found;
    expect(() => target.read()).toThrow(`--join-file ${joinFile}: not a join URL: expected ws://HOST:PORT`);
    expect(() => target.read()).not.toThrow(token);
    await expect(source(token).found).rejects.toThrow(/^worker: not a join URL/);
  });

  test('is one run: two in one command line are refused', async () => {
    const { found } = source(URL_ALONE, { joinFile: '/x' }, { isOnCommandLine: (flag) => flag === 'joinFile' });
    await expect(found).rejects.toThrow('worker: expected one run to join, got a URL and --join-file: give one');
  });
});
