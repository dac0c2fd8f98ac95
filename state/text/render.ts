// Values written as YAML on one line, valid in block and in flow context.
import { isList, isMap, type Tree } from './tree.ts';

/** A value on one line: maps and lists in flow style, text plain where that is safe, else in double quotes. */
export function renderValue(tree: Tree): string {
  if (isMap(tree)) {
    if (tree.size === 0) return '{}';
    return `{ ${[...tree].map(([key, value]) => `${renderKey(key, true)} ${renderValue(value)}`).join(', ')} }`;
  }
  if (isList(tree)) return tree.length === 0 ? '[]' : `[${tree.map(renderValue).join(', ')}]`;
  return typeof tree === 'string' ? renderText(tree) : String(tree);
}

/** A key with its colon. One that is too long to be an implicit key (YAML 1.2, 7.4) is an explicit one; only in flow. */
export function renderKey(key: string, inFlow: boolean): string {
  const text = renderText(key);
  if (text.length <= 1000) return `${text}:`;
  if (!inFlow) throw new Error('the key is too long for one line of a block map');
  return `? ${text} :`;
}

const PLAIN = /^[A-Za-z0-9_/^][A-Za-z0-9_./^+-]*$/;
/** What the core schema (YAML 1.2, 10.3.2) takes for null, a boolean or a number. */
const OTHER_TYPE =
  /^(?:null|true|false|[-+]?\d+|0o[0-7]+|0x[0-9a-f]+|[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:e[-+]?\d+)?|[-+]?\.inf|\.nan)$/i;

function renderText(text: string): string {
  if (PLAIN.test(text) && !OTHER_TYPE.test(text)) return text;
  // JSON's escapes are YAML's; what YAML does not print (YAML 1.2, 5.1) or would take for a line break is escaped too.
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
