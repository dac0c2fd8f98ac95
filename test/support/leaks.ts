// What a test left behind: objects of the kernel that carry the test's mark. The mark is one unusual text that a test
// puts into the name of its directory and of its control group; so everything made on its behalf can be told from what
// belongs to others, also to tests that run at the same time.
import { type Dirent, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * The objects with the mark in their names, and the descriptors of this process that were not among `before`; each as a
 * readable line. Waits up to `milliseconds` for them to go: the kernel takes the mounts of a dead namespace and their loop
 * devices down in a work queue (cleanup_mnt), and says nothing when it is done.
 */
export async function leftovers(mark: string, before: ReadonlySet<string>, milliseconds = 3000): Promise<string[]> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const opened = [...openDescriptors()].filter((line) => !before.has(line));
    const left = [...marked(mark), ...opened];
    if (left.length === 0 || performance.now() > deadline) return left.sort();
    await delay(20);
  }
}

/** The descriptors of this process. */
export function openDescriptors(): Set<string> {
  const open = list('/proc/self/fd').map((fd) => [fd, link(`/proc/self/fd/${fd}`)] as const);
  // That of the listing itself is closed by now.
  return new Set(open.filter(([, target]) => target !== '').map(([fd, target]) => `descriptor ${fd}: ${target}`));
}

function marked(mark: string): string[] {
  const devices = loopDevices().filter(({ backing }) => backing.includes(mark));
  const marks = [mark, ...devices.map(({ device }) => ` ${device} `)];
  return [
    ...devices.map(({ device, backing }) => `loop device ${device} of ${backing}`),
    ...mounts(marks),
    ...groups(mark),
    ...processes(marks),
    ...sockets(mark),
  ];
}

/** Gives null for what has gone since it was listed, or is not ours to read. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined && ['ENOENT', 'ESRCH', 'EACCES', 'EINVAL', 'ENOTDIR', 'ENXIO'].includes(code)) return null;
    throw error;
  }
}

const text = (path: string): string => attempt(() => readFileSync(path, 'utf8')) ?? '';
const link = (path: string): string => attempt(() => readlinkSync(path)) ?? '';
const list = (path: string): string[] => attempt(() => readdirSync(path)) ?? [];
const lines = (path: string): string[] =>
  text(path)
    .split('\n')
    .filter((line) => line !== '');

function loopDevices(): { device: string; backing: string }[] {
  return list('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => ({ device: `/dev/${name}`, backing: text(`/sys/block/${name}/loop/backing_file`).trim() }))
    .filter(({ backing }) => backing !== '');
}

/** One process for each mount namespace that there is. */
function namespaces(): Map<string, string> {
  return new Map(list('/proc').flatMap((pid) => (/^\d+$/.test(pid) ? [[link(`/proc/${pid}/ns/mnt`), pid]] : [])));
}

function mounts(marks: string[]): string[] {
  return [...namespaces()].flatMap(([namespace, pid]) =>
    lines(`/proc/${pid}/mountinfo`)
      .filter((line) => marks.some((mark) => line.includes(mark)))
      .map((line) => `mount in ${namespace}: ${line.split(' ').slice(3).join(' ')}`),
  );
}

/** PATH_MAX (limits.h), the NUL at its end among them. */
const longestPath = 4096;

function groups(mark: string): string[] {
  const hierarchies = lines('/proc/self/mountinfo')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
  // What lies too deep to have a path of its own lies below what has one (other tests make such groups).
  const found = (directory: string): Dirent[] =>
    Buffer.byteLength(directory) < longestPath
      ? (attempt(() => readdirSync(directory, { withFileTypes: true })) ?? [])
      : [];
  const below = (directory: string): string[] => [
    directory,
    ...found(directory)
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => below(join(directory, entry.name))),
  ];
  return hierarchies
    .flatMap(below)
    .filter((directory) => directory.includes(mark))
    .map((directory) => `control group ${directory}`);
}

/**
 * A process carries the mark in its command line, its environment, its control group, the mounts of its namespace, or in what
 * the reconciler has open: its command line is its title.
 */
function processes(marks: string[]): string[] {
  const here = link('/proc/self/ns/mnt');
  return (
    list('/proc')
      .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
      // A zombie whose parent is the host's PID 1 is dead, and in nobody's hands but the host's.
      .filter((pid) => !/\) Z 1 /.test(text(`/proc/${pid}/stat`)))
      .filter((pid) => {
        const files = ['cmdline', 'environ', 'cgroup', ...(link(`/proc/${pid}/ns/mnt`) === here ? [] : ['mountinfo'])];
        const opened = text(`/proc/${pid}/cmdline`).startsWith('northstate reconciler')
          ? list(`/proc/${pid}/fd`).map((fd) => link(`/proc/${pid}/fd/${fd}`))
          : [];
        const content = [...files.map((file) => text(`/proc/${pid}/${file}`)), ...opened].join('\n');
        return marks.some((mark) => content.includes(mark));
      })
      .map(
        (pid) =>
          `process ${pid}: ${
            text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trimEnd() || text(`/proc/${pid}/comm`)
          }`,
      )
  );
}

function sockets(mark: string): string[] {
  return lines('/proc/net/unix')
    .filter((line) => line.includes(mark))
    .map((line) => `socket ${line.slice(line.lastIndexOf(' ') + 1)}`);
}
