// What a look ahead finds: one thing that would keep a document from being reached.

/** The checks, each one function of preflight-checks.ts. */
export type CheckName =
  | 'space'
  | 'memory'
  | 'loop-devices'
  | 'device-mapper'
  | 'kernel'
  | 'users'
  | 'groups'
  | 'host-paths'
  | 'network'
  | 'sockets'
  | 'data';

export interface Finding {
  readonly check: CheckName;
  /** The entry (its key) that it is about. */
  readonly entry: string;
  /** What is so. */
  readonly fact: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** One that was told of: where it was found, and whether what is in force has it as well. */
export interface ToldFinding extends Finding {
  /** `document`: by what is known before anything is fetched. `manifests`: once manifests that are not installed are read. */
  readonly pass: 'document' | 'manifests';
  /** Of an entry that is as it was: it is no fault of the new document, which is not refused for it. */
  readonly known: boolean;
}

/** Those that the new document is refused for. */
export function ownFindings(findings: readonly ToldFinding[]): ToldFinding[] {
  return findings.filter(({ known }) => !known);
}

/** In one sentence. */
export function findingText({ check, entry, fact, remedy }: Finding): string {
  return `${entry}: ${fact}; ${remedy} (${check})`;
}
