/** What a page asks: texts that come from anywhere, checked. And what it proves with them. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { CONTROLS, MOST_IMAGES } from './page-messages.ts';
import type { Control, FromPage } from './page-messages.ts';

const index = z.int().min(0);
const proof = z.string().regex(/^[0-9a-f]{64}$/);

const requestSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('look'), proof: proof.optional() }),
  z.strictObject({ kind: z.literal('confusion'), epoch: index }),
  z.strictObject({ kind: z.literal('images'), indices: z.array(index).max(MOST_IMAGES) }),
  z.strictObject({ kind: z.literal('control'), control: z.enum(CONTROLS), count: z.int().min(1), proof }),
]);

/** Undefined for a text that is no request. */
export function parseRequest(text: string): FromPage | undefined {
  try {
    return requestSchema.safeParse(JSON.parse(text)).data as FromPage | undefined;
  } catch {
    return undefined;
  }
}

/** HMAC-SHA256 of `view <nonce>` with the view key. */
export const provesView = (given: string | undefined, viewKey: string, nonce: string): boolean =>
  isProof(given, viewKey, `view ${nonce}`);

/** HMAC-SHA256 of `<control> <nonce> <count>` with the run's token: for this connection, and this once. */
export const provesControl = (
  given: string,
  token: string,
  { control, nonce, count }: { readonly control: Control; readonly nonce: string; readonly count: number },
): boolean => isProof(given, token, `${control} ${nonce} ${count}`);

function isProof(given: string | undefined, secret: string, text: string): boolean {
  if (given === undefined) return false;
  const expected = createHmac('sha256', secret).update(text).digest();
  const bytes = Buffer.from(given, 'hex');
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
}
