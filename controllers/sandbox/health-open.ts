// What the launcher has a container asked, from its target: probes as they stand in the document, with what they need to look
// into the container.
import type { ProbeOrder } from '../../native/wire/health-order.ts';
import type { Op } from '../../native/wire/ops.ts';
import type { Health, Probe } from '../../state/health.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { OpenedHealth } from '../containers/containers-act.ts';
import { healthOf, notifies } from '../containers/readiness.ts';
import type { Target } from '../controller.ts';
import { noticePath } from './specification.ts';

/** How a process joins the container, with no more rights than the application; `close` closes the descriptors in it. */
export interface Joining {
  readonly ops: readonly Op[];
  /** `NAME=value` */
  readonly environment: readonly string[];
  close(): void;
}

/** `health` null: nothing is asked any more. `join` is called when a probe looks into the container. */
export async function openHealth(
  attempt: ObservedAttempt,
  revision: number,
  health: Health | null,
  join: () => Promise<Joining>,
): Promise<OpenedHealth> {
  const asked = [['ready', health?.ready] as const, ['alive', health?.alive] as const].flatMap(([role, probe]) =>
    typeof probe === 'object' && probe !== null ? [[role, probe] as const] : [],
  );
  const looks = asked.some(([, { target }]) => target.kind !== 'tcp' && target.kind !== 'http');
  const joining = looks ? await join() : null;
  const order = {
    id: attempt.id,
    revision,
    within: health?.within ?? 0,
    watchdog: health?.watchdog ?? 0,
    notify: health?.ready === 'notify',
    probes: asked.map(([role, probe]) => orderOf(role, probe, joining)),
  };
  return { order, close: () => joining?.close() };
}

function orderOf(role: ProbeOrder['role'], probe: Probe, joining: Joining | null): ProbeOrder {
  const { target, every, timeout, failures } = probe;
  const common = { role, kind: target.kind, every, timeout, failures, address: '', port: 0, path: '', ops: [] };
  if (target.kind === 'tcp') return { ...common, address: target.address, port: target.port };
  if (target.kind === 'http') return { ...common, address: target.address, port: target.port, path: target.path };
  const ops = joining?.ops ?? [];
  if (target.kind === 'exec') {
    const [path = ''] = target.command;
    const exec = { op: 'exec', path, arguments: target.command, environment: joining?.environment ?? [] } as const;
    return { ...common, ops: [...ops, exec] };
  }
  return { ...common, ops: [...ops, { op: 'look', kind: target.kind, path: target.path }] };
}

interface NotifyPorts {
  readonly socketDir: string;
}

/** The socket on which it says how it is, where it is asked to and has no /dev of its own: that brings one (sandbox-devices.ts). */
export function notifyOps(target: Target, id: number, ports: NotifyPorts): Op[] {
  const name = notifies(healthOf(target)) ? nameOf(target, id, ports) : '/';
  return name.startsWith('/') ? [] : [{ op: 'notify', name }];
}

/** What its environment says of that. */
export function notifyWords(
  target: Target,
  id: number,
  ports: NotifyPorts,
): readonly (readonly [name: string, value: string])[] {
  const health = healthOf(target);
  return notifies(health) ? notifyVariables(health, nameOf(target, id, ports)) : [];
}

/**
 * A path in its /dev; without one an abstract name: in a network namespace of its own nobody else sees it, in one that it
 * shares it is one of its own.
 */
function nameOf(target: Target, id: number, { socketDir }: NotifyPorts): string {
  const manifest = target.package?.manifest;
  const path = manifest === undefined ? null : noticePath(manifest);
  if (path !== null) return path;
  return manifest?.network === undefined ? 'northstate/notify' : `northstate/notify${socketDir.slice(-64)}/${id}`;
}

/** What the application is told about that (sd_notify(3), sd_watchdog_enabled(3)). */
function notifyVariables(health: Health, name: string): readonly (readonly [string, string])[] {
  const watchdog = health.watchdog === null ? [] : [['WATCHDOG_USEC', String(health.watchdog * 1000)] as const];
  return [['NOTIFY_SOCKET', name.startsWith('/') ? name : `@${name}`] as const, ...watchdog];
}
