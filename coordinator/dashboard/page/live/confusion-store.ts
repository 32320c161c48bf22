/** Which confusion matrix and which of its images are looked at, and those that have come. Asks the server for what is missing. */
import { computed, effect, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { MOST_IMAGES } from '../../page-messages.ts';
import type { FromPage, FromServer } from '../../page-messages.ts';
import type { Confusion } from '../../../reporting/confusion.ts';
import type { CellPlace } from '../confusion-facts.ts';

export interface ConfusionSources {
  readonly send: (message: FromPage) => void;
  /** Whether what is sent will be answered. */
  readonly isOpen: ReadonlySignal<boolean>;
  /** Epochs that have a matrix, the newest at the end. */
  readonly epochs: ReadonlySignal<readonly number[]>;
}

/** Beyond, those from before are dropped. */
const MOST_KEPT_IMAGES = 3000;

export function createConfusionStore({ send, isOpen, epochs }: ConfusionSources) {
  const chosenEpoch = signal<number | undefined>(undefined);
  const cell = signal<CellPlace | undefined>(undefined);
  const matrices = signal<ReadonlyMap<number, Confusion | null>>(new Map());
  const images = signal<ReadonlyMap<number, string | null>>(new Map());
  const asked = { epochs: new Set<number>(), images: new Set<number>() };

  /** The chosen one, else the newest. */
  const epoch = computed(() => chosenEpoch.value ?? epochs.value.at(-1));
  let shown: Confusion | undefined;
  /** Undefined until the first is there; while another is loading, the one before stays. Null: the epoch has none. */
  const matrix = computed(() => {
    const found = epoch.value === undefined ? undefined : matrices.value.get(epoch.value);
    if (found) shown = found;
    return found === undefined ? shown : found;
  });

  effect(() => {
    const wanted = epoch.value;
    if (!isOpen.value || wanted === undefined || asked.epochs.has(wanted)) return;
    asked.epochs.add(wanted);
    send({ kind: 'confusion', epoch: wanted });
  });
  effect(() => {
    const place = cell.value;
    if (!isOpen.value || !place) return;
    const found = matrix.value?.cells.find((one) => one.label === place.label && one.predicted === place.predicted);
    const known = images.peek();
    const indices = found?.worst.slice(0, MOST_IMAGES).filter((index) => !known.has(index) && !asked.images.has(index));
    if (!indices || indices.length === 0) return;
    for (const index of indices) asked.images.add(index);
    send({ kind: 'images', indices });
  });

  return {
    epoch,
    matrix,
    cell,
    images,
    chooseEpoch: (chosen: number) => {
      // Who chooses the newest wants to see the next ones too.
      chosenEpoch.value = chosen === epochs.peek().at(-1) ? undefined : chosen;
    },
    /** What was asked for on another connection is not answered on this one. */
    forgetRequests: () => {
      asked.epochs.clear();
      asked.images.clear();
    },
    takeMatrix: ({ epoch: of, confusion }: Extract<FromServer, { kind: 'confusion' }>) => {
      matrices.value = new Map(matrices.peek()).set(of, confusion);
    },
    takeImages: ({ images: come }: Extract<FromServer, { kind: 'images' }>) => {
      const kept = images.peek().size > MOST_KEPT_IMAGES ? [] : images.peek();
      images.value = new Map([...kept, ...come.map(({ index, url }) => [index, url] as const)]);
      for (const { index } of come) asked.images.delete(index);
    },
  };
}
