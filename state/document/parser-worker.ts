// The thread that reads and splices big documents.
import { parentPort, workerData } from 'node:worker_threads';
import type { Configured } from '../desired.ts';
import { createDocumentWork } from './document-work.ts';
import type { WorkerReply, WorkerRequest } from './parser.ts';
import { messageOf } from '../errno.ts';

const work = createDocumentWork(workerData as Configured);

parentPort?.on('message', (request: WorkerRequest) => {
  parentPort?.postMessage(replyTo(request));
});

function replyTo(request: WorkerRequest): WorkerReply {
  try {
    const { id } = request;
    const result = request.kind === 'parse' ? work.parse(request.text) : work.splice(request.text, request.changes);
    return { id, result, outline: work.outline() };
  } catch (error) {
    return { id: request.id, error: messageOf(error) };
  }
}
