/** KeyForm: asks for the view key, where the page's address has none, or a wrong one. */
import { useRef } from 'preact/hooks';

export interface KeyFormProps {
  /** Why the last key would not do, in the server's words. */
  readonly refusal: string | undefined;
  readonly onKey: (key: string) => void;
}

export function KeyForm({ refusal, onKey }: KeyFormProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <form
      class="key-form"
      onSubmit={(event) => {
        event.preventDefault();
        const key = input.current?.value.trim();
        if (key) onKey(key);
      }}
    >
      <h2>This page is for those who have its key</h2>
      <p>
        The address that the coordinator printed ends in “#view=” and the key. Enter the key here, or open that address.
      </p>
      {refusal !== undefined && (
        <p class="refusal" role="alert">
          {refusal}
        </p>
      )}
      <label>
        View key <input ref={input} type="text" autocomplete="off" autocapitalize="off" spellcheck={false} required />
      </label>
      <button type="submit" class="primary">
        Show the run
      </button>
    </form>
  );
}
