/**
 * Whether an event's type was asked for; a pattern is `*`, `invoice.*` or `invoice.created`. A `feed.reset` concerns
 * every subscriber of any event of its resource: `singular` is the name that the types of that resource's events start with.
 */
export function isTypeWanted(
  patterns: readonly string[],
  type: string,
  singular: string | undefined,
): boolean {
  const isReset = type === 'feed.reset' && singular !== undefined;
  return patterns.some(
    (pattern) =>
      pattern === '*' ||
      pattern === type ||
      (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))) ||
      (isReset && pattern.startsWith(`${singular}.`)),
  );
}
