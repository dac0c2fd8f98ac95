// A container's id: its name, a colon and the version of its package. Neither name nor version has a colon in it.

export interface ContainerId {
  readonly name: string;
  readonly version: string;
}

/** `name:version`. */
export function containerId(name: string, version: string): string {
  return `${name}:${version}`;
}

/** The name in `name:version`, or in a name alone. */
export function containerName(id: string): string {
  return splitContainerId(id).name;
}

/** Both parts; `version` is null where a name stands alone, as the keys of the document and what people say may. */
export function splitContainerId(id: string): { readonly name: string; readonly version: string | null } {
  const colon = id.indexOf(':');
  return colon === -1 ? { name: id, version: null } : { name: id.slice(0, colon), version: id.slice(colon + 1) };
}

/** Both parts of a text from outside; null when it is not two parts with a colon between them. */
export function parseContainerId(text: string): ContainerId | null {
  const { name, version } = splitContainerId(text);
  return name === '' || version === null || version === '' || version.includes(':') ? null : { name, version };
}
