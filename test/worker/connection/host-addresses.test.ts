import { describe, expect, test } from 'vitest';
import { addressesOf } from '../../../worker/connection/host-addresses.ts';

const found =
  (...addresses: string[]) =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));

describe('the addresses of a host', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '::1'],
    ['::1', '::1'],
  ])('that is the address %s are that one, and nobody is asked', async (host, address) => {
    expect(await addressesOf(host, 1000, () => Promise.reject(new Error('asked')))).toEqual([address]);
  });

  test('alternate between the families, from the first that the system prefers on', async () => {
    const lookup = found('2001:db8::1', '2001:db8::2', '2001:db8::3', '10.0.0.1', '10.0.0.1');
    expect(await addressesOf('trainer', 1000, lookup)).toEqual([
      '2001:db8::1',
      '10.0.0.1',
      '2001:db8::2',
      '2001:db8::3',
    ]);
  });

  test('are not waited for without end', async () => {
    await expect(addressesOf('trainer', 1, () => new Promise(() => {}))).rejects.toThrow(
      'no name server has told the address of trainer within 0.001 s',
    );
  });
});
