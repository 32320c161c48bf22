/** Join URLs: where a run's workers connect, and in the fragment, which never leaves a program, the token. */

/** "ws://HOST:PORT" and the token, if there is one, as a coordinator prints them: "ws://HOST:PORT/#TOKEN". */
export function joinUrlOf(url: string, token: string | undefined): string {
  return token === undefined ? url : `${url}/#${token}`;
}

/** The two parts of what a coordinator printed. Any text has them: nothing of the URL is checked. */
export function splitJoinUrl(joinUrl: string): { readonly url: string; readonly token: string | undefined } {
  const [url, ...fragment] = joinUrl.split('#');
  return { url: url!, token: fragment.length > 0 ? fragment.join('#') : undefined };
}
