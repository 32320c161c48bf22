/** Proofs that one knows a secret, without sending it. Browsers have their own HMAC on pages from https alone. */
import { hmac } from '@noble/hashes/hmac';
import { sha256 } from '@noble/hashes/sha2';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils';
import type { Control } from '../../page-messages.ts';

const proofOf = (secret: string, text: string): string =>
  bytesToHex(hmac(sha256, utf8ToBytes(secret), utf8ToBytes(text)));

/** That the page may look: in 64 hexadecimal digits. */
export const viewProof = (key: string, nonce: string): string => proofOf(key, `view ${nonce}`);

/** That a person may control the run. `count`: of the connection's controls, from 1. */
export const controlProof = (token: string, control: Control, nonce: string, count: number): string =>
  proofOf(token, `${control} ${nonce} ${count}`);
