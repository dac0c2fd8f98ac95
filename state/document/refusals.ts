// How a change of the document is refused.
import type { Problem } from '../schema/check-value.ts';
import { formatPointer } from '../text/pointer.ts';
import { isUnderWay, type TrialRecord } from '../trial/trial-record.ts';

/** The document is not the one that the caller had in mind: `generation` is in force, `expected` was (null: not said). */
export class DocumentConflict extends Error {
  readonly generation: number;
  readonly expected: number | null;

  constructor(generation: number, reason: string, expected: number | null = null) {
    super(`${reason}; generation ${generation} is in force: read it and try again`);
    this.name = 'DocumentConflict';
    this.generation = generation;
    this.expected = expected;
  }
}

/** There is nothing on trial that could be confirmed or taken back. */
export class NoTrial extends Error {
  constructor(record: TrialRecord | null, what: 'confirm' | 'revert') {
    const staged = isUnderWay(record) ? `generation ${record.generation} is ${record.state}` : 'nothing is on trial';
    super(`there is nothing to ${what}: ${staged}`);
    this.name = 'NoTrial';
  }
}

/** There is no such generation, or none any more. */
export class UnknownGeneration extends Error {
  readonly generation: number;

  constructor(generation: number) {
    super(`generation ${generation} is not stored`);
    this.name = 'UnknownGeneration';
    this.generation = generation;
  }
}

/** Throws DocumentConflict when another generation is in force than the one expected (null: any will do). */
export function checkExpected(generation: number, expected: number | null | undefined): void {
  if (expected === undefined || expected === null || expected === generation) return;
  throw new DocumentConflict(generation, `generation ${expected} was expected`, expected);
}

/** Documents must be signed here, and this would go past the signature. */
export class DocumentSigned extends Error {
  constructor(what: string) {
    super(`DocumentSigned: ${what}; what is in force says the signed document: apply another one`);
    this.name = 'DocumentSigned';
  }
}

/** A patch whose outcome would be no valid document. */
export class PatchRefused extends Error {
  readonly pointer: string;

  constructor({ path, message }: Problem) {
    const pointer = formatPointer(path);
    super(`the patch is refused: ${pointer === '' ? 'the document' : pointer}: ${message}`);
    this.name = 'PatchRefused';
    this.pointer = pointer;
  }
}
