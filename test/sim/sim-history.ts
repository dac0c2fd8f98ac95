// What is answered about generations, on simulated disks: whatever was answered ok is in the history of the next process, and of
// the next boot unless the answer has said that it is not durable.
import { openGenerations, SCHEMA, type Generations } from '../../state/document/generations.ts';
import type { Kind } from '../../state/document/generation.ts';
import { filesIn } from '../../state/document/generation-files.ts';
import { emptyDesired } from '../../state/desired.ts';
import { createDisk } from './sim-disk.ts';
import type { World } from './world.ts';

export interface History {
  /** A generation is made and answered, by and by. */
  make(): void;
  /** The disk is full from now on, or has room again. */
  switchDisk(): void;
  /** What lies in runDir is deleted; a process that lives writes it again. */
  vanish(): void;
  /** The process ends in an instant. */
  crash(): void;
  /** The next process begins, in the same boot or in another one. */
  revive(reboot: boolean): void;
  /** From here on the disk takes everything. */
  calm(): void;
  /** Everything that was answered is stored, or was given up with a boot. */
  check(): void;
}

interface Answered {
  readonly generation: number;
  readonly kind: Kind;
  readonly time: number;
  /** Why it is not durable, as the answer has it. */
  why: string | null;
}

/** Some are patches, and now and then one is too long for that: each has a text of another length. */
const terms = { least: 0, longest: 700, part: Infinity, announced: () => Promise.resolve(true) };

export function createHistory(world: World): History {
  const { time, random } = world;
  const [disk, boot] = [createDisk(time, random), createDisk(time, random)];
  let answered: Answered[] = [];
  /** Whatever was begun, answered or not. */
  const made: Pick<Answered, 'generation' | 'kind' | 'time'>[] = [];
  let highest = 0;
  let life = 0;
  let conditions = new Map<string, string>();
  let queue: Promise<Generations>;
  /** What runDir had was deleted in this boot: what was not durable may be lost with its process. */
  let vanished = false;

  function enqueue(act: (generations: Generations) => Promise<unknown>): void {
    const own = life;
    queue = queue.then(async (generations) => {
      if (own === life) await act(generations);
      return generations;
    });
    queue.catch((error: unknown) => world.breach(`the generations: ${String(error)}`));
  }

  function open(reboot: boolean): void {
    const own = ++life;
    const alive = (): boolean => own === life;
    let trying = false;
    conditions = new Map();
    const asked = conditions;
    queue = openGenerations({
      disk: filesIn(disk.directory(alive), terms),
      passing: filesIn(boot.directory(alive), terms),
      away: null,
      stand(type, subject, message) {
        if (message === null) asked.delete(`${type} ${subject}`);
        else asked.set(`${type} ${subject}`, message);
      },
      warn: () => undefined,
      failed() {
        if (trying) return;
        trying = true;
        time.after(1000, () => {
          trying = false;
          if (alive()) enqueue((generations) => generations.settle());
        });
      },
    });
    enqueue(async (generations) => {
      const last = generations.list().at(-1)?.generation ?? 0;
      await generations.read(last);
      await look(generations);
      highest = Math.max(reboot ? 0 : highest, last);
    });
  }

  /** What a new process finds. */
  async function look(generations: Generations): Promise<void> {
    const there = new Set<number>();
    for (const { generation } of generations.list()) {
      const found = await generations.read(generation);
      // One that is listed and cannot be read is as good as none.
      if (found?.text.startsWith(`generation ${generation}`) === true) there.add(generation);
    }
    for (const one of answered) {
      if (there.has(one.generation) || isFolded(one)) continue;
      if (one.why !== null && vanished) continue;
      world.breach(`generation ${one.generation} was answered ok, and is not in the history`);
    }
    const numbers = generations.list().map(({ generation }) => generation);
    if (numbers.some((number, index) => index > 0 && number <= (numbers[index - 1] ?? 0)))
      world.breach(`the history is not in order: ${numbers.join(', ')}`);
  }

  /** A console's patch that another follows within a second gives way to it. */
  function isFolded({ generation, kind, time: since }: Answered): boolean {
    const follows = (later: (typeof made)[number]): boolean =>
      later.generation > generation && later.kind === kind && later.time - since < 1000;
    return kind === 'console' && made.some(follows);
  }

  open(false);
  return {
    make() {
      enqueue(async (generations) => {
        const generation = ++highest;
        const kind = random.pick(['file', 'apply', 'console', 'console'] as const);
        const now = time.now();
        const text = `generation ${generation}${' is long'.repeat((generation * 7) % 40)}`;
        const tree = new Map([['containers', new Map([['a', generation]])]]);
        const rest = {
          origin: 'sim',
          schema: SCHEMA,
          runtime: 'sim',
          besides: null,
          signature: null,
          forced: false,
          endMark: false,
        };
        const lock = new Map();
        const content = { time: now, since: now, trial: null, lock, tree, desired: emptyDesired };
        made.push({ generation, kind, time: now });
        const prepared = await generations.prepare({ generation, kind, text, ...content, ...rest });
        if (random.chance(0.1)) return prepared.discard();
        await prepared.commit();
        const why = generations.lacks(generation);
        world.log(`generation ${generation} (${kind}) is answered${why === null ? '' : `: not durable, ${why}`}`);
        answered.push({ generation, kind, time: now, why });
        const isSaid = [...conditions.keys()].some((key) => key.startsWith('NotDurable'));
        if (why !== null && !isSaid) world.breach(`generation ${generation} is not durable, and no condition says so`);
      });
    },
    switchDisk() {
      disk.full = !disk.full;
      world.log(disk.full ? 'the disk is full' : 'the disk has room again');
    },
    vanish() {
      vanished = true;
      boot.empty();
      enqueue((generations) => generations.restore());
    },
    crash: () => void (life += 1),
    revive(reboot) {
      if (reboot) {
        boot.empty();
        vanished = false;
        answered = answered.filter(({ why }) => why === null);
      }
      open(reboot);
    },
    calm: () => void (disk.full = false),
    check() {
      if (conditions.size > 0) world.breach(`the disk takes everything, and ${[...conditions.values()].join('; ')}`);
    },
  };
}
