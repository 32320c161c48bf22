/** The page's theme: that of the system, unless the reader has chosen another, which the browser keeps where it can. */
export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'gradsock-theme';
const CHANGE = 'gradsock-theme-change';

export function currentTheme(): Theme {
  const attribute = document.documentElement.dataset['theme'];
  return THEMES.find((theme) => theme === attribute) ?? 'system';
}

export function setTheme(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
  window.dispatchEvent(new Event(CHANGE));
}

/** Takes up the choice of an earlier page. */
export function restoreTheme(): void {
  try {
    const kept = THEMES.find((theme) => theme === localStorage.getItem(KEY));
    if (kept) document.documentElement.dataset['theme'] = kept;
  } catch {
    // No storage, no choice.
  }
}

/** Calls back whenever colours change. Returns what ends that. */
export function onThemeChange(callback: () => void): () => void {
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  window.addEventListener(CHANGE, callback);
  system.addEventListener('change', callback);
  return () => {
    window.removeEventListener(CHANGE, callback);
    system.removeEventListener('change', callback);
  };
}
