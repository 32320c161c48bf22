/** ThemeToggle: a choice of the theme. */
import { useState } from 'preact/hooks';
import { currentTheme, setTheme, THEMES } from './theme.ts';

export function ThemeToggle() {
  const [theme, setShown] = useState(currentTheme);
  return (
    <label class="theme-toggle">
      <span class="hidden">Theme</span>
      <select
        value={theme}
        onChange={(event) => {
          const chosen = THEMES.find((one) => one === event.currentTarget.value) ?? 'system';
          setTheme(chosen);
          setShown(chosen);
        }}
      >
        {THEMES.map((one) => (
          <option key={one} value={one}>
            {one} theme
          </option>
        ))}
      </select>
    </label>
  );
}
