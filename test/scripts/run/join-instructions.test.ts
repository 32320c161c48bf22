import { describe, expect, test } from 'vitest';
import { joinInstructions } from '../../../scripts/run/join-instructions.ts';

const token = { text: 'secret'.repeat(8), path: 'runs/x/token' };

describe('what a coordinator prints for whoever starts its workers', () => {
  test('is a command without the token, and the token on a line of its own where it may be shown', () => {
    const lines = joinInstructions({
      numWorkers: 2,
      joinUrls: ['ws://10.0.0.5:7878'],
      token: { ...token, isShown: true },
    });
    expect(lines).toEqual([
      'waiting for 2 workers; start each of them with',
      '  npx gradsock worker ws://10.0.0.5:7878',
      'and with this token, for which a worker on a terminal asks:',
      `  ${token.text}`,
    ]);
  });

  test('says where the token is, and how to hand it over, where it may not be shown', () => {
    const run = { numWorkers: 1, joinUrls: ['ws://10.0.0.5:7878'] as const, token: { ...token, isShown: false } };
    const text = joinInstructions({ ...run, joinUrls: [...run.joinUrls], joinFile: '/run/join' }).join('\n');
    expect(text).not.toContain(token.text);
    expect(text).toContain('by GRADSOCK_TOKEN, --token-file or --join-file /run/join');
    expect(text).toContain('it is in runs/x/token');
  });

  test('has a command for every address, IPv6 quoted for the shell, each with the fingerprint', () => {
    const joinUrls: [string, ...string[]] = ['wss://10.0.0.5:1', 'wss://[fd00::7]:1'];
    const lines = joinInstructions({ numWorkers: 2, joinUrls, fingerprint: 'ab'.repeat(32) });
    const trust = `--tls-fingerprint ${'ab'.repeat(32)}`;
    expect(lines[1]).toBe(`  npx gradsock worker wss://10.0.0.5:1 ${trust} --no-token`);
    expect(lines[3]).toBe(`  npx gradsock worker "wss://[fd00::7]:1" ${trust} --no-token`);
  });
});
