// Errors as the console answers with them: an object under the error's name.
import { DocumentConflict, DocumentRefused, DocumentSigned } from '../../../state/document/documents.ts';
import { NoTrial, PatchRefused, UnknownGeneration } from '../../../state/document/refusals.ts';
import { PatchError } from '../../../state/text/tree.ts';
import { RuntimeError } from '../../runtime/runtime.ts';
import { messageOf } from '../../../state/errno.ts';

/** Northstar's errors. Its clients know no others, so anything else is `unexpected` to them. */
const northstars = new Set([
  'configuration',
  'duplicate_container',
  'invalid_container',
  'invalid_arguments',
  'mount_busy',
  'umount_busy',
  'start_container_started',
  'start_container_resource',
  'start_container_missing_resource',
  'start_container_failed',
  'stop_container_not_started',
  'invalid_repository',
  'install_duplicate',
  'critical_container',
]);

/** The error of a request that Northstar has, too. */
export function northstarError(error: unknown): Readonly<Record<string, unknown>> {
  return error instanceof RuntimeError && northstars.has(error.reason) ? namedError(error) : unexpected(error);
}

/** The error of a request that is ours: always with a `message` for people. */
export function ourError(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof DocumentSigned) return { document_signed: { message: error.message } };
  if (error instanceof DocumentRefused && error.reason !== null)
    return { not_admitted: { reason: error.reason, message: error.message } };
  if (error instanceof DocumentRefused) return { invalid_document: error.error };
  if (error instanceof DocumentConflict) {
    const { generation, expected, message } = error;
    return { conflict: { generation, expected, message } };
  }
  if (error instanceof PatchError || error instanceof PatchRefused) {
    return { patch_refused: { pointer: error.pointer, message: error.message } };
  }
  if (error instanceof UnknownGeneration) {
    return { unknown_generation: { generation: error.generation, message: error.message } };
  }
  if (error instanceof NoTrial) return { no_trial: { message: error.message } };
  if (!(error instanceof RuntimeError)) return unexpected(error);
  return { [error.reason]: { ...error.detail, message: error.message } };
}

function namedError(error: RuntimeError): Readonly<Record<string, unknown>> {
  return { [error.reason]: error.detail };
}

function unexpected(error: unknown): Readonly<Record<string, unknown>> {
  return { unexpected: { error: messageOf(error) } };
}
