import { describe, expect, test } from 'vitest';
import { createRunControl } from '../../coordinator/run-control.ts';
import type { ControlState } from '../../coordinator/reporting/reported-event.ts';

/** A control in this state, which keeps the states that it tells of from then on. */
function controlIn(state: ControlState) {
  const control = createRunControl();
  if (state === 'stopping') control.stopAfterEpoch();
  if (state === 'pausing' || state === 'paused') control.pause();
  if (state === 'paused') control.training.standsStill();
  expect(control.state()).toBe(state);
  const told: ControlState[] = [];
  control.onChange((next) => told.push(next));
  return { control, told };
}

describe('the control of a run', () => {
  test.each<[ControlState, 'pause' | 'resume' | 'stopAfterEpoch', ControlState | undefined]>([
    ['running', 'pause', 'pausing'],
    ['running', 'resume', undefined],
    ['running', 'stopAfterEpoch', 'stopping'],
    ['pausing', 'pause', undefined],
    ['pausing', 'resume', 'running'],
    ['pausing', 'stopAfterEpoch', 'stopping'],
    ['paused', 'pause', undefined],
    ['paused', 'resume', 'running'],
    ['paused', 'stopAfterEpoch', 'stopping'],
    ['stopping', 'pause', undefined],
    ['stopping', 'resume', 'running'],
    ['stopping', 'stopAfterEpoch', undefined],
  ])('that is %s: %s leads to %s', (state, button, next) => {
    const { control, told } = controlIn(state);
    expect(control[button]()).toBe(next !== undefined);
    expect(control.state()).toBe(next ?? state);
    expect(told).toEqual(next === undefined ? [] : [next]);
  });

  test('asks the training for a pause until it goes on, and for a stop', () => {
    const { control } = controlIn('running');
    const asked = () => [control.training.isPauseDue, control.training.isStopDue];
    expect(asked()).toEqual([false, false]);
    control.pause();
    expect(asked()).toEqual([true, false]);
    control.training.standsStill();
    expect(asked()).toEqual([true, false]);
    control.stopAfterEpoch();
    expect(asked()).toEqual([false, true]);
  });

  test('is not paused by a training that stands still too late', () => {
    const { control, told } = controlIn('running');
    control.training.standsStill();
    expect(control.state()).toBe('running');
    expect(told).toEqual([]);
  });

  test('tells nobody who listens no more, and changes nothing after the end', () => {
    const { control, told } = controlIn('running');
    const others: ControlState[] = [];
    const forget = control.onChange((state) => others.push(state));
    control.pause();
    forget();
    control.training.standsStill();
    control.training.end();
    expect([control.resume(), control.stopAfterEpoch(), control.state()]).toEqual([false, false, 'paused']);
    expect([told, others]).toEqual([['pausing', 'paused'], ['pausing']]);
  });
});
