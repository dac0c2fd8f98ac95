// northstate completion: the script that a shell loads, and what it then asks: the words that may come next.
import { writeFile } from 'node:fs/promises';
import type { Command, Option } from 'commander';
import { withConsole, type ConsoleOptions } from './console.ts';
import { containerName } from '../../state/container-id.ts';

/** What the scripts call. */
export const completer = '__complete';

const bash = `# Completion of northstate for bash: source it, or put it into /usr/share/bash-completion/completions.
_northstate() {
  local line=\${COMP_LINE:0:COMP_POINT} current IFS
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[-1]}
  IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(northstate ${completer} -- "\${words[@]:1}" 2>/dev/null)" -- "$current"))
  # A colon parts words for bash: it wants what follows the last one.
  COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}")
}
complete -o default -F _northstate northstate
`;

const zsh = `#compdef northstate
# Completion of northstate for zsh: put it into a directory of $fpath as _northstate, or source it after compinit.
_northstate() {
  local -a found
  found=("\${(@f)$(northstate ${completer} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $found[1] ]]; then compadd -a found; else _files; fi
}
compdef _northstate northstate
`;

const fish = `# Completion of northstate for fish: put it into ~/.config/fish/completions.
complete -c northstate -f -a '(northstate ${completer} -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
complete -c northstate -n '__fish_seen_subcommand_from apply install inspect lint pack patch plan sign test unpack verify' -F
`;

const elvish = `# Completion of northstate for elvish: put it into ~/.config/elvish/rc.elv.
set edit:completion:arg-completer[northstate] = {|@words|
  e:northstate ${completer} -- (all $words[1..]) 2>/dev/null | from-lines
}
`;

const powershell = `# Completion of northstate for PowerShell: add it to the file that $PROFILE names.
Register-ArgumentCompleter -Native -CommandName northstate -ScriptBlock {
  param($word, $line, $position)
  $words = @($line.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.StartOffset -lt $position } |
    ForEach-Object { $_.Extent.Text })
  if ($word -eq '') { $words += '' }
  northstate ${completer} -- @words 2>$null |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`;

/** The script of each shell. */
export const scripts = { bash, zsh, fish, elvish, powershell } as const;
export type Shell = keyof typeof scripts;
export const shells = Object.keys(scripts) as readonly Shell[];

/** Prints the script for a shell, or writes it to a file. */
export async function completion({ shell, output }: { shell: Shell; output?: string }): Promise<void> {
  if (output === undefined) process.stdout.write(scripts[shell]);
  else await writeFile(output, scripts[shell]);
}

/** How long a shell waits for names of containers, in ms. */
const patience = 1000;

/** Prints what may stand in the place of the last word, one a line; nothing where only files fit, or no daemon answers. */
export async function complete(program: Command, words: readonly string[]): Promise<void> {
  const current = words.at(-1) ?? '';
  const found = await candidates(program, words.slice(0, -1), current);
  process.stdout.write(
    [...new Set(found)]
      .filter((word) => word.startsWith(current))
      .map((word) => `${word}\n`)
      .join(''),
  );
}

async function candidates(program: Command, before: readonly string[], current: string): Promise<readonly string[]> {
  const { command, values } = parse(program, before);
  const option = command.options.find((each) => names(each, before.at(-1)));
  if (option !== undefined && (option.required || option.optional)) return option.argChoices ?? [];
  if (current.startsWith('-')) {
    return [...command.options, ...(command === program ? [] : program.options)].flatMap(({ short, long }) =>
      [short, long].filter((each) => each !== undefined),
    );
  }
  if (command === program) return visible(program).flatMap((each) => [each.name(), ...each.aliases()]);
  const index = Math.min(values.length, command.registeredArguments.length - 1);
  const argument = command.registeredArguments[index];
  if (argument === undefined || (values.length > index && !argument.variadic)) return [];
  return argument.argChoices ?? (await live(argument.name(), optionsOf(before)));
}

/** Whether a word is an option as it is written. */
function names({ short, long }: Option, word: string | undefined): boolean {
  return word !== undefined && (short === word || long === word);
}

function visible(program: Command): readonly Command[] {
  return program.commands.filter((each) => !each.name().startsWith('_'));
}

/** The command that the words name, and the values that it has been given already. */
function parse(program: Command, words: readonly string[]): { command: Command; values: readonly string[] } {
  let command = program;
  const values: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word.startsWith('-')) {
      const option = [...command.options, ...program.options].find((each) => names(each, word));
      if (option?.required === true) at += 1;
    } else if (command !== program) values.push(word);
    else command = program.commands.find((each) => each.name() === word || each.aliases().includes(word)) ?? program;
  }
  return { command, values };
}

/** The console that the words name, else as always. */
function optionsOf(words: readonly string[]): ConsoleOptions {
  const at = words.findLastIndex((word) => ['--console', '--url', '-u'].includes(word));
  const url = at < 0 ? undefined : words[at + 1];
  return { limit: patience, ...(url !== undefined && { console: url }) };
}

/** Names that the daemon knows; none when it does not answer: a shell says nothing of errors. */
async function live(argument: string, options: ConsoleOptions): Promise<readonly string[]> {
  try {
    if (argument === 'repository') return await withConsole(options, (client) => client.call('repositories', null));
    if (!['name', 'names', 'what'].includes(argument)) return [];
    return await withConsole(options, async (client) => {
      const ids = await client.list();
      return [...ids.map((id) => containerName(id)), ...ids].toSorted();
    });
  } catch {
    return [];
  }
}
