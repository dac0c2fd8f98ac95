// Changes that are not to be done twice: whoever is to end does so between two of them.

export interface Threshold {
  /** Resolves when one may begin; gives the function that says that it is over. */
  enter(): Promise<() => void>;
  /** Lets none begin from now on; gives the function that lets them again. */
  bar(): () => void;
  /** How many are under way. */
  within(): number;
}

export function createThreshold(): Threshold {
  let within = 0;
  let open: PromiseWithResolvers<undefined> | null = null;
  return {
    async enter() {
      while (open !== null) await open.promise;
      within += 1;
      return () => void (within -= 1);
    },
    bar() {
      const barred = Promise.withResolvers<undefined>();
      open ??= barred;
      return () => {
        open?.resolve(undefined);
        open = null;
      };
    },
    within: () => within,
  };
}
