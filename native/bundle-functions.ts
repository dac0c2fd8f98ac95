// The functions of a bundle under names that another bundle of the same sources has for them, too: file and name, however many
// others of that name there are in the file; what has no name is the first, second, third such of the one around it.
import { SourceMap } from 'node:module';
import ts from 'typescript';

export interface BundledFunction {
  readonly key: string;
  /** Offset of what follows it. */
  readonly end: number;
}

/** All of them, from the bundle and what esbuild says of it (--sourcemap=external). */
export function functionsOf(code: string, map: string): readonly BundledFunction[] {
  const file = ts.createSourceFile('bundle.cjs', code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const sources = new SourceMap(JSON.parse(map) as ConstructorParameters<typeof SourceMap>[0]);
  const found: BundledFunction[] = [];
  const nameless = new Map<string, number>();
  const visit = (node: ts.Node, around: string): void => {
    let name = around;
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const { line, character } = file.getLineAndCharacterOfPosition(node.getStart(file));
      const entry = sources.findEntry(line, character);
      const source = 'originalSource' in entry ? entry.originalSource.replace(/^(?:\.\.?\/)+/, '') : '';
      const own = nameOf(node);
      const place = `${source} ${around}`;
      const number = (nameless.get(place) ?? 0) + 1;
      if (own === null) nameless.set(place, number);
      else name = own;
      found.push({ key: own === null ? `${place} ${number}` : `${source} ${own}`, end: node.end });
    }
    ts.forEachChild(node, (child) => {
      visit(child, name);
    });
  };
  visit(file, '');
  return found;
}

/** Without the number by which esbuild tells it from others of the same name. */
function nameOf(node: ts.SignatureDeclaration): string | null {
  const named: ts.Node | undefined = node.name ?? ('name' in node.parent ? node.parent.name : undefined);
  return named !== undefined && ts.isIdentifier(named) ? named.text.replace(/\d+$/, '') : null;
}
