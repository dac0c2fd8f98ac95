// The manual, made of what the project says already: the commands' help, the schemas, the READMEs.
import type { Command } from 'commander';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createProgram } from '../cli/program.ts';
import { schemas } from '../cli/schema.ts';
import { fieldTable } from './fields.ts';
import { renderPage, sectionOf, type Page, type PageFoot } from './roff.ts';

/** Writes the pages below `folder` (man1, man5, man8), compressed as Debian wants them. */
export async function installManual(root: string, folder: string, foot: PageFoot): Promise<void> {
  for (const page of await pages(root)) {
    const directory = join(folder, `man${page.section}`);
    await mkdir(directory, { recursive: true });
    const bytes = gzipSync(renderPage(page, foot), { level: 9 });
    await writeFile(join(directory, `${page.name}.${page.section}.gz`), bytes);
  }
}

async function pages(root: string): Promise<readonly Page[]> {
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
  const [project, state, run, configuration, document, manifest] = await Promise.all([
    read('README.md'),
    read('state/README.md'),
    read('src/release/manual/run.md'),
    read('src/release/manual/configuration.md'),
    read('src/release/manual/document.md'),
    read('src/release/manual/manifest.md'),
  ]);
  const program = createProgram();
  const runs = program.commands.find((command) => command.name() === 'run');
  if (runs === undefined) throw new Error('the command line has no command run');
  return [
    {
      ...{ name: 'northstate', section: 1, summary: 'run containers on embedded Linux from a declared state' },
      text: [synopsis(program), '## Description', sectionOf(project, '## What it is'), commandsOf(program)].join(
        '\n\n',
      ),
    },
    {
      ...{ name: 'northstate-run', section: 8, summary: 'the runtime itself, as a service' },
      text: [synopsis(runs), optionTable(runs), run].join('\n\n'),
    },
    {
      ...{ name: 'northstate-config', section: 5, summary: 'settings of the runtime' },
      text: [configuration, '## Fields', fieldTable(schemas.configuration())].join('\n\n'),
    },
    {
      ...{ name: 'northstate-document', section: 5, summary: 'the desired state of the containers' },
      text: [
        document,
        ...['## Fields of a container', '## Other fields'].map((part) => `${part}\n\n${sectionOf(state, part)}`),
      ].join('\n\n'),
    },
    {
      ...{ name: 'northstate-manifest', section: 5, summary: 'what a package says of its container' },
      text: [manifest, '## Fields', fieldTable(schemas.manifest())].join('\n\n'),
    },
  ];
}

function synopsis(command: Command): string {
  return `## Synopsis\n\n\`${usage(command)}\``;
}

function usage(command: Command): string {
  const names = [command.parent?.name(), command.name(), command.usage()];
  return names.filter((name) => name !== undefined).join(' ');
}

/** What commands print after their options: examples, exit codes. */
function notesOf(command: Command): string {
  let printed = '';
  command.configureOutput({ writeOut: (text) => void (printed += text) });
  command.outputHelp();
  const [, notes = ''] = printed.split(/\n(?=Example:\n|Exit codes:\n)/);
  return notes.trim();
}

function commandsOf(program: Command): string {
  const commands = program.commands.filter((command) => !command.name().startsWith('_'));
  const parts = commands.map((command) => {
    const example = notesOf(command)
      .replace(/^Example:\n/, '')
      .trim();
    return [
      `### ${usage(command)}`,
      `${command.description()}.`,
      optionTable(command, ''),
      ...(example === '' ? [] : ['```', example, '```']),
    ].join('\n\n');
  });
  return [
    optionTable(program),
    '## Commands',
    ...parts,
    '## Exit status',
    '```',
    notesOf(program).replace(/^Exit codes:\n/, ''),
    '```',
    '## See also',
    '`northstate-run`(8), `northstate-document`(5), `northstate-manifest`(5), `northstate-config`(5)',
  ].join('\n\n');
}

function optionTable(command: Command, title = '## Options\n\n'): string {
  const given = [...command.registeredArguments, ...command.options];
  if (given.length === 0) return '';
  const rows = given.map((each) => {
    const term = 'flags' in each ? each.flags : `<${each.name()}>`;
    const choices = each.argChoices === undefined ? '' : `: ${each.argChoices.join(', ')}`;
    return `| \`${term}\` | ${`${each.description}${choices}`.replaceAll('|', '\\|')}. |`;
  });
  return `${title}${rows.join('\n')}`;
}
