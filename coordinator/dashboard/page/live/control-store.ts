/** Controls of the run: the token that they are proven with, the one that waits for its answer, and what came of the last. */
import { signal } from '@preact/signals';
import type { Control, FromPage, FromServer } from '../../page-messages.ts';
import { controlProof } from './proofs.ts';

/** What came of a control. */
export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

export function createControlStore(send: (message: FromPage) => void) {
  const canControl = signal(false);
  const pending = signal<Control | undefined>(undefined);
  const outcome = signal<Outcome | undefined>(undefined);
  /** In memory alone. `isProven`: whether the server has taken it. */
  let token: { readonly text: string; readonly isProven: boolean } | undefined;
  let greeting = { nonce: '', count: 0 };

  return {
    canControl,
    pending,
    outcome,
    needsToken: () => token === undefined,
    setToken: (text: string) => {
      token = { text, isProven: false };
    },
    /** Does nothing without a token. */
    control: (control: Control) => {
      if (!token) return;
      greeting.count += 1;
      const { nonce, count } = greeting;
      pending.value = control;
      outcome.value = undefined;
      send({ kind: 'control', control, count, proof: controlProof(token.text, control, nonce, count) });
    },
    /** The server has said nothing for too long. */
    giveUp: () => {
      if (pending.peek() === undefined) return;
      pending.value = undefined;
      outcome.value = {
        ok: false,
        text: 'No answer from the coordinator. Look at the state of the run, and try again.',
      };
    },
    /** A connection begins. */
    takeHello: ({ nonce, canControl: can }: Extract<FromServer, { kind: 'hello' }>) => {
      greeting = { nonce, count: 0 };
      canControl.value = can;
      pending.value = undefined;
    },
    takeOutcome: ({ control, ok, text }: Extract<FromServer, { kind: 'controlled' }>) => {
      if (pending.peek() === control) pending.value = undefined;
      outcome.value = { ok, text };
      if (ok && token) token = { ...token, isProven: true };
      // It may be a wrong one: asked for again, unless it has been right before.
      else if (!token?.isProven) token = undefined;
    },
  };
}
