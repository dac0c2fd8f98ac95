// What a successor that proves itself says of what it would do, and what of that counts against it.
import { z } from 'zod';

const reportShape = z.object({
  /** Of the runtime that reports. */
  runtime: z.string(),
  /** The stored generation that it puts into force. */
  generation: z.number(),
  containers: z.number(),
  /** What it would do at once, in order. */
  steps: z.array(z.object({ op: z.string(), name: z.string() })),
});

export type ProofReport = z.infer<typeof reportShape>;

export function encodeReport(report: ProofReport): Uint8Array {
  return Buffer.from(JSON.stringify(report));
}

/** Reads a report of any version: further fields are passed over. Throws when it is none. */
export function decodeReport(bytes: Uint8Array): ProofReport {
  return reportShape.parse(JSON.parse(Buffer.from(bytes).toString()));
}

/** What this runtime is at itself: its generation, and the names that it has moved, or would, while the other one looked. */
export interface Present {
  readonly generation: number;
  readonly moving: ReadonlySet<string>;
}

/** Why the successor must not take over, for people; null: nothing that it would do is its own idea. */
export function objection({ runtime, generation, steps }: ProofReport, present: Present): string | null {
  if (generation < present.generation) {
    return `northstate ${runtime} understands generation ${generation}, and not ${present.generation}, which is in force`;
  }
  const own = steps.filter(({ name }) => !present.moving.has(name));
  if (own.length === 0) return null;
  const told = own.slice(0, 5).map(({ op, name }) => `${op} ${name}`);
  const more = own.length > told.length ? `, and ${own.length - told.length} more` : '';
  return `northstate ${runtime} would do what this one would not: ${told.join(', ')}${more}`;
}
