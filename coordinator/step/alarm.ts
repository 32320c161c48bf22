/** An alarm that rings once, until it is set again. */
export interface Alarm {
  set(): void;
  rung(): Promise<void>;
  isRinging(): boolean;
  stop(): void;
}

/** Set already. */
export function createAlarm(milliseconds: number): Alarm {
  let isRinging = false;
  let ring!: () => void;
  let rung: Promise<void>;
  let timer: NodeJS.Timeout;
  const set = () => {
    isRinging = false;
    rung = new Promise((resolve) => (ring = resolve));
    timer = setTimeout(() => {
      isRinging = true;
      ring();
    }, milliseconds);
  };
  set();
  return { set, rung: () => rung, isRinging: () => isRinging, stop: () => clearTimeout(timer) };
}
