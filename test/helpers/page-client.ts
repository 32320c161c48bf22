/** A page's side of its WebSocket, without a browser. */
import { createHmac } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Control, FromPage, FromServer } from '../../coordinator/dashboard/page-messages.ts';

export interface PageClient {
  readonly socket: WebSocket;
  /** The next message of the kind; those before it are dropped. Rejects when the connection ends first. */
  next<K extends FromServer['kind']>(kind: K): Promise<Extract<FromServer, { kind: K }>>;
  send(message: FromPage): void;
  /** Sends a control with its proof. */
  press(control: Control, token: string, count?: number): void;
  /** The code with which the connection ended. */
  readonly closed: Promise<number>;
}

export const hmac = (key: string, text: string): string => createHmac('sha256', key).update(text).digest('hex');

/** Resolves after `hello`. Rejects where the upgrade is refused, with its status in the message. */
export async function openPage(
  url: string,
  headers: Record<string, string> = {},
): Promise<PageClient & { readonly nonce: string }> {
  const socket = new WebSocket(url, { headers });
  onTestFinished(() => socket.terminate());
  const queue: FromServer[] = [];
  let wake = () => {};
  let isOver = false;
  const closed = new Promise<number>((resolve) => {
    socket.once('close', (code) => {
      isOver = true;
      wake();
      resolve(code);
    });
  });
  socket.on('message', (data: Buffer) => {
    queue.push(JSON.parse(data.toString()) as FromServer);
    wake();
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const next: PageClient['next'] = async (kind) => {
    for (;;) {
      const message = queue.shift();
      if (message?.kind === kind) return message as never;
      if (message) continue;
      if (isOver) throw new Error(`the connection ended before ${kind}`);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const send = (message: FromPage) => socket.send(JSON.stringify(message));
  const { nonce } = await next('hello');
  let sent = 0;
  const press: PageClient['press'] = (control, token, count = ++sent) =>
    send({ kind: 'control', control, count, proof: hmac(token, `${control} ${nonce} ${count}`) });
  return { socket, next, send, press, closed, nonce };
}
