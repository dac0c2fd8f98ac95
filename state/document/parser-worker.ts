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
    if (request.kind === 'parse') return { id: request.id, result: work.parse(request.text) };
    return { id: request.id, result: work.splice(request.text, request.changes) };
  } catch (error) {
    return { id: request.id, error: messageOf(error) };
  }
}
