/**
 * Identities: the ids of a run's workers, and the key by which a worker that comes back proves which one it had.
 *
 * Keys are made from one secret of this process, so none needs to be kept, and an id that was never given has a key that
 * nobody was told. A coordinator that is resumed has another secret: to it, who comes back is new.
 */
import { createHmac } from 'node:crypto';
import { createNonce } from '../../protocol/wire/authentication.ts';

export interface Identities {
  /** An id that nobody has had: "w1", "w2", ... */
  readonly give: () => string;
  /** Of any text that claims to be an id: 64 hexadecimal digits. */
  readonly keyOf: (id: string) => string;
}

export function createIdentities(): Identities {
  const secret = createNonce();
  let numGiven = 0;
  return {
    give: () => `w${++numGiven}`,
    keyOf: (id) => createHmac('sha256', secret).update(`gradsock id ${id}`).digest('hex'),
  };
}
