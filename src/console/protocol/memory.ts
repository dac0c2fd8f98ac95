// What the connections of a listener may hold in memory together: each has a limit of its own, but there are many.

/** Of one connection, for one purpose. */
export interface Share {
  /** Says how many bytes are held now; false when they are too many, and the connection has to end. */
  hold(bytes: number): boolean;
}

/** Bytes that any connection may hold without being counted: who behaves is never the one too many. */
const free = 16 * 1024;

/** Gives shares of `limit` bytes. What a share held is free again when its connection has ended. */
export function createMemory(limit: number): (ended: AbortSignal) => Share {
  let total = 0;
  return (ended) => {
    let own = 0;
    ended.addEventListener('abort', () => {
      total -= own;
      own = 0;
    });
    return {
      hold(bytes) {
        if (ended.aborted) return false;
        const counted = bytes > free ? bytes : 0;
        total += counted - own;
        own = counted;
        return own === 0 || total <= limit;
      },
    };
  };
}
