/**
 * What the page knows, as signals, and how messages change it. Updates are gathered and applied once a frame. Nothing that was
 * known is lost with the connection.
 */
import { batch, computed, signal } from '@preact/signals';
import type { FromPage, FromServer } from '../../page-messages.ts';
import { applyUpdate } from '../../run-view.ts';
import type { RunView, ViewUpdate } from '../../run-view.ts';
import { createConfusionStore } from './confusion-store.ts';
import type { ConnectionState } from './connection.ts';
import { createControlStore } from './control-store.ts';

export interface StoreOptions {
  readonly send: (message: FromPage) => void;
  /** Calls back once, before the next picture is drawn. */
  readonly nextFrame: (callback: () => void) => void;
}

export type Store = ReturnType<typeof createStore>;

const NO_EPOCHS: readonly number[] = [];

export function createStore({ send, nextFrame }: StoreOptions) {
  const connection = signal<ConnectionState>({ kind: 'connecting' });
  const view = signal<RunView | undefined>(undefined);
  /** When the server was heard last, in milliseconds since 1970. */
  const heardAt = signal(0);
  const controls = createControlStore(send);
  const confusion = createConfusionStore({
    send,
    isOpen: computed(() => connection.value.kind === 'open'),
    epochs: computed(() => view.value?.now.confusions ?? NO_EPOCHS),
  });
  let updates: ViewUpdate[] = [];

  const applyUpdates = () => {
    const gathered = updates;
    updates = [];
    const before = view.peek();
    if (before) view.value = gathered.reduce(applyUpdate, before);
  };

  const take = (message: FromServer) => {
    heardAt.value = Date.now();
    switch (message.kind) {
      case 'hello':
        controls.takeHello(message);
        confusion.forgetRequests();
        return;
      case 'view':
        updates = [];
        view.value = message.view;
        return;
      case 'update':
        if (updates.length === 0) nextFrame(applyUpdates);
        updates.push(message.update);
        return;
      case 'confusion':
        confusion.takeMatrix(message);
        return;
      case 'images':
        confusion.takeImages(message);
        return;
      case 'controlled':
        controls.takeOutcome(message);
        return;
      case 'refused':
        return;
    }
  };

  return {
    connection,
    view,
    heardAt,
    controls,
    confusion,
    take: (message: FromServer) => {
      batch(() => take(message));
    },
  };
}
