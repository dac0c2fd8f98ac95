// What the init system shows of the runtime (`systemctl status`): how many containers run, and what it waits for.
import type { Operation } from 'fast-json-patch';
import type { ContainerStatus, Status } from '../../state/status.ts';
import type { Store } from '../../state/store.ts';
import { parsePointer } from '../../state/text/pointer.ts';

/** The most bytes that the launcher takes. */
const longest = 512;

/** Tells the text now and whenever it is another; what a change costs does not grow with the containers. */
export function followServiceStatus(store: Store, tell: (text: string) => void): void {
  const running = new Set<string>();
  const waiting = new Map<string, string>();
  let told = '';

  function look(key: string, container: ContainerStatus | undefined): void {
    running.delete(key);
    waiting.delete(key);
    if (container === undefined) return;
    if (container.phase === 'Running') running.add(key);
    const why = waitsFor(container);
    if (why !== null) waiting.set(key, why);
  }

  function say(status: Status): void {
    const text = serviceStatus(status, running.size, waiting);
    if (text !== told) tell(text);
    told = text;
  }

  function lookAtAll({ containers }: Status): void {
    running.clear();
    waiting.clear();
    for (const [key, container] of Object.entries(containers)) look(key, container);
  }

  lookAtAll(store.get().status);
  say(store.get().status);
  store.subscribe((operations, { status }) => {
    const changed = operations.map(changedContainer).filter((key) => key !== null);
    if (changed.length === 0) return;
    if (changed.includes('')) lookAtAll(status);
    else for (const key of new Set(changed)) look(key, status.containers[key]);
    say(status);
  });
}

/** The key of the container whose status an operation changes, '' for all of them or what stands beside them, null for none. */
function changedContainer({ path }: Operation): string | null {
  if (path.startsWith('/status/containers/')) return String(parsePointer(path)[2]);
  return path === '/status' || path === '/status/containers' || path.startsWith('/status/document') ? '' : null;
}

/** What a container has still to do, as its phase says it; null when it is where it should be. */
function waitsFor({ desired, phase }: ContainerStatus): string | null {
  if (phase === 'Starting' || phase === 'Stopping' || phase === 'Backoff' || phase === 'Failed') return phase;
  const before = phase === 'Absent' || phase === 'Installed' || phase === 'Mounted';
  return desired === 'running' && before ? phase : null;
}

/** One line of at most 512 bytes. */
export function serviceStatus(
  { document }: Pick<Status, 'document'>,
  running: number,
  waiting: ReadonlyMap<string, string>,
): string {
  const broken = document.status === 'invalid' ? '; the document is invalid' : '';
  const head = `Running: ${running} ${running === 1 ? 'container runs' : 'containers run'}${broken}`;
  if (waiting.size === 0) return head;
  const names = [...waiting].map(([key, phase]) => `${key} (${phase})`);
  const whole = `${head}; waits for ${names.join(', ')}`;
  return Buffer.byteLength(whole) <= longest ? whole : `${Buffer.from(whole).toString('latin1', 0, longest - 3)}...`;
}
