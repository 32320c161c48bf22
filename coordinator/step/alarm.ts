/** An alarm that rings once, until it is set again. */
export interface Alarm {
  set(): void;
  isRinging(): boolean;
  stop(): void;
}

/** Set already. `onRing` is called when it rings. */
export function createAlarm(milliseconds: number, onRing: () => void): Alarm {
  let isRinging = false;
  let timer: NodeJS.Timeout;
  const set = () => {
    isRinging = false;
    timer = setTimeout(() => {
      isRinging = true;
      onRing();
    }, milliseconds);
  };
  set();
  return { set, isRinging: () => isRinging, stop: () => clearTimeout(timer) };
}
