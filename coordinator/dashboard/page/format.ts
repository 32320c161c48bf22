/** Numbers and times as the page writes them. "–" stands for what is not known. */

const UNKNOWN = '–';

/** "0.3127", "12.4", "1,234": about four digits; "–" for null, undefined and what is not finite. */
export function formatNumber(value: number | null | undefined): string {
  if (!isKnown(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size === 0) return '0';
  return size >= 0.001 ? value.toFixed(size >= 1 ? 3 : 4) : value.toExponential(1);
}

/** A whole number with separators: "60,000". */
export function formatCount(value: number | null | undefined): string {
  return isKnown(value) ? Math.round(value).toLocaleString('en-US') : UNKNOWN;
}

/** A fraction as "91.27 %". */
export function formatPercent(fraction: number | null | undefined, digits = 2): string {
  return isKnown(fraction) ? `${(fraction * 100).toFixed(digits)} %` : UNKNOWN;
}

/** "0.42 ms", "35.2 ms", "1.20 s". */
export function formatMs(ms: number | null | undefined): string {
  if (!isKnown(ms)) return UNKNOWN;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 || ms === 0 ? 1 : 2)} ms`;
}

/** "640 B", "6.1 kB", "114.8 MB", "2.31 GB". */
export function formatBytes(bytes: number | null | undefined): string {
  if (!isKnown(bytes)) return UNKNOWN;
  if (bytes < 1e3) return `${Math.round(bytes)} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** "12 s", "3 min 20 s", "1 h 5 min". */
export function formatDuration(seconds: number | null | undefined): string {
  if (!isKnown(seconds)) return UNKNOWN;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Of an ISO 8601 time, in the reader's zone: "2026-11-30 17:02". The text itself where it is no time. */
export function formatDate(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** "17:02:31", in the reader's zone. */
export function formatTime(time: string | number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** At most `most` items, evenly spread, the first and the last among them. */
export function thin<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  const stride = (items.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => items[Math.round(i * stride)]!);
}

const isKnown = (value: number | null | undefined): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

const two = (value: number): string => String(value).padStart(2, '0');
