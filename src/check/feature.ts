// What is said of one thing that the runtime uses of its host.

/** `unknown`: it cannot be told without rights or information that are not there. */
export type Presence = 'present' | 'absent' | 'unknown';

export interface Feature {
  readonly group: 'kernel' | 'images' | 'control groups' | 'seccomp' | 'rights' | 'programs';
  readonly name: string;
  /** Without it nothing runs; else only what asks for it does not. */
  readonly required: boolean;
  readonly presence: Presence;
  /** What was found, or what is not possible without it. */
  readonly detail: string;
  /** The kernel's option, the Debian package or the command that brings it; null where there is nothing to do. */
  readonly enable: string | null;
}

/** Whether everything that is required is there. What cannot be told is not held against the host. */
export function isGood(features: readonly Feature[]): boolean {
  return features.every(({ required, presence }) => !required || presence !== 'absent');
}

/** `present` or `absent`. */
export function presence(isThere: boolean): Presence {
  return isThere ? 'present' : 'absent';
}
