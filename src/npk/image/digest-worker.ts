// A thread that hashes blocks of files.
import { parentPort } from 'node:worker_threads';
import { digestsOf, type Blocks } from './block-digests.ts';
import { messageOf } from '../../../state/errno.ts';

/** What the thread answers to each Blocks, in order. */
export type DigestReply = { readonly digests: Uint8Array<ArrayBuffer> } | { readonly error: string };

parentPort?.on('message', (blocks: Blocks) => {
  const reply = replyTo(blocks);
  parentPort?.postMessage(reply, 'digests' in reply ? [reply.digests.buffer] : []);
});

function replyTo(blocks: Blocks): DigestReply {
  try {
    const digests = digestsOf(blocks);
    return { digests: new Uint8Array(digests.buffer as ArrayBuffer, digests.byteOffset, digests.length) };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
