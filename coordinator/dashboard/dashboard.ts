/**
 * Dashboard: the page of a run that is under way, on the coordinator's port. It hears of the run as any reporter does, and
 * serves `/`, the page, and `/live`, the WebSocket of that page.
 */
import { readConfusion } from '../run-directory/confusion-files.ts';
import type { Confusion } from '../reporting/confusion.ts';
import type { Reporter } from '../reporting/reporter.ts';
import type { RunControl } from '../run-control.ts';
import type { OnPageSocket, Page } from '../server/server.ts';
import type { ViewRule } from '../server/view-access.ts';
import { htmlPage } from './html-page.ts';
import type { Control } from './page-messages.ts';
import type { SampleImages } from './sample-images.ts';
import { createViewBuilder } from './view-builder.ts';
import type { RunFacts, ViewBuilder } from './view-builder.ts';
import { createViewers } from './viewers.ts';
import type { Buttons } from './viewers.ts';

export interface DashboardOptions {
  readonly facts: RunFacts;
  readonly rule: ViewRule;
  /** Whose knowledge lets a page press buttons; undefined of a run that has none, which then has no buttons either. */
  readonly token: string | undefined;
  readonly control: RunControl;
}

export interface Dashboard {
  readonly reporter: Reporter;
  readonly builder: ViewBuilder;
  readonly pages: ReadonlyMap<string, Page>;
  readonly pageSockets: ReadonlyMap<string, OnPageSocket>;
  /** The images of what the run evaluates, once the data is open. */
  showImages(images: SampleImages): void;
  /** Sends what has changed last, and ends the connections of all pages. */
  close(): void;
}

/** Confusion matrices of runs without a folder that are kept: those of the last epochs. Each takes up to some 40 kB. */
const MOST_KEPT = 100;

export function createDashboard({ facts, rule, token, control }: DashboardOptions): Dashboard {
  const builder = createViewBuilder(facts);
  const kept = new Map<number, Confusion>();
  let folder: string | undefined;
  let sampleImages: SampleImages = () => null;
  const buttons: Buttons | undefined = token === undefined ? undefined : { token, press: (one) => press(control, one) };
  const viewers = createViewers({
    run: {
      view: () => builder.view(),
      confusion: (epoch) =>
        Promise.resolve(kept.get(epoch) ?? (folder === undefined ? null : (readConfusion(folder, epoch) ?? null))),
      images: (indices) => Promise.resolve(indices.map((index) => ({ index, url: sampleImages(index) }))),
      buttons,
    },
    rule,
  });

  return {
    builder,
    reporter: {
      ...builder.reporter,
      onStart(config, members, runDir, stepsDone) {
        folder = runDir;
        builder.reporter.onStart?.(config, members, runDir, stepsDone);
      },
      onConfusion(confusion) {
        const { epoch } = confusion;
        kept.set(epoch, confusion);
        kept.delete(epoch - MOST_KEPT);
        builder.addConfusion(epoch);
      },
    },
    pages: new Map([['/', htmlPage({ title: `${facts.name}: gradsock`, data: { mode: 'live' } })]]),
    pageSockets: new Map([['/live', (socket) => viewers.take(socket)]]),
    showImages: (images) => void (sampleImages = images),
    close: () => viewers.close(),
  };
}

/** Presses a button. `text` says to the page what the button did. */
function press(control: RunControl, button: Control): { readonly ok: boolean; readonly text: string } {
  const ok = ACTIONS[button](control);
  return { ok, text: ok ? DONE[button] : `nothing to do: the run is ${control.state()}` };
}

const ACTIONS: Readonly<Record<Control, (control: RunControl) => boolean>> = {
  pause: (control) => control.pause(),
  resume: (control) => control.resume(),
  stop: (control) => control.stopAfterEpoch(),
};

const DONE: Readonly<Record<Control, string>> = {
  pause: 'the run stands still after the step at hand',
  resume: 'the run goes on',
  stop: 'the run ends after the epoch at hand; --resume takes it up again',
};
