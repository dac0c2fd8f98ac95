// One message for each request: what the permission matrix and the fuzzers begin with. A request without one does not compile.
import type { RequestName } from '../../../src/console/protocol/protocol.ts';

/** Members of each request as a client sends them; null = it has none. */
export const samples: Readonly<Record<RequestName, Readonly<Record<string, unknown>> | null>> = {
  ident: null,
  list: null,
  repositories: null,
  shutdown: null,
  inspect: { container: 'broker:1.2.3' },
  install: { repository: 'system', size: 0 },
  uninstall: { container: 'broker:1.2.3', wipe: false },
  mount: { containers: ['broker:1.2.3', 'nobody:1.0.0'] },
  umount: { containers: ['broker:1.2.3'] },
  start: { container: 'broker:1.2.3', init: null, arguments: [], environment: {} },
  kill: { container: 'broker:1.2.3', signal: 15 },
  token_create: { target: 'somebody', shared: 'c2hhcmVk' },
  token_verify: { token: Buffer.alloc(40).toString('base64'), user: 'somebody', shared: 'c2hhcmVk' },
  apply: { document: 'apiVersion: northstate/v1\n', expected: null },
  patch: { operations: [{ op: 'add', path: '/containers/broker/source', value: '/x.npk' }], expected: null },
  get: null,
  watch: null,
  plan: { document: null },
  install_source: { source: 'https://localhost/x.npk', repository: null },
  lock: { name: 'broker', ttl: 1000 },
  unlock: { name: 'broker' },
  describe: { name: 'broker' },
  logs: { name: 'broker', since: null, follow: false },
  wait: { generation: 1, timeout: 0 },
  history: null,
  metrics: null,
  confirm: { generation: null },
  revert: { generation: null },
  trial: null,
  quarantine: null,
  quarantine_release: { which: null },
  rollback: { generation: 1, expected: null },
  report: null,
  reexec: { to: null },
  explain: { name: 'broker' },
  overlay_drop: { name: 'broker' },
  events: null,
  exec: { name: 'broker', command: ['/bin/id'], input: false, terminal: null, user: null },
  run_once: { name: 'broker', arguments: [], timeout: null },
  copy: { name: 'broker', direction: 'out', path: '/etc/passwd' },
  session_input: { data: '' },
  session_resize: { rows: 24, columns: 80 },
  session_signal: { signal: 15 },
  stop: { name: 'broker' },
  pause: { name: 'broker' },
  resume: { name: 'broker' },
  restart: { name: 'broker' },
  update: { name: 'broker' },
};

/** The message of a request with these members. */
export function requestOf(name: string, body: unknown): { readonly request: unknown } {
  return { request: body === null ? name : { [name]: body } };
}
