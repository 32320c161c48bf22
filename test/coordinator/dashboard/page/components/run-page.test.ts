import { h } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { RunPage } from '../../../../../coordinator/dashboard/page/components/run-page.tsx';
import type { RunPageProps } from '../../../../../coordinator/dashboard/page/components/run-page.tsx';
import type { RunView } from '../../../../../coordinator/dashboard/run-view.ts';
import { CLASSES, finishedView, fixtureConfusion, runningView } from '../../../../helpers/fixture-view.ts';

const HOSTILE = '<img src=x onerror=alert(1)> & "\'';

function render(props: RunPageProps): Document {
  return parseHTML(`<html><body>${renderToString(h(RunPage, props))}</body></html>`).document;
}

const textOf = (document: Document, selector: string): string =>
  [...document.querySelectorAll(selector)]
    .map(({ textContent }) => textContent.replace(/\s+/g, ' ').trim())
    .join(' | ');

const EMPTY: RunView = {
  head: { name: 'conv-pool', classes: [], evaluates: 'test' },
  now: {
    state: 'preparing',
    doing: 'waiting for workers: 1 of 2 are ready',
    bytesSent: 0,
    bytesReceived: 0,
    confusions: [],
  },
  workers: [],
  epochs: [],
  series: [],
  events: [],
};

describe('the page of a run, made in Node', () => {
  test('tells which run it is, where it stands and what it does', () => {
    const document = render({ view: runningView() });
    expect(textOf(document, 'h1')).toBe('2026-11-30-conv-pool-k3x9');
    expect(textOf(document, '.state')).toBe('running');
    expect(textOf(document, '.progress')).toContain('epoch 7 of 12');
    expect(textOf(document, '.progress')).toContain('about 53 s left');
    expect(textOf(document, '.verdict')).toContain('Computing takes 57 % of a step');
    expect(textOf(document, '.key-figures dt')).toContain('Training loss | Training accuracy | Test accuracy');
  });

  test('has the data of every chart in a table, and a drawing where it is given one', () => {
    const document = render({ view: finishedView(), svgs: { loss: '<svg id="drawn"></svg>' } });
    expect(document.querySelectorAll('figure details table')).toHaveLength(5);
    expect(document.querySelectorAll('figure.chart-loss details tbody tr')).toHaveLength(12);
    expect(document.querySelector('.chart-loss [role=img] #drawn')).not.toBeNull();
    expect(document.querySelector('.chart-accuracy [role=img]')).toBeNull();
  });

  test('has a row for each worker, and the events with the newest first', () => {
    const document = render({ view: runningView() });
    const rows = [...document.querySelectorAll('.section-workers tbody tr')].map(({ textContent }) => textContent);
    expect(rows).toHaveLength(3);
    expect(rows[2]).toMatch(/attic-pi.*late.*22\.9 ms.*2\.90 ms.*17 %.*61,400.*native.*4 threads.*1.*192\.168\.1\.13/s);
    expect(textOf(document, '.events li:first-child')).toContain('most accurate so far');
  });

  test('has the configuration, the environment and the command', () => {
    const document = render({ view: runningView() });
    expect(textOf(document, '.section-configuration tr')).toContain('Wire formatbf16');
    expect(textOf(document, '.section-origin')).toContain('AMD Ryzen 7 5700X');
    expect(textOf(document, '.section-origin pre')).toContain('gradsock coordinator --model conv-pool');
  });

  test('shows a matrix, and the images of a chosen cell with their losses', () => {
    const matrix = fixtureConfusion(6);
    const cell = { label: 6, predicted: 0 };
    const { worst } = matrix.cells.find(({ label, predicted }) => label === 6 && predicted === 0)!;
    const images = new Map([
      [worst[0]!, 'data:image/png;base64,AAAA'],
      [worst[1]!, null],
    ]);
    const document = render({ view: runningView(), confusion: { epoch: 6, matrix, cell }, images });
    expect(document.querySelectorAll('.matrix tbody .cell')).toHaveLength(100);
    expect(textOf(document, '.section-confusion .section-head')).toContain('of 10,000 test samples are right');
    expect(textOf(document, '.cell-images h3')).toBe('Shirt taken for T-shirt/top');
    expect(document.querySelector('.cell-images img')!.getAttribute('alt')).toContain(
      'true class Shirt, predicted T-shirt/top',
    );
    expect(textOf(document, '.cell-images .loss')).toMatch(/^6\.20 \| 5\.89/);
    expect(document.querySelectorAll('.cell-images svg')).toHaveLength(worst.length - 1);
  });

  test('lists the most confused pairs of more than 20 classes, and draws no matrix of more than 30', () => {
    const shown = (numClasses: number) => {
      const classes = Array.from({ length: numClasses }, (_, i) => `class-${i}`);
      const view = { ...runningView(), head: { ...runningView().head, classes } };
      const document = render({ view, confusion: { epoch: 6, matrix: fixtureConfusion(6, numClasses) } });
      const count = (selector: string) => document.querySelectorAll(selector).length;
      return [count('.matrix'), count('.pairs li')];
    };
    expect([20, 30, 31].map(shown)).toEqual([
      [1, 6],
      [1, 20],
      [0, 20],
    ]);
  });

  test('says what is not there yet', () => {
    const document = render({ view: EMPTY });
    expect(textOf(document, '.doing')).toBe('waiting for workers: 1 of 2 are ready');
    expect(textOf(document, '.empty')).toBe(
      'Begins with the first step. | Begins with the first step. | Begins with the first step. | Begins with the first step. | ' +
        'Begins with the first step. | No worker has joined yet. | Made with the evaluation after an epoch. | ' +
        'Nothing to tell so far. | Known once the run begins.',
    );
  });

  test('says why a run failed, where, and what the worker said last', () => {
    const view = finishedView();
    const error = {
      code: 'ERR_LOST',
      message: `lost ${HOSTILE}`,
      worker: 'attic-pi',
      step: 1752,
      host: '10.0.0.3',
      lastLines: ['killed'],
    };
    const failed: RunView = {
      ...view,
      now: { ...view.now, state: 'failed', result: { ...view.now.result!, status: 'failed', error } },
    };
    const text = textOf(render({ view: failed }), '.failure');
    for (const part of [error.message, 'attic-pi', '10.0.0.3', '1,752', 'ERR_LOST', 'killed'])
      expect(text).toContain(part);
    expect(textOf(render({ view }), '.failure')).toBe('');
  });

  test('shows hostile names as text', () => {
    const view = runningView();
    const [worker, ...others] = view.workers;
    const hostile: RunView = {
      ...view,
      head: {
        ...view.head,
        name: HOSTILE,
        classes: [HOSTILE, ...CLASSES.slice(1)],
        command: HOSTILE,
        environment: { [HOSTILE]: HOSTILE },
      },
      now: { ...view.now, verdict: HOSTILE, doing: HOSTILE },
      workers: [{ ...worker!, name: HOSTILE, engine: HOSTILE, device: HOSTILE, host: HOSTILE }, ...others],
      events: [{ at: HOSTILE, tone: 'bad', text: HOSTILE }],
    };
    const document = render({
      view: hostile,
      confusion: { epoch: 6, matrix: fixtureConfusion(6), cell: { label: 0, predicted: 6 } },
    });
    expect(document.querySelector('img')).toBeNull();
    expect(document.body.textContent.split('onerror=alert(1)').length).toBeGreaterThan(12);
  });
});
