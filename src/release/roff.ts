// Manual pages: man(7) from the Markdown that the project's READMEs are written in.

export interface Page {
  readonly name: string;
  /** The section of the manual, man(1). */
  readonly section: 1 | 5 | 8;
  /** What the page is about, without a capital and a stop, for the index. */
  readonly summary: string;
  /** Markdown; its headings of the second level are the page's sections. */
  readonly text: string;
}

/** The page as the source that man(1) reads. `date` is in seconds since 1970, `version` the project's. */
export function renderPage({ name, section, summary, text }: Page, { date, version }: PageFoot): string {
  const day = new Date(date * 1000).toISOString().slice(0, 10);
  return [
    `.TH ${name.toUpperCase()} ${section} ${day} "northstate ${version}"`,
    '.SH NAME',
    `${name} \\- ${inline(summary)}`,
    ...render(text),
    '',
  ].join('\n');
}

export interface PageFoot {
  readonly date: number;
  readonly version: string;
}

/** The part of a Markdown text below a heading, up to the next heading of its level. Throws when there is none. */
export function sectionOf(markdown: string, heading: string): string {
  const level = /^#+ /.exec(heading)?.[0] ?? '';
  const lines = markdown.split('\n');
  const begin = lines.indexOf(heading);
  if (begin < 0) throw new Error(`there is no section "${heading}" in the text that the manual is made from`);
  const end = lines.findIndex((line, index) => index > begin && /^#+ /.test(line) && line.indexOf(' ') < level.length);
  return lines
    .slice(begin + 1, end < 0 ? undefined : end)
    .join('\n')
    .trim();
}

/** A block of Markdown: a fence, a table, a list, a heading, else a paragraph. */
function render(markdown: string): string[] {
  const lines = markdown.split('\n');
  const out: string[] = [];
  let at = 0;
  const take = (belongs: (line: string) => boolean): string[] => {
    const begin = at;
    while (at < lines.length && belongs(lines[at] ?? '')) at += 1;
    return lines.slice(begin, at);
  };
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.startsWith('```')) {
      at += 1;
      out.push(...verbatim(take((each) => !each.startsWith('```'))));
      at += 1;
    } else if (line.startsWith('    ')) {
      out.push(...verbatim(take((each) => each.startsWith('    ')).map((each) => each.slice(4))));
    } else if (line.startsWith('|')) {
      out.push(...table(take((each) => each.startsWith('|'))));
    } else if (line.startsWith('#')) {
      out.push(heading(line));
      at += 1;
    } else if (line.startsWith('- ')) {
      const item = [line.slice(2)];
      at += 1;
      item.push(...take((each) => /^ {2}\S/.test(each)).map((each) => each.trim()));
      out.push('.IP \\(bu 2', inline(item.join(' ')));
    } else if (line.trim() === '') {
      at += 1;
    } else {
      out.push('.PP', inline(take((each) => each.trim() !== '' && !/^(```|\||#|- )/.test(each)).join(' ')));
    }
  }
  return out;
}

function heading(line: string): string {
  const [marks = '', ...words] = line.split(' ');
  const text = words.join(' ');
  return marks.length <= 2 ? `.SH ${inline(text.toUpperCase())}` : `.SS ${inline(text)}`;
}

function verbatim(lines: readonly string[]): string[] {
  return ['.PP', '.in +4n', '.nf', ...lines.map(literal), '.fi', '.in'];
}

/** Each row is a paragraph with its first cell as the tag. */
function table(rows: readonly string[]): string[] {
  return rows
    .filter((row) => !/^\|[\s|:-]*$/.test(row))
    .map((row) => row.slice(1, -1).split(/(?<!\\)\|/))
    .filter(([, ...cells], index, all) => !(index === 0 && all.length > 1 && isHead(cells)))
    .flatMap(([tag = '', ...cells]) => [
      '.TP',
      inline(tag.trim()),
      inline(
        cells
          .map((cell) => cell.trim())
          .filter((cell) => cell !== '')
          .join('. '),
      ),
    ]);
}

/** Heads have plain words; ours are dropped, since the manual has no columns. */
function isHead(cells: readonly string[]): boolean {
  return cells.every((cell) => !/[`.:;]/.test(cell));
}

/** Text that fills lines: code and strong words in bold, links by their text. */
function inline(text: string): string {
  const parts = text
    .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replaceAll('\\|', '|')
    .split(/(`[^`]+`|\*\*[^*]+\*\*)/);
  const made = parts.map((part) => {
    if (part.startsWith('`')) return `\\fB${escape(part.slice(1, -1)).replaceAll('-', '\\-')}\\fR`;
    if (part.startsWith('**')) return `\\fB${escape(part.slice(2, -2))}\\fR`;
    return escape(part);
  });
  return guarded(made.join('').trim());
}

function literal(line: string): string {
  return guarded(escape(line).replaceAll('-', '\\-'));
}

/** What groff would take for its own, and the letters that it has names for. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('’', "'")
    .replaceAll(
      /[^\x20-\x7e]/gu,
      (letter) => `\\[u${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}

/** A line that begins with a stop or a quote would be a request. */
function guarded(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}
