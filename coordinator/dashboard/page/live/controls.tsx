/** Controls: the buttons that pause, resume and stop a run, and the dialog that asks for its token and for a confirmation. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Control } from '../../page-messages.ts';
import type { RunState } from '../../run-view.ts';
import type { createControlStore } from './control-store.ts';

/** What may be pressed in a state. */
const BUTTONS: Partial<Record<RunState, readonly Control[]>> = {
  running: ['pause', 'stop'],
  pausing: ['resume', 'stop'],
  paused: ['resume', 'stop'],
};

const LABELS: Readonly<Record<Control, string>> = { pause: 'Pause', resume: 'Resume', stop: 'Stop after this epoch' };

const ANSWER_MS = 15_000;

export interface ControlsProps {
  readonly controls: ReturnType<typeof createControlStore>;
  readonly state: RunState;
  /** Whether there is a connection. */
  readonly isOpen: boolean;
}

export function Controls({ controls, state, isOpen }: ControlsProps) {
  const [asked, setAsked] = useState<Control | undefined>(undefined);
  const pending = controls.pending.value;
  useEffect(() => {
    if (pending === undefined) return;
    const timer = window.setTimeout(controls.giveUp, ANSWER_MS);
    return () => window.clearTimeout(timer);
  }, [pending]);
  const buttons = controls.canControl.value ? (BUTTONS[state] ?? []) : [];
  if (buttons.length === 0 && asked === undefined) return null;
  return (
    <div class="controls" role="group" aria-label="Control the run">
      {buttons.map((control) => (
        <button
          key={control}
          type="button"
          disabled={!isOpen || pending !== undefined}
          onClick={() => {
            if (control === 'stop' || controls.needsToken()) setAsked(control);
            else controls.control(control);
          }}
        >
          {pending === control ? `${LABELS[control]}…` : LABELS[control]}
        </button>
      ))}
      {asked !== undefined && (
        <ControlDialog
          control={asked}
          needsToken={controls.needsToken()}
          onClose={(isConfirmed, token) => {
            setAsked(undefined);
            if (token !== undefined) controls.setToken(token);
            if (isConfirmed) controls.control(asked);
          }}
        />
      )}
    </div>
  );
}

interface ControlDialogProps {
  readonly control: Control;
  readonly needsToken: boolean;
  readonly onClose: (isConfirmed: boolean, token?: string) => void;
}

function ControlDialog({ control, needsToken, onClose }: ControlDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const token = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const confirm = (event: SubmitEvent) => {
    event.preventDefault();
    const given = token.current?.value.trim();
    if (needsToken && !given) return;
    onClose(true, given === '' ? undefined : given);
  };
  return (
    <dialog ref={dialog} aria-label={LABELS[control]} onCancel={() => onClose(false)}>
      <form onSubmit={confirm}>
        <h2>{LABELS[control]}?</h2>
        {control === 'stop' && (
          <p>
            The run ends when the epoch at hand is done. What it has learnt is kept, and it can be resumed from there.
          </p>
        )}
        {needsToken && (
          <>
            <label>
              Token of the run <input ref={token} type="password" autocomplete="off" required />
            </label>
            <p class="note">
              It is in the file <code>token</code> of the run's folder, and in what the coordinator printed. This page
              keeps it until it is closed, and sends only a proof that you know it.
            </p>
          </>
        )}
        <div class="buttons">
          <button type="button" onClick={() => onClose(false)}>
            Cancel
          </button>
          <button type="submit" class="primary">
            {LABELS[control]}
          </button>
        </div>
      </form>
    </dialog>
  );
}
