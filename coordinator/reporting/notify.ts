/**
 * Notifications: one POST when a run begins to train, when no worker is left, and when it ends, well or not. They go to ntfy
 * (https://docs.ntfy.sh/publish/), or, as JSON with a `text`, to Slack and what takes Slack's messages. A message that cannot
 * be delivered within 5 s is given up: the run goes on, and says so once.
 */
import { countOf } from '../../protocol/counts.ts';
import { ConfigError, printable } from '../../protocol/errors.ts';
import type { Reporter, RunResult } from './reporter.ts';
import { LONGEST_REQUEST_MS, NO_ANSWER, reasonOf } from './request-failure.ts';
import { formatDuration } from './text.ts';

const SLACK_HOST = 'hooks.slack.com';
/** A URL that begins so is told in Slack's way, whatever its host. */
const SLACK_SCHEME = 'slack+';

export interface Notification {
  readonly title: string;
  readonly text: string;
  /** As ntfy knows them: 3 is usual, 4 is high. */
  readonly priority: 3 | 4;
  /** ntfy shows it as an emoji. */
  readonly tag: 'rocket' | 'white_check_mark' | 'stop_sign' | 'x' | 'warning';
}

export interface NotifyOptions {
  /** http or https, perhaps with `slack+` before it. Its path is a secret: no message and no record has it. */
  readonly url: string;
  /** Told what could not be delivered. */
  readonly warn: (line: string) => void;
}

/**
 * A subscriber that posts. `close` waits for what is under way, 5 s at most.
 *
 * Throws `ConfigError` for a URL that is none.
 */
export function createNotifier({ url, warn }: NotifyOptions): Reporter {
  const target = parseTarget(url);
  let name = 'run';
  let hasWarned = false;
  let last: Promise<void> = Promise.resolve();
  const closing = new AbortController();

  const send = (notification: Notification): void => {
    // One after the other, so that they arrive in order.
    last = last
      .then(() => post(target, notification, closing.signal))
      .catch((error: unknown) => {
        if (hasWarned) return;
        hasWarned = true;
        warn(`--notify: ${target.url.origin} was not told: ${reasonOf(error)}`);
      });
  };

  return {
    onStart(config, members, runDir) {
      name = runDir ?? config.model.name;
      const { model, dataset, epochs } = config;
      const on = dataset ? ` on ${dataset.name}` : '';
      const workers = members.length === 1 ? members[0]!.name : countOf(members.length, 'worker');
      const text = `${model.name}${on} for ${countOf(epochs, 'epoch')}, by ${workers}`;
      send({ title: `${name}: training`, text, priority: 3, tag: 'rocket' });
    },
    onEvent(event) {
      if (event.kind !== 'alone') return;
      const { step, waitSeconds } = event;
      const text = `No worker is left at step ${step}. The run waits ${formatDuration(waitSeconds)} for one to join.`;
      send({ title: `${name}: no worker is left`, text, priority: 4, tag: 'warning' });
    },
    onEnd: (result, runDir) => send(describeEnd(result, runDir ?? name)),
    async close() {
      const timer = setTimeout(() => closing.abort(new Error(NO_ANSWER)), LONGEST_REQUEST_MS);
      await last;
      clearTimeout(timer);
    },
  };
}

function describeEnd(result: RunResult, name: string): Notification {
  const { status, steps, seconds, error } = result;
  const accuracy = result.validationAccuracy ?? result.testAccuracy;
  const reached = typeof accuracy === 'number' ? `, accuracy ${accuracy.toFixed(4)}` : '';
  const done = `${countOf(steps, 'step')} in ${formatDuration(seconds)}${reached}`;
  switch (status) {
    case 'completed':
      return { title: `${name}: completed`, text: done, priority: 3, tag: 'white_check_mark' };
    case 'interrupted':
      return { title: `${name}: interrupted`, text: `${done}. It can be resumed.`, priority: 3, tag: 'stop_sign' };
    case 'failed': {
      const why = error ? `${error.code}: ${error.message}` : 'for an unknown reason';
      return { title: `${name}: failed`, text: `${why}\nAfter ${done}.`, priority: 4, tag: 'x' };
    }
  }
}

interface Target {
  readonly url: URL;
  readonly isSlack: boolean;
}

function parseTarget(text: string): Target {
  const isMarked = text.startsWith(SLACK_SCHEME);
  const plain = isMarked ? text.slice(SLACK_SCHEME.length) : text;
  const url = URL.canParse(plain) ? new URL(plain) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') {
    return { url, isSlack: isMarked || url.hostname === SLACK_HOST };
  }
  throw new ConfigError('--notify: expected a URL that begins with http://, https:// or slack+https://: correct it');
}

async function post({ url, isSlack }: Target, notification: Notification, closing: AbortSignal): Promise<void> {
  const { title, text, priority, tag } = notification;
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'error',
    signal: AbortSignal.any([AbortSignal.timeout(LONGEST_REQUEST_MS), closing]),
    ...(isSlack
      ? {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ text: `*${title}*\n${text}` }),
        }
      : {
          // Header values are Latin-1: what is beyond goes as RFC 2047 has it, which ntfy reads.
          headers: { title: headerText(title), priority: String(priority), tags: tag, 'content-type': 'text/plain' },
          body: text,
        }),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`it answered ${response.status}`);
}

function headerText(text: string): string {
  const line = printable(text);
  return /^[\x20-\x7e]*$/.test(line) ? line : `=?UTF-8?B?${Buffer.from(line).toString('base64')}?=`;
}
