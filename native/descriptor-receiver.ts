// Descriptors that come over a socket (unix(7), SCM_RIGHTS), one with each byte.
import { declare, SyscallError } from './libc.ts';
import { createMessageHeader } from './message-header.ts';

const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;

const recvmsg = declare('recvmsg', 'long', ['int', 'void *', 'int']);

/** The next one, the caller's to close; null: none is there, or this process has no number left for it. Throws SyscallError. */
export function receiveDescriptor(socket: number): number | null {
  const header = createMessageHeader(1);
  header.expectDescriptor();
  try {
    recvmsg('a descriptor', socket, header.memory, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'EAGAIN') return null;
    throw error;
  }
  return header.descriptor();
}
