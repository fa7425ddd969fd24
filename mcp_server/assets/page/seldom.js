// For what is costly to answer and seldom changes.

/** Ask anew only when `key()` differs, or after a minute. */
export function seldom(ask, key) {
  let at, known, answer;
  return () => {
    if (!answer || key() !== known || Date.now() - at > 60_000) {
      [at, known, answer] = [Date.now(), key(), ask()];
      answer.catch(() => (answer = null));
    }
    return answer;
  };
}
