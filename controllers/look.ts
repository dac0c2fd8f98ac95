// What something was made by that the host has, and not the document or a package: looked at again, it holds or not.

export interface Look {
  readonly found: string | null;
  readonly again: () => string | null;
}

/** Looks for the first time. */
export function lookAt(again: () => string | null): Look {
  return { found: again(), again };
}

/** Whether all of it is still as it was found. */
export function stillHold(looks: readonly Look[]): boolean {
  return looks.every(({ found, again }) => again() === found);
}
