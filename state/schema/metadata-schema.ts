// The schema of what a document says of itself.
import { z } from 'zod';
import { parseRequires } from '../metadata.ts';
import { messageOf } from '../errno.ts';

/** A name of a device or of a document. */
export const plainName = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z._-]{0,254}$/, {
  error: 'a name is 1 to 255 of 0-9 A-Z a-z . _ - and begins with a letter or a digit',
});

const requires = z.string().superRefine((given, context) => {
  try {
    parseRequires(given);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

export const metadataSchema = z.strictObject({
  name: plainName.optional(),
  serial: z.int().min(0).optional(),
  compatible: z.array(plainName).min(1).optional(),
  requires: requires.optional(),
});
